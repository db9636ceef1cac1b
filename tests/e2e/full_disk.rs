//! Full disks. Each is a small tmpfs that only its node sees: the node runs in a mount namespace
//! of its own, and the disk goes when the node does.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, offered};
use crate::folder::{copy_of, facts, plain};
use crate::honest_trouble::seen;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a provider leaves free on its disk, MiB.
const RESERVE: usize = 256;

/// The words that give a process a mount namespace: root may, others need a user namespace.
fn unshare() -> Vec<&'static str> {
    let mut words = vec!["unshare", "--mount"];
    if !rustix::process::geteuid().is_root() {
        words.extend(["--user", "--map-root-user"]);
    }
    words
}

/// Whether this machine lets us mount. Some containers forbid it, and nothing else fills a disk.
fn mounts() -> bool {
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

/// Writes until the disk is full.
fn fill(path: &Path) {
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
            seen(&keeper, &small.info(), |offer| offer["free"] == 0);
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
