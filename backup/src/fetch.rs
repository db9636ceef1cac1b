//! Reading blobs back: segments are fetched when they are first needed, kept until the end, and
//! released then; each blob is opened and must be what its id names. For blocking threads.

use crate::content::{Content, Piece, drain_pieces};
use crate::entry::Entry;
use crate::index::{Index, IndexError, Place};
use crate::segments::{Probed, Segments, SegmentsError};
use crate::tree::{TreeError, decode_entry};
use larder_coding::segment::ReadError;
use larder_coding::{OpenKeys, SegmentReader};
use larder_types::{BlobId, SegmentId};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Segments open at once.
const OPEN: usize = 8;
/// Places remembered ahead of need: about 1 MiB.
const AHEAD: usize = 16_384;
/// No entry is longer: attributes are at most 1 MiB, holes 300 KiB, name, target and inline pieces
/// below 5 KiB each.
pub(crate) const ENTRY: usize = 2 << 20;

/// Why a blob cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No durable segment holds it.
    #[error("blob {0} is in no segment that the index knows")]
    Unknown(BlobId),
    /// Its segment cannot be had.
    #[error("{0}")]
    Segment(Arc<SegmentsError>),
    /// The segment's file cannot be opened or read.
    #[error("reading a segment: {0}")]
    Open(#[from] std::io::Error),
    /// What was fetched is not what was stored: the blob does not open.
    #[error("segment {segment} is damaged: {why}")]
    Damaged {
        /// Which.
        segment: SegmentId,
        /// What is wrong.
        why: ReadError,
    },
    /// Another blob lies there.
    #[error("another blob lies where {0} should be")]
    Other(BlobId),
    /// A list of pieces that is none.
    #[error("a list of blobs is damaged")]
    List,
    /// A tree that is none.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// What somebody else sent holds more than anybody shares.
    #[error("what was shared holds more than {0}: it is not restored")]
    Beyond(&'static str),
    /// Somebody asked for it.
    #[error("interrupted")]
    Cancelled,
}

impl FetchError {
    /// Whether it concerns one blob or segment only, so that the rest can go on.
    pub(crate) const fn is_local(&self) -> bool {
        match self {
            Self::Unknown(_)
            | Self::Segment(_)
            | Self::Open(_)
            | Self::Damaged { .. }
            | Self::Other(_)
            | Self::List
            | Self::Tree(_) => true,
            Self::Index(_) | Self::Beyond(_) | Self::Cancelled => false,
        }
    }
}

/// Lists of lists of blobs: ten levels list more than any disk holds.
const DEEPEST: u8 = 10;

/// A fetched segment, released when dropped.
pub(crate) struct Fetched<S: Segments> {
    segments: Arc<S>,
    pub(crate) id: SegmentId,
    pub(crate) path: PathBuf,
}

impl<S: Segments> Fetched<S> {
    /// Fetches it.
    pub(crate) async fn of(segments: Arc<S>, id: SegmentId) -> Result<Self, SegmentsError> {
        let path = segments.fetch(id).await?;
        Ok(Self { segments, id, path })
    }

    /// Fetches it with all that is kept of it.
    pub(crate) async fn probed(
        segments: Arc<S>,
        id: SegmentId,
    ) -> Result<(Self, Probed), SegmentsError> {
        let (path, probed) = segments.probe(id).await?;
        Ok((Self { segments, id, path }, probed))
    }
}

impl<S: Segments> Drop for Fetched<S> {
    fn drop(&mut self) {
        let (segments, id) = (Arc::clone(&self.segments), self.id);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { segments.release(id).await });
        }
    }
}

/// One blob of an open segment, checked against its id and length.
pub(crate) fn read_checked(
    reader: &mut SegmentReader<File>,
    place: Place,
    piece: Piece,
) -> Result<Vec<u8>, FetchError> {
    let segment = reader.id();
    let read = reader.read_blob(place.offset, place.len);
    let (header, plain) = read.map_err(|why| {
        if let ReadError::Io(e) = why {
            FetchError::Open(e)
        } else {
            FetchError::Damaged { segment, why }
        }
    })?;
    if header.id != piece.id || header.plain_len != piece.len {
        return Err(FetchError::Other(piece.id));
    }
    Ok(plain)
}

/// Blobs by id, from wherever they lie.
#[derive(Debug)]
pub(crate) struct Source<S: Segments> {
    keys: OpenKeys,
    index: Index,
    segments: Arc<S>,
    runtime: Handle,
    stop: CancellationToken,
    fetched: HashMap<i64, Result<(SegmentId, PathBuf), Arc<SegmentsError>>>,
    open: VecDeque<(i64, SegmentReader<File>)>,
    /// Places looked up ahead of need.
    ahead: HashMap<BlobId, Place>,
    /// Where it is kept, what was read of trees and lists.
    trail: Option<Vec<Piece>>,
}

impl<S: Segments> Source<S> {
    pub(crate) fn new(
        keys: OpenKeys,
        index: Index,
        segments: Arc<S>,
        runtime: Handle,
        stop: CancellationToken,
    ) -> Self {
        Self {
            keys,
            index,
            segments,
            runtime,
            stop,
            fetched: HashMap::new(),
            open: VecDeque::new(),
            ahead: HashMap::new(),
            trail: None,
        }
    }

    /// From now on remembers what it reads.
    pub(crate) fn keep_trail(&mut self) {
        self.trail = Some(Vec::new());
    }

    /// What was read since it was last asked.
    pub(crate) fn take_trail(&mut self) -> Vec<Piece> {
        self.trail.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Looks up the places of blobs that will be read soon, in one statement.
    pub(crate) fn look_ahead(&mut self, ids: &[BlobId]) -> Result<(), FetchError> {
        if self.ahead.len() > AHEAD {
            self.ahead.clear();
        }
        let places = self.locate(ids)?;
        self.ahead.extend(places);
        Ok(())
    }

    /// Waits on this blocking thread.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, FetchError> {
        self.runtime
            .block_on(self.stop.run_until_cancelled(work))
            .ok_or(FetchError::Cancelled)
    }

    /// Where blobs lie.
    pub(crate) fn locate(&self, ids: &[BlobId]) -> Result<HashMap<BlobId, Place>, FetchError> {
        Ok(self.wait(self.index.locate(ids))??)
    }

    /// A blob whose place is not known yet.
    pub(crate) fn read(&mut self, piece: Piece) -> Result<Vec<u8>, FetchError> {
        if let Some(trail) = &mut self.trail {
            trail.push(piece);
        }
        let place = match self.ahead.remove(&piece.id) {
            Some(place) => Some(place),
            None => self.locate(&[piece.id])?.remove(&piece.id),
        };
        self.read_at(place.ok_or(FetchError::Unknown(piece.id))?, piece)
    }

    pub(crate) fn read_at(&mut self, place: Place, piece: Piece) -> Result<Vec<u8>, FetchError> {
        let mut reader = match self.open.iter().position(|(no, _)| *no == place.segment) {
            Some(i) => self.open.remove(i).expect("it was found there").1,
            None => self.open_segment(place.segment)?,
        };
        let plain = read_checked(&mut reader, place, piece);
        // The least recently used one is at the front.
        self.open.push_back((place.segment, reader));
        if self.open.len() > OPEN {
            self.open.pop_front();
        }
        plain
    }

    fn open_segment(&mut self, no: i64) -> Result<SegmentReader<File>, FetchError> {
        if !self.fetched.contains_key(&no) {
            let id = self.wait(self.index.segment_id(no))??;
            let fetched = self.wait(self.segments.fetch(id))?;
            let fetched = fetched.map(|path| (id, path)).map_err(Arc::new);
            self.fetched.insert(no, fetched);
        }
        match &self.fetched[&no] {
            Ok((id, path)) => Ok(SegmentReader::new(File::open(path)?, &self.keys, *id)?),
            Err(e) => Err(FetchError::Segment(Arc::clone(e))),
        }
    }
}

impl<S: Segments> Drop for Source<S> {
    /// Fetched files are released whatever ended the reading.
    fn drop(&mut self) {
        let segments = Arc::clone(&self.segments);
        let ids: Vec<SegmentId> = self
            .fetched
            .drain()
            .filter_map(|(_, f)| f.ok().map(|(id, _)| id))
            .collect();
        self.runtime.spawn(async move {
            for id in ids {
                segments.release(id).await;
            }
        });
    }
}

/// What gives the plaintext of blobs: a [`Source`], or the store of a view, which remembers.
pub(crate) trait Blobs {
    /// The blob, checked.
    fn blob(&mut self, piece: Piece) -> Result<Vec<u8>, FetchError>;
}

impl<S: Segments> Blobs for Source<S> {
    fn blob(&mut self, piece: Piece) -> Result<Vec<u8>, FetchError> {
        self.read(piece)
    }
}

/// The pieces of a content, one after another; lists are read as they are reached.
#[derive(Debug)]
pub(crate) struct PieceCursor {
    /// From the top list down to the pieces themselves.
    levels: Vec<Level>,
}

#[derive(Debug, Default)]
struct Level {
    pieces: VecDeque<Piece>,
    carry: Vec<u8>,
}

impl PieceCursor {
    pub(crate) fn new(content: &Content) -> Result<Self, FetchError> {
        if content.depth > DEEPEST {
            return Err(FetchError::List);
        }
        let top = Level {
            pieces: content.pieces().ok_or(FetchError::List)?.into(),
            carry: Vec::new(),
        };
        let mut levels = vec![top];
        levels.resize_with(usize::from(content.depth) + 1, Level::default);
        Ok(Self { levels })
    }

    pub(crate) fn next(&mut self, source: &mut impl Blobs) -> Result<Option<Piece>, FetchError> {
        self.pull(source, self.levels.len() - 1)
    }

    fn pull(&mut self, source: &mut impl Blobs, level: usize) -> Result<Option<Piece>, FetchError> {
        loop {
            if let Some(piece) = self.levels[level].pieces.pop_front() {
                return Ok(Some(piece));
            }
            if level == 0 {
                return Ok(None);
            }
            let Some(list) = self.pull(source, level - 1)? else {
                let whole = self.levels[level].carry.is_empty();
                return if whole {
                    Ok(None)
                } else {
                    Err(FetchError::List)
                };
            };
            let bytes = source.blob(list)?;
            let at = &mut self.levels[level];
            at.carry.extend_from_slice(&bytes);
            at.pieces = drain_pieces(&mut at.carry).into();
        }
    }
}

/// The entries of a directory, some at a time.
#[derive(Debug)]
pub(crate) struct EntryCursor {
    pieces: PieceCursor,
    bytes: Vec<u8>,
    at: usize,
    eof: bool,
    /// What was met behind entries that were handed out first.
    failed: Option<FetchError>,
}

impl EntryCursor {
    pub(crate) fn new(tree: &Content) -> Result<Self, FetchError> {
        Ok(Self {
            pieces: PieceCursor::new(tree)?,
            bytes: Vec::new(),
            at: 0,
            eof: false,
            failed: None,
        })
    }

    /// The next entries, at most `most`; none at the end. What lies before damage is handed out;
    /// what lies behind it is not: entries do not begin where blobs do.
    pub(crate) fn next<S: Segments>(
        &mut self,
        source: &mut Source<S>,
        most: usize,
    ) -> Result<Vec<Entry>, FetchError> {
        if let Some(e) = self.failed.take() {
            return Err(e);
        }
        let mut entries = Vec::new();
        match self.collect(source, most, &mut entries) {
            Err(e) if entries.is_empty() || !e.is_local() => Err(e),
            met => {
                self.failed = met.err();
                Ok(entries)
            }
        }
    }

    fn collect<S: Segments>(
        &mut self,
        source: &mut Source<S>,
        most: usize,
        entries: &mut Vec<Entry>,
    ) -> Result<(), FetchError> {
        while entries.len() < most {
            let rest = &self.bytes[self.at..];
            let decoded = if rest.is_empty() {
                None
            } else {
                Some(decode_entry(rest))
            };
            match decoded {
                Some(Ok((entry, len))) => {
                    self.at += len;
                    entries.push(entry);
                }
                // What is left is no entry: an end cut off, unless it is too long for one.
                Some(Err(e)) if self.eof || rest.len() > ENTRY => return Err(e.into()),
                None if self.eof => break,
                None | Some(Err(_)) => self.fill(source)?,
            }
        }
        Ok(())
    }

    fn fill<S: Segments>(&mut self, source: &mut Source<S>) -> Result<(), FetchError> {
        self.bytes.drain(..self.at);
        self.at = 0;
        match self.pieces.next(source)? {
            Some(piece) => self.bytes.extend_from_slice(&source.read(piece)?),
            None => self.eof = true,
        }
        Ok(())
    }
}
