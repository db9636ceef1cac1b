//! Shards between a store and a stream: the payload of one transfer, in pieces of 64 KiB through a
//! bounded queue, the disk's work off the async threads.

use larder_types::ShardRoot;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::{StoreError, Volumes};
use crate::net::{FrameError, Payload, send_payload};
use larder_engine::VolumeId;

/// Pieces between stream and disk: 512 KiB, enough to hide a disk's pauses.
const PIECES: usize = 8;
/// What of a shard is held back until the rest is hashed: one piece.
const LAST: u64 = 64 << 10;

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

/// Receives the shard `root` of `len` bytes from `from` onto one of the volumes. When it returns, the
/// shard is durable there and may be acknowledged. The header has been read already; the reply is the caller's.
///
/// # Errors
/// [`TransferError`]; nothing of the shard is kept.
pub async fn receive<R>(
    store: &Volumes,
    root: ShardRoot,
    len: u64,
    from: &mut R,
) -> Result<VolumeId, TransferError>
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

/// Sends a whole shard to `to`, hashed on the way. Its last piece is held back until the hash is
/// known: what is not the shard is never sent in full. The reply that announces it is the caller's.
///
/// # Errors
/// [`TransferError`]; [`StoreError::Rotten`] if the file no longer hashes to the root, and the
/// stream lacks its end.
pub async fn send<W>(store: &Volumes, root: ShardRoot, to: &mut W) -> Result<(), TransferError>
where
    W: AsyncWrite + Unpin,
{
    let store = store.clone();
    let (file, len) = blocking(move || store.open_shard(&root)).await?;
    let mut file = tokio::fs::File::from_std(file);
    let last = len.min(LAST);
    let mut body = Hashing {
        from: (&mut file).take(len - last),
        hasher: blake3::Hasher::new(),
    };
    send_payload(&mut body, to, len - last).await?;
    let mut hasher = body.hasher;
    let mut end = Vec::new();
    file.take(last)
        .read_to_end(&mut end)
        .await
        .map_err(FrameError::Source)?;
    hasher.update(&end);
    if *hasher.finalize().as_bytes() != root.0 {
        return Err(StoreError::Rotten { root, offset: 0 }.into());
    }
    send_payload(&mut end.as_slice(), to, last).await?;
    Ok(())
}

/// A source that hashes what is read from it.
struct Hashing<R> {
    from: R,
    hasher: blake3::Hasher,
}

impl<R: AsyncRead + Unpin> AsyncRead for Hashing<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.from).poll_read(cx, buf);
        self.hasher.update(&buf.filled()[before..]);
        read
    }
}
