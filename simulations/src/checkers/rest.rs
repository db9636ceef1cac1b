//! An engine whose deadline has passed does something about it: a deadline that stays in the past
//! after its tick would make the driver spin.

use super::Tally;
use larder_types::Time;

/// The checker.
#[derive(Debug, Default)]
pub(crate) struct Rest(pub(super) Tally);

impl Rest {
    /// A tick moved its deadline.
    pub(crate) fn rested(&mut self) {
        self.0.check(true, String::new);
    }

    /// A tick left its deadline in the past.
    pub(crate) fn spun(&mut self, now: Time, node: usize) {
        self.0
            .check(false, || format!("{}: node {node} would spin", now.0));
    }
}
