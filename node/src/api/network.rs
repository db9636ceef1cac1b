//! `network_*`: who makes blocks, and who would, as the ledger has it; and this node's word on it.

use super::NodeApi;
use crate::driver::Payment;
use crate::home::now;
use crate::shown::{as_of, count};
use larder_ledger::check::Place;
use larder_ledger::validator::Standing;
use larder_ledger::{Approve, Change, Consensus, Resign, State, Tx, ValidatorRecord};
use larder_rpc::{
    Approved, CandidateShown, ChangeKind, ChangeParams, ChangeShown, Code, ConsensusStatus, Empty,
    Moment, Nano, NetworkMethods, RpcError, Text, TxStatus, ValidatorShown, Validators,
};
use larder_types::{Amount, NodeId};

/// For how many blocks an approval counts, at most.
const APPROVAL_BLOCKS: u64 = 10_000;

impl NetworkMethods for NodeApi {
    async fn network_validators(&self, _: Empty) -> Result<Validators, RpcError> {
        Ok(self.validators_now())
    }

    async fn network_approve(&self, params: ChangeParams) -> Result<Approved, RpcError> {
        self.approve(params).await
    }
}

impl NodeApi {
    pub(super) fn validators_now(&self) -> Validators {
        self.state(|state| {
            let set = state.validators();
            let power: u64 = set.members().iter().map(|member| member.power).sum();
            let shown = set.members().iter().map(|member| {
                let record = state.validator(&member.node);
                ValidatorShown {
                    node: Text(member.node),
                    peer_id: peer(&member.node),
                    weight: member.power,
                    bond: Nano(record.map_or(Amount::ZERO, |record| record.bond)),
                    missed: record.map_or(0, |record| record.missed),
                    strikes: record.map_or(0, |record| record.strikes),
                }
            });
            let is_candidate = |r: &&ValidatorRecord| r.standing == Standing::Candidate;
            let candidates = state.validator_records().filter(is_candidate);
            Validators {
                consensus: kind(state),
                quorum: set.quorum(),
                bears: count(power - set.quorum()),
                validators: shown.collect(),
                candidates: candidates.map(candidate).collect(),
                changes: state
                    .changes()
                    .map(|(change, by)| shown_change(state, change, &by))
                    .collect(),
                as_of: as_of(state),
            }
        })
    }

    pub(super) async fn consensus_now(&self) -> ConsensusStatus {
        let peers = self.net.peers().await.unwrap_or_default();
        let votes = self.seat.is_taken();
        self.state(|state| {
            let (set, head) = (state.validators(), state.head());
            let is_reached =
                |node: &NodeId| *node == self.node || peers.iter().any(|peer| peer.node == *node);
            let reached = set.members().iter().filter(|m| is_reached(&m.node));
            let record = state.validator(&self.node);
            ConsensusStatus {
                kind: kind(state),
                seated: set.place(&self.node).is_some(),
                votes,
                stands: record.is_some_and(|record| record.standing == Standing::Candidate),
                validators: count(set.members().len() as u64),
                validators_reached: count(reached.count() as u64),
                last_block: Moment(head.time),
                last_block_age_ms: now().since(head.time).0,
            }
        })
    }

    /// Approves a change as the validator that this node is; leaves, if it is about itself.
    pub(super) async fn approve(&self, params: ChangeParams) -> Result<Approved, RpcError> {
        let node = params.node.0;
        let (tx, change) = self.state(|state| self.approval(state, params.change, node))?;
        let refused = self.state(|state| state.check(&tx, Place::next(state, now())).err());
        if let Some(why) = refused {
            return Err(RpcError::new(Code::TransactionRefused, why));
        }
        let sent = self.sent(Payment::Signed(Box::new(tx))).await?;
        Ok(self.state(|state| {
            let is_in = state.validators().place(&node).is_some();
            let stands = state.validator(&node);
            let stands = stands.is_some_and(|record| record.standing == Standing::Candidate);
            let acted = sent.status == TxStatus::Included
                && match params.change {
                    ChangeKind::Add => is_in,
                    ChangeKind::Remove => !is_in && !stands,
                };
            let by = change.and_then(|change| {
                let mut changes = state.changes();
                changes.find(|(open, _)| *open == change).map(|(_, by)| by)
            });
            let missing = if acted {
                0
            } else {
                missing(state, &by.unwrap_or_default())
            };
            Approved {
                sent,
                acted,
                missing,
            }
        }))
    }

    /// What this node signs for a change.
    fn approval(
        &self,
        state: &State,
        kind: ChangeKind,
        node: NodeId,
    ) -> Result<(Tx, Option<Change>), RpcError> {
        let genesis = state.genesis_hash();
        if let (ChangeKind::Remove, true) = (kind, node == self.node) {
            let record = state.validator(&node).ok_or_else(|| none(kind, &node))?;
            let resign = Resign::sign(&self.node_key, record.since, &genesis);
            return Ok((Tx::Resign(resign), None));
        }
        if state.validators().place(&self.node).is_none() {
            return Err(RpcError::new(Code::TransactionRefused, not_ours(state)));
        }
        let change = match kind {
            ChangeKind::Add => state.addition(&node),
            ChangeKind::Remove => state.removal(&node),
        };
        let change = change.ok_or_else(|| none(kind, &node))?;
        let most = APPROVAL_BLOCKS.min(state.params().max_expiry);
        let expiry = state.head().height.saturating_add(most);
        let approve = Approve::sign(&self.node_key, change, expiry, &genesis);
        Ok((Tx::Approve(approve), Some(change)))
    }
}

fn not_ours(state: &State) -> String {
    let who: Vec<String> = state
        .validators()
        .members()
        .iter()
        .map(|member| peer(&member.node))
        .collect();
    format!(
        "this node is no validator; those decide that are, each on its own node: {}",
        who.join(", ")
    )
}

fn none(kind: ChangeKind, node: &NodeId) -> RpcError {
    let peer = peer(node);
    match kind {
        ChangeKind::Add => RpcError::new(
            Code::NotOnLedger,
            format_args!(
                "{peer} is no candidate, or is a validator already: `larder network validators` shows which; \
                 a node that runs with `larder up --validate` is put forward by itself"
            ),
        ),
        ChangeKind::Remove => RpcError::new(
            Code::NotOnLedger,
            format_args!(
                "{peer} is no validator or candidate that could go; `larder network validators` shows \
                 who there is"
            ),
        ),
    }
}

fn candidate(record: &ValidatorRecord) -> CandidateShown {
    CandidateShown {
        node: Text(record.node),
        peer_id: peer(&record.node),
        account: Text(record.account),
        bond: Nano(record.bond),
    }
}

fn shown_change(state: &State, change: Change, by: &[NodeId]) -> ChangeShown {
    let node = change.node();
    ChangeShown {
        change: match change {
            Change::Add { .. } => ChangeKind::Add,
            Change::Remove { .. } => ChangeKind::Remove,
        },
        node: Text(node),
        peer_id: peer(&node),
        approved: by.iter().map(peer).collect(),
        missing: missing(state, by),
    }
}

/// The weight that a change lacks which these have approved.
fn missing(state: &State, by: &[NodeId]) -> u64 {
    let set = state.validators();
    let given = by.iter().filter_map(|node| set.get(node)).map(|m| m.power);
    set.quorum().saturating_sub(given.sum())
}

/// A node's libp2p peer id; nothing if its key is none.
fn peer(node: &NodeId) -> String {
    crate::net::peer_id(node).map_or_else(|_| String::new(), |peer| peer.to_string())
}

fn kind(state: &State) -> larder_rpc::Consensus {
    match state.consensus() {
        Consensus::Solo => larder_rpc::Consensus::Solo,
        Consensus::Bft => larder_rpc::Consensus::Bft,
    }
}
