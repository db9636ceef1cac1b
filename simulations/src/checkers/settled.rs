//! After faults stop, everything settles: what was handed over is saved, every position is held by
//! a provider that has it intact, ledger and both ends of each contract agree, no repair is left.

use super::data::Data;
use super::repair::{Repair, holders};
use super::{Sight, Tally};
use crate::report::Checker;
use larder_engine::report::ContractReport;
use larder_types::{ContractId, NodeId};
use std::collections::BTreeMap;

/// The checker.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    whole: Tally,
    agreed: Tally,
    ran: bool,
}

impl Settled {
    /// The run has ended.
    pub(crate) fn look(&mut self, sight: &Sight<'_>, repair: &Repair, data: &Data) {
        self.ran = true;
        for (i, id, row) in repair.rows() {
            let account = &sight.nodes[i].account;
            if data.was_beyond(id) {
                continue;
            }
            for (j, root) in row.roots.iter().enumerate() {
                let named = row.holders.get(j).copied().flatten();
                let place = named.and_then(|c| sight.state.contract(&c));
                let there = place.and_then(|(_, p, _)| sight.index.get(&p)).copied();
                let mut by = holders(sight, account, root).filter(|by| !sight.nodes[*by].dead);
                let holds = by.any(|by| Some(by) == there);
                self.whole.check(holds, || {
                    format!("node {i}, segment {id}, position {j}: nobody, written {there:?}")
                });
            }
            self.whole.check(row.spooled.is_empty(), || {
                format!("node {i}, segment {id}: {:?} in the spool", row.spooled)
            });
        }
        for (i, node) in sight.nodes.iter().enumerate() {
            for (id, sealed) in node.keeper.iter().flat_map(|k| &k.sealed) {
                self.whole.check(sealed.durable, || {
                    format!("node {i}: segment {id} was never saved")
                });
            }
        }
        self.contracts(sight);
    }

    /// Ledger, provider and renter know the same revision of each contract.
    fn contracts(&mut self, sight: &Sight<'_>) {
        let held: BTreeMap<(NodeId, ContractId), ContractReport> = sight
            .nodes
            .iter()
            .filter_map(|n| Some((n.id, n.engine.as_ref()?)))
            .flat_map(|(node, engine)| {
                let ours = engine.contracts().into_iter().filter(|c| !c.rented);
                ours.map(move |c| ((node, c.contract), c))
            })
            .collect();
        for (i, node) in sight.nodes.iter().enumerate() {
            let reports = node.engine.iter().flat_map(|e| e.contracts());
            for ours in reports.filter(|c| c.rented && c.active) {
                let dead = sight.node(&ours.provider).is_none_or(|n| n.dead);
                let active = sight
                    .state
                    .contract(&ours.contract)
                    .map(|(_, _, leaf)| leaf);
                let theirs = held.get(&(ours.provider, ours.contract)).map(|c| c.leaf);
                let same = active.is_some_and(|a| a.content_root == ours.leaf.content_root)
                    && theirs.is_some_and(|t| t.content_root == ours.leaf.content_root);
                self.agreed.check(same && !dead, || {
                    format!(
                        "node {i}, contract {} with {}: renter has revision {}, provider {:?}, \
                         ledger {:?}",
                        ours.contract,
                        ours.provider,
                        ours.leaf.revision,
                        theirs.map(|t| t.revision),
                        active.map(|a| a.revision),
                    )
                });
            }
        }
    }

    /// What it found; nothing where faults went on to the end.
    pub(crate) fn findings(&self) -> Vec<Checker> {
        let found = vec![
            self.whole.finding("whole at the end"),
            self.agreed.finding("contracts agreed at the end"),
        ];
        found.into_iter().filter(|_| self.ran).collect()
    }
}
