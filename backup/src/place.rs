//! What a restore does to the target, page of the plan by page: make, write, compare, finish. It
//! blocks; each function tells which entries it could not do and goes on.

use crate::below::Below;
use crate::fetch::read_checked;
use crate::plan::{Make, Planned, PlannedPiece};
use crate::spool::is_full;
use larder_coding::{SegmentReader, blob_id};
use larder_keys::VaultKeys;
use rustix::fs::FileType;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Runs of zeros at least this long are not written: the file was made with its length.
const HOLE: usize = 64 << 10;

/// Entries and what is wrong with them.
pub(crate) type Spoilt = Vec<(i64, String)>;

/// Why a restore cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("the target's disk is full")]
pub(crate) struct Full;

/// Makes what the entries name: directories, empty files of their length, links, pipes, devices.
pub(crate) fn make(below: &mut Below, entries: &[Planned]) -> Result<Spoilt, Full> {
    let mut spoilt = Vec::new();
    for e in entries {
        let made = match e.make {
            Make::Dir => below.make_dir(&e.path),
            Make::File => below.make_file(&e.path, e.size).map(drop),
            Make::Symlink => below.make_symlink(&e.path, &e.target),
            Make::Fifo => below.make_node(&e.path, FileType::Fifo, 0),
            Make::CharDevice => below.make_node(&e.path, FileType::CharacterDevice, e.size),
            Make::BlockDevice => below.make_node(&e.path, FileType::BlockDevice, e.size),
        };
        note(&mut spoilt, e.no, made)?;
    }
    Ok(spoilt)
}

/// Gives files their second names.
pub(crate) fn link(below: &mut Below, links: &[(i64, Vec<u8>, Vec<u8>)]) -> Result<Spoilt, Full> {
    let mut spoilt = Vec::new();
    for (no, first, path) in links {
        note(&mut spoilt, *no, below.make_link(first, path))?;
    }
    Ok(spoilt)
}

/// Sets modes, owners and times.
pub(crate) fn finish(below: &mut Below, entries: &[Planned]) -> Result<Spoilt, Full> {
    let mut spoilt = Vec::new();
    // An incomplete file keeps its private mode and today's date: it shows that it is none.
    let whole = entries
        .iter()
        .filter(|e| e.problem.is_none() || e.make == Make::Dir);
    for e in whole {
        let done = below.finish(&e.path, &e.meta, e.make == Make::Symlink);
        note(&mut spoilt, e.no, done)?;
    }
    Ok(spoilt)
}

fn note(spoilt: &mut Spoilt, no: i64, done: io::Result<()>) -> Result<(), Full> {
    match done {
        Ok(()) => Ok(()),
        Err(e) if is_full(&e) => Err(Full),
        Err(e) => {
            spoilt.push((no, e.to_string()));
            Ok(())
        }
    }
}

/// Remembers the file at hand, since its pieces mostly follow each other.
#[derive(Debug, Default)]
struct AtHand(Option<(i64, File)>);

impl AtHand {
    fn get(&mut self, below: &mut Below, no: i64, path: &[u8]) -> io::Result<&File> {
        if self.0.as_ref().is_none_or(|(n, _)| *n != no) {
            self.0 = None;
            self.0 = Some((no, below.open_file(path)?));
        }
        Ok(&self.0.as_ref().expect("it was opened above").1)
    }
}

/// What one page of pieces came to.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    pub(crate) spoilt: Spoilt,
}

/// Writes a page of one segment's pieces to their files. A blob is read once for all its places.
pub(crate) fn write(
    below: &mut Below,
    reader: &mut SegmentReader<File>,
    pieces: &[(PlannedPiece, Vec<u8>)],
) -> Result<Written, Full> {
    let mut written = Written::default();
    let (mut hand, mut blob) = (AtHand::default(), None);
    for (p, path) in pieces {
        if blob
            .as_ref()
            .is_none_or(|(offset, _)| *offset != p.place.offset)
        {
            let read = read_checked(reader, p.place, p.piece).map_err(|e| e.to_string());
            blob = Some((p.place.offset, read));
        }
        let (_, read) = blob.as_ref().expect("it was read above");
        match read {
            Err(e) => written.spoilt.push((p.file, e.clone())),
            Ok(plain) => {
                let done = hand
                    .get(below, p.file, path)
                    .and_then(|file| write_sparse(file, p.at, plain));
                written.bytes += plain.len() as u64;
                note(&mut written.spoilt, p.file, done)?;
            }
        }
    }
    Ok(written)
}

/// Writes all but long runs of zeros.
fn write_sparse(file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    for (i, part) in bytes.chunks(HOLE).enumerate() {
        if part.len() < HOLE || part.iter().any(|b| *b != 0) {
            file.write_all_at(part, at + (i * HOLE) as u64)?;
        }
    }
    Ok(())
}

/// Reads a page of pieces back and compares their ids: (bytes compared, what differs).
pub(crate) fn compare(
    below: &mut Below,
    keys: &VaultKeys,
    pieces: &[(PlannedPiece, Vec<u8>)],
) -> Written {
    let mut compared = Written::default();
    let mut hand = AtHand::default();
    for (p, path) in pieces {
        let mut bytes = vec![0; p.piece.len as usize];
        let read = hand
            .get(below, p.file, path)
            .and_then(|file| file.read_exact_at(&mut bytes, p.at));
        match read {
            Ok(()) if blob_id(keys, &bytes) == p.piece.id => compared.bytes += bytes.len() as u64,
            Ok(()) => compared.spoilt.push((p.file, differs(p.at))),
            Err(e) => compared.spoilt.push((p.file, e.to_string())),
        }
    }
    compared
}

fn differs(at: u64) -> String {
    format!("what was written differs at byte {at}")
}
