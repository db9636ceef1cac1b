//! The words of `larder network`, and how a new network's blocks are put in order.

use crate::net::node_id;
use clap::{Subcommand, ValueEnum};
use larder_ledger::Consensus;
use larder_types::NodeId;
use std::str::FromStr;

/// How a network's blocks are put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConsensusArg {
    /// By this node alone, for good. It can reorder, leave out and roll back: for yourself and for
    /// friends who trust you.
    Solo,
    /// By validators that agree, more than two thirds of them; this node is the first, and more are
    /// taken in by `larder network add-validator`. From four on, one may fail or cheat.
    Bft,
}

impl From<ConsensusArg> for Consensus {
    fn from(kind: ConsensusArg) -> Self {
        match kind {
            ConsensusArg::Solo => Self::Solo,
            ConsensusArg::Bft => Self::Bft,
        }
    }
}

/// A node, by its libp2p peer id or its node id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeerArg(pub(crate) NodeId);

impl FromStr for PeerArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let by_peer = text.parse().ok().and_then(|peer| node_id(&peer));
        let node = by_peer.or_else(|| text.parse().ok());
        let why = "not a peer id; `larder network validators` shows them";
        node.map(Self).ok_or(why)
    }
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum NetworkCommand {
    /// Show the rules that the network's genesis fixes.
    Params,
    /// List those who make blocks, those who would, and what is being decided.
    Validators,
    /// Approve that a candidate becomes a validator.
    #[command(
        after_help = "Example:\n  larder network add-validator 12D3KooW…\n\nOn a validator's node. The candidate has put itself forward by `larder up --validate`."
    )]
    AddValidator {
        /// Its peer id, as `larder network validators` shows it, or its node id.
        peer: PeerArg,
    },
    /// Approve that a validator or candidate goes; of this node itself: it resigns, at once.
    #[command(
        after_help = "Examples:\n  larder network remove-validator 12D3KooW…\n\nOn a validator's node. Its bond stays locked for a while, and then is paid back."
    )]
    RemoveValidator {
        /// Its peer id, as `larder network validators` shows it, or its node id.
        peer: PeerArg,
    },
}
