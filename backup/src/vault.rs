//! A vault: a keeper's index, spool and keys in one folder. What it can do stands in the modules
//! `backup`, `restore`, `browse`, `rebuild` and `catalogue`.

use crate::index::{Index, IndexError, Stats};
use crate::lock;
use crate::mark::{self, Authority, Mark, Say, SignedMark, Standing};
use crate::seen::SETTLED;
use crate::snapshot::{Snapshot, SnapshotId};
use crate::spool::{Spool, SpoolError};
use larder_coding::Cutter;
use larder_keys::VaultKeys;
use larder_types::SegmentId;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
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
    /// There is one, but it was forgotten.
    #[error("snapshot {0} is forgotten: `larder undelete {0}` brings it back, while it may")]
    Forgotten(SnapshotId),
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
    /// Whose marks count; `None`: nobody's.
    pub(crate) authority: Option<Authority>,
    /// How long ago a file must have changed to be recognised by its times.
    pub(crate) settled: Duration,
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
            authority: None,
            settled: SETTLED,
        })
    }

    /// Whose marks on snapshots count.
    #[must_use]
    pub fn heeding(self, authority: Option<Authority>) -> Self {
        Self { authority, ..self }
    }

    /// How long before a backup a file must have changed last to be recognised by the next one
    /// without being read: a minute, if this is not called. Tests do not wait so long.
    #[must_use]
    pub fn settled_after(self, settled: Duration) -> Self {
        Self { settled, ..self }
    }

    /// Whose marks on snapshots count.
    #[must_use]
    pub const fn authority(&self) -> Option<Authority> {
        self.authority
    }

    /// The snapshots that are not forgotten, oldest first, with the tags they have now.
    ///
    /// # Errors
    /// [`IndexError`] if the index cannot be read.
    pub async fn snapshots(&self) -> Result<Vec<(SnapshotId, Snapshot)>, IndexError> {
        let mut all = self.history().await?;
        all.retain(|(_, _, standing)| standing.forgotten.is_none());
        Ok(all.into_iter().map(|(id, s, _)| (id, s)).collect())
    }

    /// The segments that marks say are gone.
    ///
    /// # Errors
    /// [`IndexError`] if the index cannot be read.
    pub async fn dropped(&self) -> Result<BTreeSet<SegmentId>, IndexError> {
        let mut dropped = BTreeSet::new();
        for mark in self.marks().await? {
            if let Say::Dropped(ids) = mark.say {
                dropped.extend(ids);
            }
        }
        Ok(dropped)
    }

    /// The marks that count.
    async fn marks(&self) -> Result<Vec<Mark>, IndexError> {
        let marks = self.index.marks().await?;
        let good = |m: &SignedMark| self.authority.as_ref().is_some_and(|a| a.signed(m));
        Ok(marks.into_iter().filter(good).map(|m| m.mark).collect())
    }

    /// Forgets the segments that marks say are gone.
    pub(crate) async fn bury(&self) -> Result<BTreeSet<SegmentId>, IndexError> {
        let dropped = self.dropped().await?;
        let known = self.index.segments().await?;
        for id in dropped.iter().filter(|id| known.contains(id)) {
            self.index.drop_segment(*id).await?;
        }
        Ok(dropped)
    }

    /// All snapshots, oldest first, and what the marks on them say.
    ///
    /// # Errors
    /// [`IndexError`] if the index cannot be read.
    pub async fn history(&self) -> Result<Vec<(SnapshotId, Snapshot, Standing)>, IndexError> {
        let mut standings = mark::standings(self.marks().await?);
        let all = self.index.snapshots().await?.into_iter();
        Ok(all
            .map(|(id, mut snapshot)| {
                let standing = standings.remove(&id).unwrap_or_default();
                if let Some(tags) = &standing.tags {
                    snapshot.tags.clone_from(tags);
                }
                (id, snapshot, standing)
            })
            .collect())
    }

    /// The snapshot that `name` means: `latest`, an id or the beginning of one.
    ///
    /// # Errors
    /// [`ResolveError`] unless it is exactly one, and not forgotten.
    pub async fn resolve(&self, name: &str) -> Result<(SnapshotId, Snapshot), ResolveError> {
        let (id, snapshot, standing) = named(&self.history().await?, name)?;
        match standing.forgotten {
            None => Ok((id, snapshot)),
            Some(_) => Err(ResolveError::Forgotten(id)),
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

/// The one of `history` that `name` means: `latest` of those that are not forgotten, an id or the
/// beginning of one of all.
///
/// # Errors
/// [`ResolveError`] unless it is exactly one.
pub fn named(
    history: &[(SnapshotId, Snapshot, Standing)],
    name: &str,
) -> Result<(SnapshotId, Snapshot, Standing), ResolveError> {
    if name == "latest" {
        let mut seen = history.iter().filter(|(_, _, s)| s.forgotten.is_none());
        return seen.next_back().cloned().ok_or(ResolveError::Empty);
    }
    let unknown = || ResolveError::Unknown(name.to_owned());
    if name.len() < PREFIX {
        return Err(unknown());
    }
    let begins = |(id, _, _): &&(SnapshotId, Snapshot, Standing)| {
        let text = id.to_string();
        text.starts_with(name) || text[1..].starts_with(name)
    };
    let mut found: Vec<_> = history.iter().filter(begins).cloned().collect();
    match found.len() {
        0 | 1 => found.pop().ok_or_else(unknown),
        several => Err(ResolveError::Ambiguous(several, name.to_owned())),
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
