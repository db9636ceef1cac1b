//! The task that owns the Swarm: commands in, libp2p's events in, our events out. It never waits for
//! the driver: what the driver has no room for is refused, and what it must not miss (who is
//! connected) is kept as the difference between what it was told and what is.

use futures::StreamExt as _;
use larder_types::{Hash, NodeId};
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{self, MessageAcceptance, PublishError};
use libp2p::kad::{InboundRequest, QueryId, QueryResult};
use libp2p::request_response::{self, OutboundRequestId, ResponseChannel};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, kad};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

mod gossip;
mod requests;

use super::NetError;
use super::behaviour::{Behaviour, BehaviourEvent, Names};
use super::book::Book;
use super::codec::{Answer, Ask, Lease};
use super::event::{MessageToken, NetEvent, PeerInfo, Responder, Topic, Verdict};
use super::identity::{node_id, peer_id};
use super::limits;
use super::providing::Providing;
use super::reach::{Reaching, Step, Waiter, answer};
use super::records::LookUp;

/// What a handle asks of the task.
#[derive(Debug)]
pub(super) enum Command {
    Reach(PeerId, Waiter),
    Request(PeerId, Vec<u8>, oneshot::Sender<Result<Vec<u8>, NetError>>),
    Respond(ResponseChannel<Answer>, Answer),
    Publish(Topic, Vec<u8>, oneshot::Sender<Result<(), NetError>>),
    Report(MessageToken, Verdict),
    AddAddrs(PeerId, Vec<Multiaddr>),
    Dial(Multiaddr, oneshot::Sender<Result<(), NetError>>),
    Peers(oneshot::Sender<Vec<PeerInfo>>),
    ListenAddrs(oneshot::Sender<Vec<Multiaddr>>),
    Provide(Hash, oneshot::Sender<Result<(), NetError>>),
    StopProviding(Hash),
    FindProviders(
        Hash,
        tokio::time::Instant,
        oneshot::Sender<Result<Vec<NodeId>, NetError>>,
    ),
    Shutdown,
}

/// A peer with at least one connection.
#[derive(Debug, Default)]
struct Peer {
    connections: Vec<Connection>,
    agent: String,
}

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    addr: Multiaddr,
    since: Instant,
}

/// A bootstrap peer: dialled again whenever it is lost.
#[derive(Debug)]
pub(super) struct Bootstrap {
    pub(super) peer: PeerId,
    pub(super) next: Instant,
    pub(super) wait: Duration,
}

/// What the task owns.
pub(super) struct Task {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) names: Names,
    pub(super) book: Book,
    pub(super) bootstrap: Vec<Bootstrap>,
    /// To be handed to responders.
    pub(super) to_self: mpsc::WeakSender<Command>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: mpsc::Sender<NetEvent>,
    reaching: Reaching,
    pub(super) providing: Providing,
    pub(super) lookups: HashMap<QueryId, LookUp>,
    pending: BTreeMap<OutboundRequestId, oneshot::Sender<Result<Vec<u8>, NetError>>>,
    peers: BTreeMap<PeerId, Peer>,
    /// Peers that the driver believes to be connected.
    told: BTreeSet<NodeId>,
    /// Peers about which the driver may be wrong.
    changed: BTreeSet<NodeId>,
    /// Our new addresses, not yet told; as many as the system has.
    listening: VecDeque<Multiaddr>,
}

/// How often bootstrap peers, records and look-ups are looked after.
const TICK: Duration = Duration::from_millis(500);

impl Task {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        names: Names,
        book: Book,
        bootstrap: Vec<Bootstrap>,
        (to_self, commands): (mpsc::WeakSender<Command>, mpsc::Receiver<Command>),
        events: mpsc::Sender<NetEvent>,
    ) -> Self {
        Self {
            swarm,
            names,
            book,
            bootstrap,
            to_self,
            commands,
            events,
            reaching: Reaching::default(),
            providing: Providing::default(),
            lookups: HashMap::new(),
            pending: BTreeMap::new(),
            peers: BTreeMap::new(),
            told: BTreeSet::new(),
            changed: BTreeSet::new(),
            listening: VecDeque::new(),
        }
    }

    /// Runs until a handle says so, all handles are gone, or the driver is.
    pub(super) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let events = self.events.clone();
        loop {
            let owes = !self.changed.is_empty() || !self.listening.is_empty();
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm(event),
                command = self.commands.recv() => match command {
                    Some(Command::Shutdown) | None => break,
                    Some(command) => self.on_command(command),
                },
                room = events.reserve(), if owes => match room {
                    Ok(room) => if let Some(event) = self.next_owed() { room.send(event) },
                    Err(_) => break,
                },
                _ = tick.tick() => {
                    let now = Instant::now();
                    self.look_after_bootstrap(now);
                    self.look_after_records(now);
                    self.end_lookups();
                }
                () = events.closed() => break,
            }
        }
        self.close().await;
    }

    /// Processes events until each listener has an address or the time is over.
    pub(super) async fn settle(&mut self, listeners: usize) {
        let deadline = tokio::time::Instant::now() + limits::LISTEN_TIMEOUT;
        while self.listening.len() < listeners {
            match tokio::time::timeout_at(deadline, self.swarm.select_next_some()).await {
                Ok(event) => self.on_swarm(event),
                Err(_) => return,
            }
        }
    }

    /// Closes all connections and waits for that, briefly.
    async fn close(mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            if self.swarm.disconnect_peer_id(peer).is_err() {
                tracing::trace!(%peer, "already gone");
            }
        }
        let deadline = tokio::time::Instant::now() + limits::SHUTDOWN_TIMEOUT;
        while self
            .swarm
            .network_info()
            .connection_counters()
            .num_established()
            > 0
        {
            if tokio::time::timeout_at(deadline, self.swarm.select_next_some())
                .await
                .is_err()
            {
                return;
            }
        }
    }

    /// The next thing that the driver must not miss.
    fn next_owed(&mut self) -> Option<NetEvent> {
        if let Some(addr) = self.listening.pop_front() {
            return Some(NetEvent::Listening(addr));
        }
        while let Some(node) = self.changed.pop_first() {
            let is = peer_id(&node).is_ok_and(|peer| self.peers.contains_key(&peer));
            if is && self.told.insert(node) {
                return Some(NetEvent::Connected(node));
            }
            if !is && self.told.remove(&node) {
                return Some(NetEvent::Disconnected(node));
            }
        }
        None
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Reach(peer, waiter) => self.reach(peer, Some(waiter)),
            Command::Request(peer, bytes, reply) => self.request(peer, bytes, reply),
            Command::Respond(channel, answer) => self.respond(channel, answer),
            Command::Publish(topic, bytes, reply) => {
                let done = self.publish(topic, bytes);
                answer(Some(reply), done);
            }
            Command::Report(token, verdict) => self.judge(&token, verdict.into()),
            Command::AddAddrs(peer, addrs) => self.book.add(peer, addrs),
            Command::Dial(addr, reply) => {
                let done = self.dial(addr);
                answer(Some(reply), done);
            }
            Command::Peers(reply) => answer(Some(reply), self.peer_infos()),
            Command::ListenAddrs(reply) => answer(Some(reply), self.listen_addrs()),
            Command::Provide(key, reply) => {
                let done = self.provide(key);
                answer(Some(reply), done);
            }
            Command::StopProviding(key) => self.stop_providing(&key),
            Command::FindProviders(key, until, reply) => self.find_providers(key, until, reply),
            Command::Shutdown => {}
        }
    }

    // Reaching peers.

    fn reach(&mut self, peer: PeerId, waiter: Option<Waiter>) {
        if self.swarm.is_connected(&peer) {
            return answer(waiter, Ok(()));
        }
        let known = self.book.get(&peer);
        let step = self.reaching.begin(peer, known, waiter);
        self.take(peer, step);
    }

    /// Does what an attempt wants next, until something is under way or nothing is left.
    fn take(&mut self, peer: PeerId, step: Option<Step>) {
        let mut next = step;
        while let Some(step) = next.take() {
            match step {
                Step::Dial(addrs) => next = self.dial_peer(peer, addrs),
                Step::LookUp => {
                    let query = self.swarm.behaviour_mut().kad.get_closest_peers(peer);
                    self.reaching.looking_up(&peer, query);
                }
                Step::GiveUp => self.reaching.failed(&peer),
            }
        }
    }

    /// Dials; says what to do next if that fails at once.
    fn dial_peer(&mut self, peer: PeerId, addrs: Vec<Multiaddr>) -> Option<Step> {
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addrs)
            .build();
        let id = opts.connection_id();
        self.reaching.dialing(&peer, Some(id));
        match self.swarm.dial(opts) {
            Ok(()) => None,
            Err(DialError::DialPeerConditionFalse(_)) => {
                self.reaching.dialing(&peer, None);
                None
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "cannot dial");
                self.reaching.dial_failed(&peer, id)
            }
        }
    }

    fn dial(&mut self, addr: Multiaddr) -> Result<(), NetError> {
        let opts = DialOpts::unknown_peer_id().address(addr.clone()).build();
        self.swarm.dial(opts).map_err(|e| NetError::Dial {
            addr,
            reason: e.to_string(),
        })
    }

    fn look_after_bootstrap(&mut self, now: Instant) {
        let mut due = Vec::new();
        for boot in &mut self.bootstrap {
            if self.swarm.is_connected(&boot.peer) {
                boot.wait = limits::BOOTSTRAP_WAIT;
                boot.next = now;
            } else if now >= boot.next {
                boot.next = now + boot.wait;
                boot.wait = (boot.wait * 2).min(limits::BOOTSTRAP_WAIT_MAX);
                due.push(boot.peer);
            }
        }
        for peer in due {
            self.reach(peer, None);
        }
    }

    // Libp2p's events.

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the enum is non-exhaustive; what is left needs no act"
    )]
    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => self.on_connected(peer_id, connection_id, &endpoint),
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                cause,
                ..
            } => {
                tracing::debug!(%peer_id, ?cause, "connection closed");
                self.on_closed(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(peer),
                connection_id,
                error,
            } => {
                tracing::debug!(%peer, %error, "dial failed");
                let step = self.reaching.dial_failed(&peer, connection_id);
                self.take(peer, step);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                if !self.listening.contains(&address) {
                    self.listening.push_back(address);
                }
            }
            SwarmEvent::ListenerClosed {
                addresses, reason, ..
            } => tracing::error!(?addresses, ?reason, "no longer listening"),
            other => tracing::trace!(?other, "swarm"),
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Ask(event) => self.on_ask(event),
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Identify(event) => self.on_identify(event),
            BehaviourEvent::Kad(event) => self.on_kad(event),
            BehaviourEvent::Ping(_) | BehaviourEvent::Bulk(()) => {}
            BehaviourEvent::Limits(never) | BehaviourEvent::Memory(never) => match never {},
        }
    }

    fn on_connected(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        let Some(node) = node_id(&peer) else {
            return self.drop_peer(peer, "its key is not ed25519");
        };
        let connection = Connection {
            id,
            addr: endpoint.get_remote_address().clone(),
            since: Instant::now(),
        };
        let known = self.peers.entry(peer).or_default();
        known.connections.push(connection);
        self.changed.insert(node);
        self.reaching.connected(&peer);
    }

    fn on_closed(&mut self, peer: PeerId, id: ConnectionId) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        known.connections.retain(|c| c.id != id);
        if known.connections.is_empty() {
            self.peers.remove(&peer);
            self.changed.extend(node_id(&peer));
        }
    }

    fn drop_peer(&mut self, peer: PeerId, why: &str) {
        tracing::info!(%peer, why, "disconnecting a peer");
        if self.swarm.disconnect_peer_id(peer).is_err() {
            tracing::trace!(%peer, "already gone");
        }
    }

    /// Learns where a peer listens; tells Kademlia if the peer answers Kademlia's questions.
    fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id, info, .. } = event else {
            return;
        };
        if info.protocol_version != self.names.version() {
            return self.drop_peer(peer_id, "it belongs to another network");
        }
        if let Some(peer) = self.peers.get_mut(&peer_id) {
            peer.agent = info.agent_version.chars().take(64).collect();
        }
        let addrs: Vec<Multiaddr> = info
            .listen_addrs
            .into_iter()
            .filter(|addr| self.book.usable(addr))
            .take(limits::MAX_BOOK_ADDRS)
            .collect();
        self.book.add(peer_id, addrs.clone());
        if info.protocols.contains(&self.names.kad()) {
            for addr in addrs {
                self.swarm.behaviour_mut().kad.add_address(&peer_id, addr);
            }
            // In a larger network others are near enough, and the next round reaches newcomers.
            if self.peers.len() <= kad::K_VALUE.get() {
                self.providing.grown(Instant::now());
            }
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "Kademlia's own bookkeeping needs no act"
    )]
    fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            } => match result {
                QueryResult::GetClosestPeers(result) => self.peers_found(id, result, step.last),
                QueryResult::GetProviders(result) => self.providers_found(id, result, step.last),
                _ => {}
            },
            kad::Event::InboundRequest {
                request:
                    InboundRequest::AddProvider {
                        record: Some(record),
                    },
            } => self.on_record(record),
            _ => {}
        }
    }

    fn peers_found(&mut self, id: QueryId, result: kad::GetClosestPeersResult, last: bool) {
        let found = match result {
            Ok(ok) => ok.peers,
            Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        for peer in found {
            self.book.add(peer.peer_id, peer.addrs);
        }
        if last && let Some(peer) = self.reaching.looked_up(id) {
            let known = self.book.get(&peer);
            let step = self.reaching.found(&peer, known);
            self.take(peer, step);
        }
    }

    // Reports.

    fn peer_infos(&self) -> Vec<PeerInfo> {
        self.peers
            .iter()
            .filter_map(|(id, peer)| {
                Some(PeerInfo {
                    node: node_id(id)?,
                    addrs: peer.connections.iter().map(|c| c.addr.clone()).collect(),
                    connected_since: peer.connections.first()?.since,
                    agent: peer.agent.clone(),
                })
            })
            .collect()
    }

    fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.swarm
            .listeners()
            .chain(self.swarm.external_addresses())
            .filter(|addr| self.book.usable(addr))
            .cloned()
            .collect()
    }
}
