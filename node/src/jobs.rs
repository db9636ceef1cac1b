//! Backups and restores as jobs: begun by a call, watched by polling, cancelled by another call.
//! A job keeps its outcome until the node stops or a hundred newer ones have ended.

mod marks;
mod prune;

mod checking;
mod drilling;
mod mounting;
mod parts;
mod scheduled;
mod told;

pub(crate) use self::mounting::{MOUNTED, UNREADABLE};
use self::told::left_out;
pub(crate) use self::told::{failures, note_failures};
use crate::drills::Drills;
use crate::driver::{DriverHandle, Msg};
use crate::home::now;
use crate::recovery::Recovery;
use crate::segments::{NetSegments, PlaceError};
use crate::working::Working;
use futures::FutureExt as _;
use larder_backup::{
    BackupError, BackupOptions, Phase, RestoreError, RestoreOptions, SegmentsError, State, Vault,
};
use larder_engine::NoRoom;
use larder_engine::placement::Plan;
use larder_engine::policy::Part;
use larder_engine::standing::HeadState;
use larder_rpc::{
    BackupParams, BackupSummary, Code, Job, JobKind, JobLine, JobResult, JobState, Moment, Nano,
    RestoreParams, RestoreSummary, RpcError, Text,
};
use larder_types::{Amount, Class, Time};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Jobs that wait or run at once; the vault lets one of them write at a time.
const MAX_OPEN: usize = 16;
/// How long a backup waits until providers hold a head that names it.
const HEAD_WAIT: Duration = Duration::from_secs(30);
/// Ended jobs that are remembered.
const MAX_ENDED: usize = 100;

/// The node's jobs.
#[derive(Debug, Clone)]
pub struct Jobs {
    /// The vault.
    pub vault: Vault,
    segments: Arc<NetSegments>,
    driver: DriverHandle,
    home: PathBuf,
    drills: Drills,
    /// Held by the drill that runs.
    drilling: Arc<tokio::sync::Mutex<()>>,
    mounts: TaskTracker,
    all: Arc<Mutex<BTreeMap<u64, Entry>>>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Entry {
    kind: JobKind,
    started: Time,
    began: Instant,
    ended: Option<Time>,
    working: Working,
    outcome: Option<Result<JobResult, RpcError>>,
}

impl Jobs {
    /// No jobs yet.
    #[must_use]
    pub fn new(
        vault: Vault,
        segments: NetSegments,
        driver: DriverHandle,
        home: PathBuf,
        drills: Drills,
        stop: CancellationToken,
    ) -> Self {
        Self {
            vault,
            segments: Arc::new(segments),
            driver,
            home,
            drills,
            drilling: Arc::default(),
            mounts: TaskTracker::new(),
            all: Arc::default(),
            stop,
        }
    }

    /// Where segments are kept.
    #[must_use]
    pub fn segments(&self) -> &Arc<NetSegments> {
        &self.segments
    }

    /// Begins a backup; gives its job's name.
    ///
    /// # Errors
    /// If too many jobs are open.
    pub fn backup(&self, params: BackupParams) -> Result<String, RpcError> {
        self.begin(JobKind::Backup, |jobs, working| async move {
            jobs.do_backup(params, &working)
                .await
                .map(JobResult::Backup)
        })
    }

    /// Begins a restore; gives its job's name.
    ///
    /// # Errors
    /// If too many jobs are open.
    pub fn restore(&self, params: RestoreParams) -> Result<String, RpcError> {
        self.begin(JobKind::Restore, |jobs, working| async move {
            jobs.do_restore(params, &working)
                .await
                .map(JobResult::Restore)
        })
    }

    /// Begins a recovery; gives its job's name.
    ///
    /// # Errors
    /// If too many jobs are open.
    pub fn recover(&self, recovery: Recovery) -> Result<String, RpcError> {
        self.begin(JobKind::Recover, |jobs, working| async move {
            recovery
                .run(&jobs.vault, &jobs.segments, &working)
                .await
                .map(JobResult::Recover)
        })
    }

    /// Begins a job; gives its name.
    pub(crate) fn begin<F>(
        &self,
        kind: JobKind,
        work: impl FnOnce(Self, Working) -> F + Send + 'static,
    ) -> Result<String, RpcError>
    where
        F: Future<Output = Result<JobResult, RpcError>> + Send + 'static,
    {
        let working = Working::new(self.stop.child_token());
        let id = {
            let mut all = self.lock();
            if all.values().filter(|e| e.ended.is_none()).count() >= MAX_OPEN {
                let why = "too many jobs are running; wait for one to end (`larder status`)";
                return Err(RpcError::new(Code::TooManyJobs, why));
            }
            forget_oldest(&mut all);
            let id = all.keys().next_back().map_or(1, |last| last + 1);
            let entry = Entry {
                kind,
                started: now(),
                began: Instant::now(),
                ended: None,
                working: working.clone(),
                outcome: None,
            };
            all.insert(id, entry);
            id
        };
        let jobs = self.clone();
        tokio::spawn(async move {
            let working = AssertUnwindSafe(async { work(jobs.clone(), working).await });
            let outcome = working.catch_unwind().await.unwrap_or_else(|_| {
                let why = "the job ended in a panic; please report it with the node's log";
                Err(RpcError::new(Code::Internal, why))
            });
            if let Some(entry) = jobs.lock().get_mut(&id) {
                let text = match &outcome {
                    Ok(_) => "done".to_owned(),
                    Err(e) => e.to_string(),
                };
                entry.working.note(text);
                entry.ended = Some(now());
                entry.outcome = Some(outcome);
            }
        });
        Ok(id.to_string())
    }

    async fn back_up(
        &self,
        params: &BackupParams,
        part: Part,
        working: &Working,
    ) -> Result<BackupSummary, RpcError> {
        let (progress, cancel) = (&working.progress, &working.cancel);
        let began = Instant::now();
        let class = part.class;
        let named: Vec<String> = part.paths.iter().map(|p| p.display().to_string()).collect();
        let mut options = BackupOptions::new(part.paths, host(), now());
        options.class = class;
        options.tags.clone_from(&params.tags);
        options.excludes = part.excludes;
        options.own.push(self.home.clone());
        options.dry_run = params.dry_run;
        let spent = self.escrowed().await?;
        working.note(format!("reading {} at class {class}", named.join(", ")));
        let plan = if params.dry_run {
            None
        } else {
            let (_, bytes) = self
                .vault
                .estimate(&options)
                .await
                .map_err(|e| backup_error(&e))?;
            working.note(format!("making room for {bytes} bytes at class {class}"));
            Some(self.prepare(class, bytes, cancel).await?)
        };
        let made = self
            .vault
            .backup(options, &self.segments, progress, cancel)
            .await;
        let made = made.map_err(|e| backup_error(&e))?;
        note_failures(working, &made.errors);
        let cost = self.escrowed().await?.saturating_sub(spent);
        let head = match params.dry_run {
            true => None,
            false => self.wait_for_head(working).await?,
        };
        let code = plan.map(|p| p.code);
        Ok(BackupSummary {
            snapshot: made.snapshot.map(|id| id.to_string()),
            files: made.files,
            dirs: made.dirs,
            unchanged: made.unchanged,
            left_out: made.left_out.iter().map(left_out).collect(),
            errors: made.errors.count,
            failures: failures(&made.errors),
            bytes: made.bytes,
            bytes_new: made.bytes_new,
            bytes_stored: made.bytes_stored,
            segments: made.segments,
            cost: Nano(cost),
            class: Text(class),
            k: code.map_or(0, larder_coding::Code::k),
            n: code.map_or(0, larder_coding::Code::n),
            repair_at: code.map_or(0, larder_coding::Code::r),
            annual_loss: plan.map_or(0.0, |p| p.annual_loss),
            class_met: plan.is_none_or(|p| p.class_met),
            head_holders: head.map_or(0, |h| h.holders),
            head_wanted: head.map_or(0, |h| h.wanted),
            seconds: began.elapsed().as_secs_f64(),
            also: Vec::new(),
        })
    }

    /// Waits until providers hold what the words alone bring the backup back by; not for ever, and
    /// whoever is in a hurry may go: the backup itself is done.
    async fn wait_for_head(&self, working: &Working) -> Result<Option<HeadState>, RpcError> {
        working.at(
            "finishing",
            "waiting until providers hold the head".to_owned(),
        );
        let kept = crate::heads::kept(&self.driver, HEAD_WAIT);
        match working.cancel.run_until_cancelled(kept).await {
            Some(state) => state.map_err(|e| RpcError::new(Code::Stopping, e)),
            None => {
                let state = self.driver.query(larder_engine::Engine::head_state).await;
                state.map_err(|e| RpcError::new(Code::Stopping, e))
            }
        }
    }

    async fn do_restore(
        &self,
        params: RestoreParams,
        working: &Working,
    ) -> Result<RestoreSummary, RpcError> {
        let (progress, cancel) = (&working.progress, &working.cancel);
        let began = Instant::now();
        let (id, snapshot) = self
            .vault
            .resolve(&params.snapshot)
            .await
            .map_err(|e| resolve_error(&e))?;
        working.note(format!("restoring {id} into {}", params.target));
        let options = RestoreOptions {
            snapshot,
            subpath: params.path.map(PathBuf::from),
            target: PathBuf::from(&params.target),
            include: params.include,
            exclude: params.exclude,
            verify: params.verify,
        };
        let made = self
            .vault
            .restore(options, &self.segments, progress, cancel)
            .await;
        let made = made.map_err(|e| restore_error(&e))?;
        note_failures(working, &made.incomplete);
        let unrestored: Vec<_> = made.unrestored.iter().map(ToString::to_string).collect();
        for line in &unrestored {
            working.note(line.clone());
        }
        Ok(RestoreSummary {
            snapshot: id.to_string(),
            target: params.target,
            files: made.files,
            dirs: made.dirs,
            bytes: made.bytes,
            errors: made.incomplete.count,
            failures: failures(&made.incomplete),
            unrestored,
            verified: params.verify,
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// Room for what is to come: a code, providers, contracts, credit.
    async fn prepare(
        &self,
        class: Class,
        bytes: u64,
        cancel: &CancellationToken,
    ) -> Result<Plan, RpcError> {
        let (done, prepared) = oneshot::channel();
        let msg = Msg::Prepare { class, bytes, done };
        self.driver
            .send(msg)
            .await
            .map_err(|e| RpcError::new(Code::Stopping, e))?;
        tokio::select! {
            () = cancel.cancelled() => Err(RpcError::new(Code::Cancelled, "interrupted")),
            plan = prepared => plan
                .map_err(|_| RpcError::new(Code::Stopping, "the node is stopping"))?
                .map_err(|e| no_room(&e)),
        }
    }

    /// What the home's contracts have cost in all.
    async fn escrowed(&self) -> Result<Amount, RpcError> {
        let contracts = self.driver.query(larder_engine::Engine::contracts).await;
        let contracts = contracts.map_err(|e| RpcError::new(Code::Stopping, e))?;
        Ok(contracts
            .iter()
            .filter(|c| c.rented)
            .filter_map(|c| {
                let term = u64::from(c.leaf.end_epoch.saturating_sub(c.leaf.start_epoch));
                c.leaf.rate.checked_mul(term)
            })
            .sum())
    }

    /// Every job, newest first.
    #[must_use]
    pub fn list(&self) -> Vec<Job> {
        self.lock()
            .iter()
            .rev()
            .map(|(id, entry)| entry.show(*id))
            .collect()
    }

    /// One job.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn get(&self, id: &str) -> Result<Job, RpcError> {
        let all = self.lock();
        let id: u64 = id.parse().map_err(|_| no_job(id))?;
        all.get(&id)
            .map(|e| e.show(id))
            .ok_or_else(|| no_job(&id.to_string()))
    }

    /// What a job did, the oldest first.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn log(&self, id: &str) -> Result<Vec<JobLine>, RpcError> {
        let number: u64 = id.parse().map_err(|_| no_job(id))?;
        let all = self.lock();
        let entry = all.get(&number).ok_or_else(|| no_job(id))?;
        Ok(entry.working.log())
    }

    /// Asks a job to stop.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn cancel(&self, id: &str) -> Result<(), RpcError> {
        let number: u64 = id.parse().map_err(|_| no_job(id))?;
        let all = self.lock();
        let entry = all.get(&number).ok_or_else(|| no_job(id))?;
        entry.working.note("asked to stop".to_owned());
        entry.working.cancel.cancel();
        Ok(())
    }

    /// Jobs that wait or run.
    #[must_use]
    pub fn open(&self) -> usize {
        self.lock().values().filter(|e| e.ended.is_none()).count()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn show(&self, id: u64) -> Job {
        let state = self.working.progress.now();
        Job {
            job: id.to_string(),
            kind: self.kind,
            state: self.state(),
            started: Moment(self.started),
            ended: self.ended.map(Moment),
            progress: self.progress(&state),
            result: self.outcome.as_ref().and_then(|o| o.as_ref().ok().cloned()),
            error: self
                .outcome
                .as_ref()
                .and_then(|o| o.clone().err().map(Into::into)),
        }
    }

    fn state(&self) -> JobState {
        match &self.outcome {
            None => JobState::Running,
            Some(Ok(_)) => JobState::Done,
            Some(Err(e)) if e.code == Code::Cancelled => JobState::Cancelled,
            Some(Err(_)) => JobState::Failed,
        }
    }

    fn progress(&self, state: &State) -> larder_rpc::Progress {
        let step = self.working.step();
        let phase = match state.phase {
            Phase::Preparing => "preparing",
            Phase::Indexing => "indexing",
            Phase::Reading => "reading",
            Phase::Storing => "storing",
            Phase::Planning => "planning",
            Phase::Writing => "writing",
            Phase::Finishing => "finishing",
            Phase::Done => "done",
        };
        let ms = u64::try_from(self.began.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        larder_rpc::Progress {
            stage: step.as_ref().map_or(phase, |s| s.stage).to_owned(),
            files: state.files,
            bytes: state.bytes,
            total_files: state.files_total.unwrap_or(0),
            total_bytes: state.bytes_total.unwrap_or(0),
            rate: state.bytes.saturating_mul(1_000) / ms,
            segments: state.segments,
            total_segments: state.segments_total.unwrap_or(0),
            current: match step {
                Some(step) => Some(step.detail),
                None => state
                    .current
                    .as_ref()
                    .map(|p| p.to_string_lossy().into_owned()),
            },
        }
    }
}

fn forget_oldest(all: &mut BTreeMap<u64, Entry>) {
    let ended: Vec<u64> = all
        .iter()
        .filter(|(_, e)| e.ended.is_some())
        .map(|(id, _)| *id)
        .collect();
    for id in ended.iter().take(ended.len().saturating_sub(MAX_ENDED - 1)) {
        all.remove(id);
    }
}

fn no_job(id: &str) -> RpcError {
    RpcError::new(Code::NoJob, format_args!("no job {id}"))
}

/// Paths that a caller named; the node has no working directory that callers know.
///
/// # Errors
/// If one is not absolute.
pub fn paths(given: &[String]) -> Result<Vec<PathBuf>, RpcError> {
    given
        .iter()
        .map(|path| {
            let path = PathBuf::from(path);
            if path.is_absolute() {
                return Ok(path);
            }
            let why = format_args!("{} is not an absolute path", path.display()).to_string();
            Err(RpcError::new(Code::BadValue, why))
        })
        .collect()
}

/// This machine's name.
#[must_use]
pub fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

pub(crate) fn no_room(error: &NoRoom) -> RpcError {
    let code = match error {
        NoRoom::NoProviders => Code::NoOffers,
        NoRoom::NoQuota { .. } => Code::NoQuota,
        NoRoom::NoCredit { .. } => Code::InsufficientCredit,
        NoRoom::Allowance { .. } => Code::AllowanceReached,
        NoRoom::NoLedger => Code::NoValidator,
        NoRoom::Stalled => Code::NotDurable,
        NoRoom::Spool(_) => Code::DiskFull,
    };
    RpcError::new(code, error)
}

pub(crate) fn segments_error(error: &SegmentsError) -> RpcError {
    match error {
        SegmentsError::Store(source) => match source.downcast_ref::<PlaceError>() {
            Some(PlaceError::NoRoom(why)) => no_room(why),
            Some(PlaceError::Stopping(e)) => RpcError::new(Code::Stopping, e),
            None => RpcError::new(Code::Internal, error),
        },
        SegmentsError::Lost(_) => RpcError::new(Code::SegmentUnavailable, error),
        SegmentsError::Damaged(_) => RpcError::new(Code::Damaged, error),
        SegmentsError::Io { .. } => RpcError::new(Code::DiskFull, error),
    }
}

fn backup_error(error: &BackupError) -> RpcError {
    let code = match error {
        BackupError::Segments(inner) => return segments_error(inner),
        BackupError::NoPaths => Code::BadValue,
        BackupError::NoSuchPath { .. } => Code::Unreadable,
        BackupError::Glob(_) => Code::BadPattern,
        BackupError::Lock(_) => Code::VaultBusy,
        BackupError::Index(_) | BackupError::Seal(_) => Code::Internal,
        BackupError::Spool(_) => Code::DiskFull,
        BackupError::Cancelled => Code::Cancelled,
    };
    RpcError::new(code, error)
}

pub(crate) fn restore_error(error: &RestoreError) -> RpcError {
    let code = match error {
        RestoreError::Glob(_) => Code::BadPattern,
        RestoreError::Browse(inner) => return browse_error(inner),
        RestoreError::Fetch(_) => Code::SegmentUnavailable,
        RestoreError::Index(_) => Code::Internal,
        RestoreError::Target { .. } => Code::TargetUnwritable,
        RestoreError::Full(_) => Code::DiskFull,
        RestoreError::Cancelled => Code::Cancelled,
    };
    RpcError::new(code, error)
}

/// Why a snapshot was not found, for callers.
#[must_use]
pub fn resolve_error(error: &larder_backup::vault::ResolveError) -> RpcError {
    use larder_backup::vault::ResolveError;
    let code = match error {
        ResolveError::Empty | ResolveError::Unknown(_) | ResolveError::Forgotten(_) => {
            Code::NoSnapshot
        }
        ResolveError::Ambiguous(..) => Code::AmbiguousSnapshot,
        ResolveError::Index(_) => Code::Internal,
    };
    RpcError::new(code, error)
}

/// Why a snapshot cannot be looked into, for callers.
#[must_use]
pub fn browse_error(error: &larder_backup::BrowseError) -> RpcError {
    use larder_backup::BrowseError;
    let code = match error {
        BrowseError::NoSuchPath(_) => Code::NoSuchPath,
        BrowseError::Fetch(_) => Code::SegmentUnavailable,
        BrowseError::Cancelled => Code::Cancelled,
    };
    RpcError::new(code, error)
}
