//! What a schedule begins, as a job: the command before a backup, the backup, the command after it;
//! or a drill.

use super::Jobs;
use crate::schedules::hook::Hook;
use crate::schedules::plan::Plan;
use crate::schedules::wanted;
use crate::working::Working;
use larder_rpc::{BackupSummary, Code, JobKind, JobResult, RpcError};
use tokio_util::sync::CancellationToken;

impl Jobs {
    /// Begins a schedule's backup; gives its job's name. `ended` is told what came of it, before the
    /// job is over.
    ///
    /// # Errors
    /// If too many jobs are open.
    pub fn scheduled(
        &self,
        plan: Plan,
        ended: impl FnOnce(&Result<(), String>) + Send + 'static,
    ) -> Result<String, RpcError> {
        self.begin(plan.kind(), |jobs, working| async move {
            let made = match plan.drill {
                None => jobs
                    .do_scheduled(&plan, &working)
                    .await
                    .map(JobResult::Backup),
                Some(sample) => {
                    let made = jobs.do_drill(None, sample, &working).await;
                    made.map(JobResult::Drill)
                }
            };
            ended(&good(&made));
            made
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
            // It ends what the command before began, so it runs though the backup was cancelled; its
            // limit alone ends it.
            let mut apart = working.clone();
            apart.cancel = CancellationToken::new();
            if let Err(e) = hook("after", command).run(&vars, &apart).await {
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

/// Whether a job brought what a schedule is for; if not, why.
fn good(made: &Result<JobResult, RpcError>) -> Result<(), String> {
    match made {
        Ok(JobResult::Drill(made)) if made.drill.failures > 0 => Err(format!(
            "{} of {} files did not come back as they were",
            made.drill.failures, made.drill.files
        )),
        Ok(_) => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}
