//! What is restored is what was there: odd names, links, modes, times, holes; and nothing twice.

use crate::common::{Bench, below, look, noise};
use larder_backup::{Depth, Kind};
use larder_types::Class;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// A folder with everything that is odd.
fn odd(src: &Path) {
    for name in [
        &b"caf\xe9"[..],
        b"new\nline",
        b" ",
        b"-rf",
        b"*?[a]",
        &[b'n'; 255],
    ] {
        fs::write(src.join(OsStr::from_bytes(name)), name).unwrap();
    }
    fs::write(src.join("empty"), b"").unwrap();
    fs::create_dir_all(src.join("d/e/f/empty dir")).unwrap();
    fs::write(src.join("d/e/file"), noise(1, 5_000_000)).unwrap();
    symlink("d/e/file", src.join("link")).unwrap();
    symlink(OsStr::from_bytes(b"/nowhere/\xff"), src.join("dangling")).unwrap();
    symlink("d", src.join("link to dir")).unwrap();
    fs::hard_link(src.join("d/e/file"), src.join("d/second name")).unwrap();
    fs::hard_link(src.join("d/e/file"), src.join("third name")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, src.join("pipe"), 0o640.into()).unwrap();
    for (name, mode) in [
        ("empty", 0o4755),
        ("d/e", 0o500),
        ("d/e/f", 0o1777),
        ("-rf", 0o000),
    ] {
        fs::set_permissions(src.join(name), Permissions::from_mode(mode)).unwrap();
    }
    for (name, s, ns) in [("empty", 1, 1), ("d", 1_600_000_000, 999_999_999)] {
        let time = UNIX_EPOCH + Duration::new(s, ns);
        let file = File::open(src.join(name)).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }
    let before_the_epoch = UNIX_EPOCH - Duration::new(5, 250_000_000);
    let file = File::open(src.join(" ")).unwrap();
    file.set_times(FileTimes::new().set_modified(before_the_epoch))
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_odd_comes_back() {
    let bench = Bench::new().await;
    odd(&bench.src());
    let summary = bench.backup().await;
    assert_eq!(summary.errors.count, 0, "{:?}", summary.errors);
    assert_eq!((summary.files, summary.dirs), (10, 5));
    bench.check_restore("out").await;
    // Once more over what is there, without an error.
    bench.check_restore("out").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_backup_stores_next_to_nothing() {
    let bench = Bench::new().await;
    odd(&bench.src());
    bench.write("big", &noise(2, 20_000_000));
    let first = bench.backup().await;
    assert!(first.bytes_new > 24_000_000 && first.bytes_stored > first.bytes_new);
    let second = bench.backup().await;
    assert_eq!((second.files, second.bytes), (first.files, first.bytes));
    assert!(second.bytes_new < 1_000, "{second:?}");
    assert_eq!(second.segments, 1, "the snapshot alone");
    assert!(second.bytes_stored <= 16 << 10, "{second:?}");
    // A byte in the middle of the big file costs a blob, not the file.
    let mut big = noise(2, 20_000_000);
    big[10_000_000] ^= 1;
    bench.write("big", &big);
    let third = bench.backup().await;
    assert!((1_000..9_000_000).contains(&third.bytes_new), "{third:?}");
    bench.check_restore("out").await;
    assert_eq!(bench.vault.snapshots().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_better_class_stores_again_and_a_dry_run_stores_nothing() {
    let bench = Bench::new().await;
    bench.write("a", &noise(3, 3_000_000));
    let mut options = bench.options();
    options.dry_run = true;
    let dry = bench.backup_with(options).await.unwrap();
    assert_eq!((dry.snapshot, bench.stored()), (None, 0));
    let first = bench.backup().await;
    assert_eq!(first.bytes_new, dry.bytes_new);
    for (class, again) in [
        (Class::High, true),
        (Class::Low, false),
        (Class::High, false),
    ] {
        let mut options = bench.options();
        options.class = class;
        let summary = bench.backup_with(options).await.unwrap();
        assert_eq!(summary.bytes_new >= 3_000_000, again, "{class}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_and_many_files_come_back() {
    let bench = Bench::new().await;
    let sparse = File::create(bench.src().join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", 300 << 20).unwrap();
    for i in 0..3_000 {
        let dir = bench.src().join(format!("{}", i % 50));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("{i}")), format!("file {i}")).unwrap();
    }
    let summary = bench.backup().await;
    assert_eq!((summary.files, summary.dirs), (3_001, 51));
    assert!(summary.bytes_stored < 2 << 20, "{summary:?}");
    bench.check_restore("out").await;
    let out = below(&bench.dir.path().join("out"), &bench.src());
    let blocks = out.join("sparse").metadata().unwrap().blocks();
    assert!(blocks < 4_096, "{blocks} blocks of 512 bytes are written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_larger_than_a_blob_is_cut_and_read_again() {
    let bench = Bench::new().await;
    // Long names: 8,000 · 250 bytes are several tree blobs of at most 512 KiB.
    for i in 0..8_000 {
        fs::write(bench.src().join(format!("{i:0>250}")), b"").unwrap();
    }
    bench.backup().await;
    bench.write("one more", b"x");
    let second = bench.backup().await;
    assert!(second.bytes_new < 1_200_000, "{second:?}");
    bench.check_restore("out").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_chosen_by_path_and_by_glob() {
    let bench = Bench::new().await;
    for name in ["a/x.txt", "a/b/y.txt", "a/b/z.o", "c/x.txt"] {
        let path = bench.src().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    bench.backup().await;
    let out = bench.dir.path().join("sub");
    let mut options = bench.restore_options("sub").await;
    options.subpath = Some(bench.src().join("a"));
    assert_eq!(bench.restore(options).await.files, 3);
    let names = |dir: &Path| look(dir).into_keys().collect::<Vec<_>>();
    assert_eq!(names(&out), [&b"/b"[..], b"/b/y.txt", b"/b/z.o", b"/x.txt"]);

    let mut options = bench.restore_options("one").await;
    options.subpath = Some(bench.src().join("a/b/z.o"));
    bench.restore(options).await;
    assert_eq!(names(&bench.dir.path().join("one")), [b"/z.o"]);

    let mut options = bench.restore_options("globs").await;
    (options.include, options.exclude) = (vec!["*.txt".to_owned()], vec!["c".to_owned()]);
    assert_eq!(bench.restore(options).await.files, 2);
    let out = below(&bench.dir.path().join("globs"), &bench.src());
    assert_eq!(
        names(&out),
        [&b"/a"[..], b"/a/b", b"/a/b/y.txt", b"/a/x.txt"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn excludes_caches_and_our_own_folder_stay_out() {
    let bench = Bench::new().await;
    for name in [
        ".cache/x",
        "keep/x",
        "keep/x.o",
        "tagged/x",
        "tagged/CACHEDIR.TAG",
    ] {
        let path = bench.src().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "Signature: 8a477f597d28d172789f06886806bc55\n").unwrap();
    }
    let mut options = bench.options();
    options.excludes = vec!["*.o".to_owned()];
    // The vault lies below what is backed up, and is not entered.
    options.paths = vec![bench.dir.path().to_owned()];
    options.own = vec![bench.dir.path().join("segments")];
    let summary = bench.backup_with(options).await.unwrap();
    assert_eq!(summary.errors.count, 0);
    let (_, snapshot) = bench.vault.resolve("latest").await.unwrap();
    let (tx, mut rx) = tokio::sync::mpsc::channel(4);
    let (vault, segments) = (bench.vault.clone(), bench.segments.clone());
    let listing = tokio::spawn(async move {
        vault
            .ls(snapshot, "/".into(), Depth::All, &segments, tx)
            .await
    });
    let mut files = Vec::new();
    while let Some(listed) = rx.recv().await {
        if matches!(listed.entry.kind, Kind::File(_)) {
            files.push(listed.path.strip_prefix(bench.src()).unwrap().to_owned());
        }
    }
    listing.await.unwrap().unwrap();
    assert_eq!(
        files,
        [Path::new("keep/x"), Path::new("tagged/CACHEDIR.TAG")]
    );
    let estimate = bench.vault.estimate(&bench.options()).await.unwrap();
    assert_eq!(estimate.0, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_named_and_the_rest_is_kept() {
    let bench = Bench::new().await;
    bench.write("good", b"good");
    let mut options = bench.options();
    // Opens and then fails to be read, even for root; and a path that is not there.
    options.paths.push("/proc/self/mem".into());
    options.paths.push(bench.dir.path().join("missing"));
    let summary = bench.backup_with(options).await.unwrap();
    assert_eq!((summary.files, summary.errors.count), (1, 2));
    let named: Vec<_> = summary
        .errors
        .named
        .iter()
        .map(|p| p.path.clone())
        .collect();
    assert!(named.contains(&"/proc/self/mem".into()), "{named:?}");
    bench.check_restore("out").await;
    let mut options = bench.options();
    options.paths = vec![bench.dir.path().join("missing")];
    assert!(bench.backup_with(options).await.is_err());
}
