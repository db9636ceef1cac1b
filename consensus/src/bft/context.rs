//! Larder's types in the engine's terms: heights, validators, votes and proposals. A value is a
//! block's hash; its body travels apart, as parts. Nothing here decides anything.
//! `docs/protocol.md` §3.8.

use super::engine::core;
use larder_proofs::{ValidatorSet, VoteKind};
use larder_types::{BlockHash, Hash, NodeId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The engine's context: no state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Larder;

/// A block's height.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(super) struct Height(pub(super) u64);

/// A validator: its node key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Node(pub(super) NodeId);

/// A block's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Value(pub(super) BlockHash);

/// An ed25519 signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sig(pub(super) larder_types::Signature);

/// A validator's share of the certificate: its BLS signature.
pub(super) type Share = [u8; 96];

pub(super) type Signed<T> = core::SignedMessage<Larder, T>;

impl core::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::Address for Node {}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::Value for Value {
    type Id = Self;

    fn id(&self) -> Self {
        *self
    }
}

impl PartialOrd for Sig {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sig {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.0.cmp(&other.0.0)
    }
}

/// A validator as the engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    node: Node,
    power: u64,
}

impl core::Validator<Larder> for Member {
    fn address(&self) -> &Node {
        &self.node
    }

    fn public_key(&self) -> &Node {
        &self.node
    }

    fn voting_power(&self) -> u64 {
        self.power
    }
}

/// The validators of one height, in the order of their node keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Members {
    set: Arc<ValidatorSet>,
    members: Arc<[Member]>,
}

impl Members {
    pub(super) fn of(set: &Arc<ValidatorSet>) -> Self {
        let members = set.members().iter().map(|member| Member {
            node: Node(member.node),
            power: member.power,
        });
        Self {
            set: Arc::clone(set),
            members: members.collect(),
        }
    }
}

impl core::ValidatorSet<Larder> for Members {
    fn count(&self) -> usize {
        self.members.len()
    }

    fn total_voting_power(&self) -> u64 {
        self.members.iter().map(|member| member.power).sum()
    }

    fn get_by_address(&self, address: &Node) -> Option<&Member> {
        self.members.get(self.set.place(&address.0)?)
    }

    fn get_by_index(&self, index: usize) -> Option<&Member> {
        self.members.get(index)
    }
}

/// A vote; the certificate's share travels with a precommit for a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vote {
    pub(super) kind: core::VoteType,
    pub(super) height: Height,
    pub(super) round: core::Round,
    pub(super) value: core::NilOrVal<Value>,
    pub(super) by: Node,
    pub(super) share: Option<Signed<Share>>,
}

impl Vote {
    /// What of it is signed; `None` for a vote in no round, which no validator casts.
    pub(super) fn signed(&self) -> Option<larder_proofs::Vote> {
        Some(larder_proofs::Vote {
            kind: match self.kind {
                core::VoteType::Prevote => VoteKind::Prevote,
                core::VoteType::Precommit => VoteKind::Precommit,
            },
            height: self.height.0,
            round: self.round.as_u32()?,
            value: match self.value {
                core::NilOrVal::Nil => None,
                core::NilOrVal::Val(Value(hash)) => Some(Hash(hash.0)),
            },
        })
    }
}

impl core::Vote<Larder> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> core::Round {
        self.round
    }

    fn value(&self) -> &core::NilOrVal<Value> {
        &self.value
    }

    fn take_value(self) -> core::NilOrVal<Value> {
        self.value
    }

    fn vote_type(&self) -> core::VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Node {
        &self.by
    }

    fn extension(&self) -> Option<&Signed<Share>> {
        self.share.as_ref()
    }

    fn take_extension(&mut self) -> Option<Signed<Share>> {
        self.share.take()
    }

    fn extend(self, share: Signed<Share>) -> Self {
        Self {
            share: Some(share),
            ..self
        }
    }
}

/// That a block be decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) height: Height,
    pub(super) round: core::Round,
    pub(super) value: Value,
    /// The earlier round in which two thirds were for it, if there was one.
    pub(super) pol_round: core::Round,
    pub(super) by: Node,
}

impl core::Proposal<Larder> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> core::Round {
        self.round
    }

    fn value(&self) -> &Value {
        &self.value
    }

    fn take_value(self) -> Value {
        self.value
    }

    fn pol_round(&self) -> core::Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Node {
        &self.by
    }
}

/// A piece of a block's body. Each says which, so that they may come in any order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// The block's height.
    pub(super) height: u64,
    /// The round for which it is sent.
    pub(super) round: u32,
    /// The round in which it was found good before, if it was.
    pub(super) valid_round: Option<u32>,
    /// The block.
    pub(super) block: BlockHash,
    /// This piece's place, from 0 on.
    pub(super) index: u32,
    /// How many there are.
    pub(super) count: u32,
    /// Its bytes.
    #[serde(with = "serde_bytes")]
    pub(super) bytes: Vec<u8>,
}

impl core::ProposalPart<Larder> for Part {
    fn is_first(&self) -> bool {
        self.index == 0
    }

    fn is_last(&self) -> bool {
        self.index.saturating_add(1) == self.count
    }
}

/// ed25519, by node keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scheme;

/// Bytes that are no key or signature.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a key has 32 bytes and a signature 64")]
pub(super) struct Length;

impl core::SigningScheme for Scheme {
    type DecodingError = Length;
    type Signature = Sig;
    type PublicKey = Node;
    type PrivateKey = larder_keys::Signer;

    fn decode_signature(bytes: &[u8]) -> Result<Sig, Length> {
        let bytes = bytes.try_into().map_err(|_| Length)?;
        Ok(Sig(larder_types::Signature(bytes)))
    }

    fn encode_signature(signature: &Sig) -> Vec<u8> {
        signature.0.0.to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<Node, Length> {
        let bytes = bytes.try_into().map_err(|_| Length)?;
        Ok(Node(NodeId(bytes)))
    }

    fn encode_public_key(public_key: &Node) -> Vec<u8> {
        public_key.0.0.to_vec()
    }
}

impl core::Context for Larder {
    type Address = Node;
    type Height = Height;
    type ProposalPart = Part;
    type Proposal = Proposal;
    type Validator = Member;
    type ValidatorSet = Members;
    type Timeouts = core::LinearTimeouts;
    type Value = Value;
    type Vote = Vote;
    type Extension = Share;
    type SigningScheme = Scheme;

    fn select_proposer<'a>(
        &self,
        set: &'a Members,
        height: Height,
        round: core::Round,
    ) -> &'a Member {
        let round = round.as_u32().unwrap_or_default();
        let turn = set.set.proposer(height.0, round).node;
        let member = set
            .set
            .place(&turn)
            .and_then(|place| set.members.get(place));
        member.expect("whose turn it is, is in the set")
    }

    fn new_proposal(
        &self,
        height: Height,
        round: core::Round,
        value: Value,
        pol_round: core::Round,
        by: Node,
    ) -> Proposal {
        Proposal {
            height,
            round,
            value,
            pol_round,
            by,
        }
    }

    fn new_prevote(
        &self,
        height: Height,
        round: core::Round,
        value: core::NilOrVal<Value>,
        by: Node,
    ) -> Vote {
        Vote {
            kind: core::VoteType::Prevote,
            height,
            round,
            value,
            by,
            share: None,
        }
    }

    fn new_precommit(
        &self,
        height: Height,
        round: core::Round,
        value: core::NilOrVal<Value>,
        by: Node,
    ) -> Vote {
        Vote {
            kind: core::VoteType::Precommit,
            height,
            round,
            value,
            by,
            share: None,
        }
    }
}
