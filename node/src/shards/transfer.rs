//! Shards between a store and a stream: the payload of one transfer, in pieces of 64 KiB through a
//! bounded queue, the disk's work off the async threads.

use larder_types::ShardRoot;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncSeekExt as _, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::{ShardStore, StoreError};
use crate::net::{FrameError, Payload, send_payload};

/// Pieces between stream and disk: 512 KiB, enough to hide a disk's pauses.
const PIECES: usize = 8;

/// Why a shard was not transferred.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The store's side.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream's side.
    #[error(transparent)]
    Stream(#[from] FrameError),
    /// The runtime is shutting down: the disk's work was not begun.
    #[error("the node is stopping")]
    Stopped,
}

/// Runs `work` off the async threads.
async fn blocking<T, F>(work: F) -> Result<T, TransferError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    match spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(TransferError::Stopped),
    }
}

/// Receives the shard `root` of `len` bytes from `from` into the store. When it returns, the shard is
/// durable and may be acknowledged. The header has been read already; the reply is the caller's.
///
/// # Errors
/// [`TransferError`]; nothing of the shard is kept.
pub async fn receive<R>(
    store: &ShardStore,
    root: ShardRoot,
    len: u64,
    from: &mut R,
) -> Result<(), TransferError>
where
    R: AsyncRead + Unpin,
{
    let (pieces, mut queue) = mpsc::channel::<Vec<u8>>(PIECES);
    let store = store.clone();
    let writing = blocking(move || {
        let mut writer = store.begin(root, len)?;
        while let Some(piece) = queue.blocking_recv() {
            writer.write(&piece)?;
        }
        writer.finish()
    });
    let receiving = async move {
        let mut payload = Payload::new(len);
        while let Some(piece) = payload.next(from).await? {
            // The writer has given up: its own error says why.
            if pieces.send(piece.to_vec()).await.is_err() {
                break;
            }
        }
        Ok::<(), FrameError>(())
    };
    match tokio::join!(writing, receiving) {
        // What ended the queue is the writer's error; what ended the stream left the shard short.
        (written, Ok(())) => written,
        (_, Err(stream)) => Err(stream.into()),
    }
}

/// Sends `count` bytes of a shard at `offset` to `to`, unverified: who asked verifies. The header or
/// reply that announces them is the caller's.
///
/// # Errors
/// [`TransferError`].
pub async fn send<W>(
    store: &ShardStore,
    root: ShardRoot,
    (offset, count): (u64, u64),
    to: &mut W,
) -> Result<(), TransferError>
where
    W: AsyncWrite + Unpin,
{
    let store = store.clone();
    let (file, len) = blocking(move || store.open_shard(&root)).await?;
    if offset.checked_add(count).is_none_or(|end| end > len) {
        let out_of_range = StoreError::OutOfRange {
            root,
            len,
            offset,
            count,
        };
        return Err(out_of_range.into());
    }
    let mut file = tokio::fs::File::from_std(file);
    file.seek(io::SeekFrom::Start(offset))
        .await
        .map_err(FrameError::Source)?;
    send_payload(&mut file.take(count), to, count).await?;
    Ok(())
}
