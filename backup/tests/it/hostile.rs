//! Trees that nobody would make by hand, compared entry by entry after a restore: names, times far
//! off, attributes, ACLs, holes, devices, second names of everything.

use crate::common::{Bench, below, look, noise};
use larder_backup::{Entry, Kind, Meta};
use larder_types::codec;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Timespec, Timestamps, Uid, XattrFlags};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

fn set(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

/// Whether this file system takes such an attribute from us; the test is the poorer without.
fn takes(path: &Path, name: &str, value: &[u8]) -> bool {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).is_ok()
}

/// An ACL as the kernel has it: version 2, then tag, permissions and number of each entry, little
/// endian. User 1234 may read and write, the group only read.
fn acl() -> Vec<u8> {
    let none = u32::MAX;
    let entries = [
        (0x01, 7, none),
        (0x02, 6, 1234),
        (0x04, 4, none),
        (0x10, 6, none),
        (0x20, 0, none),
    ];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, perm, id) in entries {
        let (tag, perm): (u16, u16) = (tag, perm);
        bytes.extend([&tag.to_le_bytes()[..], &perm.to_le_bytes()].concat());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn set_time(path: &Path, tv_sec: i64, tv_nsec: i64) {
    let time = Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn names(src: &Path) {
    let dir = src.join("names");
    fs::create_dir(&dir).unwrap();
    for name in [
        &b"\xff\xfe\x80"[..],
        b"caf\xe9",
        "cafe\u{301}".as_bytes(),
        "caf\u{e9}".as_bytes(),
        b"a\nb\tc\r",
        b" lead and trail ",
        b"~",
        b"...",
        b"$(rm -rf x)`'\"\\",
        &[0xf0; 255],
    ] {
        fs::write(dir.join(OsStr::from_bytes(name)), name).unwrap();
        fs::create_dir(dir.join(OsStr::from_bytes(&[&name[..name.len() - 1], b"D"].concat())))
            .unwrap();
    }
}

fn attributes(src: &Path, root: bool) {
    let dir = src.join("attributes");
    fs::create_dir(&dir).unwrap();
    for name in ["file", "plain", "read only", "secret"] {
        fs::write(dir.join(name), name).unwrap();
    }
    set(&dir.join("file"), "user.note", b"hello");
    set(&dir.join("file"), "user.empty", b"");
    set(&dir.join("file"), "user.bytes", &[0, 255, 10, 0]);
    set(&dir.join("read only"), "user.long", &noise(9, 3_000));
    set(&dir, "user.of a folder", b"x");
    if takes(&dir.join("file"), "system.posix_acl_access", &acl()) {
        set(&dir, "system.posix_acl_access", &acl());
        // What is made in it from here on begins with this.
        set(&dir, "system.posix_acl_default", &acl());
        fs::write(dir.join("heir"), b"").unwrap();
        fs::create_dir(dir.join("heirs")).unwrap();
    }
    fs::set_permissions(dir.join("read only"), Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(dir.join("secret"), Permissions::from_mode(0o000)).unwrap();
    if root {
        symlink("file", dir.join("link")).unwrap();
        set(&dir.join("link"), "trusted.of a link", b"own");
        set(&dir.join("plain"), "trusted.note", b"root's");
        // Version 2, effective, CAP_NET_BIND_SERVICE.
        let mut capability = [0; 20];
        (capability[0], capability[3], capability[5]) = (1, 2, 4);
        set(&dir.join("plain"), "security.capability", &capability);
        rustix::fs::chownat(
            CWD,
            dir.join("link"),
            Some(Uid::from_raw(3_000_000_000)),
            Some(Gid::from_raw(12)),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
        std::os::unix::fs::chown(dir.join("secret"), Some(4321), Some(1234)).unwrap();
    }
}

fn times(src: &Path) {
    let dir = src.join("times");
    fs::create_dir(&dir).unwrap();
    // 1901, 1969, 1970, 2038, 2100, 2242, 2514: a file system may know fewer of them, and then
    // what it made of them counts.
    for (i, s) in [
        -(1 << 31),
        -1,
        0,
        1 << 31,
        4_102_444_800,
        1 << 33,
        (1 << 34) + 5,
    ]
    .into_iter()
    .enumerate()
    {
        for (kind, ns) in [("f", 999_999_999), ("d", 1), ("l", 0)] {
            let path = dir.join(format!("{kind}{i}"));
            match kind {
                "f" => fs::write(&path, b"t").unwrap(),
                "d" => fs::create_dir(&path).unwrap(),
                _ => symlink("f0", &path).unwrap(),
            }
            set_time(&path, s, ns);
        }
    }
    set_time(&dir, -86_400, 123_456_789);
}

fn holes(src: &Path) {
    let dir = src.join("holes");
    fs::create_dir(&dir).unwrap();
    let make = |name: &str, len: u64, data: &[(u64, &[u8])]| {
        let file = File::create(dir.join(name)).unwrap();
        file.set_len(len).unwrap();
        for (at, bytes) in data {
            file.write_all_at(bytes, *at).unwrap();
        }
    };
    let (piece, mib) = (noise(5, 700_000), 1 << 20);
    make("nothing but a hole", 40 * mib + 12_345, &[]);
    make("a small one", 20_000, &[]);
    make("begins with one", 30 * mib, &[(29 * mib, &piece)]);
    make("ends with one", 30 * mib, &[(0, &piece)]);
    make(
        "two, at odd offsets",
        60 * mib,
        &[(20 * mib + 123, &piece), (41 * mib + 1, b"x")],
    );
    // Every other page.
    let pages: Vec<(u64, &[u8])> = (0..100).map(|i| (i * 8192, &piece[..4096])).collect();
    make("many small ones", 100 * 8192, &pages);
    // Zeros that take room are no holes, and must not become any.
    make("zeros", 3 * mib, &[(0, &vec![0; 3 << 20])]);
    let half = [&vec![0; 2 << 20][..], &piece].concat();
    make("zeros behind a hole", 20 * mib, &[(16 * mib, &half)]);
}

fn nodes(src: &Path, root: bool) {
    let dir = src.join("nodes");
    fs::create_dir(&dir).unwrap();
    rustix::fs::mknodat(CWD, dir.join("pipe"), FileType::Fifo, 0o640.into(), 0).unwrap();
    symlink("pipe", dir.join("link")).unwrap();
    fs::write(dir.join("file"), b"file").unwrap();
    for name in ["pipe", "link", "file"] {
        let again = dir.join(format!("{name} again"));
        rustix::fs::linkat(CWD, dir.join(name), CWD, again, AtFlags::empty()).unwrap();
    }
    if root {
        for (name, kind, dev) in [
            ("char", FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
            (
                "block",
                FileType::BlockDevice,
                rustix::fs::makedev(259, 70_000),
            ),
        ] {
            // A container may not let even root make one.
            let _made = rustix::fs::mknodat(CWD, dir.join(name), kind, 0o604.into(), dev);
        }
    }
    for (name, mode) in [("sticky", 0o1777), ("groups", 0o2755), ("none", 0o000)] {
        fs::create_dir(dir.join(name)).unwrap();
        fs::set_permissions(dir.join(name), Permissions::from_mode(mode)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_tree_comes_back_in_every_respect() {
    let bench = Bench::new().await;
    let (src, root) = (bench.src(), rustix::process::geteuid().is_root());
    names(&src);
    attributes(&src, root);
    times(&src);
    holes(&src);
    nodes(&src, root);
    let summary = bench.backup().await;
    assert_eq!(summary.errors.count, 0, "{:?}", summary.errors);
    // 180 MiB of holes cost next to nothing.
    assert!(summary.bytes_stored < 8 << 20, "{summary:?}");
    bench.check_restore("out").await;
    // Once more over what is there.
    bench.check_restore("out").await;
    let out = below(&bench.dir.path().join("out"), &src);
    let zeros = out.join("holes/zeros").metadata().unwrap();
    assert!(zeros.blocks() * 512 >= zeros.len(), "zeros became a hole");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_bequeaths_does_not_stay() {
    let bench = Bench::new().await;
    bench.write("plain", b"no ACL");
    fs::create_dir(bench.src().join("folder")).unwrap();
    bench.backup().await;
    let out = bench.dir.path().join("out");
    fs::create_dir(&out).unwrap();
    if takes(&out, "system.posix_acl_default", &acl()) {
        bench.check_restore("out").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_have_names_beside_their_numbers() {
    let bench = Bench::new().await;
    bench.write("mine", b"x");
    bench.backup().await;
    let (_, snapshot) = bench.vault.resolve("latest").await.unwrap();
    let (tx, mut rx) = tokio::sync::mpsc::channel(9);
    let path = bench.src().join("mine");
    bench
        .vault
        .ls(
            snapshot,
            path,
            larder_backup::Depth::Folder,
            &bench.segments,
            tx,
        )
        .await
        .unwrap();
    let entry = rx.recv().await.unwrap().entry;
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == entry.meta.uid.to_string()).then(|| name.to_owned())
    });
    // Where the owner stands in another directory than that file, there is nothing to compare.
    if named.is_some() {
        assert_eq!(entry.user, named);
    }
}

/// Bytes of trees as they were written before attributes, holes and names of owners were kept.
#[test]
fn entries_written_before_are_read_and_written_as_they_were() {
    let meta = Meta {
        mode: 0o4750,
        uid: 1000,
        gid: 100,
        mtime_s: -86_401,
        mtime_ns: 999_999_999,
    };
    let of_meta = "616da56167186461 6e1a3b9ac9ff616f1909e861743a00015180 61751903e8";
    let mut file = Entry::new(b"caf\xe9".to_vec(), Kind::Fifo, meta);
    file.inode = Some((66, 1 << 40));
    let link = Entry::new(b"l".to_vec(), Kind::Symlink(b"/x/\xff".to_vec()), meta);
    let device = Entry::new(b"d".to_vec(), Kind::BlockDevice(0x801), meta);
    for (entry, hex) in [
        (
            file,
            format!("a4 6169 8218421b0000010000000000 616b 6170 {of_meta} 616e 44636166e9"),
        ),
        (
            link,
            format!("a3 616b a1616c442f782fff {of_meta} 616e 416c"),
        ),
        (device, format!("a3 616b a16162190801 {of_meta} 616e 4164")),
    ] {
        let hex = hex.replace(' ', "");
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        assert_eq!(codec::encode(&entry), bytes);
        assert_eq!(codec::decode::<Entry>(&bytes).unwrap(), entry);
    }
}

/// The comparison that the other tests rest on sees an attribute.
#[test]
fn look_tells_trees_apart() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&a, &b] {
        fs::write(dir.path().join("x"), b"same").unwrap();
        set_time(&dir.path().join("x"), 5, 5);
    }
    assert_eq!(look(a.path()), look(b.path()));
    set(&b.path().join("x"), "user.note", b"");
    assert_ne!(look(a.path()), look(b.path()));
}
