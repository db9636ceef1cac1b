//! The libp2p protocols that a node speaks and their settings. All but ping and identify carry the
//! network's name, so that two networks never mix.

use larder_types::GenesisHash;
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::request_response::ProtocolSupport;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{
    StreamProtocol, connection_limits, gossipsub, identify, kad, memory_connection_limits, ping,
    request_response,
};

use super::NetError;
use super::codec::Codec;
use super::event::Topic;
use super::limits;

/// What `Swarm` drives.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) limits: connection_limits::Behaviour,
    pub(super) memory: memory_connection_limits::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) kad: kad::Behaviour<MemoryStore>,
    pub(super) gossip: Gossip,
    pub(super) ask: request_response::Behaviour<Codec>,
    pub(super) bulk: libp2p_stream::Behaviour,
}

/// Gossip that follows nothing but our topics.
pub(super) type Gossip =
    gossipsub::Behaviour<gossipsub::IdentityTransform, gossipsub::WhitelistSubscriptionFilter>;

/// The protocol names of one network: `/larder/<first 16 hex digits of the genesis hash>/…`.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(genesis: &GenesisHash) -> Self {
        Self {
            prefix: format!("/larder/{}", hex::encode(&genesis.0[..8])),
        }
    }

    fn protocol(&self, rest: &str) -> StreamProtocol {
        StreamProtocol::try_from_owned(format!("{}/{rest}", self.prefix))
            .expect("the name begins with a slash")
    }

    /// Kademlia.
    pub(super) fn kad(&self) -> StreamProtocol {
        self.protocol("kad/1")
    }

    /// Requests and answers.
    pub(super) fn ask(&self) -> StreamProtocol {
        self.protocol("ask/1")
    }

    /// Bulk streams.
    pub(super) fn bulk(&self) -> StreamProtocol {
        self.protocol("bulk/1")
    }

    /// The version string of identify: peers with another one belong elsewhere.
    pub(super) fn version(&self) -> String {
        format!("{}/1", self.prefix)
    }

    /// A gossip topic.
    pub(super) fn topic(&self, topic: Topic) -> gossipsub::IdentTopic {
        gossipsub::IdentTopic::new(format!("{}/{}/1", self.prefix, topic.name()))
    }
}

/// All protocols, set up; `server` when we listen and so answer Kademlia's questions.
pub(super) fn behaviour(key: &Keypair, names: &Names, server: bool) -> Result<Behaviour, NetError> {
    Ok(Behaviour {
        limits: connection_limits::Behaviour::new(connection_limits()),
        memory: memory_connection_limits::Behaviour::with_max_bytes(limits::MAX_PROCESS_MEMORY),
        identify: identify::Behaviour::new(
            identify::Config::new(names.version(), key.public())
                .with_agent_version(concat!("larder/", env!("CARGO_PKG_VERSION")).to_owned())
                .with_push_listen_addr_updates(true)
                // The address book is ours: it knows which addresses may be used.
                .with_cache_size(0),
        ),
        ping: ping::Behaviour::default(),
        kad: kademlia(key, names, server),
        gossip: gossip(key, names)?,
        ask: request_response::Behaviour::new(
            [(names.ask(), ProtocolSupport::Full)],
            request_response::Config::default()
                .with_request_timeout(limits::REQUEST_TIMEOUT)
                .with_max_concurrent_streams(limits::MAX_REQUEST_STREAMS),
        ),
        bulk: libp2p_stream::Behaviour::new(),
    })
}

fn connection_limits() -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_established(Some(limits::MAX_CONNECTIONS))
        .with_max_established_incoming(Some(limits::MAX_CONNECTIONS_IN))
        .with_max_established_per_peer(Some(limits::MAX_CONNECTIONS_PER_PEER))
        .with_max_pending_incoming(Some(limits::MAX_HANDSHAKES))
        .with_max_pending_outgoing(Some(limits::MAX_HANDSHAKES))
}

/// Kademlia for finding peers, and who keeps something under a key. What others want remembered comes
/// as an event and is judged; it never stores values.
fn kademlia(key: &Keypair, names: &Names, server: bool) -> kad::Behaviour<MemoryStore> {
    let id = key.public().to_peer_id();
    let mut config = kad::Config::new(names.kad());
    config
        .set_query_timeout(limits::LOOKUP_TIMEOUT)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_record_ttl(Some(limits::RECORD_TTL))
        .set_provider_publication_interval(Some(limits::RECORD_AGAIN));
    let bounds = MemoryStoreConfig {
        max_records: 0,
        max_provided_keys: limits::MAX_RECORDS + limits::MAX_PROVIDED,
        ..MemoryStoreConfig::default()
    };
    let store = MemoryStore::with_config(id, bounds);
    let mut kad = kad::Behaviour::with_config(id, store, config);
    kad.set_mode(Some(if server {
        kad::Mode::Server
    } else {
        kad::Mode::Client
    }));
    kad
}

/// Gossip of signed messages, each named by its content and held until it is judged.
fn gossip(key: &Keypair, names: &Names) -> Result<Gossip, NetError> {
    let setup = |reason: String| NetError::Setup { reason };
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(names.protocol("gossip").to_string())
        .max_transmit_size(limits::MAX_GOSSIP + limits::GOSSIP_OVERHEAD)
        .max_publish_messages(64)
        .connection_handler_queue_len(256)
        .validation_mode(gossipsub::ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(content_id)
        .build()
        .map_err(|e| setup(e.to_string()))?;
    let topics = Topic::ALL.map(|topic| names.topic(topic));
    let allowed = topics.iter().map(gossipsub::Topic::hash).collect();
    let mut gossip = Gossip::new_with_subscription_filter(
        gossipsub::MessageAuthenticity::Signed(key.clone()),
        config,
        gossipsub::WhitelistSubscriptionFilter(allowed),
    )
    .map_err(|e| setup(e.to_owned()))?;
    let (score, thresholds) = score(&topics);
    gossip.with_peer_score(score, thresholds).map_err(setup)?;
    for topic in &topics {
        gossip.subscribe(topic).map_err(|e| setup(e.to_string()))?;
    }
    Ok(gossip)
}

/// Peers are scored by rejected messages alone: three within minutes, and nothing more is taken from
/// that peer until it has decayed. Rates of delivery say nothing in small networks, and many honest
/// nodes may share one address.
fn score(
    topics: &[gossipsub::IdentTopic],
) -> (gossipsub::PeerScoreParams, gossipsub::PeerScoreThresholds) {
    let topic = gossipsub::TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // Squared and weighed, three rejections make -90; at -80 a peer is no longer heard.
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: gossipsub::score_parameter_decay(limits::REJECT_MEMORY),
        ..Default::default()
    };
    let params = gossipsub::PeerScoreParams {
        topics: topics.iter().map(|t| (t.hash(), topic.clone())).collect(),
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: -1.0,
        ..Default::default()
    };
    (params, gossipsub::PeerScoreThresholds::default())
}

/// BLAKE3 of topic and content: the same message from two peers is one message.
fn content_id(message: &gossipsub::Message) -> gossipsub::MessageId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(blake3::hash(message.topic.as_str().as_bytes()).as_bytes());
    hasher.update(&message.data);
    gossipsub::MessageId::new(hasher.finalize().as_bytes())
}
