//! Backups that begin by themselves. Which one is due decides `larder_engine::timing`; here the time
//! is told, trees are watched, and what is due is begun as a job: one at a time, and never while
//! another backup runs.

pub mod hook;
pub mod plan;
pub mod standing;
pub mod watching;

use self::plan::{Plan, PlanError, plans};
use self::standing::{Book, Standing};
use self::watching::Watches;
use crate::home::{Config, HomeError, ScheduleEntry, now};
use crate::jobs::Jobs;
use crate::settings::ConfigFile;
use jiff::tz::TimeZone;
use larder_engine::alerts::ScheduleFacts;
use larder_rpc::{BackupParams, Code, Moment, RpcError, Schedule, SetScheduleParams, Text};
use larder_types::Time;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

/// The clock is looked at this often: it may be set, and the machine may sleep.
const LOOK: Duration = Duration::from_secs(20);
/// While what is due has to wait, and between two looks at what changes all the time.
const PAUSE: Duration = Duration::from_millis(500);

/// The home's schedules. Clones are the same.
#[derive(Debug, Clone)]
pub struct Schedules {
    jobs: Jobs,
    config: ConfigFile,
    book: Arc<Mutex<Book>>,
    watches: Arc<Mutex<Watches>>,
    /// Something is to be looked at.
    wake: Arc<Notify>,
}

impl Schedules {
    /// Those of a home.
    #[must_use]
    pub fn new(jobs: Jobs, config: ConfigFile) -> Self {
        let wake = Arc::new(Notify::new());
        let home = config.home().to_owned();
        Self {
            jobs,
            book: Arc::new(Mutex::new(Book::open(&home))),
            watches: Arc::new(Mutex::new(Watches::new(Arc::clone(&wake), home))),
            config,
            wake,
        }
    }

    /// Begins what is due until it is dropped.
    pub async fn run(self) {
        let mut said = Vec::new();
        loop {
            let wait = match self.config.read() {
                Ok(config) => {
                    let (plans, bad) = plans(&config);
                    if said != bad {
                        bad.iter()
                            .for_each(|why| tracing::warn!("config.toml: {why}"));
                        said = bad;
                    }
                    self.look(plans).await
                }
                Err(e) => {
                    tracing::warn!("schedules: {e}");
                    LOOK
                }
            };
            tokio::time::timeout(wait, self.wake.notified()).await.ok();
            tokio::time::sleep(PAUSE.min(wait)).await;
        }
    }

    /// Begins what is due; says how long nothing will be.
    async fn look(&self, plans: Vec<Plan>) -> Duration {
        let watched = plans.iter().filter(|plan| plan.entry.watch);
        let watched = watched.map(|plan| (plan.name().to_owned(), plan.entry.paths.clone()));
        let wanted: BTreeMap<String, Vec<PathBuf>> = watched.collect();
        let watches = Arc::clone(&self.watches);
        // A new tree is walked once.
        let followed = spawn_blocking(move || locked(&watches).follow(&wanted)).await;
        if let Err(e) = followed {
            tracing::warn!("watching: {e}");
        }
        let now = now();
        let zone = TimeZone::system();
        let mut first: Option<(Time, &Plan)> = None;
        // Something is due and has to wait for one like it.
        let mut busy = false;
        {
            let mut book = locked(&self.book);
            let mut watches = locked(&self.watches);
            for plan in &plans {
                let standing = book.of(plan.name(), now);
                if watches.changed(plan.name()) {
                    standing.clockwork(|clock| clock.changed(now));
                }
                let due = due(standing, plan, now, &zone);
                if due.is_some_and(|due| due <= now) && self.jobs.runs(plan.kind()) {
                    busy = true;
                    continue;
                }
                if due.is_some_and(|due| first.is_none_or(|(time, _)| due < time)) {
                    first = due.map(|due| (due, plan));
                }
            }
            book.save();
        }
        let longest = if busy { PAUSE } else { LOOK };
        let Some((due, plan)) = first else {
            return longest;
        };
        if due > now {
            return due.since(now).to_std().min(longest);
        }
        if let Err(e) = self.begin(plan.clone()) {
            tracing::warn!("schedule {}: {e}", plan.name());
        }
        PAUSE
    }

    /// Begins a schedule's backup now; gives its job's name.
    fn begin(&self, plan: Plan) -> Result<String, RpcError> {
        let name = plan.name().to_owned();
        {
            let (mut book, now) = (locked(&self.book), now());
            let standing = book.of(&name, now);
            standing.clockwork(|clock| clock.began(now));
            standing.begun = Some(now);
            book.save();
        }
        let book = Arc::clone(&self.book);
        let of = name.clone();
        let job = self
            .jobs
            .scheduled(plan, move |made| ended(&book, &of, made));
        let mut book = locked(&self.book);
        let standing = book.of(&name, now());
        match job {
            Ok(job) => {
                standing.job = Some(job.clone());
                Ok(job)
            }
            Err(e) => {
                standing.trouble = Some(e.to_string());
                Err(e)
            }
        }
    }

    /// Sets a schedule: from the next look on it holds.
    ///
    /// # Errors
    /// If it is none, or the file cannot be written.
    pub async fn set(&self, params: SetScheduleParams) -> Result<Schedule, RpcError> {
        let plan = Plan::of(entry(params)).map_err(refused)?;
        let (file, of_file) = (self.config.clone(), plan.entry.clone());
        let edited = spawn_blocking(move || {
            let few = |config: &Config| match config.schedules.len() > plan::MAX_SCHEDULES {
                true => Err(PlanError::TooMany.to_string()),
                false => Ok(()),
            };
            let mut put = Ok(());
            let change = |document: &mut _| put = plan::put(document, &of_file);
            file.edit_checked(change, few)?;
            put.map_err(|why| HomeError::Damaged {
                path: file.path().to_owned(),
                why,
            })
        });
        edited
            .await
            .map_err(internal)?
            .map_err(|e| file_error(&e))?;
        {
            let mut book = locked(&self.book);
            // What ran before under this name does not count for what it is now.
            let now = now();
            let standing = book.of(plan.name(), now);
            standing.clockwork(|clock| clock.last = now);
            standing.set = now;
            standing.trouble = None;
            book.save();
        }
        self.wake.notify_one();
        Ok(self.shown(&plan))
    }

    /// Takes a schedule away. A backup of its that runs is not stopped.
    ///
    /// # Errors
    /// If there is none of that name, or the file cannot be written.
    pub async fn remove(&self, name: String) -> Result<(), RpcError> {
        let file = self.config.clone();
        let of_file = name.clone();
        let edited = spawn_blocking(move || {
            let mut was_there = false;
            file.edit(|document| was_there = plan::remove(document, &of_file))
                .map(|()| was_there)
        });
        let was_there = edited
            .await
            .map_err(internal)?
            .map_err(|e| file_error(&e))?;
        if !was_there {
            return Err(no_schedule(&name));
        }
        {
            let mut book = locked(&self.book);
            book.forget(&name);
            book.save();
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Begins a schedule's backup though it is not due; gives its job's name.
    ///
    /// # Errors
    /// If there is none of that name, or a backup runs.
    pub fn run_now(&self, name: &str) -> Result<String, RpcError> {
        let (plans, _) = self.plans()?;
        let plan = plans.into_iter().find(|plan| plan.name() == name);
        let plan = plan.ok_or_else(|| no_schedule(name))?;
        if self.jobs.runs(plan.kind()) {
            let why = "one like it is running: wait until it has ended (`larder status`)";
            return Err(RpcError::new(Code::VaultBusy, why));
        }
        self.begin(plan)
    }

    /// All of them, as they stand.
    ///
    /// # Errors
    /// If the configuration cannot be read.
    pub fn list(&self) -> Result<Vec<Schedule>, RpcError> {
        let (mut plans, _) = self.plans()?;
        plans.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(plans.iter().map(|plan| self.shown(plan)).collect())
    }

    /// What alerts are about.
    #[must_use]
    pub fn facts(&self) -> Vec<ScheduleFacts> {
        let Ok((plans, _)) = self.plans() else {
            return Vec::new();
        };
        let mut book = locked(&self.book);
        let facts = plans.iter().filter_map(|plan| {
            let standing = book.of(plan.name(), now());
            Some(ScheduleFacts {
                name: plan.name().to_owned(),
                good: standing.good.unwrap_or(standing.set),
                allowed: plan.warn_after?,
            })
        });
        facts.collect()
    }

    fn plans(&self) -> Result<(Vec<Plan>, Vec<String>), RpcError> {
        Ok(plans(&self.config.read().map_err(|e| file_error(&e))?))
    }

    fn shown(&self, plan: &Plan) -> Schedule {
        let now = now();
        let mut book = locked(&self.book);
        let standing = book.of(plan.name(), now);
        let next = due(standing, plan, now, &TimeZone::system());
        let watching = locked(&self.watches).trouble(plan.name());
        Schedule {
            set: params(&plan.entry),
            next: next.map(Moment),
            job: standing.job.clone(),
            last_begun: standing.begun.map(Moment),
            last_good: standing.good.map(Moment),
            trouble: standing.trouble.clone().or(watching),
        }
    }
}

fn due(standing: &mut Standing, plan: &Plan, now: Time, zone: &TimeZone) -> Option<Time> {
    standing.clockwork(|clock| clock.due(plan.timing.as_ref(), plan.quiet, now, zone))
}

/// Writes down what came of a run.
fn ended(book: &Mutex<Book>, name: &str, made: &Result<(), String>) {
    let mut book = locked(book);
    let now = now();
    // It may have been taken away meanwhile.
    if book.get(name).is_none() {
        return;
    }
    let standing = book.of(name, now);
    match made {
        Ok(_) => {
            standing.good = Some(now);
            standing.trouble = None;
        }
        Err(e) => {
            tracing::warn!("schedule {name}: {e}");
            standing.trouble = Some(e.clone());
        }
    }
    book.save();
}

/// A backup as a schedule wants it.
pub(crate) fn wanted(entry: &ScheduleEntry) -> BackupParams {
    BackupParams {
        paths: texts(&entry.paths),
        class: entry.class.map(Text),
        tags: entry.tags.clone(),
        excludes: Vec::new(),
        dry_run: false,
    }
}

fn texts(paths: &[PathBuf]) -> Vec<String> {
    let texts = paths.iter().map(|path| path.to_string_lossy().into_owned());
    texts.collect()
}

fn entry(params: SetScheduleParams) -> ScheduleEntry {
    let text = |span: Option<Text<larder_types::Millis>>| span.map(|span| span.to_string());
    ScheduleEntry {
        name: params.name,
        paths: params.paths.into_iter().map(PathBuf::from).collect(),
        drill: params.drill,
        every: text(params.every),
        at: params.at,
        cron: params.cron,
        watch: params.watch,
        quiet: text(params.quiet),
        before: params.before,
        after: params.after,
        hook_limit: text(params.hook_limit),
        warn_after: text(params.warn_after),
        class: params.class.map(|class| class.0),
        tags: params.tags,
    }
}

fn params(entry: &ScheduleEntry) -> SetScheduleParams {
    let span = |text: &Option<String>| text.as_ref().and_then(|t| t.parse().ok()).map(Text);
    SetScheduleParams {
        name: entry.name.clone(),
        paths: texts(&entry.paths),
        drill: entry.drill.clone(),
        every: span(&entry.every),
        at: entry.at.clone(),
        cron: entry.cron.clone(),
        watch: entry.watch,
        quiet: span(&entry.quiet),
        before: entry.before.clone(),
        after: entry.after.clone(),
        hook_limit: span(&entry.hook_limit),
        warn_after: span(&entry.warn_after),
        class: entry.class.map(Text),
        tags: entry.tags.clone(),
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn no_schedule(name: &str) -> RpcError {
    let why = format_args!("no schedule {name}: `larder schedule list` names them");
    RpcError::new(Code::NoSchedule, why)
}

fn refused(e: PlanError) -> RpcError {
    RpcError::new(Code::BadValue, e)
}

fn file_error(e: &HomeError) -> RpcError {
    if let HomeError::Damaged { why, .. } = e {
        return RpcError::new(Code::BadValue, why);
    }
    RpcError::new(Code::Internal, e)
}

fn internal(e: tokio::task::JoinError) -> RpcError {
    RpcError::new(Code::Internal, e)
}
