//! Requests and answers on their stream: a length (u32, little endian) and the bytes; an answer has a
//! status byte before that. Lengths are checked before anything is allocated, and memory grows only
//! as bytes arrive, out of one budget that all peers share.

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::StreamProtocol;
use libp2p::request_response;
use std::io;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::{COPY_BUFFER, MAX_HELD, MAX_REQUEST, MAX_RESPONSE};

/// Status byte: the answer follows.
const OK: u8 = 0;
/// Status byte: too busy to answer, nothing follows.
const BUSY: u8 = 1;

/// A share of the memory lent to peers; given back when dropped. Ours own messages hold none.
#[derive(Debug, Default)]
pub(super) struct Lease(Option<OwnedSemaphorePermit>);

/// A request and the memory it holds.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) bytes: Vec<u8>,
    pub(super) lease: Lease,
}

/// An answer, or that there is none.
#[derive(Debug)]
pub(super) enum Answer {
    Bytes(Vec<u8>),
    Busy,
}

/// Reads and writes both. Clones share the budget.
#[derive(Debug, Clone)]
pub(super) struct Codec {
    budget: Arc<Semaphore>,
}

impl Default for Codec {
    fn default() -> Self {
        Self {
            budget: Arc::new(Semaphore::new(MAX_HELD / COPY_BUFFER)),
        }
    }
}

impl Codec {
    /// Reads a length of at most `max` and as many bytes.
    async fn read<T>(&self, io: &mut T, max: usize) -> io::Result<(Vec<u8>, Lease)>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut len = [0; 4];
        io.read_exact(&mut len).await?;
        let len = usize::try_from(u32::from_le_bytes(len)).map_err(|_| too_large())?;
        if len > max {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        let mut lease = Lease::default();
        while bytes.len() < len {
            lease.grow(&self.budget)?;
            let (from, to) = (bytes.len(), len.min(bytes.len() + COPY_BUFFER));
            bytes.resize(to, 0);
            io.read_exact(&mut bytes[from..]).await?;
        }
        Ok((bytes, lease))
    }
}

impl Lease {
    /// Takes one more [`COPY_BUFFER`] out of the budget, or fails at once: waiting for memory that
    /// other half-sent requests hold would let them block each other.
    fn grow(&mut self, budget: &Arc<Semaphore>) -> io::Result<()> {
        let more = budget
            .clone()
            .try_acquire_owned()
            .map_err(|_| io::Error::from(io::ErrorKind::ResourceBusy))?;
        match &mut self.0 {
            Some(held) => held.merge(more),
            None => self.0 = Some(more),
        }
        Ok(())
    }
}

fn too_large() -> io::Error {
    io::Error::from(io::ErrorKind::FileTooLarge)
}

async fn write<T>(io: &mut T, bytes: &[u8], max: usize) -> io::Result<()>
where
    T: AsyncWrite + Unpin + Send,
{
    if bytes.len() > max {
        return Err(too_large());
    }
    let len = u32::try_from(bytes.len()).map_err(|_| too_large())?;
    io.write_all(&len.to_le_bytes()).await?;
    io.write_all(bytes).await
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Ask;
    type Response = Answer;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Ask>
    where
        T: AsyncRead + Unpin + Send,
    {
        let (bytes, lease) = self.read(io, MAX_REQUEST).await?;
        Ok(Ask { bytes, lease })
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Answer>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut status = [0];
        io.read_exact(&mut status).await?;
        match status[0] {
            OK => {
                let (bytes, _) = self.read(io, MAX_RESPONSE).await?;
                Ok(Answer::Bytes(bytes))
            }
            BUSY => Ok(Answer::Busy),
            _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, ask: Ask) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &ask.bytes, MAX_REQUEST).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        answer: Answer,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match answer {
            Answer::Bytes(bytes) => {
                io.write_all(&[OK]).await?;
                write(io, &bytes, MAX_RESPONSE).await
            }
            Answer::Busy => io.write_all(&[BUSY]).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;
    use libp2p::request_response::Codec as _;

    const PROTOCOL: StreamProtocol = StreamProtocol::new("/test");

    async fn read(input: &[u8]) -> Result<Vec<u8>, io::ErrorKind> {
        let ask = Codec::default()
            .read_request(&PROTOCOL, &mut Cursor::new(input))
            .await;
        ask.map(|a| a.bytes).map_err(|e| e.kind())
    }

    #[tokio::test]
    async fn a_request_comes_back_as_written() {
        for len in [0, 1, COPY_BUFFER, COPY_BUFFER + 1, MAX_REQUEST] {
            let mut wire = Vec::new();
            let ask = Ask {
                bytes: vec![7; len],
                lease: Lease::default(),
            };
            Codec::default()
                .write_request(&PROTOCOL, &mut wire, ask)
                .await
                .unwrap();
            assert_eq!(read(&wire).await, Ok(vec![7; len]));
        }
    }

    #[tokio::test]
    async fn wrong_lengths_are_refused_before_memory_is_taken() {
        assert_eq!(
            read(&u32::MAX.to_le_bytes()).await,
            Err(io::ErrorKind::FileTooLarge)
        );
        assert_eq!(
            read(&[5, 0, 0, 0, 1]).await,
            Err(io::ErrorKind::UnexpectedEof)
        );
        assert_eq!(read(&[1, 2]).await, Err(io::ErrorKind::UnexpectedEof));
    }

    #[tokio::test]
    async fn the_budget_is_returned_with_the_request() {
        let mut codec = Codec::default();
        let mut wire = Vec::new();
        write(&mut wire, &vec![1; MAX_REQUEST], MAX_REQUEST)
            .await
            .unwrap();
        let mut held = Vec::new();
        for _ in 0..MAX_HELD / MAX_REQUEST {
            let ask = codec.read_request(&PROTOCOL, &mut Cursor::new(&wire)).await;
            held.push(ask.unwrap());
        }
        let refused = codec.read_request(&PROTOCOL, &mut Cursor::new(&wire)).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        held.clear();
        assert!(
            codec
                .read_request(&PROTOCOL, &mut Cursor::new(&wire))
                .await
                .is_ok()
        );
    }
}
