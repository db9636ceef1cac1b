//! Reading all that is stored, and mending it, as jobs.

use super::{Jobs, failures, segments_error};
use crate::working::Working;
use larder_backup::VerifyError;
use larder_engine::sample::Sample;
use larder_engine::{Command, Engine, Input};
use larder_rpc::values::PAGE_MAX;
use larder_rpc::{
    CheckDataParams, CheckSummary, Code, DamagedSegment, JobKind, JobResult, RepairSummary,
    RpcError, Text,
};
use larder_types::SegmentId;
use rand::seq::SliceRandom as _;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often a repair is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// A repair that gets nowhere for so long is left to go on by itself.
const STANDSTILL: Duration = Duration::from_secs(120);

impl Jobs {
    /// Begins to read what is stored; gives the job's name.
    ///
    /// # Errors
    /// If too many jobs are open, or the subset is none.
    pub fn check(&self, params: CheckDataParams) -> Result<String, RpcError> {
        let subset = params.subset.map(|text| text.parse::<Sample>());
        let subset = subset.transpose();
        let subset = subset.map_err(|e| RpcError::new(Code::BadValue, e))?;
        self.begin(JobKind::Check, move |jobs, working| async move {
            let made = jobs.do_check(subset, &working).await;
            made.map(JobResult::Check)
        })
    }

    /// Begins to mend what lacks shards; gives the job's name.
    ///
    /// # Errors
    /// If too many jobs are open.
    pub fn repair(&self) -> Result<String, RpcError> {
        self.begin(JobKind::Repair, |jobs, working| async move {
            jobs.do_repair(&working).await.map(JobResult::Repair)
        })
    }

    async fn do_check(
        &self,
        subset: Option<Sample>,
        working: &Working,
    ) -> Result<CheckSummary, RpcError> {
        let began = Instant::now();
        let index = |e| RpcError::new(Code::Internal, e);
        let all = self.vault.durable_segment_ids().await.map_err(index)?;
        let segments = all.len() as u64;
        let ids = match subset {
            Some(subset) => self.subset(all, subset).await?,
            None => all,
        };
        working.note(format!("reading {} of {segments} segments", ids.len()));
        let (progress, cancel) = (&working.progress, &working.cancel);
        let read = self
            .vault
            .verify(ids, &self.segments, progress, cancel)
            .await;
        let read = read.map_err(|e| match e {
            VerifyError::Cancelled => RpcError::new(Code::Cancelled, e),
            VerifyError::Segments(e) => segments_error(&e),
            VerifyError::Index(e) => RpcError::new(Code::Internal, e),
        })?;
        for (id, why) in &read.damaged {
            working.note(format!("segment {id}: {why}"));
        }
        for id in &read.unreached {
            working.note(format!("segment {id}: too few of its shards were reached"));
        }
        super::note_failures(working, &read.paths);
        let shown = read.damaged.iter().take(PAGE_MAX);
        Ok(CheckSummary {
            segments,
            segments_read: read.segments,
            bytes_read: read.bytes,
            blobs: read.blobs,
            damaged_shards: read.damaged_shards,
            unread_shards: read.unread_shards,
            damaged: shown
                .map(|(id, why)| DamagedSegment {
                    segment: Text(*id),
                    reason: why.clone(),
                    lost: read.lost.contains(id),
                })
                .collect(),
            errors: read.paths.count,
            failures: failures(&read.paths),
            ok: read.damaged.is_empty(),
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// Segments at random, as many as a sample wants.
    async fn subset(
        &self,
        mut ids: Vec<SegmentId>,
        sample: Sample,
    ) -> Result<Vec<SegmentId>, RpcError> {
        let known = self.driver.query(Engine::known_segments).await;
        let known = known.map_err(|e| RpcError::new(Code::Stopping, e))?;
        let lens: BTreeMap<SegmentId, u64> = known.iter().map(|s| (s.segment, s.len)).collect();
        let len = |id: &SegmentId| lens.get(id).copied().unwrap_or(0);
        let wanted = sample.of(ids.iter().map(len).sum());
        ids.shuffle(&mut rand::rng());
        let mut have = 0;
        ids.retain(|id| {
            let takes = have < wanted;
            have += if takes { len(id) } else { 0 };
            takes
        });
        Ok(ids)
    }

    async fn do_repair(&self, working: &Working) -> Result<RepairSummary, RpcError> {
        let stopping = |e| RpcError::new(Code::Stopping, e);
        let look = || async { self.driver.query(Engine::segments).await.map_err(stopping) };
        let began = Instant::now();
        let before = look().await?;
        let hurry = Input::Command(Command::Repair);
        self.driver.input(hurry).await.map_err(stopping)?;
        let mut now = before;
        let mut moved = Instant::now();
        let mut looks = tokio::time::interval(LOOK);
        while now.below_full > now.lost && moved.elapsed() < STANDSTILL {
            working.at(
                "repairing",
                format!(
                    "{} segments lack shards, {} are lost",
                    now.below_full, now.lost
                ),
            );
            let next = working.cancel.run_until_cancelled(looks.tick()).await;
            next.ok_or_else(|| RpcError::new(Code::Cancelled, "interrupted"))?;
            let then = std::mem::replace(&mut now, look().await?);
            let at = |of: &larder_engine::report::SegmentsReport| {
                (of.below_full, of.shards_repaired, of.bytes_read)
            };
            if at(&then) != at(&now) {
                moved = Instant::now();
            }
        }
        let shown = self.driver.query(crate::repairs::shown).await;
        Ok(RepairSummary {
            below_full: before.below_full,
            remaining: now.below_full,
            lost: now.lost,
            shards: now.shards_repaired.saturating_sub(before.shards_repaired),
            trouble: shown.map_err(stopping)?.trouble,
            seconds: began.elapsed().as_secs_f64(),
        })
    }
}
