//! A schedule's backup as a job: the command before it, the backup, the command after it.

use super::Jobs;
use crate::schedules::hook::Hook;
use crate::schedules::plan::Plan;
use crate::schedules::wanted;
use crate::working::Working;
use larder_rpc::{BackupSummary, Code, JobKind, JobResult, RpcError};

impl Jobs {
    /// Begins a schedule's backup; gives its job's name. `ended` is told what came of it, before the
    /// job is over.
    ///
    /// # Errors
    /// If too many jobs are open.
    pub fn scheduled(
        &self,
        plan: Plan,
        ended: impl FnOnce(&Result<BackupSummary, RpcError>) + Send + 'static,
    ) -> Result<String, RpcError> {
        self.begin(JobKind::Backup, |jobs, working| async move {
            let made = jobs.do_scheduled(&plan, &working).await;
            ended(&made);
            made.map(JobResult::Backup)
        })
    }

    async fn do_scheduled(
        &self,
        plan: &Plan,
        working: &Working,
    ) -> Result<BackupSummary, RpcError> {
        working.note(format!("schedule {}", plan.name()));
        let hook = |when, command| Hook {
            when,
            command,
            limit: plan.hook_limit,
        };
        let name = ("LARDER_SCHEDULE", plan.name());
        if let Some(command) = &plan.entry.before {
            working.at("preparing", "running the command before".to_owned());
            let ran = hook("before", command).run(&[name], working).await;
            working.in_vault();
            ran.map_err(|e| {
                RpcError::new(Code::HookFailed, format_args!("{e}; nothing was backed up"))
            })?;
        }
        let made = self.do_backup(wanted(&plan.entry), working).await;
        if let Some(command) = &plan.entry.after {
            let (result, snapshot) = match &made {
                Ok(summary) => ("done", summary.snapshot.as_deref().unwrap_or_default()),
                Err(_) => ("failed", ""),
            };
            let vars = [
                name,
                ("LARDER_RESULT", result),
                ("LARDER_SNAPSHOT", snapshot),
            ];
            working.at("finishing", "running the command after".to_owned());
            if let Err(e) = hook("after", command).run(&vars, working).await {
                // What is saved stays saved.
                working.note(e.to_string());
                tracing::warn!("schedule {}: {e}", plan.name());
            }
        }
        made
    }

    /// Whether a job of this kind is open.
    #[must_use]
    pub fn runs(&self, kind: JobKind) -> bool {
        let all = self.lock();
        all.values().any(|e| e.kind == kind && e.ended.is_none())
    }
}
