//! Pruning: what is not forgotten comes back whole after any of it, whatever the order and wherever it was
//! cut off; what nothing needs goes; clocks have no say.

use crate::common::{Bench, Seen, below, look, noise, rebuild, restore_from};
use crate::crash::Stuck;
use crate::retention::{NET, admin, bench, heeding, say, shown};
use larder_backup::{
    Mark, MarkError, Progress, PruneError, PruneOptions, PruneSummary, RestoreOptions, Say,
    SegmentKind, Segments, SnapshotId,
};
use larder_coding::BlobKind;
use larder_types::{Class, Epoch, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

async fn prune_in<S: Segments>(
    bench: &Bench,
    segments: &Arc<S>,
    options: PruneOptions,
) -> Result<PruneSummary, PruneError> {
    let (progress, cancel) = (Progress::new(), CancellationToken::new());
    bench
        .vault
        .prune(options, segments, &progress, &cancel)
        .await
}

fn at(now: Epoch) -> PruneOptions {
    PruneOptions {
        spare: std::collections::BTreeSet::new(),
        now,
        max_unused_ppm: 100_000,
        dry_run: false,
    }
}

/// A prune to its end: what is doomed is signed for, and then nobody keeps it any more.
async fn prune(bench: &Bench, now: Epoch) -> PruneSummary {
    let summary = prune_in(bench, &bench.segments, at(now)).await.unwrap();
    drop_doomed(bench, now, &summary).await;
    summary
}

async fn drop_doomed(bench: &Bench, epoch: Epoch, summary: &PruneSummary) {
    if summary.doomed.is_empty() {
        return;
    }
    let mark = Mark {
        snapshot: SnapshotId::default(),
        no: 0,
        epoch,
        time: Time(0),
        say: Say::Dropped(summary.doomed.clone()),
    };
    let signed = vec![mark.sign(&admin(), &NET)];
    bench
        .vault
        .store_marks(signed, &bench.segments)
        .await
        .unwrap();
    for id in &summary.doomed {
        std::fs::remove_file(bench.segments.path(*id).unwrap()).unwrap();
    }
}

/// A folder as it was when a snapshot was made of it.
type Looked = BTreeMap<Vec<u8>, Seen>;

/// Every snapshot that can be had is what it was.
async fn all_restore(
    bench: &Bench,
    vault: &larder_backup::Vault,
    looks: &BTreeMap<SnapshotId, Looked>,
) {
    for (id, snapshot) in vault.snapshots().await.unwrap() {
        let target = tempfile::tempdir().unwrap();
        let options = RestoreOptions {
            snapshot,
            subpath: None,
            target: target.path().to_owned(),
            include: Vec::new(),
            exclude: Vec::new(),
            verify: true,
        };
        let summary = restore_from(vault, options, &bench.segments).await;
        assert_eq!(summary.incomplete.count, 0, "{id}: {summary:?}");
        assert_eq!(
            look(&below(target.path(), &bench.src())),
            looks[&id],
            "{id}"
        );
    }
}

/// A die that falls the same in each run.
struct Die(u64);

impl Die {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

async fn back_up(bench: &Bench, die: &mut Die, looks: &mut BTreeMap<SnapshotId, Looked>) {
    for _ in 0..=die.roll(2) {
        let (name, seed) = (format!("f{}", die.roll(5)), die.roll(40));
        let len = 200_000 + 37_000 * usize::try_from(die.roll(30)).unwrap();
        bench.write(&name, &noise(seed, len));
    }
    let id = bench.backup().await.snapshot.unwrap();
    looks.insert(id, look(&bench.src()));
}

/// One snapshot, forgotten or not.
async fn any(bench: &Bench, die: &mut Die, forgotten: bool) -> Option<SnapshotId> {
    let all = bench.vault.history().await.unwrap();
    let all: Vec<_> = all
        .into_iter()
        .filter(|(_, _, s)| s.forgotten.is_some() == forgotten)
        .collect();
    let nth = usize::try_from(die.roll(all.len().max(1) as u64)).unwrap();
    all.get(nth).map(|(id, _, _)| *id)
}

/// A prune that is cut off after some segments, as by a crash.
async fn cut_off(bench: &Bench, die: &mut Die, now: Epoch) {
    let stuck = Stuck::after(usize::try_from(die.roll(3)).unwrap(), &bench.segments);
    let stopped = stuck.stuck.acquire();
    tokio::select! {
        ended = prune_in(bench, &stuck, at(now)) => drop(ended.unwrap()),
        permit = stopped => drop(permit.unwrap()),
    }
    // It waits until the threads of what was cut off are gone.
    rebuild(&bench.vault, &bench.segments).await;
}

async fn history_of(seed: u64) -> usize {
    let bench = bench().await;
    let (mut die, mut looks, mut now) = (Die(seed), BTreeMap::new(), 1);
    let mut gone = 0;
    back_up(&bench, &mut die, &mut looks).await;
    for _ in 0..14 {
        now += 1;
        match die.roll(8) {
            0..=2 => back_up(&bench, &mut die, &mut looks).await,
            3 | 4 => {
                if let Some(id) = any(&bench, &mut die, false).await {
                    let until = now + u32::try_from(die.roll(4)).unwrap();
                    say(&bench, id, now, Say::Forget { until }).await;
                }
            }
            5 => {
                if let Some(id) = any(&bench, &mut die, true).await {
                    say(&bench, id, now, Say::Undelete).await;
                }
            }
            6 => gone += prune(&bench, now).await.doomed.len(),
            _ => cut_off(&bench, &mut die, now).await,
        }
        all_restore(&bench, &bench.vault, &looks).await;
    }
    gone += prune(&bench, now + 10).await.doomed.len();
    all_restore(&bench, &bench.vault, &looks).await;
    let anew = heeding(bench.anew("anew").await).await;
    let rebuilt = rebuild(&anew, &bench.segments).await;
    assert_eq!(rebuilt.lost, [], "what went is not looked for");
    assert_eq!(shown(&anew).await, shown(&bench.vault).await);
    all_restore(&bench, &anew, &looks).await;
    let again = prune(&bench, now + 11).await;
    assert_eq!(
        (again.dead, again.repacked),
        (0, 0),
        "seed {seed}: {again:?}"
    );
    gone
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_what_is_not_pruned_restores() {
    let mut gone = 0;
    for seed in 1..=6 {
        gone += history_of(seed).await;
    }
    assert!(gone > 6, "something went");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_forgotten_snapshot_needs_goes_after_the_delay_and_the_rest_is_repacked() {
    let bench = bench().await;
    bench.write("both", &noise(1, 300_000));
    bench.write("old", &noise(2, 3_000_000));
    let first = bench.backup().await.snapshot.unwrap();
    std::fs::remove_file(bench.src().join("old")).unwrap();
    bench.write("new", &noise(3, 400_000));
    bench.backup().await;
    let before = bench.stored();

    let dry = |now| PruneOptions {
        dry_run: true,
        ..at(now)
    };
    let none = prune_in(&bench, &bench.segments, dry(9)).await.unwrap();
    assert_eq!((none.dead, none.repacked, none.bytes_freed), (0, 0, 0));
    say(&bench, first, 10, Say::Forget { until: 20 }).await;
    let locked = prune(&bench, 19).await;
    assert_eq!((locked.locked, locked.gone, locked.dead), (1, 0, 0));
    let told = prune_in(&bench, &bench.segments, dry(20)).await.unwrap();
    assert_eq!((told.gone, told.doomed.len()), (1, 0));
    assert!(
        told.repacked >= 1 && told.bytes_freed > 2_900_000,
        "{told:?}"
    );
    assert!(told.bytes_repacked < 400_000, "{told:?}");

    let done = prune(&bench, 20).await;
    // Of metadata more goes: what the dead data's listings were.
    assert!(done.bytes_freed >= told.bytes_freed, "{done:?}");
    assert!(done.doomed.len() >= 2, "{done:?}");
    let bytes = |b: &Bench| -> u64 {
        let dir = std::fs::read_dir(b.dir.path().join("segments")).unwrap();
        dir.map(|e| e.unwrap().metadata().unwrap().len()).sum()
    };
    assert!(bytes(&bench) < 1_200_000, "{} of {before}", bytes(&bench));
    bench.check_restore("back").await;
    // What went is stored anew when it is there again.
    bench.write("old", &noise(2, 3_000_000));
    assert!(bench.backup().await.bytes_new > 2_900_000);
    bench.check_restore("again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_have_no_say() {
    const YEAR: u64 = 365 * 86_400_000;
    let bench = bench().await;
    let now = 1_700_000_000_000;
    let mut made = Vec::new();
    for (n, time) in [now, now - YEAR, now + YEAR].into_iter().enumerate() {
        bench.write("a", &noise(n as u64, 300_000));
        let mut options = bench.options();
        options.time = Time(time);
        made.push(bench.backup_with(options).await.unwrap().snapshot.unwrap());
    }
    // Forgotten by a node whose clock is a year ahead, and one whose is a year behind.
    for (id, time) in [(made[0], now + YEAR), (made[1], now - YEAR)] {
        let mark = Mark {
            snapshot: id,
            no: 1,
            epoch: 100,
            time: Time(time),
            say: Say::Forget { until: 107 },
        };
        let signed = vec![mark.sign(&admin(), &NET)];
        bench
            .vault
            .store_marks(signed, &bench.segments)
            .await
            .unwrap();
    }
    let kept = prune(&bench, 106).await;
    assert_eq!((kept.snapshots, kept.locked, kept.dead), (3, 2, 0));
    let gone = prune(&bench, 107).await;
    assert_eq!((gone.snapshots, gone.gone), (1, 2));
    assert!(gone.dead >= 2, "{gone:?}");
    assert_eq!(shown(&bench.vault).await, [made[2]]);
    bench.check_restore("back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_cannot_be_read_ends_a_prune_before_anything_is_doomed() {
    let bench = bench().await;
    bench.write("a", &noise(1, 300_000));
    let first = bench.backup().await.snapshot.unwrap();
    bench.write("a", &noise(2, 300_000));
    bench.backup().await;
    say(&bench, first, 1, Say::Forget { until: 1 }).await;
    for tree in bench.blobs(BlobKind::Tree).await {
        crate::common::damage(&tree);
    }
    let refused = prune_in(&bench, &bench.segments, at(9)).await;
    assert!(
        matches!(refused, Err(PruneError::Unreadable { .. })),
        "{refused:?}"
    );
    let ids = bench.kept(larder_backup::SegmentKind::Data).await;
    let mark = Mark {
        snapshot: SnapshotId::default(),
        no: 0,
        epoch: 9,
        time: Time(0),
        say: Say::Dropped(ids),
    };
    let signed = vec![mark.sign(&admin(), &NET)];
    let refused = bench.vault.store_marks(signed, &bench.segments).await;
    assert!(
        matches!(refused, Err(MarkError::Needed(_))),
        "nothing is doomed: {refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_good_copy_stays_though_there_was_a_better_one() {
    let bench = bench().await;
    bench.write("file", &noise(1, 3_000_000));
    bench.backup().await;
    let first = bench.kept(SegmentKind::Data).await;
    let mut options = bench.options();
    options.class = Class::High;
    bench.backup_with(options).await.unwrap();
    let all = bench.kept(SegmentKind::Data).await;
    assert!(all.len() > first.len(), "it lies twice");
    // Lost since anybody looked.
    for id in all.iter().filter(|id| !first.contains(id)) {
        std::fs::remove_file(bench.segments.path(*id).unwrap()).unwrap();
    }
    let done = prune_in(&bench, &bench.segments, at(0)).await.unwrap();
    let kept = first.iter().all(|id| !done.doomed.contains(id));
    assert!(kept, "{done:?}");
    bench.check_restore("out").await;
}
