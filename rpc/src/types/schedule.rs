//! `backup_setSchedule` and its like: backups that begin by themselves.

use crate::values::{Moment, Text};
use larder_types::{Class, Millis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What shall begin by itself, and when. At most one of `every`, `at` and `cron`; at least one of
/// them or `watch`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetScheduleParams {
    /// Its name; a schedule of that name is replaced.
    pub name: String,
    /// Absolute paths; none for a drill.
    #[serde(default)]
    pub paths: Vec<String>,
    /// A drill on the latest snapshot in place of a backup: how much of it is restored, `1%` or `1GiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<String>,
    /// So long after it ran last, `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Text<Millis>>,
    /// Each day at this local time, `03:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// By a cron expression in local time: minute, hour, day, month, weekday.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// Also after files have changed.
    #[serde(default)]
    pub watch: bool,
    /// After changes it waits until there was none for so long, but at most twenty times as long;
    /// `30s` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<Text<Millis>>,
    /// A command for `/bin/sh` that the node runs, as its own user, before it reads anything; if it
    /// fails there is no backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// A command that it runs after the backup, whether that failed or not: `LARDER_RESULT` is `done`
    /// or `failed`, `LARDER_SNAPSHOT` the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// A command that takes longer is killed; `10m` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_limit: Option<Text<Millis>>,
    /// An alert (`backup_old`) if the last good backup is older than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_after: Option<Text<Millis>>,
    /// The redundancy class; absent: as the policies of the paths say.
    #[serde(
        rename = "redundancyClass",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub class: Option<Text<Class>>,
    /// Words to find its snapshots by.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// A schedule, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Schedule {
    /// What begins by itself, and when.
    pub set: SetScheduleParams,
    /// When it is due next; absent: when something changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Moment>,
    /// Its newest job, as long as the node remembers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// When it began last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_begun: Option<Moment>,
    /// When a backup of its was last made, or a drill found nothing wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good: Option<Moment>,
    /// What went wrong last; absent: nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Which schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleParams {
    /// Its name.
    pub name: String,
}
