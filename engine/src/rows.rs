//! The engine's durable rows: what it needs to be itself again after a crash. A row is a kind, a
//! key and a canonical encoding; a [`Snapshot`] is all of them.

use crate::head::{DeviceId, SignedHead};
use larder_coding::layout::Code;
use larder_contracts::{Pact, Revision, SignedLeaf};
use larder_ledger::{ProofAck, Reduction, Tx};
use larder_proofs::ShardLeaf;
use larder_types::codec::{self, DecodeError};
use larder_types::{
    Bytes, Class, ContractId, Epoch, Hash, NodeId, SegmentId, ShardRoot, Signature, SlotNo, Time,
    TxId,
};
use serde::{Deserialize, Serialize};

mod device;

pub use device::{DeviceRow, OwnDevice};

/// Which table a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A contract that we provide: [`Revision`] by contract id.
    Held = 1,
    /// A shard that we store: [`ShardRow`] by root.
    Shard = 2,
    /// A contract that we rent: [`RentedRow`] by contract id.
    Rented = 3,
    /// A shard leaf of a contract that we rent: [`ShardLeaf`] by contract id and index.
    RentedLeaf = 4,
    /// A segment: [`SegmentRow`] by segment id.
    Segment = 5,
    /// A transaction that is not yet in a block: [`Tx`] by its id.
    Outbox = 6,
    /// Someone else's head that we keep, by rendezvous key and device.
    Head = 7,
    /// What the node knows of itself, by name: its head's number, what repair has done.
    Own = 8,
    /// A loss that we have declared: by contract id.
    Loss = 9,
    /// What audits of a provider have shown: [`AuditRow`] by node id.
    Audited = 10,
    /// Where a shard that we store lies, if not in the home: [`VolumeId`] by root.
    Place = 11,
    /// What the ledger was asked of a single contract: [`AskedRow`] by its provider's node id.
    Asked = 12,
    /// A validator's acknowledgement of a proof of ours: [`ProofAck`] by slot and validator.
    Ack = 13,
    /// A friend, or one whom we have asked to be: [`FriendRow`] by node id.
    Friend = 14,
    /// An invitation that nobody has accepted yet: [`InvitedRow`] by its token.
    Invited = 15,
    /// A reader whose rights under a contract that we provide are void: until when, by contract and
    /// reader.
    Revoked = 16,
    /// A reader whose rights we take back: [`RevokingRow`] by reader.
    Revoking = 17,
    /// Another device of the account: [`DeviceRow`] by its key.
    Device = 18,
}

/// One of the places where a provider's shards lie: the home, or a volume that was added to it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct VolumeId(pub u32);

impl VolumeId {
    /// The home itself.
    pub const HOME: Self = Self(0);
}

/// One change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The table.
    pub kind: Kind,
    /// The key.
    pub key: Vec<u8>,
    /// The new value, or `None` to delete.
    pub value: Option<Vec<u8>>,
}

/// Every durable row, in any order: (kind, key, value).
pub type Snapshot = Vec<(u8, Vec<u8>, Vec<u8>)>;

/// A shard that we store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRow {
    /// Under which contract.
    pub contract: ContractId,
    /// Its leaf.
    pub leaf: ShardLeaf,
    /// Its place in the content tree; `None` until a revision includes it.
    pub index: Option<u64>,
    /// Whether the disk no longer gives it back as it was stored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

impl ShardRow {
    /// A shard in no revision.
    pub(crate) const fn loose(contract: ContractId, leaf: ShardLeaf) -> Self {
        Self {
            contract,
            leaf,
            index: None,
            damaged: false,
        }
    }
}

/// A loss that we have declared under a contract. Whether it has acted, the active leaf says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossRow {
    /// The epoch in which it was declared, and at whose end it can act.
    pub epoch: Epoch,
    /// The revision that it gives the contract.
    pub revision: u64,
    /// How many places the active tree has that it is against, those included that were holes
    /// already. The list is never shorter again.
    pub places: u64,
    /// The places that it empties; none once it has acted.
    pub lost: Vec<u32>,
    /// What allows it, where the renter takes the shards back: then it is no loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduction: Option<Reduction>,
}

/// What became of damaged shards, in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossTotals {
    /// Stored shards that were found damaged.
    pub damaged: u64,
    /// Those of them that stood in an active tree and were declared lost.
    pub declared: u64,
}

/// The key of [`LossTotals`] in [`Kind::Own`].
const LOSSES: &[u8] = b"losses";

/// A contract that we rent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RentedRow {
    /// From whom.
    pub provider: NodeId,
    /// The newest leaf that we signed.
    pub signed: SignedLeaf,
    /// The provider's signature; `None`: only proposed.
    pub sig_provider: Option<Signature>,
    /// Whether a block holds its Open.
    pub opened: bool,
    /// Other money terms that we signed and whose answer we have not heard.
    pub tried: Option<SignedLeaf>,
    /// Which other device of the account revises it; `None`: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<DeviceId>,
    /// How often it has passed from one device to another.
    #[serde(default, skip_serializing_if = "crate::head::is_default")]
    pub claim: u32,
}

/// What audits of a provider have shown of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Answers that proved what was asked for.
    pub passed: u32,
    /// Answers that were false, or said that it is not there.
    pub failed: u32,
    /// Audits without an answer.
    pub silent: u32,
}

/// What the ledger was asked of a contract that we rent (T3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedRow {
    /// Which contract.
    pub contract: ContractId,
    /// The epoch in which we posted the newest question.
    pub epoch: Epoch,
    /// Questions since the provider last passed an audit of ours.
    pub times: u32,
    /// Since when the contract is faulted, because one was not answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faulted: Option<Epoch>,
}

/// A reader whose rights we take back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokingRow {
    /// When the last of them would have ended.
    pub until: Time,
    /// The contracts whose providers do not know it yet.
    pub left: Vec<ContractId>,
    /// Those whose providers do.
    pub told: Vec<ContractId>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRow {
    /// Its class.
    pub class: Class,
    /// Whether it holds metadata.
    pub meta: bool,
    /// Its code.
    pub code: Code,
    /// Length of C, bytes.
    pub len: u64,
    /// Length of a shard, bytes.
    pub shard_len: u64,
    /// The masked shards' roots; empty until it is coded.
    pub roots: Vec<ShardRoot>,
    /// For each position the contract that a co-signed revision holds it in.
    pub holders: Vec<Option<ContractId>>,
    /// The positions whose shards lie in the spool, synced: coded or rebuilt, not all placed yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spooled: Vec<u16>,
    /// Whether it is a catalogue of other segments.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub catalogue: bool,
    /// Whether a durable catalogue describes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub listed: bool,
    /// Positions that a contract's tree named when its provider showed that it has the shard no
    /// more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<(u16, ContractId)>,
    /// Whether nothing needs it any more: its shards are being taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
    /// Which other device of the account looks after it; `None`: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<DeviceId>,
}

/// What repair has done, over all runs of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairTotals {
    /// Shards placed anew.
    pub shards: u64,
    /// Bytes fetched for it.
    pub bytes_read: u64,
    /// Bytes placed.
    pub bytes_written: u64,
}

/// The key of [`RepairTotals`] in [`Kind::Own`].
const REPAIRS: &[u8] = b"repairs";
/// A friend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FriendRow {
    /// What we call it.
    pub name: String,
    /// What each side gives.
    pub pact: Pact,
    /// By the node that accepted.
    pub sig_guest: Signature,
    /// By the node that invited; `None`: it was asked and has not answered.
    pub sig_host: Option<Signature>,
    /// Where it was last heard at, as multiaddrs.
    pub addrs: Vec<String>,
}

/// An invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvitedRow {
    /// What we shall call whoever accepts it.
    pub name: String,
    /// What we give.
    pub gives: Bytes,
    /// Until when it can be accepted.
    pub until: Time,
}

/// Someone else's head that we keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadRow {
    /// As its device signed it.
    pub head: SignedHead,
    /// Since which epoch its account has no contract here.
    pub gone: Option<Epoch>,
}

/// What this device's own heads have said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnHead {
    /// The newest one's number; the next is above it.
    pub seq: u64,
    /// The segments that heads named and no catalogue lists: they stay named.
    pub named: Vec<SegmentId>,
    /// The newest one's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
}

/// The key of [`OwnHead`] in [`Kind::Own`].
const OWN_HEAD: &[u8] = b"head";
/// The key of the height until which the wallet leaves the lower nonces alone in [`Kind::Own`].
const APART: &[u8] = b"apart";
/// The key of [`OwnDevice`] in [`Kind::Own`].
const OWN_DEVICE: &[u8] = b"device";

impl Write {
    /// Writes a contract that we provide.
    #[must_use]
    pub fn held(id: &ContractId, row: Option<&Revision>) -> Self {
        Self::new(Kind::Held, id.0.to_vec(), row)
    }

    /// Writes a shard that we store.
    #[must_use]
    pub fn shard(root: &ShardRoot, row: Option<&ShardRow>) -> Self {
        Self::new(Kind::Shard, root.0.to_vec(), row)
    }

    /// Writes where a shard lies.
    #[must_use]
    pub fn place(root: &ShardRoot, volume: Option<VolumeId>) -> Self {
        Self::new(Kind::Place, root.0.to_vec(), volume.as_ref())
    }

    /// Writes a loss that we have declared.
    #[must_use]
    pub fn loss(id: &ContractId, row: Option<&LossRow>) -> Self {
        Self::new(Kind::Loss, id.0.to_vec(), row)
    }

    /// Writes what became of damaged shards.
    #[must_use]
    pub fn losses(totals: &LossTotals) -> Self {
        Self::new(Kind::Own, LOSSES.to_vec(), Some(totals))
    }

    /// Writes a contract that we rent.
    #[must_use]
    pub fn rented(id: &ContractId, row: Option<&RentedRow>) -> Self {
        Self::new(Kind::Rented, id.0.to_vec(), row)
    }

    /// Writes what audits of a provider have shown.
    #[must_use]
    pub fn audited(provider: &NodeId, row: Option<&AuditRow>) -> Self {
        Self::new(Kind::Audited, provider.0.to_vec(), row)
    }

    /// Writes what the ledger was asked of a provider's contract.
    #[must_use]
    pub fn asked(provider: &NodeId, row: Option<&AskedRow>) -> Self {
        Self::new(Kind::Asked, provider.0.to_vec(), row)
    }

    /// Writes a validator's acknowledgement of a proof of ours.
    #[must_use]
    pub fn ack(slot: SlotNo, by: &NodeId, row: Option<&ProofAck>) -> Self {
        let key = [&slot.to_be_bytes()[..], &by.0].concat();
        Self::new(Kind::Ack, key, row)
    }

    /// Writes a friend.
    #[must_use]
    pub fn friend(node: &NodeId, row: Option<&FriendRow>) -> Self {
        Self::new(Kind::Friend, node.0.to_vec(), row)
    }

    /// Writes an invitation.
    #[must_use]
    pub fn invited(token: &Hash, row: Option<&InvitedRow>) -> Self {
        Self::new(Kind::Invited, token.0.to_vec(), row)
    }

    /// Writes until when a reader's rights under a contract are void.
    #[must_use]
    pub fn revoked(contract: &ContractId, reader: &NodeId, until: Option<Time>) -> Self {
        let key = [contract.0, reader.0].concat();
        Self::new(Kind::Revoked, key, until.as_ref())
    }

    /// Writes a reader whose rights we take back.
    #[must_use]
    pub fn revoking(reader: &NodeId, row: Option<&RevokingRow>) -> Self {
        Self::new(Kind::Revoking, reader.0.to_vec(), row)
    }

    /// Writes a shard leaf of a contract that we rent.
    #[must_use]
    pub fn rented_leaf(id: &ContractId, index: u64, leaf: Option<&ShardLeaf>) -> Self {
        let key = [&id.0[..], &index.to_be_bytes()].concat();
        Self::new(Kind::RentedLeaf, key, leaf)
    }

    /// Writes a segment.
    #[must_use]
    pub fn segment(id: &SegmentId, row: Option<&SegmentRow>) -> Self {
        Self::new(Kind::Segment, id.0.to_vec(), row)
    }

    /// Writes what repair has done so far.
    #[must_use]
    pub fn repair_totals(totals: &RepairTotals) -> Self {
        Self::new(Kind::Own, REPAIRS.to_vec(), Some(totals))
    }

    /// Writes a transaction that is not yet in a block.
    #[must_use]
    pub fn outbox(id: &TxId, tx: Option<&Tx>) -> Self {
        Self::new(Kind::Outbox, id.0.to_vec(), tx)
    }

    /// Writes someone else's head, by rendezvous key and device.
    #[must_use]
    pub fn head(key: &Hash, device: &[u8; 32], row: Option<&HeadRow>) -> Self {
        Self::new(Kind::Head, [key.0, *device].concat(), row)
    }

    /// Writes what our own heads have said.
    #[must_use]
    pub fn own_head(row: &OwnHead) -> Self {
        Self::new(Kind::Own, OWN_HEAD.to_vec(), Some(row))
    }

    /// Writes another device of the account.
    #[must_use]
    pub fn device(device: &DeviceId, row: Option<&DeviceRow>) -> Self {
        Self::new(Kind::Device, device.0.to_vec(), row)
    }

    /// Writes what this device knows of itself.
    #[must_use]
    pub fn own_device(row: &OwnDevice) -> Self {
        Self::new(Kind::Own, OWN_DEVICE.to_vec(), Some(row))
    }

    /// Writes the height until which the wallet leaves the lower nonces alone.
    #[must_use]
    pub fn apart(until: u64) -> Self {
        Self::new(Kind::Own, APART.to_vec(), Some(&until))
    }

    fn new<T: Serialize>(kind: Kind, key: Vec<u8>, value: Option<&T>) -> Self {
        Self {
            kind,
            key,
            value: value.map(codec::encode),
        }
    }
}

/// A row that this version cannot read: the database is damaged or from another version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("row of kind {kind} is unreadable: {source}")]
pub struct RowError {
    /// Its kind.
    pub kind: u8,
    /// What is wrong.
    pub source: DecodeError,
}

/// All rows, decoded and sorted into their tables.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) held: Vec<(ContractId, Revision)>,
    pub(crate) shards: Vec<(ShardRoot, ShardRow)>,
    pub(crate) rented: Vec<(ContractId, RentedRow)>,
    pub(crate) rented_leaves: Vec<(ContractId, u64, ShardLeaf)>,
    pub(crate) segments: Vec<(SegmentId, SegmentRow)>,
    pub(crate) outbox: Vec<(TxId, Tx)>,
    pub(crate) losses: Vec<(ContractId, LossRow)>,
    pub(crate) places: Vec<(ShardRoot, VolumeId)>,
    pub(crate) loss_totals: LossTotals,
    pub(crate) repairs: RepairTotals,
    pub(crate) heads: Vec<HeadRow>,
    pub(crate) own_head: OwnHead,
    pub(crate) apart: Option<u64>,
    pub(crate) audited: Vec<(NodeId, AuditRow)>,
    pub(crate) asked: Vec<(NodeId, AskedRow)>,
    pub(crate) acks: Vec<ProofAck>,
    pub(crate) friends: Vec<(NodeId, FriendRow)>,
    pub(crate) invited: Vec<(Hash, InvitedRow)>,
    pub(crate) revoked: Vec<(ContractId, NodeId, Time)>,
    pub(crate) revoking: Vec<(NodeId, RevokingRow)>,
    pub(crate) devices: Vec<(DeviceId, DeviceRow)>,
    pub(crate) own_device: OwnDevice,
}

impl Tables {
    pub(crate) fn read(rows: Snapshot) -> Result<Self, RowError> {
        let mut tables = Self::default();
        for (kind, key, value) in rows {
            tables
                .read_one(kind, &key, &value)
                .map_err(|source| RowError { kind, source })?;
        }
        tables
            .rented_leaves
            .sort_by_key(|(id, index, _)| (*id, *index));
        Ok(tables)
    }

    fn read_one(&mut self, kind: u8, key: &[u8], value: &[u8]) -> Result<(), DecodeError> {
        match kind {
            1 => self
                .held
                .push((ContractId(id(key)?), codec::decode(value)?)),
            2 => self
                .shards
                .push((ShardRoot(id(key)?), codec::decode(value)?)),
            3 => self
                .rented
                .push((ContractId(id(key)?), codec::decode(value)?)),
            4 => {
                let (contract, index) = key.split_at_checked(32).ok_or(BAD_KEY)?;
                let index = u64::from_be_bytes(index.try_into().map_err(|_| BAD_KEY)?);
                self.rented_leaves
                    .push((ContractId(id(contract)?), index, codec::decode(value)?));
            }
            5 => self
                .segments
                .push((SegmentId(id(key)?), codec::decode(value)?)),
            6 => self.outbox.push((TxId(id(key)?), codec::decode(value)?)),
            7 => self.heads.push(codec::decode(value)?),
            8 => self.read_own(key, value)?,
            9 => self
                .losses
                .push((ContractId(id(key)?), codec::decode(value)?)),
            10 => self.audited.push((NodeId(id(key)?), codec::decode(value)?)),
            11 => self
                .places
                .push((ShardRoot(id(key)?), codec::decode(value)?)),
            12 => self.asked.push((NodeId(id(key)?), codec::decode(value)?)),
            13 => self.acks.push(codec::decode(value)?),
            14 => self.friends.push((NodeId(id(key)?), codec::decode(value)?)),
            15 => self.invited.push((Hash(id(key)?), codec::decode(value)?)),
            16 => {
                let (contract, reader) = key.split_at_checked(32).ok_or(BAD_KEY)?;
                let (contract, reader) = (ContractId(id(contract)?), NodeId(id(reader)?));
                self.revoked.push((contract, reader, codec::decode(value)?));
            }
            17 => self
                .revoking
                .push((NodeId(id(key)?), codec::decode(value)?)),
            18 => self
                .devices
                .push((DeviceId(id(key)?), codec::decode(value)?)),
            _ => {
                return Err(DecodeError::Field {
                    field: "row kind",
                    offset: 0,
                });
            }
        }
        Ok(())
    }

    /// Names that this version does not know are of a newer one: it keeps them, we ignore them.
    fn read_own(&mut self, key: &[u8], value: &[u8]) -> Result<(), DecodeError> {
        if key == LOSSES {
            self.loss_totals = codec::decode(value)?;
        } else if key == REPAIRS {
            self.repairs = codec::decode(value)?;
        } else if key == OWN_HEAD {
            self.own_head = codec::decode(value)?;
        } else if key == APART {
            self.apart = Some(codec::decode(value)?);
        } else if key == OWN_DEVICE {
            self.own_device = codec::decode(value)?;
        }
        Ok(())
    }
}

const BAD_KEY: DecodeError = DecodeError::Field {
    field: "row key",
    offset: 0,
};

fn id(key: &[u8]) -> Result<[u8; 32], DecodeError> {
    key.try_into().map_err(|_| BAD_KEY)
}
