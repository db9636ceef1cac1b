//! Holes of sparse files: where the file system keeps nothing and a read gives zeros. Offsets and
//! lengths in bytes.

use larder_coding::cut::CONTENT;
use rustix::fs::{FallocateFlags, SeekFrom, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Holes of one file that are kept at most: a tree's entry stays below 300 KiB. Of more, the
/// largest; the others come back as zeros that take room.
const MOST: usize = 16_384;

/// Shorter holes are read, since to cut there would make small blobs. So of a hole this long all of
/// the content is zeros; into a shorter one somebody may have written before it was read.
pub(crate) const UNREAD: u64 = CONTENT.min as u64;

/// A hole: where it begins, and how long it is.
pub type Hole = (u64, u64);

/// The file's holes, upwards; the file is left at its beginning. A file system that cannot tell
/// says that there is none, or fails: then none is known, and all of the file is read.
///
/// # Errors
/// What the system says of going back to the beginning.
pub(crate) fn of(file: &File, stat: &Stat) -> io::Result<Vec<Hole>> {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    // `st_blocks` counts 512 bytes. Where all bytes have room there is no need to ask.
    let room = u64::try_from(stat.st_blocks)
        .unwrap_or(0)
        .saturating_mul(512);
    if room >= size {
        return Ok(Vec::new());
    }
    let told = ask(size, |to| rustix::fs::seek(file, to));
    rustix::fs::seek(file, SeekFrom::Start(0))?;
    Ok(told.unwrap_or_default())
}

/// What `seek` tells of a file of `size` bytes.
fn ask(
    size: u64,
    mut seek: impl FnMut(SeekFrom) -> rustix::io::Result<u64>,
) -> rustix::io::Result<Vec<Hole>> {
    let mut holes = Largest::default();
    let mut at = 0;
    while at < size {
        let hole = match seek(SeekFrom::Hole(at)) {
            Ok(hole) if hole < size => hole,
            // It became shorter meanwhile, or there is none any more.
            Ok(_) | Err(Errno::NXIO) => break,
            Err(e) => return Err(e),
        };
        let data = match seek(SeekFrom::Data(hole)) {
            Ok(data) => data.min(size),
            Err(Errno::NXIO) => size,
            Err(e) => return Err(e),
        };
        // Some file systems in user space answer anything, and this must end.
        if hole < at || data <= hole {
            return Err(Errno::INVAL);
        }
        holes.push((hole, data - hole));
        at = data;
    }
    Ok(holes.all)
}

/// The largest holes, upwards.
#[derive(Debug, Default)]
struct Largest {
    all: Vec<Hole>,
    /// No shorter one is taken any more.
    least: u64,
}

impl Largest {
    fn push(&mut self, hole: Hole) {
        if hole.1 >= self.least {
            self.all.push(hole);
        }
        while self.all.len() > MOST {
            self.least = (self.least * 2).max(4096);
            self.all.retain(|h| h.1 >= self.least);
        }
    }
}

/// A stretch of a file as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stretch {
    /// Bytes to read, up to this offset; `None` is the file's end, wherever that is by then.
    Data(Option<u64>),
    /// So many zeros, not to be read.
    Zeros(u64),
}

/// How to read a file of `size` bytes with these holes: those shorter than `least` are read, since
/// to cut there would make small blobs.
pub(crate) fn stretches(holes: &[Hole], size: u64, least: u64) -> Vec<Stretch> {
    let (mut all, mut at) = (Vec::new(), 0);
    for (start, len) in holes.iter().copied().filter(|h| h.1 >= least) {
        if start > at {
            all.push(Stretch::Data(Some(start)));
        }
        all.push(Stretch::Zeros(len));
        at = start + len;
    }
    if at < size || all.is_empty() {
        all.push(Stretch::Data(None));
    }
    all
}

/// Whether all of the `len` bytes at `at` lie in one hole. Holes are sorted.
pub(crate) fn covers(holes: &[Hole], at: u64, len: u64) -> bool {
    let after = holes.partition_point(|h| h.0 <= at);
    after
        .checked_sub(1)
        .is_some_and(|i| at + len <= holes[i].0.saturating_add(holes[i].1))
}

/// The holes that were not read: all of their content is zeros.
pub(crate) fn unread(holes: &[Hole]) -> Vec<Hole> {
    holes.iter().copied().filter(|h| h.1 >= UNREAD).collect()
}

/// Gives the room of those holes back that were read and written as zeros; the others never had
/// any. Where a file system cannot, zeros take room. What is not zeros stays.
///
/// # Errors
/// What the system says.
pub(crate) fn punch(file: &File, holes: &[Hole]) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let mut bytes = Vec::new();
    for (at, len) in holes.iter().filter(|h| h.1 < UNREAD) {
        bytes.resize(usize::try_from(*len).unwrap_or(0), 0);
        let read = file.read_exact_at(&mut bytes, *at);
        if read.is_err() || bytes.iter().any(|b| *b != 0) {
            continue;
        }
        match rustix::fs::fallocate(file, flags, *at, *len) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_holes_are_not_read_and_all_bytes_are_accounted_for() {
        use Stretch::{Data, Zeros};
        for (holes, size, want) in [
            (&[][..], 0, &[Data(None)][..]),
            (&[], 9, &[Data(None)]),
            (&[(0, 100)], 100, &[Zeros(100)]),
            (&[(5, 2)], 100, &[Data(None)]),
            (
                &[(0, 10), (20, 30), (60, 3)],
                70,
                &[Zeros(10), Data(Some(20)), Zeros(30), Data(None)],
            ),
        ] {
            assert_eq!(stretches(holes, size, 10), want, "{holes:?}");
        }
    }

    #[test]
    fn who_cannot_tell_knows_of_no_holes() {
        let told = |answers: &[rustix::io::Result<u64>]| {
            let mut answers = answers.iter().copied();
            ask(100, |_| answers.next().unwrap_or(Err(Errno::IO)))
        };
        assert_eq!(told(&[Ok(10), Ok(30), Ok(100)]), Ok(vec![(10, 20)]));
        assert_eq!(told(&[Ok(10), Err(Errno::NXIO)]), Ok(vec![(10, 90)]));
        assert_eq!(
            told(&[Ok(10), Ok(30), Err(Errno::NXIO)]),
            Ok(vec![(10, 20)])
        );
        let failing: [&[rustix::io::Result<u64>]; 5] = [
            &[Err(Errno::INVAL)],
            &[Ok(10), Err(Errno::INVAL)],
            &[Ok(10), Ok(30), Err(Errno::OPNOTSUPP)],
            &[Ok(10), Ok(10)],
            &[Ok(10), Ok(30), Ok(20), Ok(40)],
        ];
        for wrong in failing {
            assert!(told(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_was_written_into_a_hole_is_not_punched() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        file.write_all_at(&[0; 4096], 0).unwrap();
        file.write_all_at(b"x", 100_000).unwrap();
        // The last lies beyond the end.
        punch(&file, &[(0, 65_536), (65_536, 65_536), (1 << 21, 4096)]).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, 100_000).unwrap();
        assert_eq!((byte, file.metadata().unwrap().len()), (*b"x", 1 << 20));
        assert_eq!(unread(&[(0, UNREAD - 1), (UNREAD, UNREAD)]).len(), 1);
    }

    #[test]
    fn a_piece_is_in_a_hole_or_it_is_not() {
        let holes = [(10, 10), (20, 5), (40, u64::MAX)];
        for (at, len, want) in [
            (10, 10, true),
            (9, 2, false),
            (12, 3, true),
            (19, 2, false),
            (30, 1, false),
            (50, 1 << 40, true),
        ] {
            assert_eq!(covers(&holes, at, len), want, "{at} {len}");
        }
        assert!(!covers(&[], 0, 1));
    }

    #[test]
    fn of_too_many_holes_the_largest_are_kept() {
        let mut holes = Largest::default();
        for i in 0..40_000 {
            holes.push((i << 20, if i % 100 == 0 { 1 << 19 } else { 4096 }));
        }
        assert!(holes.all.len() <= MOST);
        let large = holes.all.iter().filter(|h| h.1 == 1 << 19).count();
        assert_eq!(large, 400);
        assert!(holes.all.is_sorted());
    }
}
