//! When epochs, slots and response windows begin and end. An epoch has S slots of length
//! (T_e − W)/S, so that every window closes inside its epoch. `docs/protocol.md` §3.1.

use crate::{Millis, Params, Time};

/// An epoch's number, counted from genesis.
pub type Epoch = u32;
/// A slot's number over the network's life: epoch · S + slot.
pub type SlotNo = u64;

/// The calendar of one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// t0, when epoch 0 began.
    pub start: Time,
    epoch: u64,
    slots: u64,
    window: u64,
}

impl Schedule {
    /// The calendar of a network that began at `start`.
    ///
    /// # Panics
    /// If the parameters are unsound ([`Params::are_sound`]); a genesis is checked before.
    #[must_use]
    pub fn new(start: Time, params: &Params) -> Self {
        assert!(params.are_sound(), "unsound parameters: {params:?}");
        Self {
            start,
            epoch: params.epoch.0,
            slots: u64::from(params.slots),
            window: params.window.0,
        }
    }

    /// The epoch that holds `now`; before genesis, epoch 0.
    #[must_use]
    pub fn epoch_at(&self, now: Time) -> Epoch {
        Epoch::try_from(now.since(self.start).0 / self.epoch).unwrap_or(Epoch::MAX)
    }

    /// When epoch `e` begins.
    #[must_use]
    pub fn epoch_start(&self, e: Epoch) -> Time {
        self.start
            .after(Millis(u64::from(e).saturating_mul(self.epoch)))
    }

    /// The number of slot `s` of epoch `e`.
    #[must_use]
    pub fn slot_no(&self, e: Epoch, s: u32) -> SlotNo {
        u64::from(e) * self.slots + u64::from(s)
    }

    /// The epoch that a slot belongs to.
    #[must_use]
    pub fn epoch_of_slot(&self, slot: SlotNo) -> Epoch {
        Epoch::try_from(slot / self.slots).unwrap_or(Epoch::MAX)
    }

    /// When a slot begins; its challenge is open from then on.
    #[must_use]
    pub fn slot_start(&self, slot: SlotNo) -> Time {
        let within = (slot % self.slots) * (self.epoch - self.window) / self.slots;
        self.epoch_start(self.epoch_of_slot(slot))
            .after(Millis(within))
    }

    /// When a slot's response window closes: W after its start.
    #[must_use]
    pub fn slot_close(&self, slot: SlotNo) -> Time {
        self.slot_start(slot).after(Millis(self.window))
    }

    /// The newest slot that has begun at `now`.
    #[must_use]
    pub fn slot_at(&self, now: Time) -> SlotNo {
        let e = self.epoch_at(now);
        let within = now.since(self.epoch_start(e)).0;
        let span = self.epoch - self.window;
        // The slot whose start, rounded down to a millisecond, is not after `within`.
        let s = ((within + 1) * self.slots)
            .div_ceil(span)
            .saturating_sub(1)
            .min(self.slots - 1);
        u64::from(e) * self.slots + s
    }

    /// The slot of epoch `e` that the beacon at its start gives a provider.
    #[must_use]
    pub fn provider_slot(&self, e: Epoch, beacon: &[u8; 32], provider: &crate::NodeId) -> SlotNo {
        let hash = blake3::Hasher::new()
            .update(beacon)
            .update(&provider.0)
            .finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        u64::from(e) * self.slots + u64::from_le_bytes(first) % self.slots
    }

    /// The next moment after `now` at which a slot begins or a window closes.
    ///
    /// # Panics
    /// Never: the next epoch begins after `now`.
    #[must_use]
    pub fn next_event(&self, now: Time) -> Time {
        let e = self.epoch_at(now);
        (0..self.slots)
            .map(|s| u64::from(e) * self.slots + s)
            .flat_map(|slot| [self.slot_start(slot), self.slot_close(slot)])
            .chain([self.epoch_start(e.saturating_add(1))])
            .filter(|t| *t > now)
            .min()
            .expect("the next epoch begins after now")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;

    #[test]
    fn slots_are_found_again_and_windows_close_inside_their_epoch() {
        for (profile, epoch) in [
            (Profile::Dev, 8_000),
            (Profile::Dev, 60_000),
            (Profile::Public, 86_400_000),
        ] {
            let params = Params::profile(profile).with_epoch(Millis(epoch));
            let schedule = Schedule::new(Time(1_000_003), &params);
            for slot in 0..3 * u64::from(params.slots) {
                let start = schedule.slot_start(slot);
                assert_eq!(schedule.slot_at(start), slot);
                if slot > 0 {
                    assert_eq!(schedule.slot_at(start.before(Millis(1))), slot - 1);
                }
                let e = schedule.epoch_of_slot(slot);
                assert!(schedule.slot_close(slot) < schedule.epoch_start(e + 1));
                assert_eq!(schedule.epoch_at(schedule.slot_close(slot)), e);
            }
        }
    }

    #[test]
    fn the_next_event_is_ahead() {
        let schedule = Schedule::new(Time(0), &Params::profile(Profile::Dev));
        let mut now = Time(0);
        for _ in 0..50 {
            let next = schedule.next_event(now);
            assert!(next > now);
            now = next;
        }
    }
}
