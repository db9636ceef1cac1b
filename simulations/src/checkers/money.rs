//! Credit is neither made nor lost: all of it, counted, is the supply, after every block. The
//! ledger asserts the same; here it is counted from outside.

use super::Tally;
use larder_ledger::State;

/// The checker.
#[derive(Debug, Default)]
pub(crate) struct Money(pub(super) Tally);

impl Money {
    /// A block was applied.
    pub(crate) fn block(&mut self, state: &State) {
        let (counted, supply) = (state.total_credit(), u128::from(state.supply().nano()));
        self.0.check(counted == supply, || {
            let height = state.head().height;
            format!("height {height}: {counted} nano counted, {supply} supplied")
        });
    }
}
