//! How the node's own heads stand with others, and how far a recovery has come: plain values for
//! the shell, copied. `docs/protocol.md` §3.9.

use crate::Engine;
use crate::head::{DeviceId, Doom, SegmentEntry};
use larder_types::{Hash, NodeId, SegmentId, SubKeyId, Time};

/// How another device of the account stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceState {
    /// Its key.
    pub device: DeviceId,
    /// What its machine is called.
    pub name: String,
    /// The sub-key that it signs with.
    pub subkey: Option<SubKeyId>,
    /// Until when its certificate holds; `None`: no head of it is known.
    pub until: Option<Time>,
    /// Its newest head's number.
    pub seq: u64,
    /// When that was made, by its own clock.
    pub time: Time,
    /// Up to which head of ours it has read.
    pub acknowledged: u64,
    /// Up to which head of its our vault has read.
    pub merged: u64,
    /// The segments that it is about to let go.
    pub dooms: Vec<Doom>,
    /// Whether the words have put it out.
    pub revoked: bool,
    /// Whether it was taken for lost.
    pub lost: bool,
    /// Whether a sign of life is waited for.
    pub doubted: bool,
    /// Whether two homes use its key.
    pub forked: bool,
    /// Contracts that it looks after.
    pub contracts: u32,
}

/// How this device's newest head stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadState {
    /// Its number; 0 before the first.
    pub seq: u64,
    /// How many providers hold it.
    pub holders: u32,
    /// How many must hold it before it counts as kept: three, or all where there are fewer.
    pub wanted: u32,
    /// Whether it says all that there is to say: nothing has changed since, and all fits in.
    pub whole: bool,
}

/// How far a recovery has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryState {
    /// Contracts that the account rents.
    pub contracts: u32,
    /// Those whose shards are known.
    pub trees: u32,
    /// Providers whose contract's shards are not known and that do not answer.
    pub unreachable: Vec<NodeId>,
    /// Segments that are known.
    pub segments: u64,
    /// Those of which enough positions were found to bring them back.
    pub restorable: u64,
    /// All positions of these segments.
    pub positions: u64,
    /// Those that a provider's contract holds.
    pub found: u64,
    /// Shards in the contracts that belong to no known segment: the heads did not cover them.
    pub strangers: u64,
    /// Whether the ledger has been seen and every contract's shards are known. While providers do
    /// not answer it stays unsettled: whoever waits sets a limit.
    pub settled: bool,
}

impl Engine {
    /// The account's other devices.
    #[must_use]
    pub fn devices(&self) -> Vec<DeviceState> {
        self.renter.device_states(&self.me)
    }

    /// Until when this device is certified; `None`: it is not.
    #[must_use]
    pub fn own_certificate(&self) -> Option<Time> {
        self.me.cert.as_ref().map(|cert| cert.expiry)
    }

    /// Whether the words have put this device out.
    #[must_use]
    pub const fn is_put_out(&self) -> bool {
        self.renter.devices.is_out()
    }

    /// The devices that have not read our head of number `seq` yet, or whose word on it we have not
    /// read.
    #[must_use]
    pub fn unacknowledged(&self, seq: u64) -> Vec<DeviceId> {
        self.renter.unacknowledged(&self.me, seq)
    }

    /// The number of the first head that says what is about to go.
    #[must_use]
    pub const fn doomed_since(&self) -> u64 {
        self.renter.devices.own.since
    }

    /// Whether every segment that other devices look after can be read.
    #[must_use]
    pub fn others_found(&self) -> bool {
        let rows = self.renter.segments.values();
        let mut theirs = rows.filter(|row| row.of.is_some() && !row.dropped);
        theirs.all(|row| row.holders.iter().flatten().count() >= usize::from(row.code.k()))
    }

    /// The segments that other devices look after: they are not ours to let go.
    #[must_use]
    pub fn others_segments(&self) -> Vec<SegmentId> {
        let rows = self.renter.segments.iter();
        rows.filter(|(_, row)| row.of.is_some())
            .map(|(id, _)| *id)
            .collect()
    }

    /// The rendezvous keys of the heads that this node keeps for others: to be announced.
    #[must_use]
    pub fn head_keys(&self) -> Vec<Hash> {
        self.provider
            .as_ref()
            .map_or_else(Vec::new, |p| p.heads.keys())
    }

    /// How this device's newest head stands; `None` if it publishes none, for want of a
    /// certificate.
    #[must_use]
    pub fn head_state(&self) -> Option<HeadState> {
        self.me.cert.as_ref().map(|_| self.renter.head_state())
    }

    /// Whether a recovery would find these segments: each stands in a head that enough providers
    /// hold, or in a catalogue that such a head names. True where no heads are published at all:
    /// there is nothing to wait for. Look again at each [`crate::Notice::HeadKept`].
    #[must_use]
    pub fn covered(&self, segments: &[SegmentId]) -> bool {
        self.me.cert.is_none() || self.renter.is_covered(segments)
    }

    /// What the next catalogue is to list: the segments that stand in none yet. When there are too
    /// many catalogues it is everything, older catalogues too: the new one takes their place.
    #[must_use]
    pub fn unlisted(&self) -> Vec<SegmentEntry> {
        self.renter.unlisted()
    }

    /// How far a recovery has come.
    #[must_use]
    pub fn recovery_state(&self) -> RecoveryState {
        self.renter.recovery_state(self.now)
    }
}
