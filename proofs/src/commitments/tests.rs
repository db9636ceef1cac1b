//! Proofs from a store of rows, with reads counted and memory bounded: the same bytes as from memory.

use super::*;
use crate::testing::{NET, challenge, key};
use crate::{Challenge, Outboard, PlanError, ProveError, ShardHasher, ShardReader, prove, verify};
use larder_types::{Amount, ShardRoot};
use std::cell::Cell;

/// A provider of any size that stores nothing: each row is made when it is read. Lists of the same
/// length are the same, of one shard of 32 KiB over and over, so that a few make up for all.
struct Synthetic {
    tree: ProviderTree,
    /// The length of each contract's list.
    shards: fn(u32) -> u32,
    lists: BTreeMap<u32, List>,
    /// The length of each shard, in groups of 16 KiB.
    groups: u64,
    rows_read: Cell<usize>,
    /// The most leaves or nodes that one read gave.
    longest: Cell<usize>,
}

/// A list of one length.
struct List {
    shard: ShardLeaf,
    outboard: Outboard,
    pages: Vec<Sibling>,
    depth: u8,
    root: ContentNode,
}

/// A group of the shard that lists of this length hold.
fn group_bytes(length: u32, group: u64) -> Vec<u8> {
    let words = [u64::from(length), group].map(u64::to_le_bytes).concat();
    words.repeat(1_024)
}

fn id(contract: u32) -> ContractId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&contract.to_le_bytes());
    ContractId(id)
}

fn number(id: &ContractId) -> u32 {
    u32::from_le_bytes(id.0[..4].try_into().unwrap())
}

fn page_of(shard: ShardLeaf, length: u32, page: u32) -> Vec<ShardLeaf> {
    let range = (page << PAGE_HEIGHT)..length.min((page + 1) << PAGE_HEIGHT);
    let tagged = |place: u32| ShardLeaf {
        tag: u64::from(place).to_le_bytes(),
        ..shard
    };
    range.map(tagged).collect()
}

impl List {
    fn new(length: u32, groups: u64) -> Self {
        let mut hasher = ShardHasher::new();
        for group in 0..groups {
            hasher.update(&group_bytes(length, group));
        }
        let (root, outboard) = hasher.finalize();
        let (chunks, tag) = (outboard.chunks(), [0; 8]);
        let shard = ShardLeaf { root, chunks, tag };
        let pages = (0..length.div_ceil(256)).map(|page| page_of(shard, length, page));
        let pages: Vec<_> = pages.map(|page| page_node(&page).unwrap()).collect();
        let depth = (0..).find(|depth| u64::from(length) <= 1 << depth).unwrap();
        let root = if depth < PAGE_HEIGHT {
            node_over(&page_of(shard, length, 0), depth).unwrap()
        } else {
            let nodes = pages.iter().map(|page| (*page).into()).collect();
            Rows::build(PAGE_HEIGHT, depth, nodes).unwrap().root()
        };
        Self {
            shard,
            outboard,
            pages,
            depth,
            root,
        }
    }
}

impl Synthetic {
    fn new(contracts: u32, shards: fn(u32) -> u32, groups: u64, rate: fn(u32) -> u64) -> Self {
        let mut lists = BTreeMap::new();
        let place = |contract| {
            let length = shards(contract);
            let list = lists
                .entry(length)
                .or_insert_with(|| List::new(length, groups));
            Some(ContractLeaf {
                version: 1,
                depth: list.depth,
                end_epoch: 70,
                contract_id: id(contract),
                content_root: list.root.hash,
                used_chunks: list.root.chunks,
                capacity_chunks: list.root.chunks,
                rate: Amount(rate(contract)),
                ..ContractLeaf::default()
            })
        };
        let leaves = (0..contracts).map(place).collect();
        Self {
            tree: ProviderTree::from_leaves(0, leaves).unwrap(),
            shards,
            lists,
            groups,
            rows_read: Cell::new(0),
            longest: Cell::new(0),
        }
    }

    fn read<T>(&self, rows: Vec<T>) -> Vec<T> {
        self.rows_read.set(self.rows_read.get() + 1);
        self.longest.set(self.longest.get().max(rows.len()));
        rows
    }

    fn length(&self, contract: &ContractId) -> u32 {
        (self.shards)(number(contract))
    }
}

impl Commitments for Synthetic {
    type Error = Infallible;

    fn tree(&self) -> &ProviderTree {
        &self.tree
    }

    fn pages(&self, contract: &ContractId) -> Result<Vec<Sibling>, Infallible> {
        Ok(self.read(self.lists[&self.length(contract)].pages.clone()))
    }

    fn page(&self, contract: &ContractId, page: u32) -> Result<Vec<ShardLeaf>, Infallible> {
        let length = self.length(contract);
        Ok(self.read(page_of(self.lists[&length].shard, length, page)))
    }
}

/// Reads the shards of this provider, which are made when they are read.
struct Shards<'a> {
    store: &'a Synthetic,
    reads: Cell<usize>,
}

impl Shards<'_> {
    fn read(&self, root: &ShardRoot) -> (u32, &List) {
        self.reads.set(self.reads.get() + 1);
        let mut lists = self.store.lists.iter();
        let (length, list) = lists.find(|(_, list)| list.shard.root == *root).unwrap();
        (*length, list)
    }
}

impl ShardReader for Shards<'_> {
    type Error = Infallible;

    fn group(&self, shard: &ShardRoot, group: u64) -> Result<Vec<u8>, Infallible> {
        assert!(group < self.store.groups);
        Ok(group_bytes(self.read(shard).0, group))
    }

    fn outboard(&self, shard: &ShardRoot) -> Result<Outboard, Infallible> {
        Ok(self.read(shard).1.outboard.clone())
    }
}

/// Proves and checks; gives the reads in all and the proof's length.
fn proved(store: &Synthetic, asked: &Challenge) -> (usize, usize) {
    let shards = Shards {
        store,
        reads: Cell::new(0),
    };
    store.rows_read.set(0);
    let blob = prove(store, asked, &shards, &key(), &NET).unwrap();
    assert_eq!(verify(&blob, asked, &NET), Ok(()));
    (store.rows_read.get() + shards.reads.get(), blob.len())
}

#[test]
fn a_hundred_thousand_contracts_and_ten_million_shards_are_proved_in_bounded_memory() {
    let store = Synthetic::new(100_000, |n| 60 + n % 81, 2, |n| 1 + u64::from(n % 7));
    let shards: u64 = (0..100_000).map(|n| u64::from((store.shards)(n))).sum();
    assert!(shards > 9_990_000, "{shards} shards");
    for slot in 0..4 {
        let asked = challenge(&store.tree, slot, 16);
        let (reads, _) = proved(&store, &asked);
        assert!(reads <= 3 * 16, "{reads} reads for 16 draws");
    }
    assert!(
        store.longest.get() <= PAGE,
        "a page is the most that is held"
    );
}

#[test]
fn a_contract_of_a_hundred_thousand_shards_takes_four_reads_a_draw() {
    let store = Synthetic::new(2, |n| 3 + n * 100_000, 2, |n| 1 + 1_000 * u64::from(n));
    for slot in 0..4 {
        let asked = challenge(&store.tree, slot, 16);
        let (reads, _) = proved(&store, &asked);
        assert!(reads <= 4 * 16, "{reads} reads for 16 draws");
        let (reads, _) = proved(&store, &asked.targeted(1, &id(1), 1));
        assert!(reads <= 4, "{reads} reads for one draw");
    }
    // 391 nodes over pages, 40 bytes each.
    assert_eq!(store.longest.get(), 100_003_usize.div_ceil(PAGE));
}

#[test]
fn a_proof_of_a_terabyte_is_36_kilobytes() {
    // 1,000 contracts of 15 shards of 64 MiB, 16 draws.
    let store = Synthetic::new(1_000, |_| 15, 4_096, |_| 1_000);
    let lengths: Vec<usize> = (0..32)
        .map(|slot| {
            let (reads, length) = proved(&store, &challenge(&store.tree, slot, 16));
            assert!(reads <= 3 * 16, "{reads} reads");
            length
        })
        .collect();
    let mean = lengths.iter().sum::<usize>() / lengths.len();
    assert!(mean <= 36_000, "{mean} bytes: {lengths:?}");
    assert!(
        lengths.iter().all(|length| *length <= 36 * 1_024),
        "{lengths:?}"
    );
}

/// A list of this length, in memory, and its leaf.
fn in_memory(shards: u32, holes: &[u32]) -> (Commitment, crate::testing::Memory) {
    let mut memory = crate::testing::Memory::default();
    let leaves = (0..shards).map(|n| memory.put(crate::testing::shard_bytes(0, n, 16_384), [0; 8]));
    let mut content = ContentTree::from_leaves(leaves.collect()).unwrap();
    for hole in holes {
        content.clear(*hole).unwrap();
    }
    let mut commitment = Commitment::default();
    let leaf = crate::testing::leaf(id(0), 7, &content);
    commitment.tree.insert(leaf).unwrap();
    commitment.contents.insert(id(0), content);
    (commitment, memory)
}

#[test]
fn a_list_that_has_grown_answers_for_what_was_committed() {
    // Around the ends of pages and of the depths of trees, with and without holes at the end.
    for shards in [1, 2, 3, 255, 256, 257, 300, 511, 512, 513] {
        for holes in [vec![], vec![shards - 1], vec![0, shards / 2, shards - 1]] {
            let holes: Vec<u32> = if shards < 4 { vec![] } else { holes };
            let (mut commitment, mut memory) = in_memory(shards, &holes);
            let asked = challenge(&commitment.tree, 1, 16);
            let whole = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
            assert_eq!(verify(&whole, &asked, &NET), Ok(()), "{shards} {holes:?}");
            for more in 0..260 {
                let shard = memory.put(crate::testing::shard_bytes(1, more, 16_384), [0; 8]);
                commitment
                    .contents
                    .get_mut(&id(0))
                    .unwrap()
                    .push(shard)
                    .unwrap();
                if [0, 1, 255, 259].contains(&more) {
                    let grown = prove(&commitment, &asked, &memory, &key(), &NET);
                    assert_eq!(grown.as_ref(), Ok(&whole), "{shards} {holes:?} + {more}");
                }
            }
        }
    }
}

/// Says something else than what was committed.
struct Lying<'a> {
    truth: &'a Commitment,
    pages: fn(&mut Vec<Sibling>),
    page: fn(&mut Vec<ShardLeaf>),
}

impl Commitments for Lying<'_> {
    type Error = Infallible;
    fn tree(&self) -> &ProviderTree {
        &self.truth.tree
    }
    fn pages(&self, contract: &ContractId) -> Result<Vec<Sibling>, Infallible> {
        let mut pages = self.truth.pages(contract)?;
        (self.pages)(&mut pages);
        Ok(pages)
    }
    fn page(&self, contract: &ContractId, page: u32) -> Result<Vec<ShardLeaf>, Infallible> {
        let mut leaves = self.truth.page(contract, page)?;
        (self.page)(&mut leaves);
        Ok(leaves)
    }
}

#[test]
fn rows_that_are_not_what_was_committed_are_never_signed() {
    for shards in [40, 300, 600] {
        let (truth, memory) = in_memory(shards, &[5]);
        let asked = challenge(&truth.tree, 1, 16);
        let lies = |pages, page| {
            let lying = Lying {
                truth: &truth,
                pages,
                page,
            };
            prove(&lying, &asked, &memory, &key(), &NET)
        };
        assert!(lies(|_| {}, |_| {}).is_ok());
        let other = Err(ProveError::Plan(PlanError::OtherContent(id(0))));
        let unknown = Err(ProveError::Plan(PlanError::NoContent(id(0))));
        assert_eq!(lies(|_| {}, |page| page[3].tag[0] ^= 1), other);
        assert_eq!(lies(|_| {}, |page| page.swap(0, 1)), other);
        assert_eq!(lies(|_| {}, |page| page[3].chunks += 16), other);
        assert_eq!(lies(|_| {}, |page| page[3].chunks = u64::MAX), other);
        assert!(lies(|_| {}, Vec::clear).is_err());
        if shards > 256 {
            assert_eq!(lies(|pages| pages[0].hash.0[0] ^= 1, |_| {}), other);
            assert_eq!(lies(|pages| pages[0].chunks = u64::MAX, |_| {}), other);
            assert_eq!(lies(|pages| pages.truncate(1), |_| {}), other);
            assert_eq!(lies(|pages| pages.swap(0, 1), |_| {}), other);
            assert_eq!(lies(|_| {}, |page| page.extend_from_within(..)), other);
            assert_eq!(lies(Vec::clear, |_| {}), unknown);
        }
    }
}

#[test]
fn a_page_has_at_most_256_leaves() {
    let shard = List::new(1, 2).shard;
    let leaves = page_of(shard, 600, 0);
    assert_eq!(leaves.len(), PAGE);
    let content = ContentTree::from_leaves(leaves.clone()).unwrap();
    let node = page_node(&leaves).unwrap();
    assert_eq!((node.hash, node.chunks), (content.root(), content.chunks()));
    assert_eq!(content.pages(), [node]);
    assert_eq!(page_node(&[leaves, vec![shard]].concat()), None);
}
