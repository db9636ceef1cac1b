//! Making a snapshot: one thread reads and cuts, one seals and packs, and segments are sent
//! meanwhile. A crash at any moment loses no more than what was under way: the next run sends the
//! spool's finished segments again, and finds everything durable in the index.

use crate::contents::{Says, contents_of};
use crate::emit::{Emitter, Stop};
use crate::exclude::GlobError;
use crate::index::IndexError;
use crate::lock::{Held, LockError, hold};
use crate::pack::{Packer, Tools};
use crate::progress::{Phase, Progress};
use crate::read::{Reader, Reading};
use crate::scout::estimate;
use crate::seen::{Known, Seen};
use crate::segments::{SealedSegment, Segments, SegmentsError};
use crate::snapshot::Snapshot;
use crate::spool::SpoolError;
use crate::summary::Summary;
use crate::vault::Vault;
use crate::walk::{Roots, Walker, absolute};
use larder_coding::SealError;
use larder_types::{BlobId, Class, Time};
use serde_bytes::ByteBuf;
use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use tokio::runtime::Handle;
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;

/// What to back up, and as what.
#[derive(Clone, Debug)]
pub struct BackupOptions {
    /// Files and folders; relative ones are taken from the working directory.
    pub paths: Vec<PathBuf>,
    /// The redundancy class. Blobs that lie in a lower one are stored again.
    pub class: Class,
    /// What the user calls the snapshot.
    pub tags: Vec<String>,
    /// Globs to leave out, as in [`crate::exclude`].
    pub excludes: Vec<String>,
    /// Whether caches, temporary files and trash are left out.
    pub default_excludes: bool,
    /// Folders never entered, besides the vault's own: the node's home.
    pub own: Vec<PathBuf>,
    /// This machine's name.
    pub host: String,
    /// Now.
    pub time: Time,
    /// Only say what would be new; nothing is written or sent.
    pub dry_run: bool,
}

impl BackupOptions {
    /// A backup of `paths` at class normal with the default excludes.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>, host: String, time: Time) -> Self {
        Self {
            paths,
            class: Class::default(),
            tags: Vec::new(),
            excludes: Vec::new(),
            default_excludes: true,
            own: Vec::new(),
            host,
            time,
            dry_run: false,
        }
    }
}

/// Why there is no snapshot. What was stored until then stays, and is not sent again.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// No path was named.
    #[error("nothing to back up: name at least one file or folder")]
    NoPaths,
    /// None of the paths exists.
    #[error("{path}: {source}", path = path.display())]
    NoSuchPath {
        /// The first of them.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An exclude that does not parse.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// Someone else writes.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The spool: its disk is full, for example.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A segment could not be stored; the next run tries it again.
    #[error("storing a segment: {0}")]
    Segments(#[from] SegmentsError),
    /// A description that is too long for a blob: thousands of long paths.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Somebody asked for it.
    #[error("interrupted; what was stored so far is kept")]
    Cancelled,
}

impl Vault {
    /// Files and bytes below `paths` that a backup would read.
    ///
    /// # Errors
    /// [`BackupError`] if a path or glob is none.
    pub async fn estimate(&self, options: &BackupOptions) -> Result<(u64, u64), BackupError> {
        let (walker, roots, _) = self.look(options)?;
        let sum = spawn_blocking(move || estimate(&walker, &roots, &|| true)).await;
        Ok(join(sum)?.unwrap_or_default())
    }

    /// Makes a snapshot. Dropping the future, or `cancel`, ends it at the next blob.
    ///
    /// # Errors
    /// [`BackupError`]; entries that cannot be read are no error, they are in the summary.
    pub async fn backup<S: Segments>(
        &self,
        options: BackupOptions,
        segments: &Arc<S>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Summary, BackupError> {
        let (walker, roots, paths) = self.look(&options)?;
        progress.phase(Phase::Preparing);
        let lock = Arc::new(hold(&self.turn, &self.dir).await?);
        let stop = cancel.child_token();
        let _ends_with_us = stop.clone().drop_guard();
        let left = if options.dry_run {
            Vec::new()
        } else {
            self.face_losses(segments.as_ref()).await?;
            self.left_over(segments.as_ref()).await?
        };
        let tools = self.tools(segments, progress, &stop, &lock);
        let packer = Packer::new(tools, options.class, options.dry_run);
        let (reading, packer) = self
            .read_and_pack(
                (Arc::new((walker, roots)), options.class, options.dry_run),
                packer,
                left,
                progress,
                &stop,
            )
            .await?;
        progress.phase(Phase::Storing);
        let snapshot = snapshot_of(options, paths, &reading);
        let (id, packed) = match snapshot {
            None => (None, packer.packed()),
            Some(snapshot) => {
                let (id, packed) = join(spawn_blocking(|| packer.finish(snapshot)).await)??;
                (Some(id), packed)
            }
        };
        progress.phase(Phase::Done);
        Ok(Summary {
            snapshot: id,
            files: reading.tally.files,
            dirs: reading.tally.dirs,
            errors: reading.problems,
            unchanged: reading.tally.unchanged,
            changed: reading.tally.changed,
            left_out: reading.receipt.omissions(),
            bytes: reading.tally.bytes,
            bytes_new: packed.bytes_new,
            bytes_stored: packed.bytes_stored,
            segments: packed.segments,
        })
    }

    /// Checks what was asked for.
    fn look(&self, options: &BackupOptions) -> Result<(Walker, Roots, Vec<PathBuf>), BackupError> {
        let mut own = options.own.clone();
        own.push(self.dir.clone());
        let walker = Walker::new(&options.excludes, options.default_excludes, &own)?;
        let mut paths = Vec::new();
        let mut missing = None;
        for path in &options.paths {
            match path.symlink_metadata().and_then(|_| absolute(path)) {
                Ok(path) => paths.push(path),
                Err(source) => {
                    let path = path.clone();
                    missing.get_or_insert(BackupError::NoSuchPath { path, source });
                }
            }
        }
        match missing {
            Some(missing) if paths.is_empty() => return Err(missing),
            // The others are worth a snapshot; reading will name this one as a problem.
            Some(_) => {
                paths = options
                    .paths
                    .iter()
                    .filter_map(|p| std::path::absolute(p).ok())
                    .collect()
            }
            None if paths.is_empty() => return Err(BackupError::NoPaths),
            None => {}
        }
        let roots = Roots::of(&paths);
        Ok((walker, roots, paths))
    }

    pub(crate) fn tools<S: Segments>(
        &self,
        segments: &Arc<S>,
        progress: &Progress,
        stop: &CancellationToken,
        lock: &Arc<Held>,
    ) -> Tools<S> {
        Tools {
            keys: self.keys.clone(),
            index: self.index.clone(),
            spool: self.spool.clone(),
            segments: Arc::clone(segments),
            progress: progress.clone(),
            runtime: Handle::current(),
            stop: stop.clone(),
            lock: Arc::clone(lock),
        }
    }

    /// Both sides at once, each on a thread of its own.
    async fn read_and_pack<S: Segments>(
        &self,
        (look, class, dry_run): (Arc<(Walker, Roots)>, Class, bool),
        packer: Packer<S>,
        left: Vec<SealedSegment>,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> Result<(Reading, Packer<S>), BackupError> {
        let (tx, rx) = sync_channel(1);
        progress.phase(Phase::Reading);
        let counting = stop.child_token();
        let (seen, told, go_on) = (Arc::clone(&look), progress.clone(), counting.clone());
        let count = spawn_blocking(move || {
            if let Some((files, bytes)) = estimate(&seen.0, &seen.1, &|| !go_on.is_cancelled()) {
                told.totals(files, bytes);
            }
        });
        let (this, told, stop) = (self.clone(), progress.clone(), stop.clone());
        let runtime = Handle::current();
        let reading = spawn_blocking(move || {
            let out = Emitter::new(&this.keys, &this.metadata, tx, stop);
            let known: Known<'_> = Box::new(|ids: &[BlobId], class: Class| {
                // What cannot be looked up is read.
                let known = runtime.block_on(this.index.known(ids, class));
                known.unwrap_or_default()
            });
            let (known, settled) = ((known, class), this.settled);
            let seen = Seen::open(&this.dir, &this.keys, &look.1, known, settled, dry_run);
            Reader::new(&look.0, &this.content, out, &told, seen).run(&look.1)
        });
        let packing = spawn_blocking(move || packer.run(left, &rx));
        let (reading, packing) = (join(reading.await)?, join(packing.await)?);
        counting.cancel();
        join(count.await)?;
        // If packing failed, reading ended because of it.
        let packer = packing?;
        let reading = reading.map_err(|(Stop::Cancelled | Stop::Closed)| BackupError::Cancelled)?;
        Ok((reading, packer))
    }

    /// Durable segments that nobody can give back any more do not count as stored: what lies in them
    /// is stored again where it is met. Only [`Vault::verify`] takes that back.
    pub(crate) async fn face_losses<S: Segments>(&self, segments: &S) -> Result<(), BackupError> {
        let mut gone = self.durable_segment_ids().await?;
        let kept: HashSet<_> = segments.list().await?.iter().map(|s| s.id).collect();
        gone.retain(|id| !kept.contains(id));
        if !gone.is_empty() {
            tracing::warn!(
                "{} segments are lost: what is in them is new again",
                gone.len()
            );
        }
        Ok(self.index.set_lost(&gone, true).await?)
    }

    /// What an earlier run left: segments to send again. Pending segments without a file were
    /// either stored just before the end, or are lost with whatever was in them.
    pub(crate) async fn left_over<S: Segments>(
        &self,
        segments: &S,
    ) -> Result<Vec<SealedSegment>, BackupError> {
        let (known, pending) = (self.index.segments().await?, self.index.pending().await?);
        let mut left = Vec::new();
        let spool = self.spool.clone();
        for segment in join(spawn_blocking(move || spool.leftovers()).await)?? {
            if pending.contains(&segment.id)
                || !known.contains(&segment.id) && self.adopt(&segment).await?
            {
                left.push(segment);
            } else {
                self.spool.discard(&segment)?;
            }
        }
        let files: HashSet<_> = left.iter().map(|s| s.id).collect();
        let gone: Vec<_> = pending.iter().filter(|id| !files.contains(id)).collect();
        if !gone.is_empty() {
            let durable: HashSet<_> = segments.list().await?.iter().map(|s| s.id).collect();
            for id in gone {
                if durable.contains(id) {
                    self.index.mark_durable(*id, 0).await?;
                } else {
                    self.index.drop_segment(*id).await?;
                }
            }
        }
        Ok(left)
    }

    /// Enters a finished segment that a crash kept from the index; `false` if it is not whole.
    async fn adopt(&self, segment: &SealedSegment) -> Result<bool, BackupError> {
        let (path, keys, id) = (segment.path.clone(), self.keys.clone(), segment.id);
        let contents = join(spawn_blocking(move || contents_of(&path, &keys, id)).await)?;
        let Ok(contents) = contents else {
            return Ok(false);
        };
        if !contents.damage.is_empty() {
            return Ok(false);
        }
        let says = Says {
            listed: contents.listed(),
            snapshots: contents.snapshots,
            marks: contents.marks,
        };
        self.index
            .add_segment(segment, &contents.blobs, &says)
            .await?;
        Ok(true)
    }
}

fn snapshot_of(options: BackupOptions, paths: Vec<PathBuf>, reading: &Reading) -> Option<Snapshot> {
    (!options.dry_run).then(|| Snapshot {
        time: options.time,
        host: options.host,
        tags: options.tags,
        paths: paths
            .iter()
            .map(|p| ByteBuf::from(p.as_os_str().as_bytes()))
            .collect(),
        class: options.class,
        root: reading.root.clone(),
        files: reading.tally.files,
        dirs: reading.tally.dirs,
        bytes: reading.tally.bytes,
        errors: reading.problems.count,
    })
}

/// A blocking thread's answer; its panic goes on here.
pub(crate) fn join<T>(joined: Result<T, JoinError>) -> Result<T, BackupError> {
    match joined {
        Ok(value) => Ok(value),
        Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
        Err(_) => Err(BackupError::Cancelled),
    }
}
