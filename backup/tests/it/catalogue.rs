//! Catalogues: whatever they say comes back; nothing else reads, keeps or deletes them.

use crate::common::{Bench, damage, keys, noise, rebuild};
use larder_backup::{CatalogueError, KnownSegment, MAX_CATALOGUE, SegmentKind, Segments, Vault};
use larder_coding::BlobKind;
use larder_types::Class;

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_comes_back_whole_or_not_at_all() {
    let bench = Bench::new().await;
    for (seed, len) in [(1, 0), (2, 1_000), (3, (8 << 20) + 1)] {
        let contents = noise(seed, len);
        let sealed = bench.vault.seal_catalogue(Class::High, contents.clone());
        let sealed = sealed.await.unwrap();
        let known = KnownSegment {
            id: sealed.id,
            class: Class::High,
            kind: SegmentKind::Catalogue,
        };
        bench.segments.store(sealed).await.unwrap();
        assert!(bench.segments.list().await.unwrap().contains(&known));
        let path = bench.segments.fetch(known.id).await.unwrap();
        let read = bench.vault.read_catalogue(path, known.id).await.unwrap();
        assert!(read == contents, "of {len} bytes");
    }
    assert!(bench.spooled().is_empty());

    let blobs = bench.blobs(BlobKind::Catalogue).await;
    assert_eq!(blobs.len(), 1 + 2, "8 MiB and one byte take two");
    for blob in &blobs {
        damage(blob);
    }
    for id in bench.kept(SegmentKind::Catalogue).await {
        let path = bench.segments.path(id).unwrap();
        let empty = !blobs.iter().any(|(p, ..)| *p == path);
        let read = bench.vault.read_catalogue(path, id).await;
        assert!(empty || matches!(read, Err(CatalogueError::Damaged { .. })));
    }
    let long = bench
        .vault
        .seal_catalogue(Class::High, vec![0; MAX_CATALOGUE + 1])
        .await;
    assert!(matches!(long, Err(CatalogueError::TooLong { .. })));
    let longest = noise(4, MAX_CATALOGUE);
    let sealed = bench.vault.seal_catalogue(Class::High, longest).await;
    assert!(sealed.is_ok(), "it fits a segment: {sealed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_leaves_catalogues_alone_and_the_next_start_clears_them() {
    let bench = Bench::new().await;
    bench.write("file", &noise(1, 100_000));
    let sealed = bench.vault.seal_catalogue(Class::Normal, noise(2, 1_000));
    let sealed = sealed.await.unwrap();
    let half = sealed.path.with_extension("part");
    std::fs::write(&half, b"half").unwrap();
    bench.backup().await;
    assert_eq!(bench.spooled().len(), 2, "a backup may run meanwhile");
    assert!(bench.kept(SegmentKind::Catalogue).await.is_empty());

    Vault::open(bench.dir.path().join("vault"), keys())
        .await
        .unwrap();
    assert!(bench.spooled().is_empty(), "a crash left them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_passes_catalogues_by() {
    let bench = Bench::new().await;
    bench.write("file", &noise(1, 100_000));
    bench.backup().await;
    let sealed = bench.vault.seal_catalogue(Class::Normal, noise(2, 1_000));
    bench.segments.store(sealed.await.unwrap()).await.unwrap();
    let rebuilt = rebuild(&bench.anew("anew").await, &bench.segments).await;
    assert_eq!((rebuilt.segments, rebuilt.unlisted), (2, 0), "{rebuilt:?}");
    assert!(rebuilt.lost.is_empty());
}
