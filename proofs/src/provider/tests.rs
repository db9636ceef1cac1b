//! The lowest free place, growth, what is kept, and the leaves' layouts.

use super::*;
use crate::reference;
use larder_types::{AccountId, Amount, ContractId, codec};
use proptest::prelude::*;

fn leaf(n: u8, rate: u64, end_epoch: u32) -> ContractLeaf {
    ContractLeaf {
        version: 1,
        contract_id: ContractId([n; 32]),
        rate: Amount(rate),
        end_epoch,
        ..ContractLeaf::default()
    }
}

#[test]
fn the_lowest_free_place_is_reused_and_depth_stays() {
    let mut tree = ProviderTree::new();
    assert_eq!(tree.root(), ProviderRoot::default());
    for n in 0..5 {
        assert_eq!(
            tree.insert(leaf(n, 10, 70 + u32::from(n))),
            Ok(u32::from(n))
        );
    }
    assert_eq!(
        (tree.depth(), tree.root().sum, tree.root().min_end),
        (3, 50, 70)
    );
    assert_eq!(tree.remove(3), Ok(leaf(3, 10, 73)));
    assert_eq!(tree.remove(0), Ok(leaf(0, 10, 70)));
    assert_eq!(tree.remove(0), Err(TreeError::NoLeaf(0)));
    assert_eq!(tree.root().min_end, 71);
    assert_eq!(tree.insert(leaf(7, 1, 77)), Ok(0));
    assert_eq!(tree.insert(leaf(8, 1, 77)), Ok(3));
    assert_eq!(tree.insert(leaf(9, 1, 77)), Ok(5));
    for index in 0..6 {
        tree.remove(index).unwrap();
    }
    assert_eq!(
        (tree.depth(), tree.root().sum, tree.iter().count()),
        (3, 0, 0)
    );
    assert_eq!(tree.insert(leaf(1, 1, 77)), Ok(0));
}

#[test]
fn a_leaf_is_replaced_in_place_or_not_at_all() {
    let mut tree = ProviderTree::new();
    tree.insert(leaf(0, 10, 70)).unwrap();
    tree.insert(leaf(1, 10, 70)).unwrap();
    assert_eq!(tree.replace(1, leaf(1, 20, 77)), Ok(leaf(1, 10, 70)));
    assert_eq!(tree.get(1), Some(&leaf(1, 20, 77)));
    let before = tree.clone();
    assert_eq!(tree.replace(2, leaf(2, 1, 70)), Err(TreeError::NoLeaf(2)));
    assert_eq!(
        tree.replace(1, leaf(1, u64::MAX, 70)),
        Err(TreeError::SumOverflow)
    );
    assert_eq!(
        tree.insert(leaf(2, u64::MAX, 70)),
        Err(TreeError::SumOverflow)
    );
    assert_eq!((tree.root(), &tree), (before.root(), &before));
}

proptest! {
    #[test]
    fn a_tree_is_what_its_leaves_and_depth_make(ops in prop::collection::vec(prop::option::weighted(0.6, 1u64..1_000), 0..60)) {
        let mut tree = ProviderTree::new();
        let mut slow: Vec<Option<ContractLeaf>> = Vec::new();
        for (n, op) in (0u8..).zip(ops) {
            if let Some(rate) = op {
                let index = slow.iter().position(Option::is_none).unwrap_or(slow.len());
                slow.resize(slow.len().max(index + 1), None);
                slow[index] = Some(leaf(n, rate, u32::from(n)));
                prop_assert_eq!(tree.insert(leaf(n, rate, u32::from(n))), Ok(u32::try_from(index).unwrap()));
            } else if let Some(index) = slow.iter().position(Option::is_some) {
                slow[index] = None;
                prop_assert!(tree.remove(u32::try_from(index).unwrap()).is_ok());
            }
            let anew = ProviderTree::from_leaves(tree.depth(), slow.clone()).unwrap();
            prop_assert_eq!(anew.root(), tree.root());
            prop_assert_eq!(&anew, &tree);
            let root = tree.root();
            let plain = reference::provider(&slow, tree.depth());
            prop_assert_eq!((root.hash.0, root.sum, root.min_end), plain);
            let listed: Vec<_> = tree.iter().map(|(index, leaf)| (index, *leaf)).collect();
            let wanted = (0u32..).zip(&slow).filter_map(|(index, leaf)| Some((index, (*leaf)?)));
            prop_assert_eq!(listed, wanted.collect::<Vec<_>>());
        }
        let kept = codec::encode(&tree);
        let read: ProviderTree = codec::decode(&kept).unwrap();
        prop_assert_eq!(read.root(), tree.root());
        prop_assert_eq!(read, tree);
    }
}

#[test]
fn a_contract_leafs_fields_lie_where_the_protocol_puts_them() {
    let leaf = ContractLeaf {
        version: 1,
        flags: crate::APPEND_ONLY,
        egress_class: 2,
        depth: 3,
        start_epoch: 4,
        end_epoch: 7,
        terms_version: 6,
        contract_id: ContractId([7; 32]),
        renter: AccountId([8; 32]),
        content_root: Hash([9; 32]),
        used_chunks: 10,
        capacity_chunks: 11,
        rate: Amount(12),
        collateral: Amount(13),
        slash_acc: 14,
        revision: 15,
        egress_price: Amount(16),
        included_egress_chunks: 17,
        terms_hash: Hash([18; 32]),
        egress_deposit: Amount(19),
        egress_paid: Amount(20),
        unpaid_at_start: 21,
    };
    let bytes = leaf.to_bytes();
    let first_bytes = [
        (0, 1),
        (1, 16),
        (2, 2),
        (3, 3),
        (4, 4),
        (8, 7),
        (12, 6),
        (16, 7),
        (47, 7),
        (48, 8),
        (79, 8),
        (80, 9),
        (111, 9),
        (112, 10),
        (120, 11),
        (128, 12),
        (136, 13),
        (144, 14),
        (152, 15),
        (160, 16),
        (168, 17),
        (176, 18),
        (207, 18),
        (208, 19),
        (216, 20),
        (224, 21),
        (228, 0),
    ];
    for (at, byte) in first_bytes {
        assert_eq!(bytes[at], byte, "offset {at}");
    }
    assert_eq!(ContractLeaf::from_bytes(&bytes), Ok(leaf));
    assert_eq!(
        codec::decode::<ContractLeaf>(&codec::encode(&leaf)),
        Ok(leaf)
    );
    assert_eq!(codec::encode(&leaf)[..2], [0x58, 240]);
    let bad = [
        (0, 2, "version"),
        (3, 33, "depth"),
        (112, 12, "used chunks"),
        (239, 1, "reserved"),
    ];
    for (at, byte, field) in bad {
        let mut bytes = bytes;
        bytes[at] = byte;
        let refused = ContractLeaf::from_bytes(&bytes).unwrap_err();
        assert!(
            matches!(refused, DecodeError::Field { field: f, .. } if f == field),
            "{refused}"
        );
    }
    assert!(ContractLeaf::from_bytes(&bytes[..239]).is_err());
    assert!(ContractLeaf::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn a_shard_leaf_has_whole_groups_and_a_root_44_bytes() {
    let shard = crate::ShardLeaf {
        root: larder_types::ShardRoot([1; 32]),
        chunks: 32,
        tag: [2; 8],
    };
    assert_eq!(
        codec::decode::<crate::ShardLeaf>(&codec::encode(&shard)),
        Ok(shard)
    );
    let hole = crate::ShardLeaf::EMPTY;
    assert_eq!(codec::decode(&codec::encode(&hole)), Ok(hole));
    assert!(hole.is_empty() && !hole.is_sound());
    for chunks in [0, 1, 15, 17] {
        let bytes = crate::ShardLeaf { chunks, ..shard }.to_bytes();
        assert!(
            crate::ShardLeaf::from_bytes(&bytes).is_err(),
            "{chunks} chunks"
        );
    }
    let root = ProviderRoot::default();
    assert_eq!(codec::encode(&root).len(), 2 + 44);
    assert_eq!(
        codec::decode::<ProviderRoot>(&codec::encode(&root)),
        Ok(root)
    );
    let content = crate::ContentTree::from_leaves(vec![shard; 5]).unwrap();
    let read: crate::ContentTree = codec::decode(&codec::encode(&content)).unwrap();
    assert_eq!((read.root(), &read), (content.root(), &content));
}

/// Contract `n` of a thousand.
fn nth(n: u32) -> ContractLeaf {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&n.to_le_bytes());
    ContractLeaf {
        contract_id: ContractId(id),
        ..leaf(1, u64::from(n) + 1, 7 * (n + 1))
    }
}

#[test]
fn a_large_tree_is_the_plain_one_at_every_node() {
    // Past three forks, with gaps, grown and built, and a clone that stays as it was.
    let mut leaves: Vec<Option<ContractLeaf>> = (0..700).map(nth).map(Some).collect();
    let mut tree = ProviderTree::new();
    for leaf in leaves.iter().flatten() {
        tree.insert(*leaf).unwrap();
    }
    let before = tree.clone();
    let old = before.root();
    for gap in (0..700).filter(|n| n % 5 == 3 || (64..128).contains(n)) {
        leaves[gap as usize] = None;
        assert_eq!(tree.remove(gap), Ok(nth(gap)));
    }
    assert_eq!((before.root(), before.get(3)), (old, Some(&nth(3))));
    assert_eq!(before.iter().count(), 700);
    assert_eq!(tree.depth(), 10);
    let built = ProviderTree::from_leaves(10, leaves.clone()).unwrap();
    assert_eq!(built, tree);
    for height in 0..=10u8 {
        for index in 0..1u32 << (10 - height) {
            let first = (index as usize) << height;
            let end = leaves.len().min(first + (1 << height));
            let below = leaves.get(first..end).unwrap_or(&[]);
            let plain = reference::provider(below, height);
            for tree in [&tree, &built] {
                let node = tree.node(height, index);
                assert_eq!(
                    (node.hash.0, node.sum, node.min_end),
                    plain,
                    "{height} {index}"
                );
            }
        }
    }
    for free in [3, 8, 13, 18] {
        assert_eq!(tree.insert(nth(free)), Ok(free));
    }
}

#[test]
fn the_last_place_of_the_deepest_tree_is_a_place() {
    let mut tree = ProviderTree::from_leaves(32, vec![Some(nth(0))]).unwrap();
    let shallow = tree.root();
    tree.put(u32::MAX, nth(1)).unwrap();
    assert_eq!((tree.depth(), tree.root().sum), (32, 3));
    assert_eq!(tree.find(1, 0), (u32::MAX, 0));
    assert_eq!(tree.siblings(&[u32::MAX]).len(), 32);
    assert_eq!(
        tree.iter().map(|(index, _)| index).collect::<Vec<_>>(),
        [0, u32::MAX]
    );
    assert_eq!(tree.insert(nth(2)), Ok(1));
    tree.remove(1).unwrap();
    tree.remove(u32::MAX).unwrap();
    assert_eq!(tree.root(), shallow);
    let deeper = ProviderTree::from_leaves(33, Vec::new());
    assert_eq!(deeper, Err(TreeError::Full));
    let over = vec![Some(leaf(0, u64::MAX, 7)), Some(leaf(1, 1, 7))];
    assert_eq!(
        ProviderTree::from_leaves(0, over),
        Err(TreeError::SumOverflow)
    );
}
