//! The reading side's way out: blobs are named, gathered into batches and handed to the packing
//! side through a channel of one batch. That channel is what bounds memory: whoever reads waits.

use crate::content::Piece;
use larder_coding::{BlobKind, Cutter, blob_id};
use larder_keys::VaultKeys;
use larder_types::BlobId;
use std::sync::mpsc::SyncSender;
use tokio_util::sync::CancellationToken;

/// A batch is handed on at this many bytes of plaintext (a last blob of 8 MiB may exceed it) …
const BATCH_BYTES: usize = 4 << 20;
/// … or this many blobs: as many as one `IN` list of the index looks up.
pub(crate) const BATCH_BLOBS: usize = 500;

/// A blob on its way to a segment.
#[derive(Debug)]
pub(crate) struct Blob {
    pub(crate) kind: BlobKind,
    pub(crate) id: BlobId,
    pub(crate) plain: Vec<u8>,
}

/// Why reading ended early. The reason, if there is more to say, is the packing side's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Someone asked for it.
    Cancelled,
    /// The packing side is gone; it knows why.
    Closed,
}

/// Names blobs and sends them on.
#[derive(Debug)]
pub(crate) struct Emitter<'a> {
    keys: &'a VaultKeys,
    metadata: &'a Cutter,
    batch: Vec<Blob>,
    bytes: usize,
    tx: SyncSender<Vec<Blob>>,
    stop: CancellationToken,
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(
        keys: &'a VaultKeys,
        metadata: &'a Cutter,
        tx: SyncSender<Vec<Blob>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            keys,
            metadata,
            batch: Vec::new(),
            bytes: 0,
            tx,
            stop,
        }
    }

    pub(crate) fn metadata_cutter(&self) -> &'a Cutter {
        self.metadata
    }

    /// Sends a blob on its way; its piece.
    pub(crate) fn emit(&mut self, kind: BlobKind, plain: Vec<u8>) -> Result<Piece, Stop> {
        let id = blob_id(self.keys, &plain);
        let len = u32::try_from(plain.len()).expect("a blob is at most 8 MiB");
        self.bytes += plain.len();
        self.batch.push(Blob { kind, id, plain });
        if self.bytes >= BATCH_BYTES || self.batch.len() >= BATCH_BLOBS {
            self.flush()?;
        }
        Ok(Piece { id, len })
    }

    /// Hands the batch on, waiting for room.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        self.check()?;
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        self.tx.send(batch).map_err(|_| Stop::Closed)
    }

    /// Whether to go on.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        if self.stop.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        Ok(())
    }
}
