//! Extended attributes of an entry: what people and programs set (`user.`, `trusted.`), file
//! capabilities, and POSIX ACLs, which are two attributes too. All are kept byte for byte. Labels
//! that belong to a machine's policy (`security.selinux` and the like) are its own, and left out.

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

/// Who may do what with the entry, beyond its mode.
pub(crate) const ACL_ACCESS: &str = "system.posix_acl_access";
/// What entries made in a directory begin with.
pub(crate) const ACL_DEFAULT: &str = "system.posix_acl_default";

/// Bytes of one entry's attributes at most, so that entries stay small enough to be held in
/// memory. ext4 and btrfs have room for less than 64 KiB, XFS for more than anybody uses.
pub(crate) const MOST: usize = 1 << 20;
/// The kernel's limit of one value, and of a list of names.
const VALUE: usize = 64 << 10;

/// An attribute: name and value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Xattr(
    /// The name with its namespace: `user.note`.
    #[serde(with = "serde_bytes")]
    pub Vec<u8>,
    /// The value.
    #[serde(with = "serde_bytes")]
    pub Vec<u8>,
);

impl Xattr {
    /// Whether it is one of the two ACLs, which are set after the mode: a mode changes them.
    pub(crate) fn is_acl(&self) -> bool {
        self.0 == ACL_ACCESS.as_bytes() || self.0 == ACL_DEFAULT.as_bytes()
    }
}

/// Whose attributes.
#[derive(Debug)]
pub(crate) enum Of<'a> {
    /// Something open.
    Open(BorrowedFd<'a>),
    /// A name in an open directory; of a link the link's own.
    Named(PathBuf),
}

impl<'a> Of<'a> {
    /// `name` in `dir`. The way through `/proc` follows no link but the kernel's own to `dir`;
    /// there are no calls that take a directory and a name before Linux 6.13.
    pub(crate) fn named(dir: BorrowedFd<'a>, name: &OsStr) -> Self {
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
        path.push(name);
        Self::Named(path)
    }

    /// What is kept of its attributes, sorted by name.
    ///
    /// # Errors
    /// What the system says, and `FileTooLarge` if they are more than [`MOST`] bytes.
    pub(crate) fn read(&self) -> io::Result<Vec<Xattr>> {
        let listed = filled(|buf| match self {
            Self::Open(fd) => rustix::fs::flistxattr(fd, buf),
            Self::Named(path) => rustix::fs::llistxattr(path, buf),
        });
        let listed = match listed {
            // This file system has none; or there is no `/proc` to ask by name, or no such name.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOENT) => return Ok(Vec::new()),
            listed => listed?,
        };
        let mut found = Vec::new();
        let mut len = 0;
        for name in listed.split(|b| *b == 0).filter(|name| is_kept(name)) {
            let value = filled(|buf| match self {
                Self::Open(fd) => rustix::fs::fgetxattr(fd, name, buf),
                Self::Named(path) => rustix::fs::lgetxattr(path, name, buf),
            });
            let value = match value {
                // It went since it was listed.
                Err(Errno::NODATA) => continue,
                value => value?,
            };
            len += name.len() + value.len();
            if len > MOST {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            found.push(Xattr(name.to_vec(), value));
        }
        found.sort_unstable();
        Ok(found)
    }

    pub(crate) fn set(&self, attr: &Xattr) -> rustix::io::Result<()> {
        let (name, value, flags) = (attr.0.as_slice(), &attr.1, XattrFlags::empty());
        match self {
            Self::Open(fd) => rustix::fs::fsetxattr(fd, name, value, flags),
            Self::Named(path) => rustix::fs::lsetxattr(path, name, value, flags),
        }
    }

    /// Takes an attribute away, if it is there.
    pub(crate) fn remove(&self, name: &str) -> rustix::io::Result<()> {
        let removed = match self {
            Self::Open(fd) => rustix::fs::fremovexattr(fd, name),
            Self::Named(path) => rustix::fs::lremovexattr(path, name),
        };
        match removed {
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            removed => removed,
        }
    }
}

fn is_kept(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || name.starts_with(b"trusted.")
        || name == b"security.capability"
        || name == ACL_ACCESS.as_bytes()
        || name == ACL_DEFAULT.as_bytes()
}

/// What `fill` says, with as large a buffer as that takes: mostly the first one does.
fn filled(fill: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut small = [0; 512];
    match fill(&mut small) {
        Err(Errno::RANGE) => {}
        len => return Ok(small[..len?].to_vec()),
    }
    let mut large = vec![0; VALUE];
    let len = fill(&mut large)?;
    large.truncate(len);
    Ok(large)
}
