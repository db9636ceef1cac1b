//! Who validates: candidates, approvals, resignations, bonds, and what blocks bring those who make them.
//! `docs/protocol.md` §3.8.

use super::world::{World, bls, dev, genesis_of, owner, signer};
use super::{ALICE, BOB, refused};
use crate::approval::MAX_APPROVALS;
use crate::{
    Approve, Candidacy, Change, Event, Genesis, Parting, Resign, Standing, State, Transfer, Tx,
    TxRefusal, VerifyError, verify,
};
use larder_types::{Amount, Millis, NodeId, Params, codec};

/// Founding validators.
const FOUR: [u8; 4] = [60, 61, 62, 63];
/// Would validate.
const FIFTH: u8 = 64;

const BOND: Amount = Amount(10_000_000_000);

pub(super) fn node(seed: u8) -> NodeId {
    signer(seed).node()
}

impl World {
    /// A network of these validators, with two accounts.
    pub(super) fn of_several(params: Params, validators: &[u8]) -> Self {
        let mut world = Self::of(&genesis_of(params, validators));
        for account in [ALICE, BOB] {
            let net = world.state.genesis_hash();
            world.submit(Tx::Faucet(crate::Faucet::sign(&owner(account), &net)));
        }
        world.block();
        world
    }

    pub(super) fn candidacy(&self, seed: u8, account: u8, bond: Amount) -> Candidacy {
        let (auth, net) = (
            self.auth(&signer(account).account()),
            self.state.genesis_hash(),
        );
        let keys = (&signer(seed), &bls(seed));
        Candidacy::sign(keys, &owner(account), bond, auth, &net)
    }

    /// An account puts the node of this seed forward, in a block.
    pub(super) fn stand(&mut self, seed: u8, account: u8) {
        let candidacy = self.candidacy(seed, account, self.state.params().validator_bond);
        self.submit(Tx::Candidacy(Box::new(candidacy)));
        self.block();
    }

    pub(super) fn approve(&self, by: u8, change: Change) -> Tx {
        let (expiry, net) = (self.state.head().height + 1_000, self.state.genesis_hash());
        Tx::Approve(Approve::sign(&signer(by), change, expiry, &net))
    }

    pub(super) fn addition(&self, seed: u8) -> Change {
        self.state.addition(&node(seed)).unwrap()
    }

    pub(super) fn removal(&self, seed: u8) -> Change {
        self.state.removal(&node(seed)).unwrap()
    }

    /// All of these approve, in one block.
    pub(super) fn decide(&mut self, by: &[u8], change: Change) {
        for seed in by {
            self.submit(self.approve(*seed, change));
        }
        self.block();
    }

    pub(super) fn resign(&self, seed: u8) -> Tx {
        let since = self.state.validator(&node(seed)).unwrap().since;
        let net = self.state.genesis_hash();
        Tx::Resign(Resign::sign(&signer(seed), since, &net))
    }

    pub(super) fn is_seated(&self, seed: u8) -> bool {
        let is_in = self.state.validators().get(&node(seed)).is_some();
        let record = self.state.validator(&node(seed));
        assert_eq!(
            is_in,
            record.is_some_and(|r| r.standing == Standing::Seated),
            "record and set differ"
        );
        is_in
    }
}

fn document() -> Genesis {
    genesis_of(dev(), &FOUR)
}

fn four() -> World {
    World::of_several(dev(), &FOUR)
}

/// With a candidate.
fn with_candidate() -> World {
    let mut world = four();
    world.stand(FIFTH, ALICE);
    world
}

#[test]
fn from_four_to_seven_and_back_while_blocks_go_on() {
    let mut world = four();
    for seed in [64, 65, 66] {
        world.stand(seed, ALICE);
        let set: Vec<u8> = (60..seed).collect();
        let change = world.addition(seed);
        world.decide(&set, change);
        assert!(world.is_seated(seed));
        let block = world.blocks.last().unwrap();
        assert_eq!(
            block.header.next_validators,
            world.state.validators().hash()
        );
        assert_ne!(block.header.next_validators, block.header.validators);
        // The next block is of the new set.
        world.block();
        let next = world.blocks.last().unwrap();
        assert_eq!(next.header.validators, world.state.validators().hash());
    }
    assert_eq!(world.state.validators().members().len(), 7);
    for seed in [60, 64, 61] {
        let change = world.removal(seed);
        let of: Vec<u8> = (60..67).filter(|s| world.is_seated(*s)).collect();
        world.decide(&of[..world.state.validators().quorum() as usize], change);
        assert!(!world.is_seated(seed));
        world.block();
    }
    assert_eq!(world.state.validators().members().len(), 4);
    world.check_replay_of(&document());
}

#[test]
fn two_thirds_exactly_are_not_enough() {
    let mut world = World::of_several(dev(), &[60, 61, 62]);
    world.stand(FIFTH, ALICE);
    let add = world.addition(FIFTH);
    world.decide(&[60, 61], add);
    assert!(!world.is_seated(FIFTH), "two of three");
    assert_eq!(world.state.changes().count(), 1);
    world.decide(&[62], add);
    assert!(world.is_seated(FIFTH));
    assert_eq!(world.state.changes().count(), 0);
}

#[test]
fn a_candidate_cannot_approve_and_nobody_approves_twice() {
    let mut world = with_candidate();
    let add = world.addition(FIFTH);
    for stranger in [FIFTH, ALICE] {
        let own = world.approve(stranger, add);
        assert_eq!(refused(world.admit(own)), TxRefusal::NotAValidator);
    }
    world.decide(&[60], add);
    let again = world.approve(60, add);
    assert_eq!(refused(world.admit(again)), TxRefusal::Approved);
    assert!(!world.is_seated(FIFTH));
}

#[test]
fn a_removed_validators_approval_does_not_count() {
    let mut world = World::of_several(dev(), &[60, 61, 62, 63, 65]);
    world.stand(FIFTH, ALICE);
    // Quorum is four of five.
    let add = world.addition(FIFTH);
    world.decide(&[60, 61], add);
    let out = world.removal(60);
    world.decide(&[61, 62, 63, 65], out);
    assert!(!world.is_seated(60));
    // Of four, three: the one that went is none of them.
    world.decide(&[62], add);
    assert!(!world.is_seated(FIFTH), "61, 62 and one that went");
    let approve = world.approve(60, add);
    assert_eq!(refused(world.admit(approve)), TxRefusal::NotAValidator);
    world.decide(&[63], add);
    assert!(world.is_seated(FIFTH));
}

#[test]
fn an_approval_that_expired_does_not_count() {
    let mut world = with_candidate();
    let (add, net) = (world.addition(FIFTH), world.state.genesis_hash());
    let soon = world.state.head().height + 1;
    world.submit(Tx::Approve(Approve::sign(&signer(60), add, soon, &net)));
    world.block();
    world.decide(&[61, 62], add);
    assert!(!world.is_seated(FIFTH), "the first has expired");
    world.decide(&[60], add);
    assert!(world.is_seated(FIFTH));
}

#[test]
fn an_approval_replayed_after_its_change_acted_does_nothing() {
    let mut world = with_candidate();
    let add = world.addition(FIFTH);
    let approvals: Vec<Tx> = [60, 61, 62].map(|by| world.approve(by, add)).into();
    world.decide(&[60, 61, 62], add);
    assert!(world.is_seated(FIFTH));
    let unused = world.approve(63, add);
    assert_eq!(refused(world.admit(unused)), TxRefusal::NoSuchChange);
    // It goes, its bond comes free, and it stands again: still nobody has approved that.
    let out = world.removal(FIFTH);
    let removals: Vec<Tx> = FOUR.map(|by| world.approve(by, out)).into();
    world.decide(&FOUR, out);
    world.run_to_epoch(world.state.epoch() + 5);
    world.stand(FIFTH, ALICE);
    for old in approvals {
        assert_eq!(refused(world.admit(old)), TxRefusal::NoSuchChange);
    }
    let add = world.addition(FIFTH);
    world.decide(&FOUR[..3], add);
    assert!(world.is_seated(FIFTH));
    for old in removals {
        assert_eq!(refused(world.admit(old)), TxRefusal::NoSuchChange);
    }
    world.check_replay_of(&document());
}

#[test]
fn no_validator_keeps_the_others_changes_out() {
    let mut world = four();
    for seed in 64..70 {
        world.stand(seed, ALICE);
    }
    let changes = (64..70).flat_map(|s| [world.addition(s), world.removal(s)]);
    let changes: Vec<Change> = changes.collect();
    for change in &changes[..MAX_APPROVALS] {
        world.decide(&[60], *change);
    }
    let more = world.approve(60, changes[MAX_APPROVALS]);
    assert_eq!(refused(world.admit(more)), TxRefusal::Approvals);
    world.decide(&[61, 62, 63], changes[MAX_APPROVALS]);
    assert!(world.is_seated(68));
}

#[test]
fn a_rogue_bls_key_without_possession_is_refused() {
    let world = four();
    let net = world.state.genesis_hash();
    let honest = world.candidacy(FIFTH, ALICE, BOND);
    let read =
        |candidacy: Candidacy| verify::tx(&net, Tx::Candidacy(Box::new(candidacy))).map(drop);
    assert_eq!(read(honest.clone()), Ok(()));
    // Signed by node and account alike: another's key with its own possession's proof, and the reverse.
    let rogue = |key: u8, proof: u8| {
        let mut rogue = honest.clone();
        rogue.bls = bls(key).public().to_bytes();
        rogue.possession = bls(proof).prove_possession().to_bytes();
        rogue.sign_anew((&signer(FIFTH), &owner(ALICE)), &net);
        read(rogue)
    };
    assert_eq!(rogue(FIFTH, FIFTH), Ok(()));
    assert_eq!(rogue(60, FIFTH), Err(VerifyError::Tx(0)));
    assert_eq!(rogue(FIFTH, 60), Err(VerifyError::Tx(0)));
}

#[test]
fn a_bls_key_stands_once() {
    let mut world = four();
    let net = world.state.genesis_hash();
    let mut twin = world.candidacy(FIFTH, ALICE, BOND);
    twin.bls = bls(60).public().to_bytes();
    twin.possession = bls(60).prove_possession().to_bytes();
    twin.sign_anew((&signer(FIFTH), &owner(ALICE)), &net);
    let refusal = refused(world.admit(Tx::Candidacy(Box::new(twin))));
    assert_eq!(refusal, TxRefusal::TwinKey);
}

#[test]
fn a_bond_is_locked_until_the_unbonding_epochs_are_over() {
    let mut world = four();
    let before = world.balance(ALICE);
    let short = world.candidacy(FIFTH, ALICE, Amount(BOND.0 - 1));
    let refusal = refused(world.admit(Tx::Candidacy(Box::new(short))));
    let bond = Amount(BOND.0 - 1);
    assert_eq!(refusal, TxRefusal::Bond { bond, least: BOND });
    let stranger = world.candidacy(FIFTH, 12, BOND);
    let refusal = refused(world.admit(Tx::Candidacy(Box::new(stranger))));
    assert!(matches!(refusal, TxRefusal::Balance { .. }), "{refusal}");

    world.stand(FIFTH, ALICE);
    assert_eq!(world.balance(ALICE), Amount(before.0 - BOND.0));
    let add = world.addition(FIFTH);
    world.decide(&FOUR, add);
    world.submit(world.resign(FIFTH));
    world.block();
    assert!(!world.is_seated(FIFTH));
    let until = world.state.epoch() + world.state.params().unbonding + 1;
    let left = Event::ValidatorLeft {
        node: node(FIFTH),
        why: Parting::Resigned,
        until,
    };
    assert!(world.events.contains(&left));
    let again = world.candidacy(FIFTH, ALICE, BOND);
    let refusal = refused(world.admit(Tx::Candidacy(Box::new(again))));
    assert_eq!(refusal, TxRefusal::Unbonding { until });
    world.run_to(world.state.schedule().epoch_start(until).before(Millis(1)));
    assert_eq!(world.balance(ALICE), Amount(before.0 - BOND.0));
    world.run_to_epoch(until);
    assert_eq!(world.balance(ALICE), before);
    assert_eq!(world.state.validator(&node(FIFTH)), None);
    world.check_replay_of(&document());
}

#[test]
fn a_candidate_that_goes_has_its_bond_at_once() {
    let mut world = with_candidate();
    let before = world.balance(ALICE);
    let add = world.addition(FIFTH);
    world.decide(&[60, 61], add);
    world.submit(world.resign(FIFTH));
    world.block();
    assert_eq!(world.balance(ALICE), Amount(before.0 + BOND.0));
    assert_eq!(world.state.changes().count(), 0, "nothing waits for it");
    // The others may send it away, too.
    world.stand(FIFTH, ALICE);
    let out = world.removal(FIFTH);
    world.decide(&FOUR, out);
    assert_eq!(world.state.validator(&node(FIFTH)), None);
    assert_eq!(world.balance(ALICE), Amount(before.0 + BOND.0));
}

#[test]
fn an_old_resignation_unseats_nobody() {
    let mut world = with_candidate();
    let resign = world.resign(FIFTH);
    world.submit(resign.clone());
    world.block();
    world.stand(FIFTH, ALICE);
    let add = world.addition(FIFTH);
    world.decide(&FOUR, add);
    assert_eq!(refused(world.admit(resign)), TxRefusal::NoSuchChange);
    assert!(world.is_seated(FIFTH));
}

#[test]
fn the_last_validator_stays() {
    let mut world = World::of_several(dev(), &[60]);
    assert_eq!(
        refused(world.admit(world.resign(60))),
        TxRefusal::LastValidator
    );
    assert_eq!(world.state.removal(&node(60)), None);
    let since = 0;
    let out = Change::Remove {
        node: node(60),
        since,
    };
    assert_eq!(
        refused(world.admit(world.approve(60, out))),
        TxRefusal::LastValidator
    );
    // With another it may go.
    world.stand(FIFTH, ALICE);
    let add = world.addition(FIFTH);
    world.decide(&[60], add);
    world.submit(world.resign(60));
    world.block();
    assert!(!world.is_seated(60) && world.is_seated(FIFTH));
    world.block();
}

#[test]
fn a_network_of_one_validator_keeps_it() {
    let mut world = World::with(dev(), &[ALICE], &[]);
    let candidacy = Tx::Candidacy(Box::new(world.candidacy(FIFTH, ALICE, BOND)));
    let out = Change::Remove {
        node: node(2),
        since: 0,
    };
    let (approve, resign) = (world.approve(2, out), world.resign(2));
    for tx in [candidacy, approve, resign] {
        assert_eq!(refused(world.admit(tx)), TxRefusal::Solo);
    }
}

#[test]
fn fees_are_the_account_of_whoever_made_the_block() {
    let params = Params {
        tx_fee_per_byte: Amount(10),
        validator_bond: Amount::ZERO,
        ..dev()
    };
    let mut world = World::of_several(params, &[60]);
    world.stand(FIFTH, BOB);
    let add = world.addition(FIFTH);
    world.decide(&[60], add);
    let mut seen = [0, 0];
    for _ in 0..4 {
        let (founder, bob) = (world.state.founder(), signer(BOB).account());
        let before = [world.state.balance(&founder), world.state.balance(&bob)];
        let pay = world.transfer(ALICE, ALICE, Amount(1));
        let fee = world.state.fee(&pay);
        assert!(matches!(&pay, Tx::Transfer(Transfer { .. })) && fee > Amount(1));
        let share = fee.0 - fee.0.div_ceil(2);
        world.submit(pay);
        world.block();
        let after = [world.state.balance(&founder), world.state.balance(&bob)];
        let by = world.blocks.last().unwrap().header.proposer;
        let at = usize::from(by == node(FIFTH));
        seen[at] += 1;
        for who in [0, 1] {
            let got = after[who].0 - before[who].0;
            assert_eq!(got, if who == at { share } else { 0 });
        }
    }
    assert_eq!(seen, [2, 2], "each in turn");
}

#[test]
fn who_lets_its_turn_pass_is_counted() {
    let mut world = four();
    world.now = world.state.earliest_block();
    let (first, second) = (world.state.proposer(0), world.state.proposer(1));
    let third = world.propose(2);
    assert_eq!(third.get().header.proposer, world.state.proposer(2));
    world.commit(&third);
    for (round, node) in (0..).zip([first, second]) {
        assert_eq!(world.state.validator(&node).unwrap().missed, 1);
        assert!(
            world
                .events
                .contains(&Event::ProposalMissed { node, round })
        );
    }
    let all = world.state.validator_records().map(|r| r.missed);
    assert_eq!(all.sum::<u64>(), 2);
    // However many rounds it took, each missed one turn.
    world.now = world.state.earliest_block();
    world.commit(&world.propose(1_000_000_001));
    let all = world.state.validator_records().map(|r| r.missed);
    assert_eq!(all.sum::<u64>(), 6);
    world.check_replay_of(&document());
}

#[test]
fn a_snapshot_holds_all_of_it() {
    let mut world = with_candidate();
    let add = world.addition(FIFTH);
    world.decide(&[60, 61], add);
    let again: State = codec::decode(&codec::encode(&world.state)).unwrap();
    assert_eq!((again.root(), &again), (world.state.root(), &world.state));
    world.decide(&[62], add);
    assert_ne!(again.root(), world.state.root());
}
