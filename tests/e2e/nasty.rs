//! Trees that nobody would make by hand go over the network and come back the same: names, times far
//! off, links, holes, attributes, ACLs, pipes. And files that change, or go, while they are read.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, Said, offered};
use crate::folder::{copy_of, noise, plain, same};
use crate::until::until;
use larder_rpc::{JobState, PageParams};
use rustix::fs::{AtFlags, CWD, FileType, Timespec, Timestamps, XattrFlags};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(180);
const MIB: u64 = 1 << 20;
/// From this size on holes are looked at: a file system may well give a small file all of its room.
const LARGE: u64 = MIB;

#[test]
fn a_nasty_tree_comes_back_without_a_difference() {
    let fleet = Fleet::found("4s");
    let _providers = fleet.providers(3);
    let keeper = fleet.keeper();
    offered(&keeper, 3);
    let folder = fleet.path("folder");
    fs::create_dir(&folder).unwrap();
    names(&folder);
    nested(&folder);
    kinds(&folder);
    holes(&folder);
    attributes(&folder);
    let _listening = UnixListener::bind(folder.join("socket")).unwrap();
    times(&folder);

    let summary = saved(&keeper.larder(&["backup", folder.to_str().unwrap()]));
    assert_eq!(summary["errors"], 0, "{summary}");
    // 300 MiB of holes cost next to nothing.
    assert!(
        summary["bytes_stored"].as_u64().unwrap() < 40 * MIB,
        "{summary}"
    );
    left_out(&summary, &folder.join("socket"));
    fs::remove_file(folder.join("socket")).unwrap();
    // Taking the socket away has changed the folder's own time.
    set_time(&folder, FOLDER_TIME);

    // The second time it lies there already, and nothing of it may be in the way.
    for target in [fleet.path("back"), fleet.path("back")] {
        let words = ["restore", "latest", "--verify", "--target"];
        let back = keeper.larder(&[&words[..], &[target.to_str().unwrap()]].concat());
        let done = back.done();
        assert_eq!(
            (&done["errors"], &done["verified"]),
            (&0.into(), &true.into())
        );
        same(&folder, &target);
        let copy = copy_of(&folder, &target);
        let (was, is) = (beyond(&folder), beyond(&copy));
        for (path, fact) in &was {
            assert_eq!(is.get(path), Some(fact), "{path:?}");
        }
        assert_eq!(was.len(), is.len());
        let zeros = copy.join("holes/zeros that take room").metadata().unwrap();
        assert!(zeros.blocks() * 512 >= zeros.len(), "zeros became a hole");
    }
}

/// The folder's own time, which all that is done in it would change.
const FOLDER_TIME: (i64, i64) = (1_700_000_000, 5);

fn names(folder: &Path) {
    let dir = folder.join("names");
    fs::create_dir(&dir).unwrap();
    for name in [
        &b"new\nline"[..],
        b"tab\tand\rreturn",
        b"bell\x07 escape\x1b[31m delete\x7f",
        b"not utf-8 \xff\xfe\x80",
        b"half a letter \xc3",
        b"-rf",
        b"--",
        b" ",
        b" before and after ",
        b"...",
        b"~",
        b"*?[a-z]{b,c}!",
        b"$(reboot)`reboot`'\"\\",
        b"C:\\NUL.txt:stream",
        "cafe\u{301}".as_bytes(),
        "caf\u{e9}".as_bytes(),
        "right\u{202e}txt.exe".as_bytes(),
        "\u{200b}\u{feff}nothing to see".as_bytes(),
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{1f980}".as_bytes(),
        &[b'n'; 255],
        &[0xf0; 255],
    ] {
        let path = dir.join(OsStr::from_bytes(name));
        fs::write(&path, name).unwrap();
        // And a folder beside it, which must not exceed the 255 bytes either.
        let folder = [&name[..name.len().min(254)], b"/"].concat();
        let folder = dir.join(OsStr::from_bytes(&[&b"D"[..], &folder].concat()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("inside"), name).unwrap();
    }
}

/// As deep as a path may be that a test can still name below a target.
fn nested(folder: &Path) {
    let mut at = folder.join("nested");
    while at.as_os_str().len() < 3_000 {
        at.push("a level of it");
    }
    fs::create_dir_all(&at).unwrap();
    fs::write(at.join("bottom"), "deep").unwrap();
}

fn kinds(folder: &Path) {
    let dir = folder.join("kinds");
    fs::create_dir_all(dir.join("empty/of/all")).unwrap();
    fs::write(dir.join("nothing"), "").unwrap();
    noise(&dir.join("some"), 7, (5 << 20) + 321);
    for (first, second) in [("some", "again"), ("nothing", "nothing again")] {
        fs::hard_link(dir.join(first), dir.join(second)).unwrap();
    }
    fs::hard_link(dir.join("some"), folder.join("some elsewhere")).unwrap();
    rustix::fs::mknodat(CWD, dir.join("pipe"), FileType::Fifo, 0o640.into(), 0).unwrap();
    fs::hard_link(dir.join("pipe"), dir.join("pipe again")).unwrap();
    let links: [(&str, &[u8]); 4] = [
        ("there", b"some"),
        ("nowhere", b"/no\xff\n/where"),
        ("round", b"."),
        ("up", b"../../../../../../etc/passwd"),
    ];
    for (name, target) in links {
        symlink(OsStr::from_bytes(target), dir.join(name)).unwrap();
    }
    // Root reads even what nobody may.
    let least = if rustix::process::geteuid().is_root() {
        0
    } else {
        0o400
    };
    for mode in [least, 0o440, 0o444, 0o755, 0o4755, 0o2755, 0o1777] {
        let path = dir.join(format!("{mode:05o}"));
        fs::write(&path, "mode").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    fs::create_dir(dir.join("closed")).unwrap();
    fs::write(dir.join("closed/inside"), "x").unwrap();
    fs::set_permissions(dir.join("closed"), Permissions::from_mode(0o500)).unwrap();
}

fn holes(folder: &Path) {
    let dir = folder.join("holes");
    fs::create_dir(&dir).unwrap();
    let make = |name: &str, len: u64, data: &[(u64, &[u8])]| {
        let file = File::create(dir.join(name)).unwrap();
        file.set_len(len).unwrap();
        for (at, bytes) in data {
            file.write_all_at(bytes, *at).unwrap();
        }
    };
    let piece: Vec<u8> = (0..300_000_u32)
        .map(|i| u8::try_from(i % 251).unwrap())
        .collect();
    make("nothing else", 100 * MIB + 12_345, &[]);
    make("begins with one", 50 * MIB, &[(49 * MIB, &piece)]);
    make("ends with one", 50 * MIB, &[(0, &piece)]);
    let two = [(20 * MIB + 123, &piece[..]), (80 * MIB + 1, &b"x"[..])];
    make("two at odd offsets", 100 * MIB, &two);
    let zeros = vec![0; 3 << 20];
    make("zeros that take room", 3 * MIB, &[(0, &zeros)]);
}

fn attributes(folder: &Path) {
    let dir = folder.join("attributes");
    fs::create_dir(&dir).unwrap();
    for name in ["file", "read only", "guarded"] {
        fs::write(dir.join(name), name).unwrap();
    }
    let set = |path: &Path, name: &str, value: &[u8]| {
        let done = rustix::fs::lsetxattr(path, name, value, XattrFlags::empty());
        if let Err(e) = done {
            eprintln!("this file system takes no {name} ({e}): it is not tested");
        }
    };
    set(&dir.join("file"), "user.note", b"hello");
    set(&dir.join("file"), "user.empty", b"");
    set(&dir.join("file"), "user.bytes \u{e9}", &[0, 255, 10, 0]);
    set(&dir.join("read only"), "user.long", &[7; 3_000]);
    set(&dir, "user.of a folder", b"x");
    set(&dir.join("guarded"), "system.posix_acl_access", &acl());
    set(&dir, "system.posix_acl_access", &acl());
    set(&dir, "system.posix_acl_default", &acl());
    let read_only = Permissions::from_mode(0o400);
    fs::set_permissions(dir.join("read only"), read_only).unwrap();
}

/// An ACL as the kernel has it: version 2, then tag, permissions and number of each entry, little
/// endian. User 1234 may read and write, the group only read.
fn acl() -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, may, id) in [
        (0x01_u16, 7_u16, u32::MAX),
        (0x02, 6, 1234),
        (0x04, 4, u32::MAX),
        (0x10, 6, u32::MAX),
        (0x20, 0, u32::MAX),
    ] {
        bytes.extend([&tag.to_le_bytes()[..], &may.to_le_bytes()].concat());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// 1901, 1969, 1970, 2038, 2100 and 2446, where ext4 ends, to the nanosecond. Last, since what is made
/// in a folder changes its time.
fn times(folder: &Path) {
    let dir = folder.join("times");
    fs::create_dir(&dir).unwrap();
    let seconds = [-(1 << 31), -1, 0, 1 << 31, 4_102_444_800, 15_032_385_535];
    for (number, seconds) in seconds.into_iter().enumerate() {
        for (kind, nanos) in [("file", 999_999_999), ("folder", 1), ("link", 123_456_789)] {
            let path = dir.join(format!("{kind} {number}"));
            match kind {
                "file" => fs::write(&path, "t").unwrap(),
                "folder" => fs::create_dir(&path).unwrap(),
                _ => symlink("file 0", &path).unwrap(),
            }
            set_time(&path, (seconds, nanos));
        }
    }
    set_time(&dir, (-86_400, 123_456_789));
    set_time(folder, FOLDER_TIME);
}

fn set_time(path: &Path, (tv_sec, tv_nsec): (i64, i64)) {
    let time = Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// What `facts` do not tell: whether a large file has holes, roughly how much room it takes, and all
/// attributes but those of the machine's policy.
fn beyond(root: &Path) -> BTreeMap<PathBuf, String> {
    let (mut found, mut rest) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(path) = rest.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            rest.extend(entries.map(|entry| entry.unwrap().path()));
        }
        let room = match meta.is_file() && meta.len() >= LARGE {
            // In units of 64 KiB: how a file system lays things out is its own affair.
            true if meta.blocks() * 512 < meta.len() => meta.blocks() / 128,
            true => u64::MAX,
            false => 0,
        };
        let fact = format!("{room} {:?}", xattrs(&path));
        found.insert(path.strip_prefix(root).unwrap().to_owned(), fact);
    }
    found
}

fn xattrs(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut listed = vec![0; 64 << 10];
    let len = rustix::fs::llistxattr(path, &mut listed[..]).unwrap_or(0);
    let names = listed[..len].split(|b| *b == 0);
    let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
    let mut all: Vec<_> = names
        .filter(|name| !name.is_empty() && !name.starts_with("security."))
        .map(|name| {
            let mut value = vec![0; 64 << 10];
            let len = rustix::fs::lgetxattr(path, &name, &mut value[..]).unwrap();
            value.truncate(len);
            (name, value)
        })
        .collect();
    all.sort();
    all
}

/// The receipt names the one socket.
fn left_out(summary: &Value, socket: &Path) {
    let left = summary["left_out"].as_array().unwrap();
    let sockets = left.iter().find(|rule| rule["rule"] == "sockets").unwrap();
    assert_eq!(sockets["count"], 1, "{summary}");
    assert_eq!(sockets["paths"][0], socket.to_str().unwrap());
    assert!(sockets["why"].as_str().unwrap().contains("program"));
}

#[test]
fn what_changes_or_goes_while_it_is_read_is_named_and_the_rest_is_kept() {
    let fleet = Fleet::found("4s");
    let _providers = fleet.providers(3);
    let keeper = fleet.keeper();
    offered(&keeper, 3);
    let folder = fleet.path("folder");
    plain(&folder, 2);
    // Read in this order: while the first is read, the names of the others are known already.
    let (changing, vanishing) = (folder.join("1 changes"), folder.join("2 vanishes"));
    noise(&changing, 1, 96 << 20);
    fs::write(&vanishing, "for a while").unwrap();

    let said = disturbed(&keeper, &folder, &changing, &vanishing);
    let why = said.refused(3);
    assert!(why.contains("changed"), "{why}");
    let summary = said.last();
    assert_eq!(summary["errors"], 2, "{said:?}");
    assert!(summary["snapshot"].is_string(), "the rest is saved");
    for path in [&changing, &vanishing] {
        let is_named =
            |line: &str| line.contains("\"error\"") && line.contains(path.to_str().unwrap());
        assert!(said.err.lines().any(is_named), "{path:?}: {said:?}");
    }
    // In quiet all of it is there, and the file that changed is not taken for known.
    let again = saved(&keeper.larder(&["backup", folder.to_str().unwrap()]));
    assert_eq!(again["errors"], 0, "{again}");
    let target = fleet.path("back");
    let words = ["restore", "latest", "--target", target.to_str().unwrap()];
    keeper.larder(&words).done();
    same(&folder, &target);
}

/// A backup during which one file grows all the time, and another goes once the reading has begun.
fn disturbed(keeper: &Node, folder: &Path, changing: &Path, vanishing: &Path) -> Said {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Also if what follows fails.
        let _ends = Ends(&over);
        scope.spawn(|| {
            let mut file = File::options().append(true).open(changing).unwrap();
            while !over.load(Ordering::Relaxed) {
                file.write_all(b"x").unwrap();
                thread::yield_now();
            }
        });
        let backup = scope.spawn(|| keeper.larder(&["backup", folder.to_str().unwrap()]));
        until("the large file is being read", SOON, || {
            let first = PageParams::default();
            let jobs = keeper.ask(|node| async move { node.job_list(&first).await });
            let jobs = jobs.unwrap().items;
            let job = jobs.first()?;
            assert_eq!(job.state, JobState::Running, "the file is too small");
            let reading = job.progress.current.as_deref() == changing.to_str();
            (reading && job.progress.bytes > 0).then_some(())
        });
        fs::remove_file(vanishing).unwrap();
        backup.join().unwrap()
    })
}

/// Says that it is over when it goes.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
