//! Making and changing files below one folder, and nowhere else: every step down is opened
//! relative to its parent and follows no link, whatever lies in the target already.

use crate::attrs::{ACL_ACCESS, ACL_DEFAULT, Of, Xattr};
use crate::entry::Meta;
use crate::problems::{Unrestored, What};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What is made before its contents are written: the owner's only.
const PRIVATE_DIR: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// A folder and the way to wherever below it we were last.
#[derive(Debug)]
pub(crate) struct Below {
    root: OwnedFd,
    way: Vec<(Vec<u8>, OwnedFd)>,
    /// Whether we may give files away.
    owns: bool,
    /// Whether what is made here begins with an ACL of its folder's.
    inherits: bool,
    /// Of how many entries something is missing, and the first of them.
    unrestored: BTreeMap<What, (u64, PathBuf)>,
    /// Whether what is made comes from somebody else.
    foreign: bool,
}

/// What is set once contents are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finish<'a> {
    pub(crate) meta: &'a Meta,
    pub(crate) xattrs: &'a [Xattr],
    pub(crate) is_link: bool,
}

impl Below {
    /// The folder `target`, made if it is missing.
    pub(crate) fn open(target: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(target)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(target, flags, Mode::empty())?;
        let inherits = Of::Open(root.as_fd()).read()?;
        Ok(Self {
            root,
            way: Vec::new(),
            owns: rustix::process::geteuid().is_root(),
            inherits: inherits.iter().any(|x| x.0 == ACL_DEFAULT.as_bytes()),
            unrestored: BTreeMap::new(),
            foreign: false,
        })
    }

    /// What is made from here on comes from somebody else: it is ours, sets no other's rights, and is no
    /// device.
    pub(crate) fn of_others(mut self) -> Self {
        (self.owns, self.foreign) = (false, true);
        self
    }

    /// Whether we are root.
    pub(crate) fn owns(&self) -> bool {
        self.owns
    }

    /// What could not be given back although nothing failed.
    pub(crate) fn unrestored(&self) -> Vec<Unrestored> {
        let each = self.unrestored.iter();
        each.map(|(what, (count, first))| Unrestored {
            what: *what,
            count: *count,
            first: first.clone(),
        })
        .collect()
    }

    fn lacks(&mut self, what: What, path: &[u8]) {
        let first = || (0, PathBuf::from(OsStr::from_bytes(path)));
        self.unrestored.entry(what).or_insert_with(first).0 += 1;
    }

    /// The open folder that holds `path`, and the last name of it.
    fn parent<'p>(&mut self, path: &'p [u8]) -> io::Result<(&OwnedFd, &'p OsStr)> {
        let mut names: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
        let last = names.pop().unwrap_or_default();
        if last.is_empty() || last == b"." || last == b".." {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let same = self
            .way
            .iter()
            .zip(&names)
            .take_while(|((name, _), want)| name == *want)
            .count();
        self.way.truncate(same);
        for name in &names[same..] {
            let dir = open_dir(self.way.last().map_or(&self.root, |(_, fd)| fd), name)?;
            self.way.push((name.to_vec(), dir));
        }
        let dir = self.way.last().map_or(&self.root, |(_, fd)| fd);
        Ok((dir, OsStr::from_bytes(last)))
    }

    /// Makes a directory, or takes the one that is there.
    pub(crate) fn make_dir(&mut self, path: &[u8]) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        let mode = Mode::from_raw_mode(PRIVATE_DIR);
        match rustix::fs::mkdirat(dir, name, mode) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => match open_dir(dir, name.as_bytes()) {
                // Ours to write to, and with nothing to bequeath, until its own mode and ACL are
                // set at the end.
                Ok(there) => {
                    let bare = Of::Open(there.as_fd()).remove(ACL_DEFAULT);
                    match bare.and_then(|()| rustix::fs::fchmod(&there, mode)) {
                        Ok(()) | Err(Errno::PERM) => Ok(()),
                        Err(e) => Err(e.into()),
                    }
                }
                Err(_) => {
                    clear(dir, name)?;
                    Ok(rustix::fs::mkdirat(dir, name, mode)?)
                }
            },
            Err(e) => Err(e.into()),
        }
    }

    /// Makes an empty file of `size` bytes in place of whatever file is there.
    pub(crate) fn make_file(&mut self, path: &[u8], size: u64) -> io::Result<File> {
        let (dir, name) = self.parent(path)?;
        clear(dir, name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(PRIVATE_FILE);
        let file = File::from(rustix::fs::openat(
            dir,
            name,
            flags | OFlags::CLOEXEC,
            mode,
        )?);
        file.set_len(size)?;
        Ok(file)
    }

    /// Opens a file that was made before, to read and to write.
    pub(crate) fn open_file(&mut self, path: &[u8]) -> io::Result<File> {
        let (dir, name) = self.parent(path)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?.into())
    }

    pub(crate) fn make_symlink(&mut self, path: &[u8], target: &[u8]) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        clear(dir, name)?;
        Ok(rustix::fs::symlinkat(OsStr::from_bytes(target), dir, name)?)
    }

    /// Makes a pipe or a device.
    pub(crate) fn make_node(&mut self, path: &[u8], kind: FileType, dev: u64) -> io::Result<()> {
        if self.foreign && kind != FileType::Fifo {
            return Err(io::Error::other("a device of somebody else's is not made"));
        }
        let (dir, name) = self.parent(path)?;
        clear(dir, name)?;
        let mode = Mode::from_raw_mode(PRIVATE_FILE);
        Ok(rustix::fs::mknodat(dir, name, kind, mode, dev)?)
    }

    /// Gives the file `first` a second name.
    pub(crate) fn make_link(&mut self, first: &[u8], path: &[u8]) -> io::Result<()> {
        let (from, from_name) = self.parent(first)?;
        let from = from.try_clone()?;
        let (dir, name) = self.parent(path)?;
        clear(dir, name)?;
        Ok(rustix::fs::linkat(
            from,
            from_name,
            dir,
            name,
            AtFlags::empty(),
        )?)
    }

    /// Sets owner, attributes, mode, ACLs and times, in the order in which none undoes another: a new
    /// owner takes capabilities away, a read-only mode forbids attributes, a mode changes an ACL.
    pub(crate) fn finish(&mut self, path: &[u8], finish: Finish<'_>) -> io::Result<()> {
        let (owns, inherits, no_follow) = (self.owns, self.inherits, AtFlags::SYMLINK_NOFOLLOW);
        let foreign = self.foreign;
        let bits = if foreign { 0o777 } else { 0o7777 };
        let Finish {
            meta,
            xattrs,
            is_link,
        } = finish;
        let (dir, name) = self.parent(path)?;
        let owned = foreign || give(dir, name, meta, owns)?;
        let of = Of::named(dir.as_fd(), name);
        let mut kept = true;
        // Others' names for rights mean nothing here, or too much.
        let is_taken = |x: &&Xattr| !foreign || x.0.starts_with(b"user.");
        let xattrs = || xattrs.iter().filter(is_taken);
        for attr in xattrs().filter(|x| !x.is_acl()) {
            kept &= is_set(of.set(attr))?;
        }
        if !is_link {
            let mode = Mode::from_raw_mode(meta.mode & bits);
            rustix::fs::chmodat(dir, name, mode, AtFlags::empty())?;
            if inherits {
                of.remove(ACL_ACCESS)?;
                of.remove(ACL_DEFAULT)?;
            }
        }
        for acl in xattrs().filter(|x| x.is_acl()) {
            kept &= is_set(of.set(acl))?;
        }
        let time = Timespec {
            tv_sec: meta.mtime_s,
            tv_nsec: meta.mtime_ns.into(),
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(dir, name, &times, no_follow)?;
        if !owned {
            self.lacks(What::Owner, path);
        }
        if !kept {
            self.lacks(What::Attributes, path);
        }
        Ok(())
    }
}

/// Gives `name` its owner and group; without root at most the group, if it is one of ours. Whether
/// they are what they should be.
fn give(dir: &OwnedFd, name: &OsStr, meta: &Meta, owns: bool) -> io::Result<bool> {
    let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
    let no_follow = AtFlags::SYMLINK_NOFOLLOW;
    if owns {
        rustix::fs::chownat(dir, name, Some(uid), Some(gid), no_follow)?;
        return Ok(true);
    }
    let there = rustix::fs::statat(dir, name, no_follow)?;
    let grouped = there.st_gid == meta.gid
        || rustix::fs::chownat(dir, name, None, Some(gid), no_follow).is_ok();
    Ok(grouped && there.st_uid == meta.uid)
}

/// Whether an attribute was set; not if this file system keeps none of its kind or its size, or we
/// may not: in a container even root lacks `trusted.`. ext4 says that the disk is full of one that
/// is longer than a block, which must not end a restore.
fn is_set(set: rustix::io::Result<()>) -> io::Result<bool> {
    match set {
        Ok(()) => Ok(true),
        Err(
            Errno::OPNOTSUPP
            | Errno::NOSYS
            | Errno::NOSPC
            | Errno::DQUOT
            | Errno::TOOBIG
            | Errno::RANGE
            | Errno::INVAL
            | Errno::PERM
            | Errno::ACCESS,
        ) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn open_dir(dir: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if name.is_empty() || name == b"." || name == b".." {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(rustix::fs::openat(
        dir,
        OsStr::from_bytes(name),
        flags,
        Mode::empty(),
    )?)
}

/// Removes a file or link in the way; a directory stays, and is an error to whoever comes.
fn clear(dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_that_does_not_fit_is_lacking_and_no_full_disk() {
        assert!(is_set(Ok(())).unwrap());
        for lacking in [Errno::NOSPC, Errno::DQUOT, Errno::TOOBIG, Errno::PERM] {
            assert!(!is_set(Err(lacking)).unwrap(), "{lacking}");
        }
        assert!(is_set(Err(Errno::IO)).is_err());
    }

    #[test]
    fn what_others_share_gets_no_rights_and_is_no_device() {
        let target = tempfile::tempdir().unwrap();
        let mut below = Below::open(target.path()).unwrap().of_others();
        below.make_file(b"x", 1).unwrap();
        let meta = Meta {
            mode: 0o6755,
            uid: 0,
            gid: 0,
            mtime_s: 1,
            mtime_ns: 0,
        };
        let finish = Finish {
            meta: &meta,
            xattrs: &[],
            is_link: false,
        };
        below.finish(b"x", finish).unwrap();
        let stat = rustix::fs::stat(target.path().join("x")).unwrap();
        assert_eq!(stat.st_mode & 0o7777, 0o755);
        assert!(below.make_node(b"d", FileType::CharacterDevice, 0).is_err());
        assert!(below.make_node(b"b", FileType::BlockDevice, 0).is_err());
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let (target, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(outside.path(), target.path().join("link")).unwrap();
        let mut below = Below::open(target.path()).unwrap();
        for path in [&b"link/x"[..], b"../x", b"..", b"a/../../x", b"/x", b""] {
            assert!(below.make_file(path, 1).is_err(), "{path:?}");
        }
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        // A link in the place of a directory makes way; what it pointed to is untouched.
        below.make_dir(b"link").unwrap();
        below.make_file(b"link/x", 1).unwrap();
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
