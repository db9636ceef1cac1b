//! Volumes on real folders: where shards go, what one that is missing means, what survives.

use super::*;
use std::fs;
use tempfile::TempDir;

const LEN: usize = 20_000;
const QUOTA: Bytes = Bytes(1 << 30);

struct Bench {
    dir: TempDir,
    known: Known,
}

impl Bench {
    fn new(volumes: u32) -> Self {
        let dir = TempDir::new().unwrap();
        for n in 0..=volumes {
            fs::create_dir(dir.path().join(n.to_string())).unwrap();
        }
        let known = Known::new();
        Self { dir, known }
    }

    fn path(&self, n: u32) -> PathBuf {
        self.dir.path().join(n.to_string())
    }

    fn config(&self, n: u32) -> VolumeConfig {
        VolumeConfig {
            id: VolumeId(n),
            path: self.path(n),
            size: Some(Bytes(1 << 24)),
        }
    }

    /// The home is volume 0.
    fn open(&self, volumes: u32) -> Result<Volumes, StoreError> {
        let added = (1..=volumes).map(|n| self.config(n)).collect();
        Volumes::open(&self.path(0), added, (QUOTA, Bytes(0)), &self.known)
    }

    fn put(&mut self, volumes: &Volumes, n: u8) -> ShardRoot {
        let bytes = vec![n; LEN];
        let root = ShardRoot(*blake3::hash(&bytes).as_bytes());
        let mut placing = volumes.begin(root, LEN as u64).unwrap();
        placing.write(&bytes).unwrap();
        let volume = placing.finish().unwrap();
        assert_eq!(volumes.of(&root), volume);
        self.known.entry(volume).or_default().push(root);
        root
    }

    fn lying(&self, n: u32) -> Vec<ShardRoot> {
        self.known.get(&VolumeId(n)).cloned().unwrap_or_default()
    }
}

#[test]
fn shards_go_where_there_is_room_and_are_found_again() {
    let mut bench = Bench::new(2);
    let volumes = bench.open(2).unwrap();
    // The home has far more room than the others: it is made as small as they are.
    volumes.resize(VolumeId::HOME, Some(Bytes(1 << 24)));
    let roots: Vec<ShardRoot> = (0..60).map(|n| bench.put(&volumes, n)).collect();
    for n in 0..=2 {
        let share = bench.lying(n).len();
        assert!((8..=35).contains(&share), "{share} of 60 on volume {n}");
    }
    volumes.resize(VolumeId(1), Some(Bytes(0)));
    let before = bench.lying(1);
    for n in 60..80 {
        bench.put(&volumes, n);
    }
    assert_eq!(bench.lying(1), before, "nothing goes where nothing may");
    drop(volumes);
    let volumes = bench.open(2).unwrap();
    for root in &roots {
        assert!(matches!(volumes.look(root), Look::Sound { .. }));
        assert_eq!(volumes.group(root, 0).unwrap().len(), 16 << 10);
    }
    assert!(!volumes.watch().failing);
}

#[test]
fn the_quota_is_that_of_all_of_them_together() {
    let mut bench = Bench::new(1);
    let volumes = bench.open(1).unwrap();
    volumes.set_quota(Bytes(2 * LEN as u64 + 1_000));
    bench.put(&volumes, 1);
    bench.put(&volumes, 2);
    let refused = volumes.begin(ShardRoot([7; 32]), LEN as u64).map(drop);
    assert!(
        matches!(refused, Err(StoreError::Full { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_missing_volume_stops_neither_the_node_nor_the_others_and_says_nothing_of_its_shards() {
    let mut bench = Bench::new(1);
    let volumes = bench.open(1).unwrap();
    volumes.resize(VolumeId::HOME, Some(Bytes(1 << 24)));
    for n in 0..30 {
        bench.put(&volumes, n);
    }
    let (home, away) = (bench.lying(0), bench.lying(1));
    assert!(!home.is_empty() && !away.is_empty());
    let unmount = || fs::rename(bench.path(1), bench.path(9)).unwrap();
    let mount = || fs::rename(bench.path(9), bench.path(1)).unwrap();
    let check = |volumes: &Volumes| {
        for root in &home {
            assert!(matches!(volumes.look(root), Look::Sound { .. }));
        }
        for root in &away {
            let look = volumes.look(root);
            let elsewhere = matches!(look, Look::Unreadable(StoreError::Elsewhere { .. }));
            assert!(elsewhere, "{look:?}");
        }
        let trouble: Vec<bool> = volumes
            .report()
            .iter()
            .map(|v| v.trouble.is_some())
            .collect();
        assert_eq!(trouble, [false, true]);
    };
    // It goes while the node runs, and what comes goes to the others.
    unmount();
    assert!(volumes.watch().failing, "it fails");
    check(&volumes);
    let beside = volumes.begin(ShardRoot([8; 32]), 5).unwrap();
    assert_eq!(beside.volume, VolumeId::HOME);
    drop(beside);
    mount();
    assert!(!volumes.watch().failing, "it is there again");
    assert!(matches!(volumes.look(&away[0]), Look::Sound { .. }));
    drop(volumes);

    // It is not there at a start, not even as a folder, or only as one: nothing is made in it.
    unmount();
    for exists in [false, true] {
        if exists {
            fs::create_dir(bench.path(1)).unwrap();
        }
        let volumes = bench.open(1).unwrap();
        check(&volumes);
        assert!(volumes.watch().failing);
        check(&volumes);
        volumes.trash_strays(&bench.known, Time(1)).unwrap();
    }
    assert_eq!(fs::read_dir(bench.path(1)).unwrap().count(), 0);
    fs::remove_dir(bench.path(1)).unwrap();
    let volumes = bench.open(1).unwrap();
    mount();
    assert!(!volumes.watch().failing, "its disk was found later");
    assert!(matches!(volumes.look(&away[0]), Look::Sound { .. }));

    // Let go, its shards are gone; another's folder is never taken.
    volumes.remove(VolumeId(1));
    assert!(matches!(volumes.look(&away[0]), Look::Damaged(_)));
    let foreign = bench.path(1).join("shards/shards/store.mark");
    fs::write(foreign, "another's").unwrap();
    assert!(volumes.add(bench.config(1), &[]).is_err());
}

#[test]
fn only_the_home_must_be_there_if_it_is_all() {
    let mut bench = Bench::new(1);
    let volumes = bench.open(0).unwrap();
    let root = bench.put(&volumes, 1);
    drop(volumes);
    fs::remove_dir_all(bench.path(0).join("shards")).unwrap();
    assert!(matches!(bench.open(0), Err(StoreError::Elsewhere { .. })));
    let volumes = bench.open(1).unwrap();
    assert!(volumes.watch().failing);
    let home = volumes.report().swap_remove(0);
    assert!(home.trouble.is_some());
    volumes.begin_anew(&home.config).unwrap();
    assert!(!volumes.watch().failing);
    assert!(matches!(volumes.look(&root), Look::Damaged(_)));
}

#[test]
fn a_shard_that_was_moved_halfway_lies_where_its_row_says() {
    let mut bench = Bench::new(1);
    let volumes = bench.open(1).unwrap();
    volumes.resize(VolumeId(1), Some(Bytes(0)));
    let root = bench.put(&volumes, 1);
    volumes.resize(VolumeId(1), None);
    let mut copy = volumes.begin_beside(root, LEN as u64).unwrap();
    copy.write(&[1; LEN]).unwrap();
    assert_eq!(copy.finish_copy().unwrap(), VolumeId(1));
    drop(volumes);
    // Killed before the row.
    let volumes = bench.open(1).unwrap();
    volumes.trash_strays(&bench.known, Time(1)).unwrap();
    assert_eq!(volumes.of(&root), VolumeId::HOME);
    assert!(matches!(volumes.look(&root), Look::Sound { .. }));
    let there = volumes.store(VolumeId(1)).unwrap();
    assert!(!there.contains(&root));
}

#[test]
fn a_number_is_given_again_only_when_no_trace_of_it_is_left() {
    let mut bench = Bench::new(1);
    let volumes = bench.open(1).unwrap();
    assert_eq!(volumes.spare_id(&bench.known), VolumeId(2));
    // Killed between two steps of its removal, it leaves its twin.
    fs::write(bench.path(0).join("shards-2.mark"), "another's").unwrap();
    assert_eq!(volumes.spare_id(&bench.known), VolumeId(3));
    volumes.remove(VolumeId(1));
    bench.known.insert(VolumeId(7), vec![ShardRoot([1; 32])]);
    assert_eq!(volumes.spare_id(&bench.known), VolumeId(8));
}

/// Makes the file that a store tries to write a folder: that refuses everybody, root too.
fn refuse_writes(volume: &Path) -> PathBuf {
    let trial = volume.join("shards/shards/trial.new");
    fs::create_dir(&trial).unwrap();
    trial
}

#[test]
fn a_volume_that_cannot_be_written_is_served_and_gets_nothing_new() {
    let mut bench = Bench::new(1);
    let volumes = bench.open(1).unwrap();
    volumes.resize(VolumeId::HOME, Some(Bytes(0)));
    let there = bench.put(&volumes, 1);
    assert_eq!(volumes.of(&there), VolumeId(1));
    let before = volumes.watch();
    let trial = refuse_writes(&bench.path(1));
    volumes.resize(VolumeId::HOME, Some(Bytes(1 << 20)));
    let disks = volumes.watch();
    assert!(!disks.failing, "it gives back what it holds");
    assert!(disks.free < before.free, "its room does not count");
    let shown = volumes.report().swap_remove(1);
    let why = shown.trouble.unwrap();
    assert!(why.contains("trial.new") && shown.readable, "{why}");
    assert!(matches!(volumes.look(&there), Look::Sound { .. }));
    for n in 2..20 {
        let root = bench.put(&volumes, n);
        assert_eq!(volumes.of(&root), VolumeId::HOME);
    }
    fs::remove_dir(trial).unwrap();
    volumes.watch();
    assert_eq!(volumes.report().swap_remove(1).trouble, None);
}

#[test]
fn what_the_disks_have_is_what_all_that_are_well_have() {
    let bench = Bench::new(2);
    let volumes = bench.open(2).unwrap();
    let size = |n, bytes| volumes.resize(VolumeId(n), Some(Bytes(bytes)));
    size(0, 1_000);
    size(1, 200);
    size(2, 30);
    assert_eq!(volumes.watch().free, Some(Bytes(1_230)));
    volumes.set_closing(VolumeId(1), true);
    assert_eq!(volumes.watch().free, Some(Bytes(1_030)));
    fs::remove_dir_all(bench.path(2)).unwrap();
    let disks = volumes.watch();
    assert_eq!(disks.free, Some(Bytes(1_000)));
    assert!(!disks.failing, "it was empty");
}
