//! Snapshots as a mount shows them, without a mount: what is there is what was saved, and only what
//! is read is fetched.

use crate::common::{Bench, noise};
use larder_backup::{
    Attr, Item, KnownSegment, LocalSegments, SealedSegment, SegmentKind, Segments, SegmentsError,
    Sort, Stored, Toward, View, ViewError,
};
use larder_types::SegmentId;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// What a name shows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    sort: Sort,
    mode: u32,
    mtime: (i64, i64),
    owner: (u32, u32),
    size: u64,
    /// A file's bytes or a link's target.
    content: Vec<u8>,
    /// The first name of the same file.
    first: Vec<u8>,
}

type Tree = BTreeMap<Vec<u8>, Shown>;

/// A folder on disk.
fn on_disk(dir: &Path, at: &[u8], tree: &mut Tree, first: &mut BTreeMap<u64, Vec<u8>>) {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    for name in names {
        let (path, rel) = (dir.join(&name), [at, b"/", name.as_bytes()].concat());
        let meta = path.symlink_metadata().unwrap();
        let (sort, content) = if meta.is_symlink() {
            let target = path.read_link().unwrap();
            (Sort::Symlink, target.as_os_str().as_bytes().to_vec())
        } else if meta.is_dir() {
            (Sort::Dir, Vec::new())
        } else if meta.is_file() {
            (Sort::File, fs::read(&path).unwrap())
        } else {
            (Sort::Fifo, Vec::new())
        };
        let shown = Shown {
            sort,
            mode: meta.mode() & 0o7777,
            mtime: (meta.mtime(), meta.mtime_nsec()),
            owner: (meta.uid(), meta.gid()),
            size: if meta.is_dir() { 0 } else { meta.len() },
            content,
            first: first.entry(meta.ino()).or_insert(rel.clone()).clone(),
        };
        tree.insert(rel.clone(), shown);
        if meta.is_dir() {
            on_disk(&path, &rel, tree, first);
        }
    }
}

/// All of a folder of a view.
fn listed<S: Segments>(view: &View<S>, ino: u64) -> Result<Vec<Item>, ViewError> {
    let mut all = Vec::new();
    loop {
        // Few at a time, so that listings go on somewhere in between.
        let page = view.list(ino, all.len() as u64, 7)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn in_view<S: Segments>(
    view: &View<S>,
    folder: u64,
    at: &[u8],
    tree: &mut Tree,
    first: &mut BTreeMap<u64, Vec<u8>>,
) {
    for item in listed(view, folder).unwrap() {
        let rel = [at, b"/", &item.name[..]].concat();
        let attr = view.lookup(folder, &item.name).unwrap();
        assert_eq!((attr, view.attr(attr.ino).unwrap()), (item.attr, attr));
        assert_eq!(view.keep(&item), attr);
        let content = match attr.sort {
            Sort::File => whole(view, &attr).unwrap(),
            Sort::Symlink => view.target(attr.ino).unwrap(),
            Sort::Dir | Sort::Fifo | Sort::CharDevice | Sort::BlockDevice => Vec::new(),
        };
        let shown = Shown {
            sort: attr.sort,
            mode: attr.mode,
            mtime: (attr.mtime_s, attr.mtime_ns.into()),
            owner: (attr.uid, attr.gid),
            size: attr.size,
            content,
            first: first.entry(attr.ino).or_insert(rel.clone()).clone(),
        };
        tree.insert(rel.clone(), shown);
        if attr.sort == Sort::Dir {
            in_view(view, attr.ino, &rel, tree, first);
        }
    }
}

/// A file, read in parts that fit no piece.
fn whole<S: Segments>(view: &View<S>, attr: &Attr) -> Result<Vec<u8>, ViewError> {
    let mut bytes = Vec::new();
    loop {
        let part = view.read(attr.ino, bytes.len() as u64, 333_333)?;
        if part.is_empty() {
            return Ok(bytes);
        }
        bytes.extend(part);
    }
}

/// The number of a path below a snapshot's folder.
fn walk<S: Segments>(view: &View<S>, from: u64, path: &Path) -> Result<Attr, ViewError> {
    let mut attr = view.attr(from)?;
    for part in path.strip_prefix("/").unwrap_or(path) {
        attr = view.lookup(attr.ino, part.as_bytes())?;
    }
    Ok(attr)
}

/// Where `latest` leads.
fn latest<S: Segments>(view: &View<S>) -> Attr {
    let link = view.lookup(View::<S>::ROOT, b"latest").unwrap();
    assert_eq!(link.sort, Sort::Symlink);
    let target = view.target(link.ino).unwrap();
    view.lookup(View::<S>::ROOT, &target).unwrap()
}

type Told = Arc<Mutex<Vec<(PathBuf, String)>>>;

fn view<S: Segments>(bench: &Bench, segments: &Arc<S>) -> (View<S>, Told) {
    let told = Told::default();
    let heard = Arc::clone(&told);
    let tell = Box::new(move |path: &Path, trouble: &ViewError| {
        let told = (path.to_owned(), trouble.to_string());
        heard.lock().unwrap().push(told);
    });
    let stop = CancellationToken::new();
    (View::new(&bench.vault, segments, stop, tell), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_snapshots_are_as_they_were_saved() {
    let bench = Bench::new().await;
    let src = bench.src();
    bench.write("big", &noise(1, 5_000_000));
    bench.write("empty", b"");
    fs::hard_link(src.join("big"), src.join("big too")).unwrap();
    fs::create_dir_all(src.join("a/b/c")).unwrap();
    bench.write("a/b/note", b"first");
    let odd = OsStr::from_bytes(b"odd\xff\xfe name\nwith a line");
    fs::write(src.join(odd), "bytes").unwrap();
    symlink(OsStr::from_bytes(b"no\xffwhere"), src.join("link")).unwrap();
    for n in 0..300 {
        bench.write(&format!("a/{n}"), format!("number {n}").as_bytes());
    }
    let mut want = [Tree::new(), Tree::new()];
    bench.backup().await;
    on_disk(&src, b"", &mut want[0], &mut BTreeMap::new());
    fs::remove_file(src.join("a/7")).unwrap();
    bench.write("a/b/note", b"second, and longer");
    bench.write("new", b"new");
    bench.backup().await;
    on_disk(&src, b"", &mut want[1], &mut BTreeMap::new());

    let (view, told) = view(&bench, &bench.segments);
    spawn_blocking(move || {
        let root = View::<LocalSegments>::ROOT;
        assert_eq!(view.attr(root).unwrap().mtime_s, 1);
        let names: Vec<_> = listed(&view, root).unwrap();
        let names: Vec<&[u8]> = names.iter().map(|item| &item.name[..]).collect();
        assert_eq!(
            (names.len(), names[0], names[1]),
            (4, &b"by-time"[..], &b"latest"[..])
        );
        let mut numbers = Vec::new();
        for (name, want) in names[2..].iter().zip(&want) {
            let snapshot = view.lookup(root, name).unwrap();
            let folder = walk(&view, snapshot.ino, &src).unwrap();
            let (mut got, mut first) = (Tree::new(), BTreeMap::new());
            in_view(&view, folder.ino, b"", &mut got, &mut first);
            for path in want.keys().chain(got.keys()) {
                let shown = String::from_utf8_lossy(path);
                assert!(want.get(path) == got.get(path), "{shown}");
            }
            let two = ["big", "big too"].map(|n| view.lookup(folder.ino, n.as_bytes()).unwrap());
            assert_eq!((two[0], two[0].links), (two[1], 2));
            numbers.push(two[0].ino);
            assert_eq!(view.parent(folder.ino).unwrap(), {
                walk(&view, snapshot.ino, src.parent().unwrap())
                    .unwrap()
                    .ino
            });
        }
        // The file is the same, but not the snapshot.
        assert_ne!(numbers[0], numbers[1]);
        assert_eq!(latest(&view), view.lookup(root, names[3]).unwrap());

        let times = view.lookup(root, b"by-time").unwrap();
        let links = listed(&view, times.ino).unwrap();
        let leads = |link: &Item| view.target(view.keep(link).ino).unwrap();
        let leads: Vec<_> = links.iter().map(leads).collect();
        assert_eq!(leads, [names[2], names[3]].map(|n| [b"../", n].concat()));

        // What is not there, and what is something else.
        let is = |outcome: Result<Attr, ViewError>| outcome.unwrap_err().to_string();
        let newest = latest(&view).ino;
        assert_eq!(
            is(view.lookup(newest, b"nobody")),
            ViewError::NoEntry.to_string()
        );
        assert_eq!(
            is(view.lookup(root, b"nobody")),
            ViewError::NoEntry.to_string()
        );
        let file = walk(&view, newest, &src.join("new")).unwrap().ino;
        assert_eq!(is(view.lookup(file, b"x")), ViewError::NotDir.to_string());
        assert!(matches!(view.read(newest, 0, 1), Err(ViewError::IsDir)));
        assert!(matches!(view.target(file), Err(ViewError::Other)));
        assert!(matches!(view.attr(12_345), Err(ViewError::Stale)));
        // A forgotten number is none, and comes back as it was.
        view.forget(file, u64::MAX);
        assert!(matches!(view.attr(file), Err(ViewError::Stale)));
        assert_eq!(walk(&view, newest, &src.join("new")).unwrap().ino, file);
        assert!(told.lock().unwrap().is_empty());
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_thousands_is_listed_from_anywhere_and_searched() {
    let bench = Bench::new().await;
    for n in 0..5_000 {
        bench.write(&format!("{n:0>150}"), b"");
    }
    bench.backup().await;
    let src = bench.src();
    let (view, _) = view(&bench, &bench.segments);
    spawn_blocking(move || {
        let folder = walk(&view, latest(&view).ino, &src).unwrap().ino;
        let name = |n: u64| format!("{n:0>150}").into_bytes();
        // Backwards, so that nothing of it was read before.
        for after in [4_999, 4_000, 2_500, 129, 128, 127, 0] {
            let page = view.list(folder, after, 3).unwrap();
            assert_eq!(page[0].name, name(after), "{after}");
        }
        assert!(view.list(folder, 5_000, 3).unwrap().is_empty());
        for n in [4_999, 0, 2_345, 128] {
            assert_eq!(view.lookup(folder, &name(n)).unwrap().size, 0);
        }
        for none in [&b"!"[..], b"00", b"zzz"] {
            assert!(matches!(view.lookup(folder, none), Err(ViewError::NoEntry)));
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_are_zeros_that_take_no_room() {
    let bench = Bench::new().await;
    let path = bench.src().join("sparse");
    let file = File::create(&path).unwrap();
    file.set_len(100 << 20).unwrap();
    file.write_all_at(b"here", 50 << 20).unwrap();
    file.write_all_at(b"end", (100 << 20) - 3).unwrap();
    drop(file);
    bench.backup().await;
    let (view, _) = view(&bench, &bench.segments);
    spawn_blocking(move || {
        let attr = walk(&view, latest(&view).ino, &path).unwrap();
        assert_eq!(attr.size, 100 << 20);
        assert!(attr.room < 1 << 20, "{attr:?}");
        let around = view.read(attr.ino, (50 << 20) - 2, 8).unwrap();
        assert_eq!(around, b"\0\0here\0\0");
        assert_eq!(view.read(attr.ino, (100 << 20) - 4, 99).unwrap(), b"\0end");
        assert!(view.read(attr.ino, 100 << 20, 1).unwrap().is_empty());
        let data = view.seek(attr.ino, 0, Toward::Data).unwrap();
        assert!(data > 49 << 20 && data <= 50 << 20, "{data}");
        assert_eq!(view.seek(attr.ino, 0, Toward::Hole).unwrap(), 0);
        assert!(whole(&view, &attr).unwrap() == fs::read(&path).unwrap());
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_shown_as_they_were_recorded() {
    let bench = Bench::new().await;
    bench.write("file", b"x");
    let path = bench.src().join("file");
    let flags = rustix::fs::XattrFlags::empty();
    if let Err(e) = rustix::fs::setxattr(&path, "user.note", b"a value", flags) {
        println!("not tested here: this file system keeps no attributes: {e}");
        return;
    }
    bench.backup().await;
    let (view, _) = view(&bench, &bench.segments);
    spawn_blocking(move || {
        let ino = walk(&view, latest(&view).ino, &path).unwrap().ino;
        assert_eq!(view.xattrs(ino).unwrap(), [b"user.note"]);
        assert_eq!(view.xattr(ino, b"user.note").unwrap(), b"a value");
        let none = view.xattr(ino, b"user.other");
        assert!(matches!(none, Err(ViewError::NoAttribute)));
    })
    .await
    .unwrap();
}

/// Counts what is fetched and given back.
struct Counting {
    kept: Arc<LocalSegments>,
    fetched: Mutex<Vec<SegmentId>>,
    released: Mutex<Vec<SegmentId>>,
}

impl Counting {
    fn of(bench: &Bench) -> Arc<Self> {
        Arc::new(Self {
            kept: Arc::clone(&bench.segments),
            fetched: Mutex::default(),
            released: Mutex::default(),
        })
    }
}

impl Segments for Counting {
    async fn store(&self, segment: SealedSegment) -> Result<Stored, SegmentsError> {
        self.kept.store(segment).await
    }
    async fn fetch(&self, id: SegmentId) -> Result<PathBuf, SegmentsError> {
        self.fetched.lock().unwrap().push(id);
        self.kept.fetch(id).await
    }
    async fn release(&self, id: SegmentId) {
        self.released.lock().unwrap().push(id);
    }
    async fn list(&self) -> Result<Vec<KnownSegment>, SegmentsError> {
        self.kept.list().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_segment_fails_the_reads_of_its_file_and_is_told_once() {
    let bench = Bench::new().await;
    bench.write("first", &noise(1, 3_000_000));
    bench.backup().await;
    let before = bench.kept(SegmentKind::Data).await;
    bench.write("second", &noise(2, 3_000_000));
    bench.backup().await;
    let data = bench.kept(SegmentKind::Data).await;
    let mut new = data.into_iter().filter(|id| !before.contains(id));
    let lost = new.next().unwrap();
    fs::remove_file(bench.segments.path(lost).unwrap()).unwrap();

    let src = bench.src();
    let counting = Counting::of(&bench);
    let (view, told) = view(&bench, &counting);
    let ended = spawn_blocking(move || {
        let newest = latest(&view).ino;
        let second = walk(&view, newest, &src.join("second")).unwrap();
        assert_eq!(second.size, 3_000_000);
        for at in [0, 1_000_000, 2_999_999, 0] {
            let read = view.read(second.ino, at, 1);
            assert!(matches!(read, Err(ViewError::Fetch(_))), "{read:?}");
        }
        let first = walk(&view, newest, &src.join("first")).unwrap();
        assert!(whole(&view, &first).unwrap() == noise(1, 3_000_000));
        assert!(listed(&view, walk(&view, newest, &src).unwrap().ino).is_ok());
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].0.ends_with("second"), "{told:?}");
        assert!(told[0].1.contains(&lost.to_string()), "{told:?}");
    });
    ended.await.unwrap();
    // It was asked for once, and what was fetched was fetched once.
    let mut fetched = counting.fetched.lock().unwrap().clone();
    let asked = fetched.len();
    fetched.sort_unstable();
    fetched.dedup();
    assert_eq!((asked, fetched.contains(&lost)), (fetched.len(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_read_is_fetched_and_all_of_it_is_given_back() {
    let bench = Bench::new().await;
    let mut data = Vec::new();
    for n in 0..3 {
        bench.write(&format!("file {n}"), &noise(n, 2_000_000));
        bench.backup().await;
        let known = bench.kept(SegmentKind::Data).await;
        data.push(known.into_iter().find(|id| !data.contains(id)).unwrap());
    }
    let src = bench.src();
    let counting = Counting::of(&bench);
    let (view, _) = view(&bench, &counting);
    let (wanted, others) = (data[1], [data[0], data[2]]);
    let seen = Arc::clone(&counting);
    let view = spawn_blocking(move || {
        let newest = latest(&view).ino;
        let attr = walk(&view, newest, &src.join("file 1")).unwrap();
        let fetched = || seen.fetched.lock().unwrap().clone();
        assert!(!fetched().iter().any(|id| data.contains(id)), "only looked");
        // Many at once, of one blob.
        std::thread::scope(|threads| {
            for at in 0..8 {
                let view = &view;
                threads.spawn(move || {
                    let bytes = view.read(attr.ino, at * 100, 100).unwrap();
                    let from = usize::try_from(at * 100).unwrap();
                    assert_eq!(bytes, noise(1, 2_000_000)[from..from + 100]);
                });
            }
        });
        let times = fetched().iter().filter(|id| **id == wanted).count();
        assert_eq!(
            (times, fetched().iter().any(|id| others.contains(id))),
            (1, false)
        );
        view
    });
    let view = view.await.unwrap();
    // The last view of a thread that knows of no runtime.
    std::thread::spawn(move || drop(view)).join().unwrap();
    let given_back = async {
        loop {
            let (mut fetched, mut released) = {
                let fetched = counting.fetched.lock().unwrap().clone();
                (fetched, counting.released.lock().unwrap().clone())
            };
            fetched.sort_unstable();
            released.sort_unstable();
            if fetched == released {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let within = std::time::Duration::from_secs(60);
    tokio::time::timeout(within, given_back).await.unwrap();
}
