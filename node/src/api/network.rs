//! `network_*`: who makes blocks, and who would, as the ledger has it.

use super::NodeApi;
use crate::shown::{as_of, count};
use larder_ledger::{Consensus, State};
use larder_rpc::{Nano, Text, ValidatorShown, Validators};
use larder_types::{Amount, NodeId};

impl NodeApi {
    pub(super) fn validators_now(&self) -> Validators {
        self.state(|state| {
            let set = state.validators();
            let power: u64 = set.members().iter().map(|member| member.power).sum();
            let shown = set.members().iter().map(|member| ValidatorShown {
                node: Text(member.node),
                peer_id: peer(&member.node),
                weight: member.power,
                bond: Nano(Amount::ZERO),
                missed: 0,
                strikes: 0,
            });
            Validators {
                consensus: kind(state),
                quorum: set.quorum(),
                bears: count(power - set.quorum()),
                validators: shown.collect(),
                candidates: Vec::new(),
                changes: Vec::new(),
                as_of: as_of(state),
            }
        })
    }
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
