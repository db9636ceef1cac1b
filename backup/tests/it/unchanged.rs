//! Files that did not change are not read again; those that did, or whose blobs the vault no
//! longer has in the class that is wanted, are.

use crate::common::{Bench, noise};
use larder_backup::{BackupOptions, SegmentKind, Summary};
use larder_types::Class;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Returns once the clock that files are stamped with has gone on since `path` was changed: only
/// then can a backup that begins tell it from what comes later. A tick is 1 to 10 ms.
fn tick(dir: &Path, path: &Path) {
    let when = |path: &Path| {
        let meta = path.symlink_metadata().unwrap();
        (meta.ctime(), meta.ctime_nsec())
    };
    let probe = dir.join("probe");
    loop {
        fs::write(&probe, b"").unwrap();
        if when(&probe) > when(path) {
            return;
        }
        std::thread::yield_now();
    }
}

async fn backup(bench: &Bench, last: &Path) -> Summary {
    tick(bench.dir.path(), last);
    bench.backup().await
}

fn three(bench: &Bench) {
    fs::create_dir(bench.src().join("d")).unwrap();
    bench.write("a", b"a");
    bench.write("d/big", &noise(1, 3_000_000));
    bench.write("z", &noise(2, 70_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_reads_what_changed_only() {
    let bench = Bench::new().await;
    three(&bench);
    let z = bench.src().join("z");
    let first = backup(&bench, &z).await;
    assert_eq!((first.files, first.unchanged), (3, 0));
    let second = bench.backup().await;
    assert_eq!((second.files, second.unchanged), (3, 3));
    assert_eq!(second.bytes, first.bytes);
    assert_eq!(second.segments, 1, "the snapshot alone");
    // The same length and the same time, but changed all the same.
    let old = z.metadata().unwrap().modified().unwrap();
    bench.write("z", &noise(3, 70_000));
    let file = fs::File::options().write(true).open(&z).unwrap();
    file.set_modified(old).unwrap();
    bench.write("new", b"new");
    fs::rename(bench.src().join("a"), bench.src().join("b")).unwrap();
    let third = backup(&bench, &bench.src().join("b")).await;
    assert_eq!((third.files, third.unchanged), (4, 1));
    bench.check_restore("out").await;
    assert_eq!(bench.backup().await.unchanged, 4);
    bench.check_restore("out").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_within_the_tick_of_a_backup_is_read_again() {
    let bench = Bench::new().await;
    // A time ahead of the clock is never older than the run: such a file looks the same whatever
    // is written to it within this tick.
    bench.write("ahead", b"old");
    let ahead = bench.src().join("ahead");
    let file = fs::File::options().write(true).open(&ahead).unwrap();
    let future = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    file.set_modified(future).unwrap();
    bench.write("other", b"other");
    backup(&bench, &bench.src().join("other")).await;
    assert_eq!(bench.backup().await.unchanged, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_gone_or_of_a_lower_class_is_stored_again() {
    let bench = Bench::new().await;
    three(&bench);
    let first = backup(&bench, &bench.src().join("z")).await;
    let options = |class| BackupOptions {
        class,
        ..bench.options()
    };
    let high = bench.backup_with(options(Class::High)).await.unwrap();
    assert_eq!(high.unchanged, 0);
    assert!(high.bytes_new >= first.bytes, "{high:?}");
    let again = bench.backup_with(options(Class::High)).await.unwrap();
    assert_eq!(again.unchanged, 3);
    let low = bench.backup_with(options(Class::Low)).await.unwrap();
    assert_eq!((low.unchanged, low.bytes_new < 2_000), (3, true), "{low:?}");

    // Another index, as after a recovery that found no data: what this machine saw is no proof.
    for name in ["vault.db", "vault.db-wal", "vault.db-shm"] {
        let path = bench.dir.path().join("vault").join(name);
        fs::rename(&path, bench.dir.path().join(name)).ok();
    }
    let anew = bench.anew("vault").await;
    let third = crate::common::backup_to(&anew, bench.options(), &bench.segments).await;
    let third = third.unwrap();
    assert_eq!(third.unchanged, 0);
    assert!(third.bytes_new >= first.bytes, "{third:?}");
    assert!(bench.kept(SegmentKind::Data).await.len() >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_damaged_or_lost_costs_a_read_and_no_more() {
    let bench = Bench::new().await;
    three(&bench);
    let cache = bench.dir.path().join("vault/seen");
    backup(&bench, &bench.src().join("z")).await;
    let whole = fs::read(&cache).unwrap();
    for at in [0, 33, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&cache, &bytes).unwrap();
        let summary = bench.backup().await;
        assert_eq!((summary.files, summary.unchanged), (3, 0), "at {at}");
        assert_eq!(bench.backup().await.unchanged, 3);
    }
    fs::write(&cache, &whole[..whole.len() - 7]).unwrap();
    assert_eq!(bench.backup().await.unchanged, 0);
    fs::remove_file(&cache).unwrap();
    assert_eq!(bench.backup().await.unchanged, 0);
    bench.check_restore("out").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roots_share_a_cache_and_what_is_gone_leaves_it() {
    let bench = Bench::new().await;
    for dir in ["one", "one two", "three"] {
        fs::create_dir(bench.src().join(dir)).unwrap();
        for i in 0..40 {
            bench.write(&format!("{dir}/{i}"), dir.as_bytes());
        }
    }
    let of = |dir: &str| BackupOptions {
        paths: vec![bench.src().join(dir)],
        ..bench.options()
    };
    let cache = || {
        fs::metadata(bench.dir.path().join("vault/seen"))
            .unwrap()
            .len()
    };
    tick(bench.dir.path(), &bench.src().join("three/39"));
    // Each by itself, then all at once.
    for dir in ["three", "one", "one two", "one/7"] {
        let unchanged = bench.backup_with(of(dir)).await.unwrap().unchanged;
        assert_eq!(unchanged, u64::from(dir == "one/7"));
    }
    assert_eq!(bench.backup().await.unchanged, 120);
    let all = cache();
    // A dry run looks, and leaves it as it is.
    let dry = BackupOptions {
        dry_run: true,
        ..of("one")
    };
    assert_eq!(bench.backup_with(dry).await.unwrap().unchanged, 40);
    assert_eq!(cache(), all);
    // What is only left out this time is known the next.
    let without = BackupOptions {
        excludes: vec!["one".to_owned()],
        ..bench.options()
    };
    assert_eq!(bench.backup_with(without).await.unwrap().unchanged, 80);
    assert_eq!(bench.backup().await.unchanged, 120);
    fs::remove_dir_all(bench.src().join("three")).unwrap();
    // Not this root's business; then it is.
    assert_eq!(bench.backup_with(of("one")).await.unwrap().unchanged, 40);
    assert_eq!(cache(), all);
    assert_eq!(bench.backup().await.unchanged, 80);
    assert!(cache() < all * 3 / 4, "{} of {all}", cache());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_many_blobs_and_one_of_many_names_are_recognised() {
    let bench = Bench::new().await;
    // More than 64 blobs: described by lists. The hole's are all one.
    let big = fs::File::create(bench.src().join("big")).unwrap();
    big.set_len(700 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&big, &noise(4, 2_000_000), 300 << 20).unwrap();
    bench.write("small", b"small");
    for name in ["big", "small"] {
        let again = bench.src().join(format!("{name} again"));
        fs::hard_link(bench.src().join(name), again).unwrap();
    }
    let first = backup(&bench, &bench.src().join("small")).await;
    assert_eq!((first.files, first.unchanged), (4, 0));
    let second = bench.backup().await;
    // A second name of what is described by lists follows from the first.
    assert_eq!((second.files, second.unchanged), (4, 3));
    assert!(second.bytes_new < 2_000, "{second:?}");
    bench.check_restore("out").await;
}
