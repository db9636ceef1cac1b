//! Starting and stopping the engine: its configuration, its place on the network, its address.
//! `docs/protocol.md` §3.8.

use super::BftError;
use super::codec::Cbor;
use super::context::{Larder, Node};
use super::engine::{
    Channels, Codec, ConsensusContext, EngineBuilder, EngineHandle, Keypair, Multiaddr,
    NetworkActorMsg, NetworkEvent, NetworkIdentity, NetworkMsg, NetworkRef, OutputPort,
    OutputPortSubscriberTrait, ProofVerificationResult, RequestContext, SharedRegistry, Subscriber,
    SyncContext, WalContext, config, signing::Signer as _, spawn,
};
use super::keys::{Checks, Hand};
use super::parts::{MAX_BLOCK, PART};
use bytesize::ByteSize;
use larder_types::NodeId;
use std::fs::File;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::mpsc;

/// Requests to the engine that wait.
const REQUESTS: usize = 16;
/// Addresses that a node listens on, at most.
const ADDRESSES: usize = 64;
/// Connections from one address: several validators may share a machine.
const CONNECTIONS_PER_IP: usize = 64;
/// How often a validator says how far it is, besides to each new peer. Said after each block, those that
/// are about to decide it themselves would ask for it.
const STATUS: Duration = Duration::from_secs(3);
/// How long the engine may take to stop.
const STOP: Duration = Duration::from_secs(10);

/// The engine, running.
pub(super) struct Engine {
    pub(super) channels: Channels<Larder>,
    network: NetworkRef<Larder>,
    pub(super) handle: EngineHandle,
    log: PathBuf,
}

/// The engine's configuration.
pub(super) struct Config {
    moniker: String,
    consensus: config::ConsensusConfig,
    sync: config::ValueSyncConfig,
}

impl config::NodeConfig for Config {
    fn moniker(&self) -> &str {
        &self.moniker
    }

    fn consensus(&self) -> &config::ConsensusConfig {
        &self.consensus
    }

    fn consensus_mut(&mut self) -> &mut config::ConsensusConfig {
        &mut self.consensus
    }

    fn value_sync(&self) -> &config::ValueSyncConfig {
        &self.sync
    }

    fn value_sync_mut(&mut self) -> &mut config::ValueSyncConfig {
        &mut self.sync
    }
}

fn bytes(count: usize) -> ByteSize {
    ByteSize::b(u64::try_from(count).expect("sizes are below 2^64"))
}

fn config(node: &NodeId, listen: Multiaddr, peers: Vec<Multiaddr>) -> Config {
    let p2p = config::P2pConfig {
        listen_addr: listen,
        persistent_peers: peers,
        discovery: config::DiscoveryConfig {
            max_connections_per_ip: CONNECTIONS_PER_IP,
            ip_throttle_duration: Duration::ZERO,
            ..config::DiscoveryConfig::default()
        },
        pubsub_max_size: bytes(2 * PART),
        rpc_max_size: bytes(2 * MAX_BLOCK),
        ..config::P2pConfig::default()
    };
    let consensus = config::ConsensusConfig {
        p2p,
        value_payload: config::ValuePayload::ProposalAndParts,
        ..config::ConsensusConfig::default()
    };
    let sync = config::ValueSyncConfig {
        status_update_interval: STATUS,
        max_response_size: bytes(MAX_BLOCK + MAX_BLOCK / 2),
        ..config::ValueSyncConfig::default()
    };
    Config {
        moniker: node.to_string(),
        consensus,
        sync,
    }
}

impl Engine {
    /// Starts it. It asks for its first height once it listens.
    pub(super) async fn start(
        hand: Hand,
        log: PathBuf,
        listen: &str,
        peers: &[String],
    ) -> Result<Self, BftError> {
        let node = hand.node.node();
        probe(listen).map_err(|_| BftError::Listen(listen.to_owned()))?;
        let (config, network, to_network) = join(&hand, listen, peers).await?;
        let checks = Box::new(Checks(hand.genesis));
        let consensus = ConsensusContext::new_validator(Node(node), checks, Box::new(hand));
        let built = EngineBuilder::new(Larder, config)
            .with_default_wal(WalContext::new(log.clone(), Cbor))
            .with_custom_network(network.clone(), to_network)
            .with_default_sync(SyncContext::new(Cbor))
            .with_default_consensus(consensus)
            .with_default_request(RequestContext::new(REQUESTS))
            .build()
            .await;
        match built {
            Ok((channels, handle)) => Ok(Self {
                channels,
                network,
                handle,
                log,
            }),
            Err(e) => {
                network.stop(None);
                Err(failed(&e))
            }
        }
    }

    /// The addresses that it listens on, with their real ports, this node's id at the end of each.
    pub(super) async fn addresses(&self, node: &NodeId) -> Vec<String> {
        let (sender, mut addresses) = mpsc::channel(ADDRESSES);
        let asks = Asks(Mutex::new(Some(sender)));
        let asked = self
            .network
            .cast(NetworkActorMsg::Subscribe(Box::new(asks)));
        let mut found = Vec::new();
        if asked.is_ok() {
            while let Some(address) = addresses.recv().await {
                found.push(format!("{address}/p2p/{}", peer_id(node)));
            }
        }
        found
    }

    /// Drops all connections to a node; one that it keeps connected to is dialled again at once. The engine has
    /// no word for it but that the node's proof of being a validator does not hold.
    pub(super) fn drop_peer(&self, node: &NodeId) {
        let dropped = NetworkActorMsg::ValidatorProofVerified {
            peer_id: peer(node),
            result: ProofVerificationResult::Invalid,
            public_key: None,
        };
        if self.network.cast(dropped).is_err() {
            tracing::debug!("the engine's network has stopped");
        }
    }

    /// Stops it and waits until its files and its port are free.
    pub(super) async fn stop(self) {
        let Self {
            channels,
            network,
            handle,
            log,
        } = self;
        drop(channels);
        let cell = handle.actor.get_cell();
        cell.stop_children_and_wait(None, Some(STOP)).await;
        drop(network);
        handle.actor.stop(None);
        if tokio::time::timeout(STOP, handle.handle).await.is_err() {
            tracing::warn!("the consensus engine did not stop in time");
        }
        // Its log is written by a thread that ends by itself, and holds a lock until then.
        let closed = tokio::task::spawn_blocking(move || File::open(log)?.lock());
        match tokio::time::timeout(STOP, closed).await {
            Ok(Ok(Ok(()))) => {}
            // Deleted meanwhile: nobody holds it.
            Ok(Ok(Err(e))) if e.kind() == io::ErrorKind::NotFound => {}
            Ok(_) | Err(_) => tracing::warn!("the consensus engine did not close its log in time"),
        }
    }
}

/// Binds and lets go. The engine listens with `SO_REUSEPORT`; it would share the port with another node of one
/// user without a word, each receiving half of the connections.
fn probe(listen: &str) -> std::io::Result<()> {
    let parts: Vec<&str> = listen.split('/').collect();
    let ["", "ip4" | "ip6", ip, "tcp", port] = parts[..] else {
        return Ok(());
    };
    match (ip.parse::<IpAddr>(), port.parse::<u16>()) {
        (Ok(ip), Ok(port)) => TcpListener::bind((ip, port)).map(drop),
        // What the engine makes of it, it says itself.
        (Err(_), _) | (_, Err(_)) => Ok(()),
    }
}

/// Joins the engine's network as a validator.
pub(super) async fn join(
    hand: &Hand,
    listen: &str,
    peers: &[String],
) -> Result<(Config, NetworkRef<Larder>, mpsc::Sender<NetworkMsg<Larder>>), BftError> {
    let peers: Result<Vec<Multiaddr>, BftError> = peers.iter().map(|p| address(p)).collect();
    let config = config(&hand.node.node(), address(listen)?, peers?);
    let identity = identity(hand).await.map_err(|e| failed(&e))?;
    let registry = SharedRegistry::global().with_moniker(&config.moniker);
    let (network, to_network) =
        spawn::spawn_network_actor(identity, &config.consensus, &config.sync, &registry, Cbor)
            .await
            .map_err(|e| failed(&e))?;
    Ok((config, network, to_network))
}

fn failed(e: &dyn std::fmt::Display) -> BftError {
    BftError::Start(format!("{e:#}"))
}

/// The engine's address of a validator.
///
/// # Errors
/// [`BftError::Address`].
pub(super) fn address(text: &str) -> Result<Multiaddr, BftError> {
    text.parse().map_err(|_| BftError::Address(text.to_owned()))
}

/// The libp2p name of a node key, as it stands at the end of an address. Every libp2p gives the same.
///
/// # Panics
/// Never: any 32 bytes are a name.
#[must_use]
pub(super) fn peer_id(node: &NodeId) -> String {
    peer(node).to_string()
}

/// The same as the engine has it: an identity multihash over the key's protobuf form.
pub(super) fn peer(node: &NodeId) -> super::engine::PeerId {
    let bytes = [&[0, 36, 8, 1, 18, 32][..], &node.0].concat();
    super::engine::PeerId::from_bytes(&bytes).expect("any 32 bytes are a name")
}

async fn identity(
    hand: &Hand,
) -> Result<NetworkIdentity, Box<dyn std::error::Error + Send + Sync>> {
    let mut seed = hand.node.to_seed();
    let keypair = Keypair::ed25519_from_bytes(&mut seed[..])?;
    let node = hand.node.node();
    let peer = keypair.public().to_peer_id().to_bytes();
    let proof = hand.sign_validator_proof(node.0.to_vec(), peer).await?;
    let proof = Cbor.encode(&proof)?;
    let name = node.to_string();
    Ok(NetworkIdentity::new_validator(
        name.clone(),
        keypair,
        name,
        proof,
    ))
}

/// Asks the network for what it listens on: what it knows, it says at once.
struct Asks(Mutex<Option<mpsc::Sender<String>>>);

impl OutputPortSubscriberTrait<NetworkEvent<Larder>> for Asks {
    fn subscribe_to_port(&self, _: &OutputPort<NetworkEvent<Larder>>) {
        // Later events are not wanted: the answer is complete.
        if let Ok(mut sender) = self.0.lock() {
            sender.take();
        }
    }
}

impl Subscriber<NetworkEvent<Larder>> for Asks {
    fn send(&self, event: NetworkEvent<Larder>) {
        if let (NetworkEvent::Listening(address), Ok(sender)) = (event, self.0.lock())
            && let Some(sender) = sender.as_ref()
            && sender.try_send(address.to_string()).is_err()
        {
            tracing::debug!("more addresses than are told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_another_listens_on_is_not_shared() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let listen = format!("/ip4/127.0.0.1/tcp/{port}");
        assert!(probe(&listen).is_err());
        drop(other);
        for free in [listen.as_str(), "/ip4/127.0.0.1/tcp/0", "/dns/here/tcp/1"] {
            assert!(probe(free).is_ok(), "{free}");
        }
    }
}
