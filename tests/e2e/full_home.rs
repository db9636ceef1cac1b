//! The disk of the keeper's whole home is full: its database, its index, its spools. It says so, loses
//! nothing, and ends the backup once there is room.
//!
//! The disk is a small tmpfs in the mount namespace of a process that does nothing else: it is reached
//! through that process, outlives the node, and goes with the test.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, larder, offered};
use crate::folder::{plain, same};
use crate::full_disk::{fill, mounts, unshare};
use crate::losses::restore;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The disk's size, MiB: room for the home, and for a backup's segments and their shards.
const DISK: usize = 160;

/// A disk of its own.
struct Disk {
    holder: Child,
    at: PathBuf,
}

impl Disk {
    fn of(mib: usize) -> Self {
        let words = unshare();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        // It ends when nobody holds the other end of its input any more.
        let script = format!("mount -t tmpfs -o size={mib}m tmpfs /mnt && echo up && exec cat");
        command.args(["sh", "-c", &script]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().unwrap();
        let mut said = String::new();
        let stdout = holder.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut said).unwrap();
        assert_eq!(said, "up\n");
        let at = PathBuf::from(format!("/proc/{}/root/mnt", holder.id()));
        Self { holder, at }
    }

    /// Bytes that are free on it.
    fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(&self.at).unwrap();
        disk.f_bavail * disk.f_frsize
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // An error says that it has ended already.
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}

#[test]
fn a_keeper_whose_whole_home_is_full_says_so_loses_nothing_and_goes_on_once_there_is_room() {
    if !mounts() {
        return;
    }
    let fleet = Fleet::found("8s");
    let _providers = fleet.providers(3);
    let disk = Disk::of(DISK);
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
