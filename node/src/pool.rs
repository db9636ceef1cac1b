//! Workers: each job of the engine becomes one task that calls pure functions over files and
//! streams. The engine bounds how many there are; CPU-heavy ones queue for the cores.

use crate::driver::DriverHandle;
use crate::net::{
    BulkStream, FrameError, NetHandle, Payload, read_header, send_payload, write_header,
};
use crate::shards::Volumes;
use crate::shards::scrub::Suspects;
use crate::sharing::Masks;
use crate::spool::Spool;
use crate::store::Store;
use futures::FutureExt as _;
use larder_coding::layout::Code;
use larder_coding::shards::{decode_segment, encode_segment, rebuild_shards};
use larder_contracts::ShardAck;
use larder_engine::OpId;
use larder_engine::io::{Job, JobError, Outcome, PutError, Unreachable};
use larder_engine::wire::{BulkHeader, BulkReply, PlaceShard, ReadCap};
use larder_keys::{Signer, VaultKeys};
use larder_proofs::{Challenge, Commitment, Kind, ProveError, prove};
use larder_types::params::CHUNK;
use larder_types::{GenesisHash, NodeId, SegmentId, ShardRoot, Time};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;

/// Coding jobs at once: each keeps a core busy.
const CODERS: usize = 2;
/// Proofs at once. They have a deadline and pay hangs on it: they do not queue behind coding.
const PROVERS: usize = 1;

/// What workers need.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Where outcomes go.
    pub driver: DriverHandle,
    /// The transport.
    pub net: NetHandle,
    /// The spool and the fetch folder.
    pub spool: Spool,
    /// The provider's shards.
    pub shards: Option<Volumes>,
    /// The lists that say which of them a proof is about.
    pub store: Store,
    /// Where a shard is named that a proof cannot be made of.
    pub suspects: Suspects,
    /// Masks come from here …
    pub vault: VaultKeys,
    /// … and those of segments that others lent from here.
    pub masks: Masks,
    /// Signs proofs.
    pub node_key: Signer,
    /// The network.
    pub genesis: GenesisHash,
    /// Whose turn it is to compute.
    pub turns: Turns,
}

/// Permits for what keeps a core busy.
#[derive(Debug, Clone)]
pub struct Turns {
    coding: Arc<Semaphore>,
    proving: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            coding: Arc::new(Semaphore::new(CODERS)),
            proving: Arc::new(Semaphore::new(PROVERS)),
        }
    }
}

impl Pool {
    /// Does a job; its outcome goes to the driver. One that panics ends like one that is late.
    pub fn run(&self, op: OpId, job: Job, deadline: Time) {
        if let Job::Discard { segment, fetched } = job {
            return self.discard(segment, fetched);
        }
        let pool = self.clone();
        tokio::spawn(async move {
            let late = late(&job);
            let left = deadline.since(crate::home::now()).to_std();
            let working = tokio::time::timeout(left, pool.work(job));
            let outcome = match AssertUnwindSafe(working).catch_unwind().await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => late,
                Err(_) => {
                    tracing::error!(?op, "a worker panicked; please report this");
                    late
                }
            };
            pool.driver.done(op, outcome).await;
        });
    }

    /// The name is free at once, in the order of the effects; the files go when there is time.
    fn discard(&self, segment: SegmentId, fetched: bool) {
        match self.spool.retire(&segment, fetched) {
            Ok(Some(retired)) => {
                tokio::task::spawn_blocking(move || {
                    if let Err(e) = std::fs::remove_dir_all(&retired) {
                        tracing::warn!(%segment, "a spool folder stays until the next start: {e}");
                    }
                });
            }
            Ok(None) => {}
            Err(e) => tracing::warn!(%segment, "a spool folder stays until the next start: {e}"),
        }
    }

    async fn work(&self, job: Job) -> Outcome {
        match job {
            Job::Encode {
                segment, code, len, ..
            } => Outcome::Encoded(self.encode(segment, code, len).await),
            Job::Put {
                segment,
                position,
                to,
                place,
            } => Outcome::Put(self.put(segment, position, to, place).await),
            Job::Get {
                segment,
                position,
                from,
                cap,
                chunks,
            } => Outcome::Got(self.get(segment, position, from, cap, chunks).await),
            Job::Decode {
                segment,
                code,
                len,
                positions,
                ..
            } => Outcome::Decoded(self.decode(segment, code, len, positions).await),
            Job::Rebuild {
                segment,
                code,
                shard_len,
                positions,
                missing,
            } => {
                let rebuilt = self.rebuild(segment, (code, shard_len), positions, missing);
                Outcome::Rebuilt(rebuilt.await)
            }
            Job::Prove {
                challenge,
                commitment,
            } => Outcome::Proved(self.prove(challenge, commitment).await),
            Job::Discard { .. } => unreachable!("discarding has no outcome"),
        }
    }

    async fn encode(
        &self,
        segment: SegmentId,
        code: Code,
        len: u64,
    ) -> Result<Vec<ShardRoot>, JobError> {
        let (spool, mask) = (self.spool.clone(), self.vault.mask_key(&segment));
        compute(&self.turns.coding, move || {
            let source = spool.source(&segment).ok_or_else(|| {
                JobError::Damaged("the sealed segment is not in the spool".to_owned())
            })?;
            let mut source = File::open(source).map_err(disk)?;
            let mut sinks = spool.create_shards(&segment, 0..code.n()).map_err(disk)?;
            let roots = encode_segment(code, &mask, &mut source, len, &mut sinks)
                .map_err(|e| JobError::Disk(e.to_string()))?;
            finish(&spool, &segment, sinks).map_err(disk)?;
            Ok(roots)
        })
        .await
    }

    async fn put(
        &self,
        segment: SegmentId,
        position: u16,
        to: NodeId,
        place: PlaceShard,
    ) -> Result<ShardAck, PutError> {
        let len = place.leaf.chunks * CHUNK;
        let path = self.spool.shard(&segment, position);
        let mut file = tokio::fs::File::open(path)
            .await
            .map_err(|e| PutError::Local(disk(e)))?;
        let mut stream = self.open(to).await?;
        write_header(&mut stream, &BulkHeader::Place(place))
            .await
            .map_err(broke)?;
        match read_header(&mut stream).await.map_err(broke)? {
            BulkReply::Ack(ack) => return Ok(ack),
            BulkReply::Denied(deny) => return Err(PutError::Refused(deny)),
            BulkReply::Go => {}
        }
        send_payload(&mut file, &mut stream, len)
            .await
            .map_err(broke)?;
        match read_header(&mut stream).await.map_err(broke)? {
            BulkReply::Ack(ack) => Ok(ack),
            BulkReply::Denied(deny) => Err(PutError::Refused(deny)),
            BulkReply::Go => Err(PutError::Peer(Unreachable::Garbage)),
        }
    }

    async fn get(
        &self,
        segment: SegmentId,
        position: u16,
        from: NodeId,
        cap: ReadCap,
        chunks: u64,
    ) -> Result<(), PutError> {
        let root = cap.root;
        let mut stream = self.open(from).await?;
        write_header(&mut stream, &BulkHeader::Read(cap))
            .await
            .map_err(broke)?;
        match read_header(&mut stream).await.map_err(broke)? {
            BulkReply::Go => {}
            BulkReply::Denied(deny) => return Err(PutError::Refused(deny)),
            BulkReply::Ack(_) => return Err(PutError::Peer(Unreachable::Garbage)),
        }
        let local = |e| PutError::Local(disk(e));
        let path = self.spool.coming_shard(&segment, position);
        let folder = path
            .parent()
            .map(std::path::Path::to_owned)
            .unwrap_or_default();
        tokio::fs::create_dir_all(folder).await.map_err(local)?;
        let file = tokio::fs::File::create(&path).await.map_err(local)?;
        let mut file = tokio::io::BufWriter::with_capacity(1 << 20, file);
        let mut hasher = blake3::Hasher::new();
        let mut payload = Payload::new(chunks * CHUNK);
        while let Some(piece) = payload.next(&mut stream).await.map_err(broke)? {
            hasher.update(piece);
            file.write_all(piece).await.map_err(local)?;
        }
        file.flush().await.map_err(local)?;
        if *hasher.finalize().as_bytes() != root.0 {
            tracing::warn!(%from, %segment, position, "a provider sent other bytes than it stored");
            tokio::fs::remove_file(&path).await.map_err(local)?;
            return Err(PutError::WrongBytes);
        }
        drop(file);
        let verified = self.spool.fetched_shard(&segment, position);
        tokio::fs::rename(path, verified).await.map_err(local)?;
        Ok(())
    }

    async fn decode(
        &self,
        segment: SegmentId,
        code: Code,
        len: u64,
        positions: Vec<u16>,
    ) -> Result<(), JobError> {
        let lent = self.masks.of(&segment);
        let mask = lent.unwrap_or_else(|| self.vault.mask_key(&segment));
        let spool = self.spool.clone();
        compute(&self.turns.coding, move || {
            let mut sources = fetched(&spool, &segment, &positions).map_err(disk)?;
            let fresh = spool.fetched(&segment).with_extension("new");
            let mut sink = BufWriter::new(File::create(&fresh).map_err(disk)?);
            decode_segment(code, &mask, &mut sources, len, &mut sink)
                .map_err(|e| JobError::Damaged(e.to_string()))?;
            sink.flush().map_err(disk)?;
            std::fs::rename(fresh, spool.fetched(&segment)).map_err(disk)
        })
        .await
    }

    /// Rebuilds missing shards into the spool, where those of the same segment that lie there stay.
    async fn rebuild(
        &self,
        segment: SegmentId,
        (code, shard_len): (Code, u64),
        positions: Vec<u16>,
        missing: Vec<u16>,
    ) -> Result<Vec<ShardRoot>, JobError> {
        let (spool, mask) = (self.spool.clone(), self.vault.mask_key(&segment));
        compute(&self.turns.coding, move || {
            let mut sources = fetched(&spool, &segment, &positions).map_err(disk)?;
            let mut sinks = spool
                .create_shards(&segment, missing.iter().copied())
                .map_err(disk)?;
            let roots = rebuild_shards(code, &mask, &mut sources, shard_len, &missing, &mut sinks)
                .map_err(|e| JobError::Disk(e.to_string()))?;
            finish(&spool, &segment, sinks).map_err(disk)?;
            Ok(roots)
        })
        .await
    }

    async fn prove(
        &self,
        challenge: Challenge,
        commitment: Arc<Commitment>,
    ) -> Result<Vec<u8>, JobError> {
        let (shards, key, genesis) = (self.shards.clone(), self.node_key.clone(), self.genesis);
        let (store, suspects) = (self.store.clone(), self.suspects.clone());
        compute(&self.turns.proving, move || {
            let shards = shards.ok_or_else(|| JobError::Disk("no shard store".to_owned()))?;
            let lists = store.lists(&commitment.tree);
            prove(&lists, &challenge, &shards, &key, &genesis).map_err(|e| {
                match challenge.kind {
                    Kind::Ledger => {
                        tracing::warn!(
                            slot = challenge.slot_no,
                            "this epoch cannot be proven: {e}"
                        );
                    }
                    Kind::Audit => tracing::warn!("an audit cannot be answered: {e}"),
                }
                if let Some(shard) = suspect(&e) {
                    suspects.add(shard);
                }
                JobError::Damaged(e.to_string())
            })
        })
        .await
    }

    async fn open(&self, to: NodeId) -> Result<BulkStream, PutError> {
        self.net.open_bulk(to).await.map_err(|e| {
            tracing::debug!(%to, "no bulk stream: {e}");
            PutError::Peer(Unreachable::NoAnswer)
        })
    }
}

/// The shard that a proof failed on.
fn suspect<E, C>(error: &ProveError<E, C>) -> Option<ShardRoot>
where
    E: std::error::Error,
    C: std::error::Error,
{
    match error {
        ProveError::Read { shard, .. }
        | ProveError::BadOutboard { shard }
        | ProveError::Damaged { shard, .. } => Some(*shard),
        ProveError::Plan(_) | ProveError::OtherKey => None,
    }
}

/// Makes a segment's new shards durable.
fn finish(spool: &Spool, segment: &SegmentId, sinks: Vec<BufWriter<File>>) -> std::io::Result<()> {
    for sink in sinks {
        sink.into_inner()
            .map_err(std::io::IntoInnerError::into_error)?
            .sync_all()?;
    }
    spool.sync(segment)
}

/// The fetched shards of these positions.
fn fetched(
    spool: &Spool,
    segment: &SegmentId,
    positions: &[u16],
) -> std::io::Result<Vec<(u16, File)>> {
    let open = |j: &u16| Ok((*j, File::open(spool.fetched_shard(segment, *j))?));
    positions.iter().map(open).collect()
}

/// Runs on a blocking thread when it is its turn.
async fn compute<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
) -> Result<T, JobError> {
    let turn = Arc::clone(turns).acquire_owned().await;
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    done.await.unwrap_or(Err(JobError::Cancelled))
}

/// What is said of a job that its deadline overtook.
fn late(job: &Job) -> Outcome {
    match job {
        Job::Encode { .. } | Job::Discard { .. } => Outcome::Encoded(Err(JobError::Cancelled)),
        Job::Put { .. } => Outcome::Put(Err(PutError::Peer(Unreachable::NoAnswer))),
        Job::Get { .. } => Outcome::Got(Err(PutError::Peer(Unreachable::NoAnswer))),
        Job::Decode { .. } => Outcome::Decoded(Err(JobError::Cancelled)),
        Job::Rebuild { .. } => Outcome::Rebuilt(Err(JobError::Cancelled)),
        Job::Prove { .. } => Outcome::Proved(Err(JobError::Cancelled)),
    }
}

/// A file that is gone will not come back; anything else the disk may get over.
fn disk(e: std::io::Error) -> JobError {
    if e.kind() == std::io::ErrorKind::NotFound {
        return JobError::Damaged(e.to_string());
    }
    JobError::Disk(e.to_string())
}

fn broke(e: FrameError) -> PutError {
    match e {
        FrameError::Source(e) => PutError::Local(disk(e)),
        broken @ (FrameError::Stream(_)
        | FrameError::Stalled
        | FrameError::TooLarge { .. }
        | FrameError::Header(_)) => {
            tracing::debug!("a transfer broke: {broken}");
            PutError::Peer(Unreachable::NoAnswer)
        }
    }
}
