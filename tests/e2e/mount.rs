//! `larder mount`: two snapshots as folders, the same as what was saved; every way in which a mount
//! ends leaves an empty folder; and what is said where there is no FUSE.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, binary, offered};
use crate::folder::{copy_of, facts, varied};
use crate::until::until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PROVIDERS: usize = 3;
/// How long a mount may take to stand, or to end.
const SOON: Duration = Duration::from_secs(120);
/// Becomes a program that sees no `/dev/fuse`: a namespace of its own, and in it a `/dev` with the
/// least there must be.
const WITHOUT_FUSE: &str = "set -e; d=$(mktemp -d); mount -t tmpfs none $d; \
    for n in null zero random urandom; do : > $d/$n; mount --bind /dev/$n $d/$n; done; \
    mount --rbind $d /dev; exec \"$0\" \"$@\"";

/// Why nothing can be mounted here, as far as a test can tell.
fn no_fuse() -> Option<String> {
    let device = File::options().read(true).write(true).open("/dev/fuse");
    if let Err(e) = device {
        return Some(format!("/dev/fuse: {e}"));
    }
    let helper = Command::new("fusermount3").arg("-V").output().is_ok();
    let root = rustix::process::geteuid().is_root();
    (!root && !helper).then(|| "neither root nor fusermount3".to_owned())
}

/// `larder mount` at work.
struct Mount {
    child: Child,
    dir: PathBuf,
    said: PathBuf,
}

impl Mount {
    fn at(keeper: &Node, dir: &Path, said: PathBuf) -> Self {
        let child = Command::new(binary())
            .arg("--home")
            .arg(&keeper.home)
            .args(["--json", "mount"])
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(File::create(&said).unwrap())
            .stderr(File::create(said.with_extension("err")).unwrap())
            .spawn()
            .unwrap();
        let mut mount = Self {
            child,
            dir: dir.to_owned(),
            said,
        };
        let ready = until("the mount stands", SOON, || {
            let ended = mount.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {ended:?} {}", mount.errors());
            mount.objects().into_iter().next()
        });
        assert_eq!(ready["message_type"], "ready");
        assert_eq!(ready["mount"], dir.to_str().unwrap());
        mount
    }

    fn objects(&self) -> Vec<Value> {
        let said = fs::read_to_string(&self.said).unwrap();
        let lines = said
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.said.with_extension("err")).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn ends(&mut self) -> i32 {
        let ended = until("the mount ends", SOON, || self.child.try_wait().unwrap());
        // Nothing is mounted any more: the folder itself is seen, and it is empty.
        let left = fs::read_dir(&self.dir).unwrap().count();
        assert_eq!(left, 0, "{}", self.errors());
        ended.code().unwrap()
    }

    /// It ends by itself, with a summary that has nothing to complain of.
    fn ends_well(&mut self) {
        assert_eq!(self.ends(), 0, "{}", self.errors());
        let summary = self.objects().pop().unwrap();
        assert_eq!(summary["message_type"], "summary");
        assert_eq!(summary["errors"], 0, "{summary}");
        assert_eq!(self.errors(), "");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Only a failing test leaves something to do here.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            Command::new("umount")
                .arg("-l")
                .arg(&self.dir)
                .status()
                .ok();
        }
    }
}

/// The one line that says why nothing is mounted.
fn refused(keeper: &Node, dir: &Path) -> String {
    keeper.larder(&["mount", dir.to_str().unwrap()]).refused(1)
}

/// What a snapshot's folder is called in a mount.
fn short(summary: &Value) -> String {
    summary["snapshot"].as_str().unwrap()[..12].to_owned()
}

#[test]
fn snapshots_are_folders_until_they_are_unmounted() {
    let fleet = Fleet::found("4s");
    let _providers = fleet.providers(PROVIDERS);
    let mut keeper = fleet.keeper();
    offered(&keeper, PROVIDERS);
    let folder = fleet.path("folder");
    let dir = fleet.path("mounted");
    if let Some(why) = no_fuse() {
        println!("snapshots are not browsed here, only the refusal is seen: {why}");
        let said = refused(&keeper, &dir);
        assert!(said.contains("fuse"), "{said}");
        return;
    }
    varied(&folder);
    let path = folder.to_str().unwrap();
    let first = saved(&keeper.larder(&["backup", path]));
    let was = facts(&folder);
    fs::write(folder.join("deep/er/note"), "another, and a longer one").unwrap();
    fs::remove_file(folder.join("empty")).unwrap();
    let second = saved(&keeper.larder(&["backup", path]));
    let is = facts(&folder);

    let said = |name: &str| fleet.path(name);
    let mut mount = Mount::at(&keeper, &dir, said("interrupted"));
    for (snapshot, facts_then) in [(&first, &was), (&second, &is)] {
        let copy = copy_of(&folder, &dir.join(short(snapshot)));
        let seen = facts(&copy);
        for name in facts_then.keys().chain(seen.keys()) {
            assert_eq!(seen.get(name), facts_then.get(name), "{}", name.display());
        }
    }
    let latest = fs::read_link(dir.join("latest")).unwrap();
    assert_eq!(latest, Path::new(&short(&second)));
    let mut all: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    all.sort();
    let mut want = [
        "by-time".into(),
        "latest".into(),
        short(&first),
        short(&second),
    ];
    want.sort();
    assert_eq!(all, want);
    let by_time = fs::read_dir(dir.join("by-time")).unwrap();
    let leads: Vec<_> = by_time
        .map(|link| link.unwrap().path().canonicalize().unwrap())
        .collect();
    assert!(
        leads.contains(&dir.join(short(&first)).canonicalize().unwrap()),
        "{leads:?}"
    );
    // Nothing of it can be changed.
    let note = copy_of(&folder, &dir.join("latest")).join("deep/er/note");
    for changed in [
        fs::write(&note, "x"),
        fs::remove_file(&note),
        fs::write(dir.join("x"), ""),
    ] {
        assert_eq!(changed.unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    }
    let why = refused(&keeper, &dir);
    assert!(why.contains("not empty"), "{why}");
    mount.signal(Signal::INT);
    mount.ends_well();

    // Unmounted from elsewhere.
    let mut mount = Mount::at(&keeper, &dir, said("unmounted"));
    let root = rustix::process::geteuid().is_root();
    let mut umount = match root {
        true => Command::new("umount"),
        false => Command::new("fusermount3"),
    };
    umount.args((!root).then_some("-u")).arg(&dir);
    assert!(umount.status().unwrap().success());
    mount.ends_well();

    // Stopped while somebody has a file open.
    let mut mount = Mount::at(&keeper, &dir, said("terminated"));
    let mut open = File::open(copy_of(&folder, &dir.join("latest")).join("big")).unwrap();
    open.read_exact(&mut [0; 100]).unwrap();
    mount.signal(Signal::TERM);
    mount.ends_well();
    drop(open);

    // A snapshot that is made meanwhile is there; with the node the mount ends.
    let mut mount = Mount::at(&keeper, &dir, said("with its node"));
    fs::write(folder.join("later"), "later").unwrap();
    let third = saved(&keeper.larder(&["backup", path]));
    until("a new snapshot is seen", SOON, || {
        let latest = copy_of(&folder, &dir.join("latest"));
        (fs::read_to_string(latest.join("later")).ok()? == "later").then_some(())
    });
    assert!(dir.join(short(&third)).is_dir());
    keeper.stop();
    // Either it still saw the job's end, or that its node was gone.
    let code = mount.ends();
    let errors = mount.errors();
    assert!(
        code == 0 || errors.contains("ended with its node"),
        "{code}: {errors}"
    );

    if !root {
        println!("what is said without /dev/fuse is not seen here: hiding it takes root");
        return;
    }
    let hidden = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        WITHOUT_FUSE,
    ];
    let mut keeper = keeper.through(hidden);
    keeper.start();
    let why = refused(&keeper, &dir);
    assert!(
        why.contains("/dev/fuse") && why.contains("modprobe fuse"),
        "{why}"
    );
}
