//! A keeper's side of a backup: it seals random segments into the spool every few days, hands them
//! over, hands them over again while they are not saved, and reads some back.

use crate::checkers::Sight;
use crate::dice::HOUR;
use crate::queue::Happening;
use crate::world::World;
use larder_engine::io::{Command, Input, Notice};
use larder_keys::VaultKeys;
use larder_types::{Class, Millis, SegmentId, Time};
use std::collections::BTreeMap;

/// Length of C: over four data positions or fewer, shards of 16 KiB.
const SEGMENT_LEN: (u64, u64) = (50_000, 65_537);

/// The name of the request for room that comes before another try with what is not saved yet.
const AGAIN: u64 = u64::MAX;

/// A segment as its keeper knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed {
    /// Length of C, bytes.
    pub(crate) len: u64,
    /// Whether it was told durable.
    pub(crate) durable: bool,
    /// When it is handed over again, if that is planned.
    pub(crate) again_at: Time,
}

/// One keeper.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Its vault's keys.
    pub(crate) keys: VaultKeys,
    /// All it ever sealed.
    pub(crate) sealed: BTreeMap<SegmentId, Sealed>,
    job: u64,
}

impl Keeper {
    /// A keeper without data.
    pub(crate) const fn new(keys: VaultKeys) -> Self {
        Self {
            keys,
            sealed: BTreeMap::new(),
            job: 0,
        }
    }
}

/// Asks for room for a few segments.
fn prepare(job: u64) -> Command {
    Command::Prepare {
        job,
        class: Class::Normal,
        bytes: 4 * SEGMENT_LEN.1,
    }
}

/// The ciphertext of a segment: anyone can make it again from its id.
pub(crate) fn content(segment: &SegmentId, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(len).expect("a segment fits in memory")];
    blake3::Hasher::new_derive_key("larder v1 simulated segment")
        .update(&segment.0)
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

impl World {
    /// A backup is due: room first.
    pub(crate) fn backup(&mut self, i: usize) {
        if self.now > self.closing {
            return;
        }
        let epochs = if self.options.quick { 3 } else { 1 };
        let every = epochs * self.setting.params.epoch.0;
        let again = self.dice.span(every, 3 * every);
        if !self.nodes[i].synced {
            let soon = self.dice.span(every / 6, every / 3);
            return self.later(soon, Happening::Backup(i));
        }
        self.later(again, Happening::Backup(i));
        self.gossip(i);
        let Some(keeper) = self.nodes[i].keeper.as_mut() else {
            return;
        };
        keeper.job += 1;
        let command = prepare(keeper.job);
        if let Some(life) = self.nodes[i].alive(i) {
            // Once the offers are in.
            self.later(
                Millis(5_000),
                Happening::Input(life, Input::Command(command)),
            );
        }
    }

    /// What the engine tells its user.
    pub(crate) fn told(&mut self, i: usize, notice: Notice) {
        match notice {
            Notice::Prepared { job: AGAIN, .. } => {}
            Notice::Prepared { plan: Ok(_), .. } => self.seal(i),
            // The next backup tries again.
            Notice::Prepared { plan: Err(_), .. } => self.report.unprepared += 1,
            Notice::SegmentDurable { segment, .. } => self.durable(i, segment),
            Notice::SegmentFailed { segment, .. } => self.failed(i, segment),
            Notice::SegmentReady { segment } => self.read_back(i, segment),
            Notice::SegmentUnavailable { .. } => self.report.unavailable += 1,
            Notice::TxQueued { .. }
            | Notice::Befriended { .. }
            | Notice::TxEnded { .. }
            | Notice::CatalogueWanted
            | Notice::DevicesChanged
            | Notice::HeadKept { .. } => {}
        }
    }

    /// Seals a segment into the spool and hands it over.
    fn seal(&mut self, i: usize) {
        let segment = SegmentId(self.dice.bytes32());
        let len = self.dice.span(SEGMENT_LEN.0, SEGMENT_LEN.1).0;
        let node = &mut self.nodes[i];
        let Some(keeper) = &mut node.keeper else {
            return;
        };
        let sealed = Sealed {
            len,
            durable: false,
            again_at: Time(0),
        };
        keeper.sealed.insert(segment, sealed);
        node.disk.spool.insert(segment, content(&segment, len));
        self.report.segments += 1;
        self.checkers.data.sealed(self.now, segment, len);
        if let Some(life) = self.nodes[i].alive(i) {
            self.later(Millis(1), Happening::Again(life, segment));
        }
    }

    /// A segment went nowhere: once more in an hour, or sooner where epochs are short.
    fn failed(&mut self, i: usize, segment: SegmentId) {
        let now = self.now;
        let wait = Millis(HOUR.min(self.setting.params.epoch.0 / 8));
        let node = &mut self.nodes[i];
        let Some(life) = node.alive(i) else { return };
        let sealed = node
            .keeper
            .as_mut()
            .and_then(|k| k.sealed.get_mut(&segment));
        if let Some(sealed) = sealed.filter(|s| s.again_at <= now) {
            sealed.again_at = now.after(wait);
            // Another backup resumes this one: it asks for room first.
            let room = Input::Command(prepare(AGAIN));
            self.later(wait, Happening::Input(life, room));
            self.later(wait, Happening::Again(life, segment));
        }
    }

    /// Hands a segment over, unless it is saved.
    pub(crate) fn hand_over(&mut self, i: usize, segment: SegmentId) {
        let sealed = self.nodes[i]
            .keeper
            .as_ref()
            .and_then(|k| k.sealed.get(&segment));
        let Some(&Sealed {
            len,
            durable: false,
            ..
        }) = sealed
        else {
            return;
        };
        let command = Command::Store {
            segment,
            class: Class::Normal,
            meta: false,
            len,
        };
        self.step(i, Input::Command(command));
    }

    /// After a start: what is not saved yet is handed over again.
    pub(crate) fn resume(&mut self, i: usize) {
        self.gossip(i);
        let Some(keeper) = &self.nodes[i].keeper else {
            return;
        };
        let open: Vec<SegmentId> = keeper
            .sealed
            .iter()
            .filter(|(_, s)| !s.durable)
            .map(|(id, _)| *id)
            .collect();
        let Some(life) = self.nodes[i].alive(i) else {
            return;
        };
        for segment in open {
            self.later(Millis(1), Happening::Again(life, segment));
        }
    }

    fn durable(&mut self, i: usize, segment: SegmentId) {
        let Some(sealed) = self.nodes[i]
            .keeper
            .as_mut()
            .and_then(|k| k.sealed.get_mut(&segment))
        else {
            return;
        };
        if std::mem::replace(&mut sealed.durable, true) {
            return;
        }
        self.nodes[i].disk.spool.remove(&segment);
        self.report.durable += 1;
        let sight = Sight {
            now: self.now,
            nodes: &self.nodes,
            index: &self.index,
            state: &self.chain.state,
        };
        self.checkers.data.durable(&sight, segment);
    }

    /// A keeper wants one of its durable segments back.
    pub(crate) fn restore(&mut self, i: usize) {
        let epoch = self.setting.params.epoch.0;
        let again = self.dice.span(4 * epoch, 10 * epoch);
        self.later(again, Happening::Restore(i));
        let Some(keeper) = self.nodes[i]
            .keeper
            .as_ref()
            .filter(|_| self.nodes[i].synced)
        else {
            return;
        };
        let durable: Vec<SegmentId> = keeper
            .sealed
            .iter()
            .filter(|(_, s)| s.durable)
            .map(|(id, _)| *id)
            .collect();
        let pick = self.dice.below(durable.len() as u64);
        let pick = usize::try_from(pick).expect("below a length");
        if let Some(segment) = durable.get(pick) {
            let command = Command::Fetch { segment: *segment };
            self.step(i, Input::Command(command));
        }
    }

    /// The segment is back: is it what it was?
    fn read_back(&mut self, i: usize, segment: SegmentId) {
        let bytes = self.nodes[i].disk.restored.get(&segment);
        self.checkers
            .data
            .read_back(self.now, &segment, bytes.map(Vec::as_slice));
        self.report.restores += 1;
        if let Some(life) = self.nodes[i].alive(i) {
            let release = Input::Command(Command::Release { segment });
            self.later(Millis(1_000), Happening::Input(life, release));
        }
    }
}
