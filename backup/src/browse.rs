//! Looking into snapshots without restoring them.

use crate::backup::{BackupError, join};
use crate::entry::{Entry, Kind};
use crate::fetch::{EntryCursor, FetchError, Source};
use crate::index::Index;
use crate::segments::Segments;
use crate::snapshot::Snapshot;
use crate::vault::Vault;
use crate::walk::PathBytes;
use larder_coding::OpenKeys;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// Entries read at a time.
const WINDOW: usize = 512;

/// Why a snapshot cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    /// No such path in it.
    #[error("the snapshot holds no {path}", path = .0.display())]
    NoSuchPath(PathBuf),
    /// A part of it cannot be read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The thread was ended from outside.
    #[error("interrupted")]
    Cancelled,
}

impl From<BackupError> for BrowseError {
    fn from(_: BackupError) -> Self {
        Self::Cancelled
    }
}

/// An entry and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its absolute path in the snapshot.
    pub path: PathBuf,
    /// What it is.
    pub entry: Entry,
}

/// How far down a listing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What the folder itself holds.
    Folder,
    /// Everything below it.
    All,
}

/// What a path in a snapshot is: the root, or an entry.
pub(crate) enum Found {
    Root,
    Entry(Box<Entry>),
}

/// Walks down to `path`.
pub(crate) fn find<S: Segments>(
    source: &mut Source<S>,
    snapshot: &Snapshot,
    path: &Path,
) -> Result<Found, BrowseError> {
    let mut found = Found::Root;
    for part in path.components() {
        let name = match part {
            Component::Normal(name) => name.as_bytes(),
            Component::RootDir | Component::CurDir => continue,
            Component::ParentDir | Component::Prefix(_) => return Err(no_such(path)),
        };
        let tree = match &found {
            Found::Root => &snapshot.root,
            Found::Entry(entry) => match &entry.kind {
                Kind::Dir(tree) => tree,
                Kind::File(_)
                | Kind::Symlink(_)
                | Kind::Fifo
                | Kind::CharDevice(_)
                | Kind::BlockDevice(_) => return Err(no_such(path)),
            },
        };
        let mut cursor = EntryCursor::new(tree)?;
        found = loop {
            let entries = cursor.next(source, WINDOW)?;
            if entries.is_empty() {
                return Err(no_such(path));
            }
            if let Some(entry) = entries.into_iter().find(|e| e.name == name) {
                break Found::Entry(Box::new(entry));
            }
        };
    }
    Ok(found)
}

fn no_such(path: &Path) -> BrowseError {
    BrowseError::NoSuchPath(path.to_owned())
}

impl Vault {
    /// Sends the entries at and below `path`, in order of their names, to `out` as they are read;
    /// a receiver that is dropped ends it. A file is listed as itself.
    ///
    /// # Errors
    /// [`BrowseError`] if there is no such path, or metadata cannot be had.
    pub async fn ls<S: Segments>(
        &self,
        snapshot: Snapshot,
        path: PathBuf,
        depth: Depth,
        segments: &Arc<S>,
        out: mpsc::Sender<Listed>,
    ) -> Result<(), BrowseError> {
        let stop = CancellationToken::new();
        let _ends_with_us = stop.clone().drop_guard();
        let mut source = self.source(segments, &stop);
        let listing = spawn_blocking(move || list(&mut source, &snapshot, &path, depth, &out));
        join(listing.await)?
    }

    pub(crate) fn source<S: Segments>(
        &self,
        segments: &Arc<S>,
        stop: &CancellationToken,
    ) -> Source<S> {
        self.reader().source(segments, stop)
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader {
            keys: OpenKeys::from(&self.keys),
            index: self.index.clone(),
            tmp: self.tmp(),
        }
    }
}

/// What reads blobs and restores files: where they lie, what opens them, room for a plan. A vault's
/// own, or a share's.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) keys: OpenKeys,
    pub(crate) index: Index,
    pub(crate) tmp: PathBuf,
}

impl Reader {
    pub(crate) fn source<S: Segments>(
        &self,
        segments: &Arc<S>,
        stop: &CancellationToken,
    ) -> Source<S> {
        Source::new(
            self.keys.clone(),
            self.index.clone(),
            Arc::clone(segments),
            Handle::current(),
            stop.clone(),
        )
    }
}

fn list<S: Segments>(
    source: &mut Source<S>,
    snapshot: &Snapshot,
    path: &Path,
    depth: Depth,
    out: &mpsc::Sender<Listed>,
) -> Result<(), BrowseError> {
    let mut at = PathBytes::default();
    for part in path.components() {
        if let Component::Normal(name) = part {
            at.enter(name.as_bytes());
        }
    }
    let tree = match find(source, snapshot, path)? {
        Found::Root => snapshot.root.clone(),
        Found::Entry(entry) => match &entry.kind {
            Kind::Dir(tree) => tree.clone(),
            Kind::File(_)
            | Kind::Symlink(_)
            | Kind::Fifo
            | Kind::CharDevice(_)
            | Kind::BlockDevice(_) => {
                send(out, &at, *entry);
                return Ok(());
            }
        },
    };
    list_tree(source, &tree, &mut at, depth, out)?;
    Ok(())
}

/// `false` once nobody listens.
fn list_tree<S: Segments>(
    source: &mut Source<S>,
    tree: &crate::content::Content,
    at: &mut PathBytes,
    depth: Depth,
    out: &mpsc::Sender<Listed>,
) -> Result<bool, FetchError> {
    let mut cursor = EntryCursor::new(tree)?;
    loop {
        let entries = cursor.next(source, WINDOW)?;
        if entries.is_empty() {
            return Ok(true);
        }
        for entry in entries {
            let mark = at.enter(&entry.name);
            let below = match (&entry.kind, depth) {
                (Kind::Dir(below), Depth::All) => Some(below.clone()),
                _ => None,
            };
            let mut listening = send(out, at, entry);
            if let (true, Some(below)) = (listening, below) {
                listening = list_tree(source, &below, at, depth, out)?;
            }
            at.leave(mark);
            if !listening {
                return Ok(false);
            }
        }
    }
}

fn send(out: &mpsc::Sender<Listed>, at: &PathBytes, entry: Entry) -> bool {
    let path = at.as_path().to_owned();
    out.blocking_send(Listed { path, entry }).is_ok()
}
