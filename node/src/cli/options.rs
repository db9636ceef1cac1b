//! What the verbs `init` and `up` hand to the node: plain values, already parsed. Precedence is
//! flag, then environment, then `config.toml`, then default; `None` means that neither flag nor
//! environment said anything.

use larder_ledger::Consensus;
use larder_types::size::MIB;
use larder_types::{AccountId, Amount, Bytes, Millis, Profile};
use std::fmt;
use std::net::SocketAddr;
use zeroize::Zeroizing;

/// The least that can be offered: one step of capacity (64 MiB) and what the store writes beside it.
pub const LEAST_QUOTA: Bytes = Bytes(65 * MIB);

/// What `larder init` was asked for.
#[derive(Clone)]
pub struct InitOptions {
    /// The network that the new home belongs to.
    pub network: Network,
    /// The words to use, as the user wrote them; `None`: make new ones.
    pub words: Option<Zeroizing<String>>,
}

/// Which network a new home belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// Found one; this home's account holds the genesis credit and its node validates.
    New {
        /// The parameter set.
        profile: Profile,
        /// Another length of epochs; slots and windows scale with it.
        epoch: Option<Millis>,
        /// How its blocks are put in order.
        consensus: Consensus,
    },
    /// Join one by its invite string.
    Join {
        /// The invite string, as it was pasted.
        invite: String,
    },
}

/// What `larder init` made.
#[derive(Clone)]
pub struct InitOutcome {
    /// The account, from the words.
    pub account: AccountId,
    /// The node's libp2p peer id.
    pub peer_id: String,
    /// The twenty-four words, to be shown once.
    pub words: Zeroizing<String>,
}

/// What `larder up` was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpOptions {
    /// Multiaddrs to listen on; empty: as configured.
    pub listen: Vec<String>,
    /// Where the RPC listens; port 0 means any.
    pub rpc: Option<SocketAddr>,
    /// The quota to offer; `None`: as configured, which may be not to provide at all.
    pub provide: Option<Bytes>,
    /// The price in nano per GiB and 30 days.
    pub price: Option<Amount>,
    /// The provider's region, at most 16 bytes.
    pub region: Option<String>,
    /// The provider's operator, at most 64 bytes.
    pub operator: Option<String>,
    /// Whether to make blocks.
    pub validate: bool,
    /// The multiaddr on which the consensus listens.
    pub consensus_listen: Option<String>,
}

/// What a node says once it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Where the RPC listens.
    pub rpc: SocketAddr,
    /// The node's libp2p peer id.
    pub peer_id: String,
    /// Multiaddrs that it listens on.
    pub listen: Vec<String>,
}

impl fmt::Debug for InitOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InitOptions")
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for InitOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InitOutcome")
            .field("account", &self.account)
            .field("peer_id", &self.peer_id)
            .finish_non_exhaustive()
    }
}
