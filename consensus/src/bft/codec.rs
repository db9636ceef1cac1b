//! The engine's messages as bytes: canonical DAG-CBOR of mirrors of its types. What decodes has one
//! form; whether a signature in it is good is asked later. `docs/protocol.md` §3.1.

use super::context::{Height, Larder, Node, Part, Proposal, Share, Sig, Signed, Value, Vote};
use super::engine::core::{
    ExtendedCommitCertificate, ExtendedCommitSignature, NilOrVal, PolkaCertificate, PolkaSignature,
    Round, RoundCertificate, RoundCertificateType, RoundSignature, SignedMessage, ValidatorProof,
    Validity, VoteType,
};
use super::engine::{
    Codec, HasEncodedLen, LivenessMsg, PeerId, ProposedValue, SignedConsensusMsg, StreamContent,
    StreamId, StreamMessage, sync,
};
use bytes::Bytes;
use larder_proofs::VoteKind;
use larder_types::codec::{self, DecodeError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// The codec of everything that the engine sends or writes down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cbor;

/// Bytes that are no message of the engine's.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodecError {
    /// Malformed.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A name of a peer that is none.
    #[error("no peer id")]
    Peer,
}

/// A type of the engine's, and its mirror.
pub(super) trait Mirrored: Sized {
    type Mirror: Serialize + DeserializeOwned;
    fn mirror(&self) -> Self::Mirror;
    fn from_mirror(mirror: Self::Mirror) -> Result<Self, CodecError>;
}

impl<T: Mirrored> Codec<T> for Cbor {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<T, CodecError> {
        T::from_mirror(codec::decode(&bytes)?)
    }

    fn encode(&self, msg: &T) -> Result<Bytes, CodecError> {
        Ok(codec::encode(&msg.mirror()).into())
    }
}

impl<T: Mirrored> HasEncodedLen<T> for Cbor {
    fn encoded_len(&self, msg: &T) -> Result<usize, CodecError> {
        self.encode(msg).map(|bytes| bytes.len())
    }
}

const fn number(round: Round) -> Option<u32> {
    match round {
        Round::Nil => None,
        Round::Some(round) => Some(round),
    }
}

fn round(number: Option<u32>) -> Round {
    number.map_or(Round::Nil, Round::new)
}

const fn kind(kind: VoteType) -> VoteKind {
    match kind {
        VoteType::Prevote => VoteKind::Prevote,
        VoteType::Precommit => VoteKind::Precommit,
    }
}

const fn vote_type(kind: VoteKind) -> VoteType {
    match kind {
        VoteKind::Prevote => VoteType::Prevote,
        VoteKind::Precommit => VoteType::Precommit,
    }
}

const fn option(value: NilOrVal<Value>) -> Option<Value> {
    match value {
        NilOrVal::Nil => None,
        NilOrVal::Val(value) => Some(value),
    }
}

fn nil_or(value: Option<Value>) -> NilOrVal<Value> {
    value.map_or(NilOrVal::Nil, NilOrVal::Val)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShareMirror {
    #[serde(with = "serde_bytes")]
    share: Share,
    sig: Sig,
}

impl From<&Signed<Share>> for ShareMirror {
    fn from(signed: &Signed<Share>) -> Self {
        Self {
            share: signed.message,
            sig: signed.signature,
        }
    }
}

impl From<ShareMirror> for Signed<Share> {
    fn from(mirror: ShareMirror) -> Self {
        Self::new(mirror.share, mirror.sig)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VoteMirror {
    kind: VoteKind,
    height: Height,
    round: Option<u32>,
    value: Option<Value>,
    by: Node,
    sig: Sig,
    share: Option<ShareMirror>,
}

impl From<&Signed<Vote>> for VoteMirror {
    fn from(signed: &Signed<Vote>) -> Self {
        let vote = &signed.message;
        Self {
            kind: kind(vote.kind),
            height: vote.height,
            round: number(vote.round),
            value: option(vote.value),
            by: vote.by,
            sig: signed.signature,
            share: vote.share.as_ref().map(ShareMirror::from),
        }
    }
}

impl From<VoteMirror> for Signed<Vote> {
    fn from(mirror: VoteMirror) -> Self {
        let vote = Vote {
            kind: vote_type(mirror.kind),
            height: mirror.height,
            round: round(mirror.round),
            value: nil_or(mirror.value),
            by: mirror.by,
            share: mirror.share.map(Signed::from),
        };
        Self::new(vote, mirror.sig)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProposalMirror {
    height: Height,
    round: Option<u32>,
    value: Value,
    pol_round: Option<u32>,
    by: Node,
    sig: Sig,
}

impl From<&Signed<Proposal>> for ProposalMirror {
    fn from(signed: &Signed<Proposal>) -> Self {
        let proposal = &signed.message;
        Self {
            height: proposal.height,
            round: number(proposal.round),
            value: proposal.value,
            pol_round: number(proposal.pol_round),
            by: proposal.by,
            sig: signed.signature,
        }
    }
}

impl From<ProposalMirror> for Signed<Proposal> {
    fn from(mirror: ProposalMirror) -> Self {
        let proposal = Proposal {
            height: mirror.height,
            round: round(mirror.round),
            value: mirror.value,
            pol_round: round(mirror.pol_round),
            by: mirror.by,
        };
        Self::new(proposal, mirror.sig)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ConsensusMirror {
    Vote(VoteMirror),
    Proposal(ProposalMirror),
}

impl Mirrored for SignedConsensusMsg<Larder> {
    type Mirror = ConsensusMirror;

    fn mirror(&self) -> ConsensusMirror {
        match self {
            Self::Vote(vote) => ConsensusMirror::Vote(vote.into()),
            Self::Proposal(proposal) => ConsensusMirror::Proposal(proposal.into()),
        }
    }

    fn from_mirror(mirror: ConsensusMirror) -> Result<Self, CodecError> {
        Ok(match mirror {
            ConsensusMirror::Vote(vote) => Self::Vote(vote.into()),
            ConsensusMirror::Proposal(proposal) => Self::Proposal(proposal.into()),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolkaMirror {
    height: Height,
    round: Option<u32>,
    value: Value,
    sigs: Vec<(Node, Sig)>,
}

impl Mirrored for PolkaCertificate<Larder> {
    type Mirror = PolkaMirror;

    fn mirror(&self) -> PolkaMirror {
        let sigs = self.polka_signatures.iter();
        PolkaMirror {
            height: self.height,
            round: number(self.round),
            value: self.value_id,
            sigs: sigs.map(|one| (one.address, one.signature)).collect(),
        }
    }

    fn from_mirror(mirror: PolkaMirror) -> Result<Self, CodecError> {
        let sigs = mirror.sigs.into_iter();
        Ok(Self {
            height: mirror.height,
            round: round(mirror.round),
            value_id: mirror.value,
            polka_signatures: sigs.map(|(by, sig)| PolkaSignature::new(by, sig)).collect(),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoundVoteMirror {
    kind: VoteKind,
    value: Option<Value>,
    by: Node,
    sig: Sig,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoundMirror {
    height: Height,
    round: Option<u32>,
    /// Whether more than a third went on, or more than two thirds precommitted.
    is_skip: bool,
    votes: Vec<RoundVoteMirror>,
}

impl Mirrored for RoundCertificate<Larder> {
    type Mirror = RoundMirror;

    fn mirror(&self) -> RoundMirror {
        let votes = self.round_signatures.iter().map(|one| RoundVoteMirror {
            kind: kind(one.vote_type),
            value: option(one.value_id),
            by: one.address,
            sig: one.signature,
        });
        RoundMirror {
            height: self.height,
            round: number(self.round),
            is_skip: self.cert_type == RoundCertificateType::Skip,
            votes: votes.collect(),
        }
    }

    fn from_mirror(mirror: RoundMirror) -> Result<Self, CodecError> {
        let votes = mirror.votes.into_iter().map(|one| {
            let value = nil_or(one.value);
            RoundSignature::new(vote_type(one.kind), value, one.by, one.sig)
        });
        Ok(Self {
            height: mirror.height,
            round: round(mirror.round),
            cert_type: match mirror.is_skip {
                true => RoundCertificateType::Skip,
                false => RoundCertificateType::Precommit,
            },
            round_signatures: votes.collect(),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LivenessMirror {
    Vote(VoteMirror),
    Polka(PolkaMirror),
    Round(RoundMirror),
}

impl Mirrored for LivenessMsg<Larder> {
    type Mirror = LivenessMirror;

    fn mirror(&self) -> LivenessMirror {
        match self {
            Self::Vote(vote) => LivenessMirror::Vote(vote.into()),
            Self::PolkaCertificate(polka) => LivenessMirror::Polka(polka.mirror()),
            Self::SkipRoundCertificate(round) => LivenessMirror::Round(round.mirror()),
        }
    }

    fn from_mirror(mirror: LivenessMirror) -> Result<Self, CodecError> {
        Ok(match mirror {
            LivenessMirror::Vote(vote) => Self::Vote(vote.into()),
            LivenessMirror::Polka(polka) => {
                Self::PolkaCertificate(PolkaCertificate::from_mirror(polka)?)
            }
            LivenessMirror::Round(round) => {
                Self::SkipRoundCertificate(RoundCertificate::from_mirror(round)?)
            }
        })
    }
}

impl Mirrored for Part {
    type Mirror = Self;

    fn mirror(&self) -> Self {
        self.clone()
    }

    fn from_mirror(mirror: Self) -> Result<Self, CodecError> {
        Ok(mirror)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamMirror {
    stream: ByteBuf,
    sequence: u64,
    /// `None` ends the stream.
    part: Option<Part>,
}

impl Mirrored for StreamMessage<Part> {
    type Mirror = StreamMirror;

    fn mirror(&self) -> StreamMirror {
        StreamMirror {
            stream: ByteBuf::from(self.stream_id.to_bytes().to_vec()),
            sequence: self.sequence,
            part: self.content.as_data().cloned(),
        }
    }

    fn from_mirror(mirror: StreamMirror) -> Result<Self, CodecError> {
        let stream = StreamId::new(mirror.stream.into_vec().into());
        let content = mirror.part.map_or(StreamContent::Fin, StreamContent::Data);
        Ok(Self::new(stream, mirror.sequence, content))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeerMirror {
    key: ByteBuf,
    peer: ByteBuf,
    sig: Sig,
}

impl Mirrored for ValidatorProof<Larder> {
    type Mirror = PeerMirror;

    fn mirror(&self) -> PeerMirror {
        PeerMirror {
            key: ByteBuf::from(self.public_key.clone()),
            peer: ByteBuf::from(self.peer_id.clone()),
            sig: self.signature,
        }
    }

    fn from_mirror(mirror: PeerMirror) -> Result<Self, CodecError> {
        let (key, peer) = (mirror.key.into_vec(), mirror.peer.into_vec());
        Ok(Self::new(key, peer, mirror.sig))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusMirror {
    peer: ByteBuf,
    tip: Height,
    from: Height,
}

impl Mirrored for sync::Status<Larder> {
    type Mirror = StatusMirror;

    fn mirror(&self) -> StatusMirror {
        StatusMirror {
            peer: ByteBuf::from(self.peer_id.to_bytes()),
            tip: self.tip_height,
            from: self.history_min_height,
        }
    }

    fn from_mirror(mirror: StatusMirror) -> Result<Self, CodecError> {
        Ok(Self {
            peer_id: PeerId::from_bytes(&mirror.peer).map_err(|_| CodecError::Peer)?,
            tip_height: mirror.tip,
            history_min_height: mirror.from,
        })
    }
}

impl Mirrored for sync::Request<Larder> {
    /// The first and the last height.
    type Mirror = (Height, Height);

    fn mirror(&self) -> (Height, Height) {
        let Self::ValueRequest(request) = self;
        (*request.range.start(), *request.range.end())
    }

    fn from_mirror((first, last): (Height, Height)) -> Result<Self, CodecError> {
        Ok(Self::ValueRequest(sync::ValueRequest::new(first..=last)))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommitMirror {
    height: Height,
    round: Option<u32>,
    value: Value,
    sigs: Vec<(Node, Sig, Option<ShareMirror>)>,
}

impl Mirrored for ExtendedCommitCertificate<Larder> {
    type Mirror = CommitMirror;

    fn mirror(&self) -> CommitMirror {
        let sigs = self.commit_signatures.iter().map(|one| {
            let share = one.extension.as_ref().map(ShareMirror::from);
            (one.address, one.signature, share)
        });
        CommitMirror {
            height: self.height,
            round: number(self.round),
            value: self.value_id,
            sigs: sigs.collect(),
        }
    }

    fn from_mirror(mirror: CommitMirror) -> Result<Self, CodecError> {
        let sigs = mirror.sigs.into_iter().map(|(by, sig, share)| {
            ExtendedCommitSignature::new(by, sig, share.map(SignedMessage::from))
        });
        Ok(Self {
            height: mirror.height,
            round: round(mirror.round),
            value_id: mirror.value,
            commit_signatures: sigs.collect(),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResponseMirror {
    first: Height,
    values: Vec<(ByteBuf, CommitMirror)>,
}

impl Mirrored for sync::Response<Larder> {
    type Mirror = ResponseMirror;

    fn mirror(&self) -> ResponseMirror {
        let Self::ValueResponse(response) = self;
        let values = response.values.iter().map(|value| {
            let bytes = ByteBuf::from(value.value_bytes.to_vec());
            (bytes, value.certificate.mirror())
        });
        ResponseMirror {
            first: response.start_height,
            values: values.collect(),
        }
    }

    fn from_mirror(mirror: ResponseMirror) -> Result<Self, CodecError> {
        let values = mirror.values.into_iter().map(|(bytes, commit)| {
            let commit = ExtendedCommitCertificate::from_mirror(commit)?;
            Ok(sync::RawDecidedValue::new(bytes.into_vec().into(), commit))
        });
        let values: Result<Vec<_>, CodecError> = values.collect();
        let response = sync::ValueResponse::new(mirror.first, values?);
        Ok(Self::ValueResponse(response))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueMirror {
    height: Height,
    round: Option<u32>,
    valid_round: Option<u32>,
    by: Node,
    value: Value,
    is_valid: bool,
}

impl Mirrored for ProposedValue<Larder> {
    type Mirror = ValueMirror;

    fn mirror(&self) -> ValueMirror {
        ValueMirror {
            height: self.height,
            round: number(self.round),
            valid_round: number(self.valid_round),
            by: self.proposer,
            value: self.value,
            is_valid: self.validity.is_valid(),
        }
    }

    fn from_mirror(mirror: ValueMirror) -> Result<Self, CodecError> {
        Ok(Self {
            height: mirror.height,
            round: round(mirror.round),
            valid_round: round(mirror.valid_round),
            proposer: mirror.by,
            value: mirror.value,
            validity: Validity::from_bool(mirror.is_valid),
        })
    }
}

// Named, since the benchmark takes this file in from elsewhere.
#[cfg(test)]
#[path = "codec/tests.rs"]
mod tests;
