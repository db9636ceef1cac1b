//! What survives when something is gone: the index, a segment, a store that refuses.

use crate::common::{Bench, backup_to, below, keys, look, noise, restore_from};
use larder_backup::{BackupError, Progress, SealedSegment, Segments, SegmentsError, Stored, Vault};
use larder_types::SegmentId;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn the_index_comes_back_from_segments_alone() {
    let bench = Bench::new().await;
    bench.write("a", &noise(1, 2_000_000));
    bench.backup().await;
    bench.write("b", &noise(2, 1_000_000));
    bench.backup().await;
    let before = bench.vault.snapshots().await.unwrap();

    let anew = Vault::open(bench.dir.path().join("anew"), keys())
        .await
        .unwrap();
    let (progress, cancel) = (Progress::new(), CancellationToken::new());
    let rebuilt = anew
        .rebuild(&bench.segments, &progress, &cancel)
        .await
        .unwrap();
    assert_eq!((rebuilt.snapshots, rebuilt.lost.len()), (2, 0));
    assert_eq!(anew.snapshots().await.unwrap(), before);
    let again = anew
        .rebuild(&bench.segments, &progress, &cancel)
        .await
        .unwrap();
    assert_eq!(again.segments, 0);

    let mut options = bench.restore_options("out").await;
    options.snapshot = anew
        .resolve(&before[1].0.to_string()[..10])
        .await
        .unwrap()
        .1;
    let summary = restore_from(&anew, options, &bench.segments).await;
    assert_eq!(summary.incomplete.count, 0);
    let out = below(&bench.dir.path().join("out"), &bench.src());
    assert_eq!(look(&bench.src()), look(&out));
    let second = backup_to(&anew, bench.options(), &bench.segments)
        .await
        .unwrap();
    assert!(second.bytes_new < 1_000, "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_segment_costs_the_files_in_it_and_no_others() {
    let bench = Bench::new().await;
    bench.write("first", &noise(1, 3_000_000));
    bench.backup().await;
    let before: Vec<SegmentId> = bench.segments.list().await.unwrap();
    bench.write("second", &noise(2, 3_000_000));
    std::fs::hard_link(bench.src().join("second"), bench.src().join("zweite")).unwrap();
    bench.backup().await;
    // The data segment of the second backup is the larger of the new ones.
    let lost = bench.segments.list().await.unwrap();
    let lost = lost.into_iter().filter(|id| !before.contains(id));
    let lost = lost
        .max_by_key(|id| bench.segments.path(*id).metadata().unwrap().len())
        .unwrap();
    std::fs::remove_file(bench.segments.path(lost)).unwrap();

    let summary = bench.restore(bench.restore_options("out").await).await;
    let named: Vec<PathBuf> = summary
        .incomplete
        .named
        .iter()
        .map(|p| p.path.clone())
        .collect();
    assert_eq!(
        named,
        [bench.src().join("second"), bench.src().join("zweite")]
    );
    assert_eq!(summary.files, 1);
    let out = below(&bench.dir.path().join("out"), &bench.src());
    let (want, got) = (look(&bench.src()), look(&out));
    assert_eq!(want[&b"/first"[..]], got[&b"/first"[..]]);

    // The same after a rebuild, which cannot know the lost blobs.
    let anew = Vault::open(bench.dir.path().join("anew"), keys())
        .await
        .unwrap();
    let (progress, cancel) = (Progress::new(), CancellationToken::new());
    anew.rebuild(&bench.segments, &progress, &cancel)
        .await
        .unwrap();
    let options = bench.restore_options("out2").await;
    let summary = restore_from(&anew, options, &bench.segments).await;
    assert_eq!((summary.files, summary.incomplete.count), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_blob_is_not_restored_as_if_it_were_whole() {
    let bench = Bench::new().await;
    bench.write("file", &noise(1, 3_000_000));
    bench.backup().await;
    let ids = bench.segments.list().await.unwrap();
    let paths = ids.into_iter().map(|id| bench.segments.path(id));
    let data = paths.max_by_key(|p| p.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&data).unwrap();
    bytes[1_000_000] ^= 1;
    std::fs::write(&data, bytes).unwrap();
    let summary = bench.restore(bench.restore_options("out").await).await;
    assert_eq!((summary.files, summary.incomplete.count), (0, 1));
}

/// A store without room.
struct NoRoom;

#[derive(Debug, thiserror::Error)]
#[error("no quota left")]
struct NoQuota;

impl Segments for NoRoom {
    async fn store(&self, _: SealedSegment) -> Result<Stored, SegmentsError> {
        Err(SegmentsError::Store(Box::new(NoQuota)))
    }
    async fn fetch(&self, id: SegmentId) -> Result<PathBuf, SegmentsError> {
        Err(SegmentsError::Lost(id))
    }
    async fn release(&self, _: SegmentId) {}
    async fn list(&self) -> Result<Vec<KnownSegment>, SegmentsError> {
        Ok(Vec::new())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_ends_the_backup_with_its_reason_and_nothing_is_lost() {
    let bench = Bench::new().await;
    bench.write("file", &noise(1, 3_000_000));
    let refused = backup_to(&bench.vault, bench.options(), &Arc::new(NoRoom)).await;
    let Err(BackupError::Segments(SegmentsError::Store(why))) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.is::<NoQuota>(), "the caller can tell which");
    assert!(bench.vault.snapshots().await.unwrap().is_empty());
    let summary = bench.backup().await;
    assert!(
        summary.bytes_new < 1_000_000,
        "the sealed segment was sent from the spool"
    );
    assert!(bench.spooled().is_empty());
    bench.check_restore("out").await;
}
