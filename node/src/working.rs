//! What a job's work is handed: where it says how far it is, and how it hears that it shall stop.

use crate::home::now;
use larder_backup::Progress;
use larder_rpc::{JobLine, Moment};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// A job at work. Clones are the same job.
#[derive(Debug, Clone)]
pub struct Working {
    /// How far a backup, a restore or a rebuild is.
    pub progress: Progress,
    /// Stops it.
    pub cancel: CancellationToken,
    step: Arc<Mutex<Option<Step>>>,
    log: Arc<Mutex<VecDeque<JobLine>>>,
}

/// Lines of a job that are kept: its last ones.
const MAX_LINES: usize = 1_000;

/// A step that the vault knows nothing of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// A word or two.
    pub stage: &'static str,
    /// How far it is, in words.
    pub detail: String,
}

impl Working {
    /// A job that has just begun.
    #[must_use]
    pub fn new(cancel: CancellationToken) -> Self {
        Self {
            progress: Progress::new(),
            cancel,
            step: Arc::default(),
            log: Arc::default(),
        }
    }

    /// Writes a line of its log.
    pub fn note(&self, text: String) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let again = log.back().is_some_and(|last| last.text == text);
        if again {
            return;
        }
        let time = Moment(now());
        log.push_back(JobLine { time, text });
        if log.len() > MAX_LINES {
            log.pop_front();
        }
    }

    /// Its log, the oldest line first.
    #[must_use]
    pub fn log(&self) -> Vec<JobLine> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().cloned().collect()
    }

    /// It is at a step that the vault knows nothing of.
    pub fn at(&self, stage: &'static str, detail: String) {
        self.note(format!("{stage}: {detail}"));
        self.set(Some(Step { stage, detail }));
    }

    /// The vault is at work: its own progress counts.
    pub fn in_vault(&self) {
        self.set(None);
    }

    /// The step it is at, unless the vault is at work.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        self.step
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, step: Option<Step>) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_its_last_lines_and_repeats_none() {
        let working = Working::new(CancellationToken::new());
        working.at("searching", "1 of 2".into());
        working.at("searching", "1 of 2".into());
        assert_eq!(working.log().len(), 1);
        for i in 0..MAX_LINES {
            working.note(i.to_string());
        }
        let log = working.log();
        assert_eq!((log.len(), log[0].text.as_str()), (MAX_LINES, "0"));
    }
}
