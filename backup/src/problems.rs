//! What could not be read or restored: every one is counted, the first thousand are named.

use std::fmt;
use std::path::PathBuf;

/// Problems named at most; a summary is read by people.
const NAMED: usize = 1_000;

/// An entry that could not be read or restored whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which, as an absolute path in the snapshot.
    pub path: PathBuf,
    /// Why.
    pub error: String,
}

/// Problems of one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// How many.
    pub count: u64,
    /// The first of them, at most a thousand.
    pub named: Vec<Problem>,
}

impl Problems {
    pub(crate) fn note(&mut self, problem: Problem) {
        tracing::warn!(path = %problem.path.display(), error = %problem.error, "incomplete");
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(problem);
        }
    }
}

/// What a restore could not give back because of who ran it or where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Only root gives files away.
    Owner,
    /// Attributes of the system's, or a file system that keeps none.
    Attributes,
}

/// One line for all entries of a kind, so that a restore without root says it once. The entries
/// count as restored, and the exit code is 0, as with restic, tar and rsync: whoever is not root
/// expects to own what he restores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrestored {
    /// What.
    pub what: What,
    /// Of how many entries.
    pub count: u64,
    /// The first of them, below the target.
    pub first: PathBuf,
}

impl fmt::Display for Unrestored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, first) = (self.count, self.first.display());
        match self.what {
            What::Owner => write!(
                f,
                "{count} entries belong to you, not to the owner or group they had (the first: \
                 {first}): restore as root to give them back"
            ),
            What::Attributes => write!(
                f,
                "{count} entries lack extended attributes or ACLs that they had (the first: \
                 {first}): restore as root, onto a file system that keeps them"
            ),
        }
    }
}
