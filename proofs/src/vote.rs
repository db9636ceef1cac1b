//! A validator's vote in a round of consensus, as it is signed: two that contradict each other are
//! evidence against it which anyone can check. What else travels with a vote, its share of the
//! certificate above all, is not among the signed bytes. `docs/protocol.md` §3.8.

use larder_keys::{Signer, Tag, verify};
use larder_types::layout::Layout;
use larder_types::{GenesisHash, Hash, NodeId, Signature};
use serde::{Deserialize, Serialize};

const VOTE: Tag = Tag("vote");

/// Which of a round's two votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoteKind {
    /// The first: the proposal is good.
    Prevote,
    /// The second: more than two thirds think so.
    Precommit,
}

/// What a vote says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// Which of the round's two.
    pub kind: VoteKind,
    /// The height of the block that is voted on.
    pub height: u64,
    /// The round of consensus.
    pub round: u32,
    /// The block's hash; `None`: for no block in this round.
    pub value: Option<Hash>,
}

impl Vote {
    /// `kind u8 ‖ height u64 ‖ round u32 ‖ has_value u8 ‖ value[32]`: kind 0 is a prevote, 1 a precommit;
    /// zeros where there is no value.
    #[must_use]
    pub fn layout(&self) -> Vec<u8> {
        let kind = match self.kind {
            VoteKind::Prevote => 0,
            VoteKind::Precommit => 1,
        };
        Layout::new()
            .u8(kind)
            .u64(self.height)
            .u32(self.round)
            .option(self.value.map(|hash| hash.0))
            .finish()
    }

    /// Signs it with a validator's node key.
    #[must_use]
    pub fn sign(&self, validator: &Signer, genesis: &GenesisHash) -> Signature {
        validator.sign(VOTE, genesis, &self.layout())
    }

    /// Whether `by` signed it on this network.
    #[must_use]
    pub fn is_signed(&self, by: &NodeId, genesis: &GenesisHash, sig: &Signature) -> bool {
        verify(&by.0, VOTE, genesis, &self.layout(), sig)
    }
}

/// A vote, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedVote {
    /// What it says.
    pub vote: Vote,
    /// The validator.
    pub by: NodeId,
    /// By its node key.
    pub sig: Signature,
}

impl SignedVote {
    /// Signs a vote.
    #[must_use]
    pub fn sign(vote: Vote, validator: &Signer, genesis: &GenesisHash) -> Self {
        Self {
            vote,
            by: validator.node(),
            sig: vote.sign(validator, genesis),
        }
    }

    /// Whether the signature is good on this network.
    #[must_use]
    pub fn is_signed(&self, genesis: &GenesisHash) -> bool {
        self.vote.is_signed(&self.by, genesis, &self.sig)
    }
}

/// Whether two votes of one validator contradict each other: of one kind, height and round, but for
/// different values. No honest validator signs two such votes. Their signatures are checked apart.
#[must_use]
pub fn is_equivocation(a: &SignedVote, b: &SignedVote) -> bool {
    let place = |vote: &Vote| (vote.kind, vote.height, vote.round);
    a.by == b.by && place(&a.vote) == place(&b.vote) && a.vote.value != b.vote.value
}

#[cfg(test)]
mod tests {
    use super::*;

    const NET: GenesisHash = GenesisHash([9; 32]);

    fn vote() -> Vote {
        Vote {
            kind: VoteKind::Precommit,
            height: 7,
            round: 2,
            value: Some(Hash([5; 32])),
        }
    }

    fn key(seed: u8) -> Signer {
        Signer::from_seed(&[seed; 32])
    }

    /// Votes that differ from `vote()` in one field each.
    fn others() -> [Vote; 4] {
        let (mut kind, mut height, mut round, mut value) = (vote(), vote(), vote(), vote());
        kind.kind = VoteKind::Prevote;
        height.height = 8;
        round.round = 3;
        value.value = None;
        [kind, height, round, value]
    }

    #[test]
    fn a_signature_is_good_for_one_vote_one_key_and_one_network() {
        let signed = SignedVote::sign(vote(), &key(1), &NET);
        assert!(signed.is_signed(&NET));
        assert!(!signed.is_signed(&GenesisHash([8; 32])));
        let by = key(2).node();
        assert!(!SignedVote { by, ..signed }.is_signed(&NET));
        for other in others() {
            let forged = SignedVote {
                vote: other,
                ..signed
            };
            assert!(!forged.is_signed(&NET), "{other:?}");
        }
    }

    #[test]
    fn the_layout_is_fixed() {
        let hash = "05".repeat(32);
        let want = format!("01{}{}01{hash}", "0700000000000000", "02000000");
        assert_eq!(hex::encode(vote().layout()), want);
    }

    #[test]
    fn only_another_value_in_the_same_place_is_equivocation() {
        let first = SignedVote::sign(vote(), &key(1), &NET);
        let [kind, height, round, value] = others().map(|v| SignedVote::sign(v, &key(1), &NET));
        assert!(is_equivocation(&first, &value) && is_equivocation(&value, &first));
        for honest in [first, kind, height, round] {
            assert!(!is_equivocation(&first, &honest), "{honest:?}");
        }
        let stranger = SignedVote::sign(value.vote, &key(2), &NET);
        assert!(!is_equivocation(&first, &stranger));
    }
}
