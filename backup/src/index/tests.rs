//! The index over real files: schemas that are brought up to date, and what is listed in which class.

use super::*;

async fn open(dir: &Path) -> Index {
    Index::open(&dir.join("vault.db")).await.unwrap()
}

fn sealed(n: u8, class: Class, kind: SegmentKind) -> SealedSegment {
    SealedSegment {
        id: SegmentId([n; 32]),
        class,
        kind,
        len: 1 << 20,
        path: std::path::PathBuf::new(),
    }
}

fn blob(n: u8, offset: u32) -> IndexEntry {
    IndexEntry {
        id: BlobId([n; 32]),
        kind: BlobKind::Data,
        offset,
        len: 100,
        plain_len: 20,
    }
}

/// Enters a durable segment that lists `listed`.
async fn add(index: &Index, segment: &SealedSegment, listed: &[u8]) {
    let says = Says {
        marks: Vec::new(),
        snapshots: Vec::new(),
        listed: listed.iter().map(|n| SegmentId([*n; 32])).collect(),
    };
    let blobs = [blob(segment.id.0[0], 100), blob(200, 0)];
    index.add_segment(segment, &blobs, &says).await.unwrap();
    index.mark_durable(segment.id, 1).await.unwrap();
}

/// The first byte of the ids of all that a backup of `class` has to list.
async fn unlisted(index: &Index, class: Class) -> Vec<u8> {
    let (mut found, mut last) = (Vec::new(), 0);
    while let Some((no, listing)) = index.unlisted(class, last).await.unwrap() {
        assert_eq!(listing.len, 1 << 20);
        assert_eq!(listing.blobs[0], blob(200, 0), "by offset");
        assert_eq!(listing.blobs.len(), 2);
        found.push(listing.segment.0[0]);
        last = no;
    }
    found
}

#[tokio::test]
async fn an_index_of_the_first_schema_is_brought_up_to_date_with_all_unlisted() {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(dir.path().join("vault.db"))
        .create_if_missing(true);
    let old = SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql(FIRST).execute(&old).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO segments (id, class, kind, len, stored, durable) VALUES \
         (unhex(replace(hex(zeroblob(32)), '00', '01')), 1, 0, 1048576, 7, 1), \
         (unhex(replace(hex(zeroblob(32)), '00', '02')), 1, 1, 1048576, 7, 1); \
         INSERT INTO blobs VALUES \
         (unhex(replace(hex(zeroblob(32)), '00', '01')), 1, 100, 100, 20, 1), \
         (unhex(replace(hex(zeroblob(32)), '00', 'C8')), 1, 0, 100, 20, 1);",
    )
    .execute(&old)
    .await
    .unwrap();
    old.close().await;
    for _ in 0..2 {
        let index = open(dir.path()).await;
        assert_eq!(index.stats().await.unwrap().segments, 2);
        assert_eq!(unlisted(&index, Class::Low).await, [1], "data alone");
    }
    let index = open(dir.path()).await;
    add(&index, &sealed(3, Class::Normal, SegmentKind::Meta), &[1]).await;
    assert!(unlisted(&index, Class::Normal).await.is_empty());

    sqlx::raw_sql("PRAGMA user_version = 99")
        .execute(&index.pool)
        .await
        .unwrap();
    let newer = Index::open(&dir.path().join("vault.db")).await;
    assert!(matches!(newer, Err(IndexError::Newer(99))));
}

/// Who needs a class finds it listed in that class, or lists it again.
#[tokio::test]
async fn a_listing_in_a_lower_class_counts_for_that_class_only() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path()).await;
    add(&index, &sealed(1, Class::High, SegmentKind::Data), &[]).await;
    add(&index, &sealed(2, Class::Low, SegmentKind::Data), &[]).await;
    assert_eq!(unlisted(&index, Class::Low).await, [1, 2]);
    add(&index, &sealed(3, Class::Low, SegmentKind::Meta), &[1, 2]).await;
    assert!(unlisted(&index, Class::Low).await.is_empty());
    assert_eq!(unlisted(&index, Class::Critical).await, [1]);
    let high = sealed(4, Class::High, SegmentKind::Meta);
    add(&index, &high, &[1]).await;
    assert!(unlisted(&index, Class::Critical).await.is_empty());
    add(&index, &sealed(5, Class::Low, SegmentKind::Meta), &[1]).await;
    assert!(unlisted(&index, Class::Critical).await.is_empty());
    // The segment never came to be: what it listed is to be listed again.
    index.drop_segment(high.id).await.unwrap();
    assert_eq!(unlisted(&index, Class::Low).await, [1]);
}
