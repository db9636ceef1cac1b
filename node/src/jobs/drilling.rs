//! A drill as a job: a random sample of a snapshot's files is restored into a folder of the home,
//! read once more and compared with what the snapshot says, and deleted.

use super::{Jobs, browse_error, failures, note_failures, resolve_error, restore_error};
use crate::drills::Outcome;
use crate::home::now;
use crate::working::Working;
use larder_backup::{Depth, Kind, Listed, RestoreOptions, Snapshot};
use larder_engine::policy::literal;
use larder_engine::sample::Sample;
use larder_rpc::{
    Code, Drill, DrillParams, DrillSummary, JobKind, JobResult, PathFailure, RpcError,
};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// What is restored unless somebody says otherwise.
const SAMPLE: Sample = Sample::Share(100);
/// Most files of a sample: each is a pattern of the restore's.
const MAX_FILES: u64 = 1_000;
/// The folder in the home.
const FOLDER: &str = "drill";
/// Bytes of the home's disk that a drill leaves free.
const RESERVE: u64 = 256 << 20;
/// Entries that wait to be chosen from.
const LISTING: usize = 256;

impl Jobs {
    /// Begins a drill; gives the job's name.
    ///
    /// # Errors
    /// If too many jobs are open, or the sample is none.
    pub fn drill(&self, params: DrillParams) -> Result<String, RpcError> {
        let sample = sample(params.sample.as_ref())?;
        self.begin(JobKind::Drill, move |jobs, working| async move {
            let made = jobs.do_drill(params.snapshot, sample, &working).await;
            made.map(JobResult::Drill)
        })
    }

    /// The drills that are kept, the newest first.
    #[must_use]
    pub fn drilled(&self) -> Vec<Drill> {
        self.drills.list()
    }

    pub(super) async fn do_drill(
        &self,
        snapshot: Option<String>,
        sample: Sample,
        working: &Working,
    ) -> Result<DrillSummary, RpcError> {
        let began = Instant::now();
        let name = snapshot.as_deref().unwrap_or("latest");
        let resolved = self.vault.resolve(name).await;
        let (id, snapshot) = resolved.map_err(|e| resolve_error(&e))?;
        // Two drills at once would empty each other's folder.
        let _turn = self.drilling.lock().await;
        let folder = self.home.join(FOLDER);
        clear(&folder).await?;
        let chosen = self.choose(&snapshot, sample, working).await?;
        working.note(format!(
            "restoring {} files of {id}, {sample} of it",
            chosen.len()
        ));
        let made = match self.try_restore(snapshot, &chosen, &folder, working).await {
            Ok((bytes, failed)) => {
                let outcome = Outcome {
                    time: now(),
                    snapshot: id.to_string(),
                    files: chosen.len() as u64,
                    bytes,
                    failures: failed.len() as u64,
                };
                self.keep(outcome).await.map(|drill| (drill, failed))
            }
            Err(e) => Err(e),
        };
        // What came of it holds, whether or not the folder can be emptied.
        if let Err(e) = clear(&folder).await {
            working.note(format!("the drill's folder is not emptied: {e}"));
            tracing::warn!("the drill's folder is not emptied: {e}");
        }
        let (drill, failed) = made?;
        Ok(DrillSummary {
            drill,
            failures: failed,
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// Signs and keeps what a drill came to.
    async fn keep(&self, outcome: Outcome) -> Result<Drill, RpcError> {
        let drills = self.drills.clone();
        let kept = spawn_blocking(move || drills.keep(outcome)).await;
        let kept = kept.map_err(|e| RpcError::new(Code::Internal, e))?;
        kept.map_err(|e| RpcError::new(Code::Internal, e))
    }

    /// Restores the chosen files and reads them again; bytes, and what failed.
    async fn try_restore(
        &self,
        snapshot: Snapshot,
        chosen: &[String],
        folder: &Path,
        working: &Working,
    ) -> Result<(u64, Vec<PathFailure>), RpcError> {
        if chosen.is_empty() {
            return Ok((0, Vec::new()));
        }
        let options = RestoreOptions {
            snapshot,
            subpath: None,
            target: folder.to_owned(),
            include: chosen.iter().map(|path| literal(path)).collect(),
            exclude: Vec::new(),
            verify: true,
        };
        let (progress, cancel) = (&working.progress, &working.cancel);
        let made = self
            .vault
            .restore(options, &self.segments, progress, cancel)
            .await;
        let made = made.map_err(|e| restore_error(&e))?;
        note_failures(working, &made.incomplete);
        let mut failed = failures(&made.incomplete);
        let (folder, chosen) = (folder.to_owned(), chosen.to_owned());
        let absent = spawn_blocking(move || absent(&folder, chosen)).await;
        let absent = absent.map_err(|e| RpcError::new(Code::Internal, e))?;
        for path in absent {
            if !failed.iter().any(|failure| failure.path == path) {
                let reason = "it did not come back".to_owned();
                failed.push(PathFailure { path, reason });
            }
        }
        Ok((made.bytes, failed))
    }

    /// Files at random, as many bytes of them as a sample wants, about; at least one if there is any,
    /// and no more than the home's disk has room for.
    async fn choose(
        &self,
        snapshot: &Snapshot,
        sample: Sample,
        working: &Working,
    ) -> Result<Vec<String>, RpcError> {
        let room = room(&self.home);
        let (out, listed) = mpsc::channel(LISTING);
        let root = PathBuf::from("/");
        let listing = self
            .vault
            .ls(snapshot.clone(), root, Depth::All, &self.segments, out);
        let choosing = choose(listed, (snapshot.files, snapshot.bytes), sample, room);
        let (ended, (chosen, too_large)) = tokio::join!(listing, choosing);
        ended.map_err(|e| browse_error(&e))?;
        if too_large > 0 {
            let why = format!(
                "{too_large} files are larger than what the home's disk has room for, and none of them \
                 is restored"
            );
            if chosen.is_empty() {
                return Err(RpcError::new(Code::DiskFull, why));
            }
            working.note(why);
        }
        Ok(chosen)
    }
}

/// Takes each file with the chance that the sample is of the whole, while there is room for it; says
/// how many files there is no room for at all.
async fn choose(
    mut listed: mpsc::Receiver<Listed>,
    (files, bytes): (u64, u64),
    sample: Sample,
    room: u64,
) -> (Vec<String>, u64) {
    let wanted = u128::from(sample.of(bytes.max(1)));
    // The smaller of two chances: the sample's, and the one that gives as many files as may be.
    let (num, den) = (wanted, u128::from(bytes.max(1)));
    let few = (u128::from(MAX_FILES), u128::from(files.max(1)));
    let (num, den) = if num * few.1 > few.0 * den {
        few
    } else {
        (num, den)
    };
    let mut chosen = Vec::new();
    let mut seen = 0_u64;
    let mut spare = None;
    let mut too_large = 0_u64;
    let mut left = room;
    while let Some(one) = listed.recv().await {
        let Kind::File(_) = one.entry.kind else {
            continue;
        };
        // What has no text cannot be named to the restore.
        let Some(path) = one.path.to_str().map(ToOwned::to_owned) else {
            continue;
        };
        let size = one.entry.size;
        if size > room {
            too_large += 1;
            continue;
        }
        seen += 1;
        if rand::random_range(0..seen) == 0 {
            spare = Some(path.clone());
        }
        let fits = (chosen.len() as u64) < MAX_FILES && size <= left;
        if fits && rand::random_range(0..den) < num {
            left -= size;
            chosen.push(path);
        }
    }
    if chosen.is_empty() {
        chosen.extend(spare);
    }
    (chosen, too_large)
}

/// Bytes that may be restored into the home; no bound if its disk does not say.
fn room(home: &Path) -> u64 {
    rustix::fs::statvfs(home).map_or(u64::MAX, |disk| {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        free.saturating_sub(RESERVE)
    })
}

/// The files that are not there though nothing was said of them.
fn absent(folder: &Path, chosen: Vec<String>) -> Vec<String> {
    let is_absent = |path: &String| {
        let at = folder.join(path.trim_start_matches('/'));
        !at.symlink_metadata().is_ok_and(|meta| meta.is_file())
    };
    chosen.into_iter().filter(is_absent).collect()
}

/// What a text says of a sample.
pub(super) fn sample(text: Option<&String>) -> Result<Sample, RpcError> {
    let parsed = text.map_or(Ok(SAMPLE), |text| text.parse());
    parsed.map_err(|e| RpcError::new(Code::BadValue, e))
}

/// Removes the folder with all that lies in it.
async fn clear(folder: &Path) -> Result<(), RpcError> {
    let of_task = folder.to_owned();
    let removed = spawn_blocking(move || {
        open_up(&of_task);
        fs::remove_dir_all(&of_task)
    });
    let removed = removed.await;
    match removed.map_err(|e| RpcError::new(Code::Internal, e))? {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            let why = format_args!("{}: {e}", folder.display());
            Err(RpcError::new(Code::TargetUnwritable, why))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Lets the owner into every directory: who is not root cannot empty one that was restored
/// read-only. Symlinks are not followed; what fails here shows when it is removed.
fn open_up(folder: &Path) {
    let mut left = vec![folder.to_owned()];
    while let Some(dir) = left.pop() {
        let meta = dir.symlink_metadata();
        let Some(meta) = meta.ok().filter(fs::Metadata::is_dir) else {
            continue;
        };
        let mode = meta.permissions().mode();
        if mode & 0o700 != 0o700
            && let Err(e) = fs::set_permissions(&dir, Permissions::from_mode(mode | 0o700))
        {
            tracing::debug!("{}: {e}", dir.display());
        }
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        let dirs = entries.flatten().filter(|entry| {
            let kind = entry.file_type();
            kind.is_ok_and(|kind| kind.is_dir())
        });
        left.extend(dirs.map(|entry| entry.path()));
    }
}
