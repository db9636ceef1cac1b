//! What `stat` and `lseek` tell of an entry: as it was saved, holes included.

use crate::entry::{Entry, Kind};
use crate::holes::{self, Hole};

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// What `stat` tells of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// Its number, the same at every mount.
    pub ino: u64,
    /// What it is.
    pub sort: Sort,
    /// Permission bits, 0o7777.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Names of it: 2 stands for "several", how many is not known; of a directory 1.
    pub links: u32,
    /// Bytes; of a link those of its target.
    pub size: u64,
    /// Bytes without holes.
    pub room: u64,
    /// A device's number.
    pub device: u64,
    /// When it was modified: seconds since the Unix epoch, negative before.
    pub mtime_s: i64,
    /// The rest in nanoseconds.
    pub mtime_ns: u32,
}

/// What to look for in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toward {
    /// The next byte that is not in a hole.
    Data,
    /// The next hole; the file's end is one.
    Hole,
}

pub(super) fn attr_of(ino: u64, entry: &Entry) -> Attr {
    let (sort, size, device) = match &entry.kind {
        Kind::File(_) => (Sort::File, entry.size, 0),
        Kind::Dir(_) => (Sort::Dir, 0, 0),
        Kind::Symlink(target) => (Sort::Symlink, target.len() as u64, 0),
        Kind::Fifo => (Sort::Fifo, 0, 0),
        Kind::CharDevice(device) => (Sort::CharDevice, 0, *device),
        Kind::BlockDevice(device) => (Sort::BlockDevice, 0, *device),
    };
    let empty: u64 = sure_holes(entry).iter().map(|hole| hole.1).sum();
    Attr {
        ino,
        sort,
        mode: entry.meta.mode,
        uid: entry.meta.uid,
        gid: entry.meta.gid,
        links: match entry.inode {
            Some(_) => 2,
            None => 1,
        },
        size,
        room: size.saturating_sub(empty),
        device,
        mtime_s: entry.meta.mtime_s,
        mtime_ns: entry.meta.mtime_ns,
    }
}

/// The holes whose bytes are known to be zeros.
pub(super) fn sure_holes(entry: &Entry) -> Vec<Hole> {
    holes::unread(entry.holes.as_deref().unwrap_or_default())
}

/// Where the next data or hole begins; none at or behind the end.
pub(super) fn seek(holes: &[Hole], size: u64, at: u64, toward: Toward) -> Option<u64> {
    if at >= size {
        return None;
    }
    let end = |hole: &Hole| hole.0.saturating_add(hole.1);
    match toward {
        Toward::Hole => {
            let next = holes.iter().find(|hole| end(hole) > at);
            Some(next.map_or(size, |hole| hole.0.max(at).min(size)))
        }
        Toward::Data => {
            let from =
                holes
                    .iter()
                    .fold(at, |from, hole| match hole.0 <= from && from < end(hole) {
                        true => end(hole),
                        false => from,
                    });
            (from < size).then_some(from)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_and_holes_are_found_and_the_end_is_a_hole() {
        let holes = [(10, 10), (20, 5), (90, 10)];
        let looked = |at, toward| seek(&holes, 100, at, toward);
        for (at, data, hole) in [
            (0, Some(0), Some(10)),
            (10, Some(25), Some(10)),
            (22, Some(25), Some(22)),
            (25, Some(25), Some(90)),
            (95, None, Some(95)),
            (100, None, None),
        ] {
            assert_eq!(looked(at, Toward::Data), data, "{at}");
            assert_eq!(looked(at, Toward::Hole), hole, "{at}");
        }
        assert_eq!(seek(&[], 7, 3, Toward::Hole), Some(7));
    }
}
