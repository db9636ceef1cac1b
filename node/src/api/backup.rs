//! `backup_*`: snapshots in, files out.

use super::NodeApi;
use crate::home::{Config, HomeError, PolicyEntry, now};
use crate::jobs::{browse_error, paths, resolve_error};
use crate::policies::{self, PolicyError};
use crate::recovery::Recovery;
use crate::searching::{Taking, Window, below, diff, find};
use crate::shown::{entry, internal};
use larder_backup::exclude::Globs;
use larder_backup::{BackupOptions, BrowseError, Depth};
use larder_engine::Engine;
use larder_engine::survival::{Domain, Group, Shared};
use larder_engine::whatif::{Gone, LeftClass};
use larder_rpc::values::PAGE_MAX;
use larder_rpc::{
    BackupCheck, BackupMethods, BackupParams, BrowseParams, CheckDataParams, Code, DiffParams,
    Difference, DomainKind, DomainLoss, Done, Drill, DrillParams, Dropping, Durability,
    DurabilityGroup, Empty, Entry, Estimate, EstimateParams, FindParams, ForgetParams,
    ForgottenSnapshot, FoundEntry, JobStarted, MarkParams, MarkPlan, Marked, Moment, MountParams,
    Page, PageParams, Policy, PruneParams, RecoverParams, ReduceParams, RestoreParams, RpcError,
    Schedule, ScheduleParams, SetPolicyParams, SetScheduleParams, Snapshot, SnapshotsParams,
    TagParams, Text, UndeleteParams, VaultStats, WhatIf, WhatIfClass, WhatIfParams,
};
use std::collections::BTreeSet;
use std::path::PathBuf;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// Entries of a listing that wait for the answer.
const LISTING: usize = 256;

impl BackupMethods for NodeApi {
    async fn backup_start(&self, params: BackupParams) -> Result<JobStarted, RpcError> {
        Ok(JobStarted {
            job: self.jobs.backup(params)?,
        })
    }

    async fn backup_estimate(&self, params: EstimateParams) -> Result<Estimate, RpcError> {
        let mut options = BackupOptions::new(paths(&params.paths)?, String::new(), now());
        options.excludes = self.jobs.left_out(&options.paths)?;
        options.excludes.extend(params.excludes);
        let (files, bytes) = self
            .jobs
            .vault
            .estimate(&options)
            .await
            .map_err(|e| RpcError::new(Code::Unreadable, e))?;
        Ok(Estimate {
            files,
            dirs: 0,
            bytes,
        })
    }

    async fn backup_list_snapshots(
        &self,
        params: SnapshotsParams,
    ) -> Result<Page<Snapshot>, RpcError> {
        let epoch = self.state(larder_ledger::State::epoch);
        let history = self.jobs.vault.history().await.map_err(internal)?;
        let wanted = history
            .into_iter()
            .filter(|(_, _, standing)| params.all || standing.forgotten.is_none());
        let shown = wanted.map(|(id, s, standing)| Snapshot {
            snapshot: id.to_string(),
            time: Moment(s.time),
            paths: s
                .paths()
                .map(|p| p.to_string_lossy().into_owned())
                .collect(),
            host: s.host,
            tags: s.tags,
            class: Text(s.class),
            files: s.files,
            dirs: s.dirs,
            bytes: s.bytes,
            forgotten: standing.forgotten.map(|f| ForgottenSnapshot {
                at: Moment(f.time),
                until_epoch: f.until,
                undeletable: f.is_locked(epoch),
            }),
        });
        let page = PageParams {
            cursor: params.cursor,
            limit: params.limit,
        };
        Ok(Page::cut(shown, &page)?)
    }

    async fn backup_forget(&self, params: ForgetParams) -> Result<MarkPlan, RpcError> {
        self.plan_forget(params).await
    }

    async fn backup_undelete(&self, params: UndeleteParams) -> Result<MarkPlan, RpcError> {
        self.plan_undelete(params).await
    }

    async fn backup_tag(&self, params: TagParams) -> Result<MarkPlan, RpcError> {
        self.plan_tag(params).await
    }

    async fn backup_prune(&self, params: PruneParams) -> Result<JobStarted, RpcError> {
        let epoch = self.state(larder_ledger::State::epoch);
        Ok(JobStarted {
            job: self.jobs.prune(params, epoch)?,
        })
    }

    async fn backup_dropping(&self, _: Empty) -> Result<Dropping, RpcError> {
        self.dropping().await
    }

    async fn backup_reduce(&self, params: ReduceParams) -> Result<Dropping, RpcError> {
        self.reduce(params).await
    }

    async fn backup_mark(&self, params: MarkParams) -> Result<Marked, RpcError> {
        self.mark(params).await
    }

    async fn backup_browse(&self, params: BrowseParams) -> Result<Page<Entry>, RpcError> {
        let vault = &self.jobs.vault;
        let (_, snapshot) = vault
            .resolve(&params.snapshot)
            .await
            .map_err(|e| resolve_error(&e))?;
        let page = PageParams {
            cursor: params.cursor,
            limit: params.limit,
        };
        let (limit, offset) = (page.limit(), page.offset()?);
        let path = PathBuf::from(params.path.unwrap_or_else(|| "/".to_owned()));
        let (out, mut listed) = mpsc::channel(LISTING);
        let segments = self.jobs.segments();
        let listing = vault.ls(snapshot, path, Depth::Folder, segments, out);
        let gather = async {
            let mut items = Vec::new();
            let mut more = false;
            let mut at = 0;
            while let Some(one) = listed.recv().await {
                if at >= offset.saturating_add(limit) {
                    more = true;
                    break;
                }
                if at >= offset {
                    items.push(entry(&one));
                }
                at += 1;
            }
            drop(listed);
            (items, more)
        };
        let (ended, (items, more)) = tokio::join!(listing, gather);
        ended.map_err(|e| browse_error(&e))?;
        let next_cursor = more.then(|| offset.saturating_add(limit).to_string());
        Ok(Page { items, next_cursor })
    }

    async fn backup_find(&self, params: FindParams) -> Result<Page<FoundEntry>, RpcError> {
        let page = PageParams {
            cursor: params.cursor,
            limit: params.limit,
        };
        let window = Window {
            offset: page.offset()?,
            limit: page.limit(),
        };
        let bad = |e| RpcError::new(Code::BadPattern, e);
        let globs = Globs::new([&params.pattern]).map_err(bad)?;
        let vault = &self.jobs.vault;
        let snapshots = match &params.snapshot {
            Some(name) => vec![vault.resolve(name).await.map_err(|e| resolve_error(&e))?],
            None => {
                let mut all = vault.snapshots().await.map_err(internal)?;
                all.reverse();
                all
            }
        };
        let named = params.snapshot.is_some();
        let path = below(params.path);
        let mut taking = Taking::new(window);
        let from = (vault, self.jobs.segments());
        for (id, snapshot) in snapshots {
            let snapshot_id = id.to_string();
            let wanted = find(from, (&snapshot_id, snapshot), (&path, &globs), &mut taking).await;
            match wanted {
                Ok(true) => {}
                Ok(false) => break,
                // Not every snapshot holds the path.
                Err(BrowseError::NoSuchPath(_)) if !named => {}
                Err(e) => return Err(browse_error(&e)),
            }
        }
        let next_cursor = taking.next_cursor();
        Ok(Page {
            items: taking.items,
            next_cursor,
        })
    }

    async fn backup_diff(&self, params: DiffParams) -> Result<Page<Difference>, RpcError> {
        let page = PageParams {
            cursor: params.cursor,
            limit: params.limit,
        };
        let window = Window {
            offset: page.offset()?,
            limit: page.limit(),
        };
        let vault = &self.jobs.vault;
        let named = |name: String| async move {
            let found = vault.resolve(&name).await;
            found.map(|(_, s)| s).map_err(|e| resolve_error(&e))
        };
        let both = (named(params.from).await?, named(params.to).await?);
        let mut taking = Taking::new(window);
        let from = (vault, self.jobs.segments());
        let compared = diff(from, both, &below(params.path), &mut taking).await;
        compared.map_err(|e| browse_error(&e))?;
        let next_cursor = taking.next_cursor();
        Ok(Page {
            items: taking.items,
            next_cursor,
        })
    }

    async fn backup_check(&self, _: Empty) -> Result<BackupCheck, RpcError> {
        let vault = &self.jobs.vault;
        let snapshots = vault.snapshots().await.map_err(internal)?.len() as u64;
        let needed = vault.segment_ids().await.map_err(internal)?;
        let asked = |e: &Engine| (e.known_segments(), e.segments().below_full);
        let (known, below_full) = self.engine(asked).await?;
        let known: BTreeSet<_> = known.into_iter().map(|s| s.segment).collect();
        let missing: Vec<_> = needed.iter().filter(|id| !known.contains(id)).collect();
        Ok(BackupCheck {
            snapshots,
            segments: needed.len() as u64,
            restorable: (needed.len() - missing.len()) as u64,
            below_full,
            ok: missing.is_empty(),
            missing: missing
                .into_iter()
                .take(PAGE_MAX)
                .map(|id| Text(*id))
                .collect(),
        })
    }

    async fn backup_stats(&self, _: Empty) -> Result<VaultStats, RpcError> {
        let vault = &self.jobs.vault;
        let stats = vault.stats().await.map_err(internal)?;
        let snapshots = vault.snapshots().await.map_err(internal)?;
        Ok(VaultStats {
            snapshots: stats.snapshots,
            files: snapshots.iter().map(|(_, s)| s.files).sum(),
            bytes: snapshots.iter().map(|(_, s)| s.bytes).sum(),
            blobs: stats.blobs,
            bytes_unique: stats.bytes,
            segments: stats.segments,
            bytes_sealed: stats.bytes_sealed,
            bytes_stored: stats.bytes_stored,
        })
    }

    async fn backup_what_if(&self, params: WhatIfParams) -> Result<WhatIf, RpcError> {
        let mut gone = Gone::default();
        for name in params.lose {
            let peer = name
                .parse()
                .ok()
                .and_then(|peer| crate::net::node_id(&peer));
            match peer.or_else(|| name.parse().ok()) {
                Some(node) => gone.nodes.insert(node),
                None => gone.names.insert(name),
            };
        }
        let left = self.engine(move |e| e.without(&gone)).await?;
        let class = |it: &LeftClass| WhatIfClass {
            class: Text(it.class),
            segments: it.segments,
            touched: it.touched,
            below_repair: it.below_repair,
            lost: it.lost,
            least_spare: it.least_spare,
        };
        Ok(WhatIf {
            providers: left.providers,
            classes: left.classes.iter().map(class).collect(),
        })
    }

    async fn backup_check_data(&self, params: CheckDataParams) -> Result<JobStarted, RpcError> {
        Ok(JobStarted {
            job: self.jobs.check(params)?,
        })
    }

    async fn backup_repair(&self, _: Empty) -> Result<JobStarted, RpcError> {
        Ok(JobStarted {
            job: self.jobs.repair()?,
        })
    }

    async fn backup_drill(&self, params: DrillParams) -> Result<JobStarted, RpcError> {
        Ok(JobStarted {
            job: self.jobs.drill(params)?,
        })
    }

    async fn backup_list_drills(&self, params: PageParams) -> Result<Page<Drill>, RpcError> {
        Ok(Page::cut(self.jobs.drilled(), &params)?)
    }

    async fn backup_durability(&self, _: Empty) -> Result<Durability, RpcError> {
        let survival = self.engine(Engine::survival).await?;
        Ok(Durability {
            groups: survival.groups.iter().map(group).collect(),
            domains: survival.domains.into_iter().map(domain).collect(),
        })
    }

    async fn backup_set_policy(&self, params: SetPolicyParams) -> Result<Policy, RpcError> {
        let refused = |e: PolicyError| {
            let code = match e {
                PolicyError::Glob(_) => Code::BadPattern,
                PolicyError::Path(_)
                | PolicyError::Set(_)
                | PolicyError::Paths
                | PolicyError::Excludes => Code::BadValue,
            };
            RpcError::new(code, e)
        };
        let entry = policies::entry(PolicyEntry {
            path: params.path.into(),
            class: params.class.map(|class| class.0),
            exclude: params.excludes,
        });
        let entry = entry.map_err(refused)?;
        let shown = policy(&entry);
        let file = self.config.clone();
        let few = |config: &Config| match config.policies.len() > policies::MAX_POLICIES {
            true => Err(PolicyError::Paths.to_string()),
            false => Ok(()),
        };
        let edit = move || file.edit_checked(|document| policies::put(document, &entry), few);
        let edited = spawn_blocking(edit).await;
        let edited = edited.map_err(|e| RpcError::new(Code::Internal, e))?;
        edited.map_err(|e| {
            if let HomeError::Damaged { why, .. } = &e {
                return RpcError::new(Code::BadValue, why);
            }
            RpcError::new(Code::Internal, e)
        })?;
        Ok(shown)
    }

    async fn backup_list_policies(&self, params: PageParams) -> Result<Page<Policy>, RpcError> {
        let config = self.config.read();
        let config = config.map_err(|e| RpcError::new(Code::Internal, e))?;
        let mut policies: Vec<Policy> = config.policies.iter().map(policy).collect();
        policies.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Page::cut(policies, &params)?)
    }

    async fn backup_set_schedule(&self, params: SetScheduleParams) -> Result<Schedule, RpcError> {
        self.schedules.set(params).await
    }

    async fn backup_list_schedules(&self, params: PageParams) -> Result<Page<Schedule>, RpcError> {
        Ok(Page::cut(self.schedules.list()?, &params)?)
    }

    async fn backup_remove_schedule(&self, params: ScheduleParams) -> Result<Done, RpcError> {
        self.schedules.remove(params.name).await?;
        Ok(Done {})
    }

    async fn backup_run_schedule(&self, params: ScheduleParams) -> Result<JobStarted, RpcError> {
        Ok(JobStarted {
            job: self.schedules.run_now(&params.name)?,
        })
    }

    async fn backup_recover(&self, params: RecoverParams) -> Result<JobStarted, RpcError> {
        let recovery = Recovery {
            alone: params.alone,
            ..self.recovery.clone()
        };
        Ok(JobStarted {
            job: self.jobs.recover(recovery)?,
        })
    }

    async fn backup_restore(&self, params: RestoreParams) -> Result<JobStarted, RpcError> {
        paths(std::slice::from_ref(&params.target))?;
        Ok(JobStarted {
            job: self.jobs.restore(params)?,
        })
    }

    async fn backup_mount(&self, params: MountParams) -> Result<JobStarted, RpcError> {
        paths(std::slice::from_ref(&params.target))?;
        Ok(JobStarted {
            job: self.jobs.mount(params)?,
        })
    }
}

fn policy(entry: &PolicyEntry) -> Policy {
    Policy {
        path: entry.path.to_string_lossy().into_owned(),
        class: entry.class.map(Text),
        excludes: entry.exclude.clone(),
    }
}

fn group(group: &Group) -> DurabilityGroup {
    DurabilityGroup {
        class: Text(group.class),
        k: group.code.k(),
        n: group.code.n(),
        repair_at: group.code.r(),
        segments: group.segments,
        bytes: group.bytes,
        least_alive: group.least_alive,
        annual_loss: group.annual_loss,
        class_met: group.class_met,
    }
}

fn domain(domain: Domain) -> DomainLoss {
    let (kind, name) = match domain.shared {
        Shared::Operator(name) => (DomainKind::Operator, name),
        Shared::Provider(node) => (DomainKind::Provider, node.to_string()),
        Shared::Region(name) => (DomainKind::Region, name),
    };
    DomainLoss {
        kind,
        name,
        touched: domain.touched,
        lost: domain.lost,
    }
}
