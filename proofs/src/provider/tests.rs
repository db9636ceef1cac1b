//! The lowest free place, growth, what is kept, and the leaves' layouts.

use super::*;
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
