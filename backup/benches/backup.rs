//! What a backup and a restore cost beside what nobody can do without, in the same process on the same
//! bytes, so that the ratio says something whatever the machine: a first backup beside reading, hashing
//! (BLAKE3) and compressing (zstd) every byte once; an unchanged one beside a bare walk that looks at
//! every name; a restore beside a copy. To sealed segments in a folder: without coding and network.
//!
//! `cargo bench -p larder-backup` prints the table; `-- 1024` takes so many MiB (default: 256).
#![allow(clippy::unwrap_used, reason = "a bench may stop")]
#![allow(clippy::print_stdout, reason = "it prints a table")]

use larder_backup::{BackupOptions, LocalSegments, Progress, RestoreOptions, Summary, Vault};
use larder_keys::VaultKeys;
use larder_types::Time;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// MiB of the tree where nobody says otherwise.
const MIB: usize = 256;
/// As sealing compresses.
const LEVEL: i32 = 3;
/// Bytes of a large file, and of a small one.
const LARGE: usize = 4 << 20;
const SMALL: usize = 4 << 10;
/// One byte in so many lies in small files.
const SMALL_SHARE: usize = 8;
/// Of a run that is over soon, the quickest of so many counts.
const RUNS: usize = 5;

fn main() {
    let given = std::env::args().find_map(|arg| arg.parse().ok());
    let mib = given.unwrap_or(MIB);
    let dir = tempfile::tempdir().unwrap();
    let src = dir.path().join("src");
    let files = tree(&src, mib << 20);
    println!("{mib} MiB in {files} files, half of it noise, half of it text\n");
    println!(
        "{:<22}{:>9}  {:<28}{:>9}{:>8}",
        "", "seconds", "beside", "seconds", "ratio"
    );

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bench = runtime.block_on(Bench::of(dir.path(), &src));
    // The page cache is warm for both: the tree was just written, and is read once before.
    read_hash_compress(&src);
    let (least, ()) = timed(|| read_hash_compress(&src));
    let (first, summary) = timed(|| runtime.block_on(bench.backup()));
    assert!(
        summary.bytes_new > 0 && summary.errors.count == 0,
        "{summary:?}"
    );
    row("first backup", first, "read, BLAKE3 and zstd", least);

    let (walked, seen) = quickest(|| walk(&src));
    let (unchanged, summary) = quickest(|| runtime.block_on(bench.backup()));
    assert_eq!((summary.unchanged, summary.files), (files, files));
    assert!(seen > files);
    row("unchanged", unchanged, "a walk with every stat", walked);

    let copied = dir.path().join("copy");
    let (copy, ()) = timed(|| copy(&src, &copied));
    let out = dir.path().join("out");
    let (restored, ()) = timed(|| runtime.block_on(bench.restore(out)));
    row("restore", restored, "a copy", copy);
}

fn row(what: &str, took: Duration, beside: &str, reference: Duration) {
    let (took, reference) = (took.as_secs_f64(), reference.as_secs_f64());
    let ratio = took / reference;
    println!("{what:<22}{took:>9.3}  {beside:<28}{reference:>9.3}{ratio:>8.2}");
}

fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let made = run();
    (began.elapsed(), made)
}

fn quickest<T>(mut run: impl FnMut() -> T) -> (Duration, T) {
    let mut best = timed(&mut run);
    for _ in 1..RUNS {
        let next = timed(&mut run);
        if next.0 < best.0 {
            best = next;
        }
    }
    best
}

/// A vault beside the tree.
struct Bench {
    vault: Vault,
    segments: Arc<LocalSegments>,
    src: PathBuf,
}

impl Bench {
    async fn of(dir: &Path, src: &Path) -> Self {
        let keys = VaultKeys::from_root(&[7; 32]);
        let vault = Vault::open(dir.join("vault"), keys).await.unwrap();
        Self {
            // The tree is younger than a minute.
            vault: vault.settled_after(Duration::ZERO),
            segments: Arc::new(LocalSegments::open(dir.join("segments")).unwrap()),
            src: src.to_owned(),
        }
    }

    async fn backup(&self) -> Summary {
        let mut options = BackupOptions::new(vec![self.src.clone()], "bench".into(), Time(1));
        options.default_excludes = false;
        let (progress, cancel) = (Progress::new(), CancellationToken::new());
        let made = self
            .vault
            .backup(options, &self.segments, &progress, &cancel);
        made.await.unwrap()
    }

    async fn restore(&self, target: PathBuf) {
        let options = RestoreOptions {
            snapshot: self.vault.resolve("latest").await.unwrap().1,
            subpath: Some(self.src.clone()),
            target,
            include: Vec::new(),
            exclude: Vec::new(),
            verify: false,
        };
        let (progress, cancel) = (Progress::new(), CancellationToken::new());
        let made = self
            .vault
            .restore(options, &self.segments, &progress, &cancel);
        assert_eq!(made.await.unwrap().incomplete.count, 0);
    }
}

/// Makes so many bytes of files, large and small, noise and text in turn; how many files.
fn tree(src: &Path, bytes: usize) -> u64 {
    let small = bytes / SMALL_SHARE / SMALL;
    let large = (bytes - small * SMALL) / LARGE;
    let mut noise = blake3::Hasher::new().finalize_xof();
    let mut made = 0;
    for (name, count, len) in [("large", large, LARGE), ("small", small, SMALL)] {
        for number in 0..count {
            let dir = src.join(name).join((number / 100).to_string());
            fs::create_dir_all(&dir).unwrap();
            let mut content = vec![0; len];
            noise.fill(&mut content);
            if number % 2 == 1 {
                content.iter_mut().for_each(|b| *b = b'a' + *b % 8);
            }
            fs::write(dir.join(number.to_string()), content).unwrap();
            made += 1;
        }
    }
    made
}

/// Calls `visit` with every file below a folder; how many names there are.
fn each(dir: &Path, visit: &mut dyn FnMut(&Path)) -> u64 {
    let mut names = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        black_box(meta.mtime_nsec());
        names += 1;
        if meta.is_dir() {
            names += each(&entry.path(), visit);
        } else {
            visit(&entry.path());
        }
    }
    names
}

fn walk(src: &Path) -> u64 {
    each(src, &mut |path| {
        black_box(path);
    })
}

/// One thread, one pass: what every byte of a first backup must go through at least.
fn read_hash_compress(src: &Path) {
    let mut buffer = vec![0; 1 << 20];
    let mut compressor = zstd::bulk::Compressor::new(LEVEL).unwrap();
    each(src, &mut |path| {
        let mut file = File::open(path).unwrap();
        loop {
            let read = file.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            black_box(blake3::hash(&buffer[..read]));
            black_box(compressor.compress(&buffer[..read]).unwrap());
        }
    });
}

/// File by file, with its mode, as `fs::copy` does it.
fn copy(from: &Path, to: &Path) {
    each(from, &mut |path| {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    });
}
