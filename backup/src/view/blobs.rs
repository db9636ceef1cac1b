//! Blobs for many readers at once. Each is read once however many ask for it, and is remembered
//! while there is room; so are segments, which are fetched whole. For blocking threads.

use super::lru::Lru;
use crate::browse::Reader;
use crate::content::Piece;
use crate::fetch::{Blobs, FetchError, Fetched, read_checked};
use crate::segments::{Segments, SegmentsError};
use larder_coding::SegmentReader;
use larder_types::BlobId;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Bytes of blobs that are remembered: enough for all that the kernel reads ahead of eight readers.
const BLOBS: u64 = 64 << 20;
/// Segments that are kept on disk: 1 GiB.
const SEGMENTS: u64 = 16;
/// A segment that could not be had is not asked for again for so long: a program that reads a file
/// bit by bit would wait for each.
const AGAIN: Duration = Duration::from_secs(30);

/// One blob, read by whoever comes first; the others wait for it.
type Slot = Arc<Mutex<Option<Arc<Vec<u8>>>>>;

/// A segment on its way or here.
#[derive(Default)]
enum Holding<S: Segments> {
    #[default]
    Unasked,
    Here {
        reader: SegmentReader<File>,
        /// Released when it is dropped.
        _fetched: Fetched<S>,
    },
    Failed(Arc<SegmentsError>, Instant),
}

/// Where a view's blobs come from.
pub(super) struct Store<S: Segments> {
    reader: Reader,
    segments: Arc<S>,
    runtime: Handle,
    stop: CancellationToken,
    blobs: Mutex<Lru<BlobId, Slot>>,
    held: Mutex<Lru<i64, Arc<Mutex<Holding<S>>>>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Segments> Store<S> {
    pub(super) fn new(
        reader: Reader,
        segments: Arc<S>,
        runtime: Handle,
        stop: CancellationToken,
    ) -> Self {
        Self {
            reader,
            segments,
            runtime,
            stop,
            blobs: Mutex::new(Lru::new(BLOBS)),
            held: Mutex::new(Lru::new(SEGMENTS)),
        }
    }

    /// Waits on this blocking thread.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, FetchError> {
        self.runtime
            .block_on(self.stop.run_until_cancelled(work))
            .ok_or(FetchError::Cancelled)
    }

    /// The blob, checked.
    pub(super) fn read(&self, piece: Piece) -> Result<Arc<Vec<u8>>, FetchError> {
        let len = u64::from(piece.len);
        let slot = lock(&self.blobs).or_put(piece.id, len, Slot::default);
        let mut slot = lock(&slot);
        if let Some(bytes) = &*slot {
            // Somebody else's list may name another length.
            return match bytes.len() as u64 == len {
                true => Ok(Arc::clone(bytes)),
                false => Err(FetchError::Other(piece.id)),
            };
        }
        let bytes = Arc::new(self.fetch(piece)?);
        *slot = Some(Arc::clone(&bytes));
        Ok(bytes)
    }

    fn fetch(&self, piece: Piece) -> Result<Vec<u8>, FetchError> {
        // A segment that falls out is released by a task.
        let _in = self.runtime.enter();
        let index = &self.reader.index;
        let place = self.wait(index.locate(&[piece.id]))??;
        let place = *place.get(&piece.id).ok_or(FetchError::Unknown(piece.id))?;
        let holding = lock(&self.held).or_put(place.segment, 1, Arc::default);
        let mut holding = lock(&holding);
        let reader = self.here(&mut holding, place.segment)?;
        let read = read_checked(reader, place, piece);
        if let Err(FetchError::Open(_)) = &read {
            // Its file is gone or cannot be read: the next read fetches it anew.
            *holding = Holding::Unasked;
        }
        read
    }

    /// The segment, fetched if it is not here.
    fn here<'a>(
        &self,
        holding: &'a mut Holding<S>,
        no: i64,
    ) -> Result<&'a mut SegmentReader<File>, FetchError> {
        if let Holding::Failed(why, at) = holding
            && at.elapsed() < AGAIN
        {
            return Err(FetchError::Segment(Arc::clone(why)));
        }
        if !matches!(holding, Holding::Here { .. }) {
            let id = self.wait(self.reader.index.segment_id(no))??;
            let fetched = match self.wait(Fetched::of(Arc::clone(&self.segments), id))? {
                Ok(fetched) => fetched,
                Err(e) => {
                    let why = Arc::new(e);
                    *holding = Holding::Failed(Arc::clone(&why), Instant::now());
                    return Err(FetchError::Segment(why));
                }
            };
            let opened = File::open(&fetched.path)
                .and_then(|file| SegmentReader::new(file, &self.reader.keys, id));
            *holding = Holding::Here {
                reader: opened?,
                _fetched: fetched,
            };
        }
        match holding {
            Holding::Here { reader, .. } => Ok(reader),
            Holding::Unasked | Holding::Failed(..) => Err(FetchError::Cancelled),
        }
    }
}

impl<S: Segments> Blobs for &Store<S> {
    fn blob(&mut self, piece: Piece) -> Result<Vec<u8>, FetchError> {
        Ok(self.read(piece)?.to_vec())
    }
}

impl<S: Segments> Drop for Store<S> {
    /// What was fetched is released within the runtime, whichever thread this is.
    fn drop(&mut self) {
        let _in = self.runtime.enter();
        lock(&self.held).clear();
    }
}
