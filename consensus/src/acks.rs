//! What this validator has acknowledged: each proof lies on the disk before its acknowledgement leaves,
//! and comes back after a restart, so that none is left out of the batch that we propose. Forgetting
//! one would be punished like withholding it. A file for each proof, in a folder for each slot, until
//! the slot's verdicts are final. `docs/protocol.md` §3.5.

use larder_keys::Signer;
use larder_ledger::{ProofAck, State};
use larder_proofs::Challenge;
use larder_types::{GenesisHash, NodeId, SlotNo, Time, codec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The folder within the record of votes.
const DIR: &str = "acknowledged";

/// A proof that was acknowledged, as it lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    pub(crate) ack: ProofAck,
    pub(crate) came: Time,
    #[serde(with = "serde_bytes")]
    pub(crate) blob: Vec<u8>,
}

/// Keeps proofs and signs for them; used from blocking threads.
#[derive(Debug)]
pub(crate) struct Keeper {
    dir: PathBuf,
    signer: Signer,
    genesis: GenesisHash,
    /// Tells drafts apart that are written at a time.
    writes: AtomicU64,
}

/// What was acknowledged for slots that have no verdicts yet.
#[derive(Debug)]
pub(crate) struct Acks {
    keeper: Arc<Keeper>,
    /// By slot and provider; `None` while the proof is being written.
    given: BTreeMap<(SlotNo, NodeId), Option<ProofAck>>,
}

impl Acks {
    /// Those in the record of votes at `dir`, given with the key `signer`, and the proofs that have no
    /// verdict yet as `state` has it. Others are deleted, and so is what a crash left half written: it was
    /// not acknowledged.
    ///
    /// # Errors
    /// What reading and deleting give.
    pub(crate) fn open(dir: &Path, signer: Signer, state: &State) -> io::Result<(Self, Vec<Kept>)> {
        let dir = dir.join(DIR);
        fs::create_dir_all(&dir)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir)? {
            let folder = entry?.path();
            match slot(&folder).filter(|slot| !state.is_settled(*slot)) {
                Some(slot) => found.extend(load(&folder, slot)?),
                None => fs::remove_dir_all(&folder)?,
            }
        }
        found.retain(|kept| kept.ack.by == signer.node());
        let given = found.iter().map(|kept| (key(&kept.ack), Some(kept.ack)));
        let acks = Self {
            given: given.collect(),
            keeper: Arc::new(Keeper {
                dir,
                signer,
                genesis: state.genesis_hash(),
                writes: AtomicU64::new(0),
            }),
        };
        Ok((acks, found))
    }

    /// Keeps proofs, beside the task.
    pub(crate) fn keeper(&self) -> Arc<Keeper> {
        Arc::clone(&self.keeper)
    }

    /// What was acknowledged of a provider for a slot.
    pub(crate) fn given(&self, slot: SlotNo, provider: NodeId) -> Option<ProofAck> {
        *self.given.get(&(slot, provider))?
    }

    /// Whether a proof that is known to be good is to be written now: not if that was done or is under
    /// way, however often its provider sends it.
    pub(crate) fn begin(&mut self, slot: SlotNo, provider: NodeId) -> bool {
        let is_new = !self.given.contains_key(&(slot, provider));
        self.given.entry((slot, provider)).or_default();
        is_new
    }

    /// A proof is on the disk: its acknowledgement may leave.
    pub(crate) fn gave(&mut self, ack: ProofAck) {
        self.given.insert(key(&ack), Some(ack));
    }

    /// A proof could not be written, and is not acknowledged.
    pub(crate) fn failed(&mut self, slot: SlotNo, provider: NodeId) {
        if self.given(slot, provider).is_none() {
            self.given.remove(&(slot, provider));
        }
    }

    /// Forgets slots whose verdicts are final.
    pub(crate) fn prune(&mut self, state: &State) {
        let is_over = |(slot, _): &(SlotNo, NodeId)| state.is_settled(*slot);
        let over = self.given.keys().filter(|key| is_over(key));
        let mut over: Vec<SlotNo> = over.map(|(slot, _)| *slot).collect();
        over.dedup();
        if !over.is_empty() {
            self.given.retain(|key, _| !is_over(key));
            let keeper = self.keeper();
            tokio::task::spawn_blocking(move || keeper.forget(&over));
        }
    }
}

impl Keeper {
    /// Writes a proof that was found good, then acknowledges it. A second time changes nothing.
    ///
    /// # Errors
    /// What writing gives: then nothing is acknowledged.
    pub(crate) fn keep(
        &self,
        challenge: &Challenge,
        came: Time,
        blob: &[u8],
    ) -> io::Result<ProofAck> {
        let (slot, provider) = (challenge.slot_no, challenge.provider);
        let ack = ProofAck::sign(&self.signer, slot, provider, blob, &self.genesis);
        let kept = Kept {
            ack,
            came,
            blob: blob.to_vec(),
        };
        let folder = self.folder(slot);
        match fs::create_dir(&folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            Ok(()) | Err(_) => {}
        }
        // Beside its place first: the same proof may be there, and acknowledged, already.
        let write = self.writes.fetch_add(1, Ordering::Relaxed);
        let draft = folder.join(format!("{}.{write}", ack.blob_hash));
        let mut file = File::create(&draft)?;
        file.write_all(&codec::encode(&kept))?;
        file.sync_data()?;
        fs::rename(&draft, folder.join(ack.blob_hash.to_string()))?;
        File::open(&folder)?.sync_all()?;
        File::open(&self.dir)?.sync_all()?;
        Ok(ack)
    }

    fn forget(&self, slots: &[SlotNo]) {
        for slot in slots {
            // What stays behind is deleted at the next start.
            if let Err(e) = fs::remove_dir_all(self.folder(*slot)) {
                tracing::warn!(
                    slot,
                    "acknowledged proofs stay, though nobody needs them: {e}"
                );
            }
        }
    }

    fn folder(&self, slot: SlotNo) -> PathBuf {
        self.dir.join(slot.to_string())
    }
}

const fn key(ack: &ProofAck) -> (SlotNo, NodeId) {
    (ack.slot, ack.provider)
}

fn slot(folder: &Path) -> Option<SlotNo> {
    folder.file_name()?.to_str()?.parse().ok()
}

/// The whole files of a slot; others are deleted.
fn load(folder: &Path, slot: SlotNo) -> io::Result<Vec<Kept>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let kept = codec::decode::<Kept>(&fs::read(&path)?).ok();
        let is_whole = |kept: &Kept| {
            let in_place = path.ends_with(kept.ack.blob_hash.to_string());
            in_place && kept.ack.is_of((slot, &kept.ack.provider), &kept.blob)
        };
        match kept.filter(is_whole) {
            Some(kept) => found.push(kept),
            None => fs::remove_file(&path)?,
        }
    }
    Ok(found)
}
