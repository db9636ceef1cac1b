//! A keeper that is killed again and again, wherever it happens to be in its backup, ends it in the
//! end: nothing is missing, little was stored twice, and nothing is left lying about.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, offered};
use crate::folder::{files, noise, same};
use crate::losses::restore;
use crate::until::until;
use larder_rpc::{BackupParams, JobParams};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(180);
/// The same points each time; how far the work is there, the machine decides.
const SEED: u64 = 20_261_129;
const KILLS: u64 = 8;
/// Bytes of a full segment.
const SEGMENT: u64 = 64 << 20;
/// Bytes of the folder: three full segments and a bit, in files of four MiB.
const FILES: u64 = 52;
const FILE: usize = 4 << 20;
const FOLDER: u64 = 208 << 20;

#[test]
fn a_backup_killed_at_any_point_is_ended_by_a_later_one_and_leaves_nothing_behind() {
    let fleet = Fleet::found("8s");
    let providers = fleet.providers(3);
    let mut keeper = fleet.keeper();
    offered(&keeper, 3);
    let folder = fleet.path("folder");
    fs::create_dir(&folder).unwrap();
    for number in 0..FILES {
        noise(&folder.join(number.to_string()), number, FILE);
    }
    let path = folder.to_str().unwrap();

    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    let mut killed = 0;
    for life in 0..KILLS {
        // Read once and stored once: somewhere on that way. The first is killed before it has begun.
        let way = if life == 0 {
            0
        } else {
            rng.random_range(0..2 * FOLDER)
        };
        killed += u64::from(killed_at(&mut keeper, path, way));
        keeper.start();
    }
    assert!(
        killed >= KILLS / 2,
        "{killed} of {KILLS} were under way: the folder is too small"
    );

    let last = saved(&keeper.larder(&["backup", path]));
    assert_eq!(last["errors"], 0, "{last}");
    let per_segment = SEGMENT * last["n"].as_u64().unwrap() / last["k"].as_u64().unwrap();
    until("every shard is placed", SOON, || {
        (keeper.repairs()["full_redundancy"] == true).then_some(())
    });
    let needed = keeper.status().keeper.bytes_stored;
    let most = needed + killed * per_segment;
    // Whatever they ever took, acknowledged or not, deleted or not.
    let taken: u64 = providers.iter().map(taken).sum();
    assert!(
        taken <= most + most / 50,
        "providers took {taken}, {needed} were needed, {killed} times it was killed"
    );
    let used: u64 = providers.iter().map(|p| p.stores().used).sum();
    assert!(
        used <= most + most / 50,
        "providers hold {used}, {needed} are needed"
    );

    left_clean(&keeper);
    let check = keeper.larder(&["check", "--read-data"]).done();
    assert_eq!(
        (&check["ok"], &check["unread_shards"]),
        (&true.into(), &0.into())
    );
    restore(&keeper, &fleet.path("back"));
    same(&folder, &fleet.path("back"));
    // Nobody holds the vault, and all is known.
    let again = saved(&keeper.larder(&["backup", path]));
    assert!(again["bytes_new"].as_u64().unwrap() < 100_000, "{again}");
    left_clean(&keeper);
}

/// Begins a backup and kills the node once it has come so far; whether it was still under way.
fn killed_at(keeper: &mut Node, path: &str, way: u64) -> bool {
    let params = BackupParams {
        paths: vec![path.to_owned()],
        class: None,
        tags: Vec::new(),
        excludes: Vec::new(),
        dry_run: false,
    };
    let before = keeper.status().keeper.bytes_stored;
    let job = keeper.ask(|node| async move { node.backup_start(&params).await });
    let job = JobParams {
        job: job.unwrap().job,
    };
    let over = until("the backup has come so far", SOON, || {
        let job = job.clone();
        let job = keeper.ask(|node| async move { node.job_get(&job).await });
        let job = job.unwrap();
        let stored = keeper.status().keeper.bytes_stored.saturating_sub(before);
        let come = job.progress.bytes + stored;
        (job.state.is_over() || come >= way).then_some(job.state.is_over())
    });
    keeper.kill();
    !over
}

/// Bytes that lie on a provider's disk, in its trash too.
fn taken(provider: &Node) -> u64 {
    let lying = files(&provider.home.join("shards"));
    lying.iter().map(|f| f.metadata().unwrap().len()).sum()
}

/// Nothing waits in a spool or a scratch folder once all is durable.
fn left_clean(keeper: &Node) {
    until("the spools are empty", SOON, || {
        let places = ["spool", "vault/spool", "vault/tmp", "fetch"];
        let left = places.map(|place| files(&keeper.home.join(place))).concat();
        (left == Vec::<PathBuf>::new()).then_some(())
    });
}
