//! Checkers stand apart from the world: they are shown what happens and say where a promise was
//! broken. None of them changes anything.

pub(crate) mod data;
pub(crate) mod money;
pub(crate) mod proofs;
pub(crate) mod rest;

use crate::report::Checker;

/// Most violations that are kept in words.
const KEPT: usize = 8;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Checkers {
    pub(crate) money: money::Money,
    pub(crate) proofs: proofs::Proofs,
    pub(crate) data: data::Data,
    pub(crate) rest: rest::Rest,
}

impl Checkers {
    /// What they found.
    pub(crate) fn findings(&self) -> Vec<Checker> {
        let data = self.data.findings();
        [self.money.0.finding("money conserved")]
            .into_iter()
            .chain([self.proofs.0.finding("paid implies proved")])
            .chain(data)
            .chain([self.rest.0.finding("engines rest")])
            .collect()
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
