//! Disks that take nothing more: full ones, and one that turned read-only. Each is a small tmpfs that
//! only its node sees: the node runs in a mount namespace of its own, and the disk goes when the node
//! does.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, offered};
use crate::folder::{copy_of, facts, plain, same};
use crate::honest_trouble::{fill as fill_volumes, lying, seen};
use crate::losses::restore;
use crate::until::until;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a node may take to notice what a disk is like: an epoch or two, on a machine under load.
const WAIT: Duration = Duration::from_secs(180);
/// What a provider leaves free on its disk, MiB.
const RESERVE: usize = 256;

/// The words that give a process a mount namespace: root may, others need a user namespace.
pub(crate) fn unshare() -> Vec<&'static str> {
    let mut words = vec!["unshare", "--mount"];
    if !rustix::process::geteuid().is_root() {
        words.extend(["--user", "--map-root-user"]);
    }
    words
}

/// Whether this machine lets us mount. Some containers forbid it, and nothing else fills a disk.
pub(crate) fn mounts() -> bool {
    let words = unshare();
    let mut probe = Command::new(words[0]);
    probe.args(&words[1..]);
    probe.args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
    let may = probe.output().is_ok_and(|said| said.status.success());
    if !may {
        eprintln!("this machine forbids mounts: full disks are not tested");
    }
    may
}

/// The node, with disks of some MiB of its own at these folders of its home.
fn with_disks(node: Node, disks: &[(&str, usize)]) -> Node {
    let mut script = String::from("set -e\n");
    for (folder, mib) in disks {
        let at = node.home.join(folder);
        fs::create_dir_all(&at).unwrap();
        script += &format!("mount -t tmpfs -o size={mib}m tmpfs '{}'\n", at.display());
    }
    script += "exec \"$@\"";
    let words = unshare().into_iter().map(str::to_owned);
    let shell = ["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()];
    node.through(words.chain(shell))
}

/// A path of the node's home as the node sees it.
fn inside(node: &Node, name: &str) -> PathBuf {
    let home = node.home.strip_prefix("/").unwrap();
    let root = PathBuf::from(format!("/proc/{}/root", node.pid()));
    root.join(home).join(name)
}

/// Makes a disk of the node read-only, as the kernel does when a medium fails.
fn remount_read_only(node: &Node, folder: &str) {
    let mut words = vec!["--mount".to_owned(), "--target".to_owned()];
    words.push(node.pid().to_string());
    if !rustix::process::geteuid().is_root() {
        words.extend(["--user", "--preserve-credentials"].map(str::to_owned));
    }
    let at = node.home.join(folder);
    let mut remount = Command::new("nsenter");
    remount.args(words).args(["mount", "-o", "remount,ro"]);
    let said = remount.arg(at).output().unwrap();
    assert!(said.status.success(), "{said:?}");
}

/// Writes until the disk is full.
pub(crate) fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for block in [1 << 20, 4 << 10] {
        while file.write_all(&vec![0; block]).is_ok() {}
    }
}

#[test]
fn a_provider_with_a_full_disk_refuses_and_spares_take_its_place() {
    if !mounts() {
        return;
    }
    let fleet = Fleet::found("4s");
    let disk = [("shards", RESERVE + 80)];
    let mut small = with_disks(fleet.provider(9, "2GiB"), &disk);
    small.start();
    let mut providers = fleet.providers(3);
    let keeper = fleet.keeper();
    offered(&keeper, 4);
    // Three batches of which each position takes 8 MiB: the small disk has room for what one contract
    // may hold, until somebody else takes all but 5 MiB of it.
    let folder = fleet.path("folder");
    for batch in 0..3 {
        plain(&folder.join(batch.to_string()), 8);
        let marked = folder.join(batch.to_string()).join("batch");
        crate::folder::noise(&marked, 5_000 + batch, 1 << 20);
        saved(&keeper.larder(&["backup", folder.to_str().unwrap()]));
        if batch == 0 {
            fs::write(inside(&small, "shards/filler"), vec![0; 75 << 20]).unwrap();
            // Less still, if it has sold some of it already.
            let little = |offer: &serde_json::Value| {
                let free = offer["free"].as_u64();
                free.is_some_and(|free| free <= 5 << 20)
            };
            seen(&keeper, &small.info(), little);
        }
    }
    let repairs = keeper.larder(&["repairs"]).done();
    assert_eq!(repairs["full_redundancy"], true, "{repairs}");
    let used = small.status().provider.unwrap().used;
    assert!(
        used < 14 << 20,
        "it took {used} bytes, and had no room for two positions"
    );
    keeper.settled();
    for provider in providers.iter_mut().chain([&mut small]) {
        assert!(provider.runs());
        if provider.status().provider.unwrap().used > 0 {
            let info = provider.info();
            // What it acknowledged it can prove.
            fleet
                .founder
                .proven_after(&info, fleet.founder.status().epoch);
        }
    }
    let target = fleet.path("back");
    let words = ["restore", "latest", "--target", target.to_str().unwrap()];
    keeper.larder(&words).done();
    assert_eq!(facts(&copy_of(&folder, &target)), facts(&folder));
}

#[test]
fn a_keeper_with_a_full_disk_says_so_and_goes_on_once_there_is_room() {
    if !mounts() {
        return;
    }
    let fleet = Fleet::found("4s");
    let _providers = fleet.providers(3);
    let disks = [("vault/spool", 64), ("spool", 64)];
    let mut keeper = with_disks(fleet.join("keeper", &[]), &disks);
    keeper.start();
    offered(&keeper, 3);
    let folder = fleet.path("folder");
    plain(&folder, 12);
    let path = folder.to_str().unwrap();
    for (spool, _) in disks {
        let filler = inside(&keeper, spool).join("filler");
        fill(&filler);
        let why = keeper.larder(&["backup", path]).refused(1);
        assert!(
            why.contains("full") || why.contains("space"),
            "{spool}: {why}"
        );
        assert!(keeper.runs(), "{spool}");
        fs::remove_file(&filler).unwrap();
    }
    saved(&keeper.larder(&["backup", path]));
    let target = fleet.path("back");
    let words = ["restore", "latest", "--target", target.to_str().unwrap()];
    keeper.larder(&words).done();
    assert_eq!(facts(&copy_of(&folder, &target)), facts(&folder));
}

#[test]
fn a_disk_that_turns_read_only_gets_nothing_new_is_served_and_can_be_emptied() {
    if !mounts() {
        return;
    }
    let fleet = Fleet::found("4s");
    // As much room in the home as on the disk: a shard goes to either.
    let disks = [("shards", RESERVE + 200), ("disk", RESERVE + 200)];
    let mut troubled = with_disks(fleet.provider(9, "400MiB"), &disks);
    troubled.start();
    let _others = fleet.providers(2);
    let keeper = fleet.keeper();
    offered(&keeper, 3);
    let path = troubled.home.join("disk");
    let path = path.to_str().unwrap();
    troubled.larder(&["volume", "add", path]).done();
    let folder = fleet.path("folder");
    plain(&folder, 2);
    let (_, on_disk) = fill_volumes(&keeper, &troubled, &folder);
    remount_read_only(&troubled, "disk");
    let shown = until("the disk is not well", WAIT, || {
        let volumes = troubled.larder(&["volume", "list"]).objects();
        volumes.into_iter().find(|v| v["trouble"].is_string())
    });
    assert_eq!(shown["path"], path);
    let why = shown["trouble"].as_str().unwrap();
    assert!(
        why.contains("Read-only") && why.contains("Nothing new"),
        "{why}"
    );
    let status = troubled.stores();
    assert_eq!(status.refuses, None, "the home takes what comes");
    for batch in 0..3 {
        crate::folder::noise(
            &folder.join(format!("late {batch}")),
            9_000 + batch,
            100_000,
        );
        saved(&keeper.larder(&["backup", "--class", "low", folder.to_str().unwrap()]));
    }
    assert_eq!(lying(&troubled)[1], on_disk, "nothing went there");
    let early = troubled.larder(&["volume", "remove", path, "--lost"]);
    assert!(early.refused(1).contains("answers"), "it can be read");
    let removed = troubled.larder(&["volume", "remove", path]).done();
    assert_eq!(removed["shards"], on_disk);
    let info = troubled.info();
    fleet
        .founder
        .proven_after(&info, fleet.founder.status().epoch);
    let stored = troubled.stores();
    assert_eq!((stored.damaged, stored.declared), (0, 0));
    assert_eq!(lying(&troubled), [stored.shards]);
    restore(&keeper, &fleet.path("back"));
    same(&folder, &fleet.path("back"));
}
