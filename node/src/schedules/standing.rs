//! How schedules stand: when each ran last and what came of it. `schedules.json` in the home keeps
//! it; without that file each begins as if it had just been set.

use crate::home::write;
use larder_engine::timing::Clockwork;
use larder_types::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file's name.
pub const FILE: &str = "schedules.json";

/// How one schedule stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// When it was set.
    pub set: Time,
    /// When it ran last, or was set: what the next run is counted from.
    pub last: Time,
    /// When it began last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Time>,
    /// When a backup of its was last made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Time>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Its newest job. Jobs do not outlive the node.
    #[serde(skip)]
    pub job: Option<String>,
    /// Changes that it has not run for yet.
    #[serde(skip)]
    pub changes: Option<larder_engine::timing::Changes>,
}

impl Standing {
    /// Set at `now`.
    #[must_use]
    pub const fn new(now: Time) -> Self {
        Self {
            set: now,
            last: now,
            begun: None,
            good: None,
            trouble: None,
            job: None,
            changes: None,
        }
    }

    /// What the next run follows from, looked at or changed.
    pub fn clockwork<T>(&mut self, step: impl FnOnce(&mut Clockwork) -> T) -> T {
        let mut clockwork = Clockwork {
            last: self.last,
            changes: self.changes,
        };
        let stepped = step(&mut clockwork);
        (self.last, self.changes) = (clockwork.last, clockwork.changes);
        stepped
    }
}

/// How all of them stand, by name.
#[derive(Debug, Default)]
pub struct Book {
    path: PathBuf,
    all: BTreeMap<String, Standing>,
    /// What the file holds.
    written: Option<String>,
}

impl Book {
    /// Those of the home in `dir`. A file that is none is begun anew: it only says when to run.
    #[must_use]
    pub fn open(dir: &Path) -> Self {
        let path = dir.join(FILE);
        let all = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|e| {
                tracing::warn!("{} is damaged, and begun anew: {e}", path.display());
                BTreeMap::new()
            }),
            Err(e) => {
                if e.kind() != io::ErrorKind::NotFound {
                    tracing::warn!("{}: {e}", path.display());
                }
                BTreeMap::new()
            }
        };
        Self {
            path,
            all,
            written: None,
        }
    }

    /// How a schedule stands; one that is new was set just now.
    pub fn of(&mut self, name: &str, now: Time) -> &mut Standing {
        let new = || Standing::new(now);
        self.all.entry(name.to_owned()).or_insert_with(new)
    }

    /// How a schedule stands, if it is known.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Standing> {
        self.all.get(name)
    }

    /// Forgets one.
    pub fn forget(&mut self, name: &str) {
        self.all.remove(name);
    }

    /// Writes what has changed. What cannot be written is only said: a schedule then runs once too
    /// often after a restart.
    pub fn save(&mut self) {
        let Ok(text) = serde_json::to_string_pretty(&self.all) else {
            return;
        };
        if self.written.as_ref() == Some(&text) {
            return;
        }
        match write(&self.path, text.as_bytes(), 0o600) {
            Ok(()) => self.written = Some(text),
            Err(e) => tracing::warn!("{e}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_is_known_after_a_restart_and_damage_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut book = Book::open(dir.path());
        let standing = book.of("n", Time(5));
        standing.clockwork(|clock| clock.began(Time(9)));
        standing.good = Some(Time(10));
        standing.job = Some("1".to_owned());
        book.save();
        let again = Book::open(dir.path());
        let kept = again.get("n").unwrap();
        assert_eq!(
            (kept.set, kept.last, kept.good),
            (Time(5), Time(9), Some(Time(10)))
        );
        assert_eq!(kept.job, None);
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert_eq!(Book::open(dir.path()).get("n"), None);
    }
}
