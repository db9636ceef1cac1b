//! Whether a node that was asked to validate takes its place, leaves it, or is put forward: what follows
//! from how far it is and from what the ledger says. `docs/protocol.md` §3.8.

use larder_ledger::State;
use larder_proofs::bls::PublicKey;
use larder_types::NodeId;

/// How far a node is that was asked to validate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// It follows.
    #[default]
    Waiting,
    /// The same, and it was put forward.
    Standing,
    /// Its key voted at that height, which the ledger here has yet to reach.
    Behind(u64),
    /// It votes.
    Voting,
    /// It was taken out, and follows.
    Out,
}

/// What the ledger says of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Whether it is a validator, with the BLS key that it has.
    pub seated: bool,
    /// Whether there is a record of it: a validator's, a candidate's, or that of one that was.
    pub known: bool,
    /// How far the ledger is.
    pub height: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Nothing.
    Stay,
    /// Put the node forward.
    Stand,
    /// Start voting.
    Sit,
    /// Stop voting.
    Rise,
}

impl Place {
    /// That of the node with these keys.
    #[must_use]
    pub fn of(state: &State, node: &NodeId, bls: &PublicKey) -> Self {
        let member = state.validators().get(node);
        Self {
            seated: member.is_some_and(|member| member.bls == *bls),
            known: state.validator(node).is_some(),
            height: state.head().height,
        }
    }
}

impl Stage {
    /// What is to be done now. Who was taken out does not come forward by itself.
    #[must_use]
    pub const fn next(self, place: Place) -> Move {
        match (self, place.seated) {
            (Self::Voting, true) | (Self::Out | Self::Standing, false) => Move::Stay,
            (Self::Voting, false) => Move::Rise,
            (Self::Behind(voted), true) if place.height.saturating_add(1) < voted => Move::Stay,
            (Self::Waiting | Self::Standing | Self::Behind(_) | Self::Out, true) => Move::Sit,
            (Self::Waiting | Self::Behind(_), false) if place.known => Move::Stay,
            (Self::Waiting | Self::Behind(_), false) => Move::Stand,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(stage: Stage, seated: bool, known: bool) -> Move {
        let height = 7;
        stage.next(Place {
            seated,
            known,
            height,
        })
    }

    #[test]
    fn who_has_a_place_takes_it_and_who_has_none_any_more_leaves_it() {
        for stage in [Stage::Waiting, Stage::Standing, Stage::Out] {
            assert_eq!(next(stage, true, true), Move::Sit);
        }
        assert_eq!(next(Stage::Voting, true, true), Move::Stay);
        assert_eq!(next(Stage::Voting, false, true), Move::Rise);
        assert_eq!(next(Stage::Voting, false, false), Move::Rise);
    }

    #[test]
    fn a_key_that_voted_waits_until_the_ledger_is_there() {
        assert_eq!(next(Stage::Behind(9), true, true), Move::Stay);
        assert_eq!(next(Stage::Behind(8), true, true), Move::Sit);
        assert_eq!(next(Stage::Behind(9), false, true), Move::Stay);
    }

    #[test]
    fn who_is_unknown_is_put_forward_once() {
        for stage in [Stage::Waiting, Stage::Behind(9)] {
            assert_eq!(next(stage, false, false), Move::Stand);
            assert_eq!(next(stage, false, true), Move::Stay, "a candidate");
        }
        assert_eq!(next(Stage::Standing, false, false), Move::Stay);
        assert_eq!(next(Stage::Out, false, false), Move::Stay);
    }
}
