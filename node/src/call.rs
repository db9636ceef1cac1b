//! What nodes ask each other over the transport: the engines' requests, and what the shells need
//! beside them (the chain, transactions, proofs). Canonical DAG-CBOR.

use larder_engine::wire::{Request, Response};
use larder_ledger::{Authority, Header, ProofAck, Tx, verify};
use larder_types::{NodeId, SlotNo};
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
    /// Take this possession proof of another's, which I accepted: from one validator to another.
    Forwarded {
        /// Whose it is.
        provider: NodeId,
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
    /// Where your consensus listens: from one validator to another.
    Consensus,
}

/// The answer to a [`Call`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Call::Engine`].
    Engine(Response),
    /// Taken, or known already.
    Taken,
    /// The same, to [`Call::Proof`]: the validator answers for it with this. One that gives no
    /// acknowledgements says [`Answer::Taken`].
    Acknowledged(ProofAck),
    /// Not taken, and sending it again will not help.
    Refused(String),
    /// Not taken, though it breaks no rule: later, perhaps.
    Busy,
    /// Encoded [`larder_ledger::Certified`] blocks, oldest first; none if there are none.
    Blocks(Vec<ByteBuf>),
    /// The encoded genesis document.
    Genesis(ByteBuf),
    /// The TCP port of the consensus, at the address by which the node is reached; none if it does not
    /// vote.
    Consensus(Option<u16>),
}

/// What is gossiped of a new block: its head, and what makes it final. The block itself is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadNote {
    /// The header.
    pub header: Header,
    /// Its certificate.
    pub certificate: ByteBuf,
}

impl HeadNote {
    /// Whether these validators made it final.
    #[must_use]
    pub fn is_final(&self, authority: &Authority) -> bool {
        verify::certificate(authority, &self.header, &self.certificate).is_ok()
    }
}
