//! What a provider takes on now: nothing that it could not prove in time, nothing while a volume
//! fails, and nothing new where its operator wants none. Better to refuse than to be found out.
//! `docs/protocol.md` §3.10 *A provider's protection*.

use crate::ctx::Identity;
use larder_contracts::Refusal;
use larder_types::{Bytes, Millis, Time};
use std::collections::VecDeque;

/// So many of the last proofs tell how long the next one takes.
const PROOFS: usize = 5;
/// A proof that is expected to take more than this share of the window, one in …, is at risk: the
/// rest is for sending it, and for trying again.
const SHARE: u64 = 2;

/// Whether a provider takes on anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Taking {
    /// Whatever the quota allows.
    #[default]
    All,
    /// No new contracts; those that there are may be extended and renewed.
    Paused,
    /// Nothing: contracts run out, and then it is gone.
    Leaving,
}

/// What the disks are found to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disks {
    /// Whether any volume does not give back what it holds: while one does not, nothing is taken on.
    pub failing: bool,
    /// What may still be stored on them; `None`: nobody has looked yet.
    pub free: Option<Bytes>,
}

/// What is known of how well this provider can prove.
#[derive(Debug, Default)]
pub(crate) struct Fitness {
    pub(crate) disks: Disks,
    /// How long the last proofs took, from the challenge to the blob; newest last.
    took: VecDeque<Millis>,
}

impl Fitness {
    /// A proof that was begun then is made now, or could not be made in time.
    pub(crate) fn proved(&mut self, begun: Time, now: Time) {
        self.took.push_back(now.since(begun));
        if self.took.len() > PROOFS {
            self.took.pop_front();
        }
    }

    /// Nothing is asked of us: what was measured says nothing any more.
    pub(crate) fn idle(&mut self) {
        self.took.clear();
    }

    /// How long the next proof is expected to take: the median of the last, because one that had to
    /// wait for something else says little. `None`: nothing was measured yet.
    pub(crate) fn expected(&self) -> Option<Millis> {
        let mut took: Vec<Millis> = self.took.iter().copied().collect();
        took.sort_unstable();
        took.get(took.len() / 2).copied()
    }

    /// Whether more may be taken on.
    pub(crate) fn judge(&self, me: &Identity) -> Result<(), Refusal> {
        if self.disks.failing {
            return Err(Refusal::Storage);
        }
        let most = Millis(me.params.window.0 / SHARE);
        match self.expected() {
            Some(expected) if expected > most => Err(Refusal::Slow { expected, most }),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(took: &[u64]) -> Fitness {
        let mut fitness = Fitness::default();
        for ms in took {
            fitness.proved(Time(1_000), Time(1_000 + ms));
        }
        fitness
    }

    #[test]
    fn the_last_proofs_tell_and_one_slow_one_says_little() {
        assert_eq!(after(&[]).expected(), None);
        assert_eq!(after(&[7]).expected(), Some(Millis(7)));
        assert_eq!(after(&[5, 9_000, 6]).expected(), Some(Millis(6)));
        let grown = after(&[1, 1, 1, 1, 1, 900, 900, 900]);
        assert_eq!(grown.expected(), Some(Millis(900)));
        let mut idle = after(&[900]);
        idle.idle();
        assert_eq!(idle.expected(), None);
    }
}
