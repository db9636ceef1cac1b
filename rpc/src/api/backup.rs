//! `backup_*`: snapshots in, files out.

use crate::types::{RecoverParams, 
    BackupCheck, BackupParams, BrowseParams, CheckDataParams, DiffParams, Difference, Done, Drill,
    DrillParams, Dropping, Durability, Entry, Estimate, EstimateParams, FindParams, ForgetParams,
    FoundEntry, JobStarted, MarkParams, MarkPlan, Marked, MountParams, Policy, PruneParams,
    ReduceParams, RestoreParams, Schedule, ScheduleParams, SetPolicyParams, SetScheduleParams,
    Snapshot, SnapshotsParams, TagParams, UndeleteParams, VaultStats, WhatIf, WhatIfParams,
};
use crate::values::{Empty, Page, PageParams};

super::methods! {
    /// Snapshots in, files out.
    BackupMethods: "backup";

    /// Begins a backup.
    "backup_start" backup_start(BackupParams) -> JobStarted, Admin;
    /// What a backup would read.
    "backup_estimate" backup_estimate(EstimateParams) -> Estimate, Admin;
    /// The vault's snapshots, oldest first.
    "backup_listSnapshots" backup_list_snapshots(SnapshotsParams) -> Page<Snapshot>, Admin;
    /// What lies in a folder of a snapshot.
    "backup_browse" backup_browse(BrowseParams) -> Page<Entry>, Admin;
    /// Paths in snapshots that match a glob.
    "backup_find" backup_find(FindParams) -> Page<FoundEntry>, Admin;
    /// What differs between two snapshots, by path.
    "backup_diff" backup_diff(DiffParams) -> Page<Difference>, Admin;
    /// Whether providers hold what the snapshots need, by what is known without reading it.
    "backup_check" backup_check(Empty) -> BackupCheck, Admin;
    /// How much is kept: before and after what is kept once only, sealed, and with redundancy.
    "backup_stats" backup_stats(Empty) -> VaultStats, Read;
    /// What would be left if some regions, operators or providers were gone at once, with no repair.
    "backup_whatIf" backup_what_if(WhatIfParams) -> WhatIf, Read;
    /// Begins to read what is stored, every shard and every blob, and to name what is damaged.
    "backup_checkData" backup_check_data(CheckDataParams) -> JobStarted, Admin;
    /// Begins to mend what lacks shards, at once and not when it is its time.
    "backup_repair" backup_repair(Empty) -> JobStarted, Admin;
    /// Begins a drill: restores a random sample, compares it with what the snapshot says, deletes it.
    "backup_drill" backup_drill(DrillParams) -> JobStarted, Admin;
    /// The last hundred drills, the newest first.
    "backup_listDrills" backup_list_drills(PageParams) -> Page<Drill>, Admin;
    /// How safe what is kept is, and what would be lost with an operator or a region.
    "backup_durability" backup_durability(Empty) -> Durability, Read;
    /// Sets what holds at and below a path: its class, and what is left out of its backups. It replaces
    /// what was set for this path; nothing at all takes it away.
    "backup_setPolicy" backup_set_policy(SetPolicyParams) -> Policy, Admin;
    /// What is set for paths, in their order.
    "backup_listPolicies" backup_list_policies(PageParams) -> Page<Policy>, Admin;
    /// Sets when paths are backed up by themselves, in place of the schedule of this name.
    "backup_setSchedule" backup_set_schedule(SetScheduleParams) -> Schedule, Admin;
    /// The schedules, by their names, and how they stand.
    "backup_listSchedules" backup_list_schedules(PageParams) -> Page<Schedule>, Admin;
    /// Takes a schedule away.
    "backup_removeSchedule" backup_remove_schedule(ScheduleParams) -> Done, Admin;
    /// Begins a schedule's backup though it is not due, with its commands.
    "backup_runSchedule" backup_run_schedule(ScheduleParams) -> JobStarted, Admin;
    /// Begins to find the account's data again, in a home made from its words.
    "backup_recover" backup_recover(RecoverParams) -> JobStarted, Admin;
    /// Which snapshots would be forgotten: the marks for the admin key to sign.
    "backup_forget" backup_forget(ForgetParams) -> MarkPlan, Admin;
    /// Which forgotten snapshots would be brought back: the marks for the admin key to sign.
    "backup_undelete" backup_undelete(UndeleteParams) -> MarkPlan, Admin;
    /// Which tags would change: the marks for the admin key to sign.
    "backup_tag" backup_tag(TagParams) -> MarkPlan, Admin;
    /// Stores signed marks; they count from then on.
    "backup_mark" backup_mark(MarkParams) -> Marked, Admin;
    /// Begins to find what nothing needs any more, and to write anew what is needed in part.
    "backup_prune" backup_prune(PruneParams) -> JobStarted, Admin;
    /// How what was dropped stands with the providers, and what the admin key is to sign.
    "backup_dropping" backup_dropping(Empty) -> Dropping, Admin;
    /// Has providers give shards back, as the admin key has signed.
    "backup_reduce" backup_reduce(ReduceParams) -> Dropping, Admin;
    /// Begins a restore.
    "backup_restore" backup_restore(RestoreParams) -> JobStarted, Admin;
    /// Mounts the snapshots at a folder, read-only, until the job is cancelled or somebody unmounts it. It
    /// stands once the job's stage is `mounted`.
    "backup_mount" backup_mount(MountParams) -> JobStarted, Admin;
}
