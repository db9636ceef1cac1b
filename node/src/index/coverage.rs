//! Of which heights the index keeps what: pure decisions. Blocks come in as they are made, from some height
//! on; what lies before it is filled in from below. Between the two there may be a gap.

use larder_types::AccountId;

/// What something is kept of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// Where transactions stand.
    Transactions,
    /// The movements of every account.
    Everybody,
    /// Those of one.
    Account(AccountId),
}

/// All heights up to `below`, and all from `above` on; 0 is the genesis, −1 nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coverage {
    /// Of what.
    pub(super) subject: Subject,
    /// The highest that is filled in from below.
    pub(super) below: i64,
    /// The lowest that came in as it was made.
    pub(super) above: i64,
}

impl Subject {
    /// As the database writes it.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Transactions => vec![0],
            Self::Everybody => vec![1],
            Self::Account(account) => account.0.to_vec(),
        }
    }

    /// As the database has it.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0] => Some(Self::Transactions),
            [1] => Some(Self::Everybody),
            _ => bytes.try_into().ok().map(AccountId).map(Self::Account),
        }
    }
}

impl Coverage {
    /// Of what comes after `height`, and of nothing before.
    pub(super) const fn after(subject: Subject, height: i64) -> Self {
        Self {
            subject,
            below: -1,
            above: height.saturating_add(1),
        }
    }

    /// Of something that cannot have been in any block up to `height`.
    pub(super) const fn new(subject: Subject, height: i64) -> Self {
        Self {
            subject,
            below: height,
            above: height.saturating_add(1),
        }
    }

    /// Whether nothing is missing.
    pub(super) const fn is_whole(&self) -> bool {
        self.below.saturating_add(1) >= self.above
    }

    /// Whether a height is missing.
    pub(super) const fn lacks(&self, height: i64) -> bool {
        self.below < height && height < self.above
    }

    /// The blocks after `held` up to `height` did not come in and will not.
    pub(super) fn skipped(self, held: i64, height: i64) -> Self {
        Self {
            below: if self.is_whole() { held } else { self.below },
            above: height.saturating_add(1),
            ..self
        }
    }

    /// The chain ends at `height`: what was beyond it is not in it.
    pub(super) fn cut(self, height: i64) -> Self {
        Self {
            below: self.below.min(height),
            above: self.above.min(height.saturating_add(1)),
            ..self
        }
    }
}

/// What is missing, of several subjects.
#[derive(Debug, Clone, Default)]
pub(super) struct Gaps(pub(super) Vec<Coverage>);

impl Gaps {
    /// Those among `all` that lack something.
    pub(super) fn of(all: &[Coverage]) -> Self {
        Self(all.iter().filter(|c| !c.is_whole()).copied().collect())
    }

    /// The lowest and the highest height that is missing.
    pub(super) fn range(&self) -> Option<(i64, i64)> {
        let lowest = self.0.iter().map(|c| c.below).min()?;
        let highest = self.0.iter().map(|c| c.above).max()?;
        Some((lowest.saturating_add(1), highest.saturating_sub(1)))
    }

    /// Whether transactions of this height are missing.
    pub(super) fn lacks_txs(&self, height: i64) -> bool {
        let lacks = |c: &Coverage| c.subject == Subject::Transactions && c.lacks(height);
        self.0.iter().any(lacks)
    }

    /// Whether an account's movements in the block of this height are missing.
    pub(super) fn lacks_account(&self, height: i64, account: &AccountId) -> bool {
        self.0.iter().any(|c| {
            let concerns = match c.subject {
                Subject::Transactions => false,
                Subject::Everybody => true,
                Subject::Account(id) => id == *account,
            };
            concerns && c.lacks(height)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Subject = Subject::Account(AccountId([1; 32]));

    fn coverage(below: i64, above: i64) -> Coverage {
        Coverage {
            subject: ONE,
            below,
            above,
        }
    }

    #[test]
    fn what_is_missing_is_told() {
        assert!(coverage(5, 6).is_whole() && coverage(9, 6).is_whole());
        assert!(!coverage(5, 7).is_whole());
        assert!(!coverage(-1, 1).is_whole(), "the genesis is missing");
        let gaps = Gaps::of(&[
            coverage(5, 6),
            coverage(2, 5),
            Coverage::after(Subject::Transactions, 2),
        ]);
        assert_eq!(gaps.range(), Some((0, 4)));
        let missing = |account| (-1..7).filter(move |h| gaps.lacks_account(*h, account));
        assert!(missing(&AccountId([1; 32])).eq([3, 4]));
        assert_eq!(Gaps::of(&[Coverage::new(ONE, 8)]).range(), None);
    }

    #[test]
    fn a_gap_opens_where_blocks_were_skipped_and_grows_upwards() {
        assert_eq!(coverage(7, 4).skipped(7, 9), coverage(7, 10));
        assert_eq!(coverage(2, 4).skipped(7, 9), coverage(2, 10));
        assert_eq!(coverage(7, 8).cut(5), coverage(5, 6));
    }

    #[test]
    fn subjects_read_back() {
        for subject in [Subject::Transactions, Subject::Everybody, ONE] {
            assert_eq!(Subject::from_bytes(&subject.to_bytes()), Some(subject));
        }
        assert_eq!(Subject::from_bytes(&[7]), None);
    }
}
