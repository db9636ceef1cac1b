//! What a fetched or spooled segment holds, read from its file: its blobs, and what the index
//! must know of the snapshots and listings among them.

use crate::mark::SignedMark;
use crate::snapshot::{Snapshot, SnapshotId};
use larder_coding::segment::ReadError;
use larder_coding::{BlobKind, IndexEntry, Listing, SegmentReader, listing};
use larder_keys::VaultKeys;
use larder_types::{SegmentId, codec};
use std::fs::File;
use std::path::Path;

/// What blobs of a metadata segment say to the index.
#[derive(Debug, Default)]
pub(crate) struct Says {
    /// Snapshots.
    pub(crate) snapshots: Vec<(SnapshotId, Snapshot)>,
    /// Data segments that are listed.
    pub(crate) listed: Vec<SegmentId>,
    /// Marks, whoever signed them.
    pub(crate) marks: Vec<SignedMark>,
}

/// A segment's blobs and what some of them say.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) blobs: Vec<IndexEntry>,
    pub(crate) snapshots: Vec<(SnapshotId, Snapshot)>,
    pub(crate) listings: Vec<Listing>,
    pub(crate) marks: Vec<SignedMark>,
    /// What cannot be read of it; the rest can be used.
    pub(crate) damage: Vec<String>,
}

/// Lists the segment `id`, whose C is the file `path`. Without its index its blobs are found by
/// their headers.
///
/// # Errors
/// [`ReadError`] if nothing of it can be read.
pub(crate) fn contents_of(
    path: &Path,
    keys: &VaultKeys,
    id: SegmentId,
) -> Result<Contents, ReadError> {
    let mut reader = SegmentReader::new(File::open(path)?, keys, id)?;
    let mut contents = Contents::default();
    contents.blobs = match reader.read_index() {
        Ok(blobs) => blobs,
        Err(ReadError::Io(e)) => return Err(e.into()),
        Err(damaged) => {
            let found = reader.scan()?;
            if found.is_empty() {
                return Err(damaged);
            }
            contents.damage.push(damaged.to_string());
            found
        }
    };
    for blob in std::mem::take(&mut contents.blobs) {
        match contents.take(&mut reader, &blob) {
            Ok(()) => contents.blobs.push(blob),
            Err(e) => contents.damage.push(e),
        }
    }
    Ok(contents)
}

impl Contents {
    /// The segments that are listed.
    pub(crate) fn listed(&self) -> Vec<SegmentId> {
        self.listings.iter().map(|l| l.segment).collect()
    }

    /// Opens a blob that says something to the index.
    fn take(&mut self, reader: &mut SegmentReader<File>, blob: &IndexEntry) -> Result<(), String> {
        match blob.kind {
            BlobKind::Snapshot => {
                let plain = open(reader, blob).map_err(|e| format!("a snapshot: {e}"))?;
                let snapshot = codec::decode(&plain).map_err(|e| format!("a snapshot: {e}"))?;
                self.snapshots.push((blob.id, snapshot));
            }
            BlobKind::Listing => {
                let plain = open(reader, blob).map_err(|e| format!("a listing: {e}"))?;
                let listings = listing::decode(&plain).map_err(|e| e.to_string())?;
                self.listings.extend(listings);
            }
            BlobKind::Marks => {
                let plain = open(reader, blob).map_err(|e| format!("marks: {e}"))?;
                let marks: Vec<SignedMark> =
                    codec::decode(&plain).map_err(|e| format!("marks: {e}"))?;
                self.marks.extend(marks);
            }
            BlobKind::Data
            | BlobKind::Tree
            | BlobKind::List
            | BlobKind::Index
            | BlobKind::Catalogue => {}
        }
        Ok(())
    }
}

fn open(reader: &mut SegmentReader<File>, blob: &IndexEntry) -> Result<Vec<u8>, String> {
    let read = reader.read_blob(u64::from(blob.offset), u64::from(blob.len));
    let (header, plain) = read.map_err(|e| e.to_string())?;
    if (header.id, header.kind) == (blob.id, blob.kind) {
        Ok(plain)
    } else {
        Err("another blob lies there".to_owned())
    }
}
