//! One transfer on a bulk stream: a header frame, a payload whose length the header declares, a reply
//! frame. Frames are a length (u32, little endian) and the bytes; payloads are copied through one
//! fixed buffer. Whatever stalls for [`STALL_TIMEOUT`] is given up.

use larder_types::codec::{self, DecodeError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::limits::{COPY_BUFFER, MAX_HEADER, STALL_TIMEOUT};

/// Why a transfer broke off.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream failed or ended early.
    #[error("the stream broke: {0}")]
    Stream(#[source] io::Error),
    /// The other side moved no byte for [`STALL_TIMEOUT`].
    #[error("the stream stalled")]
    Stalled,
    /// A frame is longer than allowed.
    #[error("frame of {len} bytes exceeds the limit of {max}")]
    TooLarge {
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        max: usize,
    },
    /// A header is not what it should be.
    #[error("bad header: {0}")]
    Header(#[from] DecodeError),
    /// The payload's source failed or ended before the declared length.
    #[error("cannot read what is to be sent: {0}")]
    Source(#[source] io::Error),
}

async fn unstalled<T>(act: impl Future<Output = io::Result<T>>) -> Result<T, FrameError> {
    match timeout(STALL_TIMEOUT, act).await {
        Ok(done) => done.map_err(FrameError::Stream),
        Err(_) => Err(FrameError::Stalled),
    }
}

/// Writes a frame of at most [`MAX_HEADER`] bytes and flushes.
///
/// # Errors
/// [`FrameError::TooLarge`], [`FrameError::Stream`], [`FrameError::Stalled`].
pub async fn write_frame<W>(to: &mut W, bytes: &[u8]) -> Result<(), FrameError>
where
    W: AsyncWrite + Unpin,
{
    let too_large = FrameError::TooLarge {
        len: bytes.len(),
        max: MAX_HEADER,
    };
    let Some(len) = u32::try_from(bytes.len())
        .ok()
        .filter(|_| bytes.len() <= MAX_HEADER)
    else {
        return Err(too_large);
    };
    unstalled(async {
        to.write_all(&len.to_le_bytes()).await?;
        to.write_all(bytes).await?;
        to.flush().await
    })
    .await
}

/// Reads a frame of at most [`MAX_HEADER`] bytes.
///
/// # Errors
/// [`FrameError::TooLarge`], [`FrameError::Stream`], [`FrameError::Stalled`].
pub async fn read_frame<R>(from: &mut R) -> Result<Vec<u8>, FrameError>
where
    R: AsyncRead + Unpin,
{
    let len = unstalled(from.read_u32_le()).await?;
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > MAX_HEADER {
        return Err(FrameError::TooLarge {
            len,
            max: MAX_HEADER,
        });
    }
    let mut bytes = vec![0; len];
    unstalled(from.read_exact(&mut bytes)).await?;
    Ok(bytes)
}

/// Writes a header (or a reply): canonical DAG-CBOR in a frame.
///
/// # Errors
/// As [`write_frame`].
pub async fn write_header<W, T>(to: &mut W, header: &T) -> Result<(), FrameError>
where
    W: AsyncWrite + Unpin,
    T: Serialize,
{
    write_frame(to, &codec::encode(header)).await
}

/// Reads a header (or a reply).
///
/// # Errors
/// As [`read_frame`], and [`FrameError::Header`].
pub async fn read_header<R, T>(from: &mut R) -> Result<T, FrameError>
where
    R: AsyncRead + Unpin,
    T: Serialize + DeserializeOwned,
{
    Ok(codec::decode(&read_frame(from).await?)?)
}

/// Sends exactly `len` bytes of `source` and flushes.
///
/// # Errors
/// [`FrameError::Source`] when the source fails or ends early, [`FrameError::Stream`],
/// [`FrameError::Stalled`].
pub async fn send_payload<R, W>(source: &mut R, to: &mut W, len: u64) -> Result<(), FrameError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; COPY_BUFFER];
    let mut left = len;
    while left > 0 {
        let part = part(&mut buffer, left);
        let read = source.read_exact(part).await.map_err(FrameError::Source)?;
        unstalled(to.write_all(part)).await?;
        left = left.saturating_sub(read as u64);
    }
    unstalled(to.flush()).await
}

/// A payload that is being received: exactly `len` bytes, in pieces of at most [`COPY_BUFFER`].
/// Whoever takes a piece takes its time: nothing more is read meanwhile, which slows the sender.
#[derive(Debug)]
pub struct Payload {
    left: u64,
    buffer: Vec<u8>,
}

impl Payload {
    /// A payload of `len` bytes.
    #[must_use]
    pub fn new(len: u64) -> Self {
        Self {
            left: len,
            buffer: vec![0; COPY_BUFFER],
        }
    }

    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// [`FrameError::Stream`] also when the stream ends early, [`FrameError::Stalled`].
    pub async fn next<R>(&mut self, from: &mut R) -> Result<Option<&[u8]>, FrameError>
    where
        R: AsyncRead + Unpin,
    {
        if self.left == 0 {
            return Ok(None);
        }
        let part = part(&mut self.buffer, self.left);
        let read = unstalled(from.read_exact(part)).await?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(Some(part))
    }
}

/// The part of the buffer that the bytes left fill.
fn part(buffer: &mut [u8], left: u64) -> &mut [u8] {
    let len = usize::try_from(left)
        .unwrap_or(usize::MAX)
        .min(buffer.len());
    &mut buffer[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_transfer_arrives_as_sent() {
        let payload: Vec<u8> = (0..200_000u32).map(|i| i.to_le_bytes()[1]).collect();
        let len = payload.len() as u64;
        let (mut a, mut b) = tokio::io::duplex(1000);
        let sender = async {
            write_header(&mut a, &("put", len)).await?;
            send_payload(&mut payload.as_slice(), &mut a, len).await?;
            read_header::<_, String>(&mut a).await
        };
        let receiver = async {
            let (verb, len): (String, u64) = read_header(&mut b).await?;
            let mut got = Vec::new();
            let mut payload = Payload::new(len);
            while let Some(piece) = payload.next(&mut b).await? {
                got.extend_from_slice(piece);
            }
            write_header(&mut b, &verb).await?;
            Ok::<_, FrameError>(got)
        };
        let (sent, got) = tokio::join!(sender, receiver);
        assert_eq!(sent.unwrap(), "put");
        assert_eq!(got.unwrap(), payload);
    }

    #[tokio::test]
    async fn what_breaks_says_how() {
        let nowhere = &mut Vec::new();
        let short = send_payload(&mut &b"abc"[..], nowhere, 4).await;
        assert!(matches!(short, Err(FrameError::Source(_))));
        let long = read_frame(&mut &u32::MAX.to_le_bytes()[..]).await;
        assert!(matches!(long, Err(FrameError::TooLarge { .. })));
        let mut torn = Payload::new(4);
        let torn = torn.next(&mut &b"abc"[..]).await;
        assert!(matches!(torn, Err(FrameError::Stream(_))));
        let garbage = read_header::<_, String>(&mut &[1, 0, 0, 0, 0xff][..]).await;
        assert!(matches!(garbage, Err(FrameError::Header(_))));
    }
}
