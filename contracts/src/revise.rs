//! How a contract changes: new shards within what is paid (`revise`), more capacity or another
//! price (`extend`). Both sides run the same function and only exchange signatures.
//! `docs/protocol.md` §3.3, §3.10.

use crate::draft::{END_STEP, collateral};
use crate::{Refusal, bare, rate};
use larder_proofs::{ContentTree, ContractLeaf, ShardLeaf};
use larder_types::params::{CHUNK, SHARD_STEP};
use larder_types::{Amount, Epoch, Params};
use std::collections::BTreeSet;

/// Chunks in the step of shard lengths.
const STEP_CHUNKS: u64 = SHARD_STEP / CHUNK;

/// Whether two leaves of one contract move the same money: only their content differs.
#[must_use]
pub fn same_money(a: &ContractLeaf, b: &ContractLeaf) -> bool {
    let money_only = |leaf: &ContractLeaf| ContractLeaf {
        depth: 0,
        content_root: larder_types::Hash::default(),
        used_chunks: 0,
        revision: 0,
        ..bare(leaf)
    };
    money_only(a) == money_only(b)
}

/// The next revision with `puts` appended, and its tree.
///
/// # Errors
/// A [`Refusal`] if the tree is not the leaf's, a shard's length is wrong, a shard is there
/// already, or the capacity does not suffice.
pub fn revise(
    leaf: &ContractLeaf,
    content: &ContentTree,
    puts: &[ShardLeaf],
) -> Result<(ContractLeaf, ContentTree), Refusal> {
    if content.root() != leaf.content_root || content.chunks() != leaf.used_chunks {
        return Err(Refusal::WrongContent);
    }
    let used = puts.iter().try_fold(leaf.used_chunks, used_with)?;
    if used > leaf.capacity_chunks {
        return Err(Refusal::Full {
            needed: used,
            capacity: leaf.capacity_chunks,
        });
    }
    refuse_duplicates(content, puts)?;
    let mut tree = content.clone();
    for put in puts {
        tree.push(*put).map_err(|_| Refusal::TooDeep)?;
    }
    let next = ContractLeaf {
        depth: tree.depth(),
        content_root: tree.root(),
        used_chunks: used,
        revision: next_revision(leaf)?,
        ..*leaf
    };
    Ok((next, tree))
}

/// The next revision without the shards in `places`, which become holes, and its tree. The renter
/// alone may want that; for an append-only contract it takes the admin key.
///
/// # Errors
/// A [`Refusal`] if the tree is not the leaf's, or a place holds no shard.
pub fn clear(
    leaf: &ContractLeaf,
    content: &ContentTree,
    places: &BTreeSet<u32>,
) -> Result<(ContractLeaf, ContentTree), Refusal> {
    if content.root() != leaf.content_root || content.chunks() != leaf.used_chunks {
        return Err(Refusal::WrongContent);
    }
    let mut tree = content.clone();
    for index in places {
        let index = *index;
        tree.clear(index).ok_or(Refusal::NoShard { index })?;
    }
    let next = ContractLeaf {
        content_root: tree.root(),
        used_chunks: tree.chunks(),
        revision: next_revision(leaf)?,
        ..*leaf
    };
    Ok((next, tree))
}

/// The leaf with more capacity at `price`, from epoch `start` on; its end stays. It settles as a
/// close and an open at the boundary, under the same id.
///
/// # Errors
/// A [`Refusal`] if the contract ends before `start`, or the capacity would shrink.
pub fn extend(
    leaf: &ContractLeaf,
    capacity_chunks: u64,
    price: Amount,
    collateral_epochs: u32,
    start: Epoch,
    params: &Params,
) -> Result<ContractLeaf, Refusal> {
    if start >= leaf.end_epoch {
        return Err(Refusal::Ended {
            end: leaf.end_epoch,
        });
    }
    if start <= leaf.start_epoch {
        let earliest = leaf.start_epoch.saturating_add(1);
        return Err(Refusal::Start {
            start,
            earliest,
            latest: leaf.end_epoch,
        });
    }
    if capacity_chunks < leaf.capacity_chunks {
        let bought = leaf.capacity_chunks;
        return Err(Refusal::Shrinks {
            capacity: capacity_chunks,
            bought,
        });
    }
    let rate = rate(price, capacity_chunks, params);
    Ok(ContractLeaf {
        start_epoch: start,
        capacity_chunks,
        rate,
        collateral: collateral(rate, collateral_epochs, params),
        revision: next_revision(leaf)?,
        ..bare(leaf)
    })
}

/// The leaf for another term as long as its last, rounded down to a multiple of seven, at the same
/// rate, from epoch `start` on: what a contract with the flag becomes while it is EXPIRING. `None` if
/// that is beyond the longest term.
#[must_use]
pub fn renewed(leaf: &ContractLeaf, start: Epoch, params: &Params) -> Option<ContractLeaf> {
    let term = leaf.end_epoch.checked_sub(leaf.start_epoch)?;
    let longest = start.saturating_add(params.max_term);
    let end = leaf.end_epoch.saturating_add(term).min(longest);
    let end = end.checked_sub(end.checked_rem(END_STEP)?)?;
    (end > leaf.end_epoch).then_some(ContractLeaf {
        start_epoch: start,
        end_epoch: end,
        revision: next_revision(leaf).ok()?,
        ..bare(leaf)
    })
}

fn next_revision(leaf: &ContractLeaf) -> Result<u64, Refusal> {
    leaf.revision.checked_add(1).ok_or(Refusal::Overflow)
}

fn used_with(used: u64, put: &ShardLeaf) -> Result<u64, Refusal> {
    if put.chunks == 0 || !put.chunks.is_multiple_of(STEP_CHUNKS) {
        return Err(Refusal::ShardLength { chunks: put.chunks });
    }
    used.checked_add(put.chunks).ok_or(Refusal::Overflow)
}

fn refuse_duplicates(content: &ContentTree, puts: &[ShardLeaf]) -> Result<(), Refusal> {
    let mut new = BTreeSet::new();
    if puts.iter().all(|put| new.insert(put.root))
        && content
            .leaves()
            .iter()
            .all(|held| !new.contains(&held.root))
    {
        return Ok(());
    }
    Err(Refusal::Duplicate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draft;
    use larder_types::{AccountId, NodeId, Profile, ShardRoot};

    fn params() -> Params {
        Params::profile(Profile::Dev)
    }

    fn leaf() -> ContractLeaf {
        Draft {
            provider: NodeId([1; 32]),
            renter: AccountId([2; 32]),
            nonce16: [0; 16],
            start: 5,
            term: 30,
            capacity_chunks: 64,
            price: Amount::from_credits(1),
            collateral_epochs: 2,
        }
        .leaf(&params())
    }

    fn shard(byte: u8, chunks: u64) -> ShardLeaf {
        ShardLeaf {
            root: ShardRoot([byte; 32]),
            chunks,
            tag: [0; 8],
        }
    }

    #[test]
    fn shards_are_added_until_the_capacity_is_full() {
        let (first, tree) = revise(&leaf(), &ContentTree::default(), &[shard(1, 32)]).unwrap();
        assert_eq!((first.revision, first.used_chunks), (1, 32));
        assert_eq!(first.content_root, tree.root());
        assert!(same_money(&leaf(), &first));
        let (second, tree) = revise(&first, &tree, &[shard(2, 16), shard(3, 16)]).unwrap();
        assert_eq!((second.revision, second.used_chunks), (2, 64));
        assert_eq!(tree.leaves().len(), 3);
        assert_eq!(
            revise(&second, &tree, &[shard(4, 16)]),
            Err(Refusal::Full {
                needed: 80,
                capacity: 64
            })
        );
    }

    #[test]
    fn bad_shards_and_trees_are_refused() {
        let empty = ContentTree::default();
        let check = |puts: &[ShardLeaf], want| assert_eq!(revise(&leaf(), &empty, puts), Err(want));
        check(&[shard(1, 0)], Refusal::ShardLength { chunks: 0 });
        check(&[shard(1, 17)], Refusal::ShardLength { chunks: 17 });
        check(&[shard(1, 16), shard(1, 16)], Refusal::Duplicate);
        let (first, tree) = revise(&leaf(), &empty, &[shard(1, 16)]).unwrap();
        assert_eq!(
            revise(&first, &tree, &[shard(1, 16)]),
            Err(Refusal::Duplicate)
        );
        assert_eq!(revise(&first, &empty, &[]), Err(Refusal::WrongContent));
    }

    #[test]
    fn cleared_shards_leave_holes() {
        let shards = [shard(1, 16), shard(2, 32)];
        let (first, tree) = revise(&leaf(), &ContentTree::default(), &shards).unwrap();
        let (next, rest) = clear(&first, &tree, &BTreeSet::from([0])).unwrap();
        assert_eq!((next.revision, next.used_chunks), (2, 32));
        assert_eq!((next.depth, next.content_root), (1, rest.root()));
        assert!(same_money(&first, &next));
        assert!(rest.leaves()[0].is_empty());
        let refused = |tree, place| clear(&next, tree, &BTreeSet::from([place])).unwrap_err();
        for index in [0, 2] {
            assert_eq!(refused(&rest, index), Refusal::NoShard { index });
        }
        assert_eq!(refused(&tree, 1), Refusal::WrongContent);
    }

    #[test]
    fn an_extension_keeps_id_end_and_content() {
        let (first, _) = revise(&leaf(), &ContentTree::default(), &[shard(1, 16)]).unwrap();
        let more = extend(&first, 128, Amount::from_credits(1), 2, 9, &params()).unwrap();
        assert_eq!(more.contract_id, first.contract_id);
        assert_eq!((more.start_epoch, more.end_epoch), (9, first.end_epoch));
        assert_eq!((more.capacity_chunks, more.used_chunks), (128, 16));
        assert_eq!(more.revision, first.revision + 1);
        assert!(!same_money(&more, &first));
        let extend = |capacity, start| {
            extend(
                &first,
                capacity,
                Amount::from_credits(1),
                2,
                start,
                &params(),
            )
        };
        assert_eq!(extend(128, 35), Err(Refusal::Ended { end: 35 }));
        assert!(matches!(extend(128, 5), Err(Refusal::Start { .. })));
        assert_eq!(
            extend(63, 9),
            Err(Refusal::Shrinks {
                capacity: 63,
                bought: 64
            })
        );
    }
}
