//! One name in a directory: what a tree holds of it. Names and link targets are bytes; times are
//! seconds and nanoseconds since the Unix epoch.

use crate::content::Content;
use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A file and its contents.
    #[serde(rename = "f")]
    File(Content),
    /// A directory and its tree: a sequence of entries, sorted by name.
    #[serde(rename = "d")]
    Dir(Content),
    /// A symbolic link and its target.
    #[serde(rename = "l")]
    Symlink(#[serde(with = "serde_bytes")] Vec<u8>),
    /// A named pipe.
    #[serde(rename = "p")]
    Fifo,
    /// A character device and its number.
    #[serde(rename = "c")]
    CharDevice(u64),
    /// A block device and its number.
    #[serde(rename = "b")]
    BlockDevice(u64),
}

impl Kind {
    /// One letter, as `ls -l` writes it.
    #[must_use]
    pub const fn letter(&self) -> char {
        match self {
            Self::File(_) => '-',
            Self::Dir(_) => 'd',
            Self::Symlink(_) => 'l',
            Self::Fifo => 'p',
            Self::CharDevice(_) => 'c',
            Self::BlockDevice(_) => 'b',
        }
    }

    /// Whether it is a directory.
    #[must_use]
    pub const fn is_dir(&self) -> bool {
        matches!(self, Self::Dir(_))
    }
}

/// Mode, owner and times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Permission bits, 0o7777.
    #[serde(rename = "o")]
    pub mode: u32,
    /// The owner's number.
    #[serde(rename = "u")]
    pub uid: u32,
    /// The group's number.
    #[serde(rename = "g")]
    pub gid: u32,
    /// When it was modified: seconds since the Unix epoch, negative before.
    #[serde(rename = "t")]
    pub mtime_s: i64,
    /// The rest in nanoseconds.
    #[serde(rename = "n")]
    pub mtime_ns: u32,
}

/// A name and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The name: any bytes but `/` and NUL, and neither `.` nor `..`.
    #[serde(rename = "n", with = "serde_bytes")]
    pub name: Vec<u8>,
    /// What it is.
    #[serde(rename = "k")]
    pub kind: Kind,
    /// Mode, owner, times.
    #[serde(rename = "m")]
    pub meta: Meta,
    /// Bytes of a file.
    #[serde(rename = "s", default, skip_serializing_if = "is_zero")]
    pub size: u64,
    /// Of what has several names: (device, inode) where it was read. Entries of one snapshot with
    /// the same pair are one file; which name came first is nobody's business until a restore.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<(u64, u64)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Meta {
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime_s: stat.st_mtime,
            mtime_ns: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        }
    }
}

impl Entry {
    /// Whether the name can be made below a folder without leaving it.
    #[must_use]
    pub fn has_safe_name(&self) -> bool {
        let n = self.name.as_slice();
        !n.is_empty() && n != b"." && n != b".." && !n.iter().any(|b| matches!(b, b'/' | 0))
    }
}

/// (device, inode) of a file with several names. A directory's link count says something else.
pub(crate) fn shared_inode(stat: &Stat) -> Option<(u64, u64)> {
    let several = stat.st_nlink > 1;
    let dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    (several && !dir).then_some((stat.st_dev, stat.st_ino))
}
