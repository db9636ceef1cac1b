//! What could not be read or restored: every one is counted, the first thousand are named.

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
