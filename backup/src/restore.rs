//! Restoring a snapshot. The plan comes first, then all names, then contents in the order of
//! segments, each fetched once and the next one meanwhile; then owners, attributes, modes and
//! times, directories last.
//!
//! As the field does it: the snapshot's absolute paths are made anew below the target; with a
//! subpath, that folder's contents. Files and links in the way are replaced, other files in the
//! target stay. A segment that is lost costs the files with pieces in it; these are named, keep
//! mode 0600 and today's date, and hold zeros where the pieces are missing. Of a folder whose tree
//! is lost or damaged comes back what is listed before the damage, and the folder is named.

use crate::backup::{BackupError, join};
use crate::below::Below;
use crate::browse::{BrowseError, Found, Reader, find};
use crate::content::Content;
use crate::entry::{Entry, Kind};
use crate::exclude::{GlobError, Globs};
use crate::fetch::{FetchError, Fetched};
use crate::index::IndexError;
use crate::place::{self, Full, Spoilt};
use crate::plan::Plan;
use crate::planner::{Planner, Wanted};
use crate::problems::{Problem, Problems, Unrestored};
use crate::progress::{Phase, Progress};
use crate::segments::{Segments, SegmentsError};
use crate::snapshot::Snapshot;
use crate::vault::Vault;
use crate::walk::PathBytes;
use larder_coding::{OpenKeys, SegmentReader};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

/// What to restore, and where to.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Only what lies in this folder of it (or this file).
    pub subpath: Option<PathBuf>,
    /// The folder to restore to; made if it is missing.
    pub target: PathBuf,
    /// Globs over the snapshot's paths: if any, only what matches.
    pub include: Vec<String>,
    /// Globs over the snapshot's paths: never what matches.
    pub exclude: Vec<String>,
    /// Read everything again once it is written, and compare.
    pub verify: bool,
}

/// What a restore came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreSummary {
    /// Files that were restored whole, second names included.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Bytes that were read again and compared.
    pub bytes_verified: u64,
    /// Segments that were fetched for contents.
    pub segments: u64,
    /// What is incomplete or missing (exit code 3 if any).
    pub incomplete: Problems,
    /// What only root can give back, or another file system can keep: one line a kind.
    pub unrestored: Vec<Unrestored>,
}

/// Why a restore ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A glob that does not parse.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// No such path in the snapshot, or its metadata cannot be had.
    #[error(transparent)]
    Browse(#[from] BrowseError),
    /// The snapshot's topmost tree cannot be had, or the index not read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The index or the plan.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The target cannot be made or opened.
    #[error("{path}: {source}", path = path.display())]
    Target {
        /// The target.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No room at the target.
    #[error("the disk of {path} is full: free some space and run this again", path = .0.display())]
    Full(PathBuf),
    /// Somebody asked for it.
    #[error("interrupted")]
    Cancelled,
}

impl From<BackupError> for RestoreError {
    fn from(_: BackupError) -> Self {
        Self::Cancelled
    }
}

impl Vault {
    /// Restores a snapshot or a part of it.
    ///
    /// # Errors
    /// [`RestoreError`]; what could not be restored whole is no error, it is in the summary.
    pub async fn restore<S: Segments>(
        &self,
        options: RestoreOptions,
        segments: &Arc<S>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<RestoreSummary, RestoreError> {
        let wanted = Wanted {
            include: Globs::new(&options.include)?,
            exclude: Globs::new(&options.exclude)?,
            foreign: false,
        };
        let path = options.subpath.unwrap_or_else(|| "/".into());
        let what = What::InSnapshot(options.snapshot, path);
        let how = How {
            target: options.target,
            verify: options.verify,
            foreign: false,
        };
        let reader = self.reader();
        reader
            .restore((what, wanted), how, segments, (progress, cancel))
            .await
    }
}

/// Where a restore begins.
pub(crate) enum What {
    /// At a path of a snapshot.
    InSnapshot(Snapshot, PathBuf),
    /// With all that a tree holds.
    Tree(Content),
    /// With one entry.
    Entry(Box<Entry>),
}

/// Where to, and how.
pub(crate) struct How {
    pub(crate) target: PathBuf,
    pub(crate) verify: bool,
    /// Whether it comes from somebody else.
    pub(crate) foreign: bool,
}

impl Reader {
    /// Restores what is wanted.
    pub(crate) async fn restore<S: Segments>(
        &self,
        (what, wanted): (What, Wanted),
        how: How,
        segments: &Arc<S>,
        (progress, cancel): (&Progress, &CancellationToken),
    ) -> Result<RestoreSummary, RestoreError> {
        let stop = cancel.child_token();
        let _ends_with_us = stop.clone().drop_guard();
        progress.phase(Phase::Planning);
        let (mut plan, base, cut) = self.plan(what, wanted, segments, &stop).await?;
        let (files, bytes) = plan.totals().await?;
        progress.totals(files, bytes);
        let target = how.target.clone();
        let below = join(spawn_blocking(move || Below::open(&target)).await)?;
        let mut below = below.map_err(|source| RestoreError::Target {
            path: how.target.clone(),
            source,
        })?;
        if how.foreign {
            below = below.of_others();
        }
        let run = Run {
            reader: self,
            segments,
            progress,
            stop: &stop,
            plan,
            below: Some(below),
            target: how.target,
            summary: RestoreSummary::default(),
        };
        let cut = cut.map(|error| Problem {
            path: base.as_path().to_owned(),
            error,
        });
        run.all(how.verify, &base, cut).await
    }

    /// Reads the trees into a plan; also where in the snapshot it begins, and why not all of the
    /// folder there is in it.
    async fn plan<S: Segments>(
        &self,
        what: What,
        wanted: Wanted,
        segments: &Arc<S>,
        stop: &CancellationToken,
    ) -> Result<(Plan, PathBytes, Option<String>), RestoreError> {
        let plan = Plan::create(&self.tmp).await?;
        let mut source = self.source(segments, stop);
        let planning = spawn_blocking(move || {
            let (what, mut base) = match what {
                What::InSnapshot(snapshot, path) => {
                    let what = match find(&mut source, &snapshot, &path)? {
                        Found::Root => What::Tree(snapshot.root),
                        Found::Entry(entry) => What::of(entry),
                    };
                    (what, path_bytes(&path))
                }
                shared @ (What::Tree(_) | What::Entry(_)) => (shared, PathBytes::default()),
            };
            let planner = |base: &PathBytes| Planner::new(source, plan, wanted, base.clone());
            let (plan, cut) = match what {
                What::InSnapshot(snapshot, _) => planner(&base).plan_tree(&snapshot.root)?,
                What::Tree(tree) => planner(&base).plan_tree(&tree)?,
                What::Entry(entry) => {
                    base.leave_last();
                    planner(&base).plan_entry(&entry)?
                }
            };
            Ok((plan, base, cut))
        });
        join(planning.await)?
    }
}

impl What {
    /// An entry, or what a folder holds.
    pub(crate) fn of(entry: Box<Entry>) -> Self {
        match &entry.kind {
            Kind::Dir(tree) => Self::Tree(tree.clone()),
            Kind::File(_)
            | Kind::Symlink(_)
            | Kind::Fifo
            | Kind::CharDevice(_)
            | Kind::BlockDevice(_) => Self::Entry(entry),
        }
    }
}

fn path_bytes(path: &Path) -> PathBytes {
    let mut bytes = PathBytes::default();
    for part in path.components() {
        if let Component::Normal(name) = part {
            bytes.enter(name.as_bytes());
        }
    }
    bytes
}

/// A restore under way.
struct Run<'a, S: Segments> {
    reader: &'a Reader,
    segments: &'a Arc<S>,
    progress: &'a Progress,
    stop: &'a CancellationToken,
    plan: Plan,
    /// Lent to the blocking thread at work; only ever missing while one is.
    below: Option<Below>,
    target: PathBuf,
    summary: RestoreSummary,
}

impl<S: Segments> Run<'_, S> {
    async fn all(
        mut self,
        verify: bool,
        base: &PathBytes,
        cut: Option<Problem>,
    ) -> Result<RestoreSummary, RestoreError> {
        self.progress.phase(Phase::Writing);
        self.make().await?;
        self.link().await?;
        self.write().await?;
        self.progress.phase(Phase::Finishing);
        if verify {
            self.verify().await?;
        }
        self.plan.spoil_links().await?;
        self.finish().await?;
        self.summarise(base, cut).await?;
        self.progress.phase(Phase::Done);
        Ok(self.summary)
    }

    /// Does `work` on a blocking thread with the target in hand.
    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Below) -> T + Send + 'static,
    ) -> Result<T, RestoreError> {
        if self.stop.is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        let mut below = self.below.take().ok_or(RestoreError::Cancelled)?;
        let (below, done) = join(
            spawn_blocking(move || {
                let done = work(&mut below);
                (below, done)
            })
            .await,
        )?;
        self.below = Some(below);
        Ok(done)
    }

    async fn spoil(&mut self, done: Result<Spoilt, Full>) -> Result<(), RestoreError> {
        let spoilt = done.map_err(|Full| RestoreError::Full(self.target.clone()))?;
        for _ in &spoilt {
            self.progress.error();
        }
        Ok(self.plan.spoil(&spoilt).await?)
    }

    async fn make(&mut self) -> Result<(), RestoreError> {
        let mut last = 0;
        loop {
            let page = self.plan.entries_after(last).await?;
            let Some(end) = page.last() else {
                return Ok(());
            };
            last = end.no;
            let done = self.work(move |below| place::make(below, &page)).await?;
            self.spoil(done).await?;
        }
    }

    async fn link(&mut self) -> Result<(), RestoreError> {
        let mut last = 0;
        loop {
            let page = self.plan.links_after(last).await?;
            let Some(end) = page.last() else {
                return Ok(());
            };
            last = end.0;
            let done = self.work(move |below| place::link(below, &page)).await?;
            self.spoil(done).await?;
        }
    }

    /// Segment after segment; while one is written, the next is fetched.
    async fn write(&mut self) -> Result<(), RestoreError> {
        let needed = self.plan.segments().await?;
        self.progress.segments_total(needed.len() as u64);
        let mut next = JoinSet::new();
        self.fetch(&mut next, needed.first()).await?;
        for (i, no) in needed.iter().enumerate() {
            let fetched = self.stop.run_until_cancelled(next.join_next()).await;
            let fetched = join(fetched.flatten().ok_or(RestoreError::Cancelled)?)?;
            self.fetch(&mut next, needed.get(i + 1)).await?;
            match fetched {
                Ok(fetched) => {
                    self.write_segment(*no, &fetched).await?;
                    self.summary.segments += 1;
                }
                Err(e) => {
                    self.progress.error();
                    self.plan.spoil_segment(*no, &e.to_string()).await?;
                }
            }
            self.progress.segment();
        }
        Ok(())
    }

    async fn fetch(
        &self,
        next: &mut JoinSet<Result<Fetched<S>, SegmentsError>>,
        no: Option<&i64>,
    ) -> Result<(), RestoreError> {
        let Some(no) = no else { return Ok(()) };
        let id = self.reader.index.segment_id(*no).await?;
        let segments = Arc::clone(self.segments);
        next.spawn(Fetched::of(segments, id));
        Ok(())
    }

    async fn write_segment(&mut self, no: i64, fetched: &Fetched<S>) -> Result<(), RestoreError> {
        let opened = File::open(&fetched.path)
            .and_then(|file| SegmentReader::new(file, &self.reader.keys, fetched.id));
        let mut reader = match opened {
            Ok(reader) => reader,
            Err(e) => return Ok(self.plan.spoil_segment(no, &e.to_string()).await?),
        };
        let mut after = (-1, 0);
        loop {
            let page = self.plan.pieces_after(no, after).await?;
            let Some((end, path)) = page.last() else {
                return Ok(());
            };
            after = (end.place.offset.cast_signed(), end.row);
            self.progress
                .file(&self.target.join(std::ffi::OsStr::from_bytes(path)));
            let (done, back) = self
                .work(move |below| (place::write(below, &mut reader, &page), reader))
                .await?;
            reader = back;
            let done = done.map(|written| {
                self.progress.bytes(written.bytes);
                written.spoilt
            });
            self.spoil(done).await?;
        }
    }

    /// By ids, which only a vault's keys compute: what a share's blobs are, their seals have shown.
    async fn verify(&mut self) -> Result<(), RestoreError> {
        let reader = self.reader;
        let OpenKeys::Vault(keys) = &reader.keys else {
            return Ok(());
        };
        let mut after = (0, 0);
        loop {
            let page = self.plan.pieces_by_file(after).await?;
            let Some((end, _)) = page.last() else {
                return Ok(());
            };
            after = (end.file, end.row);
            let keys = keys.clone();
            let done = self
                .work(move |below| place::compare(below, &keys, &page))
                .await?;
            self.summary.bytes_verified += done.bytes;
            self.spoil(Ok(done.spoilt)).await?;
        }
    }

    /// From the last entry to the first: what is in a directory comes before it.
    async fn finish(&mut self) -> Result<(), RestoreError> {
        let mut last = i64::MAX;
        loop {
            let page = self.plan.entries_before(last).await?;
            let Some(end) = page.last() else {
                return Ok(());
            };
            last = end.no;
            for _ in page.iter().filter(|e| e.problem.is_none()) {
                self.progress.file_done();
            }
            let done = self.work(move |below| place::finish(below, &page)).await?;
            self.spoil(done).await?;
        }
    }

    async fn summarise(
        &mut self,
        base: &PathBytes,
        cut: Option<Problem>,
    ) -> Result<(), RestoreError> {
        let (files, bytes, dirs) = self.plan.made().await?;
        let (count, named) = self.plan.spoilt(place::DEVICES).await?;
        self.summary.unrestored = self.work(|below| below.unrestored()).await?;
        self.summary.files = files;
        self.summary.bytes = bytes;
        self.summary.dirs = dirs;
        let spoilt = named.into_iter().map(|(path, error)| Problem {
            path: base.as_path().join(std::ffi::OsStr::from_bytes(&path)),
            error,
        });
        self.summary.incomplete = Problems {
            count: count + u64::from(cut.is_some()),
            named: cut.into_iter().chain(spoilt).collect(),
        };
        Ok(())
    }
}
