//! Bulk streams, over `libp2p-stream`. That crate drops inbound streams without a word while its
//! acceptor has not taken the last one (STACK, *Known trap*): so the opener says hello and holds a
//! stream for open only when hello came back, and tries again otherwise; opens to one peer go one
//! after another.

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use larder_types::NodeId;
use libp2p::{Stream, StreamProtocol};
use libp2p_stream::{Control, IncomingStreams, OpenStreamError};
use rand::RngExt as _;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _};

use super::event::{NetEvent, Permit};
use super::limits;
use super::{NetError, node_id, peer_id};

/// The opener's first byte, and the acceptor's when it has room.
const HELLO: u8 = 1;
/// The acceptor's byte when it has none.
const BUSY: u8 = 2;

/// A stream between two nodes; reads and writes as tokio's do. Closes when dropped; shut it down to
/// let the other side see an orderly end.
#[derive(Debug)]
pub struct BulkStream {
    peer: NodeId,
    stream: Compat<Stream>,
    _permits: Vec<Permit>,
}

impl BulkStream {
    fn new(peer: NodeId, stream: Stream, permits: Vec<Permit>) -> Self {
        Self {
            peer,
            stream: stream.compat(),
            _permits: permits,
        }
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> NodeId {
        self.peer
    }
}

impl AsyncRead for BulkStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for BulkStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// One gate per peer: whoever holds it may open.
type Gate = tokio::sync::Mutex<()>;

/// The opening side.
pub(super) struct Openers {
    control: Control,
    protocol: StreamProtocol,
    /// Gates that somebody holds or waits for.
    gates: Mutex<BTreeMap<NodeId, Weak<Gate>>>,
}

impl Openers {
    pub(super) fn new(control: Control, protocol: StreamProtocol) -> Self {
        Self {
            control,
            protocol,
            gates: Mutex::new(BTreeMap::new()),
        }
    }

    fn gate(&self, peer: NodeId) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(&peer).and_then(Weak::upgrade) {
            return gate;
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::default();
        gates.insert(peer, Arc::downgrade(&gate));
        gate
    }

    /// Opens a stream to `peer`, which `reach` connects to.
    pub(super) async fn open<F>(
        &self,
        peer: NodeId,
        reach: impl Fn() -> F,
    ) -> Result<BulkStream, NetError>
    where
        F: Future<Output = Result<(), NetError>>,
    {
        let gate = self.gate(peer);
        let mut wait = limits::BULK_RETRY;
        let mut attempt = 1;
        loop {
            reach().await?;
            let opened = {
                let _open = gate.lock().await;
                self.open_once(peer).await?
            };
            match opened {
                Ok(stream) => return Ok(BulkStream::new(peer, stream, Vec::new())),
                Err(source) if attempt == limits::BULK_ATTEMPTS => {
                    return Err(NetError::Bulk {
                        node: peer,
                        attempts: attempt,
                        source,
                    });
                }
                Err(error) => tracing::debug!(%peer, %error, attempt, "no stream yet"),
            }
            tokio::time::sleep(jittered(wait)).await;
            wait = (wait * 2).min(limits::BULK_RETRY_MAX);
            attempt += 1;
        }
    }

    /// One attempt: the outer error is final, the inner one worth another attempt.
    async fn open_once(&self, peer: NodeId) -> Result<io::Result<Stream>, NetError> {
        let id = peer_id(&peer)?;
        let mut control = self.control.clone();
        let opened = async {
            let mut stream = control
                .open_stream(id, self.protocol.clone())
                .await
                .map_err(open_error)?;
            stream.write_all(&[HELLO]).await?;
            stream.flush().await?;
            let mut back = [0];
            stream.read_exact(&mut back).await?;
            match back[0] {
                HELLO => Ok(stream),
                BUSY => Err(io::ErrorKind::ResourceBusy.into()),
                _ => Err(io::ErrorKind::InvalidData.into()),
            }
        };
        Ok(timeout(limits::BULK_OPEN_TIMEOUT, opened)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())))
    }
}

fn open_error(error: OpenStreamError) -> io::Error {
    if let OpenStreamError::Io(error) = error {
        return error;
    }
    io::ErrorKind::Unsupported.into()
}

/// Between half of `wait` and all of it, so that openers who collided do not collide again.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.5..1.0))
}

/// The accepting side: runs until the Swarm is gone.
pub(super) async fn accept(mut incoming: IncomingStreams, events: mpsc::Sender<NetEvent>) {
    let room = Room::default();
    let refusals = Arc::new(Semaphore::new(limits::MAX_BULK_REFUSALS));
    while let Some((peer, stream)) = incoming.next().await {
        let Some(node) = node_id(&peer) else {
            continue;
        };
        if let Some(permits) = room.enter(node) {
            tokio::spawn(greet(node, stream, permits, events.clone()));
        } else if let Ok(permit) = refusals.clone().try_acquire_owned() {
            tokio::spawn(refuse(stream, permit));
        }
    }
}

/// How many streams may still come in.
struct Room {
    all: Arc<Semaphore>,
    /// Of peers with streams, what each has left.
    each: Mutex<BTreeMap<NodeId, Arc<Semaphore>>>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits::MAX_BULK_IN)),
            each: Mutex::default(),
        }
    }
}

impl Room {
    fn enter(&self, peer: NodeId) -> Option<Vec<Permit>> {
        let all = self.all.clone().try_acquire_owned().ok()?;
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        let full = limits::MAX_BULK_IN_PER_PEER;
        each.retain(|_, left| left.available_permits() < full);
        let left = each
            .entry(peer)
            .or_insert_with(|| Arc::new(Semaphore::new(full)));
        let one = left.clone().try_acquire_owned().ok()?;
        Some(vec![all, one])
    }
}

/// Hears the hello, answers it, and hands the stream to the driver if that has room.
async fn greet(
    peer: NodeId,
    mut stream: Stream,
    permits: Vec<Permit>,
    events: mpsc::Sender<NetEvent>,
) {
    let greeted = timeout(limits::BULK_OPEN_TIMEOUT, async {
        hear(&mut stream).await?;
        let Ok(room) = events.try_reserve() else {
            say(&mut stream, BUSY).await?;
            return Err(io::Error::from(io::ErrorKind::ResourceBusy));
        };
        say(&mut stream, HELLO).await?;
        Ok(room)
    })
    .await
    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match greeted {
        Ok(room) => room.send(NetEvent::Bulk {
            peer,
            stream: BulkStream::new(peer, stream, permits),
        }),
        Err(error) => tracing::debug!(%peer, %error, "inbound stream dropped"),
    }
}

async fn refuse(mut stream: Stream, _permit: Permit) {
    let refused = timeout(limits::BULK_OPEN_TIMEOUT, async {
        hear(&mut stream).await?;
        say(&mut stream, BUSY).await
    });
    if !matches!(refused.await, Ok(Ok(()))) {
        tracing::debug!("a refused stream was gone already");
    }
}

async fn hear(stream: &mut Stream) -> io::Result<()> {
    let mut hello = [0];
    stream.read_exact(&mut hello).await?;
    if hello[0] != HELLO {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(())
}

async fn say(stream: &mut Stream, byte: u8) -> io::Result<()> {
    stream.write_all(&[byte]).await?;
    stream.flush().await
}
