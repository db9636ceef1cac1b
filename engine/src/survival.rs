//! What of the stored segments would survive: how safe each code is by the model of
//! `docs/protocol.md` §4, and how many segments could still be read if all of one operator's
//! providers, or all of one region's, were gone at once.

use crate::Engine;
use crate::durability::{MRT_DAYS, PRIOR_MTTF_DAYS, annual_loss};
use crate::placement::target;
use crate::rows::SegmentRow;
use larder_coding::Code;
use larder_types::{Class, ContractId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Most domains named: the worst.
const MAX_DOMAINS: usize = 100;

/// What would survive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survival {
    /// The segments, by class and code.
    pub groups: Vec<Group>,
    /// What each operator's and each region's loss would take, the worst first.
    pub domains: Vec<Domain>,
}

/// Segments of one class and code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// Their class.
    pub class: Class,
    /// Their code.
    pub code: Code,
    /// How many.
    pub segments: u64,
    /// Bytes of their shards with providers.
    pub bytes: u64,
    /// The fewest shards that any of them has.
    pub least_alive: u16,
    /// The probability that one of them is lost within a year while repair works, by the prior.
    pub annual_loss: f64,
    /// Whether that is what the class allows.
    pub class_met: bool,
}

/// What fails together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shared {
    /// All providers of an operator.
    Operator(String),
    /// A provider that names no operator.
    Provider(NodeId),
    /// All providers in a region.
    Region(String),
}

/// What the loss of one domain would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Which.
    pub shared: Shared,
    /// Segments that would lose shards.
    pub touched: u64,
    /// Segments that could be read no more.
    pub lost: u64,
}

/// How a contract that the account rents is, and what hangs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseHealth {
    /// Whether both sides have signed.
    pub signed: bool,
    /// Whether it ends soon, though it should have been renewed.
    pub lapsing: bool,
    /// Shards that lie there.
    pub shards: u64,
    /// Segments that could be read no more without them.
    pub needed: u64,
    /// The provider's misses in a row.
    pub misses: u32,
    /// Whether it proved in one of the last two epochs.
    pub proved_lately: bool,
    /// Whether it, or this contract by itself, is FAULTED.
    pub faulted: bool,
}

impl Engine {
    /// How a contract is; `None` if the account does not rent it. What lies under those that are `ending`
    /// is counted on no more.
    #[must_use]
    pub fn lease_health(
        &self,
        id: &ContractId,
        ending: &BTreeSet<ContractId>,
    ) -> Option<LeaseHealth> {
        let lease = self.renter.leases.get(id)?;
        let here = |row: &SegmentRow| row.holders.iter().flatten().filter(|h| *h == id).count();
        let coded = self
            .renter
            .segments
            .values()
            .filter(|row| !row.roots.is_empty());
        let (mut shards, mut needed) = (0, 0);
        for row in coded {
            let count = here(row);
            shards += count as u64;
            let holders = row.holders.iter().flatten();
            let rest = holders.filter(|h| *h != id && !ending.contains(h)).count();
            needed += u64::from(count > 0 && rest < usize::from(row.code.k()));
        }
        Some(LeaseHealth {
            signed: lease.sig_provider.is_some(),
            lapsing: lease.lapses(self.chain.epoch),
            shards,
            needed,
            misses: lease.misses,
            proved_lately: lease.passed_lately,
            faulted: lease.faulted,
        })
    }

    /// What of the stored segments would survive.
    #[must_use]
    pub fn survival(&self) -> Survival {
        let coded = self.renter.segments.values();
        let coded = coded.filter(|row| !row.roots.is_empty() && !row.dropped);
        let coded: Vec<&SegmentRow> = coded.collect();
        Survival {
            groups: groups(&coded),
            domains: domains(&coded, |row| self.holders(row)),
        }
    }

    /// The domains of each shard that a provider holds.
    fn holders(&self, row: &SegmentRow) -> Vec<Vec<Shared>> {
        let held = row.holders.iter().flatten();
        let leases = held.filter_map(|id| self.renter.leases.get(id));
        leases
            .map(|lease| {
                let offer = self.renter.book.get(&lease.provider).map(|o| &o.offer);
                let operator = offer.map_or("", |o| o.operator.as_str());
                let region = offer.map_or("", |o| o.region.as_str());
                let first = match operator {
                    "" => Shared::Provider(lease.provider),
                    name => Shared::Operator(name.to_owned()),
                };
                let second = (!region.is_empty()).then(|| Shared::Region(region.to_owned()));
                std::iter::once(first).chain(second).collect()
            })
            .collect()
    }
}

fn held(row: &SegmentRow) -> u16 {
    u16::try_from(row.holders.iter().flatten().count()).unwrap_or(u16::MAX)
}

fn groups(rows: &[&SegmentRow]) -> Vec<Group> {
    let mut groups: BTreeMap<(Class, [u16; 3]), Group> = BTreeMap::new();
    for row in rows {
        let (class, code) = (row.class, row.code);
        let key = (class, [code.k(), code.n(), code.r()]);
        let group = groups.entry(key).or_insert_with(|| {
            let annual_loss = annual_loss(code, PRIOR_MTTF_DAYS, MRT_DAYS);
            Group {
                class,
                code,
                segments: 0,
                bytes: 0,
                least_alive: u16::MAX,
                annual_loss,
                class_met: annual_loss <= target(class),
            }
        });
        group.segments += 1;
        group.bytes += u64::from(held(row)) * row.shard_len;
        group.least_alive = group.least_alive.min(held(row));
    }
    groups.into_values().collect()
}

fn domains(rows: &[&SegmentRow], of: impl Fn(&SegmentRow) -> Vec<Vec<Shared>>) -> Vec<Domain> {
    let mut domains: BTreeMap<Shared, Domain> = BTreeMap::new();
    for row in rows {
        let mut shards: BTreeMap<Shared, u16> = BTreeMap::new();
        for shared in of(row).into_iter().flatten() {
            *shards.entry(shared).or_default() += 1;
        }
        for (shared, count) in shards {
            let gone = held(row).saturating_sub(count) < row.code.k();
            let domain = domains.entry(shared.clone()).or_insert(Domain {
                shared,
                touched: 0,
                lost: 0,
            });
            domain.touched += 1;
            domain.lost += u64::from(gone);
        }
    }
    let mut worst: Vec<Domain> = domains.into_values().collect();
    worst.sort_by_key(|d| (std::cmp::Reverse((d.lost, d.touched)), d.shared.clone()));
    worst.truncate(MAX_DOMAINS);
    worst
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_types::ShardRoot;

    fn row(holders: &[Option<u8>]) -> SegmentRow {
        SegmentRow {
            class: Class::Normal,
            meta: false,
            code: Code::new(2, 4, 3).unwrap(),
            len: 100,
            shard_len: 64,
            roots: vec![ShardRoot([0; 32]); 4],
            holders: holders
                .iter()
                .map(|h| h.map(|i| ContractId([i; 32])))
                .collect(),
            spooled: Vec::new(),
            catalogue: false,
            listed: false,
            denied: Vec::new(),
            dropped: false,
            of: None,
        }
    }

    /// Contracts below 10 are of operator `a`, each other is alone.
    fn of(row: &SegmentRow) -> Vec<Vec<Shared>> {
        let shared = |id: &ContractId| match id.0[0] {
            0..10 => Shared::Operator("a".into()),
            other => Shared::Provider(NodeId([other; 32])),
        };
        let held = row.holders.iter().flatten();
        held.map(|id| vec![shared(id)]).collect()
    }

    #[test]
    fn an_operator_that_holds_too_much_takes_the_segment_along() {
        let spread = row(&[Some(1), Some(2), Some(10), Some(11)]);
        let heaped = row(&[Some(1), Some(2), Some(3), Some(10)]);
        let thin = row(&[Some(10), Some(11), None, None]);
        let worst = domains(&[&spread, &heaped, &thin], of);
        let figures = |shared: Shared| {
            let domain = worst.iter().find(|d| d.shared == shared).unwrap();
            (domain.touched, domain.lost)
        };
        assert_eq!(figures(Shared::Operator("a".into())), (2, 1));
        assert_eq!(figures(Shared::Provider(NodeId([10; 32]))), (3, 1));
        assert_eq!(figures(Shared::Provider(NodeId([11; 32]))), (2, 1));
    }

    #[test]
    fn segments_are_grouped_by_class_and_code() {
        let (whole, thin) = (row(&[Some(1); 4]), row(&[Some(1), None, Some(2), None]));
        let groups = groups(&[&whole, &thin]);
        let [group] = groups[..] else {
            panic!("{groups:?}");
        };
        assert_eq!(
            (group.segments, group.bytes, group.least_alive),
            (2, 6 * 64, 2)
        );
        assert!(group.annual_loss > 0.0 && group.annual_loss < 1.0);
    }
}
