//! A backup that ends in the middle: what was durable stays, what was finished is sent again, what
//! was half written is gone; and nothing holds the vault.

use crate::common::{Bench, backup_to, noise};
use larder_backup::{
    BackupError, KnownSegment, LocalSegments, Progress, SealedSegment, Segments, SegmentsError,
    Stored, Vault,
};
use larder_types::SegmentId;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Stores so many segments, then never answers again, and says so.
pub(crate) struct Stuck {
    inner: Arc<LocalSegments>,
    left: AtomicUsize,
    pub(crate) stuck: Semaphore,
}

impl Stuck {
    pub(crate) fn after(stores: usize, inner: &Arc<LocalSegments>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            left: AtomicUsize::new(stores),
            stuck: Semaphore::new(0),
        })
    }
}

impl Segments for Stuck {
    async fn store(&self, segment: SealedSegment) -> Result<Stored, SegmentsError> {
        let spend = |n: usize| n.checked_sub(1);
        if self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend)
            .is_ok()
        {
            return self.inner.store(segment).await;
        }
        self.stuck.add_permits(1);
        std::future::pending().await
    }
    async fn fetch(&self, id: SegmentId) -> Result<PathBuf, SegmentsError> {
        self.inner.fetch(id).await
    }
    async fn release(&self, id: SegmentId) {
        self.inner.release(id).await;
    }
    async fn list(&self) -> Result<Vec<KnownSegment>, SegmentsError> {
        self.inner.list().await
    }
}

/// 160 MB in three files: two full data segments and a rest.
fn fill(bench: &Bench) {
    for (seed, name) in ["a", "b", "c"].iter().enumerate() {
        bench.write(name, &noise(seed as u64 + 10, 160_000_000 / 3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_backup_goes_on_where_it_was() {
    let bench = Bench::new().await;
    fill(&bench);
    let stuck = Stuck::after(1, &bench.segments);
    {
        let backup = backup_to(&bench.vault, bench.options(), &stuck);
        tokio::select! {
            ended = backup => panic!("{ended:?}"),
            asked = stuck.stuck.acquire() => asked.unwrap().forget(),
        }
    }
    assert_eq!(bench.stored(), 1);
    // The lock is free as soon as the threads have noticed; this waits for them.
    let summary = bench.backup().await;
    assert!(
        summary.bytes_new < 40_000_000,
        "two segments are not packed again: {summary:?}"
    );
    assert!(bench.spooled().is_empty());
    assert_eq!(bench.stored(), 4, "three of data, one of metadata");
    bench.check_restore("out").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_takes_over_the_spool() {
    let bench = Bench::new().await;
    fill(&bench);
    let stuck = Stuck::after(0, &bench.segments);
    let cancel = CancellationToken::new();
    let progress = Progress::new();
    let backup = bench
        .vault
        .backup(bench.options(), &stuck, &progress, &cancel);
    let ended = tokio::join!(backup, async {
        stuck.stuck.acquire().await.unwrap().forget();
        cancel.cancel();
    });
    assert!(
        matches!(ended.0, Err(BackupError::Cancelled)),
        "{:?}",
        ended.0
    );
    // As a crash between finishing a segment and entering it would leave it: the index is gone.
    let fresh = bench.dir.path().join("fresh");
    std::fs::create_dir_all(fresh.join("spool")).unwrap();
    let mut moved = 0;
    for path in bench.spooled() {
        let name = path.file_name().unwrap().to_owned();
        moved += usize::from(path.extension().is_some_and(|e| e == "seg"));
        std::fs::rename(&path, fresh.join("spool").join(name)).unwrap();
    }
    assert!(moved >= 1);
    std::fs::write(fresh.join("spool/not ours"), b"stays").unwrap();
    let vault = Vault::open(fresh, crate::common::keys()).await.unwrap();
    let summary = backup_to(&vault, bench.options(), &bench.segments)
        .await
        .unwrap();
    let resent = 60_000_000 * moved as u64;
    assert!(
        summary.bytes_new < 161_000_000 - resent,
        "{moved} sent again: {summary:?}"
    );
    assert!(summary.segments >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused_while_the_first_writes() {
    let bench = Bench::new().await;
    bench.write("a", b"a");
    let stuck = Stuck::after(0, &bench.segments);
    let other = Vault::open(bench.dir.path().join("vault"), crate::common::keys())
        .await
        .unwrap();
    let backup = backup_to(&bench.vault, bench.options(), &stuck);
    let meanwhile = async {
        stuck.stuck.acquire().await.unwrap().forget();
        backup_to(&other, bench.options(), &bench.segments).await
    };
    tokio::select! {
        ended = backup => panic!("{ended:?}"),
        refused = meanwhile => assert!(matches!(refused, Err(BackupError::Lock(_))), "{refused:?}"),
    }
}
