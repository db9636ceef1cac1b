//! What costs time, off the task that decides: whether a block is good, whether shares of a certificate
//! are, the state after a block. Pure but for writing a good body down before it is voted for.
//! `docs/protocol.md` §3.8.

use super::bodies::{Body, keep};
use super::context::{Node, Share};
use super::engine::VoteExtensionError;
use super::parts::Whole;
use larder_ledger::propose::objection;
use larder_ledger::{Authority, Block, ProofsPool, State, Verified, VerifyError, verify};
use larder_proofs::bls::Signature;
use larder_proofs::{Certificate, Final, ValidatorSet};
use larder_types::{GenesisHash, Time, TxId, codec};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// How a block came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Proposed: we may have objections.
    Proposed,
    /// Final by others' word, or voted for before a crash: our clock and our proofs no longer count.
    Settled,
}

/// A body to be checked.
pub(super) struct Check {
    pub(super) whole: Whole,
    pub(super) origin: Origin,
    pub(super) state: State,
    pub(super) pool: ProofsPool,
    /// Transactions whose signatures are known to be good.
    pub(super) known: Arc<BTreeSet<TxId>>,
    pub(super) now: Time,
    pub(super) dir: PathBuf,
}

/// What a body turned out to be.
pub(super) enum Outcome {
    /// It follows from our state, and is on the disk.
    Good(Box<Body>),
    /// It is what its proposer made, and breaks a rule.
    Bad,
    /// Not the block that it was said to be: that one may still come.
    Junk,
}

impl Check {
    /// Checks it.
    ///
    /// # Errors
    /// If a good body cannot be written down.
    pub(super) fn run(self) -> io::Result<Outcome> {
        let Some(block) = self.authentic() else {
            return Ok(Outcome::Junk);
        };
        let authority = self.state.authority();
        let block = match verify::proposed(&authority, block, &self.known) {
            Ok(block) => block,
            Err(VerifyError::Body) => return Ok(Outcome::Junk),
            Err(_) => return Ok(Outcome::Bad),
        };
        let is_approved = self.origin == Origin::Settled || !self.has_objection(&block);
        let mut next = self.state;
        if let Err(e) = next.apply(&block) {
            tracing::warn!(
                height = self.whole.height,
                "a proposed block breaks a rule: {e}"
            );
            return Ok(Outcome::Bad);
        }
        keep(&self.dir, &self.whole)?;
        Ok(Outcome::Good(Box::new(Body {
            block,
            is_approved,
            round: self.whole.round,
            valid_round: self.whole.valid_round,
            next: Box::new(next),
        })))
    }

    /// The block, if it is the one that it is said to be, made by whom its header names.
    fn authentic(&self) -> Option<Block> {
        let block: Block = codec::decode(&self.whole.bytes).ok()?;
        let genesis = self.state.genesis_hash();
        let is_it = block.hash() == self.whole.block && block.header.verify(&block.sig, &genesis);
        is_it.then_some(block)
    }

    /// Whether we must not vote for a block, though it breaks no rule of the ledger.
    fn has_objection(&self, block: &Verified<Block>) -> bool {
        let why = objection(&self.state, &self.pool, block, self.now);
        if let Some(why) = &why {
            tracing::info!(height = self.whole.height, "not voted for: {why}");
        }
        why.is_some()
    }
}

/// Shares of a certificate to be checked.
pub(super) struct Shares {
    pub(super) of: Final,
    pub(super) authority: Authority,
    pub(super) shares: Vec<(Node, Share)>,
}

/// What became of each share, in order.
pub(super) type Verdicts = Vec<(Node, Result<(), VoteExtensionError>)>;

impl Shares {
    /// Checks all with one pairing equation, and each by itself only if that fails.
    pub(super) fn run(self) -> Verdicts {
        let set = &self.authority.validators;
        let read: Vec<Option<(usize, Signature)>> = self
            .shares
            .iter()
            .map(|(node, share)| Some((set.place(&node.0)?, Signature::from_bytes(share).ok()?)))
            .collect();
        let are_good = read.len() > 1 && self.are_good_together(&read, set);
        let good = |read: Option<(usize, Signature)>| {
            are_good || read.is_some_and(|(place, share)| self.is_good(place, &share, set))
        };
        self.shares
            .iter()
            .zip(read)
            .map(|((node, _), read)| match good(read) {
                true => (*node, Ok(())),
                false => (*node, Err(VoteExtensionError::InvalidVoteExtension)),
            })
            .collect()
    }

    fn genesis(&self) -> &GenesisHash {
        &self.authority.genesis
    }

    fn is_good(&self, place: usize, share: &Signature, set: &Arc<ValidatorSet>) -> bool {
        let member = set.members().get(place);
        member.is_some_and(|member| self.of.is_voted(&member.bls, self.genesis(), share))
    }

    /// Sound for keys of which possession was proved. Only a quorum can be good together.
    fn are_good_together(
        &self,
        read: &[Option<(usize, Signature)>],
        set: &Arc<ValidatorSet>,
    ) -> bool {
        let all: Option<Vec<(usize, Signature)>> = read.iter().copied().collect();
        let Some(all) = all else { return false };
        let places: BTreeSet<usize> = all.iter().map(|(place, _)| *place).collect();
        places.len() == all.len()
            && Certificate::sum(self.of, &all, set)
                .verify(set, self.genesis())
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_proofs::Validator;
    use larder_proofs::bls::SecretKey;
    use larder_types::{BlockHash, NodeId};

    const NET: GenesisHash = GenesisHash([1; 32]);
    const OF: Final = Final {
        height: 5,
        round: 0,
        block: BlockHash([2; 32]),
    };

    fn node(validator: u8) -> Node {
        Node(NodeId([validator; 32]))
    }

    fn share(validator: u8, of: Final) -> (Node, Share) {
        let vote = of.vote(&SecretKey::from_seed(&[validator; 32]), &NET);
        (node(validator), vote.to_bytes())
    }

    /// Of four validators 0 to 3, which of these shares are good.
    fn good(shares: Vec<(Node, Share)>) -> Vec<bool> {
        let member = |validator| Validator {
            node: node(validator).0,
            bls: SecretKey::from_seed(&[validator; 32]).public(),
            power: 1,
        };
        let set = ValidatorSet::new((0..4).map(member).collect()).unwrap();
        let names: Vec<Node> = shares.iter().map(|(node, _)| *node).collect();
        let authority = Authority {
            genesis: NET,
            validators: Arc::new(set),
        };
        let checked = Shares {
            of: OF,
            authority,
            shares,
        };
        let verdicts = checked.run();
        let answered: Vec<Node> = verdicts.iter().map(|(node, _)| *node).collect();
        assert_eq!(answered, names, "one answer for each, in order");
        verdicts
            .iter()
            .map(|(_, verdict)| verdict.is_ok())
            .collect()
    }

    #[test]
    fn shares_are_judged_together_or_each() {
        let other = Final { round: 1, ..OF };
        let all = || (0..4).map(|v| share(v, OF)).collect::<Vec<_>>();
        assert_eq!(good(all()), [true; 4]);
        assert_eq!(good(vec![share(2, OF)]), [true]);
        assert_eq!(good(vec![share(0, OF), share(3, OF)]), [true; 2]);
        let mut one_bad = all();
        one_bad[1] = share(1, other);
        assert_eq!(good(one_bad), [true, false, true, true]);
        let mut swapped = all();
        (swapped[0].1, swapped[1].1) = (swapped[1].1, swapped[0].1);
        // Their sum is good; so are they together, whoever's is whose: as a certificate they count.
        assert_eq!(good(swapped), [true; 4]);
        let mut no_point = all();
        no_point[3].1 = [0xff; 96];
        assert_eq!(good(no_point), [true, true, true, false]);
        assert_eq!(good(vec![share(9, OF), share(0, OF)]), [false, true]);
        let twice = vec![share(0, OF), share(0, OF), share(1, OF)];
        assert_eq!(good(twice), [true; 3]);
    }
}
