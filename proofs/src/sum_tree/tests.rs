//! Both trees against the slow model of `reference/provider_tree.py`: all 2^d leaves, level by
//! level, rebuilt after every change.

use super::*;
use crate::content::ContentNode;
use crate::provider::ProviderRoot;
use larder_types::Hash;
use proptest::prelude::*;

fn slow_levels<N: Node>(leaves: &[N], depth: u8) -> Vec<Vec<N>> {
    let mut level = leaves.to_vec();
    level.resize(1 << depth, N::empty(0));
    let mut levels = vec![level];
    for height in 1..=depth {
        let below = levels.last().unwrap();
        let above = below
            .chunks(2)
            .map(|pair| N::join(&pair[0], &pair[1], height).unwrap());
        levels.push(above.collect());
    }
    levels
}

fn slow_depth(places: usize) -> u8 {
    (0..).find(|d| 1 << d >= places.max(1)).unwrap()
}

fn node(seed: u8, sum: u64) -> ContentNode {
    ContentNode {
        hash: Hash([seed; 32]),
        chunks: sum,
    }
}

fn tree() -> Rows<ContentNode> {
    Rows::build(0, 0, Vec::new()).unwrap()
}

proptest! {
    #[test]
    fn setting_leaves_equals_building_anew(sets in prop::collection::vec((0u32..40, any::<u8>(), 0u64..1_000), 0..60)) {
        let mut tree = tree();
        let mut leaves: Vec<ContentNode> = Vec::new();
        for (index, seed, sum) in sets {
            tree.set(index, node(seed, sum));
            let at = index as usize;
            leaves.resize(leaves.len().max(at + 1), ContentNode::empty(0));
            leaves[at] = node(seed, sum);
            let depth = slow_depth(leaves.len());
            prop_assert_eq!(tree.depth(), depth);
            prop_assert_eq!(tree.root(), slow_levels(&leaves, depth)[usize::from(depth)][0]);
        }
        let sum: u64 = leaves.iter().map(|leaf| leaf.chunks).sum();
        for at in 0..sum {
            let mut rest = at;
            let slow = leaves.iter().position(|leaf| {
                let here = rest < leaf.chunks;
                if !here { rest -= leaf.chunks; }
                here
            });
            prop_assert_eq!(tree.find(at, 0), (u32::try_from(slow.unwrap()).unwrap(), rest));
        }
    }

    #[test]
    fn shown_leaves_and_siblings_rebuild_the_root(
        sums in prop::collection::vec(1u64..100, 1..40),
        picks in prop::collection::btree_set(any::<u32>(), 1..10),
    ) {
        let mut tree = tree();
        for (index, sum) in (0u32..).zip(&sums) {
            tree.set(index, node(u8::try_from(index).unwrap(), *sum));
        }
        let count = u32::try_from(sums.len()).unwrap();
        let mut picks: Vec<u32> = picks.into_iter().map(|p| p % count).collect();
        picks.sort_unstable();
        picks.dedup();
        let siblings = tree.siblings(&picks);
        let leaves: BTreeMap<u32, _> = picks.iter().map(|i| (*i, tree.node(0, *i))).collect();
        let rebuild = |siblings: &[ContentNode]| {
            let mut rest = siblings.iter();
            let part = PartialTree::rebuild(tree.depth(), leaves.clone(), || rest.next().copied().ok_or(()));
            (part, rest.next().is_some())
        };
        let (part, unused) = rebuild(&siblings);
        let part = part.unwrap().unwrap();
        prop_assert!(!unused);
        prop_assert_eq!(part.root(), tree.root());
        if let Some((_, fewer)) = siblings.split_last() {
            prop_assert!(rebuild(fewer).0.is_err());
        }
        for at in 0..tree.root().sum() {
            let (index, rest) = tree.find(at, 0);
            match part.find(at) {
                // The part may end in a leaf that is shown only as a sibling, never elsewhere.
                Some(found) => prop_assert_eq!(found, (index, rest)),
                None => prop_assert!(!picks.contains(&index)),
            }
        }
        prop_assert_eq!(part.find(tree.root().sum()), None);
    }
}

#[test]
fn sums_never_overflow() {
    assert_eq!(ContentNode::join(&node(1, u64::MAX), &node(2, 1), 1), None);
    let row = vec![node(1, u64::MAX), node(2, 1)];
    assert!(Rows::build(0, 1, row.clone()).is_none());
    assert_eq!(fold(row, 0, 1), None);
    let leaves = BTreeMap::from([(0, node(1, u64::MAX)), (1, node(2, 1))]);
    let part = PartialTree::rebuild(1, leaves, || Err(()));
    assert!(matches!(part, Ok(None)));
}

#[test]
fn an_empty_tree_of_any_depth_is_empties_joined() {
    for depth in 0..8 {
        let slow = slow_levels::<ProviderRoot>(&[], depth)[usize::from(depth)][0];
        assert_eq!(fold::<ProviderRoot>(Vec::new(), 0, depth), Some(slow));
        let rows = Rows::<ProviderRoot>::build(0, depth, Vec::new()).unwrap();
        assert_eq!(rows.root(), slow);
        assert_eq!((slow.sum, slow.min_end), (0, u32::MAX));
    }
}
