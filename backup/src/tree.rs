//! A directory's tree: its entries, sorted by name, each in canonical CBOR, one after another, cut
//! into blobs like any content. A directory of a million names takes no more memory than a blob.

use crate::content::{Content, ContentWriter, cut};
use crate::emit::{Emitter, Stop};
use crate::entry::Entry;
use larder_coding::BlobKind;
use larder_types::codec;

/// Entries are cut into blobs once there are this many bytes: the metadata cutter's largest blob.
const SPILL: usize = 512 << 10;

/// Writes one directory.
#[derive(Debug, Default)]
pub(crate) struct TreeWriter {
    bytes: Vec<u8>,
    content: ContentWriter,
}

impl TreeWriter {
    pub(crate) fn push(&mut self, out: &mut Emitter<'_>, entry: &Entry) -> Result<(), Stop> {
        self.bytes.extend_from_slice(&codec::encode(entry));
        if self.bytes.len() > SPILL {
            self.spill(out, false)?;
        }
        Ok(())
    }

    fn spill(&mut self, out: &mut Emitter<'_>, eof: bool) -> Result<(), Stop> {
        for piece in cut(out, BlobKind::Tree, &mut self.bytes, eof)? {
            self.content.push(out, piece)?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self, out: &mut Emitter<'_>) -> Result<Content, Stop> {
        self.spill(out, true)?;
        self.content.finish(out)
    }
}

/// Why a tree cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a directory's tree is damaged: {0}")]
pub struct TreeError(String);

/// The entry at the start of `bytes` and its length.
pub(crate) fn decode_entry(bytes: &[u8]) -> Result<(Entry, usize), TreeError> {
    let mut rest = bytes;
    let entry: Entry = serde_ipld_dagcbor::de::from_reader_once(&mut rest)
        .map_err(|e| TreeError(e.to_string()))?;
    if !entry.has_safe_name() {
        return Err(TreeError(format!("a name that is none: {:?}", entry.name)));
    }
    Ok((entry, bytes.len() - rest.len()))
}
