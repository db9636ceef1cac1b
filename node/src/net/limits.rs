//! The transport's bounds, each with its reason. Sizes in bytes, times as durations.

use std::time::Duration;

/// Largest request: a revision with its puts for a contract of many shards fits well.
pub const MAX_REQUEST: usize = 1 << 20;
/// Largest response: a page of blocks.
pub const MAX_RESPONSE: usize = 4 << 20;
/// Largest gossip message: a block head or an offer is far smaller, a small block fits.
pub const MAX_GOSSIP: usize = 512 << 10;
/// Room for gossipsub's own framing (signature, key, topic) around a message.
pub const GOSSIP_OVERHEAD: usize = 4 << 10;
/// All requests and responses being received or awaiting an answer, together: what one node lends to
/// its peers' control traffic.
pub const MAX_HELD: usize = 64 << 20;
/// How long a rejected gossip message counts against the peer that sent it.
pub const REJECT_MEMORY: Duration = Duration::from_secs(600);
/// Largest header of a transfer.
pub const MAX_HEADER: usize = 64 << 10;
/// Buffer with which payloads are copied.
pub const COPY_BUFFER: usize = 64 << 10;

/// Events waiting for the driver; when full, inbound work is refused.
pub const EVENT_QUEUE: usize = 1024;
/// Commands waiting for the transport; callers wait their turn.
pub const COMMAND_QUEUE: usize = 256;
/// Requests of ours that await an answer.
pub const MAX_PENDING_REQUESTS: usize = 1024;
/// Streams of requests and answers at once on one connection.
pub const MAX_REQUEST_STREAMS: usize = 32;
/// Peers that we are trying to reach at once.
pub const MAX_REACHING: usize = 256;
/// Callers that wait for one peer to be reached.
pub const MAX_WAITERS: usize = 256;

/// The longest that a request may take, on both sides.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection without streams is closed after this: reconnecting costs a handshake, keeping costs
/// little.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// TCP or QUIC connect and handshake.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// One look-up of a peer's addresses.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);
/// Addresses are expected from each listener within this time at start.
pub const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections are closed within this time at shutdown.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// First wait before a lost bootstrap peer is dialled again; doubles up to [`BOOTSTRAP_WAIT_MAX`].
pub const BOOTSTRAP_WAIT: Duration = Duration::from_secs(1);
/// Longest wait before a lost bootstrap peer is dialled again.
pub const BOOTSTRAP_WAIT_MAX: Duration = Duration::from_secs(60);

/// Connections in all. At some 100 KiB each (buffers, handlers) about 50 MiB.
pub const MAX_CONNECTIONS: u32 = 512;
/// Inbound connections in all: the rest stays free for those we dial ourselves.
pub const MAX_CONNECTIONS_IN: u32 = 384;
/// Connections to one peer: both may dial at once, over both transports.
pub const MAX_CONNECTIONS_PER_PEER: u32 = 4;
/// Handshakes under way, each direction.
pub const MAX_HANDSHAKES: u32 = 64;
/// No new connection while the process holds more memory than this.
pub const MAX_PROCESS_MEMORY: usize = 1 << 30;

/// Peers whose addresses are remembered.
pub const MAX_BOOK_PEERS: usize = 4096;
/// Addresses remembered of one peer.
pub const MAX_BOOK_ADDRS: usize = 16;

/// Keys that we announce to keep something under: each costs a look-up every [`RECORD_AGAIN`].
pub const MAX_PROVIDED: usize = 1024;
/// Provider records remembered for others, in all. At some 500 bytes each about 8 MiB.
pub const MAX_RECORDS: usize = 16_384;
/// Of these, records of one peer: it announces no more keys than we would.
pub const MAX_RECORDS_PER_PEER: usize = MAX_PROVIDED;
/// How long a provider record is remembered.
pub const RECORD_TTL: Duration = Duration::from_secs(36 * 3_600);
/// How often our keys are announced again: twice at least within [`RECORD_TTL`].
pub const RECORD_AGAIN: Duration = Duration::from_secs(12 * 3_600);
/// In a network whose members all fit into one answer of Kademlia, our keys are announced again this
/// long after somebody has come; those who come meanwhile are served by the same round.
pub const ANNOUNCE_AGAIN: Duration = Duration::from_secs(2);
/// Keys announced again at once, twice a second: a burst of look-ups must not crowd out others.
pub const ANNOUNCE_BATCH: usize = 16;
/// Look-ups of providers under way.
pub const MAX_LOOKUPS: usize = 64;

/// Bulk streams that peers may have open here, in all.
pub const MAX_BULK_IN: usize = 256;
/// Of these, streams of one peer.
pub const MAX_BULK_IN_PER_PEER: usize = 64;
/// Refusals of bulk streams being written at once; beyond, streams are dropped, which the opener
/// takes for a refusal too.
pub const MAX_BULK_REFUSALS: usize = 64;
/// One attempt to open a bulk stream, hello included.
pub const BULK_OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Attempts to open a bulk stream. Collisions in the acceptor's one-slot queue last microseconds; ten
/// doublings from [`BULK_RETRY`] span seconds, which also outlasts a busy acceptor.
pub const BULK_ATTEMPTS: u32 = 10;
/// First wait between attempts, doubled each time up to [`BULK_RETRY_MAX`], half of it random.
pub const BULK_RETRY: Duration = Duration::from_millis(4);
/// Longest wait between attempts.
pub const BULK_RETRY_MAX: Duration = Duration::from_millis(1000);
/// A transfer that moves no byte for this long is given up.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);
