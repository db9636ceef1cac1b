//! The store on a real folder: what is kept, what is refused, what survives, what rots.

use larder_proofs::{ShardHasher, ShardReader as _};
use larder_types::{Bytes, Millis, ShardRoot, Time};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

use super::files::names;
use super::store::footprint;
use super::*;

const QUOTA: Bytes = Bytes(10 << 20);

fn open(dir: &Path) -> ShardStore {
    open_with(dir, QUOTA, Bytes(0))
}

fn open_with(dir: &Path, quota: Bytes, reserve: Bytes) -> ShardStore {
    ShardStore::open(&config(dir, quota, reserve), &[]).unwrap()
}

fn config(dir: &Path, quota: Bytes, reserve: Bytes) -> StoreConfig {
    StoreConfig {
        dir: dir.to_owned(),
        twin: dir.join("twin"),
        quota,
        reserve,
    }
}

/// A shard of `len` bytes and its root.
fn shard(len: usize) -> (ShardRoot, Vec<u8>) {
    let bytes: Vec<u8> = (0..=250u8).cycle().take(len).collect();
    (ShardRoot(*blake3::hash(&bytes).as_bytes()), bytes)
}

fn put(store: &ShardStore, root: ShardRoot, bytes: &[u8]) -> Result<(), StoreError> {
    let mut writer = store.begin(root, bytes.len() as u64)?;
    for piece in bytes.chunks(60_000) {
        writer.write(piece)?;
    }
    writer.finish()
}

/// Files of a store's folder that are neither shards nor outboards.
fn leftovers(store: &ShardStore) -> usize {
    (0..=u8::MAX)
        .flat_map(|byte| names(&store.inner.files.fan_out(byte)).unwrap())
        .filter(|(name, _)| name.ends_with(".tmp"))
        .count()
}

#[test]
fn shards_of_all_sizes_come_back_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let sizes = [0, 1, 1024, 16 << 10, (16 << 10) + 1, 1 << 20];
    let store = open(dir.path());
    for len in sizes {
        let (root, bytes) = shard(len);
        put(&store, root, &bytes).unwrap();
        put(&store, root, &bytes).unwrap();
    }
    let used: u64 = sizes.iter().map(|len| footprint(*len as u64)).sum();
    assert_eq!(store.used(), Bytes(used));
    drop(store);

    let store = open(dir.path());
    assert_eq!(store.used(), Bytes(used));
    assert_eq!(store.list().unwrap().len(), sizes.len());
    for len in sizes {
        let (root, bytes) = shard(len);
        assert_eq!(store.len(&root).unwrap(), Some(len as u64));
        assert_eq!(store.read(&root, 0, len as u64).unwrap(), bytes);
        let mut hasher = ShardHasher::new();
        hasher.update(&bytes);
        assert_eq!(store.outboard(&root).unwrap(), hasher.finalize().1);
        for (group, held) in bytes.chunks(16 << 10).enumerate() {
            assert_eq!(store.group(&root, group as u64).unwrap(), held);
        }
        store.scrub(&root).unwrap();
    }
    assert_eq!(leftovers(&store), 0);
}

#[test]
fn only_its_own_folder_is_a_store() {
    let dir = TempDir::new().unwrap();
    let (root, bytes) = shard(40_000);
    let config = config(dir.path(), QUOTA, Bytes(0));
    let open = |known: &[ShardRoot]| ShardStore::open(&config, known);
    let elsewhere = |done: Result<(), StoreError>| {
        assert!(
            matches!(done, Err(StoreError::Elsewhere { .. })),
            "{done:?}"
        );
    };
    let store = open(&[]).unwrap();
    put(&store, root, &bytes).unwrap();
    open(&[root]).unwrap();

    // The disk goes, under a running node and at a start; nothing is made in its place.
    let (shards, away) = (dir.path().join("shards"), dir.path().join("away"));
    let mark = shards.join("store.mark");
    fs::rename(&shards, &away).unwrap();
    elsewhere(store.open_shard(&root).map(drop));
    elsewhere(store.begin(root, 40_000).map(drop));
    elsewhere(open(&[root]).map(drop));
    assert!(!shards.exists());
    for foreign in ["", "another's"] {
        fs::create_dir_all(store.inner.files.folder(&root)).unwrap();
        fs::write(&mark, foreign).unwrap();
        elsewhere(store.check());
        assert!(!matches!(
            store.scrub(&root),
            Err(StoreError::Absent { .. })
        ));
    }
    elsewhere(open(&[root]).map(drop));
    elsewhere(open(&[]).map(drop));
    fs::remove_dir_all(&shards).unwrap();
    fs::rename(&away, &shards).unwrap();
    store.check().unwrap();

    // A store of before is adopted once; one that was marked never.
    fs::remove_file(&mark).unwrap();
    elsewhere(open(&[root]).map(drop));
    fs::remove_file(&config.twin).unwrap();
    elsewhere(open(&[shard(1).0]).map(drop));
    let adopted = open(&[shard(1).0, root]).unwrap();
    adopted.scrub(&root).unwrap();
    open(&[root]).unwrap();

    // The operator's word: it is gone for good.
    fs::write(&mark, "").unwrap();
    open(&[shard(1).0]).unwrap().check().unwrap();
    open(&[shard(1).0]).unwrap();
}

#[test]
fn what_memory_keeps_is_dropped_between_two_looks() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let (root, bytes) = shard(40_000);
    store.forget(&root);
    put(&store, root, &bytes).unwrap();
    store.forget(&root);
    assert!(matches!(store.look(&root), Look::Sound { len } if len >= 40_000));
}

#[test]
fn reads_stay_within_the_shard() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let (root, bytes) = shard(40_000);
    put(&store, root, &bytes).unwrap();
    assert_eq!(store.read(&root, 39_990, 10).unwrap(), bytes[39_990..]);
    for (offset, count) in [(39_991, 10), (u64::MAX, 2), (0, u64::MAX)] {
        let refused = store.read(&root, offset, count);
        assert!(matches!(refused, Err(StoreError::OutOfRange { .. })));
    }
    assert!(matches!(
        store.group(&root, 3),
        Err(StoreError::OutOfRange { .. })
    ));
    let absent = store.read(&shard(7).0, 0, 1);
    assert!(matches!(absent, Err(StoreError::Absent { .. })));
    assert!(matches!(
        store.outboard(&shard(7).0),
        Err(StoreError::Absent { .. })
    ));
}

#[test]
fn what_is_not_as_promised_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let (root, bytes) = shard(100_000);
    let (other, _) = shard(5);
    let wrong = put(&store, other, &bytes);
    assert!(
        matches!(wrong, Err(StoreError::WrongRoot { promised, got }) if promised == other && got == root)
    );

    let mut short = store.begin(root, 100_000).unwrap();
    short.write(&bytes[1..]).unwrap();
    let refused = short.finish();
    assert!(matches!(
        refused,
        Err(StoreError::WrongLength {
            promised: 100_000,
            got: 99_999
        })
    ));

    let mut long = store.begin(root, 99_999).unwrap();
    assert!(matches!(
        long.write(&bytes),
        Err(StoreError::WrongLength { got: 100_000, .. })
    ));
    drop(long);

    assert_eq!(leftovers(&store), 0);
    assert!(store.list().unwrap().is_empty());
    assert_eq!((store.used(), store.free().unwrap()), (Bytes(0), QUOTA));
}

#[test]
fn a_torn_write_is_gone_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let (root, bytes) = shard(100_000);
    let mut torn = store.begin(root, 100_000).unwrap();
    torn.write(&bytes[..50_000]).unwrap();
    // As `kill -9` leaves it: the file stays, its writer never ends.
    std::mem::forget(torn);
    assert_eq!(leftovers(&store), 1);
    let lonely = store.inner.files.outboard(&shard(20_000).0);
    fs::write(&lonely, b"an outboard whose shard was never renamed").unwrap();

    let store = open(dir.path());
    assert_eq!(leftovers(&store), 0);
    assert!(!lonely.exists());
    assert!(!store.contains(&root));
    assert_eq!(store.used(), Bytes(0));
    put(&store, root, &bytes).unwrap();
}

#[test]
fn quota_and_reserve_are_kept() {
    let dir = TempDir::new().unwrap();
    let (root, bytes) = shard(100_000);
    let store = open_with(dir.path(), Bytes(250_000), Bytes(0));
    let first = store.begin(root, 100_000).unwrap();
    let _second = store.begin(root, 100_000).unwrap();
    let third = store.begin(root, 100_000).map(|_| ());
    assert!(matches!(third, Err(StoreError::Full { needed, have })
        if needed == Bytes(footprint(100_000)) && have == Bytes(250_000 - 2 * needed.0)));
    drop(first);
    put(&store, root, &bytes).unwrap();
    store.set_quota(Bytes(0));
    assert!(matches!(
        put(&store, root, &bytes),
        Err(StoreError::Full { .. })
    ));

    let store = open_with(dir.path(), QUOTA, Bytes(u64::MAX));
    assert!(matches!(
        put(&store, root, &bytes),
        Err(StoreError::Full { have: Bytes(0), .. })
    ));
    assert_eq!(
        store.read(&root, 0, 100_000).unwrap(),
        bytes,
        "reading needs no room"
    );
}

#[test]
fn rot_is_found_where_it_is() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let (root, bytes) = shard(100_000);
    put(&store, root, &bytes).unwrap();
    let mut rotten = bytes;
    rotten[40_000] ^= 1;
    fs::write(store.inner.files.shard(&root), &rotten).unwrap();
    let offset = 2 * (16 << 10);
    assert!(
        matches!(store.scrub(&root), Err(StoreError::Rotten { offset: at, .. }) if at == offset)
    );
    assert!(matches!(
        store.group(&root, 2),
        Err(StoreError::Rotten { .. })
    ));
    store.group(&root, 1).unwrap();
    fs::write(store.inner.files.shard(&root), &rotten[..50_000]).unwrap();
    assert!(matches!(store.scrub(&root), Err(StoreError::Rotten { .. })));
}

#[test]
fn a_lost_or_damaged_outboard_is_made_again() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let (root, bytes) = shard(100_000);
    put(&store, root, &bytes).unwrap();
    let path = store.inner.files.outboard(&root);
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[20] ^= 1;
    for bad in [&[][..], &good[..50], &vec![0; good.len()], &flipped] {
        fs::write(&path, bad).unwrap();
        assert_eq!(store.outboard(&root).unwrap().root(), Some(root));
        assert_eq!(fs::read(&path).unwrap(), good);
    }
    fs::remove_file(&path).unwrap();
    store.scrub(&root).unwrap();
}

#[test]
fn deleted_shards_rest_in_the_trash() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let (root, bytes) = shard(100_000);
    put(&store, root, &bytes).unwrap();
    assert!(store.delete(&root, Time(1000)).unwrap());
    assert!(!store.delete(&root, Time(1000)).unwrap());
    assert!(!store.contains(&root));
    assert_eq!(store.used(), Bytes(0));
    let week = Millis(700);
    assert_eq!(store.empty_trash(Time(1699), week).unwrap(), Bytes(0));
    assert_eq!(store.empty_trash(Time(1700), week).unwrap(), Bytes(100_000));
    assert_eq!(open(dir.path()).used(), Bytes(0));
}

#[tokio::test]
async fn a_damaged_shard_is_never_sent_in_full() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    for (len, flipped) in [(300_000, 7), (300_000, 299_999), (1024, 0)] {
        let (root, mut bytes) = shard(len);
        put(&store, root, &bytes).unwrap();
        bytes[flipped] ^= 1;
        fs::write(store.inner.files.shard(&root), &bytes).unwrap();
        let mut sent = Vec::new();
        let broken = send(&store.clone().into(), root, &mut sent).await;
        assert!(
            matches!(broken, Err(TransferError::Store(StoreError::Rotten { .. }))),
            "{broken:?}"
        );
        assert!(sent.len() < len);
    }
}

#[tokio::test]
async fn shards_travel_over_streams() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (source, target) = (open(from.path()), open(to.path()));
    let (root, bytes) = shard(300_000);
    put(&source, root, &bytes).unwrap();
    let (sends, volumes) = (Volumes::from(source), Volumes::from(target.clone()));
    let (mut a, mut b) = tokio::io::duplex(10_000);
    let (sent, received) = tokio::join!(
        send(&sends, root, &mut a),
        receive(&volumes, root, 300_000, &mut b)
    );
    sent.unwrap();
    received.unwrap();
    assert_eq!(target.read(&root, 0, 300_000).unwrap(), bytes);

    let absent = send(&sends, shard(1).0, &mut a).await;
    assert!(matches!(
        absent,
        Err(TransferError::Store(StoreError::Absent { .. }))
    ));
    let torn = receive(&volumes, root, 300_000, &mut &bytes[..1000]).await;
    assert!(matches!(torn, Err(TransferError::Stream(_))), "{torn:?}");
    let wrong = receive(&volumes, shard(1).0, 300_000, &mut &bytes[..]).await;
    assert!(matches!(
        wrong,
        Err(TransferError::Store(StoreError::WrongRoot { .. }))
    ));
    let full = receive(&volumes, root, 1 << 40, &mut tokio::io::repeat(0)).await;
    assert!(
        matches!(full, Err(TransferError::Store(StoreError::Full { .. }))),
        "{full:?}"
    );
    assert_eq!(leftovers(&target), 0);
}
