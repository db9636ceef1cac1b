//! The disk of the keeper's whole home is full: its database, its index, its spools. It says so, loses
//! nothing, and ends the backup once there is room.
//!
//! The disk is a small tmpfs in a mount namespace of the test's own: the test runs itself once more in one.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, larder, offered};
use crate::folder::{plain, same};
use crate::full_disk::{fill, mounts, unshare};
use crate::losses::restore;
use serde_json::Value;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

/// The disk's size, MiB: room for the home, and for a backup's segments and their shards.
const DISK: usize = 160;

/// Says to this program that it runs in a mount namespace of its own.
const INSIDE: &str = "LARDER_TEST_OWN_MOUNTS";
/// This test, as its harness names it.
const NAME: &str = "full_home::a_keeper_whose_whole_home_is_full_says_so_loses_nothing_and_goes_on_once_there_is_room";

/// A disk of its own.
struct Disk {
    at: PathBuf,
}

impl Disk {
    fn of(mib: usize, at: PathBuf) -> Self {
        fs::create_dir(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]);
        assert!(mount.arg(&at).status().unwrap().success());
        Self { at }
    }

    /// Bytes that are free on it.
    fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(&self.at).unwrap();
        disk.f_bavail * disk.f_frsize
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // So that the folder below can be removed; an error leaves it to the namespace's end.
        Command::new("umount").arg("-l").arg(&self.at).status().ok();
    }
}

/// Runs this test in a mount namespace of its own.
fn again_inside() {
    let words = unshare();
    let mut again = Command::new(words[0]);
    again.args(&words[1..]).arg(env::current_exe().unwrap());
    again
        .args(["--exact", NAME, "--nocapture"])
        .env(INSIDE, "1");
    let said = again.output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    eprintln!("{text}{}", String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && text.contains("1 passed"));
}

#[test]
fn a_keeper_whose_whole_home_is_full_says_so_loses_nothing_and_goes_on_once_there_is_room() {
    if !mounts() {
        return;
    }
    if env::var_os(INSIDE).is_none() {
        return again_inside();
    }
    let fleet = Fleet::found("8s");
    let _providers = fleet.providers(3);
    let disk = Disk::of(DISK, fleet.path("disk"));
    let home = disk.at.join("keeper");
    larder(&home, &["init", "--join", &fleet.invite]).done();
    let mut keeper = fleet.at_home("keeper", &[]);
    keeper.home = home;
    // A log on a full disk says nothing any more.
    for log in ["out.log", "err.log"] {
        symlink(fleet.path(log), keeper.home.join(log)).unwrap();
    }
    keeper.start();
    offered(&keeper, 3);
    let folder = fleet.path("folder");
    plain(&folder.join("early"), 4);
    let path = folder.to_str().unwrap();
    let first = saved(&keeper.larder(&["backup", path]));
    plain(&folder.join("late"), 24);

    // Nothing at all; too little for the segments; enough for them and too little for their shards.
    for room in [0, 12 << 20, 40 << 20] {
        fill(&disk.at.join("filler"));
        leave(&disk, room);
        refused_for_want_of_room(&mut keeper, path, room);
        fs::remove_file(disk.at.join("filler")).unwrap();
        if !keeper.runs() {
            keeper.start();
        }
        // What was saved before is there, and can be had.
        let listed = keeper.larder(&["snapshots"]).objects();
        let ids: Vec<&Value> = listed.iter().map(|s| &s["snapshot"]).collect();
        assert!(ids.contains(&&first["snapshot"]), "{room}: {listed:?}");
    }
    offered(&keeper, 3);
    let last = saved(&keeper.larder(&["backup", path]));
    assert_eq!(last["errors"], 0, "{last}");
    restore(&keeper, &fleet.path("back"));
    same(&folder, &fleet.path("back"));
    let check = keeper.larder(&["check", "--read-data"]).done();
    assert_eq!(check["ok"], true, "{check}");
}

/// Shortens what fills the disk until so many bytes are free.
fn leave(disk: &Disk, room: u64) {
    let filler = disk.at.join("filler");
    let file = fs::File::options().write(true).open(filler).unwrap();
    let len = file.metadata().unwrap().len();
    let too_little = room.saturating_sub(disk.free());
    file.set_len(len.saturating_sub(too_little)).unwrap();
}

/// The backup fails with one line that names the disk. A node whose database cannot be written ends by
/// itself: then its log names it.
fn refused_for_want_of_room(keeper: &mut Node, path: &str, room: u64) {
    let said = keeper.larder(&["backup", path]);
    let is_named = |text: &str| {
        let text = text.to_lowercase();
        text.contains("full") || text.contains("space")
    };
    assert!(matches!(said.code, 1 | 11), "{room}: {said:?}");
    let why = said.refused(said.code);
    if said.code == 1 && is_named(&why) {
        return;
    }
    keeper.ends();
    let log = keeper.log();
    assert!(is_named(&log), "{room}: {why}\n{log}");
}
