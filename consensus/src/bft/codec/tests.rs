//! Every message reads as it was written, and has one form.

use super::*;
use larder_types::{BlockHash, NodeId, Signature};
use std::fmt::Debug;

fn check<T: Mirrored + PartialEq + Debug>(message: &T) {
    let bytes = Codec::<T>::encode(&Cbor, message).unwrap();
    assert_eq!(Codec::<T>::decode(&Cbor, bytes.clone()).unwrap(), *message);
    assert_eq!(Cbor.encoded_len(message).unwrap(), bytes.len());
    for cut in 0..bytes.len() {
        let cut = bytes.slice(..cut);
        assert!(Codec::<T>::decode(&Cbor, cut).is_err(), "{message:?}");
    }
    let longer = [&bytes[..], &[0]].concat().into();
    assert!(Codec::<T>::decode(&Cbor, longer).is_err(), "{message:?}");
}

const NODE: Node = Node(NodeId([1; 32]));
const SIG: Sig = Sig(Signature([2; 64]));
const VALUE: Value = Value(BlockHash([3; 32]));
const HEIGHT: Height = Height(1 << 40);

fn vote(kind: VoteType, value: NilOrVal<Value>, share: Option<Signed<Share>>) -> Signed<Vote> {
    let vote = Vote {
        kind,
        height: HEIGHT,
        round: Round::new(3),
        value,
        by: NODE,
        share,
    };
    Signed::new(vote, SIG)
}

fn commit() -> ExtendedCommitCertificate<Larder> {
    ExtendedCommitCertificate {
        height: HEIGHT,
        round: Round::new(0),
        value_id: VALUE,
        commit_signatures: vec![
            ExtendedCommitSignature::new(NODE, SIG, Some(Signed::new([5; 96], SIG))),
            ExtendedCommitSignature::new(NODE, SIG, None),
        ],
    }
}

#[test]
fn votes_and_proposals_read_as_written() {
    let share = Some(Signed::new([4; 96], SIG));
    let votes = [
        vote(VoteType::Prevote, NilOrVal::Nil, None),
        vote(VoteType::Precommit, NilOrVal::Val(VALUE), share),
    ];
    for vote in votes {
        check(&SignedConsensusMsg::Vote(vote.clone()));
        check(&LivenessMsg::Vote(vote));
    }
    for pol_round in [Round::Nil, Round::new(0), Round::new(7)] {
        let proposal = Proposal {
            height: HEIGHT,
            round: Round::new(8),
            value: VALUE,
            pol_round,
            by: NODE,
        };
        check(&SignedConsensusMsg::Proposal(Signed::new(proposal, SIG)));
    }
}

#[test]
fn certificates_of_rounds_read_as_written() {
    let polka = PolkaCertificate {
        height: HEIGHT,
        round: Round::new(1),
        value_id: VALUE,
        polka_signatures: vec![PolkaSignature::new(NODE, SIG)],
    };
    check(&polka);
    check(&LivenessMsg::PolkaCertificate(polka));
    for cert_type in [RoundCertificateType::Skip, RoundCertificateType::Precommit] {
        let votes = [NilOrVal::Nil, NilOrVal::Val(VALUE)];
        let votes = votes.map(|value| RoundSignature::new(VoteType::Precommit, value, NODE, SIG));
        check(&LivenessMsg::SkipRoundCertificate(RoundCertificate {
            height: HEIGHT,
            round: Round::new(1),
            cert_type,
            round_signatures: votes.to_vec(),
        }));
    }
}

#[test]
fn parts_and_what_catches_up_read_as_written() {
    let part = Part {
        height: 9,
        round: 1,
        valid_round: Some(0),
        block: VALUE.0,
        index: 0,
        count: 2,
        bytes: vec![7; 300],
    };
    let stream = StreamId::new(vec![1, 2, 3].into());
    for content in [StreamContent::Data(part.clone()), StreamContent::Fin] {
        check(&StreamMessage::new(stream.clone(), 4, content));
    }
    check(&part);
    check(&commit());
    let old = sync::RawDecidedValue::new(vec![1; 40].into(), commit());
    let response = sync::ValueResponse::new(HEIGHT, vec![old]);
    check(&sync::Response::ValueResponse(response));
    let range = Height(3)..=Height(5);
    check(&sync::Request::ValueRequest(sync::ValueRequest::new(range)));
    let peer_id = crate::bft::start::peer(&NODE.0);
    check(&sync::Status {
        peer_id,
        tip_height: HEIGHT,
        history_min_height: Height(1),
    });
    check(&ValidatorProof::new(vec![1; 32], peer_id.to_bytes(), SIG));
    for validity in [Validity::Valid, Validity::Invalid] {
        check(&ProposedValue {
            height: HEIGHT,
            round: Round::new(0),
            valid_round: Round::Nil,
            proposer: NODE,
            value: VALUE,
            validity,
        });
    }
}
