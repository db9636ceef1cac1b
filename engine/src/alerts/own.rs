//! What the engine knows that alerts are about.

use super::{RentFacts, SegmentFacts};
use crate::Engine;
use crate::renter::lease::Lease;
use larder_types::Amount;

impl Engine {
    /// How the contracts that the account rents stand. Only those count that hold shards: others
    /// may run out.
    #[must_use]
    pub fn rent_facts(&self) -> RentFacts {
        let holds = |lease: &&Lease| lease.leaf().used_chunks > 0 && !lease.is_over_soon();
        let kept = || self.renter.leases.values().filter(holds);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let add = |sum: Amount, rate| sum.checked_add(rate).unwrap_or(sum);
        RentFacts {
            contracts: count(kept().count()),
            lapsing: count(kept().filter(|l| l.lapses(self.chain.epoch)).count()),
            per_epoch: kept().map(|l| l.leaf().rate).fold(Amount::ZERO, add),
            epoch: self.me.params.epoch,
            free: self.spendable(),
        }
    }

    /// How the segments stand that others store.
    #[must_use]
    pub fn segment_facts(&self) -> SegmentFacts {
        let report = self.segments();
        SegmentFacts {
            below_full: report.below_full,
            lost: report.lost,
        }
    }
}
