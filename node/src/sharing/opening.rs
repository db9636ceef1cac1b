//! Shares that others sent: opened, kept still sealed, restored with nothing but what came with them.
//! It takes no contract and no credit, only a node on the network that the data lies on.

use super::{Sharing, pick, share_error};
use crate::driver::DriverHandle;
use crate::home::now;
use crate::jobs::{failures, note_failures, restore_error};
use crate::sharing::Masks;
use crate::shown::{internal, stopping};
use crate::store::shares::{ShareId, TakenShare};
use crate::working::Working;
use larder_backup::{Lent, LentBlob, LentSegment, RestoreSummary, Tree};
use larder_coding::{BlobKind, IndexEntry};
use larder_engine::share::{MAX_SEALED_SHARE, Share};
use larder_engine::{Command, Input};
use larder_rpc::{
    Code, JobKind, JobResult, Moment, OpenParams, Opened, ReceivedShare, RpcError, Text,
};
use larder_types::{SegmentId, codec};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

/// Received shares that are kept.
const MAX_RECEIVED: usize = 1_000;

impl Sharing {
    /// What others have shared with this home, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn received(&self) -> Result<Vec<ReceivedShare>, RpcError> {
        let all = self.store.received().await.map_err(internal)?;
        Ok(all.iter().map(|(id, share)| shown(id, share)).collect())
    }

    /// Opens a share and keeps it; with a target, begins to restore it.
    ///
    /// # Errors
    /// [`Code::BadShare`] if it is not for this account, or damaged; [`Code::ShareExpired`].
    pub async fn open(&self, params: OpenParams) -> Result<Opened, RpcError> {
        let target = params.target.map(PathBuf::from);
        if target.as_ref().is_some_and(|target| !target.is_absolute()) {
            return Err(RpcError::new(
                Code::BadValue,
                "the target is no absolute path",
            ));
        }
        let (sealed, is_new) = match (params.file, params.share) {
            (Some(file), None) => (read_file(PathBuf::from(file)).await?, true),
            (None, Some(name)) => (self.kept(&name).await?, false),
            (Some(_), Some(_)) | (None, None) => {
                let why = "name either a file or a share that was opened before";
                return Err(RpcError::new(Code::BadValue, why));
            }
        };
        let share = self.unseal(&sealed).await?;
        let taken = match is_new {
            true => self.keep(&share, &sealed).await?,
            false => share.taken.clone(),
        };
        let received = shown(&share.share.id, &taken);
        if taken.expiry < now() {
            let why = format_args!(
                "the share {} ended at {}: ask for a new one",
                taken.name, received.expires
            )
            .to_string();
            return Err(RpcError::new(Code::ShareExpired, why));
        }
        let job = match target {
            Some(target) => Some(self.begin(share.share, target)?),
            None => None,
        };
        Ok(Opened {
            share: received,
            job,
        })
    }

    async fn kept(&self, name: &str) -> Result<Vec<u8>, RpcError> {
        let all = self.store.received().await.map_err(internal)?;
        let (id, _) = pick(all, name, "larder shared")?;
        let sealed = self.store.sealed_share(&id).await.map_err(internal)?;
        sealed.ok_or_else(|| RpcError::new(Code::NoShare, "the share is gone: open its file again"))
    }

    async fn unseal(&self, sealed: &[u8]) -> Result<Unsealed, RpcError> {
        let (key, _) = self.key()?;
        let (sealed, me, net) = (sealed.to_vec(), self.account, self.genesis);
        let opening = move || Share::open(&sealed, (&me, &key), now(), &net);
        let opened = tokio::task::spawn_blocking(opening)
            .await
            .map_err(internal)?;
        let (share, from) = opened.map_err(|e| share_error(&e))?;
        let taken = TakenShare {
            name: share.name.clone(),
            from,
            created: share.created,
            expiry: share.expiry,
            received: now(),
            files: share.files,
            dirs: share.dirs,
            bytes: share.bytes,
        };
        Ok(Unsealed { share, taken })
    }

    /// Keeps the newest file of a share.
    async fn keep(&self, of: &Unsealed, sealed: &[u8]) -> Result<TakenShare, RpcError> {
        let mut taken = of.taken.clone();
        let mut all = self.store.received().await.map_err(internal)?;
        for (id, _) in all.extract_if(.., |(_, share)| share.expiry < now()) {
            self.store.drop_received(&id).await.map_err(internal)?;
        }
        match all.iter().find(|(id, _)| *id == of.share.id) {
            Some((_, before)) if before.from != taken.from => {
                let why = "somebody else sent a share of this id before";
                return Err(RpcError::new(Code::BadShare, why));
            }
            Some((_, before)) => {
                taken.received = before.received;
                if before.created > taken.created {
                    return Ok(taken);
                }
            }
            None if all.len() >= MAX_RECEIVED => {
                let why = format_args!(
                    "there are {MAX_RECEIVED} shares: no more fit until the first of them ends"
                )
                .to_string();
                return Err(RpcError::new(Code::ShareTooLarge, why));
            }
            None => {}
        }
        let kept = self.store.put_received(&of.share.id, &taken, sealed);
        kept.await.map_err(internal)?;
        Ok(taken)
    }

    fn begin(&self, share: Share, target: PathBuf) -> Result<String, RpcError> {
        let sharing = self.clone();
        self.jobs
            .begin(JobKind::Restore, move |_, working| async move {
                sharing
                    .restore(share, target, &working)
                    .await
                    .map(JobResult::Restore)
            })
    }

    async fn restore(
        &self,
        share: Share,
        target: PathBuf,
        working: &Working,
    ) -> Result<larder_rpc::RestoreSummary, RpcError> {
        let cancelled = || RpcError::new(Code::Cancelled, "interrupted");
        let turn = working.cancel.run_until_cancelled(self.turn.lock());
        let _turn = turn.await.ok_or_else(cancelled)?;
        let began = Instant::now();
        working.note(format!(
            "restoring {} into {}",
            share.name,
            target.display()
        ));
        self.learn(&share).await;
        let loan = self.borrow(&share).await?;
        let tree: Tree = codec::decode(&share.tree).map_err(|e| {
            RpcError::new(Code::BadShare, format_args!("the share is damaged: {e}"))
        })?;
        let vault = &self.jobs.vault;
        let lent = Lent::open(vault, tree, lent_segments(&share)).await;
        let lent = lent.map_err(internal)?;
        let (segments, cancel) = (self.jobs.segments(), &working.cancel);
        let made = lent
            .restore(target.clone(), segments, &working.progress, cancel)
            .await;
        lent.close().await;
        let of = loan.segments.clone();
        let taken_back = self.driver.query(move |engine| engine.is_taken_back(&of));
        let taken_back = taken_back.await.map_err(stopping)?;
        let none = !made.as_ref().is_ok_and(|made| made.files > 0);
        if taken_back && none && !working.cancel.is_cancelled() {
            let why = format_args!(
                "{} was taken back by its owner, and providers serve it no more: ask for a new share",
                share.name
            )
            .to_string();
            return Err(RpcError::new(Code::ShareRevoked, why));
        }
        let made = made.map_err(|e| restore_error(&e))?;
        note_failures(working, &made.incomplete);
        for kind in &made.unrestored {
            working.note(kind.to_string());
        }
        Ok(summary(&share, &target, &made, began))
    }

    /// Notes where the providers were last heard at.
    async fn learn(&self, share: &Share) {
        for provider in &share.providers {
            let addrs = provider.addrs.iter().filter_map(|a| a.parse().ok());
            if let Err(e) = self.net.add_addrs(provider.node, addrs.collect()).await {
                tracing::debug!("addresses were not noted: {e}");
            }
        }
    }

    /// Has the engine and the pool know what may be read; until the loan is dropped.
    async fn borrow(&self, share: &Share) -> Result<Loan, RpcError> {
        let ids: Vec<SegmentId> = share.segments.iter().map(|s| s.manifest.segment).collect();
        // A share with ourselves: our own segments are read as our own.
        let theirs = self.driver.query(move |engine| {
            let theirs = ids.into_iter().filter(|id| !engine.owns(id));
            theirs.collect::<Vec<_>>()
        });
        let segments = theirs.await.map_err(stopping)?;
        let masks = share.segments.iter().map(|s| {
            let mask = Zeroizing::new(s.mask.0);
            (s.manifest.segment, mask)
        });
        let masks = masks.filter(|(id, _)| segments.contains(id));
        self.masks.lend(masks.collect::<Vec<_>>());
        let loan = Loan {
            driver: self.driver.clone(),
            masks: self.masks.clone(),
            segments,
        };
        let lent = Command::Borrow(share.to_borrow());
        let lent = self.driver.input(Input::Command(lent)).await;
        lent.map_err(stopping)?;
        Ok(loan)
    }
}

/// A share and what is kept of it.
struct Unsealed {
    share: Share,
    taken: TakenShare,
}

/// What was lent; given back when dropped.
struct Loan {
    driver: DriverHandle,
    masks: Masks,
    segments: Vec<SegmentId>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.masks.forget(&self.segments);
        let back = Input::Command(Command::Return(std::mem::take(&mut self.segments)));
        let driver = self.driver.clone();
        // Without a runtime the node has stopped, and its engine with it.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                if driver.input(back).await.is_err() {
                    tracing::debug!("the engine has stopped");
                }
            });
        }
    }
}

async fn read_file(path: PathBuf) -> Result<Vec<u8>, RpcError> {
    if !path.is_absolute() {
        let why = format_args!("{} is not an absolute path", path.display()).to_string();
        return Err(RpcError::new(Code::BadValue, why));
    }
    let reading = move || {
        read_bounded(&path).map_err(|e| {
            let why = format_args!("{}: {e}", path.display()).to_string();
            RpcError::new(Code::Unreadable, why)
        })
    };
    tokio::task::spawn_blocking(reading)
        .await
        .map_err(internal)?
}

/// One byte more than a share may have is enough to refuse it.
fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = MAX_SEALED_SHARE as u64 + 1;
    std::fs::File::open(path)?
        .take(most)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn lent_segments(share: &Share) -> Vec<LentSegment> {
    let mut blobs: BTreeMap<u32, Vec<LentBlob>> = BTreeMap::new();
    for blob in &share.blobs {
        let entry = IndexEntry {
            id: blob.id,
            kind: BlobKind::Data,
            offset: blob.offset,
            len: blob.len,
            plain_len: blob.plain_len,
        };
        let key = blob.key.clone();
        let of = blobs.entry(blob.segment).or_default();
        of.push(LentBlob { entry, key });
    }
    let segments = (0..).zip(&share.segments);
    let lent = segments.map(|(no, s)| LentSegment {
        id: s.manifest.segment,
        len: s.manifest.segment_len,
        outer: s.outer.clone(),
        blobs: blobs.remove(&no).unwrap_or_default(),
    });
    lent.collect()
}

fn shown(id: &ShareId, share: &TakenShare) -> ReceivedShare {
    ReceivedShare {
        share: hex::encode(id),
        name: share.name.clone(),
        from: Text(share.from),
        created: Moment(share.created),
        expires: Moment(share.expiry),
        received: Moment(share.received),
        files: share.files,
        dirs: share.dirs,
        bytes: share.bytes,
    }
}

fn summary(
    share: &Share,
    target: &Path,
    made: &RestoreSummary,
    began: Instant,
) -> larder_rpc::RestoreSummary {
    larder_rpc::RestoreSummary {
        snapshot: hex::encode(share.id),
        target: target.to_string_lossy().into_owned(),
        files: made.files,
        dirs: made.dirs,
        bytes: made.bytes,
        errors: made.incomplete.count,
        failures: failures(&made.incomplete),
        unrestored: made.unrestored.iter().map(ToString::to_string).collect(),
        verified: false,
        seconds: began.elapsed().as_secs_f64(),
    }
}
