//! What an account can spend. Its balance; and, where credit is mutual, what is left of its line: how
//! far others vouch that it may go below zero. A debt is kept beside the balance, and one of the two is
//! always nothing: what comes in pays the debt first. `docs/protocol.md` §3.12.

use crate::State;
use larder_types::{AccountId, Amount};
use serde::{Deserialize, Serialize};

/// How far an account may go below zero, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// How far it may.
    pub limit: Amount,
    /// How far it is.
    pub debt: Amount,
}

/// A balance and a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purse {
    /// What is there.
    pub balance: Amount,
    /// What may be owed.
    pub line: Line,
}

impl Purse {
    /// What can be spent.
    #[must_use]
    pub fn spendable(&self) -> Amount {
        let line = self.line.limit.saturating_sub(self.line.debt);
        self.balance.checked_add(line).unwrap_or(Amount(u64::MAX))
    }

    /// With `amount` more: debts are paid first.
    ///
    /// # Panics
    /// If credit was made, which is a bug: all of it is below 2^63 nano.
    #[must_use]
    pub fn with(mut self, amount: Amount) -> Self {
        let repaid = amount.min(self.line.debt);
        self.line.debt = self.line.debt.saturating_sub(repaid);
        let rest = amount.saturating_sub(repaid);
        let balance = self.balance.checked_add(rest);
        self.balance = balance.expect("all credit is below 2^63 nano");
        self
    }

    /// With `amount` less; `None` if it cannot be spent.
    #[must_use]
    pub fn without(mut self, amount: Amount) -> Option<Self> {
        let owed = amount.saturating_sub(self.balance);
        self.balance = self.balance.saturating_sub(amount);
        if owed > Amount::ZERO {
            let debt = self.line.debt.checked_add(owed)?;
            self.line.debt = Some(debt).filter(|debt| *debt <= self.line.limit)?;
        }
        Some(self)
    }

    /// With `amount` less, none of it owed; `None` if the balance does not have it.
    #[must_use]
    pub fn without_owing(mut self, amount: Amount) -> Option<Self> {
        self.balance = self.balance.checked_sub(amount)?;
        Some(self)
    }
}

impl State {
    /// An account's purse; an empty one if it has no record.
    #[must_use]
    pub fn purse(&self, id: &AccountId) -> Purse {
        Purse {
            balance: self.balance(id),
            line: self.lines.get(id).copied().unwrap_or_default(),
        }
    }

    /// What an account can spend: its balance, and how much further it may go below zero.
    #[must_use]
    pub fn spendable(&self, id: &AccountId) -> Amount {
        self.purse(id).spendable()
    }

    /// Puts a purse in an account's record, which is made if it is new.
    pub(crate) fn put_purse(&mut self, id: &AccountId, purse: Purse) {
        self.accounts.or_default(*id).balance = purse.balance;
        if purse.line != Line::default() {
            self.lines.insert(*id, purse.line);
        } else if self.lines.contains_key(id) {
            self.lines.remove(id);
        }
    }

    /// Adds to an account.
    pub(crate) fn give(&mut self, id: &AccountId, amount: Amount) {
        let purse = self.purse(id).with(amount);
        self.put_purse(id, purse);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_purse_is_a_number_that_may_be_below_zero(
            limit in 0..1u64 << 40,
            moves in prop::collection::vec((any::<bool>(), 0..1u64 << 40), 0..60),
        ) {
            let line = Line { limit: Amount(limit), debt: Amount::ZERO };
            let mut purse = Purse { balance: Amount::ZERO, line };
            let mut number = 0i128;
            for (is_in, amount) in moves {
                let credit = Amount(amount);
                let before = number;
                number += if is_in { i128::from(amount) } else { -i128::from(amount) };
                let after = match is_in {
                    true => Some(purse.with(credit)),
                    false => purse.without(credit),
                };
                prop_assert_eq!(after.is_some(), number >= -i128::from(limit) || number >= before);
                prop_assert_eq!(purse.without_owing(credit).is_some(), before >= i128::from(amount));
                match after {
                    Some(after) => purse = after,
                    None => number = before,
                }
                let Purse { balance, line } = purse;
                prop_assert_eq!(i128::from(balance.0) - i128::from(line.debt.0), number);
                prop_assert!(balance == Amount::ZERO || line.debt == Amount::ZERO);
                prop_assert_eq!(i128::from(purse.spendable().0), number + i128::from(limit));
            }
        }
    }

    #[test]
    fn who_owes_more_than_its_line_spends_nothing_until_that_is_paid() {
        let line = Line {
            limit: Amount(3),
            debt: Amount(10),
        };
        let purse = Purse {
            balance: Amount::ZERO,
            line,
        };
        assert_eq!(purse.spendable(), Amount::ZERO);
        assert_eq!(purse.without(Amount(1)), None);
        assert_eq!(purse.without(Amount::ZERO), Some(purse));
        assert_eq!(purse.with(Amount(8)).spendable(), Amount(1));
    }
}
