//! A schedule as `config.toml` keeps it, `[[schedule]]`, and what its texts mean.

use crate::home::{Config, ScheduleEntry};
use crate::policies::{PolicyError, normal};
use larder_engine::sample::{ParseSampleError, Sample};
use larder_engine::timing::{Timing, TimingError};
use larder_rpc::JobKind;
use larder_types::Millis;
use larder_types::time::ParseMillisError;
use std::time::Duration;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

/// Most schedules: each may watch a tree.
pub const MAX_SCHEDULES: usize = 100;
/// Most bytes of a name, and of a command.
const MAX_NAME: usize = 64;
const MAX_COMMAND: usize = 4_096;
/// Changes must have been quiet for so long, unless a schedule says otherwise.
const QUIET: Millis = Millis(30_000);
/// A command may take so long, unless a schedule says otherwise.
const HOOK_LIMIT: Millis = Millis(10 * 60_000);

/// Why a schedule cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Its name is none.
    #[error("{0:?} is no name for a schedule: 1 to {MAX_NAME} letters, digits, `-`, `_` or `.`")]
    Name(String),
    /// It names no path.
    #[error("a schedule needs at least one path; one of drills has none")]
    NoPaths,
    /// A sample is none.
    #[error(transparent)]
    Sample(#[from] ParseSampleError),
    /// A path is none.
    #[error(transparent)]
    Path(#[from] PolicyError),
    /// It says nothing of when, or too much.
    #[error("say when: one of --every, --at and --cron, or --watch, which may stand beside them")]
    When,
    /// A span of time is none.
    #[error("{0}: {1}")]
    Span(&'static str, ParseMillisError),
    /// A time is none.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// A command is too long.
    #[error("a command has at most {MAX_COMMAND} bytes: put it into a script")]
    Command,
    /// There are too many already.
    #[error("at most {MAX_SCHEDULES} schedules: put several paths into one")]
    TooMany,
}

/// What a schedule's texts mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// As it is kept.
    pub entry: ScheduleEntry,
    /// When it runs by time.
    pub timing: Option<Timing>,
    /// How long changes must have been quiet.
    pub quiet: Millis,
    /// How long a command may take.
    pub hook_limit: Duration,
    /// How much a drill restores, if it is one.
    pub drill: Option<Sample>,
    /// From when on its last good backup is too old.
    pub warn_after: Option<Millis>,
}

impl Plan {
    /// What `entry` means.
    ///
    /// # Errors
    /// [`PlanError`] names what is wrong with it.
    pub fn of(mut entry: ScheduleEntry) -> Result<Self, PlanError> {
        let named = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name = &entry.name;
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(named) {
            return Err(PlanError::Name(name.clone()));
        }
        if entry.paths.is_empty() == entry.drill.is_none() {
            return Err(PlanError::NoPaths);
        }
        for path in &mut entry.paths {
            *path = normal(path)?;
        }
        let commands = entry.before.iter().chain(&entry.after);
        if commands
            .into_iter()
            .any(|command| command.len() > MAX_COMMAND)
        {
            return Err(PlanError::Command);
        }
        let every = span("every", entry.every.as_ref())?;
        let timing = match (every, &entry.at, &entry.cron) {
            (None, None, None) if entry.watch => None,
            (Some(span), None, None) => Some(Timing::every(span)?),
            (None, Some(at), None) => Some(Timing::at(at)?),
            (None, None, Some(cron)) => Some(Timing::cron(cron)?),
            _ => return Err(PlanError::When),
        };
        Ok(Self {
            timing,
            quiet: span("quiet", entry.quiet.as_ref())?.unwrap_or(QUIET),
            hook_limit: span("hook_limit", entry.hook_limit.as_ref())?
                .unwrap_or(HOOK_LIMIT)
                .to_std(),
            drill: entry.drill.as_ref().map(|text| text.parse()).transpose()?,
            warn_after: span("warn_after", entry.warn_after.as_ref())?,
            entry,
        })
    }

    /// What its job is.
    #[must_use]
    pub const fn kind(&self) -> JobKind {
        match self.drill {
            None => JobKind::Backup,
            Some(_) => JobKind::Drill,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.entry.name
    }
}

fn span(key: &'static str, text: Option<&String>) -> Result<Option<Millis>, PlanError> {
    let parsed = text.map(|text| text.parse::<Millis>()).transpose();
    parsed.map_err(|e| PlanError::Span(key, e))
}

/// The plans of a configuration, and what is wrong with those that are none.
#[must_use]
pub fn plans(config: &Config) -> (Vec<Plan>, Vec<String>) {
    let mut bad = Vec::new();
    let plans = config.schedules.iter().filter_map(|entry| {
        let plan = Plan::of(entry.clone());
        plan.map_err(|e| bad.push(format!("schedule {}: {e}", entry.name)))
            .ok()
    });
    (plans.collect(), bad)
}

/// Puts a schedule into the file in place of the one of its name.
///
/// # Errors
/// If it cannot be written as TOML, which every entry can.
pub fn put(document: &mut DocumentMut, entry: &ScheduleEntry) -> Result<(), String> {
    let text = toml::to_string(entry).map_err(|e| e.to_string())?;
    let table: DocumentMut = text
        .parse()
        .map_err(|e: toml_edit::TomlError| e.to_string())?;
    remove(document, &entry.name);
    let list = document
        .entry("schedule")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let list = list.as_array_of_tables_mut();
    let list = list.ok_or_else(|| "`schedule` is no list of tables".to_owned())?;
    list.push(table.as_table().clone());
    Ok(())
}

/// Takes a schedule out; whether there was one.
pub fn remove(document: &mut DocumentMut, name: &str) -> bool {
    let list = document.get_mut("schedule");
    let Some(list) = list.and_then(Item::as_array_of_tables_mut) else {
        return false;
    };
    let before = list.len();
    list.retain(|table: &Table| table.get("name").and_then(Item::as_str) != Some(name));
    let was_there = list.len() < before;
    if list.is_empty() {
        document.remove("schedule");
    }
    was_there
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ConfigFile;
    use std::fs;

    const FILE: &str = "# mine\n[network]\ngenesis = \"g\"\nbootstrap = []\n";

    fn entry(name: &str) -> ScheduleEntry {
        ScheduleEntry {
            name: name.to_owned(),
            paths: vec!["/home/a b/".into()],
            at: Some("03:00".to_owned()),
            before: Some("echo \"hi\"".to_owned()),
            tags: vec!["nightly".to_owned()],
            ..ScheduleEntry::default()
        }
    }

    #[test]
    fn what_is_set_is_read_again_and_what_is_removed_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.toml"), FILE).unwrap();
        let file = ConfigFile::of(dir.path());
        let weekly = ScheduleEntry {
            at: None,
            cron: Some("0 3 * * 0".to_owned()),
            watch: true,
            ..entry("weekly")
        };
        for set in [&entry("n"), &entry("weekly"), &weekly] {
            file.edit(|document| put(document, set).unwrap()).unwrap();
        }
        let config = file.read().unwrap();
        assert_eq!(config.schedules, [entry("n"), weekly]);
        let (plans, bad) = plans(&config);
        assert_eq!((plans.len(), bad.len()), (2, 0), "{bad:?}");
        for name in ["n", "weekly"] {
            file.edit(|document| assert!(remove(document, name)))
                .unwrap();
        }
        assert_eq!(fs::read_to_string(file.path()).unwrap(), FILE);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let bad = |spoil: fn(&mut ScheduleEntry)| {
            let mut entry = entry("n");
            spoil(&mut entry);
            Plan::of(entry).unwrap_err()
        };
        assert!(matches!(bad(|e| e.name = "a b".into()), PlanError::Name(_)));
        assert!(matches!(bad(|e| e.name.clear()), PlanError::Name(_)));
        assert_eq!(bad(|e| e.paths.clear()), PlanError::NoPaths);
        assert_eq!(bad(|e| e.drill = Some("1%".into())), PlanError::NoPaths);
        let refused = bad(|e| e.paths = vec!["a".into()]);
        assert!(matches!(refused, PlanError::Path(_)));
        assert_eq!(bad(|e| e.at = None), PlanError::When);
        assert_eq!(bad(|e| e.every = Some("1h".into())), PlanError::When);
        let refused = bad(|e| e.quiet = Some("soon".into()));
        assert!(matches!(refused, PlanError::Span("quiet", _)));
        assert_eq!(
            bad(|e| e.after = Some("x".repeat(5_000))),
            PlanError::Command
        );
        let watched = Plan::of(ScheduleEntry {
            at: None,
            watch: true,
            ..entry("n")
        });
        assert_eq!(watched.unwrap().timing, None);
    }
}
