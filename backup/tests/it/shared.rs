//! A folder is lent: whoever has what came with it restores that folder, and nothing else.

use crate::common::{Bench, look, noise, same};
use larder_backup::{Lent, Progress, RestoreError, RestoreSummary, ShareFault, Shared, Vault};
use larder_keys::VaultKeys;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// A bench with an album and a diary, backed up, and somebody else's vault.
async fn bench() -> (Bench, Vault) {
    let bench = Bench::new().await;
    std::fs::create_dir_all(bench.src().join("album/deep")).unwrap();
    // Long enough for a list of its pieces.
    bench.write("album/long", &noise(1, 3_000_000));
    bench.write("album/deep/short", b"a letter");
    bench.write("album/empty", b"");
    bench.write("diary", &noise(2, 500_000));
    std::os::unix::fs::symlink("deep/short", bench.src().join("album/link")).unwrap();
    bench.backup().await;
    let keys = VaultKeys::from_root(&[8; 32]);
    let other = Vault::open(bench.dir.path().join("other"), keys).await;
    (bench, other.unwrap())
}

async fn share(bench: &Bench, path: PathBuf, most: usize) -> Result<Shared, ShareFault> {
    let (_, snapshot) = bench.vault.resolve("latest").await.unwrap();
    let with = (&bench.segments, &CancellationToken::new());
    bench.vault.share(snapshot, path, most, with).await
}

async fn restore(
    bench: &Bench,
    (vault, shared): (&Vault, Shared),
    target: &str,
) -> Result<RestoreSummary, RestoreError> {
    let lent = Lent::open(vault, shared.tree, shared.segments)
        .await
        .unwrap();
    let target = bench.dir.path().join(target);
    let (progress, cancel) = (Progress::new(), CancellationToken::new());
    let done = lent
        .restore(target, &bench.segments, &progress, &cancel)
        .await;
    lent.close().await;
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lent_folder_comes_back_with_its_own_keys_alone() {
    let (bench, other) = bench().await;
    let album = bench.src().join("album");
    let shared = share(&bench, album.clone(), 1_000).await.unwrap();
    assert_eq!((shared.files, shared.dirs, shared.bytes), (3, 1, 3_000_008));
    let summary = restore(&bench, (&other, shared), "out").await.unwrap();
    assert_eq!(
        (summary.files, summary.incomplete.count),
        (3, 0),
        "{summary:?}"
    );
    same(&look(&album), &look(&bench.dir.path().join("out")));
    let scratch = std::fs::read_dir(bench.dir.path().join("other/tmp")).unwrap();
    assert_eq!(scratch.count(), 0, "nothing of it stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lent_file_comes_back_alone() {
    let (bench, other) = bench().await;
    let shared = share(&bench, bench.src().join("album/deep/short"), 1_000).await;
    restore(&bench, (&other, shared.unwrap()), "out")
        .await
        .unwrap();
    let out = bench.dir.path().join("out");
    assert_eq!(std::fs::read(out.join("short")).unwrap(), b"a letter");
    assert_eq!(std::fs::read_dir(out).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_beside_a_lent_folder_does_not_open() {
    let (bench, other) = bench().await;
    let album = bench.src().join("album");
    let given = share(&bench, album, 1_000).await.unwrap();
    let all = share(&bench, bench.src(), 1_000).await.unwrap();
    // The whole tree's names, with the album's keys.
    let mut greedy = given.clone();
    greedy.tree = all.tree.clone();
    let refused = restore(&bench, (&other, greedy), "greedy").await;
    assert!(
        matches!(refused, Err(RestoreError::Fetch(_))),
        "{refused:?}"
    );
    // With the places of all blobs as well, and made-up keys for what was not given.
    let known: Vec<_> = given.segments.iter().flat_map(|s| &s.blobs).collect();
    let mut guessed = all;
    for blob in guessed.segments.iter_mut().flat_map(|s| &mut s.blobs) {
        if !known.iter().any(|known| known.entry.id == blob.entry.id) {
            blob.key.0 = [9; 32];
        }
    }
    let refused = restore(&bench, (&other, guessed), "guessed").await;
    assert!(
        matches!(refused, Err(RestoreError::Fetch(_))),
        "{refused:?}"
    );
    assert!(!bench.dir.path().join("guessed").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_too_many_pieces_or_none_is_not_shared() {
    let (bench, _) = bench().await;
    let many = share(&bench, bench.src().join("album"), 2).await;
    assert!(matches!(many, Err(ShareFault::TooMany(2))), "{many:?}");
    let none = share(&bench, bench.src().join("nothing"), 1_000).await;
    assert!(matches!(none, Err(ShareFault::Browse(_))), "{none:?}");
}
