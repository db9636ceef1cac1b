//! Where the pieces of a content lie in it, learnt as far as anybody has read: of a long file the
//! lists up to there, and no more.

use super::blobs::{Store, lock};
use crate::content::{Content, Piece};
use crate::fetch::{FetchError, PieceCursor};
use crate::segments::Segments;
use std::sync::Mutex;

/// The pieces of one content.
#[derive(Debug)]
pub(super) struct Layout(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// Gives the pieces behind those that are known.
    more: PieceCursor,
    pieces: Vec<Piece>,
    /// Where each of them ends.
    ends: Vec<u64>,
}

impl Layout {
    pub(super) fn new(content: &Content) -> Result<Self, FetchError> {
        Ok(Self(Mutex::new(Known {
            more: PieceCursor::new(content)?,
            pieces: Vec::new(),
            ends: Vec::new(),
        })))
    }

    /// The piece that byte `at` lies in, and where it begins; none behind the end.
    pub(super) fn piece_at<S: Segments>(
        &self,
        mut store: &Store<S>,
        at: u64,
    ) -> Result<Option<(u64, Piece)>, FetchError> {
        let mut known = lock(&self.0);
        let mut end = known.ends.last().copied().unwrap_or(0);
        while end <= at {
            let Some(piece) = known.more.next(&mut store)? else {
                return Ok(None);
            };
            end += u64::from(piece.len);
            known.pieces.push(piece);
            known.ends.push(end);
        }
        let number = known.ends.partition_point(|end| *end <= at);
        let piece = known.pieces[number];
        let start = known.ends[number] - u64::from(piece.len);
        Ok(Some((start, piece)))
    }
}
