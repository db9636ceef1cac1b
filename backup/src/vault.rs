//! A vault: a keeper's index, spool and keys in one folder. What it can do stands in the modules
//! `backup`, `restore`, `browse`, `rebuild` and `catalogue`.

use crate::index::{Index, IndexError, Stats};
use crate::lock;
use crate::snapshot::{Snapshot, SnapshotId};
use crate::spool::{Spool, SpoolError};
use larder_coding::Cutter;
use larder_keys::VaultKeys;
use larder_types::SegmentId;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Letters of a snapshot's id that a prefix needs, so that a slip does not name one.
const PREFIX: usize = 4;

/// Why a vault cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Its folder.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Its spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Why a snapshot was not found.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// There is none at all.
    #[error("there is no snapshot yet: make one with `larder backup PATH`")]
    Empty,
    /// None of that name.
    #[error("no snapshot {0:?}: `larder snapshots` lists them")]
    Unknown(String),
    /// Several begin like this.
    #[error("{0} snapshots begin with {1:?}: write more of the id")]
    Ambiguous(usize, String),
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// A keeper's vault. Clones are the same vault.
#[derive(Clone, Debug)]
pub struct Vault {
    pub(crate) dir: PathBuf,
    pub(crate) keys: VaultKeys,
    pub(crate) index: Index,
    pub(crate) spool: Spool,
    pub(crate) turn: Arc<Mutex<()>>,
    pub(crate) content: Cutter,
    pub(crate) metadata: Cutter,
}

impl Vault {
    /// Opens the vault in `dir`, made if it is missing: `vault.db`, `spool/` and `tmp/`.
    ///
    /// # Errors
    /// [`VaultError`] if the folder or the index cannot be used.
    pub async fn open(dir: PathBuf, keys: VaultKeys) -> Result<Self, VaultError> {
        let tmp = dir.join("tmp");
        fs::create_dir_all(&tmp).map_err(at(&tmp))?;
        clear_scratch(&tmp).map_err(at(&tmp))?;
        Ok(Self {
            index: Index::open(&dir.join("vault.db")).await?,
            spool: Spool::open(dir.join("spool"))?,
            turn: Arc::default(),
            content: Cutter::content(&keys),
            metadata: Cutter::metadata(&keys),
            dir,
            keys,
        })
    }

    /// All snapshots, oldest first.
    ///
    /// # Errors
    /// [`IndexError`] if the index cannot be read.
    pub async fn snapshots(&self) -> Result<Vec<(SnapshotId, Snapshot)>, IndexError> {
        self.index.snapshots().await
    }

    /// The snapshot that `name` means: `latest`, an id or the beginning of one.
    ///
    /// # Errors
    /// [`ResolveError`] unless it is exactly one.
    pub async fn resolve(&self, name: &str) -> Result<(SnapshotId, Snapshot), ResolveError> {
        let mut all = self.snapshots().await?;
        if name == "latest" {
            return all.pop().ok_or(ResolveError::Empty);
        }
        let unknown = || ResolveError::Unknown(name.to_owned());
        if name.len() < PREFIX {
            return Err(unknown());
        }
        all.retain(|(id, _)| {
            let text = id.to_string();
            text.starts_with(name) || text[1..].starts_with(name)
        });
        match all.len() {
            0 | 1 => all.pop().ok_or_else(unknown),
            several => Err(ResolveError::Ambiguous(several, name.to_owned())),
        }
    }

    /// What the vault holds.
    ///
    /// # Errors
    /// [`IndexError`] if the index cannot be read.
    pub async fn stats(&self) -> Result<Stats, IndexError> {
        self.index.stats().await
    }

    /// Every segment that the index names, durable or on its way.
    ///
    /// # Errors
    /// [`IndexError`] if the index cannot be read.
    pub async fn segment_ids(&self) -> Result<Vec<SegmentId>, IndexError> {
        let mut ids: Vec<SegmentId> = self.index.segments().await?.into_iter().collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Every segment that the index names and knows to be durable.
    ///
    /// # Errors
    /// [`IndexError`] if the index cannot be read.
    pub async fn durable_segment_ids(&self) -> Result<Vec<SegmentId>, IndexError> {
        let mut ids = self.index.segments().await?;
        for id in self.index.pending().await? {
            ids.remove(&id);
        }
        let mut ids: Vec<SegmentId> = ids.into_iter().collect();
        ids.sort_unstable();
        Ok(ids)
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> VaultError {
    let path = path.to_owned();
    move |source| VaultError::Io { path, source }
}

/// Deletes the scratch folders of restores that a crash ended: those that nobody has locked.
fn clear_scratch(tmp: &Path) -> io::Result<()> {
    for entry in fs::read_dir(tmp)? {
        let path = entry?.path();
        if path.is_dir() && lock::is_free(&path) {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}
