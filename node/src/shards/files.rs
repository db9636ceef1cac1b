//! Where a store's files are, and how one becomes durable.
//!
//! `shards/<first byte of the root, hex>/<cid>` is a shard, `<cid>.ob` beside it its outboard,
//! `<cid>.<n>.tmp` one being written; `shards/store.mark` says which store it is;
//! `trash/<ms since 1970>.<cid>` a deleted shard.

use larder_types::{ShardRoot, Time};
use std::fs::{self, File};
use std::io::{self, Write as _};
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
    /// What its mark says.
    id: String,
}

impl Files {
    /// Makes the folders that are missing, durably, unless the store that holds the `known` shards
    /// is another one. Its mark and `twin`, which lies where the database does, say the same.
    pub(super) fn open(dir: &Path, twin: &Path, known: &[ShardRoot]) -> Result<Self, StoreError> {
        let mut files = Self {
            dir: dir.to_owned(),
            id: format!("{:032x}", rand::random::<u128>()),
        };
        let mark = files.mark();
        let ours = text(twin)?.filter(|id| !id.is_empty());
        let here = text(&mark)?;
        match here {
            Some(id) if ours.as_ref() == Some(&id) => files.id = id,
            // The operator's word that a new one begins.
            Some(id) if id.is_empty() => files.mark_new(twin)?,
            None if known.is_empty() => files.mark_new(twin)?,
            // From before there were marks, or the home is.
            here if ours.is_none() && known.iter().any(|root| files.shard(root).is_file()) => {
                match here {
                    Some(id) => files.id = id,
                    None => write(&mark, &files.id)?,
                }
                write(twin, &files.id)?;
            }
            Some(_) | None => return Err(StoreError::Elsewhere { mark }),
        }
        make(&files.trash())?;
        for byte in 0..=u8::MAX {
            make(&files.fan_out(byte))?;
        }
        sync_dir(&dir.join("shards"))?;
        sync_dir(dir)?;
        Ok(files)
    }

    /// The twin first: a mark without one is not taken for ours.
    fn mark_new(&self, twin: &Path) -> Result<(), StoreError> {
        make(&self.dir.join("shards"))?;
        write(twin, &self.id)?;
        write(&self.mark(), &self.id)
    }

    /// That the folder is the one that was opened: its disk is there.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let mark = self.mark();
        match text(&mark)? {
            Some(id) if id == self.id => Ok(()),
            Some(_) | None => Err(StoreError::Elsewhere { mark }),
        }
    }

    /// The file that says which store this is.
    pub(super) fn mark(&self) -> PathBuf {
        mark_in(&self.dir)
    }

    /// The file that is written to see whether one can be.
    pub(super) fn trial(&self) -> PathBuf {
        self.dir.join("shards").join("trial.new")
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

/// The file that says which store lies in `dir`.
pub(super) fn mark_in(dir: &Path) -> PathBuf {
    dir.join("shards").join("store.mark")
}

/// Leaves the operator's word in `dir` that a new store begins there.
pub(super) fn disown(dir: &Path) -> Result<(), StoreError> {
    make(&dir.join("shards"))?;
    write(&mark_in(dir), "")
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

/// What a small file says; `None` if there is none.
fn text(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io_error("read", path)(e)),
    }
}

/// Writes a small file, durably, whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), StoreError> {
    let new = path.with_extension("new");
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&new, path));
    renamed.map_err(io_error("write", path))?;
    path.parent().map_or(Ok(()), sync_dir)
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
