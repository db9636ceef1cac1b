//! What a job's work is handed: where it says how far it is, and how it hears that it shall stop.

use larder_backup::Progress;
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
}

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
        }
    }

    /// It is at a step that the vault knows nothing of.
    pub fn at(&self, stage: &'static str, detail: String) {
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
