//! A validator that votes for two blocks at once, on the engine's real network.

use super::net::{Net, genesis, key};
use crate::bft::context::{Height, Larder, Node, Value, Vote};
use crate::bft::engine::core::{NilOrVal, Round, VoteType};
use crate::bft::engine::signing::Signer as _;
use crate::bft::engine::{NetworkActorMsg, NetworkMsg, NetworkRef, SignedConsensusMsg};
use crate::bft::keys::Hand;
use crate::bft::start::join;
use larder_types::BlockHash;
use std::ops::RangeInclusive;
use tokio::sync::mpsc;

pub(super) struct Liar {
    hand: Hand,
    network: NetworkRef<Larder>,
    _parts: mpsc::Sender<NetworkMsg<Larder>>,
}

impl Liar {
    /// Takes the place of a validator that has stopped.
    pub(super) async fn join(net: &Net, validator: usize) -> Self {
        let hand = Hand {
            node: key(validator),
            genesis: genesis(4).genesis_hash(),
        };
        let listen = "/ip4/127.0.0.1/tcp/0";
        let (_, network, parts) = join(&hand, listen, &net.addresses()).await.unwrap();
        Self {
            hand,
            network,
            _parts: parts,
        }
    }

    /// Prevotes two blocks that nobody has made, at each of these heights.
    pub(super) fn vote_twice(&self, heights: RangeInclusive<u64>) {
        for height in heights {
            for block in [[1; 32], [2; 32]] {
                let vote = Vote {
                    kind: VoteType::Prevote,
                    height: Height(height),
                    round: Round::new(0),
                    value: NilOrVal::Val(Value(BlockHash(block))),
                    by: Node(self.hand.node.node()),
                    share: None,
                };
                let (hand, network) = (self.hand.clone(), self.network.clone());
                tokio::spawn(async move {
                    let signed = hand.sign_vote(vote).await.unwrap();
                    let message = SignedConsensusMsg::Vote(signed);
                    network
                        .cast(NetworkActorMsg::PublishConsensusMsg(message))
                        .unwrap();
                });
            }
        }
    }

    pub(super) fn leave(self) {
        self.network.stop(None);
    }
}
