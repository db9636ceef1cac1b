//! Reading everything that is stored: what is sound passes, what is damaged is named with all that lies
//! in it, and nothing stops at the first.

use crate::common::{Bench, noise};
use larder_backup::{Progress, SegmentKind, Verified};
use larder_types::SegmentId;
use tokio_util::sync::CancellationToken;

async fn verified(bench: &Bench, ids: Vec<SegmentId>) -> Verified {
    let (progress, cancel) = (Progress::new(), CancellationToken::new());
    let verified = bench
        .vault
        .verify(ids, &bench.segments, &progress, &cancel)
        .await;
    verified.unwrap()
}

/// The paths that damage befell, without the snapshot's name.
fn befallen(bench: &Bench, of: &Verified) -> Vec<String> {
    let src = bench.src().display().to_string();
    let named = of.paths.named.iter().map(|problem| {
        let text = problem.path.display().to_string();
        let (_, path) = text.split_once(':').unwrap();
        path.strip_prefix(&src).unwrap_or(path).to_owned()
    });
    let mut named: Vec<String> = named.collect();
    named.sort();
    named
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named_with_all_that_lies_in_it_and_stops_nothing() {
    let bench = Bench::new().await;
    bench.write("first", &noise(1, 3_000_000));
    bench.backup().await;
    let early = bench.kept(SegmentKind::Data).await;
    bench.write("second", &noise(2, 3_000_000));
    bench.backup().await;
    let ids = bench.vault.durable_segment_ids().await.unwrap();
    let sound = verified(&bench, ids.clone()).await;
    assert_eq!(sound.segments, ids.len() as u64);
    assert!(
        sound.damaged.is_empty() && sound.paths.count == 0,
        "{sound:?}"
    );
    assert!(sound.blobs > 2);

    // One bit of a blob in the first; all of the second.
    let data = bench.kept(SegmentKind::Data).await;
    let late = data.into_iter().find(|id| !early.contains(id)).unwrap();
    let path = bench.segments.path(early[0]).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1_000_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let only = verified(&bench, ids.clone()).await;
    assert_eq!(befallen(&bench, &only), ["/first"], "{only:?}");
    assert_eq!(only.segments, ids.len() as u64);
    std::fs::remove_file(bench.segments.path(late).unwrap()).unwrap();
    let both = verified(&bench, ids.clone()).await;
    assert_eq!(befallen(&bench, &both), ["/first", "/second"]);
    assert_eq!((both.damaged.len(), both.lost.len()), (2, 2));
    assert_eq!(both.segments, ids.len() as u64 - 1);
}
