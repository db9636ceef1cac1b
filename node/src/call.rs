//! What nodes ask each other over the transport: the engines' requests, and what the shells need
//! beside them (the chain, transactions, proofs). Canonical DAG-CBOR.

use larder_engine::wire::{Request, Response};
use larder_ledger::{Header, Tx};
use larder_types::{GenesisHash, NodeId, Signature, SlotNo};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// A question to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// From engine to engine.
    Engine(Request),
    /// Take this transaction, if you make blocks.
    Tx(Tx),
    /// Take this possession proof, if you make blocks.
    Proof {
        /// The slot.
        slot: SlotNo,
        /// The ProofBlob.
        blob: ByteBuf,
    },
    /// The blocks from this height on.
    Blocks {
        /// The first wanted.
        from: u64,
    },
    /// The network's genesis document.
    Genesis,
}

/// The answer to a [`Call`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Call::Engine`].
    Engine(Response),
    /// Taken, or known already.
    Taken,
    /// Not taken, and sending it again will not help.
    Refused(String),
    /// Not taken, though it breaks no rule: later, perhaps.
    Busy,
    /// Encoded blocks, oldest first; none if there are none.
    Blocks(Vec<ByteBuf>),
    /// The encoded genesis document.
    Genesis(ByteBuf),
}

/// What is gossiped of a new block: its head, signed. The block itself is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadNote {
    /// The header.
    pub header: Header,
    /// The validator's signature.
    pub sig: Signature,
}

impl HeadNote {
    /// Whether the network's validator signed it.
    #[must_use]
    pub fn is_signed_by(&self, validator: &NodeId, genesis: &GenesisHash) -> bool {
        self.header.verify(&self.sig, validator, genesis)
    }
}
