//! Mutual credit: an account goes below zero as far as others vouch for it, and no further; who vouches
//! is liable. `docs/protocol.md` §3.12.

use super::world::{World, dev, genesis, owner, signer};
use super::{ALICE, BOB, NODE, refused};
use crate::{
    Closing, Event, Genesis, Grant, Line, May, Skip, SubKeyError, Supply, Tx, TxRefusal,
    VerifyError, Vouch, verify,
};
use larder_types::{AccountId, Amount, Millis, Params};
use proptest::prelude::*;

const CAROL: u8 = 12;
const SHARE: u64 = 1_000;

fn account(seed: u8) -> AccountId {
    signer(seed).account()
}

fn params() -> Params {
    Params {
        faucet: None,
        ..dev()
    }
}

/// Alice and Bob have a share each, which the founder owes.
fn document() -> Genesis {
    let share = |seed| (account(seed), Amount(SHARE));
    let mut allocation: Vec<_> = [ALICE, BOB].map(share).to_vec();
    allocation.sort();
    Genesis {
        supply: Supply::Mutual { allocation },
        ..genesis(params())
    }
}

fn vouch(world: &World, by: u8, member: u8, limit: u64) -> Tx {
    let net = world.state.genesis_hash();
    let auth = world.auth(&account(by));
    let vouch = Vouch::sign(&world.hand(by), account(member), Amount(limit), auth, &net);
    Tx::Vouch(vouch)
}

fn included(world: &mut World, tx: Tx) {
    world.submit(tx);
    world.block();
}

/// What an account has, or owes.
fn number(world: &World, seed: u8) -> i64 {
    let purse = world.state.purse(&account(seed));
    let signed = |amount: Amount| i64::try_from(amount.0).unwrap();
    signed(purse.balance) - signed(purse.line.debt)
}

#[test]
fn a_member_goes_below_zero_as_far_as_others_vouch() {
    let mut world = World::of(&document());
    // From nothing, nothing.
    let early = world.transfer(CAROL, BOB, Amount(1));
    assert!(matches!(
        refused(world.admit(early)),
        TxRefusal::Balance { .. }
    ));
    let tx = vouch(&world, ALICE, CAROL, 400);
    included(&mut world, tx);
    // It is set aside, out of what Alice has.
    assert_eq!(number(&world, ALICE), 600);
    assert_eq!(
        world.state.vouched(&account(CAROL), &account(ALICE)),
        Amount(400)
    );
    let tx = vouch(&world, BOB, CAROL, 100);
    included(&mut world, tx);
    assert_eq!(world.state.spendable(&account(CAROL)), Amount(500));
    let far = world.transfer(CAROL, BOB, Amount(501));
    let refusal = refused(world.admit(far));
    let (needed, have) = (Amount(501), Amount(500));
    assert_eq!(refusal, TxRefusal::Balance { needed, have });
    let pay = world.transfer(CAROL, BOB, Amount(450));
    included(&mut world, pay);
    assert_eq!((number(&world, CAROL), number(&world, BOB)), (-450, 1_350));
    // What comes in pays the debt first.
    let back = world.transfer(BOB, CAROL, Amount(500));
    included(&mut world, back);
    assert_eq!(number(&world, CAROL), 50);
    let line = Line {
        limit: Amount(500),
        debt: Amount::ZERO,
    };
    assert_eq!(world.state.purse(&account(CAROL)).line, line);
    world.check_replay_of(&document());
}

#[test]
fn who_takes_a_word_back_pays_what_is_owed_under_it() {
    let mut world = World::of(&document());
    for tx in [(ALICE, 400), (BOB, 100)] {
        let tx = vouch(&world, tx.0, CAROL, tx.1);
        included(&mut world, tx);
    }
    let pay = world.transfer(CAROL, BOB, Amount(250));
    included(&mut world, pay);
    // 500 are vouched for, 250 owed: 100 less hurts nobody.
    let tx = vouch(&world, BOB, CAROL, 0);
    included(&mut world, tx);
    assert_eq!((number(&world, BOB), number(&world, CAROL)), (1_250, -250));
    // The next 400 do: 250 of them are gone, and so is the debt.
    let tx = vouch(&world, ALICE, CAROL, 0);
    included(&mut world, tx);
    assert_eq!((number(&world, ALICE), number(&world, CAROL)), (750, 0));
    let paid = |event: &Event| {
        let Event::Vouched { paid, .. } = event else {
            return None;
        };
        Some(paid.0)
    };
    let paid: Vec<u64> = world.events.iter().filter_map(paid).collect();
    assert_eq!(paid, [0, 0, 0, 250]);
    assert_eq!(world.state.purse(&account(CAROL)).line, Line::default());
    assert_eq!(
        (world.state.total_credit(), world.state.total_owed()),
        (2_000, 2_000)
    );
    world.check_replay_of(&document());
}

#[test]
fn nothing_but_its_own_backs_a_word_or_collateral() {
    let mut world = World::of(&document());
    let tx = vouch(&world, ALICE, CAROL, 400);
    included(&mut world, tx);
    // Carol can spend 400 and owns nothing.
    let (needed, have) = (Amount(1), Amount::ZERO);
    let nothing = TxRefusal::Balance { needed, have };
    let tx = vouch(&world, CAROL, BOB, 1);
    assert_eq!(refused(world.admit(tx)), nothing);
    let tx = world.register(CAROL, Amount(1));
    assert_eq!(refused(world.admit(tx)), nothing);
    let tx = world.register(CAROL, Amount::ZERO);
    included(&mut world, tx);
    let (net, auth) = (world.state.genesis_hash(), world.auth(&account(CAROL)));
    let node = signer(CAROL).node();
    let deposit = crate::Deposit::sign(node, &owner(CAROL), Amount(1), auth, &net);
    assert_eq!(refused(world.admit(Tx::Deposit(deposit))), nothing);
    // Nor may what Alice has set aside be spent.
    let tx = world.transfer(ALICE, BOB, Amount(601));
    assert!(matches!(
        refused(world.admit(tx)),
        TxRefusal::Balance { .. }
    ));
    // Rent may be owed, and what is not used of it pays the debt.
    let mut leaf = world.draft(CAROL, CAROL, 6);
    leaf.rate = Amount(50);
    let auth = world.auth(&leaf.renter);
    let op = world.sign(CAROL, leaf, CAROL, Some(auth));
    world.submit(world.update(CAROL, vec![op]));
    world.run_to_epoch(1);
    assert_eq!(number(&world, CAROL), -300);
    world.run_to_epoch(2);
    assert_eq!(number(&world, CAROL), -250, "its pay is its own");
    let mutual = Closing::mutual(&signer(CAROL), leaf.renter, leaf.contract_id, 900, &net);
    world.submit(world.update(CAROL, vec![crate::Op::CloseMutual(mutual)]));
    world.run_to_epoch(3);
    assert_eq!(number(&world, CAROL), 0);
    assert_eq!(world.skipped(), Vec::<Skip>::new());
    world.check_replay_of(&document());
}

#[test]
fn what_a_vouching_must_not_say() {
    let mut world = World::of(&document());
    let tx = vouch(&world, ALICE, ALICE, 5);
    assert_eq!(refused(world.admit(tx)), TxRefusal::Oneself);
    let tx = vouch(&world, ALICE, CAROL, 0);
    assert_eq!(refused(world.admit(tx)), TxRefusal::Stale);
    let tx = vouch(&world, ALICE, CAROL, SHARE + 1);
    assert!(matches!(
        refused(world.admit(tx)),
        TxRefusal::Balance { .. }
    ));
    // Nobody is made liable for what the founder owes from the beginning.
    let tx = vouch(&world, ALICE, 1, 5);
    assert_eq!(refused(world.admit(tx)), TxRefusal::Indebted);
    let tx = vouch(&world, ALICE, CAROL, 5);
    world.submit(tx.clone());
    world.block();
    assert_eq!(refused(world.admit(tx.clone())), TxRefusal::Stale);
    let more = vouch(&world, ALICE, CAROL, 7);
    included(&mut world, more);
    let again = refused(world.admit(tx.clone()));
    assert!(matches!(again, TxRefusal::Nonce(_)), "{again}");
    let Tx::Vouch(mut forged) = tx else {
        unreachable!()
    };
    forged.limit = Amount(6);
    let bad = verify::tx(&world.state.genesis_hash(), Tx::Vouch(forged)).err();
    assert_eq!(bad, Some(VerifyError::Tx(0)));
    // Where credit is not mutual there is no vouching.
    let mut other = World::with(dev(), &[ALICE], &[NODE]);
    let tx = vouch(&other, ALICE, CAROL, 5);
    assert_eq!(refused(other.admit(tx)), TxRefusal::NotMutual);
    let codes = [
        TxRefusal::NotMutual,
        TxRefusal::Oneself,
        TxRefusal::Indebted,
        TxRefusal::Guarantors,
    ];
    assert_eq!(codes.map(|refusal| refusal.code()), [151, 152, 153, 154]);
}

#[test]
fn a_device_vouches_within_its_cap() {
    let mut world = World::of(&document());
    let grant = Grant {
        may: May::TRANSFER,
        cap: Some(Amount(300)),
        issued: world.now,
        until: world.now.after(Millis(8_000_000)),
    };
    let tx = world.delegate(ALICE, 60, grant);
    included(&mut world, tx);
    world.hand_to(ALICE, 60);
    let tx = vouch(&world, ALICE, CAROL, 301);
    let (needed, left) = (Amount(301), Amount(300));
    let cap = TxRefusal::SubKey(SubKeyError::Cap { needed, left });
    assert_eq!(refused(world.admit(tx)), cap);
    let tx = vouch(&world, ALICE, CAROL, 300);
    included(&mut world, tx);
    assert_eq!(number(&world, ALICE), 700);
    world.check_replay_of(&document());
}

#[test]
fn no_circle_of_friends_prints_credit() {
    // Alice vouches for puppets that pay her back at once: she is never richer by it.
    let mut world = World::of(&document());
    for puppet in 30..40u8 {
        let have = world.balance(ALICE).0;
        let tx = vouch(&world, ALICE, puppet, have);
        included(&mut world, tx);
        let back = world.transfer(puppet, ALICE, Amount(have));
        included(&mut world, back);
        assert_eq!(number(&world, ALICE), 1_000);
    }
    for puppet in 30..40u8 {
        let tx = vouch(&world, ALICE, puppet, 0);
        included(&mut world, tx);
        assert_eq!((number(&world, ALICE), number(&world, puppet)), (1_000, 0));
    }
    world.check_replay_of(&document());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn balances_and_what_is_set_aside_are_nothing_together(
        steps in prop::collection::vec((0..5u8, 0..5u8, 0..1_500u64, 0..3u8), 1..60),
    ) {
        let mut world = World::of(&document());
        let people = [1, ALICE, BOB, CAROL, 13];
        for (from, to, amount, what) in steps {
            let (from, to) = (people[usize::from(from)], people[usize::from(to)]);
            let tx = match what {
                0 => vouch(&world, from, to, amount),
                _ => world.transfer(from, to, Amount(amount)),
            };
            world.attempt(tx);
            world.block();
            let all: i64 = people.iter().map(|p| number(&world, *p)).sum();
            let mut aside = 0;
            for member in people {
                let of = |by: &u8| world.state.vouched(&account(member), &account(*by)).0;
                let vouched: u64 = people.iter().map(of).sum();
                let line = world.state.purse(&account(member)).line;
                prop_assert_eq!(line.limit.0, vouched, "nothing else makes a limit");
                prop_assert!(line.debt <= line.limit || member == 1);
                aside += i64::try_from(vouched).unwrap();
            }
            prop_assert_eq!(all + aside, 0);
        }
        world.check_replay_of(&document());
    }
}
