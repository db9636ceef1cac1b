//! Sub-keys: what a thief with a device's keys cannot do, and what an owner can. `docs/protocol.md`
//! §3.1.

use super::world::{World, dev, owner, signer, sub_key};
use super::{ALICE, BOB, NODE, refused};
use crate::subkey::MAX_SUB_KEYS;
use crate::{Event, Faucet, Grant, May, Skip, SubKeyError, Tx, TxRefusal, VerifyError, verify};
use larder_contracts::{Auth, extend};
use larder_types::{Amount, Millis, Params, Profile, Time, codec};

/// A device of Alice's.
const DEVICE: u8 = 60;
const OTHER_DEVICE: u8 = 61;
/// Another provider.
const OTHER: u8 = 21;

fn grant(world: &World, may: May, cap: Option<u64>) -> Grant {
    Grant {
        may,
        cap: cap.map(Amount::from_credits),
        issued: world.now,
        until: world.now.after(Millis(8_000 * 1_000)),
    }
}

/// Alice signs by a device that may do this, within this cap of credits per epoch.
fn by_device(may: May, cap: Option<u64>) -> World {
    let mut world = World::with(dev(), &[ALICE], &[NODE, OTHER]);
    world.submit(world.delegate(ALICE, DEVICE, grant(&world, may, cap)));
    world.block();
    world.hand_to(ALICE, DEVICE);
    world
}

/// A moment later.
fn later(world: &mut World) {
    world.now = world.now.after(Millis(1_000));
    world.block();
}

#[test]
fn a_device_does_what_it_may_and_is_counted() {
    let mut world = by_device(May::ALL, Some(50));
    assert!(world.events.iter().any(|event| matches!(
        event,
        Event::Delegated { subkey, .. } if *subkey == sub_key(DEVICE)
    )));
    world.submit(world.transfer(ALICE, BOB, Amount::from_credits(20)));
    world.block();
    assert_eq!(world.balance(BOB), Amount::from_credits(20));
    let epoch = world.state.epoch();
    let spent = world.sub_key(ALICE, DEVICE).unwrap().spent_in(epoch);
    assert_eq!(spent, Amount::from_credits(20));
    let leaf = world.open(NODE, ALICE, 6);
    world.run_to_epoch(1);
    let spent = world.sub_key(ALICE, DEVICE).unwrap().spent_in(1);
    assert_eq!(spent, Amount(6 * leaf.rate.0), "an epoch of its own");
    let (_, content) = world.fill(NODE, &world.leaf(&leaf.contract_id).unwrap(), ALICE, 2);
    world.submit(world.update(NODE, vec![content]));
    world.run_to_epoch(2);
    assert_eq!(world.leaf(&leaf.contract_id).unwrap().used_chunks, 32);
    assert!(world.skipped().is_empty());
    world.check_replay(dev());
}

#[test]
fn a_device_asks_the_faucet_for_an_account_that_is_new() {
    let mut world = World::new(dev());
    world.submit(world.delegate(ALICE, DEVICE, grant(&world, May::ALL, None)));
    world.block();
    world.hand_to(ALICE, DEVICE);
    let ask = Faucet::sign(&world.hand(ALICE), &world.state.genesis_hash());
    world.submit(Tx::Faucet(ask));
    world.block();
    assert_eq!(world.balance(ALICE), Amount::from_credits(100));
    world.check_replay(dev());
}

#[test]
fn a_sub_key_beyond_its_cap() {
    let mut world = by_device(May::ALL, Some(50));
    let much = world.transfer(ALICE, BOB, Amount::from_credits(51));
    let cap = |needed, left| {
        TxRefusal::SubKey(SubKeyError::Cap {
            needed: Amount::from_credits(needed),
            left: Amount::from_credits(left),
        })
    };
    assert_eq!(refused(world.admit(much)), cap(51, 50));
    world.submit(world.transfer(ALICE, BOB, Amount::from_credits(30)));
    world.block();
    let again = world.transfer(ALICE, BOB, Amount::from_credits(30));
    assert_eq!(refused(world.admit(again)), cap(30, 20));
    // Two that fit alone: a block takes one.
    let auth = world.auth(&signer(ALICE).account());
    let net = world.state.genesis_hash();
    for nonce in [auth.nonce, auth.nonce + 1] {
        let auth = Auth { nonce, ..auth };
        let (from, to) = (world.hand(ALICE), signer(BOB).account());
        let amount = Amount::from_credits(15);
        let pay = crate::Transfer::sign(&from, to, amount, auth, &net);
        world.submit(Tx::Transfer(pay));
    }
    world.block();
    assert_eq!(world.balance(BOB), Amount::from_credits(45));
    // Contracts count at the boundary, all that begin there together.
    let mut dear = world.draft(NODE, ALICE, 6);
    dear.rate = Amount::from_credits(3);
    let mut cheap = world.draft(OTHER, ALICE, 6);
    cheap.rate = Amount::from_credits(6);
    for (node, leaf, nonce) in [(NODE, dear, 200), (OTHER, cheap, 201)] {
        let auth = Auth { nonce, ..auth };
        let op = world.sign(node, leaf, ALICE, Some(auth));
        world.submit(world.update(node, vec![op]));
    }
    world.run_to_epoch(1);
    assert_eq!(world.state.contracts_of(&dear.renter).count(), 1);
    assert_eq!(world.skipped(), [Skip::Cap]);
    // The account itself has no cap.
    world.hands.clear();
    world.submit(world.transfer(ALICE, BOB, Amount::from_credits(18)));
    world.block();
    assert_eq!(world.balance(BOB), Amount::from_credits(63));
    world.check_replay(dev());
}

#[test]
fn a_sub_key_beyond_its_verbs() {
    let mut world = by_device(May::OPEN, None);
    let verb = TxRefusal::SubKey(SubKeyError::Verb);
    let pay = world.transfer(ALICE, BOB, Amount(1));
    assert_eq!(refused(world.admit(pay)), verb);
    let provide = world.register(ALICE, Amount(1));
    assert_eq!(refused(world.admit(provide)), verb);
    let leaf = world.open(NODE, ALICE, 6);
    world.run_to_epoch(1);
    let active = world.leaf(&leaf.contract_id).expect("it may open");
    // Neither more content nor a later end: such an operation is no news to the ledger.
    let (_, content) = world.fill(NODE, &active, ALICE, 1);
    let price = Amount::from_credits(100);
    let mut renewed = extend(&active, active.capacity_chunks, price, 0, 2, &dev()).unwrap();
    renewed.end_epoch += 7;
    let auth = world.auth(&leaf.renter);
    let renewal = world.sign(NODE, renewed, ALICE, Some(auth));
    for op in [content, renewal] {
        let tx = world.update(NODE, vec![op]);
        assert_eq!(refused(world.admit(tx)), TxRefusal::Stale);
    }
    // Nor does it keep out what the account itself has signed, though its revision is higher.
    let own = Auth {
        nonce: 9,
        ..world.auth(&leaf.renter)
    };
    let thiefs = world.sign(NODE, renewed, ALICE, Some(auth));
    world.hands.clear();
    let (_, content) = world.fill(NODE, &active, ALICE, 1);
    world.submit(world.update(NODE, vec![thiefs, content]));
    world.run_to_epoch(2);
    let now = world.leaf(&leaf.contract_id).unwrap();
    assert_eq!((now.used_chunks, now.end_epoch), (16, active.end_epoch));
    // With the verb it renews.
    world.submit(world.delegate(ALICE, DEVICE, grant(&world, May::RENEW, None)));
    world.block();
    world.hand_to(ALICE, DEVICE);
    let mut renewed = now;
    (renewed.start_epoch, renewed.revision) = (3, now.revision + 1);
    renewed.end_epoch += 7;
    let renewal = world.sign(NODE, renewed, ALICE, Some(own));
    world.submit(world.update(NODE, vec![renewal]));
    world.run_to_epoch(3);
    let end = world.leaf(&leaf.contract_id).unwrap().end_epoch;
    assert_eq!(end, active.end_epoch + 7);
    world.check_replay(dev());
}

#[test]
fn a_sub_key_after_its_time() {
    let mut world = World::with(dev(), &[ALICE], &[NODE]);
    let until = world.state.schedule().epoch_start(1);
    let short = Grant {
        until,
        ..grant(&world, May::ALL, None)
    };
    world.submit(world.delegate(ALICE, DEVICE, short));
    world.block();
    world.hand_to(ALICE, DEVICE);
    let late = world.transfer(ALICE, BOB, Amount(1));
    let leaf = world.open(NODE, ALICE, 6);
    world.run_to_epoch(1);
    assert_eq!(world.leaf(&leaf.contract_id), None);
    assert_eq!(world.skipped(), [Skip::SubKey], "its time ended before");
    let over = TxRefusal::SubKey(SubKeyError::Unauthorised);
    assert_eq!(refused(world.admit(late)), over);
    let again = world.delegate(ALICE, DEVICE, short);
    assert_eq!(refused(world.admit(again)), TxRefusal::Delegation);
    world.check_replay(dev());
}

#[test]
fn a_sub_key_after_revocation() {
    let mut world = by_device(May::ALL, None);
    let stolen = world.transfer(ALICE, BOB, Amount(1));
    let leaf = world.open(NODE, ALICE, 6);
    later(&mut world);
    world.submit(world.revoke(ALICE, DEVICE, world.now));
    world.block();
    assert_eq!(world.sub_key(ALICE, DEVICE), None);
    let over = TxRefusal::SubKey(SubKeyError::Unauthorised);
    assert_eq!(refused(world.admit(stolen)), over);
    let ask = Faucet::sign(&world.hand(ALICE), &world.state.genesis_hash());
    assert_eq!(refused(world.admit(Tx::Faucet(ask))), over);
    world.run_to_epoch(1);
    assert_eq!(world.leaf(&leaf.contract_id), None);
    assert_eq!(world.skipped(), [Skip::SubKey], "what waited opens nothing");
    assert_eq!(world.balance(ALICE), Amount::from_credits(100));
    world.check_replay(dev());
}

#[test]
fn a_replayed_delegate_revives_nothing() {
    let mut world = World::with(dev(), &[ALICE], &[]);
    let first = world.delegate(ALICE, DEVICE, grant(&world, May::ALL, None));
    world.submit(first.clone());
    later(&mut world);
    // A higher cap that the thief kept to himself.
    let kept = world.delegate(ALICE, DEVICE, grant(&world, May::ALL, Some(90)));
    later(&mut world);
    let lower = world.delegate(ALICE, DEVICE, grant(&world, May::ALL, Some(1)));
    world.submit(lower.clone());
    world.block();
    let cap = Some(Amount::from_credits(1));
    assert_eq!(world.sub_key(ALICE, DEVICE).unwrap().cap, cap);
    for old in [&first, &kept, &lower] {
        assert_eq!(refused(world.admit(old.clone())), TxRefusal::Superseded);
    }
    let another = world.delegate(ALICE, OTHER_DEVICE, grant(&world, May::ALL, None));
    later(&mut world);
    let revoke = world.revoke(ALICE, DEVICE, world.now);
    world.submit(revoke.clone());
    world.block();
    // Neither it nor anything that was signed before, for whichever key.
    for old in [first, kept, lower, another, revoke] {
        assert_eq!(refused(world.admit(old)), TxRefusal::Superseded);
    }
    assert_eq!(world.sub_key(ALICE, DEVICE), None);
    // What the words sign anew does.
    later(&mut world);
    world.submit(world.delegate(ALICE, OTHER_DEVICE, grant(&world, May::ALL, None)));
    world.block();
    assert!(world.sub_key(ALICE, OTHER_DEVICE).is_some());
    world.check_replay(dev());
}

#[test]
fn a_stolen_device_neither_delegates_nor_revokes() {
    let mut world = by_device(May::ALL, None);
    later(&mut world);
    let net = world.state.genesis_hash();
    let grant = grant(&world, May::ALL, None);
    let bad = Some(VerifyError::Tx(0));
    // Signed by the device for the account, or with another account's admin key.
    let Tx::Delegate(good) = world.delegate(ALICE, OTHER_DEVICE, grant) else {
        unreachable!()
    };
    let forge = |account: u8, admin: u8| {
        let mut forged = crate::Delegate::sign(
            &signer(account),
            &signer(admin),
            sub_key(OTHER_DEVICE),
            grant,
            &net,
        );
        forged.account = signer(ALICE).account();
        forged
    };
    let by_device = forge(DEVICE, ALICE + 100);
    assert_eq!(verify::tx(&net, Tx::Delegate(by_device)).err(), bad);
    let mut raised = good;
    raised.cap = Some(Amount(u64::MAX));
    assert_eq!(verify::tx(&net, Tx::Delegate(raised)).err(), bad);
    let other_admin = forge(ALICE, DEVICE);
    let refusal = refused(world.admit(Tx::Delegate(other_admin)));
    assert_eq!(refusal, TxRefusal::Admin);
    let forged = crate::Revoke::sign(
        signer(ALICE).account(),
        &signer(DEVICE),
        sub_key(DEVICE),
        world.now,
        &net,
    );
    assert_eq!(refused(world.admit(Tx::Revoke(forged))), TxRefusal::Admin);
    // A device signs for its account only.
    world.hand_to(BOB, DEVICE);
    let pay = world.transfer(BOB, ALICE, Amount(1));
    let over = TxRefusal::SubKey(SubKeyError::Unauthorised);
    assert_eq!(refused(world.admit(pay)), over);
}

#[test]
fn sub_keys_are_bounded_and_make_sense() {
    let mut world = World::with(dev(), &[ALICE], &[]);
    let good = grant(&world, May::ALL, None);
    let mut check = |change: &dyn Fn(&mut Grant), want: TxRefusal| {
        let mut grant = good;
        change(&mut grant);
        let tx = world.delegate(ALICE, DEVICE, grant);
        assert_eq!(refused(world.admit(tx)), want);
    };
    check(&|grant| grant.may = May(16), TxRefusal::Delegation);
    check(&|grant| grant.until = grant.issued, TxRefusal::Delegation);
    check(&|grant| grant.until = Time(1), TxRefusal::Delegation);
    let ahead = world.now.after(Millis::from_secs(7_200));
    let tx = world.delegate(
        ALICE,
        DEVICE,
        Grant {
            issued: ahead,
            until: ahead.after(Millis(1)),
            ..good
        },
    );
    let refusal = refused(world.admit(tx));
    assert_eq!(refusal, TxRefusal::Ahead { issued: ahead });
    let first = world.state.schedule().epoch_start(1);
    for key in 0..16 {
        let grant = Grant {
            until: first.after(Millis(u64::from(key))),
            ..good
        };
        world.submit(world.delegate(ALICE, 60 + key, grant));
    }
    world.block();
    let full = world.delegate(ALICE, 90, good);
    assert_eq!(refused(world.admit(full.clone())), TxRefusal::SubKeys);
    let account = signer(ALICE).account();
    assert_eq!(world.state.sub_keys().of(&account).count(), MAX_SUB_KEYS);
    // Ended ones make room, and go.
    world.run_to_epoch(2);
    world.submit(full);
    world.block();
    assert_eq!(world.state.sub_keys().of(&account).count(), 1);
    world.check_replay(dev());
}

#[test]
fn where_nobody_begins_with_nothing_the_account_is_paid_first() {
    let params = Params {
        faucet: None,
        ..Params::profile(Profile::Public)
    };
    let mut world = World::new(params.clone());
    let tx = world.delegate(ALICE, DEVICE, grant(&world, May::ALL, None));
    assert_eq!(refused(world.admit(tx.clone())), TxRefusal::NoAccount);
    world.submit(world.transfer(1, ALICE, Amount::from_credits(1)));
    world.block();
    world.submit(tx);
    world.block();
    assert!(world.sub_key(ALICE, DEVICE).is_some());
    world.check_replay(params);
}

#[test]
fn a_signature_names_its_key() {
    let world = by_device(May::ALL, None);
    let net = world.state.genesis_hash();
    let Tx::Transfer(pay) = world.transfer(ALICE, BOB, Amount(1)) else {
        unreachable!()
    };
    assert_eq!(pay.by, Some(sub_key(DEVICE)));
    for by in [None, Some(sub_key(OTHER_DEVICE))] {
        let renamed = crate::Transfer { by, ..pay.clone() };
        let bad = verify::tx(&net, Tx::Transfer(renamed)).err();
        assert_eq!(bad, Some(VerifyError::Tx(0)));
    }
    let tx = Tx::Transfer(pay);
    assert_eq!(codec::decode::<Tx>(&codec::encode(&tx)), Ok(tx));
    let delegate = world.delegate(ALICE, DEVICE, grant(&world, May::ALL, Some(3)));
    let decoded = codec::decode::<Tx>(&codec::encode(&delegate));
    assert_eq!(decoded, Ok(delegate));
    assert_eq!(owner(ALICE).by(), None);
}

/// A contract of Alice's with these flags, at two credits an epoch, signed by her own key, from epoch 1
/// to 14; and a device that may do all, within a cap of 20.
fn of_hers(flags: u8) -> (World, larder_proofs::ContractLeaf) {
    of_hers_with(flags, &[])
}

/// The same, with providers that are silent from the beginning.
fn of_hers_with(flags: u8, silent: &[u8]) -> (World, larder_proofs::ContractLeaf) {
    let mut world = World::with(dev(), &[ALICE], &[NODE, OTHER]);
    world.silent = silent.iter().map(|seed| signer(*seed).node()).collect();
    let mut leaf = world.draft(NODE, ALICE, 13);
    leaf.flags |= flags;
    leaf.rate = Amount::from_credits(2);
    let auth = world.auth(&leaf.renter);
    let op = world.sign(NODE, leaf, ALICE, Some(auth));
    world.submit(world.update(NODE, vec![op]));
    world.submit(world.delegate(ALICE, DEVICE, grant(&world, May::ALL, Some(20))));
    world.run_to_epoch(1);
    world.hand_to(ALICE, DEVICE);
    let leaf = world.leaf(&leaf.contract_id).unwrap();
    (world, leaf)
}

/// Posts what the device signed of a contract, with `rate`, from the next epoch on.
fn put(world: &mut World, leaf: &larder_proofs::ContractLeaf, rate: Amount) {
    let next = larder_proofs::ContractLeaf {
        start_epoch: world.state.epoch() + 1,
        revision: leaf.revision + 1,
        rate,
        ..*leaf
    };
    let auth = world.auth(&leaf.renter);
    let op = world.sign(NODE, next, ALICE, Some(auth));
    world.submit(world.update(NODE, vec![op]));
    world.run_to_epoch(world.state.epoch() + 1);
}

#[test]
fn a_device_signs_no_terms_that_renew_by_themselves() {
    // A rate that its cap allows for the rest of the term would be paid for whole terms later, by
    // nobody's signature.
    let (mut world, leaf) = of_hers(larder_proofs::AUTO_RENEW);
    world.run_to_epoch(9);
    put(&mut world, &leaf, Amount::from_credits(6));
    assert_eq!(world.skipped(), [Skip::SubKey]);
    assert_eq!(world.leaf(&leaf.contract_id).unwrap().rate, leaf.rate);
    // Nor does it set the flag, at the Open.
    let mut own = world.draft(OTHER, ALICE, 6);
    own.flags |= larder_proofs::AUTO_RENEW;
    let auth = world.auth(&own.renter);
    let op = world.sign(OTHER, own, ALICE, Some(auth));
    world.submit(world.update(OTHER, vec![op]));
    world.run_to_epoch(11);
    assert_eq!(world.skipped(), [Skip::SubKey; 2]);
    // Content is no terms, and the account's own key may.
    world.hands.clear();
    put(&mut world, &leaf, Amount::from_credits(3));
    assert_eq!(world.skipped().len(), 2);
    world.check_replay(dev());
}

#[test]
fn what_old_terms_owed_the_account_is_within_no_cap() {
    // The provider was silent for ten epochs, so that 20 credits are Alice's. The device and the
    // provider would spend them on a higher rate, beyond the cap.
    let (mut world, leaf) = of_hers_with(0, &[NODE]);
    world.run_to_epoch(10);
    assert!(
        world.record(NODE).faulted.is_none(),
        "nobody passes, nobody is struck"
    );
    world.silent.clear();
    let unpaid = u64::from(world.record(NODE).unpaid - leaf.unpaid_at_start);
    assert!(unpaid >= 9, "{unpaid}");
    // Three epochs are left at the boundary: 2 credits each were set aside, 21 more are taken.
    put(&mut world, &leaf, Amount::from_credits(9));
    assert_eq!(world.skipped(), [Skip::Cap]);
    let had = world.balance(ALICE);
    put(&mut world, &leaf, Amount::from_credits(10));
    assert_eq!(world.skipped(), [Skip::Cap], "two epochs are left: 16 more");
    let spent = world.sub_key(ALICE, DEVICE).unwrap().spent_in(12);
    assert_eq!(spent, Amount::from_credits(16));
    assert!(world.balance(ALICE) > had, "what it was owed came back");
    world.check_replay(dev());
}

#[test]
fn a_device_moves_a_contract_within_its_cap() {
    let (mut world, leaf) = of_hers(larder_proofs::TRANSFERABLE);
    let mut go = |rate: u64, epoch: u32| {
        let fresh = world.draft(OTHER, ALICE, 13);
        let new = larder_proofs::ContractLeaf {
            contract_id: fresh.contract_id,
            terms_hash: fresh.terms_hash,
            start_epoch: epoch,
            revision: 0,
            slash_acc: 0,
            unpaid_at_start: 0,
            rate: Amount::from_credits(rate),
            ..leaf
        };
        let (net, heir) = (world.state.genesis_hash(), signer(OTHER));
        let (auth, hand) = (world.auth(&leaf.renter), world.hand(ALICE));
        let signed = larder_contracts::SignedLeaf::sign(new, Some(auth), &heir.node(), &hand, &net);
        let handover = crate::Handover::sign(leaf.contract_id, signed, &heir, &net);
        let ops = vec![crate::Op::Transfer(Box::new(handover))];
        world.submit(world.update(NODE, ops));
        world.run_to_epoch(epoch);
        (world.skipped(), world.leaf(&new.contract_id).is_some())
    };
    // Twelve epochs are left: 24 more. Then eleven: 11 more.
    assert_eq!(go(4, 2), (vec![Skip::Cap], false));
    assert_eq!(go(3, 3), (vec![Skip::Cap], true));
    let spent = world.sub_key(ALICE, DEVICE).unwrap().spent_in(3);
    assert_eq!(spent, Amount::from_credits(11));
    world.check_replay(dev());
}

#[test]
fn a_device_forces_nothing_beyond_its_cap() {
    let (mut world, leaf) = of_hers(0);
    let next = larder_proofs::ContractLeaf {
        start_epoch: 2,
        revision: leaf.revision + 1,
        rate: Amount::from_credits(4),
        ..leaf
    };
    let (net, hand) = (world.state.genesis_hash(), world.hand(ALICE));
    let (auth, node) = (world.auth(&leaf.renter), signer(NODE));
    let signed = larder_contracts::SignedLeaf::sign(next, Some(auth), &node.node(), &hand, &net);
    let revision = crate::Forced::Signed(Box::new(signed.countersign(&node, &net)));
    let provider = node.node();
    world.submit(Tx::ForceRevision(crate::ForceRevision {
        provider,
        revision,
    }));
    world.run_to_epoch(2);
    assert_eq!(world.skipped(), [Skip::Cap]);
    assert_eq!(world.leaf(&leaf.contract_id).unwrap().rate, leaf.rate);
    world.check_replay(dev());
}
