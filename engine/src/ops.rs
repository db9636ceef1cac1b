//! Operations under way: what each was for, so that its outcome finds its way back.

use crate::io::{OpId, Token};
use larder_contracts::SignedLeaf;
use larder_proofs::ShardLeaf;
use larder_types::{ContractId, NodeId, SegmentId, SlotNo, TxId};
use std::collections::BTreeMap;

/// What an operation is for.
#[derive(Clone, Debug)]
pub(crate) enum Pending {
    /// A contract's terms were proposed.
    Propose {
        contract: ContractId,
        signed: SignedLeaf,
    },
    /// A contract's content was revised.
    Revise {
        contract: ContractId,
        signed: SignedLeaf,
        puts: Vec<ShardLeaf>,
    },
    /// A contract's newest revision was asked for.
    Latest { contract: ContractId },
    /// Shards of a contract are taken back.
    Reduce { contract: ContractId },
    /// A segment is being coded.
    Encode { segment: SegmentId },
    /// A position is being placed under a contract.
    Put {
        segment: SegmentId,
        position: u16,
        contract: ContractId,
    },
    /// A position is being fetched.
    Get { segment: SegmentId, position: u16 },
    /// A segment is being decoded.
    Decode { segment: SegmentId },
    /// Missing shards of a segment are being rebuilt.
    Rebuild { segment: SegmentId },
    /// A provider is given our head.
    PutHead { to: NodeId, seq: u64 },
    /// A provider was asked for the heads of our other devices.
    Heads,
    /// A challenge is being answered: for all contracts, or for one.
    Prove {
        slot: SlotNo,
        of: Option<ContractId>,
    },
    /// A renter's audit is being answered.
    Show { token: Token },
    /// A provider was audited.
    Audit { contract: ContractId },
    /// A node was asked to be a friend.
    Befriend { node: NodeId },
    /// A friend was asked what it gives.
    Gift { node: NodeId },
    /// A provider is told that a reader's rights are void.
    Revoke {
        reader: NodeId,
        contract: ContractId,
    },
    /// A proof is on its way to the validators.
    Proof {
        slot: SlotNo,
        of: Option<ContractId>,
    },
    /// A transaction is on its way to the validators.
    Tx { id: TxId },
}

/// The operations under way.
#[derive(Debug, Default)]
pub(crate) struct Ops {
    next: u64,
    pending: BTreeMap<OpId, Pending>,
}

impl Ops {
    /// Names a new operation.
    pub(crate) fn begin(&mut self, what: Pending) -> OpId {
        let op = OpId(self.next);
        self.next += 1;
        self.pending.insert(op, what);
        op
    }

    /// Names an operation whose outcome nobody waits for.
    pub(crate) fn unanswered(&mut self) -> OpId {
        let op = OpId(self.next);
        self.next += 1;
        op
    }

    /// What an operation was for; each ends once.
    pub(crate) fn end(&mut self, op: OpId) -> Option<Pending> {
        self.pending.remove(&op)
    }
}
