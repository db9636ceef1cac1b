//! Forgetting and bringing back: who may, what is shown then, and that marks outlive the home.

use crate::common::{Bench, keys, rebuild};
use larder_backup::{Authority, Mark, MarkError, Say, SignedMark, SnapshotId, Vault};
use larder_keys::Signer;
use larder_types::{Epoch, GenesisHash, Time};

pub(crate) const NET: GenesisHash = GenesisHash([5; 32]);

pub(crate) fn admin() -> Signer {
    Signer::from_seed(&[1; 32])
}

fn authority() -> Authority {
    Authority {
        admin: admin().public(),
        genesis: NET,
    }
}

pub(crate) async fn heeding(vault: Vault) -> Vault {
    vault.heeding(Some(authority()))
}

pub(crate) async fn bench() -> Bench {
    let mut bench = Bench::new().await;
    bench.vault = heeding(bench.vault).await;
    bench
}

async fn mark(vault: &Vault, snapshot: SnapshotId, epoch: Epoch, say: Say) -> Mark {
    let history = vault.history().await.unwrap();
    let standing = &history.iter().find(|(id, _, _)| *id == snapshot).unwrap().2;
    Mark {
        snapshot,
        no: standing.no + 1,
        epoch,
        time: Time(7),
        say,
    }
}

async fn store(bench: &Bench, signed: SignedMark) -> Result<(), MarkError> {
    bench.vault.store_marks(vec![signed], &bench.segments).await
}

pub(crate) async fn say(bench: &Bench, snapshot: SnapshotId, epoch: Epoch, say: Say) {
    let mark = mark(&bench.vault, snapshot, epoch, say).await;
    store(bench, mark.sign(&admin(), &NET)).await.unwrap();
}

pub(crate) async fn shown(vault: &Vault) -> Vec<SnapshotId> {
    let all = vault.snapshots().await.unwrap();
    all.into_iter().map(|(id, _)| id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_is_hidden_until_it_is_brought_back_and_the_words_know_it() {
    let bench = bench().await;
    bench.write("a", b"one");
    let first = bench.backup().await.snapshot.unwrap();
    bench.write("a", b"two");
    let second = bench.backup().await.snapshot.unwrap();
    say(&bench, second, 3, Say::Forget { until: 9 }).await;
    assert_eq!(shown(&bench.vault).await, [first]);
    assert_eq!(bench.vault.resolve("latest").await.unwrap().0, first);
    let refused = bench.vault.resolve(&second.to_string()).await.unwrap_err();
    assert!(refused.to_string().contains("larder undelete"), "{refused}");

    // A home that was made from the words alone knows the mark.
    let anew = heeding(bench.anew("anew").await).await;
    assert!(rebuild(&anew, &bench.segments).await.lost.is_empty());
    assert_eq!(shown(&anew).await, [first]);
    let unheeding = bench.anew("unheeding").await;
    rebuild(&unheeding, &bench.segments).await;
    assert_eq!(
        shown(&unheeding).await,
        [first, second],
        "nobody's marks count there"
    );

    say(&bench, second, 8, Say::Undelete).await;
    assert_eq!(shown(&bench.vault).await, [first, second]);
    bench.check_restore("back").await;
    let tags = vec!["kept".to_owned()];
    say(&bench, first, 9, Say::Tags(tags.clone())).await;
    assert_eq!(bench.vault.snapshots().await.unwrap()[0].1.tags, tags);
    rebuild(&anew, &bench.segments).await;
    assert_eq!(shown(&anew).await, [first, second]);
    assert_eq!(anew.snapshots().await.unwrap()[0].1.tags, tags);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_without_the_words_forgets_nothing() {
    let bench = bench().await;
    bench.write("a", b"one");
    let only = bench.backup().await.snapshot.unwrap();
    let thief = Signer::from_seed(&[66; 32]);
    let forget = mark(&bench.vault, only, 1, Say::Forget { until: 1 }).await;
    let refused = store(&bench, forget.clone().sign(&thief, &NET)).await;
    assert!(matches!(refused, Err(MarkError::Signature(id)) if id == only));

    // With a vault of its own that takes its own word it stores what it likes, for all to read.
    let own = Vault::open(bench.dir.path().join("thief"), keys())
        .await
        .unwrap();
    let own = own.heeding(Some(Authority {
        admin: thief.public(),
        genesis: NET,
    }));
    rebuild(&own, &bench.segments).await;
    let marks = vec![forget.sign(&thief, &NET)];
    own.store_marks(marks, &bench.segments).await.unwrap();
    assert_eq!(shown(&own).await, []);
    rebuild(&bench.vault, &bench.segments).await;
    assert_eq!(shown(&bench.vault).await, [only]);
    bench.check_restore("back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_wait_for_no_backup_and_name_what_there_is() {
    let bench = bench().await;
    bench.write("a", b"one");
    let only = bench.backup().await.snapshot.unwrap();
    let mut forget = mark(&bench.vault, only, 1, Say::Forget { until: 1 }).await;
    let none = bench.vault.store_marks(Vec::new(), &bench.segments).await;
    assert!(matches!(none, Err(MarkError::None)));
    forget.snapshot.0[0] ^= 1;
    let unknown = store(&bench, forget.sign(&admin(), &NET)).await;
    assert!(matches!(unknown, Err(MarkError::Unknown(_))));
}
