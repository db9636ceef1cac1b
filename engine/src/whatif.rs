//! What would be left of the stored segments if some operators, regions or providers were gone at
//! once: counted from where each shard lies now, without assuming any repair.

use crate::Engine;
use crate::rows::SegmentRow;
use larder_types::{Class, ContractId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Who is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// Operators and regions, by the names that offers carry.
    pub names: BTreeSet<String>,
    /// Single providers.
    pub nodes: BTreeSet<NodeId>,
}

/// What is left then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Providers with shards of ours that are gone.
    pub providers: u64,
    /// What befalls the segments, by class.
    pub classes: Vec<LeftClass>,
}

/// What befalls the segments of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftClass {
    /// The class.
    pub class: Class,
    /// Its segments.
    pub segments: u64,
    /// Those that lose shards.
    pub touched: u64,
    /// Those that fall below what repair begins at.
    pub below_repair: u64,
    /// Those that could be read no more.
    pub lost: u64,
    /// The fewest shards beyond what is needed that any of the others has left.
    pub least_spare: u16,
}

impl Engine {
    /// What would be left without some.
    #[must_use]
    pub fn without(&self, gone: &Gone) -> Left {
        let is_gone = |id: &ContractId| {
            let Some(lease) = self.renter.leases.get(id) else {
                return false;
            };
            let offer = self.renter.book.get(&lease.provider).map(|o| &o.offer);
            let named = |name: &str| !name.is_empty() && gone.names.contains(name);
            gone.nodes.contains(&lease.provider)
                || offer.is_some_and(|o| named(&o.operator) || named(&o.region))
        };
        let coded = self.renter.segments.values();
        let coded: Vec<&SegmentRow> = coded.filter(|row| !row.roots.is_empty()).collect();
        let holders = coded.iter().flat_map(|row| row.holders.iter().flatten());
        let dark: BTreeSet<ContractId> = holders.copied().filter(|id| is_gone(id)).collect();
        let providers = dark.iter().filter_map(|id| self.renter.leases.get(id));
        let providers: BTreeSet<NodeId> = providers.map(|lease| lease.provider).collect();
        Left {
            providers: providers.len() as u64,
            classes: classes(&coded, &dark),
        }
    }
}

fn classes(rows: &[&SegmentRow], dark: &BTreeSet<ContractId>) -> Vec<LeftClass> {
    let mut classes: BTreeMap<Class, LeftClass> = BTreeMap::new();
    for row in rows {
        let class = classes.entry(row.class).or_insert(LeftClass {
            class: row.class,
            segments: 0,
            touched: 0,
            below_repair: 0,
            lost: 0,
            least_spare: u16::MAX,
        });
        let held = row.holders.iter().flatten();
        let (gone, left): (Vec<&ContractId>, Vec<&ContractId>) =
            held.partition(|id| dark.contains(*id));
        let left = u16::try_from(left.len()).unwrap_or(u16::MAX);
        class.segments += 1;
        class.touched += u64::from(!gone.is_empty());
        class.below_repair += u64::from(!gone.is_empty() && left < row.code.r());
        match left.checked_sub(row.code.k()) {
            Some(spare) => class.least_spare = class.least_spare.min(spare),
            None => class.lost += 1,
        }
    }
    for class in classes.values_mut().filter(|c| c.lost == c.segments) {
        class.least_spare = 0;
    }
    classes.into_values().collect()
}
