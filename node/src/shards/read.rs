//! Reading shards: plain ranges for their owners, groups and outboards for proofs. A group is checked
//! against the outboard before it is given out, so that rot is found here and not by a verifier.

use larder_proofs::chunk::{CHUNK, GROUP};
use larder_proofs::{Outboard, ShardHasher, ShardReader};
use larder_types::ShardRoot;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::error::io_error;
use super::store::Inner;
use super::{ShardStore, StoreError};

/// The most that one [`ShardStore::read`] gives: 4 MiB. Streams use [`ShardStore::open_shard`].
pub(super) const MAX_READ: u64 = 4 << 20;

impl ShardStore {
    /// `count` bytes of a shard at `offset`, unverified, at most 4 MiB.
    ///
    /// # Errors
    /// [`StoreError::Absent`], [`StoreError::OutOfRange`], [`StoreError::Io`].
    pub fn read(&self, root: &ShardRoot, offset: u64, count: u64) -> Result<Vec<u8>, StoreError> {
        let (file, len) = self.open_shard(root)?;
        let within = offset.checked_add(count).is_some_and(|end| end <= len);
        if !within || count > MAX_READ {
            return Err(StoreError::OutOfRange {
                root: *root,
                len,
                offset,
                count,
            });
        }
        self.inner.read_at(root, &file, offset, count)
    }

    /// A shard's file, at its beginning, and its length in bytes.
    ///
    /// # Errors
    /// [`StoreError::Absent`], [`StoreError::Io`].
    pub fn open_shard(&self, root: &ShardRoot) -> Result<(File, u64), StoreError> {
        self.inner.open_shard(root)
    }

    /// Reads and hashes a whole shard and compares it with its root; its length in bytes.
    ///
    /// # Errors
    /// [`StoreError::Rotten`] with the first damaged group as far as the outboard tells,
    /// [`StoreError::Absent`], [`StoreError::Io`].
    pub fn scrub(&self, root: &ShardRoot) -> Result<u64, StoreError> {
        let (got, outboard) = self.inner.hash(root)?;
        if got == *root {
            return Ok(outboard.chunks() * CHUNK as u64);
        }
        let offset = self.first_rotten(root).unwrap_or(0);
        Err(StoreError::Rotten {
            root: *root,
            offset,
        })
    }

    /// Looks at a shard as [`ShardStore::scrub`] does.
    #[must_use]
    pub fn look(&self, root: &ShardRoot) -> Look {
        match self.scrub(root) {
            Ok(len) => Look::Sound { len },
            Err(e @ (StoreError::Absent { .. } | StoreError::Rotten { .. })) => {
                match self.check() {
                    Ok(()) => Look::Damaged(e),
                    Err(elsewhere) => Look::Unreadable(elsewhere),
                }
            }
            Err(e) => Look::Unreadable(e),
        }
    }

    /// Makes the next look ask the disk, and not what memory kept of the last one.
    pub fn forget(&self, root: &ShardRoot) {
        forget(&self.inner.files.shard(root));
    }

    /// Where a shard that does not hash to its root first differs from its outboard.
    fn first_rotten(&self, root: &ShardRoot) -> Option<u64> {
        let outboard = self.outboard(root).ok()?;
        let groups = outboard.groups().len() as u64;
        (0..groups).find_map(|group| match self.inner.group(root, group, &outboard) {
            Err(StoreError::Rotten { offset, .. }) => Some(offset),
            Ok(_) | Err(_) => None,
        })
    }
}

/// Makes the next read of a file ask the disk.
pub(super) fn forget(path: &Path) {
    let forgotten = File::open(path).and_then(|file| {
        let advice = rustix::fs::Advice::DontNeed;
        rustix::fs::fadvise(&file, 0, None, advice).map_err(io::Error::from)
    });
    if let Err(error) = forgotten {
        tracing::debug!(path = %path.display(), %error, "memory keeps what was read");
    }
}

/// What was found of a shard.
#[derive(Debug)]
pub enum Look {
    /// It is what was stored.
    Sound {
        /// Its length, bytes.
        len: u64,
    },
    /// The disk answers, but with other or fewer bytes, or without the file.
    Damaged(StoreError),
    /// The disk does not answer: whether the shard is still there is not known.
    Unreadable(StoreError),
}

impl ShardReader for ShardStore {
    type Error = StoreError;

    fn group(&self, shard: &ShardRoot, group: u64) -> Result<Vec<u8>, StoreError> {
        let outboard = self.outboard(shard)?;
        self.inner.group(shard, group, &outboard)
    }

    /// From the file beside the shard; where that is missing or damaged, or the shard has but one
    /// group, from the shard itself.
    fn outboard(&self, shard: &ShardRoot) -> Result<Outboard, StoreError> {
        let len = self
            .inner
            .len(shard)?
            .ok_or_else(|| self.inner.absent(shard))?;
        let stored = fs::read(self.inner.files.outboard(shard)).ok();
        let outboard = stored.and_then(|bytes| Outboard::from_bytes(&bytes).ok());
        match outboard {
            Some(outboard)
                if outboard.root() == Some(*shard) && chunks(len) == outboard.chunks() =>
            {
                Ok(outboard)
            }
            _ => self.inner.rebuild_outboard(shard),
        }
    }
}

/// The chunks of a shard of `len` bytes.
fn chunks(len: u64) -> u64 {
    len.div_ceil(CHUNK as u64)
}

impl Inner {
    /// What it means that a shard's file is not found: where the folder itself is gone, closed to us
    /// or another one, nothing.
    fn absent(&self, root: &ShardRoot) -> StoreError {
        let folder = self.files.folder(root);
        let listed = fs::read_dir(&folder).map_err(io_error("list", &folder));
        match self.files.check().and_then(|()| listed.map(drop)) {
            Ok(()) => StoreError::Absent { root: *root },
            Err(unknown) => unknown,
        }
    }

    fn open_shard(&self, root: &ShardRoot) -> Result<(File, u64), StoreError> {
        let path = self.files.shard(root);
        let file = match File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(self.absent(root));
            }
            opened => opened.map_err(io_error("open", &path))?,
        };
        let len = file.metadata().map_err(io_error("look at", &path))?.len();
        Ok((file, len))
    }

    fn read_at(
        &self,
        root: &ShardRoot,
        file: &File,
        offset: u64,
        count: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let count = usize::try_from(count).expect("reads are bounded far below the address space");
        let mut bytes = vec![0; count];
        file.read_exact_at(&mut bytes, offset)
            .map_err(|e| io_error("read", &self.files.shard(root))(e))?;
        Ok(bytes)
    }

    /// One group, checked.
    fn group(
        &self,
        root: &ShardRoot,
        group: u64,
        outboard: &Outboard,
    ) -> Result<Vec<u8>, StoreError> {
        let (file, len) = self.open_shard(root)?;
        let offset = group.saturating_mul(GROUP as u64);
        let count = len.saturating_sub(offset).min(GROUP as u64);
        if count == 0 {
            return Err(StoreError::OutOfRange {
                root: *root,
                len,
                offset,
                count: GROUP as u64,
            });
        }
        let bytes = self.read_at(root, &file, offset, count)?;
        if !outboard.holds(group, &bytes) {
            return Err(StoreError::Rotten {
                root: *root,
                offset,
            });
        }
        Ok(bytes)
    }

    /// Hashes a whole shard.
    fn hash(&self, root: &ShardRoot) -> Result<(ShardRoot, Outboard), StoreError> {
        let (mut file, _) = self.open_shard(root)?;
        let mut hasher = ShardHasher::new();
        let mut buffer = vec![0; 16 * GROUP];
        loop {
            let read = file
                .read(&mut buffer)
                .map_err(|e| io_error("read", &self.files.shard(root))(e))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
        Ok(hasher.finalize())
    }

    /// Hashes a shard again and keeps the outboard that this gives.
    fn rebuild_outboard(&self, root: &ShardRoot) -> Result<Outboard, StoreError> {
        let (got, outboard) = self.hash(root)?;
        if got != *root {
            return Err(StoreError::Rotten {
                root: *root,
                offset: 0,
            });
        }
        if let Err(error) = self.write_outboard(root, &outboard) {
            tracing::warn!(%root, %error, "an outboard is made anew at each read");
        }
        Ok(outboard)
    }
}
