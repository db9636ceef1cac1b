//! `backup_*`: snapshots in, files out.

use super::NodeApi;
use crate::home::now;
use crate::jobs::{browse_error, paths, resolve_error};
use crate::shown::{entry, internal};
use larder_backup::{BackupOptions, Depth};
use larder_rpc::{
    BackupMethods, BackupParams, BrowseParams, Code, Empty, Entry, Estimate, EstimateParams,
    JobStarted, Moment, Page, PageParams, RestoreParams, RpcError, Snapshot, Text,
};
use std::path::PathBuf;
use tokio::sync::mpsc;

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
        options.excludes = params.excludes;
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

    async fn backup_list_snapshots(&self, params: PageParams) -> Result<Page<Snapshot>, RpcError> {
        let snapshots = self.jobs.vault.snapshots().await.map_err(internal)?;
        let shown = snapshots.into_iter().map(|(id, s)| Snapshot {
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
        });
        Ok(Page::cut(shown, &params)?)
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
                if at >= offset + limit {
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
        let next_cursor = more.then(|| (offset + limit).to_string());
        Ok(Page { items, next_cursor })
    }

    async fn backup_recover(&self, _: Empty) -> Result<JobStarted, RpcError> {
        Ok(JobStarted {
            job: self.jobs.recover(self.recovery.clone())?,
        })
    }

    async fn backup_restore(&self, params: RestoreParams) -> Result<JobStarted, RpcError> {
        paths(std::slice::from_ref(&params.target))?;
        Ok(JobStarted {
            job: self.jobs.restore(params)?,
        })
    }
}
