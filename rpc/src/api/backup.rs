//! `backup_*`: snapshots in, files out.

use crate::types::{
    BackupCheck, BackupParams, BrowseParams, DiffParams, Difference, Dropping, Durability, Entry,
    Estimate, EstimateParams, FindParams, ForgetParams, FoundEntry, JobStarted, MarkParams,
    MarkPlan, Marked, PruneParams, ReduceParams, RestoreParams, Snapshot, SnapshotsParams,
    TagParams, UndeleteParams,
};
use crate::values::{Empty, Page};

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
    /// How safe what is kept is, and what would be lost with an operator or a region.
    "backup_durability" backup_durability(Empty) -> Durability, Read;
    /// Begins to find the account's data again, in a home made from its words.
    "backup_recover" backup_recover(Empty) -> JobStarted, Admin;
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
}
