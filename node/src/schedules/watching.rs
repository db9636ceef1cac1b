//! Watching trees for changes, through the `notify` crate. What the node itself writes and what a
//! backup leaves out as a cache or a temporary file anyway does not count.

use larder_backup::exclude::{DEFAULTS, Globs};
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// The trees that are watched, by the schedules that they belong to.
#[derive(Debug)]
pub struct Watches {
    all: BTreeMap<String, Watched>,
    /// Woken by changes.
    wake: Arc<Notify>,
    /// Never counted: the home.
    own: PathBuf,
}

#[derive(Debug)]
struct Watched {
    paths: Vec<PathBuf>,
    changed: Arc<AtomicBool>,
    /// Dropped, it watches no more.
    _watcher: Option<RecommendedWatcher>,
    /// Why it does not watch, if so.
    trouble: Option<String>,
}

impl Watches {
    /// None yet. Changes wake `wake`; those below `own` do not count.
    #[must_use]
    pub fn new(wake: Arc<Notify>, own: PathBuf) -> Self {
        Self {
            all: BTreeMap::new(),
            wake,
            own,
        }
    }

    /// Watches these trees from now on, and no others. What is new counts as changed: nobody saw
    /// what happened before. Reads each new tree's folders: not for the runtime's own threads.
    pub fn follow(&mut self, wanted: &BTreeMap<String, Vec<PathBuf>>) {
        self.all
            .retain(|name, watched| wanted.get(name) == Some(&watched.paths));
        for (name, paths) in wanted {
            if !self.all.contains_key(name) {
                let watched = self.watch(paths);
                self.all.insert(name.clone(), watched);
            }
        }
    }

    /// Whether a tree has changed since this was last asked.
    pub fn changed(&mut self, name: &str) -> bool {
        let watched = self.all.get(name);
        watched.is_some_and(|watched| watched.changed.swap(false, Ordering::AcqRel))
    }

    /// Why a tree is not watched, if so.
    #[must_use]
    pub fn trouble(&self, name: &str) -> Option<String> {
        self.all.get(name)?.trouble.clone()
    }

    fn watch(&self, paths: &[PathBuf]) -> Watched {
        let changed = Arc::new(AtomicBool::new(true));
        let seen = Seen {
            changed: Arc::clone(&changed),
            wake: Arc::clone(&self.wake),
            own: self.own.clone(),
            // They are ours, and parse.
            without: Globs::new(DEFAULTS).ok(),
            roots: paths.to_vec(),
        };
        let begun = notify::recommended_watcher(move |event| seen.take(event));
        let begun = begun.and_then(|mut watcher| {
            for path in paths {
                watcher.watch(path, RecursiveMode::Recursive)?;
            }
            Ok(watcher)
        });
        let trouble = begun.as_ref().err().map(|e| {
            format!(
                "cannot watch: {e}; if the system's limit is reached, raise \
                 fs.inotify.max_user_watches (`sysctl`), or watch less"
            )
        });
        Watched {
            paths: paths.to_vec(),
            changed,
            _watcher: begun.ok(),
            trouble,
        }
    }
}

/// What takes a watcher's events.
struct Seen {
    changed: Arc<AtomicBool>,
    wake: Arc<Notify>,
    own: PathBuf,
    without: Option<Globs>,
    roots: Vec<PathBuf>,
}

impl Seen {
    fn take(&self, event: notify::Result<Event>) {
        let counts = match event {
            // Events may have been lost: look.
            Err(_) => true,
            Ok(event) if event.need_rescan() => true,
            Ok(event) => changes(event.kind) && event.paths.iter().any(|path| self.counts(path)),
        };
        if counts && !self.changed.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    fn counts(&self, path: &Path) -> bool {
        if path.starts_with(&self.own) {
            return false;
        }
        let Some(globs) = &self.without else {
            return true;
        };
        // A backup's own roots are never left out, nor what they lie in.
        let root = self.roots.iter().find(|root| path.starts_with(root));
        let below = path
            .ancestors()
            .take_while(|at| Some(*at) != root.map(PathBuf::as_path));
        let mut below = below.enumerate();
        !below.any(|(up, at)| globs.matches(at, up > 0))
    }
}

/// Whether it is a change: reading is none.
const fn changes(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn what_is_written_wakes() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let wake = Arc::new(Notify::new());
        let mut watches = Watches::new(Arc::clone(&wake), "/own".into());
        let wanted = BTreeMap::from([("n".to_owned(), vec![dir.clone()])]);
        watches.follow(&wanted);
        assert_eq!(watches.trouble("n"), None);
        assert!(watches.changed("n"), "what was before is not known");
        assert!(!watches.changed("n"));
        fs::write(dir.join("b"), "1").unwrap();
        timeout(Duration::from_secs(60), wake.notified())
            .await
            .unwrap();
        assert!(watches.changed("n"));
        watches.follow(&BTreeMap::new());
        assert!(!watches.changed("n"));
    }

    #[test]
    fn only_changes_of_what_a_backup_reads_count() {
        let seen = Seen {
            changed: Arc::default(),
            wake: Arc::default(),
            own: "/home/me/.larder".into(),
            without: Globs::new(DEFAULTS).ok(),
            roots: vec!["/home/me".into(), "/tmp/mine".into()],
        };
        for (path, counts) in [
            ("/home/me/a", true),
            ("/home/me/.cache/x/y", false),
            ("/home/me/.larder/vault/x", false),
            ("/tmp/mine/a", true),
        ] {
            assert_eq!(seen.counts(Path::new(path)), counts, "{path}");
        }
        let read = EventKind::Access(AccessKind::Open(AccessMode::Any));
        assert!(!changes(read) && changes(EventKind::Any));
    }

    #[test]
    fn what_cannot_be_watched_is_said() {
        let mut watches = Watches::new(Arc::default(), "/own".into());
        let wanted = BTreeMap::from([("n".to_owned(), vec!["/no/such".into()])]);
        watches.follow(&wanted);
        let why = watches.trouble("n").unwrap();
        assert!(why.contains("cannot watch"), "{why}");
    }
}
