//! The kernel's requests, answered by a view. Each of the session's threads answers one at a time
//! and may wait: a slow segment holds up whoever reads it, not who looks elsewhere.

use fuser::{
    AccessFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyXattr, Request,
};
use larder_backup::{Attr, Item, Segments, Sort, Toward, View, ViewError};
use rustix::fs::{major, minor};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the kernel may remember what stands in a snapshot: nothing there changes.
const FOR_LONG: Duration = Duration::from_secs(3_600);
/// How long which snapshots there are.
const BRIEFLY: Duration = Duration::from_secs(1);
/// Numbers are used for nothing else, so that one generation of them is enough.
const GENERATION: Generation = Generation(0);
/// `.` and `..`, which stand before a folder's names.
const DOTS: u64 = 2;
/// Names read at a time: more than fit into a page of the kernel's.
const NAMES: usize = 128;
/// What `lseek` looks for, by the numbers of Linux.
const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;

/// A view as the kernel asks for it.
#[derive(Debug)]
pub(super) struct Shown<S: Segments>(View<S>);

impl<S: Segments> Shown<S> {
    pub(super) const fn new(view: View<S>) -> Self {
        Self(view)
    }

    /// Whether new names may come into a folder, or names lead elsewhere.
    fn changes(&self, folder: u64) -> bool {
        folder == View::<S>::ROOT || self.0.is_times(folder)
    }

    fn lifetime(&self, folder: u64) -> Duration {
        match self.changes(folder) {
            true => BRIEFLY,
            false => FOR_LONG,
        }
    }

    /// The names after the first `offset`, `.` and `..` included.
    fn page(&self, ino: u64, offset: u64) -> Result<Page, ViewError> {
        let dots = [(0, ".", ino), (1, "..", self.0.parent(ino)?)];
        Ok(Page {
            dots: dots.into_iter().filter(|dot| dot.0 >= offset).collect(),
            first: offset.max(DOTS),
            items: self.0.list(ino, offset.saturating_sub(DOTS), NAMES)?,
        })
    }
}

/// A part of a listing.
struct Page {
    dots: Vec<(u64, &'static str, u64)>,
    /// The number of the first item.
    first: u64,
    items: Vec<Item>,
}

impl<S: Segments> Filesystem for Shown<S> {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Names with their attributes: `ls -l` asks once, not once a name. Old kernels do without.
        let wanted = InitFlags::FUSE_DO_READDIRPLUS | InitFlags::FUSE_PARALLEL_DIROPS;
        if let Err(missing) = config.add_capabilities(wanted) {
            config.add_capabilities(wanted & !missing).ok();
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.0.lookup(parent.0, name.as_bytes()) {
            Ok(found) => reply.entry(&self.lifetime(parent.0), &attr(&found), GENERATION),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn forget(&self, _: &Request, ino: INodeNo, lookups: u64) {
        self.0.forget(ino.0, lookups);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.0.attr(ino.0) {
            Ok(found) => reply.attr(&self.lifetime(ino.0), &attr(&found)),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.0.target(ino.0) {
            Ok(target) => reply.data(&target),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // What the kernel has read of it stays true; and there is nothing to flush.
        let flags = FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH;
        reply.opened(FileHandle(0), flags);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        match self.0.read(ino.0, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let page = match self.page(ino.0, offset) {
            Ok(page) => page,
            Err(e) => return reply.error(errno(&e)),
        };
        for (number, name, ino) in page.dots {
            if reply.add(INodeNo(ino), number + 1, FileType::Directory, name) {
                return reply.ok();
            }
        }
        for (number, item) in (page.first..).zip(&page.items) {
            let (name, ino) = (OsStr::from_bytes(&item.name), INodeNo(item.attr.ino));
            if reply.add(ino, number + 1, sort(item.attr.sort), name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let page = match self.page(ino.0, offset) {
            Ok(page) => page,
            Err(e) => return reply.error(errno(&e)),
        };
        let lifetime = self.lifetime(ino.0);
        for (number, name, ino) in page.dots {
            // The kernel takes no lookup from these two.
            let Ok(found) = self.0.attr(ino) else {
                continue;
            };
            let (found, ino) = (attr(&found), INodeNo(ino));
            if reply.add(ino, number + 1, name, &lifetime, &found, GENERATION) {
                return reply.ok();
            }
        }
        for (number, item) in (page.first..).zip(&page.items) {
            // Before it is told: the kernel may forget it at once.
            let found = attr(&self.0.keep(item));
            let name = OsStr::from_bytes(&item.name);
            if reply.add(found.ino, number + 1, name, &lifetime, &found, GENERATION) {
                self.0.forget(found.ino.0, 1);
                break;
            }
        }
        reply.ok();
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        match self.0.xattr(ino.0, name.as_bytes()) {
            Ok(value) => sized(&value, size, reply),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        match self.0.xattrs(ino.0) {
            Ok(names) => {
                let ended = names
                    .into_iter()
                    .flat_map(|name| name.into_iter().chain([0]));
                sized(&ended.collect::<Vec<u8>>(), size, reply);
            }
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn lseek(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let toward = match whence {
            SEEK_DATA => Toward::Data,
            SEEK_HOLE => Toward::Hole,
            _ => return reply.error(Errno::EINVAL),
        };
        let Ok(from) = u64::try_from(offset) else {
            return reply.error(Errno::ENXIO);
        };
        match self.0.seek(ino.0, from, toward).map(i64::try_from) {
            Ok(Ok(at)) => reply.offset(at),
            Ok(Err(_)) => reply.error(Errno::ENXIO),
            Err(e) => reply.error(errno(&e)),
        }
    }

    /// Not asked again: who may look in is for the kernel to judge, or nobody else may.
    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    /// Not asked again: nothing is written.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }
}

/// An attribute's value, or how long it is where no room was offered.
fn sized(value: &[u8], room: u32, reply: ReplyXattr) {
    let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
    match room {
        0 => reply.size(len),
        room if len > room => reply.error(Errno::ERANGE),
        _ => reply.data(value),
    }
}

fn errno(error: &ViewError) -> Errno {
    match error {
        ViewError::NoEntry => Errno::ENOENT,
        ViewError::Stale => Errno::ESTALE,
        ViewError::NotDir => Errno::ENOTDIR,
        ViewError::IsDir => Errno::EISDIR,
        ViewError::Other => Errno::EINVAL,
        ViewError::NoAttribute => Errno::NO_XATTR,
        ViewError::Beyond => Errno::ENXIO,
        ViewError::Fetch(_) | ViewError::Index(_) => Errno::EIO,
    }
}

const fn sort(sort: Sort) -> FileType {
    match sort {
        Sort::File => FileType::RegularFile,
        Sort::Dir => FileType::Directory,
        Sort::Symlink => FileType::Symlink,
        Sort::Fifo => FileType::NamedPipe,
        Sort::CharDevice => FileType::CharDevice,
        Sort::BlockDevice => FileType::BlockDevice,
    }
}

fn attr(attr: &Attr) -> FileAttr {
    let time = time(attr.mtime_s, attr.mtime_ns);
    FileAttr {
        ino: INodeNo(attr.ino),
        size: attr.size,
        blocks: attr.room.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: sort(attr.sort),
        perm: u16::try_from(attr.mode & 0o7777).unwrap_or(0),
        nlink: attr.links,
        uid: attr.uid,
        gid: attr.gid,
        rdev: device(attr.device),
        blksize: 4096,
        flags: 0,
    }
}

/// Seconds before 1970 are negative, nanoseconds always go upwards.
fn time(seconds: i64, nanos: u32) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    let time = base.and_then(|base| base.checked_add(Duration::from_nanos(nanos.into())));
    time.unwrap_or(UNIX_EPOCH)
}

/// A device's number as the kernel writes it in 32 bits: the lower half of the minor number, the
/// major one, the rest of the minor.
fn device(device: u64) -> u32 {
    let (major, minor) = (major(device), minor(device));
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_and_devices_are_written_as_the_kernel_does() {
        let before = time(-2, 500_000_000);
        assert_eq!(UNIX_EPOCH - Duration::from_millis(1_500), before);
        assert_eq!(time(3, 7), UNIX_EPOCH + Duration::new(3, 7));
        assert_eq!(
            time(i64::MAX, u32::MAX),
            UNIX_EPOCH,
            "beyond what can be told"
        );
        // /dev/null is 1:3; a large minor number goes around the major one.
        assert_eq!(device(rustix::fs::makedev(1, 3)), 0x103);
        assert_eq!(device(rustix::fs::makedev(8, 0x1_02)), 0x10_0802);
    }
}
