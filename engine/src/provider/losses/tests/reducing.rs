//! Shards that are taken back: what is posted, when they go, and what a crash, damage or a ledger that does not
//! take it leave.

use super::*;
use crate::wire::Reduce;
use larder_contracts::clear;
use larder_ledger::Reduction;

fn admin() -> Signer {
    Signer::from_seed(&[99; 32])
}

/// The renter takes the shards in these places back.
fn reduce(bench: &mut Bench, places: &[u32], key: &Signer) -> (Response, Reduction) {
    let (answer, reduction, _) = reducing(bench, places, key);
    (answer, reduction)
}

/// The same, and what the provider does about it.
fn reducing(bench: &mut Bench, places: &[u32], key: &Signer) -> (Response, Reduction, Vec<Effect>) {
    let (leaf, leaves) = bench.latest();
    let tree = ContentTree::from_leaves(leaves).unwrap();
    let newest = ContractLeaf {
        slash_acc: 0,
        unpaid_at_start: 0,
        ..leaf
    };
    let (next, _) = clear(&newest, &tree, &places.iter().copied().collect()).unwrap();
    let node = bench.me.node();
    let signed = SignedLeaf::sign(next, None, &node, &bench.renter, &NET);
    let reduction = Reduction::sign(signed, &node, key, &NET);
    let ask = Reduce {
        contract: bench.id(),
        places: places.to_vec(),
        reduction: reduction.clone(),
    };
    let (answer, effects) = bench.asked(Request::Reduce(Box::new(ask)));
    (answer, reduction, effects)
}

/// The reductions that are handed to validators, each in an update of its own.
fn posted(effects: &[Effect]) -> Vec<Reduction> {
    let mut posted = Vec::new();
    for effect in effects {
        let Effect::Submit {
            what: Submission::Tx(tx),
            ..
        } = effect
        else {
            continue;
        };
        if let Tx::TreeUpdate(update) = &**tx
            && let [Op::Reduce(reduction)] = &update.ops[..]
        {
            posted.push((**reduction).clone());
        }
    }
    posted
}

/// The boundary makes it active.
fn act(bench: &mut Bench, reduction: &Reduction) -> Vec<Effect> {
    let leaf = reduction.signed.leaf;
    bench.active = ContractLeaf {
        content_root: leaf.content_root,
        used_chunks: leaf.used_chunks,
        depth: leaf.depth,
        revision: leaf.revision,
        ..bench.active
    };
    bench.boundary(None)
}

#[test]
fn what_is_taken_back_is_kept_until_the_boundary_and_is_no_loss() {
    let mut bench = Bench::new(&[1, 2, 3], &[4], &[9]);
    let (answer, reduction, effects) = reducing(&mut bench, &[1, 3], &admin());
    assert!(matches!(answer, Response::Signed(_)), "{answer:?}");
    assert_eq!(posted(&effects), std::slice::from_ref(&reduction));
    assert_eq!(bench.revise(&[9]), denied(Deny::Busy));
    assert!(matches!(bench.read(2), BulkEffect::Serve { .. }));
    bench.restart();
    let mut effects = bench.block();
    effects.extend(bench.step(Input::Tick));
    assert!(posted(&effects).contains(&reduction), "after a crash too");
    assert_eq!(bench.revise(&[9]), denied(Deny::Busy));

    let effects = act(&mut bench, &reduction);
    assert_eq!(dropped(&effects), [root(2), root(4)]);
    assert!(posted(&effects).is_empty());
    assert_eq!(bench.engine.provided().unwrap().declared, 0);
    let active = bench.active;
    bench.check(&active, &[1, 0, 3, 0]);
    bench.restart();
    bench.block();
    bench.check(&active, &[1, 0, 3, 0]);
    assert!(matches!(bench.revise(&[9]), Response::Signed(_)));
}

#[test]
fn a_ledger_that_does_not_take_it_holds_the_contract_up_for_three_epochs() {
    let mut bench = Bench::new(&[1, 2], &[], &[9]);
    let (_, reduction) = reduce(&mut bench, &[0], &admin());
    bench.step(Input::Tick);
    for _ in 0..3 {
        let mut effects = bench.boundary(None);
        effects.extend(bench.step(Input::Tick));
        assert!(posted(&effects).contains(&reduction), "in each epoch");
        assert_eq!(bench.revise(&[9]), denied(Deny::Busy));
    }
    assert!(posted(&bench.boundary(None)).is_empty());
    assert!(matches!(bench.revise(&[9]), Response::Signed(_)));
    assert!(matches!(bench.read(1), BulkEffect::Serve { .. }));
}

#[test]
fn a_device_takes_nothing_back() {
    let mut bench = Bench::new(&[1, 2], &[], &[]);
    let device = Signer::from_seed(&[60; 32]);
    let account = bench.renter.account();
    bench.subkeys = authorised(account, SubKeyId(device.public()), May::ALL);
    bench.block();
    bench.renter = AccountSigner::sub(account, device.clone());
    let (answer, _) = reduce(&mut bench, &[0], &device);
    assert_eq!(answer, denied(Deny::BadSignature));
    let (answer, _) = reduce(&mut bench, &[0], &admin());
    assert!(matches!(answer, Response::Signed(_)));
}

#[test]
fn damage_is_declared_first() {
    let mut bench = Bench::new(&[1, 2, 3], &[], &[]);
    let (_, reduction) = reduce(&mut bench, &[0], &admin());
    bench.step(Input::Tick);
    bench.damage(&[2]);
    let effects = bench.boundary(None);
    assert!(posted(&effects).is_empty(), "{reduction:?}");
    let loss = one(&effects);
    assert_eq!(indices(&loss), [1]);
    bench.boundary(Some(&loss));
    let active = bench.active;
    bench.check(&active, &[1, 0, 3]);
    let (answer, _) = reduce(&mut bench, &[0], &admin());
    assert!(
        matches!(answer, Response::Signed(_)),
        "it is asked for again"
    );
}
