//! The store itself: opening, room, listing, deleting. Writing is in [`super::write`], reading in
//! [`super::read`].

use larder_proofs::chunk::GROUP;
use larder_types::{Bytes, Millis, ShardRoot, Time};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::account::Account;
use super::error::io_error;
use super::files::{self, Files, OUTBOARD, TEMPORARY};
use super::{ShardWriter, StoreError};

/// Where a store is and how much it may hold.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Its folder, made if missing.
    pub dir: PathBuf,
    /// A file beside the database that says which store is ours.
    pub twin: PathBuf,
    /// The most that shards and outboards may take.
    pub quota: Bytes,
    /// What stays free on the disk whatever the quota says.
    pub reserve: Bytes,
}

/// A store of shards in one folder. Clones are the same store; one process at a time may open it.
#[derive(Debug, Clone)]
pub struct ShardStore {
    pub(super) inner: Arc<Inner>,
}

/// What the clones share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) files: Files,
    reserve: u64,
    account: Mutex<Account>,
    next_temporary: AtomicU64,
}

impl ShardStore {
    /// Opens a store, removes what was being written when the last process ended, and counts what is
    /// there. `known` is what it should hold.
    ///
    /// # Errors
    /// [`StoreError::Elsewhere`] if the folder is not the one that was opened before;
    /// [`StoreError::Io`] if it cannot be made, listed or cleaned.
    pub fn open(config: &StoreConfig, known: &[ShardRoot]) -> Result<Self, StoreError> {
        let files = Files::open(&config.dir, &config.twin, known)?;
        let mut used = 0;
        for byte in 0..=u8::MAX {
            used += clean(&files, byte)?;
        }
        let account = Account {
            quota: config.quota.0,
            used,
            promised: 0,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                files,
                reserve: config.reserve.0,
                account: Mutex::new(account),
                next_temporary: AtomicU64::new(0),
            }),
        })
    }

    /// Begins to store the shard `root` of `len` bytes. Storing one that is there already is fine: it
    /// is replaced once the new one is whole.
    ///
    /// # Errors
    /// [`StoreError::Full`] if quota or disk have no room, [`StoreError::Elsewhere`],
    /// [`StoreError::Io`].
    pub fn begin(&self, root: ShardRoot, len: u64) -> Result<ShardWriter, StoreError> {
        self.inner.files.check()?;
        let needed = footprint(len);
        let disk = self.inner.disk_free()?;
        self.inner.account().promise(needed, disk)?;
        ShardWriter::new(self.inner.clone(), root, len, needed)
    }

    /// Leaves the word in `dir` that what was stored there is gone for good, and a new store begins.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn disown(dir: &Path) -> Result<(), StoreError> {
        files::disown(dir)
    }

    /// That the folder is the one that was opened: what it lacks is gone.
    ///
    /// # Errors
    /// [`StoreError::Elsewhere`], [`StoreError::Io`].
    pub fn check(&self) -> Result<(), StoreError> {
        self.inner.files.check()
    }

    /// The same, asked of the disk and not of what memory kept of it.
    ///
    /// # Errors
    /// As [`ShardStore::check`].
    pub fn check_anew(&self) -> Result<(), StoreError> {
        super::read::forget(&self.mark());
        self.check()
    }

    /// That something can be written there, by writing it; a full disk is no failure.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn try_writing(&self) -> Result<(), StoreError> {
        let path = self.inner.files.trial();
        let tried = fs::write(&path, [0; 64]);
        let removed = files::remove(&path);
        match tried {
            Err(e) if e.kind() == io::ErrorKind::StorageFull => Ok(()),
            Err(e) => Err(io_error("write", &path)(e)),
            Ok(()) => removed,
        }
    }

    /// The file that says which store this is.
    #[must_use]
    pub fn mark(&self) -> PathBuf {
        self.inner.files.mark()
    }

    /// That file, of a store in `dir`.
    #[must_use]
    pub fn mark_in(dir: &Path) -> PathBuf {
        files::mark_in(dir)
    }

    /// Whether the shard is there.
    #[must_use]
    pub fn contains(&self, root: &ShardRoot) -> bool {
        self.inner.files.shard(root).is_file()
    }

    /// The shard's length in bytes, if it is there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn len(&self, root: &ShardRoot) -> Result<Option<u64>, StoreError> {
        self.inner.len(root)
    }

    /// All shards, in no order.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn list(&self) -> Result<Vec<ShardRoot>, StoreError> {
        let mut roots = Vec::new();
        for byte in 0..=u8::MAX {
            let names = files::names(&self.inner.files.fan_out(byte))?;
            roots.extend(names.iter().filter_map(|(name, _)| files::named(name)));
        }
        Ok(roots)
    }

    /// Moves a shard to the trash; whether it was there. `now` is when.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn delete(&self, root: &ShardRoot, now: Time) -> Result<bool, StoreError> {
        let inner = &self.inner;
        let path = inner.files.shard(root);
        {
            let mut account = inner.account();
            let Some(len) = inner.len(root)? else {
                return Ok(false);
            };
            let to = inner.files.trashed(root, now);
            fs::rename(&path, &to).map_err(io_error("move to the trash", &path))?;
            account.used = account.used.saturating_sub(footprint(len));
        }
        files::remove(&inner.files.outboard(root))?;
        files::sync_dir(&inner.files.trash())?;
        files::sync_dir(&inner.files.folder(root))?;
        Ok(true)
    }

    /// Removes a shard for good: it lies elsewhere now.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove(&self, root: &ShardRoot) -> Result<(), StoreError> {
        let inner = &self.inner;
        {
            let mut account = inner.account();
            let Some(len) = inner.len(root)? else {
                return Ok(());
            };
            files::remove(&inner.files.shard(root))?;
            account.used = account.used.saturating_sub(footprint(len));
        }
        files::remove(&inner.files.outboard(root))
    }

    /// Removes for good what was deleted `keep` ago or earlier; how many bytes that freed.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn empty_trash(&self, now: Time, keep: Millis) -> Result<Bytes, StoreError> {
        let trash = self.inner.files.trash();
        let mut freed = 0;
        for (name, len) in files::names(&trash)? {
            if files::trashed_at(&name).is_some_and(|at| at <= now.before(keep)) {
                files::remove(&trash.join(name))?;
                freed += len;
            }
        }
        Ok(Bytes(freed))
    }

    /// What shards and outboards take now.
    #[must_use]
    pub fn used(&self) -> Bytes {
        Bytes(self.inner.account().used)
    }

    /// What they take, and what was set aside for those that are being written.
    #[must_use]
    pub fn taken(&self) -> u64 {
        let account = self.inner.account();
        account.used.saturating_add(account.promised)
    }

    /// What may still be stored: the quota's rest, or the disk's above its reserve if that is less.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the disk does not say.
    pub fn free(&self) -> Result<Bytes, StoreError> {
        let disk = self.inner.disk_free()?;
        let account = self.inner.account();
        Ok(Bytes(
            account.free().min(disk.saturating_sub(account.promised)),
        ))
    }

    /// Changes the quota. A smaller one deletes nothing; it refuses what is new.
    pub fn set_quota(&self, quota: Bytes) {
        self.inner.account().quota = quota.0;
    }
}

impl Inner {
    pub(super) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn temporary(&self, root: &ShardRoot) -> PathBuf {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        self.files.temporary(root, number)
    }

    pub(super) fn len(&self, root: &ShardRoot) -> Result<Option<u64>, StoreError> {
        let path = self.files.shard(root);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error("look at", &path)(e)),
        }
    }

    /// What the disk has above the reserve.
    fn disk_free(&self) -> Result<u64, StoreError> {
        let dir = self.files.dir();
        let disk = rustix::fs::statvfs(dir).map_err(|e| io_error("measure", dir)(e.into()))?;
        let available = disk.f_bavail.saturating_mul(disk.f_frsize);
        Ok(available.saturating_sub(self.reserve))
    }
}

/// What a shard of `len` bytes takes: itself and its outboard (8 bytes and 32 for each group of
/// 16 KiB; a shard of one group has none).
pub(super) fn footprint(len: u64) -> u64 {
    let group = GROUP as u64;
    if len <= group {
        return len;
    }
    len.saturating_add(8 + 32 * len.div_ceil(group))
}

/// Removes leftovers from one folder: temporary files, and outboards without their shard. Gives what
/// the shards there take.
fn clean(files: &Files, byte: u8) -> Result<u64, StoreError> {
    let dir = files.fan_out(byte);
    let mut used = 0;
    for (name, len) in files::names(&dir)? {
        if let Some(shard) = name.strip_suffix(OUTBOARD) {
            if !dir.join(shard).is_file() {
                files::remove(&dir.join(&name))?;
            }
        } else if name.ends_with(TEMPORARY) {
            files::remove(&dir.join(&name))?;
        } else if files::named(&name).is_some() {
            used += footprint(len);
        }
    }
    Ok(used)
}
