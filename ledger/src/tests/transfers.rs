//! The faucet, and credit from one account to another. `docs/protocol.md` §3.1, §3.12.

use super::world::{World, dev, owner, signer};
use super::{ALICE, BOB, refused};
use crate::{Admitted, Faucet, NonceError, Transfer, Tx, TxRefusal};
use larder_contracts::Auth;
use larder_types::{Amount, Params};

#[test]
fn the_faucet_serves_each_account_once() {
    let mut world = World::with(dev(), &[ALICE], &[]);
    assert_eq!(world.balance(ALICE), Amount::from_credits(100));
    let again = Tx::Faucet(Faucet::sign(&owner(ALICE), &world.state.genesis_hash()));
    assert_eq!(refused(world.admit(again)), TxRefusal::Granted);
    let params = Params {
        faucet: None,
        ..dev()
    };
    let mut public = World::new(params);
    let tx = Tx::Faucet(Faucet::sign(&owner(ALICE), &public.state.genesis_hash()));
    assert_eq!(refused(public.admit(tx)), TxRefusal::NoFaucet);
}

#[test]
fn a_transfer_moves_credit_once() {
    let mut world = World::with(dev(), &[ALICE], &[]);
    let tx = world.transfer(ALICE, BOB, Amount::from_credits(30));
    assert!(matches!(world.admit(tx.clone()), Ok(Admitted::New(_))));
    assert!(matches!(world.admit(tx.clone()), Ok(Admitted::Known(_))));
    world.block();
    assert_eq!(world.balance(ALICE), Amount::from_credits(70));
    assert_eq!(world.balance(BOB), Amount::from_credits(30));
    assert_eq!(
        refused(world.admit(tx)),
        TxRefusal::Nonce(NonceError::Spent { nonce: 0 })
    );
    world.check_replay(dev());
}

#[test]
fn credit_is_not_spent_twice() {
    let mut world = World::with(dev(), &[ALICE], &[]);
    let net = world.state.genesis_hash();
    let pay = |nonce, to: u8| {
        let auth = Auth { nonce, expiry: 50 };
        let amount = Amount::from_credits(80);
        Tx::Transfer(Transfer::sign(
            &owner(ALICE),
            signer(to).account(),
            amount,
            auth,
            &net,
        ))
    };
    // Two nonces, one balance: both are plausible alone, one is left out of the block. And two
    // transfers with one nonce.
    world.submit(pay(0, BOB));
    world.submit(pay(1, 12));
    world.submit(pay(0, 13));
    world.block();
    assert_eq!(world.blocks.last().unwrap().txs.len(), 1);
    assert_eq!(world.balance(BOB), Amount::from_credits(80));
    assert_eq!(world.balance(12), Amount::ZERO);
    assert_eq!(world.balance(13), Amount::ZERO);
    assert!(world.mempool.is_empty());
}

#[test]
fn expiry_and_nonces_are_bounded() {
    let mut world = World::with(dev(), &[ALICE], &[]);
    let net = world.state.genesis_hash();
    let pay = |nonce, expiry| {
        let auth = Auth { nonce, expiry };
        Tx::Transfer(Transfer::sign(
            &owner(ALICE),
            signer(BOB).account(),
            Amount(1),
            auth,
            &net,
        ))
    };
    let height = world.state.head().height;
    assert_eq!(
        refused(world.admit(pay(0, height))),
        TxRefusal::Expired {
            expiry: height,
            height: height + 1
        }
    );
    let latest = height + 1 + world.state.params().max_expiry;
    assert_eq!(
        refused(world.admit(pay(0, latest + 1))),
        TxRefusal::ExpiryFar {
            expiry: latest + 1,
            latest
        }
    );
    assert!(matches!(
        refused(world.admit(pay(256, latest))),
        TxRefusal::Nonce(_)
    ));
    world.submit(pay(255, height + 1));
    let amount = Amount::ZERO;
    let nothing = world.transfer(ALICE, BOB, amount);
    assert_eq!(refused(world.admit(nothing)), TxRefusal::Nothing);
    let much = world.transfer(ALICE, BOB, Amount::from_credits(101));
    assert!(matches!(
        refused(world.admit(much)),
        TxRefusal::Balance { .. }
    ));
}
