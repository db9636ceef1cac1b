//! Validators of a made history: they come, go, and are shown up, and each makes blocks in its turn.

use super::World;
use crate::examples::{signer, validator, validator_bls};
use crate::{Dice, Make};
use larder_contracts::Auth;
use larder_keys::{AccountSigner, Signer};
use larder_ledger::{Approve, Candidacy, Censored, Change, Equivocation, ProofAck, Resign, Tx};
use larder_proofs::bls::SecretKey;
use larder_proofs::{SignedVote, Vote};
use larder_types::Amount;

/// Seeds of the nodes that would validate beside the first, and of their BLS keys.
const SEATS: [u8; 3] = [70, 71, 72];
impl World {
    /// Keys of one that validates, would or did: mostly the first, who founded the network.
    fn seat(dice: &mut Dice<'_>) -> (Signer, SecretKey) {
        let seed = SEATS[dice.index(SEATS.len())];
        match dice.once_in(3) {
            true => (validator(), validator_bls()),
            false => (signer(seed), SecretKey::from_seed(&[seed; 32])),
        }
    }

    /// The keys of whose turn it is.
    pub(super) fn maker(&self) -> (Signer, SecretKey) {
        let turn = self.state.proposer(0);
        let mut seats = SEATS.into_iter();
        match seats.find(|seed| signer(*seed).node() == turn) {
            Some(seed) => (signer(seed), SecretKey::from_seed(&[seed; 32])),
            None => (validator(), validator_bls()),
        }
    }

    /// Validators come, go, and are shown up.
    pub(super) fn of_validators(
        &self,
        from: &AccountSigner,
        auth: Auth,
        dice: &mut Dice<'_>,
    ) -> Tx {
        let net = self.state.genesis_hash();
        let ((node, bls), by) = (Self::seat(dice), Self::seat(dice).0);
        let since = self.state.validator(&node.node()).map(|r| r.since);
        let since = since.unwrap_or_else(|| Make::make(dice));
        let named = node.node();
        match dice.below(16) {
            0..=5 => {
                let least = self.state.params().validator_bond;
                let bond = Amount(least.0.saturating_sub(u64::from(dice.once_in(8))));
                let candidacy = Candidacy::sign((&node, &bls), from, bond, auth, &net);
                Tx::Candidacy(Box::new(candidacy))
            }
            6..=11 => {
                let stand: Vec<_> = self
                    .state
                    .validator_records()
                    .map(|record| (record.node, record.since))
                    .collect();
                let known = dice.pick(&stand).copied();
                let known = known.filter(|_| !dice.once_in(4));
                let (named, since) = known.unwrap_or((named, since));
                let by = match dice.once_in(4) {
                    true => by,
                    false => self.maker().0,
                };
                let change = match dice.once_in(4) {
                    true => Change::Remove { node: named, since },
                    false => Change::Add { node: named, since },
                };
                Tx::Approve(Approve::sign(&by, change, auth.expiry, &net))
            }
            12 => Tx::Resign(Resign::sign(&node, since, &net)),
            13 => {
                let (a, b): (Vote, Vote) = (Make::make(dice), Make::make(dice));
                let b = Vote {
                    value: b.value,
                    ..a
                };
                Tx::Equivocation(Box::new(Equivocation {
                    a: SignedVote::sign(a, &node, &net),
                    b: SignedVote::sign(b, &node, &net),
                    reporter: dice.once_in(2).then(|| from.account()),
                }))
            }
            _ => {
                let provider = self.provider(dice).node();
                let slot = self.state.slot_of(&provider);
                let ack = ProofAck::sign(&by, slot, provider, b"a proof", &net);
                Tx::Censored(Censored { ack })
            }
        }
    }
}
