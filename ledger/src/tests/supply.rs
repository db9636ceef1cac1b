//! How credit comes to be, and what a genesis may say of it; how accounts appear and leave.
//! `docs/protocol.md` §3.12.

use super::world::{START, World, dev, genesis, signer};
use super::{ALICE, BOB, NODE, refused};
use crate::{
    Genesis, GenesisError, Leave, Line, May, Op, Register, State, Supply, Transfer, Tx, TxRefusal,
    VerifyError, verify,
};
use larder_contracts::Auth;
use larder_types::{AccountId, Amount, Millis, Params, Profile, codec};

const DEPOSIT: Amount = Amount(1_000);

fn account(seed: u8) -> AccountId {
    signer(seed).account()
}

/// Without a faucet, and with a deposit for each account.
fn closed() -> Params {
    Params {
        faucet: None,
        existence: DEPOSIT,
        ..dev()
    }
}

fn shares(of: &[(u8, u64)]) -> Vec<(AccountId, Amount)> {
    let share = |(seed, amount): &(u8, u64)| (account(*seed), Amount(*amount));
    let mut shares: Vec<_> = of.iter().map(share).collect();
    shares.sort();
    shares
}

fn document(params: Params, supply: Supply) -> Genesis {
    Genesis {
        supply,
        ..genesis(params)
    }
}

#[test]
fn a_supply_is_shared_out_as_the_genesis_says() {
    let allocation = shares(&[(ALICE, 5_000), (BOB, 70_000)]);
    let document = document(closed(), Supply::Fixed { allocation });
    assert_eq!(
        codec::decode(&codec::encode(&document)),
        Ok(document.clone())
    );
    let state = State::genesis(&document).unwrap();
    assert_eq!(state.supply(), Amount(75_000));
    assert_eq!(state.total_credit(), 75_000);
    assert_eq!(state.total_owed(), 0);
    // What is set aside for an account is not its to spend.
    assert_eq!(state.balance(&account(ALICE)), Amount(4_000));
    assert_eq!(state.account(&account(ALICE)).unwrap().deposit, DEPOSIT);
    assert_eq!(state.balance(&state.founder()), Amount::ZERO);
}

#[test]
fn where_credit_is_mutual_all_balances_together_are_nothing() {
    let allocation = shares(&[(ALICE, 5_000), (BOB, 70_000)]);
    let state = State::genesis(&document(closed(), Supply::Mutual { allocation })).unwrap();
    assert_eq!(state.supply(), Amount::ZERO);
    assert_eq!((state.total_credit(), state.total_owed()), (75_000, 75_000));
    let line = Line {
        limit: Amount::ZERO,
        debt: Amount(75_000),
    };
    assert_eq!(state.purse(&state.founder()).line, line);
    assert_eq!(state.spendable(&state.founder()), Amount::ZERO);
}

#[test]
fn a_supply_that_makes_no_sense_is_refused() {
    let check = |params: Params, supply: Supply, want: GenesisError| {
        assert_eq!(document(params, supply).check(), Err(want));
    };
    let fixed = |of: &[(u8, u64)]| Supply::Fixed {
        allocation: shares(of),
    };
    let mutual = |of: &[(u8, u64)]| Supply::Mutual {
        allocation: shares(of),
    };
    let total = Amount(5);
    check(closed(), Supply::Faucet { total }, GenesisError::Faucet);
    check(dev(), fixed(&[(ALICE, 5_000)]), GenesisError::Faucet);
    check(dev(), mutual(&[(ALICE, 5_000)]), GenesisError::Faucet);
    let both = Params {
        existence: DEPOSIT,
        ..dev()
    };
    check(both, Supply::Faucet { total }, GenesisError::Existence);
    let much = Amount(1 << 63);
    check(
        dev(),
        Supply::Faucet { total: much },
        GenesisError::Supply(much),
    );
    let half = 1u64 << 62;
    check(
        closed(),
        fixed(&[(ALICE, half), (BOB, half)]),
        GenesisError::Supply(much),
    );
    check(
        closed(),
        fixed(&[(ALICE, u64::MAX), (BOB, 5_000)]),
        GenesisError::Supply(Amount(u64::MAX)),
    );
    check(
        closed(),
        mutual(&[(ALICE, half)]),
        GenesisError::Supply(Amount(half)),
    );
    for allocation in [
        Vec::new(),
        shares(&[(ALICE, 999)]),
        shares(&[(ALICE, 5_000), (ALICE, 5_000)]),
        shares(&[(ALICE, 5_000), (BOB, 5_000)])
            .into_iter()
            .rev()
            .collect(),
        (0..1_025u32)
            .map(|n| {
                let mut id = [0; 32];
                id[..4].copy_from_slice(&n.to_be_bytes());
                (AccountId(id), Amount(5_000))
            })
            .collect(),
    ] {
        let supply = Supply::Fixed {
            allocation: allocation.clone(),
        };
        check(closed(), supply, GenesisError::Allocation);
        check(
            closed(),
            Supply::Mutual { allocation },
            GenesisError::Allocation,
        );
    }
    // The founder owes what the others have.
    check(closed(), mutual(&[(1, 5_000)]), GenesisError::Allocation);
    assert!(document(closed(), fixed(&[(1, 5_000)])).check().is_ok());
}

#[test]
fn a_genesis_that_makes_no_sense_is_refused() {
    let check = |change: fn(&mut Genesis)| {
        let mut document = genesis(dev());
        change(&mut document);
        State::genesis(&document).is_ok()
    };
    assert!(check(|_| ()));
    assert!(!check(|g| g.version = 3));
    assert!(!check(|g| g.version = 5));
    assert!(!check(|g| g.network = String::new()));
    assert!(!check(|g| g.params.slots = 0));
    assert!(!check(|g| g.validators[0].node.0 = [0; 32]));
    assert!(!check(|g| g.validators[0].possession = [0; 96]));
    assert!(!check(|g| g.validators.clear()));
    assert!(!check(|g| g.validators.push(g.validators[0].clone())));
    let document = genesis(Params::profile(Profile::Public));
    assert_eq!(
        codec::decode(&codec::encode(&document)),
        Ok(document.clone())
    );
    assert_ne!(document.hash(), genesis(dev()).hash());
    let version = Genesis::version_of(&codec::encode(&document));
    assert_eq!(version, Some(crate::VERSION));
    assert_eq!(START, document.start);
}

/// A network of the founder's, in which it has paid Alice and Bob.
fn begun() -> World {
    let mut world = World::new(closed());
    for to in [ALICE, BOB] {
        world.submit(world.transfer(1, to, Amount::from_credits(10)));
        world.block();
    }
    world
}

fn leave(world: &World, from: u8, to: u8, auth: Auth) -> Tx {
    let net = world.state.genesis_hash();
    Tx::Leave(Leave::sign(&signer(from), account(to), auth, &net))
}

#[test]
fn dust_makes_no_account() {
    let mut world = begun();
    let dust = world.transfer(ALICE, 12, Amount(DEPOSIT.0 - 1));
    let least = DEPOSIT;
    let refusal = TxRefusal::Existence { least };
    assert_eq!((refused(world.admit(dust)), refusal.code()), (refusal, 156));
    world.submit(world.transfer(ALICE, 12, DEPOSIT));
    world.block();
    let new = world.state.account(&account(12)).unwrap();
    assert_eq!((new.balance, new.deposit), (Amount::ZERO, DEPOSIT));
    // Who is there may be paid anything.
    world.submit(world.transfer(ALICE, 12, Amount(1)));
    world.block();
    assert_eq!(world.balance(12), Amount(1));
    // Nor does a registration make one, or a delegation.
    let auth = Auth {
        nonce: 0,
        expiry: 100,
    };
    let net = world.state.genesis_hash();
    let stranger = super::world::owner(13);
    let register = Register::sign(&signer(13), &stranger, Amount::ZERO, auth, &net);
    let tx = Tx::Register(register);
    assert_eq!(refused(world.admit(tx)), TxRefusal::NoAccount);
    let grant = crate::Grant {
        may: May::ALL,
        cap: None,
        issued: world.now,
        until: world.now.after(Millis(100_000)),
    };
    let tx = world.delegate(13, 60, grant);
    assert_eq!(refused(world.admit(tx)), TxRefusal::NoAccount);
    world.check_replay(closed());
}

#[test]
fn who_leaves_has_its_deposit_back() {
    let mut world = begun();
    let (alices, bobs) = (world.balance(ALICE), world.balance(BOB));
    let auth = world.auth(&account(ALICE));
    world.submit(leave(&world, ALICE, BOB, auth));
    world.block();
    assert_eq!(world.state.account(&account(ALICE)), None);
    assert_eq!(world.balance(BOB).0, bobs.0 + alices.0 + DEPOSIT.0);
    // What it had is enough for another account.
    let auth = world.auth(&account(BOB));
    world.submit(leave(&world, BOB, 12, auth));
    world.block();
    let new = world.state.account(&account(12)).unwrap();
    assert_eq!(new.deposit, DEPOSIT);
    assert_eq!(new.balance.0, bobs.0 + alices.0 + DEPOSIT.0);
    world.check_replay(closed());
}

#[test]
fn what_an_account_signed_before_it_left_stays_dead() {
    let mut world = begun();
    let net = world.state.genesis_hash();
    let far = world.state.head().height + 1_000;
    let pay = |nonce| {
        let auth = Auth { nonce, expiry: far };
        let from = super::world::owner(ALICE);
        Tx::Transfer(Transfer::sign(&from, account(BOB), Amount(1), auth, &net))
    };
    let grant = crate::Grant {
        may: May::ALL,
        cap: None,
        issued: world.now,
        until: world.now.after(Millis(1_000_000)),
    };
    let delegate = world.delegate(ALICE, 60, grant);
    world.submit(delegate.clone());
    world.submit(pay(3));
    world.block();
    let auth = world.auth(&account(ALICE));
    let away = leave(&world, ALICE, BOB, auth);
    world.submit(away.clone());
    world.block();
    assert!(world.sub_key(ALICE, 60).is_none(), "nobody signs for it");
    world.submit(world.transfer(BOB, ALICE, Amount::from_credits(1)));
    world.block();
    // It is back, with all of its old words spent, those that nobody saw too.
    for nonce in [0, 1, 2, 3, 4, 255] {
        let refusal = refused(world.admit(pay(nonce)));
        assert!(matches!(refusal, TxRefusal::Nonce(_)), "{nonce}: {refusal}");
    }
    assert!(matches!(refused(world.admit(away)), TxRefusal::Nonce(_)));
    assert_eq!(refused(world.admit(delegate)), TxRefusal::Superseded);
    world.submit(world.transfer(ALICE, BOB, Amount(5)));
    world.block();
    world.check_replay(closed());
}

#[test]
fn who_is_held_does_not_leave() {
    let mut world = begun();
    world.submit(world.register(BOB, Amount::ZERO));
    world.block();
    let mut leaf = world.draft(BOB, ALICE, 6);
    leaf.rate = Amount(10);
    let auth = world.auth(&leaf.renter);
    let op = world.sign(BOB, leaf, ALICE, Some(auth));
    world.submit(world.update(BOB, vec![op]));
    world.run_to_epoch(1);
    assert!(world.leaf(&leaf.contract_id).is_some());
    let tied = |world: &mut World, from: u8| {
        let auth = world.auth(&account(from));
        let tx = leave(world, from, 1, auth);
        refused(world.admit(tx))
    };
    // Her contract, his provider, the founder's office.
    assert_eq!(tied(&mut world, ALICE), TxRefusal::Tied { ties: 1 });
    assert_eq!(tied(&mut world, BOB), TxRefusal::Tied { ties: 1 });
    let auth = world.auth(&account(1));
    let founder = leave(&world, 1, ALICE, auth);
    let refusal = TxRefusal::Tied { ties: 0 };
    assert_eq!(
        (refused(world.admit(founder)), refusal.code()),
        (refusal, 157)
    );
    world.run_to_epoch(6);
    world.submit(world.update(BOB, vec![Op::CloseExpired(leaf.contract_id)]));
    world.run_to_epoch(7);
    let auth = world.auth(&account(ALICE));
    world.submit(leave(&world, ALICE, BOB, auth));
    world.block();
    assert_eq!(world.state.account(&account(ALICE)), None);
    world.check_replay(closed());
}

#[test]
fn nobody_else_makes_an_account_leave() {
    let world = begun();
    let net = world.state.genesis_hash();
    let auth = world.auth(&account(ALICE));
    let mut stolen = Leave::sign(&signer(BOB), account(BOB), auth, &net);
    stolen.account = account(ALICE);
    let bad = verify::tx(&net, Tx::Leave(stolen)).err();
    assert_eq!(bad, Some(VerifyError::Tx(0)));
    // Where nothing is set aside nothing is returned.
    let mut free = World::with(dev(), &[ALICE, BOB], &[NODE]);
    let auth = free.auth(&account(ALICE));
    let tx = leave(&free, ALICE, BOB, auth);
    assert_eq!(refused(free.admit(tx)), TxRefusal::Nothing);
}
