//! A source folder, a vault and its segments; and a way to see a folder as a value.

use larder_backup::{
    BackupError, BackupOptions, LocalSegments, Progress, RebuildSummary, RestoreOptions,
    RestoreSummary, SegmentKind, Segments, Summary, Vault,
};
use larder_coding::{BlobKind, SegmentReader};
use larder_keys::VaultKeys;
use larder_types::{SegmentId, Time};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

static CLOCK: AtomicU64 = AtomicU64::new(1_000);

/// Everything a test works with; gone when dropped.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) vault: Vault,
    pub(crate) segments: Arc<LocalSegments>,
}

pub(crate) fn keys() -> VaultKeys {
    VaultKeys::from_root(&[7; 32])
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("src")).unwrap();
        let vault = Vault::open(dir.path().join("vault"), keys()).await.unwrap();
        let segments = Arc::new(LocalSegments::open(dir.path().join("segments")).unwrap());
        Self {
            dir,
            vault,
            segments,
        }
    }

    pub(crate) fn src(&self) -> PathBuf {
        self.dir.path().join("src")
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.src().join(name), bytes).unwrap();
    }

    pub(crate) fn options(&self) -> BackupOptions {
        let now = Time(CLOCK.fetch_add(1, Ordering::Relaxed));
        BackupOptions::new(vec![self.src()], "host".to_owned(), now)
    }

    pub(crate) async fn backup(&self) -> Summary {
        self.backup_with(self.options()).await.unwrap()
    }

    pub(crate) async fn backup_with(&self, options: BackupOptions) -> Result<Summary, BackupError> {
        backup_to(&self.vault, options, &self.segments).await
    }

    pub(crate) async fn restore_options(&self, target: &str) -> RestoreOptions {
        RestoreOptions {
            snapshot: self.vault.resolve("latest").await.unwrap().1,
            subpath: None,
            target: self.dir.path().join(target),
            include: Vec::new(),
            exclude: Vec::new(),
            verify: true,
        }
    }

    pub(crate) async fn restore(&self, options: RestoreOptions) -> RestoreSummary {
        restore_from(&self.vault, options, &self.segments).await
    }

    /// Restores `latest` and compares all of it with the source.
    pub(crate) async fn check_restore(&self, target: &str) {
        let options = self.restore_options(target).await;
        let out = below(&options.target, &self.src());
        let summary = self.restore(options).await;
        assert_eq!(summary.incomplete.count, 0, "{summary:?}");
        assert_eq!(look(&self.src()), look(&out));
    }

    /// A vault that knows nothing yet, over the same segments: what a recovery begins with.
    pub(crate) async fn anew(&self, name: &str) -> Vault {
        Vault::open(self.dir.path().join(name), keys())
            .await
            .unwrap()
    }

    /// The segments of a kind.
    pub(crate) async fn kept(&self, kind: SegmentKind) -> Vec<SegmentId> {
        let list = self.segments.list().await.unwrap();
        let of_kind = list.into_iter().filter(|s| s.kind == kind);
        of_kind.map(|s| s.id).collect()
    }

    /// Where the blobs of a kind lie: file, offset, length.
    pub(crate) async fn blobs(&self, kind: BlobKind) -> Vec<(PathBuf, u64, u64)> {
        let mut found = Vec::new();
        for segment in self.segments.list().await.unwrap() {
            let path = self.segments.path(segment.id).unwrap();
            let file = std::fs::File::open(&path).unwrap();
            let index = SegmentReader::new(file, &keys(), segment.id)
                .unwrap()
                .read_index()
                .unwrap();
            for blob in index.iter().filter(|b| b.kind == kind) {
                found.push((path.clone(), blob.offset.into(), blob.len.into()));
            }
        }
        found
    }

    /// How many segments there are.
    pub(crate) fn stored(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("segments"))
            .unwrap()
            .count()
    }

    /// What lies in the spool.
    pub(crate) fn spooled(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.dir.path().join("vault/spool"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect()
    }
}

pub(crate) async fn rebuild<S: Segments>(vault: &Vault, segments: &Arc<S>) -> RebuildSummary {
    vault
        .rebuild(segments, &Progress::new(), &CancellationToken::new())
        .await
        .unwrap()
}

/// Changes the byte in the middle of a blob.
pub(crate) fn damage((path, offset, len): &(PathBuf, u64, u64)) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = usize::try_from(offset + len / 2).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

pub(crate) async fn backup_to<S: Segments>(
    vault: &Vault,
    options: BackupOptions,
    segments: &Arc<S>,
) -> Result<Summary, BackupError> {
    vault
        .backup(
            options,
            segments,
            &Progress::new(),
            &CancellationToken::new(),
        )
        .await
}

pub(crate) async fn restore_from<S: Segments>(
    vault: &Vault,
    options: RestoreOptions,
    segments: &Arc<S>,
) -> RestoreSummary {
    vault
        .restore(
            options,
            segments,
            &Progress::new(),
            &CancellationToken::new(),
        )
        .await
        .unwrap()
}

/// Where the absolute `path` lies below `target`.
pub(crate) fn below(target: &Path, path: &Path) -> PathBuf {
    target.join(path.strip_prefix("/").unwrap())
}

/// What a name is, as far as a restore must bring it back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    mode: u32,
    mtime: (i64, i64),
    owner: (u32, u32),
    /// Hash of a file's bytes, or a link's target.
    content: Vec<u8>,
    /// The first name of the same file.
    first: Vec<u8>,
}

/// A folder as a value: everything below it by its path's bytes.
pub(crate) fn look(dir: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let (mut seen, mut first) = (BTreeMap::new(), BTreeMap::new());
    look_into(dir, Vec::new(), &mut seen, &mut first);
    seen
}

fn look_into(
    dir: &Path,
    at: Vec<u8>,
    seen: &mut BTreeMap<Vec<u8>, Seen>,
    first: &mut BTreeMap<u64, Vec<u8>>,
) {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    for name in names {
        let path = dir.join(&name);
        let rel = [&at[..], b"/", name.as_bytes()].concat();
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_symlink() {
            let target = path.read_link().unwrap();
            target.as_os_str().as_bytes().to_vec()
        } else if meta.is_file() {
            digest(&path)
        } else {
            Vec::new()
        };
        let one = Seen {
            mode: meta.mode(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            owner: (meta.uid(), meta.gid()),
            content,
            first: first.entry(meta.ino()).or_insert(rel.clone()).clone(),
        };
        seen.insert(rel.clone(), one);
        if meta.is_dir() {
            look_into(&path, rel, seen, first);
        }
    }
}

/// Length and two polynomial sums: enough to tell a test's files apart.
fn digest(path: &Path) -> Vec<u8> {
    use std::io::Read;
    let mut file = std::fs::File::open(path).unwrap();
    let (mut buf, mut len, mut sum) = (vec![0; 1 << 20], 0u64, 0u64);
    loop {
        let n = file.read(&mut buf).unwrap();
        if n == 0 {
            break;
        }
        len += n as u64;
        for byte in &buf[..n] {
            sum = sum
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .wrapping_add(u64::from(*byte) + 1);
        }
    }
    [len.to_le_bytes(), sum.to_le_bytes()].concat()
}

/// `len` bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes.extend_from_slice(&x.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
