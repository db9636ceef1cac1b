//! The transport as the rest of the node holds it: cheap to clone, every wait bounded.

use larder_types::{Hash, NodeId};
use libp2p::{Multiaddr, StreamProtocol};
use libp2p_stream::Control;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::bulk::{BulkStream, Openers};
use super::event::{MessageToken, PeerInfo, Topic, Verdict};
use super::limits;
use super::task::Command;
use super::{NetError, peer_id};

/// The transport's handle.
#[derive(Clone)]
pub struct NetHandle {
    node: NodeId,
    commands: mpsc::Sender<Command>,
    openers: Arc<Openers>,
    running: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl std::fmt::Debug for NetHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetHandle")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl NetHandle {
    pub(super) fn new(
        node: NodeId,
        commands: mpsc::Sender<Command>,
        control: Control,
        bulk: StreamProtocol,
        running: JoinHandle<()>,
    ) -> Self {
        Self {
            node,
            commands,
            openers: Arc::new(Openers::new(control, bulk)),
            running: Arc::new(Mutex::new(Some(running))),
        }
    }

    /// Our own id.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Asks `peer` and waits for its answer, connecting first if need be (known addresses, then
    /// Kademlia); all within `wait`, at most [`limits::REQUEST_TIMEOUT`].
    ///
    /// # Errors
    /// [`NetError::Unreachable`], [`NetError::TimedOut`], [`NetError::Busy`],
    /// [`NetError::Request`] when the peer drops the request, [`NetError::TooLarge`] above
    /// [`limits::MAX_REQUEST`].
    pub async fn request(
        &self,
        peer: NodeId,
        bytes: Vec<u8>,
        wait: Duration,
    ) -> Result<Vec<u8>, NetError> {
        within_limit(bytes.len(), limits::MAX_REQUEST)?;
        let id = peer_id(&peer)?;
        let after = wait.min(limits::REQUEST_TIMEOUT);
        let asked = async {
            self.reach(peer).await?;
            self.ask(|reply| Command::Request(id, bytes, reply)).await?
        };
        timeout(after, asked)
            .await
            .unwrap_or(Err(NetError::TimedOut { node: peer, after }))
    }

    /// Opens a bulk stream to `peer`, connecting first if need be. The other side has said hello: it
    /// has room for the stream. Opens to one peer wait for one another.
    ///
    /// # Errors
    /// [`NetError::Unreachable`], [`NetError::Bulk`] after [`limits::BULK_ATTEMPTS`].
    pub async fn open_bulk(&self, peer: NodeId) -> Result<BulkStream, NetError> {
        self.openers.open(peer, || self.reach(peer)).await
    }

    /// Publishes to all who follow `topic`. Publishing the same bytes again is no error and sends
    /// nothing within a minute.
    ///
    /// # Errors
    /// [`NetError::NoSubscribers`] while nobody suitable is connected, [`NetError::TooLarge`] above
    /// [`limits::MAX_GOSSIP`], [`NetError::Publish`].
    pub async fn publish(&self, topic: Topic, bytes: Vec<u8>) -> Result<(), NetError> {
        within_limit(bytes.len(), limits::MAX_GOSSIP)?;
        self.ask(|reply| Command::Publish(topic, bytes, reply))
            .await?
    }

    /// Judges a gossip message: only an accepted one is passed on. Each is to be judged, once, within
    /// seconds.
    ///
    /// # Errors
    /// [`NetError::Closed`].
    pub async fn report(&self, token: MessageToken, verdict: Verdict) -> Result<(), NetError> {
        self.send(Command::Report(token, verdict)).await
    }

    /// Remembers where `peer` listens (from an offer, an invite).
    ///
    /// # Errors
    /// [`NetError::NotAKey`], [`NetError::Closed`].
    pub async fn add_addrs(&self, peer: NodeId, addrs: Vec<Multiaddr>) -> Result<(), NetError> {
        self.send(Command::AddAddrs(peer_id(&peer)?, addrs)).await
    }

    /// Begins to dial an address, whoever is there; success shows as a `Connected` event.
    ///
    /// # Errors
    /// [`NetError::Dial`] when the address cannot be dialled at all.
    pub async fn dial(&self, addr: Multiaddr) -> Result<(), NetError> {
        self.ask(|reply| Command::Dial(addr, reply)).await?
    }

    /// The connected peers.
    ///
    /// # Errors
    /// [`NetError::Closed`].
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, NetError> {
        self.ask(Command::Peers).await
    }

    /// The addresses at which we listen, without `/p2p/` part, as others may be told them.
    ///
    /// # Errors
    /// [`NetError::Closed`].
    pub async fn listen_addrs(&self) -> Result<Vec<Multiaddr>, NetError> {
        self.ask(Command::ListenAddrs).await
    }

    /// Announces that we keep something under `key`: now, whenever a small network grows, and every
    /// [`limits::RECORD_AGAIN`], until [`NetHandle::stop_providing`].
    ///
    /// # Errors
    /// [`NetError::TooMany`] beyond [`limits::MAX_PROVIDED`] keys, [`NetError::Closed`].
    pub async fn provide(&self, key: Hash) -> Result<(), NetError> {
        self.ask(|reply| Command::Provide(key, reply)).await?
    }

    /// Announces `key` no more; others remember what they were told for [`limits::RECORD_TTL`].
    ///
    /// # Errors
    /// [`NetError::Closed`].
    pub async fn stop_providing(&self, key: Hash) -> Result<(), NetError> {
        self.send(Command::StopProviding(key)).await
    }

    /// The peers that say they keep something under `key`, as far as they are found within `wait`;
    /// we ourselves are left out.
    ///
    /// # Errors
    /// [`NetError::TooMany`] beyond [`limits::MAX_LOOKUPS`], [`NetError::Closed`].
    pub async fn find_providers(&self, key: Hash, wait: Duration) -> Result<Vec<NodeId>, NetError> {
        let until = Instant::now() + wait;
        self.ask(|reply| Command::FindProviders(key, until, reply))
            .await?
    }

    /// Connects to `peer` if we are not, trying until `deadline` as long as it is unreachable.
    ///
    /// # Errors
    /// [`NetError::TimedOut`] at the deadline.
    pub async fn wait_connected(&self, peer: NodeId, deadline: Instant) -> Result<(), NetError> {
        let began = Instant::now();
        let late = NetError::TimedOut {
            node: peer,
            after: deadline.saturating_duration_since(began),
        };
        let mut wait = limits::BULK_RETRY;
        let connected = async {
            loop {
                match self.reach(peer).await {
                    Err(NetError::Unreachable { .. }) => {
                        tokio::time::sleep(wait).await;
                        wait = (wait * 2).min(limits::BULK_RETRY_MAX);
                    }
                    other => return other,
                }
            }
        };
        timeout_at(deadline, connected).await.unwrap_or(Err(late))
    }

    /// Closes all connections and ends the task; returns when it has ended. Other handles find the
    /// network closed.
    pub async fn shutdown(&self) {
        if self.commands.send(Command::Shutdown).await.is_err() {
            tracing::debug!("already shut down");
        }
        if let Some(running) = self.running.lock().await.take()
            && let Err(error) = running.await
        {
            tracing::error!(%error, "the network's task ended badly");
        }
    }

    /// Resolves when the transport has ended, for whatever reason.
    pub async fn closed(&self) {
        self.commands.closed().await;
    }

    async fn reach(&self, peer: NodeId) -> Result<(), NetError> {
        let id = peer_id(&peer)?;
        self.ask(|waiter| Command::Reach(id, waiter)).await?
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, NetError> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply)).await?;
        answer.await.map_err(|_| NetError::Closed)
    }

    async fn send(&self, command: Command) -> Result<(), NetError> {
        self.commands
            .send(command)
            .await
            .map_err(|_| NetError::Closed)
    }
}

fn within_limit(len: usize, max: usize) -> Result<(), NetError> {
    if len > max {
        return Err(NetError::TooLarge { len, max });
    }
    Ok(())
}
