//! Storing a shard: written to a temporary name, hashed on the way, compared with what was promised,
//! synced, renamed, and its name synced. Once [`ShardWriter::finish`] returns, the shard survives
//! `kill -9` and power loss; dropped before that, nothing stays.

use larder_proofs::{Outboard, ShardHasher};
use larder_types::{Bytes, ShardRoot};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use super::StoreError;
use super::error::io_error;
use super::files;
use super::store::{Inner, footprint};

/// A shard being written.
#[derive(Debug)]
pub struct ShardWriter {
    store: Arc<Inner>,
    root: ShardRoot,
    len: u64,
    /// Bytes set aside, given back at the end.
    promised: u64,
    hasher: ShardHasher,
    file: File,
    /// `None` once renamed.
    temporary: Option<PathBuf>,
}

impl ShardWriter {
    /// A new temporary file; `promised` bytes have been set aside for it.
    pub(super) fn new(
        store: Arc<Inner>,
        root: ShardRoot,
        len: u64,
        promised: u64,
    ) -> Result<Self, StoreError> {
        let path = store.temporary(&root);
        let opened = File::create_new(&path).map_err(io_error("create", &path));
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                store.account().release(promised);
                return Err(error);
            }
        };
        Ok(Self {
            store,
            root,
            len,
            promised,
            hasher: ShardHasher::new(),
            file,
            temporary: Some(path),
        })
    }

    /// Writes the shard's next bytes.
    ///
    /// # Errors
    /// [`StoreError::WrongLength`] beyond the promised length, [`StoreError::Full`] if the disk filled
    /// up meanwhile, [`StoreError::Io`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let got = self.hasher.count() + bytes.len() as u64;
        if got > self.len {
            return Err(self.wrong_length(got));
        }
        self.file
            .write_all(bytes)
            .map_err(|source| self.failed(source))?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Compares what came with what was promised and makes it durable.
    ///
    /// # Errors
    /// [`StoreError::WrongLength`], [`StoreError::WrongRoot`], [`StoreError::Io`]; nothing is kept.
    pub fn finish(mut self) -> Result<(), StoreError> {
        if self.hasher.count() != self.len {
            return Err(self.wrong_length(self.hasher.count()));
        }
        let (got, outboard) = std::mem::take(&mut self.hasher).finalize();
        if got != self.root {
            return Err(StoreError::WrongRoot {
                promised: self.root,
                got,
            });
        }
        self.file.sync_all().map_err(|source| self.failed(source))?;
        self.store.write_outboard(&self.root, &outboard)?;
        self.rename()?;
        files::sync_dir(&self.store.files.folder(&self.root))
    }

    /// Gives the shard its name, and counts it unless it was there.
    fn rename(&mut self) -> Result<(), StoreError> {
        let Some(from) = &self.temporary else {
            return Ok(());
        };
        let mut account = self.store.account();
        let replaced = self.store.len(&self.root)?;
        let to = self.store.files.shard(&self.root);
        fs::rename(from, &to).map_err(io_error("rename", from))?;
        self.temporary = None;
        let gone = replaced.map_or(0, footprint);
        account.used = (account.used + footprint(self.len)).saturating_sub(gone);
        Ok(())
    }

    fn wrong_length(&self, got: u64) -> StoreError {
        StoreError::WrongLength {
            promised: self.len,
            got,
        }
    }

    /// A failed write or sync; a full disk is told from a broken one.
    fn failed(&self, source: io::Error) -> StoreError {
        if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
            return StoreError::Full {
                needed: Bytes(self.len),
                have: Bytes(self.hasher.count()),
            };
        }
        let path = self.store.files.shard(&self.root);
        io_error("write", &path)(source)
    }
}

impl Drop for ShardWriter {
    fn drop(&mut self) {
        self.store.account().release(self.promised);
        if let Some(path) = &self.temporary
            && let Err(error) = files::remove(path)
        {
            tracing::warn!(%error, "a temporary file stays until the next start");
        }
    }
}

impl Inner {
    /// Writes an outboard beside its shard. It is not synced: one that is torn or lost shows when it is
    /// read, since its groups must make the root, and is then made again from the shard.
    pub(super) fn write_outboard(
        &self,
        root: &ShardRoot,
        outboard: &Outboard,
    ) -> Result<(), StoreError> {
        if outboard.root().is_none() {
            return Ok(());
        }
        let (from, to) = (self.temporary(root), self.files.outboard(root));
        let written = fs::write(&from, outboard.to_bytes()).and_then(|()| fs::rename(&from, &to));
        written.map_err(|source| {
            if let Err(error) = files::remove(&from) {
                tracing::warn!(%error, "a temporary file stays until the next start");
            }
            io_error("write", &to)(source)
        })
    }
}
