//! What a validator's node key signs for the engine, each under a tag of its own and for one
//! network: votes, proposals, the binding of a vote to its share of the certificate, and that a
//! connection is this validator's. `docs/protocol.md` §3.8.

use super::context::{Height, Larder, Node, Proposal, Share, Sig, Signed, Value, Vote};
use super::engine::core::{Round, SignedMessage, ValidatorProof, VoteExtensionScope};
use super::engine::signing::{Error, Signer, VerificationResult, Verifier};
use async_trait::async_trait;
use larder_keys::{Tag, verify};
use larder_types::GenesisHash;
use larder_types::layout::Layout;

const PROPOSAL: Tag = Tag("proposal");
const SHARE: Tag = Tag("vote extension");
const PEER: Tag = Tag("validator peer");

/// Checks signatures of one network's validators.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checks(pub(super) GenesisHash);

/// Signs as one validator.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    pub(super) node: larder_keys::Signer,
    pub(super) genesis: GenesisHash,
}

/// A round in a layout: whether it is one u8 ‖ round u32.
fn round(layout: Layout, round: Round) -> Layout {
    layout.option(round.as_u32().map(u32::to_le_bytes))
}

/// height u64 ‖ round ‖ value[32] ‖ earlier round.
fn proposal_layout(proposal: &Proposal) -> Vec<u8> {
    let layout = round(Layout::new().u64(proposal.height.0), proposal.round);
    round(layout.fixed(proposal.value.0), proposal.pol_round).finish()
}

/// height u64 ‖ round ‖ value[32] ‖ validator[32] ‖ share[96].
fn share_layout(scope: &VoteExtensionScope<Larder>, share: &Share) -> Vec<u8> {
    let VoteExtensionScope {
        height: Height(height),
        round: at,
        value_id: Value(value),
        validator_address: Node(by),
    } = scope;
    round(Layout::new().u64(*height), *at)
        .fixed(value)
        .fixed(by)
        .fixed(share)
        .finish()
}

fn is_good(result: bool) -> Result<VerificationResult, Error> {
    Ok(VerificationResult::from_bool(result))
}

#[async_trait]
impl Verifier<Larder> for Checks {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Sig,
        by: &Node,
    ) -> Result<VerificationResult, Error> {
        let signed = vote.signed();
        is_good(signed.is_some_and(|signed| signed.is_signed(&by.0, &self.0, &signature.0)))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Sig,
        by: &Node,
    ) -> Result<VerificationResult, Error> {
        let bytes = proposal_layout(proposal);
        is_good(verify(&by.0.0, PROPOSAL, &self.0, &bytes, &signature.0))
    }

    async fn verify_signed_vote_extension(
        &self,
        scope: &VoteExtensionScope<Larder>,
        share: &Share,
        signature: &Sig,
        by: &Node,
    ) -> Result<VerificationResult, Error> {
        let bytes = share_layout(scope, share);
        is_good(verify(&by.0.0, SHARE, &self.0, &bytes, &signature.0))
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<Larder>,
    ) -> Result<VerificationResult, Error> {
        let Ok(Node(by)) = proof.decoded_public_key() else {
            return is_good(false);
        };
        is_good(verify(
            &by.0,
            PEER,
            &self.0,
            &proof.preimage(),
            &proof.signature.0,
        ))
    }
}

#[async_trait]
impl Signer<Larder> for Hand {
    async fn sign_vote(&self, vote: Vote) -> Result<Signed<Vote>, Error> {
        let signed = vote.signed().ok_or_else(Error::new)?;
        let sig = Sig(signed.sign(&self.node, &self.genesis));
        Ok(SignedMessage::new(vote, sig))
    }

    async fn sign_proposal(&self, proposal: Proposal) -> Result<Signed<Proposal>, Error> {
        let bytes = proposal_layout(&proposal);
        let sig = Sig(self.node.sign(PROPOSAL, &self.genesis, &bytes));
        Ok(SignedMessage::new(proposal, sig))
    }

    async fn sign_vote_extension(
        &self,
        scope: VoteExtensionScope<Larder>,
        share: Share,
    ) -> Result<Signed<Share>, Error> {
        let bytes = share_layout(&scope, &share);
        let sig = Sig(self.node.sign(SHARE, &self.genesis, &bytes));
        Ok(SignedMessage::new(share, sig))
    }

    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<Larder>, Error> {
        let bytes = ValidatorProof::<Larder>::signing_bytes(&public_key, &peer_id);
        let sig = Sig(self.node.sign(PEER, &self.genesis, &bytes));
        Ok(ValidatorProof::new(public_key, peer_id, sig))
    }
}
