//! What survives when something is gone: the index, a segment, a store that refuses.

use crate::common::{Bench, backup_to, below, damage, look, noise, rebuild, restore_from};
use larder_backup::{
    BackupError, KnownSegment, SealedSegment, SegmentKind, Segments, SegmentsError, Stored,
};
use larder_coding::BlobKind;
use larder_types::SegmentId;
use std::path::PathBuf;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_segment_costs_the_files_in_it_and_no_others() {
    let bench = Bench::new().await;
    bench.write("first", &noise(1, 3_000_000));
    bench.backup().await;
    let before = bench.kept(SegmentKind::Data).await;
    bench.write("second", &noise(2, 3_000_000));
    std::fs::hard_link(bench.src().join("second"), bench.src().join("zweite")).unwrap();
    bench.backup().await;
    let data = bench.kept(SegmentKind::Data).await;
    let mut new = data.into_iter().filter(|id| !before.contains(id));
    let lost = new.next().unwrap();
    std::fs::remove_file(bench.segments.path(lost).unwrap()).unwrap();

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

    // The same after a rebuild, which knows what was in it.
    let anew = bench.anew("anew").await;
    let found = rebuild(&anew, &bench.segments).await;
    assert_eq!(found.lost.len(), 1, "{found:?}");
    let options = bench.restore_options("out2").await;
    let summary = restore_from(&anew, options, &bench.segments).await;
    assert_eq!((summary.files, summary.incomplete.count), (1, 2));
}

/// How a fetched data segment may differ from what was stored.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_does_not_verify_is_written() {
    type Spoil = fn(&mut Vec<u8>);
    let ways: [(&str, Spoil); 5] = [
        ("a bit", |c| c[1_000_000] ^= 1),
        ("cut short", |c| c.truncate(500_000)),
        ("empty", Vec::clear),
        ("noise", |c| *c = noise(9, c.len())),
        ("shifted", |c| c.rotate_left(1)),
    ];
    let bench = Bench::new().await;
    bench.write("file", &noise(1, 3_000_000));
    bench.backup().await;
    let data = bench.kept(SegmentKind::Data).await[0];
    let path = bench.segments.path(data).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for (way, spoil) in ways {
        let mut bytes = whole.clone();
        spoil(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let summary = bench.restore(bench.restore_options(way).await).await;
        assert_eq!((summary.files, summary.incomplete.count), (0, 1), "{way}");
        let error = &summary.incomplete.named[0].error;
        assert!(error.contains("is damaged"), "{way}: {error}");
        // Where pieces do not open stand zeros, and nothing else.
        let out = below(&bench.dir.path().join(way), &bench.src()).join("file");
        let (got, want) = (std::fs::read(out).unwrap(), noise(1, 3_000_000));
        assert_eq!(got.len(), want.len());
        let other = got.iter().zip(&want).any(|(g, w)| g != w && *g != 0);
        assert!(!other, "{way}");
        assert!(got.contains(&0), "{way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_folder_that_is_listed_in_part_that_part_comes_back() {
    let bench = Bench::new().await;
    let names = (0..6_000).map(|n| format!("{n:0>200}"));
    for name in names {
        bench.write(&name, b"");
    }
    bench.backup().await;
    // Pieces of the one great folder; the small ones above it are later.
    let trees = bench.blobs(BlobKind::Tree).await;
    assert!(trees.len() > 5, "{} pieces", trees.len());
    damage(&trees[2]);
    let mut options = bench.restore_options("whole").await;
    let whole = bench.restore(options.clone()).await;
    options.subpath = Some(bench.src());
    options.target = bench.dir.path().join("part");
    let part = bench.restore(options).await;
    for summary in [whole, part] {
        assert!(summary.files > 100 && summary.files < 6_000, "{summary:?}");
        assert_eq!(summary.incomplete.count, 1, "{summary:?}");
        let problem = &summary.incomplete.named[0];
        assert_eq!(problem.path, bench.src());
        assert!(
            problem.error.contains("cannot all be listed"),
            "{problem:?}"
        );
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_stored_again_by_the_next_backup_and_older_snapshots_heal_with_it() {
    let bench = Bench::new().await;
    bench.write("first", &noise(1, 3_000_000));
    bench.backup().await;
    let (_, old) = bench.vault.resolve("latest").await.unwrap();
    for id in bench.kept(SegmentKind::Data).await {
        std::fs::remove_file(bench.segments.path(id).unwrap()).unwrap();
    }
    // Nothing changed, and still the file's bytes are new.
    let again = bench.backup().await;
    assert!(again.bytes_new >= 3_000_000, "{again:?}");
    bench.check_restore("out").await;
    let mut options = bench.restore_options("old").await;
    options.snapshot = old;
    let out = below(&options.target, &bench.src());
    let summary = bench.restore(options).await;
    assert_eq!(summary.incomplete.count, 0, "{summary:?}");
    crate::common::same(&look(&bench.src()), &look(&out));
    assert!(bench.backup().await.bytes_new < 1_000, "and once is enough");
}
