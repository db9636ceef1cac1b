//! Where a store's files are, and how one becomes durable.
//!
//! `shards/<first byte of the root, hex>/<cid>` is a shard, `<cid>.ob` beside it its outboard,
//! `<cid>.<n>.tmp` one being written; `trash/<ms since 1970>.<cid>` a deleted shard.

use larder_types::{ShardRoot, Time};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::error::io_error;

/// The suffix of outboards.
pub(super) const OUTBOARD: &str = ".ob";
/// The suffix of files being written.
pub(super) const TEMPORARY: &str = ".tmp";

/// The paths of a store.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
}

impl Files {
    /// Makes the folders that are missing, durably.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        let files = Self {
            dir: dir.to_owned(),
        };
        make(&files.trash())?;
        for byte in 0..=u8::MAX {
            make(&files.fan_out(byte))?;
        }
        sync_dir(&dir.join("shards"))?;
        sync_dir(dir)?;
        Ok(files)
    }

    /// The store's own folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of deleted shards.
    pub(super) fn trash(&self) -> PathBuf {
        self.dir.join("trash")
    }

    /// One of the 256 folders of shards.
    pub(super) fn fan_out(&self, byte: u8) -> PathBuf {
        self.dir.join("shards").join(format!("{byte:02x}"))
    }

    /// The folder of a shard.
    pub(super) fn folder(&self, root: &ShardRoot) -> PathBuf {
        self.fan_out(root.0[0])
    }

    /// A shard's file.
    pub(super) fn shard(&self, root: &ShardRoot) -> PathBuf {
        self.folder(root).join(name(root))
    }

    /// Its outboard's.
    pub(super) fn outboard(&self, root: &ShardRoot) -> PathBuf {
        self.folder(root).join(name(root) + OUTBOARD)
    }

    /// A file being written; `number` tells it from others of the same shard.
    pub(super) fn temporary(&self, root: &ShardRoot, number: u64) -> PathBuf {
        self.folder(root)
            .join(format!("{}.{number}{TEMPORARY}", name(root)))
    }

    /// A deleted shard's file.
    pub(super) fn trashed(&self, root: &ShardRoot, now: Time) -> PathBuf {
        self.trash().join(format!("{}.{}", now.0, name(root)))
    }
}

/// A shard's name: its CID as text.
fn name(root: &ShardRoot) -> String {
    larder_types::cid::shard(root).to_string()
}

/// The shard that a file of this name is; `None` for outboards, temporary files and strangers.
pub(super) fn named(name: &str) -> Option<ShardRoot> {
    let cid = name.parse().ok()?;
    larder_types::cid::shard_root(&cid)
}

/// When a file in the trash was deleted.
pub(super) fn trashed_at(name: &str) -> Option<Time> {
    name.split_once('.')?.0.parse().ok().map(Time)
}

fn make(dir: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(dir).map_err(io_error("create", dir))
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(io_error("sync", dir))
}

/// The names in a folder with their lengths; names that are no text are none of ours.
pub(super) fn names(dir: &Path) -> Result<Vec<(String, u64)>, StoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let entry = entry.map_err(io_error("list", dir))?;
        let len = entry.metadata().map_err(io_error("list", dir))?.len();
        names.extend(entry.file_name().into_string().ok().map(|n| (n, len)));
    }
    Ok(names)
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", path)(e)),
        _ => Ok(()),
    }
}
