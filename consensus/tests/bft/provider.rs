//! A provider with one contract that holds nothing, in a network of validators whose clock jumps to where
//! it is asked.

use super::net::{DEADLINE, Net};
use larder_contracts::{Auth, Draft, SignedLeaf};
use larder_keys::{AccountSigner, Signer};
use larder_ledger::{Faucet, Op, Register, State, TreeUpdate, Tx};
use larder_proofs::{Commitment, ContentTree, Outboard, ShardReader};
use larder_types::{Amount, ContractId, NodeId, ShardRoot, SlotNo};
use std::collections::BTreeMap;

/// Asked for its first contract in this epoch.
pub(crate) struct Provider {
    key: Signer,
    contract: ContractId,
}

/// A contract without shards asks its reader for nothing.
struct Empty;

#[derive(Debug, thiserror::Error)]
#[error("nothing is stored")]
struct Nothing;

impl ShardReader for Empty {
    type Error = Nothing;
    fn group(&self, _: &ShardRoot, _: u64) -> Result<Vec<u8>, Nothing> {
        Err(Nothing)
    }
    fn outboard(&self, _: &ShardRoot) -> Result<Outboard, Nothing> {
        Err(Nothing)
    }
}

/// Asks until it is granted: a validator has a block a moment after its owner shows it.
pub(crate) async fn until_taken<T, E, F>(mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
{
    let asking = async {
        loop {
            match ask().await {
                Ok(taken) => return taken,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let taken = tokio::time::timeout(DEADLINE, asking).await;
    taken.expect("it is taken")
}

impl Provider {
    /// It registers and has a contract; then its slot opens.
    pub(crate) async fn asked(net: &Net) -> Self {
        let (key, renter) = (Signer::from_seed(&[20; 32]), Signer::from_seed(&[21; 32]));
        let renter = AccountSigner::own(renter);
        let state = net.state(0);
        let genesis = state.genesis_hash();
        let auth = Auth {
            nonce: 0,
            expiry: 10_000,
        };
        let bft = net.bft(0);
        let grant = Tx::Faucet(Faucet::sign(&renter, &genesis));
        bft.submit(grant).await.unwrap();
        let own = AccountSigner::own(key.clone());
        let register = Register::sign(&key, &own, Amount::ZERO, auth, &genesis);
        bft.submit(Tx::Register(register)).await.unwrap();
        let node = key.node();
        let granted = |state: &State| state.balance(&renter.account()) > Amount::ZERO;
        net.until(&[0], |state| {
            granted(state) && state.provider(&node).is_some()
        })
        .await;
        let leaf = Draft {
            provider: node,
            renter: renter.account(),
            nonce16: [7; 16],
            start: 1,
            term: 6,
            capacity_chunks: 1 << 16,
            price: Amount::from_credits(100),
            collateral_epochs: 0,
        }
        .leaf(state.params());
        let signed = SignedLeaf::sign(leaf, Some(auth), &node, &renter, &genesis);
        let update = TreeUpdate::sign(&key, 0, vec![Op::Put(signed)], &genesis);
        let update = Tx::TreeUpdate(update);
        until_taken(|| bft.submit(update.clone())).await;
        net.pay(0, 0).await;
        net.until_paid(&[0], 1).await;
        let schedule = state.schedule();
        net.jump(schedule.epoch_start(1));
        net.pay(0, 1).await;
        net.until(&[0], |state| state.epoch() == 1).await;
        net.jump(schedule.slot_start(net.state(0).slot_of(&node)));
        net.pay(0, 2).await;
        net.until(&[0], |state| state.challenge_for(&node).is_some())
            .await;
        let contract = leaf.contract_id;
        Self { key, contract }
    }

    pub(crate) fn node(&self) -> NodeId {
        self.key.node()
    }

    pub(crate) fn proof(&self, state: &State) -> Vec<u8> {
        let node = self.node();
        let commitment = Commitment {
            tree: (*state.provider(&node).unwrap().active).clone(),
            contents: BTreeMap::from([(self.contract, ContentTree::new())]),
        };
        let challenge = state.challenge_for(&node).unwrap();
        let genesis = state.genesis_hash();
        larder_proofs::prove(&commitment, &challenge, &Empty, &self.key, &genesis).unwrap()
    }

    /// The window closes, and the verdict is given: the slot.
    pub(crate) async fn judged(&self, net: &Net) -> SlotNo {
        let state = net.state(0);
        let slot = state.slot_of(&self.node());
        net.jump(state.schedule().slot_close(slot));
        net.pay(0, 3).await;
        net.until(&[0], |state| state.is_settled(slot)).await;
        slot
    }
}
