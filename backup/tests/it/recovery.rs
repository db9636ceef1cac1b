//! The index comes back from metadata segments alone, whatever happened before and whatever of
//! them is gone.

use crate::common::{Bench, backup_to, below, damage, look, noise, rebuild, restore_from};
use larder_backup::{
    KnownSegment, LocalSegments, Phase, Progress, SealedSegment, SegmentKind, Segments,
    SegmentsError, Stored, Vault,
};
use larder_coding::BlobKind;
use larder_types::SegmentId;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Notes what is fetched and released.
struct Watched {
    inner: Arc<LocalSegments>,
    fetched: Mutex<BTreeSet<SegmentId>>,
    released: Semaphore,
}

impl Watched {
    fn new(inner: &Arc<LocalSegments>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            fetched: Mutex::default(),
            released: Semaphore::new(0),
        })
    }
}

impl Segments for Watched {
    async fn store(&self, segment: SealedSegment) -> Result<Stored, SegmentsError> {
        self.inner.store(segment).await
    }
    async fn fetch(&self, id: SegmentId) -> Result<PathBuf, SegmentsError> {
        self.fetched.lock().unwrap().insert(id);
        self.inner.fetch(id).await
    }
    async fn release(&self, id: SegmentId) {
        self.inner.release(id).await;
        self.released.add_permits(1);
    }
    async fn list(&self) -> Result<Vec<KnownSegment>, SegmentsError> {
        self.inner.list().await
    }
}

/// Stores what `takes` says; the first that it does not is told of, and never answered.
struct Picky {
    inner: Arc<LocalSegments>,
    takes: SegmentKind,
    refused: Semaphore,
}

impl Segments for Picky {
    async fn store(&self, segment: SealedSegment) -> Result<Stored, SegmentsError> {
        if segment.kind == self.takes {
            return self.inner.store(segment).await;
        }
        self.refused.add_permits(1);
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

/// A backup that dies when its data are durable and its metadata lie in the spool.
async fn die_before_metadata(bench: &Bench) {
    let picky = Arc::new(Picky {
        inner: Arc::clone(&bench.segments),
        takes: SegmentKind::Data,
        refused: Semaphore::new(0),
    });
    let backup = backup_to(&bench.vault, bench.options(), &picky);
    tokio::select! {
        ended = backup => panic!("{ended:?}"),
        refused = picky.refused.acquire() => refused.unwrap().forget(),
    }
}

/// Restores `latest` as `vault` knows it, and compares all of it with the source.
async fn check_restore(bench: &Bench, vault: &Vault, target: &str) {
    let mut options = bench.restore_options(target).await;
    options.snapshot = vault.resolve("latest").await.unwrap().1;
    let out = below(&options.target, &bench.src());
    let summary = restore_from(vault, options, &bench.segments).await;
    assert_eq!(summary.incomplete.count, 0, "{summary:?}");
    assert_eq!(look(&bench.src()), look(&out));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_reads_metadata_alone_and_the_next_backup_stores_what_changed() {
    let bench = Bench::new().await;
    bench.write("a", &noise(1, 3_000_000));
    bench.write("b", &noise(2, 3_000_000));
    bench.backup().await;
    bench.write("c", &noise(3, 3_000_000));
    bench.backup().await;
    let before = bench.vault.snapshots().await.unwrap();

    let anew = bench.anew("anew").await;
    let (watched, progress) = (Watched::new(&bench.segments), Progress::new());
    let rebuilt = anew
        .rebuild(&watched, &progress, &CancellationToken::new())
        .await
        .unwrap();
    let meta: BTreeSet<_> = bench.kept(SegmentKind::Meta).await.into_iter().collect();
    assert_eq!(*watched.fetched.lock().unwrap(), meta, "and no data");
    let all = u32::try_from(meta.len()).unwrap();
    watched.released.acquire_many(all).await.unwrap().forget();
    let state = progress.now();
    assert_eq!(state.phase, Phase::Done);
    assert_eq!((state.segments, state.segments_total), (2, Some(2)));
    assert_eq!((rebuilt.segments, rebuilt.snapshots), (4, 2), "{rebuilt:?}");
    assert_eq!((rebuilt.unlisted, rebuilt.lost.len()), (0, 0));
    assert_eq!(anew.snapshots().await.unwrap(), before);
    let (old, new) = (bench.vault.stats().await.unwrap(), anew.stats().await);
    let new = new.unwrap();
    assert_eq!((old.blobs, old.bytes), (new.blobs, new.bytes));
    assert_eq!(old.bytes_sealed, new.bytes_sealed);

    check_restore(&bench, &anew, "out").await;
    bench.write("b", &noise(4, 100_000));
    let third = backup_to(&anew, bench.options(), &bench.segments).await;
    let third = third.unwrap();
    assert!(third.bytes_new < 110_000, "{third:?}");
    check_restore(&bench, &anew, "out2").await;
    let again = rebuild(&anew, &bench.segments).await;
    assert_eq!((again.segments, again.unlisted), (0, 0), "all is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_without_news_lists_nothing() {
    let bench = Bench::new().await;
    bench.write("a", &noise(1, 100_000));
    bench.backup().await;
    assert_eq!(bench.blobs(BlobKind::Listing).await.len(), 1);
    bench.backup().await;
    assert_eq!(bench.blobs(BlobKind::Listing).await.len(), 1);
    let anew = bench.anew("anew").await;
    rebuild(&anew, &bench.segments).await;
    backup_to(&anew, bench.options(), &bench.segments)
        .await
        .unwrap();
    let listings = bench.blobs(BlobKind::Listing).await.len();
    assert_eq!(listings, 1, "a recovered index knows what is listed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_backup_stored_is_listed_by_the_next() {
    let bench = Bench::new().await;
    bench.write("a", &noise(1, 1_000_000));
    die_before_metadata(&bench).await;
    let found = rebuild(&bench.anew("too early").await, &bench.segments).await;
    assert_eq!((found.segments, found.unlisted), (0, 1), "{found:?}");

    // Its metadata segment, listing included, is sent from the spool.
    let summary = bench.backup().await;
    assert!(summary.bytes_new < 10_000, "{summary:?}");
    let anew = bench.anew("anew").await;
    let found = rebuild(&anew, &bench.segments).await;
    assert_eq!((found.unlisted, found.lost.len()), (0, 0), "{found:?}");
    check_restore(&bench, &anew, "out").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_was_lost_with_the_spool_is_written_again() {
    let bench = Bench::new().await;
    bench.write("a", &noise(1, 1_000_000));
    die_before_metadata(&bench).await;
    for path in bench.spooled() {
        std::fs::remove_file(path).unwrap();
    }
    let summary = bench.backup().await;
    assert!(
        summary.bytes_new < 10_000,
        "the data are there: {summary:?}"
    );
    let anew = bench.anew("anew").await;
    let found = rebuild(&anew, &bench.segments).await;
    assert_eq!((found.unlisted, found.lost.len()), (0, 0), "{found:?}");
    check_restore(&bench, &anew, "out").await;
}

/// Two folders, each in a backup of its own: the metadata segment of the first.
async fn two_backups(bench: &Bench) -> SegmentId {
    for (seed, name) in [(1, "one"), (2, "two")] {
        std::fs::create_dir(bench.src().join(name)).unwrap();
        bench.write(&format!("{name}/file"), &noise(seed, 1_000_000));
    }
    let mut options = bench.options();
    options.paths = vec![bench.src().join("one")];
    bench.backup_with(options).await.unwrap();
    let first = bench.kept(SegmentKind::Meta).await[0];
    bench.backup().await;
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_metadata_segment_is_named_and_all_else_comes_back() {
    let bench = Bench::new().await;
    let lost = two_backups(&bench).await;
    std::fs::remove_file(bench.segments.path(lost).unwrap()).unwrap();
    // With the index: the folder whose tree was in it is named, the other one comes back.
    let options = bench.restore_options("out").await;
    let summary = bench.restore(options).await;
    let named: Vec<_> = summary.incomplete.named.iter().map(|p| &p.path).collect();
    assert_eq!(named, [&bench.src().join("one")], "{summary:?}");
    let why = &summary.incomplete.named[0].error;
    assert!(why.contains("cannot all be listed"), "{why}");
    let out = below(&bench.dir.path().join("out"), &bench.src());
    assert_eq!(look(&out.join("two")), look(&bench.src().join("two")));

    // A recovery: as the engine sees it, the segment is known, and cannot be had.
    struct Knows(Arc<LocalSegments>, KnownSegment);
    impl Segments for Knows {
        async fn store(&self, segment: SealedSegment) -> Result<Stored, SegmentsError> {
            self.0.store(segment).await
        }
        async fn fetch(&self, id: SegmentId) -> Result<PathBuf, SegmentsError> {
            self.0.fetch(id).await
        }
        async fn release(&self, _: SegmentId) {}
        async fn list(&self) -> Result<Vec<KnownSegment>, SegmentsError> {
            let mut list = self.0.list().await?;
            list.push(self.1);
            Ok(list)
        }
    }
    let known = KnownSegment {
        id: lost,
        class: larder_types::Class::Normal,
        kind: SegmentKind::Meta,
    };
    let anew = bench.anew("anew").await;
    let knows = Arc::new(Knows(Arc::clone(&bench.segments), known));
    let found = rebuild(&anew, &knows).await;
    let lost_ids: Vec<_> = found.lost.iter().map(|(id, _)| *id).collect();
    assert_eq!(lost_ids, [lost], "{found:?}");
    assert_eq!((found.snapshots, found.unlisted), (1, 1), "{found:?}");
    let mut options = bench.restore_options("out2").await;
    options.snapshot = anew.resolve("latest").await.unwrap().1;
    let summary = restore_from(&anew, options, &knows).await;
    assert_eq!((summary.files, summary.incomplete.count), (1, 1));
    // And what is lost is simply backed up again.
    backup_to(&anew, bench.options(), &knows).await.unwrap();
    check_restore(&bench, &anew, "out3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_listing_costs_what_it_lists_and_nothing_else() {
    let bench = Bench::new().await;
    two_backups(&bench).await;
    let mut listings = bench.blobs(BlobKind::Listing).await;
    listings.sort_by_key(|(path, ..)| path.metadata().unwrap().modified().unwrap());
    damage(&listings[0]);
    let anew = bench.anew("anew").await;
    let found = rebuild(&anew, &bench.segments).await;
    assert_eq!((found.snapshots, found.unlisted), (2, 1), "{found:?}");
    assert_eq!(found.lost.len(), 1, "{found:?}");
    assert!(found.lost[0].1.contains("listing"), "{found:?}");
    let mut options = bench.restore_options("out").await;
    options.snapshot = anew.resolve("latest").await.unwrap().1;
    let summary = restore_from(&anew, options, &bench.segments).await;
    let named: Vec<_> = summary.incomplete.named.iter().map(|p| &p.path).collect();
    assert_eq!(named, [&bench.src().join("one/file")], "{summary:?}");
    assert_eq!(summary.files, 1);
    let second = backup_to(&anew, bench.options(), &bench.segments)
        .await
        .unwrap();
    assert!(second.bytes_new > 1_000_000, "it is stored again");
    check_restore(&bench, &anew, "out2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_turn_up_after_their_listing_count_from_then_on() {
    let bench = Bench::new().await;
    bench.write("a", &noise(1, 1_000_000));
    bench.backup().await;
    let data = bench.kept(SegmentKind::Data).await[0];
    let (path, aside) = (
        bench.segments.path(data).unwrap(),
        bench.dir.path().join("aside"),
    );
    std::fs::rename(&path, &aside).unwrap();
    let anew = bench.anew("anew").await;
    let found = rebuild(&anew, &bench.segments).await;
    assert_eq!(found.lost.len(), 1, "{found:?}");
    let mut options = bench.restore_options("out").await;
    options.snapshot = anew.resolve("latest").await.unwrap().1;
    let summary = restore_from(&anew, options, &bench.segments).await;
    assert_eq!((summary.files, summary.incomplete.count), (0, 1));

    std::fs::rename(&aside, &path).unwrap();
    let found = rebuild(&anew, &bench.segments).await;
    assert_eq!((found.unlisted, found.lost.len()), (0, 0), "{found:?}");
    check_restore(&bench, &anew, "out2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_a_backup_gave_up_and_that_turn_up_again_are_known_again() {
    let bench = Bench::new().await;
    bench.write("a", &noise(1, 1_000_000));
    bench.backup().await;
    let old = bench.vault.resolve("latest").await.unwrap().1;
    let data = bench.kept(SegmentKind::Data).await[0];
    let (path, aside) = (
        bench.segments.path(data).unwrap(),
        bench.dir.path().join("aside"),
    );
    std::fs::rename(&path, &aside).unwrap();
    let anew = bench.anew("anew").await;
    let found = rebuild(&anew, &bench.segments).await;
    assert_eq!(found.lost.len(), 1, "{found:?}");
    // Other files, so that nothing of the old ones is stored again.
    bench.write("a", &noise(2, 500_000));
    let second = backup_to(&anew, bench.options(), &bench.segments).await;
    assert!(second.unwrap().bytes_new > 500_000);

    std::fs::rename(&aside, &path).unwrap();
    let found = rebuild(&anew, &bench.segments).await;
    assert_eq!((found.segments, found.snapshots), (1, 0), "{found:?}");
    assert_eq!((found.unlisted, found.lost.len()), (0, 0), "{found:?}");
    let mut options = bench.restore_options("out").await;
    options.snapshot = old;
    let out = below(&options.target, &bench.src());
    let summary = restore_from(&anew, options, &bench.segments).await;
    assert_eq!(summary.incomplete.count, 0, "{summary:?}");
    assert_eq!(std::fs::read(out.join("a")).unwrap(), noise(1, 1_000_000));
    // And it is listed: the next backup lists nothing anew.
    let listings = bench.blobs(BlobKind::Listing).await.len();
    let third = backup_to(&anew, bench.options(), &bench.segments).await;
    assert!(third.unwrap().bytes_new < 10_000);
    assert_eq!(bench.blobs(BlobKind::Listing).await.len(), listings);
    let again = rebuild(&anew, &bench.segments).await;
    assert_eq!((again.segments, again.unlisted), (0, 0), "{again:?}");
}
