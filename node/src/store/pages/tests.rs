//! Pages against trees in memory, through changes and a database from before; and proofs of a very
//! large provider, with memory measured.

use super::*;
use crate::store::Store;
use larder_engine::rows::Write;
use larder_keys::Signer;
use larder_proofs::{
    Challenge, ContentTree, ContractLeaf, Kind as Asked, Outboard, ShardHasher, ShardReader, prove,
    verify,
};
use larder_types::{Amount, GenesisHash, ShardRoot};
use std::convert::Infallible;
use std::path::Path;

const NET: GenesisHash = GenesisHash([1; 32]);

fn contract(number: u32) -> ContractId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&number.to_le_bytes());
    ContractId(id)
}

fn leaf(number: u32) -> ShardLeaf {
    let mut root = [7; 32];
    root[..4].copy_from_slice(&number.to_le_bytes());
    ShardLeaf {
        root: ShardRoot(root),
        chunks: 16 * (1 + u64::from(number % 5)),
        tag: [0; 8],
    }
}

/// A row of shard `number` in this place of this contract.
fn row(of: u32, number: u32, index: Option<u64>) -> Write {
    let row = ShardRow {
        contract: contract(of),
        leaf: leaf(number),
        index,
        damaged: false,
    };
    Write::shard(&leaf(number).root, Some(&row))
}

fn gone(number: u32) -> Write {
    Write::shard(&leaf(number).root, None)
}

/// What the database says of a contract's list.
async fn read(store: &Store, of: u32) -> (Vec<Sibling>, Vec<ShardLeaf>) {
    let store = store.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let tree = ProviderTree::new();
        let lists = store.lists(&tree);
        let pages = lists.pages(&contract(of)).unwrap();
        let page = |page| {
            let mut leaves = lists.page(&contract(of), page).unwrap();
            leaves.resize(PAGE, ShardLeaf::EMPTY);
            leaves
        };
        let leaves = (0..).take(pages.len()).flat_map(page).collect();
        (pages, leaves)
    });
    reading.await.unwrap()
}

/// A list in memory says the same.
async fn check(store: &Store, of: u32, list: &[ShardLeaf]) {
    let (pages, mut leaves) = read(store, of).await;
    let used = list.iter().rposition(|leaf| !leaf.is_empty());
    let list = &list[..used.map_or(0, |last| last + 1)];
    let tree = ContentTree::from_leaves(list.to_vec()).unwrap();
    assert_eq!(pages, tree.pages(), "contract {of}");
    leaves.truncate(list.len());
    assert_eq!(leaves, list, "contract {of}");
}

async fn open(dir: &Path) -> Store {
    Store::open(&dir.join("node.db")).await.unwrap()
}

#[tokio::test]
async fn pages_follow_the_rows_of_shards() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut list: Vec<ShardLeaf> = (0..700).map(leaf).collect();
    let rows = (0..700).map(|n| row(1, n, Some(u64::from(n))));
    let other = (1_000..1_003).map(|n| row(2, n, Some(u64::from(n - 1_000))));
    // A shard in no revision is in no list.
    let loose = [row(1, 5_000, None)];
    store
        .persist(rows.chain(other).chain(loose).collect())
        .await
        .unwrap();
    check(&store, 1, &list).await;
    check(&store, 2, &(1_000..1_003).map(leaf).collect::<Vec<_>>()).await;

    // Lost shards leave holes; a whole page of them, and the end.
    let lost = [0, 17, 699].into_iter().chain(256..512);
    store
        .persist(lost.clone().map(gone).collect())
        .await
        .unwrap();
    for at in lost {
        list[at as usize] = ShardLeaf::EMPTY;
    }
    check(&store, 1, &list).await;

    // What was co-signed in vain is loose again, and another takes its place.
    let writes = vec![
        row(1, 698, None),
        row(1, 900, Some(698)),
        row(1, 901, Some(700)),
    ];
    store.persist(writes).await.unwrap();
    list[698] = leaf(900);
    list.push(leaf(901));
    check(&store, 1, &list).await;

    // A database from before has none of it.
    sqlx::query("DELETE FROM shard_pages")
        .execute(&store.writer)
        .await
        .unwrap();
    store.close().await;
    let store = open(dir.path()).await;
    check(&store, 1, &list).await;
    check(&store, 2, &(1_000..1_003).map(leaf).collect::<Vec<_>>()).await;

    // A contract that is forgotten leaves nothing.
    store
        .persist((1_000..1_003).map(gone).collect())
        .await
        .unwrap();
    assert_eq!(read(&store, 2).await, (Vec::new(), Vec::new()));
}

/// One shard of two groups, which every list holds over and over.
struct One(Vec<u8>, Outboard);

impl ShardReader for One {
    type Error = Infallible;

    fn group(&self, _: &ShardRoot, group: u64) -> Result<Vec<u8>, Infallible> {
        let at = usize::try_from(group).unwrap() * 16_384;
        Ok(self.0[at..at + 16_384].to_vec())
    }

    fn outboard(&self, _: &ShardRoot) -> Result<Outboard, Infallible> {
        Ok(self.1.clone())
    }
}

/// Bytes of this process that lie in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

/// Writes a list's pages for some contracts, as they would be after their revisions; some at a time,
/// so that SQLite's log stays short.
async fn fill(store: &Store, contracts: std::ops::Range<u32>, list: &[ShardLeaf]) {
    for some in contracts.collect::<Vec<_>>().chunks(5_000) {
        let mut tx = store.writer.begin().await.unwrap();
        for number in some {
            for (page, leaves) in (0..).zip(list.chunks(PAGE)) {
                let id = contract(*number);
                write(&mut tx, &id, page, leaves).await.unwrap();
            }
        }
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn ten_million_shards_are_proved_from_the_database_in_little_memory() {
    // 99,999 contracts of 100 shards and one of 100,000, which is as likely to be asked as all others.
    const SMALL: u32 = 99_999;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let bytes = vec![3; 32_768];
    let mut hasher = ShardHasher::new();
    hasher.update(&bytes);
    let (root, outboard) = hasher.finalize();
    let chunks = outboard.chunks();
    let shard = |place: u64| ShardLeaf {
        root,
        chunks,
        tag: place.to_le_bytes(),
    };
    let mut leaves = Vec::new();
    for (contracts, length, rate) in [(0..SMALL, 100, 1), (SMALL..SMALL + 1, 100_000, SMALL)] {
        let list: Vec<ShardLeaf> = (0..length).map(shard).collect();
        fill(&store, contracts.clone(), &list).await;
        let content = ContentTree::from_leaves(list).unwrap();
        leaves.extend(contracts.map(|number| {
            Some(ContractLeaf {
                version: 1,
                depth: content.depth(),
                contract_id: contract(number),
                content_root: content.root(),
                used_chunks: content.chunks(),
                capacity_chunks: content.chunks(),
                rate: Amount(u64::from(rate)),
                ..ContractLeaf::default()
            })
        }));
    }
    let tree = ProviderTree::from_leaves(0, leaves).unwrap();
    let (key, one) = (Signer::from_seed(&[2; 32]), One(bytes, outboard));
    let before = resident();
    let proving = tokio::task::spawn_blocking(move || {
        let lists = store.lists(&tree);
        for slot_no in 0..32 {
            let asked = Challenge {
                kind: Asked::Ledger,
                chain_id: NET.chain_id(),
                slot_no,
                beacon: [4; 32],
                provider: key.node(),
                provider_index: 0,
                active: tree.root(),
                depth: tree.depth(),
                contract: None,
                c: 16,
            };
            let blob = prove(&lists, &asked, &one, &key, &NET).unwrap();
            assert_eq!(verify(&blob, &asked, &NET), Ok(()));
        }
    });
    proving.await.unwrap();
    let grown = resident().saturating_sub(before);
    // 480 MB of leaves lie on the disk; SQLite caches 2 MB for each of four readers.
    println!("{grown} bytes more in memory, {} in all", resident());
    assert!(grown < 16 << 20, "{grown} bytes more in memory");
}
