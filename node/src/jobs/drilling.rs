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
use std::io;
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
        let chosen = self.choose(&snapshot, sample).await?;
        working.note(format!(
            "restoring {} files of {id}, {sample} of it",
            chosen.len()
        ));
        // Two drills at once would empty each other's folder.
        let _turn = self.drilling.lock().await;
        let folder = self.home.join(FOLDER);
        clear(&folder).await?;
        let made = self.try_restore(snapshot, &chosen, &folder, working).await;
        clear(&folder).await?;
        let (bytes, failed) = made?;
        let outcome = Outcome {
            time: now(),
            snapshot: id.to_string(),
            files: chosen.len() as u64,
            bytes,
            failures: failed.len() as u64,
        };
        let drills = self.drills.clone();
        let kept = spawn_blocking(move || drills.keep(outcome)).await;
        let kept = kept.map_err(|e| RpcError::new(Code::Internal, e))?;
        Ok(DrillSummary {
            drill: kept.map_err(|e| RpcError::new(Code::Internal, e))?,
            failures: failed,
            seconds: began.elapsed().as_secs_f64(),
        })
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

    /// Files at random, as many bytes of them as a sample wants, about; at least one if there is any.
    async fn choose(&self, snapshot: &Snapshot, sample: Sample) -> Result<Vec<String>, RpcError> {
        let (out, listed) = mpsc::channel(LISTING);
        let root = PathBuf::from("/");
        let listing = self
            .vault
            .ls(snapshot.clone(), root, Depth::All, &self.segments, out);
        let choosing = choose(listed, (snapshot.files, snapshot.bytes), sample);
        let (ended, chosen) = tokio::join!(listing, choosing);
        ended.map_err(|e| browse_error(&e))?;
        Ok(chosen)
    }
}

/// Takes each file with the chance that the sample is of the whole.
async fn choose(
    mut listed: mpsc::Receiver<Listed>,
    (files, bytes): (u64, u64),
    sample: Sample,
) -> Vec<String> {
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
    while let Some(one) = listed.recv().await {
        let Kind::File(_) = one.entry.kind else {
            continue;
        };
        // What has no text cannot be named to the restore.
        let Some(path) = one.path.to_str().map(ToOwned::to_owned) else {
            continue;
        };
        seen += 1;
        if rand::random_range(0..seen) == 0 {
            spare = Some(path.clone());
        }
        if (chosen.len() as u64) < MAX_FILES && rand::random_range(0..den) < num {
            chosen.push(path);
        }
    }
    if chosen.is_empty() {
        chosen.extend(spare);
    }
    chosen
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

async fn clear(folder: &Path) -> Result<(), RpcError> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            let why = format_args!("{}: {e}", folder.display());
            Err(RpcError::new(Code::TargetUnwritable, why))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
