//! A keeper that is killed in the middle of a backup goes on where it was.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, offered};
use crate::folder::{copy_of, facts, files, noise};
use crate::until::until;
use larder_rpc::{BackupParams, Empty, JobParams};
use std::fs;
use std::time::Duration;

/// Bytes of a full segment.
const SEGMENT: u64 = 64 << 20;
/// Segments on their way at once.
const IN_FLIGHT: u64 = 3;
/// Bytes of the folder: the first segments are durable long before the last are read.
const FOLDER: usize = 320 << 20;

#[test]
fn a_backup_that_was_killed_goes_on_and_sends_little_again() {
    let fleet = Fleet::found("8s");
    let providers = fleet.providers(3);
    let mut keeper = fleet.keeper();
    offered(&keeper, 3);
    let folder = fleet.path("folder");
    fs::create_dir(&folder).unwrap();
    for (seed, number) in (0..).zip(0..20) {
        noise(&folder.join(number.to_string()), seed, FOLDER / 20);
    }
    let path = folder.to_str().unwrap();

    let durable = killed_half_way(&mut keeper, path);
    keeper.start();
    let rerun = saved(&keeper.larder(&["backup", path]));
    let sent = rerun["bytes_stored"].as_u64().unwrap();
    let code = |word: &str| rerun[word].as_u64().unwrap();
    let in_flight = IN_FLIGHT * SEGMENT * code("n") / code("k");
    let whole = keeper.status().keeper.bytes_stored;
    assert!(sent > 0, "it was killed half way");
    assert!(
        durable + sent <= whole + in_flight,
        "{durable} were durable, {sent} were sent after that, {whole} in all"
    );
    let held: u64 = providers.iter().map(used).sum();
    assert!(
        held <= whole + in_flight + whole / 100,
        "providers hold {held}, the keeper knows of {whole}"
    );
    let spools = [keeper.home.join("spool"), keeper.home.join("vault/spool")];
    for spool in spools {
        assert_eq!(files(&spool), Vec::<std::path::PathBuf>::new());
    }

    let target = fleet.path("back");
    let words = ["restore", "latest", "--target", target.to_str().unwrap()];
    keeper.larder(&words).done();
    assert_eq!(facts(&copy_of(&folder, &target)), facts(&folder));
    let snapshots = keeper.larder(&["snapshots"]).objects();
    assert_eq!(snapshots.len(), 1, "one was never finished");
}

/// Begins a backup and kills the node when something of it, but not all, lies with providers;
/// gives how many bytes that was.
fn killed_half_way(keeper: &mut Node, path: &str) -> u64 {
    let params = BackupParams {
        paths: vec![path.to_owned()],
        class: None,
        tags: Vec::new(),
        excludes: Vec::new(),
        dry_run: false,
    };
    let job = keeper.ask(|node| async move { node.backup_start(&params).await });
    let job = JobParams {
        job: job.unwrap().job,
    };
    let durable = until("a segment is stored", Duration::from_secs(180), || {
        let stored = keeper.ask(|node| async move { node.node_status(&Empty {}).await });
        let stored = stored.unwrap().keeper.bytes_stored;
        (stored > 0).then_some(stored)
    });
    let state = keeper.ask(|node| async move { node.job_get(&job).await });
    assert!(!state.unwrap().state.is_over(), "the folder is too small");
    keeper.kill();
    durable
}

fn used(provider: &Node) -> u64 {
    provider.status().provider.unwrap().used
}
