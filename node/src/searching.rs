//! `backup_find`, `backup_diff`, `backup_check`: looking through what is kept. Snapshots are read as
//! streams in the order of their paths, so that neither side of a comparison is ever held whole.

use crate::segments::NetSegments;
use crate::shown::entry;
use larder_backup::exclude::Globs;
use larder_backup::{BrowseError, Depth, Entry, Kind, Listed, Snapshot, Vault};
use larder_rpc::{DiffKind, Difference, FoundEntry};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Entries that wait on each side.
const LISTING: usize = 256;

/// Which of the items in a list are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Those before it.
    pub(crate) offset: usize,
    /// At most so many.
    pub(crate) limit: usize,
}

/// Takes the items of a window as they come, and knows whether there are more.
#[derive(Debug)]
pub(crate) struct Taking<T> {
    window: Window,
    seen: usize,
    pub(crate) items: Vec<T>,
    /// Whether there are items beyond the window.
    pub(crate) more: bool,
}

impl<T> Taking<T> {
    pub(crate) fn new(window: Window) -> Self {
        Self {
            window,
            seen: 0,
            items: Vec::new(),
            more: false,
        }
    }

    /// Takes the next item; `false`: nothing more is wanted.
    pub(crate) fn take(&mut self, item: impl FnOnce() -> T) -> bool {
        let end = self.window.offset.saturating_add(self.window.limit);
        if self.seen >= end {
            self.more = true;
            return false;
        }
        if self.seen >= self.window.offset {
            self.items.push(item());
        }
        self.seen += 1;
        true
    }

    /// Where the next page begins, if there is one.
    pub(crate) fn next_cursor(&self) -> Option<String> {
        let end = self.window.offset.saturating_add(self.window.limit);
        self.more.then(|| end.to_string())
    }
}

/// A snapshot's entries below `path`, as they are read; the future ends with the reading.
fn listing<'a>(
    vault: &'a Vault,
    segments: &'a Arc<NetSegments>,
    snapshot: Snapshot,
    path: &Path,
) -> (
    impl Future<Output = Result<(), BrowseError>> + 'a,
    mpsc::Receiver<Listed>,
) {
    let (out, listed) = mpsc::channel(LISTING);
    let reading = vault.ls(snapshot, path.to_owned(), Depth::All, segments, out);
    (reading, listed)
}

/// Takes the entries of a snapshot that match; `false`: nothing more is wanted.
pub(crate) async fn find(
    (vault, segments): (&Vault, &Arc<NetSegments>),
    (id, snapshot): (&str, Snapshot),
    (path, globs): (&Path, &Globs),
    taking: &mut Taking<FoundEntry>,
) -> Result<bool, BrowseError> {
    let (reading, listed) = listing(vault, segments, snapshot, path);
    let (ended, wanted) = tokio::join!(reading, matching(listed, id, globs, taking));
    ended.map(|()| wanted)
}

/// Takes those that match; `false`: nothing more is wanted. The stream ends with it.
async fn matching(
    mut listed: mpsc::Receiver<Listed>,
    id: &str,
    globs: &Globs,
    taking: &mut Taking<FoundEntry>,
) -> bool {
    while let Some(one) = listed.recv().await {
        let is_dir = matches!(one.entry.kind, Kind::Dir(_));
        let found = || FoundEntry {
            snapshot: id.to_owned(),
            entry: entry(&one),
        };
        if globs.matches(&one.path, is_dir) && !taking.take(found) {
            return false;
        }
    }
    true
}

/// Takes what differs between two snapshots below `path`.
pub(crate) async fn diff(
    (vault, segments): (&Vault, &Arc<NetSegments>),
    (from, to): (Snapshot, Snapshot),
    path: &Path,
    taking: &mut Taking<Difference>,
) -> Result<(), BrowseError> {
    let (reading_old, old) = listing(vault, segments, from, path);
    let (reading_new, new) = listing(vault, segments, to, path);
    let compare = merge(old, new, taking);
    let (a, b, ()) = tokio::join!(reading_old, reading_new, compare);
    a.and(b)
}

/// Both streams are in the order of their paths, part by part.
async fn merge(
    mut old: mpsc::Receiver<Listed>,
    mut new: mpsc::Receiver<Listed>,
    taking: &mut Taking<Difference>,
) {
    let (mut a, mut b) = (old.recv().await, new.recv().await);
    loop {
        let wanted = match (&a, &b) {
            (None, None) => return,
            (Some(old), Some(new)) if old.path == new.path => {
                let kind = differs(&old.entry, &new.entry);
                kind.is_none_or(|kind| taking.take(|| difference(kind, new)))
            }
            (Some(old), new) if new.as_ref().is_none_or(|new| old.path < new.path) => {
                taking.take(|| difference(DiffKind::Removed, old))
            }
            (_, Some(new)) => taking.take(|| difference(DiffKind::Added, new)),
            (Some(_), None) => return,
        };
        if !wanted {
            return;
        }
        let order = order(a.as_ref(), b.as_ref());
        if order.is_le() {
            a = old.recv().await;
        }
        if order.is_ge() {
            b = new.recv().await;
        }
    }
}

/// Which side is behind; a side that has ended never is.
fn order(a: Option<&Listed>, b: Option<&Listed>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.path.cmp(&b.path),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, _) => std::cmp::Ordering::Greater,
    }
}

fn difference(change: DiffKind, listed: &Listed) -> Difference {
    Difference {
        change,
        entry: entry(listed),
    }
}

/// How two entries of one path differ. A folder's own content is what lies in it: that tells of
/// itself.
fn differs(old: &Entry, new: &Entry) -> Option<DiffKind> {
    let both_dirs = matches!((&old.kind, &new.kind), (Kind::Dir(_), Kind::Dir(_)));
    if !both_dirs && old.kind != new.kind {
        Some(DiffKind::Modified)
    } else if old.meta != new.meta {
        Some(DiffKind::Metadata)
    } else {
        None
    }
}

/// The path that is looked below.
pub(crate) fn below(path: Option<String>) -> PathBuf {
    PathBuf::from(path.unwrap_or_else(|| "/".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_backup::Meta;

    fn listed(path: &str, target: &str, mode: u32) -> Listed {
        Listed {
            path: path.into(),
            entry: Entry {
                name: path.as_bytes().to_vec(),
                kind: Kind::Symlink(target.as_bytes().to_vec()),
                meta: Meta {
                    mode,
                    uid: 0,
                    gid: 0,
                    mtime_s: 0,
                    mtime_ns: 0,
                },
                size: 0,
                inode: None,
            },
        }
    }

    fn stream(of: Vec<Listed>) -> mpsc::Receiver<Listed> {
        let (sender, receiver) = mpsc::channel(of.len().max(1));
        for one in of {
            sender.try_send(one).unwrap();
        }
        receiver
    }

    async fn compared(old: Vec<Listed>, new: Vec<Listed>, window: Window) -> Taking<Difference> {
        let mut taking = Taking::new(window);
        merge(stream(old), stream(new), &mut taking).await;
        taking
    }

    const ALL: Window = Window {
        offset: 0,
        limit: 100,
    };

    fn named(taking: &Taking<Difference>) -> Vec<(&str, DiffKind)> {
        let items = taking.items.iter();
        items.map(|d| (d.entry.path.as_str(), d.change)).collect()
    }

    #[tokio::test]
    async fn each_path_that_differs_is_named_once_with_how() {
        let old = vec![
            listed("/a", "1", 0),
            listed("/a/x", "1", 0),
            listed("/a!", "1", 0),
            listed("/b", "1", 0),
            listed("/c", "1", 0),
        ];
        let new = vec![
            listed("/a", "1", 0),
            listed("/a/y", "1", 0),
            listed("/a!", "1", 7),
            listed("/c", "2", 0),
            listed("/d", "1", 0),
        ];
        let taking = compared(old.clone(), new, ALL).await;
        let wanted = [
            ("/a/x", DiffKind::Removed),
            ("/a/y", DiffKind::Added),
            ("/a!", DiffKind::Metadata),
            ("/b", DiffKind::Removed),
            ("/c", DiffKind::Modified),
            ("/d", DiffKind::Added),
        ];
        assert_eq!(named(&taking), wanted);
        assert!(
            compared(old.clone(), old.clone(), ALL)
                .await
                .items
                .is_empty()
        );
        assert_eq!(compared(old, Vec::new(), ALL).await.items.len(), 5);
    }

    #[tokio::test]
    async fn pages_join_to_the_whole() {
        let new: Vec<Listed> = (0..10).map(|i| listed(&format!("/{i}"), "", 0)).collect();
        let mut paths = Vec::new();
        let mut offset = 0;
        loop {
            let window = Window { offset, limit: 3 };
            let page = compared(Vec::new(), new.clone(), window).await;
            paths.extend(page.items.iter().map(|d| d.entry.path.clone()));
            let Some(next) = page.next_cursor() else {
                break;
            };
            offset = next.parse().unwrap();
        }
        let all: Vec<String> = (0..10).map(|i| format!("/{i}")).collect();
        assert_eq!(paths, all);
    }
}
