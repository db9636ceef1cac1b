//! What a file or a tree consists of: its blobs in order, each with its length, so that a piece
//! that is lost leaves the places of the others known. Few are written inline; many become List
//! blobs, lists of lists if need be, so that memory is bounded for a file of any size.

use crate::emit::{Emitter, Stop};
use larder_coding::{BlobKind, Cutter};
use larder_types::BlobId;
use serde::{Deserialize, Serialize};

/// Bytes of a piece: id, then length as `u32` little endian.
const PIECE_LEN: usize = 36;
/// Pieces written inline at most: 2,304 bytes.
const INLINE: usize = 64;
/// A list longer than this is cut; no shorter than the metadata cutter's largest blob.
const SPILL: usize = 512 << 10;

/// A blob in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Piece {
    /// The blob.
    pub id: BlobId,
    /// Bytes of its plaintext.
    pub len: u32,
}

/// Blobs in order. At depth 0 they are the content; at depth d, List blobs whose plaintexts, one
/// after another, are the pieces of depth d − 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Levels of lists.
    #[serde(rename = "d")]
    pub depth: u8,
    #[serde(rename = "p", with = "serde_bytes")]
    pieces: Vec<u8>,
}

impl Content {
    /// The pieces at the top; `None` if their bytes are no whole number of pieces.
    #[must_use]
    pub fn pieces(&self) -> Option<Vec<Piece>> {
        pieces_of(&self.pieces)
    }
}

/// Reads a list's bytes; `None` unless they are whole pieces.
pub(crate) fn pieces_of(bytes: &[u8]) -> Option<Vec<Piece>> {
    let (pieces, rest) = bytes.as_chunks::<PIECE_LEN>();
    rest.is_empty()
        .then(|| pieces.iter().map(Piece::read).collect())
}

/// Takes whole pieces off the front of a growing buffer.
pub(crate) fn drain_pieces(bytes: &mut Vec<u8>) -> Vec<Piece> {
    let (pieces, _) = bytes.as_chunks::<PIECE_LEN>();
    let pieces: Vec<Piece> = pieces.iter().map(Piece::read).collect();
    bytes.drain(..pieces.len() * PIECE_LEN);
    pieces
}

impl Piece {
    fn read(bytes: &[u8; PIECE_LEN]) -> Self {
        let (mut id, mut len) = ([0; 32], [0; 4]);
        id.copy_from_slice(&bytes[..32]);
        len.copy_from_slice(&bytes[32..]);
        Self {
            id: BlobId(id),
            len: u32::from_le_bytes(len),
        }
    }

    fn append_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.len.to_le_bytes());
    }
}

/// Collects pieces into a [`Content`].
#[derive(Debug, Default)]
pub(crate) struct ContentWriter {
    /// Pending bytes of each depth; a level above exists once the one below has spilled.
    levels: Vec<Vec<u8>>,
}

impl ContentWriter {
    /// The next piece.
    pub(crate) fn push(&mut self, out: &mut Emitter<'_>, piece: Piece) -> Result<(), Stop> {
        self.push_at(out, 0, piece)
    }

    fn push_at(&mut self, out: &mut Emitter<'_>, level: usize, piece: Piece) -> Result<(), Stop> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        piece.append_to(&mut self.levels[level]);
        if self.levels[level].len() > SPILL {
            self.spill(out, level, false)?;
        }
        Ok(())
    }

    /// Writes what can be cut of a level; with `eof`, all of it.
    fn spill(&mut self, out: &mut Emitter<'_>, level: usize, eof: bool) -> Result<(), Stop> {
        let mut bytes = std::mem::take(&mut self.levels[level]);
        for piece in cut(out, BlobKind::List, &mut bytes, eof)? {
            self.push_at(out, level + 1, piece)?;
        }
        self.levels[level] = bytes;
        Ok(())
    }

    /// The content, once every piece was pushed.
    pub(crate) fn finish(mut self, out: &mut Emitter<'_>) -> Result<Content, Stop> {
        let mut level = 0;
        loop {
            let Some(len) = self.levels.get(level).map(Vec::len) else {
                return Ok(Content::default());
            };
            let is_top = self.levels.len() == level + 1;
            if is_top && len <= INLINE * PIECE_LEN {
                return Ok(Content {
                    depth: u8::try_from(level).expect("ten levels list more than any disk holds"),
                    pieces: std::mem::take(&mut self.levels[level]),
                });
            }
            if len > 0 {
                self.spill(out, level, true)?;
            }
            level += 1;
        }
    }
}

/// Cuts blobs of metadata off the front of `bytes`; with `eof`, all of it.
pub(crate) fn cut(
    out: &mut Emitter<'_>,
    kind: BlobKind,
    bytes: &mut Vec<u8>,
    eof: bool,
) -> Result<Vec<Piece>, Stop> {
    let cutter: &Cutter = out.metadata_cutter();
    let (mut pieces, mut start) = (Vec::new(), 0);
    while let Some(len) = cutter.cut(&bytes[start..], eof) {
        pieces.push(out.emit(kind, bytes[start..start + len].to_vec())?);
        start += len;
    }
    bytes.drain(..start);
    Ok(pieces)
}
