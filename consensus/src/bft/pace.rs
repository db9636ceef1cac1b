//! When the next height begins: at once if somebody else began it or a block has a reason, else after
//! a slow beat, so that an idle network costs next to nothing. `docs/protocol.md` §3.5.

use larder_ledger::{Mempool, State, propose};
use larder_types::{Millis, Time};

/// How long an idle network goes without a block: its nodes then know that it is alive.
pub(super) const BEAT: Millis = Millis(60_000);

/// What is known besides the ledger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// The height that others have begun or finished, as far as was heard.
    pub(super) heard: u64,
    /// When our newest height ended.
    pub(super) since: Time,
}

impl Pace {
    /// When the height after `state`'s begins, seen at `now`; a past time means at once. Before the
    /// earliest time of a block there is nothing to do but wait, unless others are ahead.
    pub(super) fn due(&self, state: &State, mempool: &Mempool, now: Time) -> Time {
        if self.heard > state.head().height {
            return now;
        }
        let reason = propose::due(state, mempool, now);
        reason
            .min(self.since.after(BEAT))
            .max(state.earliest_block())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bft::tests::genesis;
    use larder_ledger::mempool::Limits;

    #[test]
    fn an_idle_height_waits_for_others_or_the_beat() {
        let (state, mempool) = (genesis(1), Mempool::new(Limits::default()));
        let start = state.earliest_block();
        let opened = state.slot_to_open(start).is_some();
        assert!(opened, "the first slot is a reason");
        let pace = Pace {
            heard: 0,
            since: start,
        };
        assert!(pace.due(&state, &mempool, start) <= start);
        let ahead = Pace { heard: 1, ..pace };
        let early = Time(start.0 - 5);
        assert_eq!(
            ahead.due(&state, &mempool, early),
            early,
            "others are there"
        );
        assert_eq!(
            pace.due(&state, &mempool, early),
            start,
            "too early for a block"
        );
    }
}
