//! Drills: whether what was backed up comes back, tried on a random sample and signed by the device,
//! so that whoever audits need not believe the machine's owner. The last hundred are kept in
//! `drills.json` of the home.

use crate::home::write;
use larder_engine::alerts::DrillFacts;
use larder_keys::{Signer, Tag, verify};
use larder_rpc::{Drill, Moment};
use larder_types::{GenesisHash, Signature, Time, codec};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a record is signed as.
pub const DRILL: Tag = Tag("drill");
/// The file's name.
pub const FILE: &str = "drills.json";
/// Records that are kept.
const KEPT: usize = 100;

/// What a drill came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// When it ended.
    pub time: Time,
    /// Of which snapshot.
    pub snapshot: String,
    /// Files chosen.
    pub files: u64,
    /// Bytes restored.
    pub bytes: u64,
    /// Files that did not come back, or not as they were.
    pub failures: u64,
}

/// An outcome with the device's signature over its canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    outcome: Outcome,
    /// Hex.
    device: String,
    /// Hex.
    signature: String,
}

/// The home's drills. Clones are the same.
#[derive(Debug, Clone)]
pub struct Drills {
    path: PathBuf,
    device: Signer,
    genesis: GenesisHash,
    /// The newest last.
    all: Arc<Mutex<Vec<Record>>>,
}

impl Drills {
    /// Those of the home in `dir`, whose device signs with `device`. A file that is none is begun
    /// anew.
    #[must_use]
    pub fn open(dir: &Path, device: Signer, genesis: GenesisHash) -> Self {
        let path = dir.join(FILE);
        let all = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|e| {
                tracing::warn!("{} is damaged, and begun anew: {e}", path.display());
                Vec::new()
            }),
            Err(e) => {
                if e.kind() != io::ErrorKind::NotFound {
                    tracing::warn!("{}: {e}", path.display());
                }
                Vec::new()
            }
        };
        Self {
            path,
            device,
            genesis,
            all: Arc::new(Mutex::new(all)),
        }
    }

    /// Signs and keeps what a drill came to.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep(&self, outcome: Outcome) -> Result<Drill, crate::home::HomeError> {
        let bytes = codec::encode(&outcome);
        let record = Record {
            device: hex::encode(self.device.public()),
            signature: hex::encode(self.device.sign(DRILL, &self.genesis, &bytes).0),
            outcome,
        };
        let shown = self.shown(&record);
        let mut all = self.lock();
        all.push(record);
        let beyond = all.len().saturating_sub(KEPT);
        all.drain(..beyond);
        let text = serde_json::to_vec_pretty(&*all).unwrap_or_default();
        write(&self.path, &text, 0o600)?;
        Ok(shown)
    }

    /// The kept ones, the newest first.
    #[must_use]
    pub fn list(&self) -> Vec<Drill> {
        let all = self.lock();
        all.iter().rev().map(|record| self.shown(record)).collect()
    }

    /// What alerts are about: the newest one.
    #[must_use]
    pub fn facts(&self) -> Option<DrillFacts> {
        let all = self.lock();
        let outcome = &all.last()?.outcome;
        Some(DrillFacts {
            files: outcome.files,
            failures: outcome.failures,
        })
    }

    /// A record, with whether this device signed it on this network.
    fn shown(&self, record: &Record) -> Drill {
        let outcome = &record.outcome;
        let signature = hex::decode(&record.signature).ok();
        let signature = signature
            .and_then(|bytes| bytes.try_into().ok())
            .map(Signature);
        let device = hex::decode(&record.device).ok();
        let device: Option<[u8; 32]> = device.and_then(|bytes| bytes.try_into().ok());
        let bytes = codec::encode(outcome);
        let valid = signature.zip(device).is_some_and(|(signature, device)| {
            device == self.device.public()
                && verify(&device, DRILL, &self.genesis, &bytes, &signature)
        });
        Drill {
            time: Moment(outcome.time),
            snapshot: outcome.snapshot.clone(),
            files: outcome.files,
            bytes: outcome.bytes,
            failures: outcome.failures,
            device: format!("0x{}", record.device),
            signature: format!("0x{}", record.signature),
            valid,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NET: GenesisHash = GenesisHash([7; 32]);

    fn outcome(failures: u64) -> Outcome {
        Outcome {
            time: Time(1_700_000_000_000),
            snapshot: "s".to_owned(),
            files: 3,
            bytes: 9,
            failures,
        }
    }

    #[test]
    fn what_was_kept_is_there_again_and_what_was_changed_shows() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Drills::open(dir.path(), Signer::from_seed(&[1; 32]), NET);
        let drills = open();
        assert_eq!(drills.facts(), None);
        for failures in 0..=KEPT as u64 {
            assert!(drills.keep(outcome(failures)).unwrap().valid);
        }
        let again = open().list();
        assert_eq!((again.len(), again[0].failures), (KEPT, KEPT as u64));
        assert!(again.iter().all(|drill| drill.valid));
        let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
        let better = text.replace("\"failures\": 100", "\"failures\": 0");
        assert_ne!(better, text);
        fs::write(dir.path().join(FILE), better).unwrap();
        let forged = open().list();
        assert!(!forged[0].valid && forged[1].valid);
        let other = Drills::open(dir.path(), Signer::from_seed(&[2; 32]), NET);
        assert!(other.list().iter().all(|drill| !drill.valid));
    }
}
