//! Transactions by gossip: a validator publishes those that it admitted, in batches; validators take
//! what they hear, and everybody passes on what is signed well. A transaction is looked at once.

use crate::net::{MessageToken, NetHandle, Topic, Verdict};
use crate::seat::Seat;
use larder_ledger::{Tx, verify};
use larder_types::{GenesisHash, TxId, codec};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, mpsc};

/// Most transactions of one message.
const MAX_BATCH: usize = 1_024;
/// Most bytes of one message, half of what the transport bears.
const MAX_BYTES: usize = 256 << 10;
/// Messages that are looked at at a time; more are not passed on.
const MAX_LOOKS: usize = 4;
/// Transactions remembered so that they are looked at once: some megabytes, and more than wait for
/// blocks of a few seconds.
const MEMORY: usize = 1 << 16;

/// The gossip of transactions. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Spread {
    genesis: GenesisHash,
    seat: Seat,
    net: NetHandle,
    seen: Arc<Mutex<Seen>>,
    looks: Arc<Semaphore>,
}

impl Spread {
    /// Of this network.
    #[must_use]
    pub fn new(genesis: GenesisHash, seat: Seat, net: NetHandle) -> Self {
        Self {
            genesis,
            seat,
            net,
            seen: Arc::default(),
            looks: Arc::new(Semaphore::new(MAX_LOOKS)),
        }
    }

    /// Hears a message, in a task of its own; while too many are looked at, it is not passed on.
    pub async fn heard(&self, bytes: Vec<u8>, token: MessageToken) {
        let Ok(look) = Arc::clone(&self.looks).try_acquire_owned() else {
            return self.judge(token, Verdict::Ignore).await;
        };
        let spread = self.clone();
        tokio::spawn(async move {
            let verdict = spread.look(&bytes).await;
            drop(look);
            spread.judge(token, verdict).await;
        });
    }

    async fn look(&self, bytes: &[u8]) -> Verdict {
        let txs = match codec::decode::<Vec<Tx>>(bytes) {
            Ok(txs) if txs.len() <= MAX_BATCH && bytes.len() <= MAX_BYTES => txs,
            Ok(_) | Err(_) => return Verdict::Reject,
        };
        let new = self.new_of(txs);
        if new.is_empty() {
            return Verdict::Ignore;
        }
        let ids: Vec<TxId> = new.iter().map(Tx::id).collect();
        let are_signed = match self.seat.own() {
            Some(own) => own.hear(new).await,
            None => self.are_signed(new).await,
        };
        if !are_signed {
            // Good ones among bad are not held to be known: else whoever mixes them keeps them from
            // being passed on when they come in good company.
            return Verdict::Reject;
        }
        self.note(ids);
        Verdict::Accept
    }

    async fn are_signed(&self, txs: Vec<Tx>) -> bool {
        let genesis = self.genesis;
        let check = move || {
            let verified = verify::txs(&genesis, txs, &rand::random());
            verified.iter().all(Result::is_ok)
        };
        tokio::task::spawn_blocking(check).await.unwrap_or(false)
    }

    /// Publishes what was handed in here, as long as our consensus takes anything.
    pub async fn publish(self, mut admitted: mpsc::Receiver<Vec<Tx>>) {
        while let Some(txs) = admitted.recv().await {
            let new = self.new_of(txs);
            self.note(new.iter().map(Tx::id).collect());
            for batch in batches(new) {
                if let Err(e) = self.net.publish(Topic::Txs, batch).await {
                    tracing::debug!("transactions were not spread: {e}");
                }
            }
        }
    }

    fn new_of(&self, txs: Vec<Tx>) -> Vec<Tx> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |tx: &Tx| !seen.ids.contains(&tx.id());
        txs.into_iter().filter(is_new).collect()
    }

    fn note(&self, ids: Vec<TxId>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            seen.note(id);
        }
    }

    async fn judge(&self, token: MessageToken, verdict: Verdict) {
        if let Err(e) = self.net.report(token, verdict).await {
            tracing::debug!("transactions were not judged: {e}");
        }
    }
}

/// Encoded messages of these transactions, each within bounds.
fn batches(txs: Vec<Tx>) -> Vec<Vec<u8>> {
    let mut batches: Vec<(usize, Vec<Tx>)> = Vec::new();
    for tx in txs {
        let bytes = codec::encode(&tx).len();
        match batches.last_mut() {
            // A list's own head has at most nine bytes.
            Some((size, batch)) if *size + bytes + 9 <= MAX_BYTES && batch.len() < MAX_BATCH => {
                *size += bytes;
                batch.push(tx);
            }
            Some(_) | None => batches.push((bytes, vec![tx])),
        }
    }
    let lists = batches.iter().map(|(_, batch)| codec::encode(batch));
    lists.collect()
}

/// Transactions that were seen, the newest.
#[derive(Debug, Default)]
struct Seen {
    ids: BTreeSet<TxId>,
    order: VecDeque<TxId>,
}

impl Seen {
    /// Whether it is seen for the first time.
    fn note(&mut self, id: TxId) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > MEMORY {
            let oldest = self.order.pop_front();
            oldest.map(|oldest| self.ids.remove(&oldest));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_contracts::Auth;
    use larder_keys::{AccountSigner, Signer};
    use larder_ledger::Transfer;
    use larder_types::Amount;

    fn tx(nonce: u64) -> Tx {
        let signer = Signer::from_seed(&[1; 32]);
        let to = Signer::from_seed(&[2; 32]).account();
        let genesis = GenesisHash([3; 32]);
        let auth = Auth { nonce, expiry: 9 };
        let own = AccountSigner::own(signer);
        Tx::Transfer(Transfer::sign(&own, to, Amount(1), auth, &genesis))
    }

    #[test]
    fn batches_keep_all_in_order_and_within_bounds() {
        let txs: Vec<Tx> = (0..2_500).map(tx).collect();
        let batches = batches(txs.clone());
        assert!(batches.iter().all(|bytes| bytes.len() <= MAX_BYTES));
        let lists: Vec<Vec<Tx>> = batches.iter().map(|b| codec::decode(b).unwrap()).collect();
        assert!(lists.iter().all(|list| list.len() <= MAX_BATCH));
        assert_eq!(lists.concat(), txs);
    }

    #[test]
    fn a_transaction_is_new_once_and_the_memory_is_bounded() {
        let id = |number: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            TxId(id)
        };
        let mut seen = Seen::default();
        assert!((0..MEMORY).all(|number| seen.note(id(number))));
        assert!(!seen.note(id(0)));
        assert!(seen.note(id(MEMORY)), "pushes the oldest out");
        assert!(seen.note(id(0)));
        assert_eq!((seen.ids.len(), seen.order.len()), (MEMORY, MEMORY));
    }
}
