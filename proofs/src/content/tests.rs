//! A content tree with holes against one that is built anew from its list, and the roots that
//! follow from paths alone.

use super::*;
use crate::reference;
use larder_types::ShardRoot;
use proptest::prelude::*;

fn shard(number: u32) -> ShardLeaf {
    let mut root = [1; 32];
    root[..4].copy_from_slice(&number.to_le_bytes());
    ShardLeaf {
        root: ShardRoot(root),
        chunks: 16 * (1 + u64::from(number % 3)),
        tag: [0; 8],
    }
}

fn tree(shards: u32) -> ContentTree {
    ContentTree::from_leaves((0..shards).map(shard).collect()).unwrap()
}

fn committed(tree: &ContentTree) -> (Hash, u64, u8) {
    (tree.root(), tree.chunks(), tree.depth())
}

#[derive(Debug, Clone)]
enum Step {
    Push,
    Clear(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Push),
        2 => any::<u32>().prop_map(Step::Clear),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn a_tree_with_holes_is_the_one_built_anew(steps in steps()) {
        let mut tree = ContentTree::new();
        let mut list: Vec<ShardLeaf> = Vec::new();
        for (number, step) in (0u32..).zip(steps) {
            match step {
                Step::Push => {
                    tree.push(shard(number)).unwrap();
                    list.push(shard(number));
                }
                Step::Clear(at) => {
                    let at = at % (u32::try_from(list.len()).unwrap() + 1);
                    let depth = tree.depth();
                    let old = list.get(at as usize).copied().filter(|leaf| !leaf.is_empty());
                    prop_assert_eq!(tree.clear(at), old);
                    if let Some(place) = list.get_mut(at as usize) {
                        *place = ShardLeaf::EMPTY;
                    }
                    prop_assert_eq!(tree.depth(), depth, "holes keep the depth");
                }
            }
            let anew = ContentTree::from_leaves(list.clone()).unwrap();
            prop_assert_eq!(committed(&tree), committed(&anew));
            prop_assert_eq!(tree.leaves(), &list[..]);
            let plain = reference::content(&list, tree.depth());
            prop_assert_eq!((tree.root().0, tree.chunks()), plain);
            let read = ContentTree::from_bytes(&tree.to_bytes()).unwrap();
            prop_assert_eq!(committed(&read), committed(&tree));
            prop_assert_eq!(&read, &tree);
            let whole = tree.prefix_with_root(tree.root(), tree.chunks());
            prop_assert_eq!(whole.as_ref(), Some(&tree));
        }
    }

    #[test]
    fn paths_lead_to_the_root_of_what_is_left(
        shards in 1u32..40,
        holes in prop::collection::btree_set(0u32..40, 0..8),
        lost in prop::collection::btree_set(0u32..40, 1..12),
    ) {
        let mut tree = tree(shards);
        for hole in &holes {
            tree.clear(*hole);
        }
        let named = tree.lost_shards(&lost);
        let there = lost.iter().all(|at| *at < shards && !holes.contains(at));
        prop_assert_eq!(named.is_some(), there);
        let Some(named) = named else { return Ok(()) };
        let (root, chunks, depth) = committed(&tree);
        let left = cleared(root, chunks, depth, &named).unwrap();
        for at in &lost {
            tree.clear(*at);
        }
        prop_assert_eq!(left, (tree.root(), tree.chunks()));
        prop_assert_eq!(tree.depth(), depth);
    }

    #[test]
    fn an_older_revision_is_found_by_its_root(before in 0u32..20, more in 0u32..20, lost in prop::collection::btree_set(0u32..20, 0..20)) {
        let mut old = tree(before);
        let mut new = tree(before + more);
        for at in lost.iter().filter(|at| **at < before) {
            old.clear(*at);
            new.clear(*at);
        }
        let prefix = new.prefix_with_root(old.root(), old.chunks()).unwrap();
        prop_assert_eq!(committed(&prefix), committed(&old));
        if old.chunks() > 0 {
            prop_assert_eq!(&prefix, &old, "with the holes at its end");
        }
        prop_assert_eq!(new.prefix_with_root(Hash([9; 32]), old.chunks()), None);
        prop_assert_eq!(new.prefix_with_root(old.root(), old.chunks() + 1), None);
    }
}

#[test]
fn a_trailing_hole_keeps_its_place() {
    let mut tree = tree(5);
    assert_eq!(tree.clear(4), Some(shard(4)));
    assert_eq!(tree.clear(4), None, "a hole already");
    assert_eq!(tree.clear(5), None, "no such place");
    assert_eq!((tree.depth(), tree.leaves().len()), (3, 5));
    tree.push(shard(9)).unwrap();
    assert_eq!(tree.leaves()[4..], [ShardLeaf::EMPTY, shard(9)]);
}

#[test]
fn forged_paths_are_refused() {
    let tree = tree(6);
    let (root, chunks, depth) = committed(&tree);
    let good = tree.lost_shards(&BTreeSet::from([1, 4])).unwrap();
    let check = |change: &dyn Fn(&mut Vec<LostShard>), want: ClearError| {
        let mut lost = good.clone();
        change(&mut lost);
        assert_eq!(cleared(root, chunks, depth, &lost), Err(want));
    };
    assert!(cleared(root, chunks, depth, &good).is_ok());
    check(&|lost| lost.clear(), ClearError::Nothing);
    check(&|lost| lost.swap(0, 1), ClearError::Order { index: 1 });
    check(
        &|lost| lost[1] = lost[0].clone(),
        ClearError::Order { index: 1 },
    );
    check(&|lost| lost[0].index = 0, ClearError::Root { index: 0 });
    check(
        &|lost| lost[0].leaf.chunks += 16,
        ClearError::Root { index: 1 },
    );
    check(
        &|lost| lost[0].leaf = ShardLeaf::EMPTY,
        ClearError::NoShard { index: 1 },
    );
    check(&|lost| lost[1].index = 12, ClearError::Depth { index: 12 });
    check(
        &|lost| lost[1].path.truncate(1),
        ClearError::Depth { index: 4 },
    );
    check(
        &|lost| lost[0].path[2].chunks = u64::MAX,
        ClearError::Root { index: 1 },
    );
    // Each path is against what the ones before have left, not against the whole.
    check(
        &|lost| lost[1].path = tree.path(4),
        ClearError::Root { index: 4 },
    );
    assert!(cleared(root, chunks + 16, depth, &good).is_err());
    assert!(cleared(Hash([7; 32]), chunks, depth, &good).is_err());
}

#[test]
fn the_only_shard_leaves_nothing() {
    let tree = tree(1);
    let lost = tree.lost_shards(&BTreeSet::from([0])).unwrap();
    assert_eq!(
        cleared(tree.root(), tree.chunks(), 0, &lost),
        Ok((ContentTree::new().root(), 0))
    );
}

#[test]
fn a_list_of_many_pages_is_the_plain_tree_at_every_node() {
    let mut tree = tree(0);
    let mut list: Vec<ShardLeaf> = (0..700).map(shard).collect();
    for leaf in &list {
        tree.push(*leaf).unwrap();
    }
    let before = tree.clone();
    for hole in [0, 17, 255, 256, 699] {
        list[hole as usize] = ShardLeaf::EMPTY;
        assert_eq!(tree.clear(hole), Some(shard(hole)));
    }
    assert_eq!(before.leaves()[17], shard(17), "a clone stays as it was");
    assert_eq!(tree.depth(), 10);
    for height in 0..=10u8 {
        for index in 0..1u32 << (10 - height) {
            let first = (index as usize) << height;
            let end = list.len().min(first + (1 << height));
            let plain = reference::content(list.get(first..end).unwrap_or(&[]), height);
            let node = tree.node(height, index);
            assert_eq!((node.hash.0, node.chunks), plain, "{height} {index}");
        }
    }
}

#[test]
fn chunks_never_overflow() {
    let huge = |chunks| ShardLeaf { chunks, ..shard(0) };
    let mut tree = ContentTree::from_leaves(vec![huge(u64::MAX - 31)]).unwrap();
    let before = tree.clone();
    assert_eq!(tree.push(huge(32)), Err(TreeError::SumOverflow));
    assert_eq!((&tree, committed(&tree)), (&before, committed(&before)));
    assert_eq!(tree.push(huge(16)), Ok(()));
    let over = vec![huge(u64::MAX - 15), huge(16)];
    assert_eq!(ContentTree::from_leaves(over), Err(TreeError::SumOverflow));
}

/// Shards that are pushed one after another, as [`appended`] takes them.
fn pushed(tree: &mut ContentTree, numbers: std::ops::Range<u32>) -> Vec<LostShard> {
    let push = |number| tree.push_shown(shard(number)).unwrap();
    numbers.map(push).collect()
}

proptest! {
    #[test]
    fn what_is_appended_leads_to_the_root_of_the_longer_list(
        before in 0u32..40,
        more in 1u32..12,
        holes in prop::collection::btree_set(0u32..40, 0..8),
    ) {
        let mut tree = tree(before);
        for hole in &holes {
            tree.clear(*hole);
        }
        let (root, chunks, depth) = committed(&tree);
        let added = pushed(&mut tree, before..before + more);
        prop_assert_eq!(appended(root, chunks, depth, &added), Ok(committed(&tree)));
    }
}

#[test]
fn a_tree_grows_with_what_is_appended() {
    // From nothing, over the ends of the depths 0, 1, 2 and 3.
    let mut tree = ContentTree::new();
    let (root, chunks, depth) = committed(&tree);
    let added = pushed(&mut tree, 0..9);
    assert_eq!(tree.depth(), 4);
    for count in 1..=9 {
        let anew = ContentTree::from_leaves((0..9).map(shard).take(count).collect()).unwrap();
        let grown = appended(root, chunks, depth, &added[..count]);
        assert_eq!(grown, Ok(committed(&anew)), "{count}");
    }
}

#[test]
fn what_cannot_come_in_as_it_says_is_refused() {
    let mut tree = tree(6);
    tree.clear(5);
    let before = tree.clone();
    let (root, chunks, depth) = committed(&tree);
    let good = pushed(&mut tree, 6..9);
    let check = |change: &dyn Fn(&mut Vec<LostShard>), want: ClearError| {
        let mut added = good.clone();
        change(&mut added);
        assert_eq!(appended(root, chunks, depth, &added), Err(want));
    };
    assert_eq!(appended(root, chunks, depth, &good), Ok(committed(&tree)));
    check(&|added| added.clear(), ClearError::Nothing);
    check(&|added| added.swap(0, 1), ClearError::Order { index: 6 });
    check(
        &|added| added[1] = added[0].clone(),
        ClearError::Order { index: 6 },
    );
    check(
        &|added| added[1].leaf = ShardLeaf::EMPTY,
        ClearError::NoShard { index: 7 },
    );
    check(
        &|added| added[0].path.truncate(2),
        ClearError::Depth { index: 6 },
    );
    // The ninth place needs a level more.
    check(
        &|added| added[2].path.truncate(3),
        ClearError::Depth { index: 8 },
    );
    // A place that is taken.
    check(
        &|added| {
            added[0].index = 2;
            added[0].path = before.path(2);
        },
        ClearError::Root { index: 2 },
    );
    check(
        &|added| added[0].path[1].hash.0[0] ^= 1,
        ClearError::Root { index: 6 },
    );
    // Each path is against what the ones before have made, not against the tree before.
    check(
        &|added| added[1].path = before.path(7),
        ClearError::Root { index: 7 },
    );
    // More chunks than there can be.
    check(
        &|added| added[0].leaf.chunks = u64::MAX - 15,
        ClearError::Root { index: 6 },
    );
    assert!(appended(root, chunks + 16, depth, &good).is_err());
    assert!(appended(Hash([7; 32]), chunks, depth, &good).is_err());
    assert!(appended(root, chunks, depth + 1, &good).is_err());
}
