//! Providers that cheat. Each is an honest machine, engine and all, until it turns; from then on it
//! throws away what it stores, all or a part, and what lies between its engine and its disk answers
//! for it. What it gains by that, [`crate::checkers::purse`] counts. `docs/protocol.md` §3.7, §4.4.

mod junk;
mod stale;
mod theft;

pub use theft::Thefts;

use crate::queue::Happening;
use crate::world::World;
use larder_engine::io::JobError;
use larder_keys::{AccountSigner, Signer};
use larder_proofs::{Challenge, Commitment, Kind};
use larder_types::{ContractId, Millis, ShardRoot};
use serde::Serialize;
use std::collections::BTreeSet;

/// How a provider cheats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Adversary {
    /// Drops a part, and says nothing whenever a draw hits a hole.
    SilentWhenHit,
    /// Drops a part, and answers whatever is drawn: with an older proof, dated and signed anew.
    DropsAFraction,
    /// Drops everything, and hides the holes among its draws behind a big empty contract with
    /// itself; silent when hit.
    DilutesWithJunk,
    /// Drops everything, and tries to rebuild what is drawn from the shards of k others.
    RegeneratesFromOthers,
    /// Drops everything, and sends the proof that it made last, as it was.
    AnswersStaleProofs,
    /// Drops all that it stores for one renter, hides that hole behind a big empty contract with
    /// itself, and says nothing when the renter or a draw hits it.
    RobsOneRenter,
}

impl Adversary {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::SilentWhenHit,
        Self::DropsAFraction,
        Self::DilutesWithJunk,
        Self::RegeneratesFromOthers,
        Self::AnswersStaleProofs,
        Self::RobsOneRenter,
    ];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SilentWhenHit => "silent when hit",
            Self::DropsAFraction => "drops a fraction",
            Self::DilutesWithJunk => "dilutes with junk contracts",
            Self::RegeneratesFromOthers => "regenerates from others",
            Self::AnswersStaleProofs => "answers stale proofs",
            Self::RobsOneRenter => "robs one renter",
        }
    }

    /// It drops one shard in so many.
    const fn drops_one_in(self) -> usize {
        match self {
            Self::SilentWhenHit | Self::DropsAFraction => 4,
            Self::DilutesWithJunk
            | Self::RegeneratesFromOthers
            | Self::AnswersStaleProofs
            | Self::RobsOneRenter => 1,
        }
    }
}

/// What a cheating machine remembers.
#[derive(Debug)]
pub(crate) struct Cheat {
    pub(crate) how: Adversary,
    /// Whether it has turned.
    turned: bool,
    /// The contract that it robs, if it robs one only.
    victim: Option<ContractId>,
    /// The shards that it has kept or dropped.
    seen: BTreeSet<ShardRoot>,
    /// The last proof that it made while it was honest.
    last_proof: Option<Vec<u8>>,
    pub(crate) thefts: Thefts,
}

impl Cheat {
    /// One that is honest so far.
    pub(crate) fn new(how: Adversary) -> Self {
        Self {
            how,
            turned: false,
            victim: None,
            seen: BTreeSet::new(),
            last_proof: None,
            thefts: Thefts::default(),
        }
    }

    /// What goes, of the shards that it has not seen yet.
    fn drops(&mut self, stored: impl Iterator<Item = ShardRoot>) -> Vec<ShardRoot> {
        let one_in = self.how.drops_one_in();
        let mut dropped = Vec::new();
        for root in stored {
            let before = self.seen.len();
            if self.seen.insert(root) && before.is_multiple_of(one_in) {
                dropped.push(root);
            }
        }
        dropped
    }
}

impl World {
    /// The account beside its own that a cheating provider could use.
    pub(crate) fn second_account(&self, i: usize) -> AccountSigner {
        let seed = crate::dice::derive(self.options.seed, "second account", i);
        AccountSigner::own(Signer::from_seed(&seed))
    }

    /// A provider that cheats begins to do so, an honest one does not: what follows is counted.
    pub(crate) fn turn(&mut self, i: usize) {
        let so_far = self.trace.finish();
        self.watched(|purse, sight| purse.turn(sight, so_far));
        if let Some(befalls) = self.setting.befalls {
            befalls(self, i);
        }
        let Some(cheat) = &mut self.nodes[i].cheat else {
            return;
        };
        cheat.turned = true;
        match cheat.how {
            Adversary::DilutesWithJunk => self.open_junk(i),
            Adversary::RobsOneRenter => {
                self.choose_victim(i);
                self.open_junk(i);
            }
            Adversary::SilentWhenHit
            | Adversary::DropsAFraction
            | Adversary::RegeneratesFromOthers
            | Adversary::AnswersStaleProofs => {}
        }
        // What is opened now counts from the next epoch on.
        let epoch = Millis(self.setting.params.epoch.0);
        self.later(epoch, Happening::Cheat(i));
    }

    /// The renter with the smallest contract is robbed: draws hit it least.
    fn choose_victim(&mut self, i: usize) {
        let record = self.chain.state.provider(&self.nodes[i].id);
        let leaves = record.into_iter().flat_map(|record| record.active.iter());
        let smallest = leaves
            .map(|(_, leaf)| leaf)
            .filter(|leaf| leaf.used_chunks > 0)
            .min_by_key(|leaf| (leaf.rate, leaf.contract_id))
            .map(|leaf| leaf.contract_id);
        if let Some(cheat) = &mut self.nodes[i].cheat {
            cheat.victim = smallest;
        }
    }

    /// Shards go, of those that have come since the last time.
    pub(crate) fn cheat(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        let Some(cheat) = &mut node.cheat else {
            return;
        };
        let disk = &node.disk;
        let robbed = |root: &&ShardRoot| {
            let row = disk.shard_row(root);
            cheat.how != Adversary::RobsOneRenter
                || row.is_some_and(|row| cheat.victim == Some(row.contract))
        };
        let stored: Vec<ShardRoot> = disk.roots().filter(robbed).copied().collect();
        let dropped = cheat.drops(stored.into_iter());
        for root in &dropped {
            node.disk.drop_shard(root);
        }
        self.report.dropped += dropped.len() as u64;
        self.checkers.data.broken(i, &dropped);
        let epoch = Millis(self.setting.params.epoch.0);
        self.later(epoch, Happening::Cheat(i));
    }

    /// What a provider answers to a challenge, where `honest` is what it would answer.
    pub(crate) fn answers(
        &mut self,
        i: usize,
        challenge: &Challenge,
        commitment: &Commitment,
        honest: Result<Vec<u8>, JobError>,
    ) -> Result<Vec<u8>, JobError> {
        let is_faulted = self.is_faulted(i);
        let node = &mut self.nodes[i];
        let Some(cheat) = &mut node.cheat else {
            return honest;
        };
        // An owner's audit costs nothing: what it cannot answer, it does not.
        if challenge.kind != Kind::Ledger {
            return honest;
        }
        if !cheat.turned {
            if let Ok(blob) = &honest {
                cheat.last_proof = Some(blob.clone());
            }
            return honest;
        }
        let last = cheat.last_proof.as_deref();
        match (cheat.how, honest) {
            (Adversary::AnswersStaleProofs, honest) => last.map_or(honest, |old| Ok(old.to_vec())),
            // Nothing more is to be got from a renter, and each epoch paid to itself costs the fee.
            (Adversary::DilutesWithJunk, _) if is_faulted => Err(silent()),
            (_, Ok(blob)) => Ok(blob),
            (
                Adversary::SilentWhenHit | Adversary::DilutesWithJunk | Adversary::RobsOneRenter,
                Err(why),
            ) => Err(why),
            (Adversary::DropsAFraction, Err(why)) => {
                last.map_or(Err(why), |old| Ok(stale::redated(&node.me, challenge, old)))
            }
            (Adversary::RegeneratesFromOthers, Err(why)) => {
                self.regenerate(i, challenge, commitment).ok_or(why)
            }
        }
    }

    fn is_faulted(&self, i: usize) -> bool {
        let record = self.chain.state.provider(&self.nodes[i].id);
        record.is_some_and(|provider| provider.faulted.is_some())
    }
}

fn silent() -> JobError {
    JobError::Damaged("nothing is answered".to_owned())
}
