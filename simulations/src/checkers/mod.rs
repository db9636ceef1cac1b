//! Checkers stand apart from the world: they are shown what happens and say where a promise was
//! broken. None of them changes anything.

pub(crate) mod data;
pub(crate) mod money;
pub(crate) mod proofs;
pub(crate) mod purse;
pub(crate) mod repair;
pub(crate) mod rest;
pub(crate) mod settled;

use crate::node::Node;
use crate::report::{Checker, Report};
use larder_ledger::State;
use larder_types::{NodeId, Time};
use std::collections::BTreeMap;

/// Most violations that are kept in words.
const KEPT: usize = 8;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Checkers {
    pub(crate) money: money::Money,
    pub(crate) proofs: proofs::Proofs,
    pub(crate) data: data::Data,
    pub(crate) repair: repair::Repair,
    pub(crate) rest: rest::Rest,
    pub(crate) settled: settled::Settled,
    /// Where a provider's income is watched.
    pub(crate) purse: Option<purse::Purse>,
}

/// All that there is to see at one moment.
#[derive(Debug)]
pub(crate) struct Sight<'a> {
    pub(crate) now: Time,
    pub(crate) nodes: &'a [Node],
    pub(crate) index: &'a BTreeMap<NodeId, usize>,
    pub(crate) state: &'a State,
}

impl Sight<'_> {
    /// A provider's machine.
    pub(crate) fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.get(*self.index.get(id)?)
    }
}

impl Checkers {
    /// Writes down what they found.
    pub(crate) fn tell(&self, report: &mut Report) {
        report.beyond = self.data.beyond();
        (report.healed, report.healed_minutes) = self.repair.healed();
        report.checkers = [self.money.0.finding("money conserved")]
            .into_iter()
            .chain([self.proofs.0.finding("paid implies proved")])
            .chain(self.data.findings())
            .chain(self.repair.findings())
            .chain(self.settled.findings())
            .chain(self.purse.as_ref().map(purse::Purse::finding))
            .chain([self.rest.0.finding("engines rest")])
            .collect();
    }
}

/// What one checker has seen so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    checks: u64,
    broken: u64,
    words: Vec<String>,
}

impl Tally {
    /// Looked once; `broken` says how a promise was broken, if it was.
    pub(crate) fn check(&mut self, holds: bool, broken: impl FnOnce() -> String) {
        self.checks += 1;
        if !holds {
            self.broken += 1;
            if self.words.len() < KEPT {
                self.words.push(broken());
            }
        }
    }

    /// In words.
    pub(crate) fn finding(&self, name: &str) -> Checker {
        let mut violations = self.words.clone();
        let more = self.broken.saturating_sub(self.words.len() as u64);
        if more > 0 {
            violations.push(format!("and {more} more"));
        }
        Checker {
            name: name.to_owned(),
            ok: self.broken == 0,
            checks: self.checks,
            violations,
        }
    }
}
