//! What a block has nothing to do with, the state after it shares with the one before. ADR 9.

use super::world::{World, dev, signer};
use super::{ALICE, NODE};
use crate::State;
use larder_proofs::ProviderTree;
use std::sync::Arc;

const OTHER: u8 = 21;

fn tree(state: &State, node: u8) -> &Arc<ProviderTree> {
    &state.provider(&signer(node).node()).unwrap().active
}

#[test]
fn an_epoch_copies_only_the_trees_that_change_in_it() {
    let mut world = World::with(dev(), &[ALICE], &[NODE, OTHER]);
    let leaf = world.open(NODE, ALICE, 120);
    world.open(OTHER, ALICE, 120);
    world.run_to_epoch(2);
    let before = world.state.clone();
    let (_, op) = world.fill(NODE, &leaf, ALICE, 1);
    world.submit(world.update(NODE, vec![op]));
    world.run_to_epoch(3);
    let after = &world.state;
    let paid = |state: &State| state.provider(&signer(OTHER).node()).unwrap().escrow;
    assert_ne!(paid(&before), paid(after), "its record did change");
    assert!(Arc::ptr_eq(tree(&before, OTHER), tree(after, OTHER)));
    assert_ne!(tree(&before, NODE).root(), tree(after, NODE).root());
}

#[test]
fn providers_without_contracts_share_one_tree() {
    let world = World::with(dev(), &[], &[NODE, OTHER]);
    assert!(Arc::ptr_eq(
        tree(&world.state, NODE),
        tree(&world.state, OTHER)
    ));
}
