//! What nodes say to each other: control requests and the heads of bulk streams, canonical
//! DAG-CBOR. The transport authenticates the peer; what is worth money or data is signed besides.
//! `docs/protocol.md` §3.10.

use crate::head::{SeenHead, SignedHead};
use larder_contracts::{Gift, Pact, Refusal, ShardAck, SignedLeaf, SignedOffer};
use larder_keys::{AccountSigner, Signer, Tag, signing_key, verify};
use larder_ledger::Reduction;
use larder_proofs::{Challenge, ContractLeaf, ProviderTree, ShardLeaf, audit_seed};
use larder_types::layout::Layout;
use larder_types::{
    AccountId, ContractId, GenesisHash, Hash, NodeId, ShardRoot, Signature, SubKeyId, Time,
};
use serde::{Deserialize, Serialize};

/// Most shard leaves in one message.
pub const MAX_LEAVES: usize = 4096;
/// Draws of an audit: with one, its answer is about one shard.
pub const AUDIT_DRAWS: u8 = 1;
/// Most offers in one answer.
pub const MAX_OFFERS: usize = 256;

/// A control request between engines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Open a contract, or change one's money terms: a leaf that the renter has signed.
    Propose(SignedLeaf),
    /// Add shards that the provider has acknowledged; the renter's signature covers the leaf that
    /// both sides compute.
    Revise {
        /// The contract.
        contract: ContractId,
        /// What is added, in order.
        puts: Vec<ShardLeaf>,
        /// The resulting leaf, signed by the renter.
        signed: SignedLeaf,
    },
    /// Sign a revision without some of the shards, and post it: their owner takes them back.
    Reduce(Box<Reduce>),
    /// The newest revision, and the shard leaves beyond the first `have`.
    GetLatest {
        /// The contract.
        contract: ContractId,
        /// How many the renter knows.
        have: u64,
    },
    /// The offers that the peer knows.
    GetOffers,
    /// Keep this head, and announce its key.
    PutHead(Box<SignedHead>),
    /// The heads kept under this rendezvous key.
    GetHeads {
        /// The key.
        key: Hash,
        /// Those that the asker knows already: they, and what is older, are left out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        have: Vec<SeenHead>,
    },
    /// Show one chunk of what the contract holds.
    Audit(Audit),
    /// Honour no right of this reader's any more.
    Revoke(RevokeReader),
    /// Take the sender as a friend: it was invited.
    Befriend(Box<Befriend>),
    /// What the peer gives the sender for nothing, as an offer.
    GetGift,
}

/// An invitation accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Befriend {
    /// What each side gives.
    pub pact: Pact,
    /// By the guest.
    pub sig: Signature,
    /// Where the guest is reached, as multiaddrs.
    pub addrs: Vec<String>,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The provider's countersignature of the leaf in question.
    Signed(Signature),
    /// The newest revision.
    Latest {
        /// As both sides signed it.
        signed: SignedLeaf,
        /// The provider's signature.
        sig_provider: Signature,
        /// Leaves that the renter lacks.
        puts: Vec<ShardLeaf>,
    },
    /// Offers.
    Offers(Vec<SignedOffer>),
    /// The head is kept, or a newer one of its device is: the number of what is kept.
    Kept {
        /// The number.
        seq: u64,
    },
    /// Heads.
    Heads(Vec<SignedHead>),
    /// What a friend gives the asker, if anything.
    Gift(Option<Box<Gift>>),
    /// A ProofBlob (`DSP2`).
    Proof(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The reader's rights under the contract are void, durably.
    Revoked,
    /// No, and why.
    Denied(Deny),
}

/// Why a peer says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Deny {
    /// A rule of contracts.
    #[error("{0}")]
    Contract(Refusal),
    /// The node does not offer space.
    #[error("the node offers no space")]
    NotProviding,
    /// No contract of this id.
    #[error("no such contract")]
    UnknownContract,
    /// No shard of this root under this contract.
    #[error("no such shard")]
    UnknownShard,
    /// The sub-key that signs is not authorised, or not for this.
    #[error("the ledger knows no such right of the key that signed")]
    SubKey,
    /// A signature that does not verify.
    #[error("a signature does not verify")]
    BadSignature,
    /// The revision is not the one after the newest.
    #[error("the revision does not follow the newest one")]
    Stale,
    /// More than the contract's capacity.
    #[error("the contract has no room for it")]
    NoRoom,
    /// The disk is full, or refuses.
    #[error("the disk cannot take it")]
    Disk,
    /// The bytes do not hash to the promised root, or are too few or too many.
    #[error("the bytes are not those that were promised")]
    WrongBytes,
    /// Too much at once; later, perhaps.
    #[error("busy")]
    Busy,
    /// No such invitation, or no friend.
    #[error("the node does not know you as a friend; ask for a new invitation")]
    Stranger,
    /// The owner has taken the right back.
    #[error("the owner has taken this right back")]
    Revoked,
}

/// How a bulk stream begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BulkHeader {
    /// Take this shard.
    Place(PlaceShard),
    /// Give me this shard.
    Read(ReadCap),
}

/// A provider's word on a bulk stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BulkReply {
    /// Send the bytes (to `Place`), or they follow (to `Read`).
    Go,
    /// The shard rests here, synced.
    Ack(ShardAck),
    /// No, and why.
    Denied(Deny),
}

/// The right to place one shard under a contract, signed by the renter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceShard {
    /// The contract.
    pub contract: ContractId,
    /// What will stand in the content tree.
    pub leaf: ShardLeaf,
    /// The renter's sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key.
    pub sig: Signature,
}

/// Shards that their owner takes back, as the account's admin key allows. `docs/protocol.md` §3.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reduce {
    /// The contract.
    pub contract: ContractId,
    /// Their places in its tree, ascending.
    pub places: Vec<u32>,
    /// The revision, and what allows it.
    pub reduction: Reduction,
}

/// The right to read one shard, signed by the owner for one reader. `docs/protocol.md` §3.9.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadCap {
    /// The contract.
    pub contract: ContractId,
    /// The shard.
    pub root: ShardRoot,
    /// Who may read: a node; or a key that is no node, and lets one read by a [`ReadPass`].
    pub reader: NodeId,
    /// Until when.
    pub expiry: Time,
    /// The owner's sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key.
    pub sig: Signature,
    /// Which node reads, where the reader is none. The owner's signature does not cover it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<ReadPass>,
}

/// A reader that is no node lets one read in its place. `docs/protocol.md` §3.13.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadPass {
    /// The node.
    pub node: NodeId,
    /// Until when.
    pub expiry: Time,
    /// By the reader's key.
    pub sig: Signature,
}

/// The owner takes back what one reader may read under a contract. `docs/protocol.md` §3.13.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeReader {
    /// The contract.
    pub contract: ContractId,
    /// The reader.
    pub reader: NodeId,
    /// When the last of its rights would have ended: until then this is remembered.
    pub until: Time,
    /// The owner's sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key.
    pub sig: Signature,
}

/// An owner's question for one chunk of what a contract holds. Which one follows from the seed,
/// `BLAKE3(nonce ‖ beacon)`, which neither side chooses alone. `docs/protocol.md` §3.7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The contract.
    pub contract: ContractId,
    /// Its active leaf, as the root of a tree of this leaf alone.
    pub leaf: Hash,
    /// A beacon of the ledger's, one of the newest.
    pub beacon: Hash,
    /// The owner's part of the seed.
    pub nonce: Hash,
    /// The owner's sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key.
    pub sig: Signature,
}

const AUDIT: Tag = Tag("audit request");
const PLACE: Tag = Tag("place shard");
const READ: Tag = Tag("read cap");
const PASS: Tag = Tag("read pass");
const REVOKE: Tag = Tag("revoke reader");

impl PlaceShard {
    fn layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.contract)
            .fixed(self.leaf.to_bytes())
            .option(self.by.map(|by| by.0))
            .finish()
    }

    /// Signs the right to place `leaf`.
    #[must_use]
    pub fn sign(
        contract: ContractId,
        leaf: ShardLeaf,
        key: &AccountSigner,
        net: &GenesisHash,
    ) -> Self {
        let mut place = Self {
            contract,
            leaf,
            by: key.by(),
            sig: Signature::default(),
        };
        place.sig = key.sign(PLACE, net, &place.layout());
        place
    }

    /// Whether it is signed for `renter` by the key that it names.
    #[must_use]
    pub fn is_signed_by(&self, renter: &AccountId, net: &GenesisHash) -> bool {
        let key = signing_key(renter, self.by);
        verify(&key, PLACE, net, &self.layout(), &self.sig)
    }
}

impl Audit {
    fn layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.contract)
            .fixed(self.leaf)
            .fixed(self.beacon)
            .fixed(self.nonce)
            .option(self.by.map(|by| by.0))
            .finish()
    }

    /// The same question with its signature.
    #[must_use]
    pub fn sign(mut self, key: &AccountSigner, net: &GenesisHash) -> Self {
        self.by = key.by();
        self.sig = key.sign(AUDIT, net, &self.layout());
        self
    }

    /// Whether it is signed for `owner` by the key that it names.
    #[must_use]
    pub fn is_signed_by(&self, owner: &AccountId, net: &GenesisHash) -> bool {
        let key = signing_key(owner, self.by);
        verify(&key, AUDIT, net, &self.layout(), &self.sig)
    }

    /// What is to be shown of this leaf.
    #[must_use]
    pub fn challenge(&self, provider: NodeId, leaf: &ContractLeaf, net: &GenesisHash) -> Challenge {
        let seed = audit_seed(&self.nonce.0, &self.beacon.0);
        let tree = ProviderTree::of_one(*leaf);
        Challenge::audit(net, provider, &tree, seed, AUDIT_DRAWS).of_contract(0)
    }
}

impl ReadCap {
    fn layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.contract)
            .fixed(self.root)
            .fixed(self.reader)
            .u64(self.expiry.0)
            .option(self.by.map(|by| by.0))
            .finish()
    }

    /// Signs the right of `reader` to read `root` until `expiry`.
    #[must_use]
    pub fn sign(
        contract: ContractId,
        root: ShardRoot,
        reader: NodeId,
        expiry: Time,
        key: &AccountSigner,
        net: &GenesisHash,
    ) -> Self {
        let mut cap = Self {
            contract,
            root,
            reader,
            expiry,
            by: key.by(),
            sig: Signature::default(),
            pass: None,
        };
        cap.sig = key.sign(READ, net, &cap.layout());
        cap
    }

    /// The same right, for `node` to use until `expiry`; `reader` is the key that it names.
    #[must_use]
    pub fn pass_to(&self, node: NodeId, expiry: Time, reader: &Signer, net: &GenesisHash) -> Self {
        let sig = reader.sign(PASS, net, &pass_layout(&reader.node(), &node, expiry));
        Self {
            pass: Some(ReadPass { node, expiry, sig }),
            ..self.clone()
        }
    }

    /// Whether `peer` is the reader, or has its pass.
    #[must_use]
    pub fn lets(&self, peer: &NodeId, now: Time, net: &GenesisHash) -> bool {
        match &self.pass {
            None => self.reader == *peer,
            Some(pass) => {
                let layout = pass_layout(&self.reader, &pass.node, pass.expiry);
                pass.node == *peer
                    && now <= pass.expiry
                    && verify(&self.reader.0, PASS, net, &layout, &pass.sig)
            }
        }
    }

    /// Whether it is signed for `owner` by the key that it names.
    #[must_use]
    pub fn is_signed_by(&self, owner: &AccountId, net: &GenesisHash) -> bool {
        let key = signing_key(owner, self.by);
        verify(&key, READ, net, &self.layout(), &self.sig)
    }
}

fn pass_layout(reader: &NodeId, node: &NodeId, expiry: Time) -> Vec<u8> {
    Layout::new()
        .fixed(*reader)
        .fixed(*node)
        .u64(expiry.0)
        .finish()
}

impl RevokeReader {
    fn layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.contract)
            .fixed(self.reader)
            .u64(self.until.0)
            .option(self.by.map(|by| by.0))
            .finish()
    }

    /// Takes back what `reader` may read under `contract`.
    #[must_use]
    pub fn sign(
        contract: ContractId,
        reader: NodeId,
        until: Time,
        key: &AccountSigner,
        net: &GenesisHash,
    ) -> Self {
        let mut revoke = Self {
            contract,
            reader,
            until,
            by: key.by(),
            sig: Signature::default(),
        };
        revoke.sig = key.sign(REVOKE, net, &revoke.layout());
        revoke
    }

    /// Whether it is signed for `owner` by the key that it names.
    #[must_use]
    pub fn is_signed_by(&self, owner: &AccountId, net: &GenesisHash) -> bool {
        let key = signing_key(owner, self.by);
        verify(&key, REVOKE, net, &self.layout(), &self.sig)
    }
}
