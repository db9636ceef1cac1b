//! How far a job is, for whoever watches: at most four updates a second, plus one at each change
//! of phase. Watching costs nothing to the job.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Least time between two updates.
const INTERVAL: Duration = Duration::from_millis(250);

/// What a job is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not begun, or sending what an earlier run left in the spool.
    #[default]
    Preparing,
    /// Fetching metadata segments and entering what they list.
    Indexing,
    /// Reading files.
    Reading,
    /// All is read; segments are still under way.
    Storing,
    /// Reading directory trees of a snapshot.
    Planning,
    /// Writing files.
    Writing,
    /// Setting modes and times, comparing where that was asked.
    Finishing,
    /// Over.
    Done,
}

/// How far a job is. Totals are `None` until they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What it is doing.
    pub phase: Phase,
    /// Files done.
    pub files: u64,
    /// Bytes of files done.
    pub bytes: u64,
    /// Files in all.
    pub files_total: Option<u64>,
    /// Bytes of files in all.
    pub bytes_total: Option<u64>,
    /// Segments that are durable (backup), fetched or known to be lost (restore, rebuild).
    pub segments: u64,
    /// Segments in all (restore, rebuild).
    pub segments_total: Option<u64>,
    /// Entries that could not be read or restored.
    pub errors: u64,
    /// The file at hand.
    pub current: Option<PathBuf>,
}

#[derive(Debug)]
struct Board {
    state: State,
    told: Option<Instant>,
}

/// A job's progress; clones tell of the same job.
#[derive(Clone, Debug)]
pub struct Progress {
    board: Arc<Mutex<Board>>,
    tx: Arc<watch::Sender<State>>,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Of a job that has not begun.
    #[must_use]
    pub fn new() -> Self {
        let board = Board {
            state: State::default(),
            told: None,
        };
        Self {
            board: Arc::new(Mutex::new(board)),
            tx: Arc::new(watch::Sender::new(State::default())),
        }
    }

    /// A receiver that sees the newest state; it may skip states in between.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.tx.subscribe()
    }

    /// The state as it stands.
    #[must_use]
    pub fn now(&self) -> State {
        self.change(|_| {})
    }

    pub(crate) fn phase(&self, phase: Phase) {
        let state = self.change(|s| {
            s.phase = phase;
            s.current = None;
        });
        self.tx.send_replace(state);
    }

    pub(crate) fn totals(&self, files: u64, bytes: u64) {
        self.update(|s| {
            s.files_total = Some(files);
            s.bytes_total = Some(bytes);
        });
    }

    pub(crate) fn segments_total(&self, segments: u64) {
        self.update(|s| s.segments_total = Some(segments));
    }

    pub(crate) fn file(&self, path: &Path) {
        self.update(|s| s.current = Some(path.to_owned()));
    }

    pub(crate) fn file_done(&self) {
        self.update(|s| s.files += 1);
    }

    pub(crate) fn bytes(&self, n: u64) {
        self.update(|s| s.bytes += n);
    }

    pub(crate) fn segment(&self) {
        self.update(|s| s.segments += 1);
    }

    pub(crate) fn error(&self) {
        self.update(|s| s.errors += 1);
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> State {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut board.state);
        board.state.clone()
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut board.state);
        let now = Instant::now();
        if board.told.is_none_or(|told| now - told >= INTERVAL) {
            board.told = Some(now);
            self.tx.send_replace(board.state.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_changes_make_few_updates_and_phases_are_always_told() {
        let progress = Progress::new();
        let mut watcher = progress.subscribe();
        progress.file_done();
        assert!(watcher.has_changed().unwrap());
        watcher.mark_unchanged();
        let before = Instant::now();
        progress.bytes(7);
        // Unless this machine stood still for a quarter of a second in between.
        if before.elapsed() < INTERVAL / 2 {
            assert!(!watcher.has_changed().unwrap());
        }
        progress.phase(Phase::Done);
        let state = watcher.borrow_and_update().clone();
        assert_eq!((state.files, state.bytes, state.phase), (1, 7, Phase::Done));
    }
}
