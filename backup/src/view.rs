//! The snapshots as a file system that can be looked into and read: what a mount shows, without
//! the mount. Lazy: trees are read as names are looked up, of a file's content the blobs that a read
//! touches. Memory is bounded by what the kernel itself keeps, and by the caches' constants.
//!
//! At the top stand a folder for each snapshot, `latest` and `by-time`; snapshots that are made or
//! forgotten meanwhile come and go there. Within one everything is as it was saved, owners' numbers
//! and modes too. A segment that cannot be had or is damaged fails the reads that need it, and no
//! others; it is told once.
//!
//! Every call may wait for the network: for blocking threads, of which any number may call at once.

mod attr;
mod blobs;
mod folder;
mod layout;
mod lru;
mod names;
mod nodes;
mod tops;

pub use self::attr::{Attr, Sort, Toward};

use self::attr::{attr_of, seek, sure_holes};
use self::blobs::{Store, lock};
use self::folder::Folder;
use self::layout::Layout;
use self::lru::Lru;
use self::names::{BY_TIME, LATEST, Named};
use self::nodes::{Key, Node, Nodes, What};
use self::tops::{by_time, latest, time_link};
use crate::content::Content;
use crate::entry::{Entry, Kind};
use crate::fetch::FetchError;
use crate::holes;
use crate::index::IndexError;
use crate::segments::Segments;
use crate::vault::Vault;
use larder_types::Time;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// How long the list of snapshots counts before it is asked for again.
const FRESH: Duration = Duration::from_secs(1);
/// Folders whose notes are kept: of a million names 16 MB of notes, of usual ones nothing to speak of.
const FOLDERS: u64 = 64;
/// Files of which it is remembered where their pieces lie: 4 MB for 100 GB.
const LAYOUTS: u64 = 32;
/// Troubles that are told apart; more of them say nothing new.
const TOLD: usize = 1_000;

/// Why something in a view cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// No such name.
    #[error("there is no such name")]
    NoEntry,
    /// A number that nobody has looked up, or that was forgotten.
    #[error("nothing of this number is known")]
    Stale,
    /// It is no directory.
    #[error("it is no directory")]
    NotDir,
    /// It is a directory.
    #[error("it is a directory")]
    IsDir,
    /// It is no file, or no link, and that was asked for.
    #[error("it is something else")]
    Other,
    /// It has no attribute of this name.
    #[error("it has no such attribute")]
    NoAttribute,
    /// Behind the file's end, or no data from there on.
    #[error("there is nothing from there on")]
    Beyond,
    /// What is stored cannot be had or read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// What a name stands for, before anybody has looked it up.
type Found = (Key, Node);

/// A name in a listing.
#[derive(Clone, Debug)]
pub struct Item {
    /// The name, any bytes.
    pub name: Vec<u8>,
    /// What `stat` would tell.
    pub attr: Attr,
    found: Found,
}

/// Hears once of each trouble: the path in the view that met it, and what it is.
pub type Tell = Box<dyn Fn(&Path, &ViewError) + Send + Sync>;

/// The snapshots of a vault as a file system.
pub struct View<S: Segments> {
    vault: Vault,
    store: Store<S>,
    /// Whose the folders are that no snapshot holds.
    owner: (u32, u32),
    tell: Tell,
    told: Mutex<BTreeSet<String>>,
    nodes: Mutex<Nodes>,
    folders: Mutex<Lru<u64, Arc<Folder>>>,
    layouts: Mutex<Lru<u64, Arc<Layout>>>,
    snapshots: Mutex<Option<(Instant, Arc<Vec<Named>>)>>,
}

impl<S: Segments> fmt::Debug for View<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}

impl<S: Segments> View<S> {
    /// The number of the topmost folder.
    pub const ROOT: u64 = nodes::ROOT;

    /// The snapshots of `vault`, until `stop`: then what waits fails.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(vault: &Vault, segments: &Arc<S>, stop: CancellationToken, tell: Tell) -> Self {
        let store = Store::new(
            vault.reader(),
            Arc::clone(segments),
            Handle::current(),
            stop,
        );
        let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
        Self {
            vault: vault.clone(),
            store,
            owner: (user.as_raw(), group.as_raw()),
            tell,
            told: Mutex::default(),
            nodes: Mutex::new(Nodes::new()),
            folders: Mutex::new(Lru::new(FOLDERS)),
            layouts: Mutex::new(Lru::new(LAYOUTS)),
            snapshots: Mutex::default(),
        }
    }

    /// What has this name in a folder. Its number counts until it is forgotten as often.
    ///
    /// # Errors
    /// [`ViewError`].
    pub fn lookup(&self, folder: u64, name: &[u8]) -> Result<Attr, ViewError> {
        let node = self.node(folder)?;
        let found = self.heard(&node, self.find(folder, &node, name))?;
        Ok(self.enter(found))
    }

    /// Counts an item of a listing as looked up.
    pub fn keep(&self, item: &Item) -> Attr {
        self.enter(item.found.clone())
    }

    /// So many lookups of a number are over.
    pub fn forget(&self, ino: u64, lookups: u64) {
        if lock(&self.nodes).forget(ino, lookups) {
            lock(&self.folders).remove(&ino);
            lock(&self.layouts).remove(&ino);
        }
    }

    /// What `stat` tells.
    ///
    /// # Errors
    /// [`ViewError`].
    pub fn attr(&self, ino: u64) -> Result<Attr, ViewError> {
        let node = self.node(ino)?;
        if matches!(node.what, What::Root | What::Times) {
            // They are as old as the newest snapshot.
            self.snapshots()?;
        }
        Ok(self.attr_of(ino, &node))
    }

    /// The number of the folder that holds this one; the topmost is in itself.
    ///
    /// # Errors
    /// [`ViewError::Stale`].
    pub fn parent(&self, ino: u64) -> Result<u64, ViewError> {
        Ok(self.node(ino)?.parent)
    }

    /// Whether it is the folder of links by time, where names come and go as at the top.
    #[must_use]
    pub fn is_times(&self, ino: u64) -> bool {
        self.node(ino)
            .is_ok_and(|node| matches!(node.what, What::Times))
    }

    /// What a folder holds after its first `after` names, at most `most`; none at the end.
    ///
    /// # Errors
    /// [`ViewError`]; what lies before damage is handed out first.
    pub fn list(&self, ino: u64, after: u64, most: usize) -> Result<Vec<Item>, ViewError> {
        let node = self.node(ino)?;
        let found = self.heard(&node, self.found(ino, &node, after, most))?;
        let named = found.into_iter().map(|(name, (key, node))| {
            let ino = lock(&self.nodes).number(&key);
            Item {
                name,
                attr: self.attr_of(ino, &node),
                found: (key, node),
            }
        });
        Ok(named.collect())
    }

    /// Where a link leads.
    ///
    /// # Errors
    /// [`ViewError`].
    pub fn target(&self, ino: u64) -> Result<Vec<u8>, ViewError> {
        match &self.node(ino)?.what {
            What::Link(target, _) => Ok(target.clone()),
            What::Entry(entry) => match &entry.kind {
                Kind::Symlink(target) => Ok(target.clone()),
                Kind::File(_)
                | Kind::Dir(_)
                | Kind::Fifo
                | Kind::CharDevice(_)
                | Kind::BlockDevice(_) => Err(ViewError::Other),
            },
            What::Root | What::Times | What::Snapshot(_) => Err(ViewError::Other),
        }
    }

    /// The bytes of a file from `at` on, `len` of them or what there is before its end.
    ///
    /// # Errors
    /// [`ViewError`] if any of them cannot be had.
    pub fn read(&self, ino: u64, at: u64, len: usize) -> Result<Vec<u8>, ViewError> {
        let node = self.node(ino)?;
        let (entry, content) = file(&node)?;
        let left = usize::try_from(entry.size.saturating_sub(at)).unwrap_or(usize::MAX);
        self.heard(&node, self.bytes(ino, (entry, content), at, len.min(left)))
    }

    /// Where the next data or the next hole begins. Of short holes nothing is known for sure: they
    /// count as data.
    ///
    /// # Errors
    /// [`ViewError::Beyond`] if there is none, others if it is no file.
    pub fn seek(&self, ino: u64, at: u64, toward: Toward) -> Result<u64, ViewError> {
        let node = self.node(ino)?;
        let (entry, _) = file(&node)?;
        seek(&sure_holes(entry), entry.size, at, toward).ok_or(ViewError::Beyond)
    }

    /// The names of something's extended attributes.
    ///
    /// # Errors
    /// [`ViewError::Stale`].
    pub fn xattrs(&self, ino: u64) -> Result<Vec<Vec<u8>>, ViewError> {
        Ok(match &self.node(ino)?.what {
            What::Entry(entry) => entry.xattrs.iter().map(|x| x.0.clone()).collect(),
            What::Root | What::Times | What::Link(..) | What::Snapshot(_) => Vec::new(),
        })
    }

    /// The value of an extended attribute.
    ///
    /// # Errors
    /// [`ViewError::NoAttribute`] if there is none of this name.
    pub fn xattr(&self, ino: u64, name: &[u8]) -> Result<Vec<u8>, ViewError> {
        match &self.node(ino)?.what {
            What::Entry(entry) => {
                let found = entry.xattrs.iter().find(|x| x.0 == name);
                found.map(|x| x.1.clone()).ok_or(ViewError::NoAttribute)
            }
            What::Root | What::Times | What::Link(..) | What::Snapshot(_) => {
                Err(ViewError::NoAttribute)
            }
        }
    }

    fn node(&self, ino: u64) -> Result<Arc<Node>, ViewError> {
        lock(&self.nodes).get(ino).ok_or(ViewError::Stale)
    }

    fn enter(&self, (key, node): (Key, Node)) -> Attr {
        let ino = lock(&self.nodes).enter(key, node.clone());
        self.attr_of(ino, &node)
    }

    /// Tells of a trouble that was not told yet.
    fn heard<T>(&self, node: &Node, outcome: Result<T, ViewError>) -> Result<T, ViewError> {
        let trouble = match &outcome {
            Err(ViewError::Fetch(FetchError::Cancelled)) => None,
            Err(trouble @ (ViewError::Fetch(_) | ViewError::Index(_))) => Some(trouble),
            Ok(_) | Err(_) => None,
        };
        if let Some(trouble) = trouble {
            let mut told = lock(&self.told);
            if told.len() < TOLD && told.insert(trouble.to_string()) {
                (self.tell)(&node.path, trouble);
            }
        }
        outcome
    }

    /// The snapshots under their names, oldest first.
    fn snapshots(&self) -> Result<Arc<Vec<Named>>, ViewError> {
        let mut last = lock(&self.snapshots);
        if let Some((at, named)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(named));
        }
        let snapshots = self.store.wait(self.vault.snapshots())??;
        let named = Arc::new(names::named(snapshots));
        *last = Some((Instant::now(), Arc::clone(&named)));
        Ok(named)
    }

    fn find(&self, ino: u64, node: &Node, name: &[u8]) -> Result<(Key, Node), ViewError> {
        let found = match &node.what {
            What::Root if name == BY_TIME => Some(by_time()),
            What::Root if name == LATEST => self.snapshots()?.last().map(latest),
            What::Root => {
                let all = self.snapshots()?;
                let mut all = all.iter();
                let named = all.find(|named| named.short.as_bytes() == name);
                named.map(|named| self.snapshot(named))
            }
            What::Times => {
                let all = self.snapshots()?;
                let mut all = all.iter();
                let named = all.find(|named| named.time.as_bytes() == name);
                named.map(|named| time_link(ino, named))
            }
            What::Snapshot(_) | What::Entry(_) => {
                let entry = self.folder(ino, tree(node)?)?.find(&self.store, name)?;
                entry.map(|entry| within(ino, node, entry))
            }
            What::Link(..) => return Err(ViewError::NotDir),
        };
        found.ok_or(ViewError::NoEntry)
    }

    fn found(
        &self,
        ino: u64,
        node: &Node,
        after: u64,
        most: usize,
    ) -> Result<Vec<(Vec<u8>, Found)>, ViewError> {
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        match &node.what {
            What::Root => {
                let all = self.snapshots()?;
                let first = std::iter::once((BY_TIME.to_vec(), by_time()));
                let newest = all.last().map(|named| (LATEST.to_vec(), latest(named)));
                let folders = all
                    .iter()
                    .map(|named| (named.short.clone().into_bytes(), self.snapshot(named)));
                let names = first.chain(newest).chain(folders);
                Ok(names.skip(skip).take(most).collect())
            }
            What::Times => {
                let all = self.snapshots()?;
                let names = all
                    .iter()
                    .map(|named| (named.time.clone().into_bytes(), time_link(ino, named)));
                Ok(names.skip(skip).take(most).collect())
            }
            What::Snapshot(_) | What::Entry(_) => {
                let folder = self.folder(ino, tree(node)?)?;
                let entries = folder.list(&self.store, after, most)?.into_iter();
                let names = entries.map(|entry| (entry.name.clone(), within(ino, node, entry)));
                Ok(names.collect())
            }
            What::Link(..) => Err(ViewError::NotDir),
        }
    }

    fn snapshot(&self, named: &Named) -> (Key, Node) {
        let key = Key::Snapshot(named.id);
        let node = Node {
            root: lock(&self.nodes).number(&key),
            what: What::Snapshot(Arc::clone(&named.snapshot)),
            parent: nodes::ROOT,
            path: Path::new("/").join(&named.short),
        };
        (key, node)
    }

    fn folder(&self, ino: u64, tree: &Content) -> Result<Arc<Folder>, ViewError> {
        if let Some(folder) = lock(&self.folders).get(&ino) {
            return Ok(folder);
        }
        let folder = Arc::new(Folder::new(tree)?);
        Ok(lock(&self.folders).or_put(ino, 1, || folder))
    }

    fn layout(&self, ino: u64, content: &Content) -> Result<Arc<Layout>, ViewError> {
        if let Some(layout) = lock(&self.layouts).get(&ino) {
            return Ok(layout);
        }
        let layout = Arc::new(Layout::new(content)?);
        Ok(lock(&self.layouts).or_put(ino, 1, || layout))
    }

    fn bytes(
        &self,
        ino: u64,
        (entry, content): (&Entry, &Content),
        at: u64,
        len: usize,
    ) -> Result<Vec<u8>, ViewError> {
        let layout = self.layout(ino, content)?;
        let holes = sure_holes(entry);
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let from = at + bytes.len() as u64;
            let piece = layout.piece_at(&self.store, from)?;
            let (start, piece) = piece.ok_or(FetchError::List)?;
            let within = usize::try_from(from - start).unwrap_or(usize::MAX);
            let plain_len = usize::try_from(piece.len).unwrap_or(usize::MAX);
            let taken = (plain_len - within).min(len - bytes.len());
            if holes::covers(&holes, from, taken as u64) {
                bytes.resize(bytes.len() + taken, 0);
                continue;
            }
            let plain = self.store.read(piece)?;
            let part = plain.get(within..within + taken);
            bytes.extend_from_slice(part.ok_or(FetchError::Other(piece.id))?);
        }
        Ok(bytes)
    }

    fn attr_of(&self, ino: u64, node: &Node) -> Attr {
        let made = |time: Time| i64::try_from(time.0 / 1_000).unwrap_or(i64::MAX);
        let ours = |sort, mode, time, size| Attr {
            ino,
            sort,
            mode,
            uid: self.owner.0,
            gid: self.owner.1,
            links: 1,
            size,
            room: size,
            device: 0,
            mtime_s: made(time),
            mtime_ns: 0,
        };
        match &node.what {
            What::Root | What::Times => {
                let known = lock(&self.snapshots);
                let newest = known.as_ref().and_then(|(_, all)| all.last());
                let time = newest.map_or(Time(0), |named| named.snapshot.time);
                ours(Sort::Dir, 0o555, time, 0)
            }
            What::Link(target, time) => ours(Sort::Symlink, 0o777, *time, target.len() as u64),
            What::Snapshot(snapshot) => ours(Sort::Dir, 0o555, snapshot.time, 0),
            What::Entry(entry) => attr_of(ino, entry),
        }
    }
}

/// An entry of a snapshot's folder.
fn within(ino: u64, folder: &Node, entry: Entry) -> (Key, Node) {
    let key = match entry.inode {
        Some(shared) if !entry.kind.is_dir() => Key::Shared(folder.root, shared),
        Some(_) | None => Key::Named(ino, entry.name.clone()),
    };
    let node = Node {
        parent: ino,
        root: folder.root,
        path: folder.path.join(OsStr::from_bytes(&entry.name)),
        what: What::Entry(Arc::new(entry)),
    };
    (key, node)
}

/// A directory's tree.
fn tree(node: &Node) -> Result<&Content, ViewError> {
    match &node.what {
        What::Snapshot(snapshot) => Ok(&snapshot.root),
        What::Entry(entry) => match &entry.kind {
            Kind::Dir(tree) => Ok(tree),
            Kind::File(_)
            | Kind::Symlink(_)
            | Kind::Fifo
            | Kind::CharDevice(_)
            | Kind::BlockDevice(_) => Err(ViewError::NotDir),
        },
        What::Root | What::Times | What::Link(..) => Err(ViewError::NotDir),
    }
}

/// A file and its content.
fn file(node: &Node) -> Result<(&Entry, &Content), ViewError> {
    match &node.what {
        What::Entry(entry) => match &entry.kind {
            Kind::File(content) => Ok((entry, content)),
            Kind::Dir(_) => Err(ViewError::IsDir),
            Kind::Symlink(_) | Kind::Fifo | Kind::CharDevice(_) | Kind::BlockDevice(_) => {
                Err(ViewError::Other)
            }
        },
        What::Root | What::Times | What::Snapshot(_) => Err(ViewError::IsDir),
        What::Link(..) => Err(ViewError::Other),
    }
}
