//! Payments and other transactions, from what is wanted to the block that holds them: nonces, signatures,
//! the queue, and how it ended.

use super::NodeApi;
use crate::driver::{Msg, Payment, Stopping};
use crate::home::now;
use crate::shown::{from_hex, internal, send_error, stopping};
use larder_contracts::Auth;
use larder_engine::{Engine, SendRefusal, TxEnd};
use larder_ledger::check::Place;
use larder_ledger::{Tx, TxRefusal, verify};
use larder_rpc::{Code, RpcError, Sent, Text, TxStatus};
use larder_types::{AccountId, TxId, codec};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a payment may take to stand in a block before the answer says it waits.
const SEND_WAIT: Duration = Duration::from_secs(20);
/// How many blocks ahead a signature's expiry is set where nobody says otherwise.
const EXPIRY_BLOCKS: u64 = 2_000;

/// The bytes of a transaction, as callers hand them in.
pub(super) fn read(text: &str) -> Result<Tx, RpcError> {
    let bad = |why: &dyn std::fmt::Display| RpcError::new(Code::BadValue, why);
    let bytes = from_hex(text).ok_or_else(|| bad(&"tx is `0x` and hex"))?;
    codec::decode::<Tx>(&bytes).map_err(|e| bad(&e))
}

/// A rule of the ledger that a transaction breaks.
fn refused(why: &TxRefusal) -> RpcError {
    let code = if matches!(why, TxRefusal::Balance { .. }) {
        Code::InsufficientCredit
    } else if matches!(why, TxRefusal::Nonce(_)) {
        Code::BadNonce
    } else if matches!(why, TxRefusal::Expired { .. } | TxRefusal::ExpiryFar { .. }) {
        Code::Expired
    } else {
        Code::TransactionRefused
    };
    RpcError::new(code, why)
}

/// A transaction on its way.
type OnItsWay = (TxId, oneshot::Receiver<TxEnd>);

impl NodeApi {
    /// A nonce and an expiry for a transaction that `from`'s own key will sign. What is given is checked.
    pub(super) async fn auth(
        &self,
        from: AccountId,
        (nonce, expiry): (Option<u64>, Option<u64>),
    ) -> Result<Auth, RpcError> {
        let most = self.genesis.params.max_expiry;
        let height = self.state(|state| state.head().height);
        let expiry = expiry.unwrap_or(height + EXPIRY_BLOCKS.min(most));
        if !(height + 1..=height + most).contains(&expiry) {
            let why = format_args!(
                "the expiry must be a block from {} to {}",
                height + 1,
                height + most
            );
            return Err(RpcError::new(Code::BadValue, why));
        }
        // Before the state is read: what a block takes in between is then counted twice, not never.
        let waiting = self.engine(move |e| e.nonces_of(&from)).await?;
        let account = self.state(|state| state.account(&from).copied());
        let nonces = account.map(|account| account.nonces).ok_or_else(|| {
            let why = format_args!("the ledger does not know the account {from} yet: pay it first");
            RpcError::new(Code::NotOnLedger, why)
        })?;
        if let Some(nonce) = nonce {
            let checked = nonces.check(nonce);
            checked.map_err(|e| RpcError::new(Code::BadNonce, e))?;
            return Ok(Auth { nonce, expiry });
        }
        // The home's engine promises nonces to providers: far from them is where the words sign.
        if from == self.account {
            let spare = self.engine(Engine::spare_auth).await?;
            let spare = spare.ok_or_else(none_left)?;
            return Ok(Auth { expiry, ..spare });
        }
        let free = |after: u64| nonces.free(after);
        let mut nonce = free(0);
        while let Some(taken) = nonce.filter(|nonce| waiting.contains(nonce)) {
            nonce = taken.checked_add(1).and_then(free);
        }
        let nonce = nonce.ok_or_else(none_left)?;
        Ok(Auth { nonce, expiry })
    }

    /// Hands in a signed transaction. One that is known is said to be, whether it waits or is in a block.
    pub(super) async fn submitted(&self, tx: Tx) -> Result<Sent, RpcError> {
        let bad = |e| RpcError::new(Code::BadValue, e);
        let tx = verify::tx(&self.genesis.hash(), tx).map_err(bad)?;
        let id = tx.stamps().id;
        if let Some(known) = self.known(id).await? {
            return Ok(known);
        }
        let (id, end) = self.queued(tx.into_inner()).await?;
        self.ended(id, end).await
    }

    /// A transaction that waits here, or is in a block.
    async fn known(&self, id: TxId) -> Result<Option<Sent>, RpcError> {
        let known = |height| Sent {
            tx: Text(id),
            status: TxStatus::Known,
            height,
        };
        if self.engine(move |e| e.waiting(&id)).await?.is_some() {
            return Ok(Some(known(None)));
        }
        let place = self.place(id).await?;
        Ok(place.map(|place| known(Some(place.height))))
    }

    /// Where a transaction stands, by all blocks that were applied.
    pub(super) async fn place(&self, id: TxId) -> Result<Option<crate::index::TxPlace>, RpcError> {
        let head = self.state(|state| state.head().height);
        self.index.reached(head).await.map_err(internal)?;
        self.index.tx(&id).await.map_err(internal)
    }

    /// Puts a transaction whose signatures are good in the queue, if the next block could hold it.
    pub(super) async fn queued(&self, tx: Tx) -> Result<OnItsWay, RpcError> {
        let why = self.state(|state| state.check(&tx, Place::next(state, now())).err());
        if let Some(why) = why {
            return Err(refused(&why));
        }
        let (queued, end) = self.queue(Payment::Signed(Box::new(tx))).await?;
        Ok((taken(queued).await?, end))
    }

    async fn queue(
        &self,
        what: Payment,
    ) -> Result<
        (
            oneshot::Receiver<Result<TxId, SendRefusal>>,
            oneshot::Receiver<TxEnd>,
        ),
        RpcError,
    > {
        let (done, queued) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let send = Msg::Send { what, done, ended };
        self.driver.send(send).await.map_err(stopping)?;
        Ok((queued, end))
    }

    /// Has something sent, and waits a while for the block that holds it.
    pub(crate) async fn sent(&self, what: Payment) -> Result<Sent, RpcError> {
        let (queued, end) = self.queue(what).await?;
        self.included(queued, end).await
    }

    /// Waits for a transaction's end, for a while.
    pub(crate) async fn included(
        &self,
        queued: oneshot::Receiver<Result<TxId, SendRefusal>>,
        end: oneshot::Receiver<TxEnd>,
    ) -> Result<Sent, RpcError> {
        let id = taken(queued).await?;
        self.ended(id, end).await
    }

    /// What became of a transaction that was queued, after a while at most.
    pub(super) async fn ended(
        &self,
        id: TxId,
        end: oneshot::Receiver<TxEnd>,
    ) -> Result<Sent, RpcError> {
        let waiting = Sent {
            tx: Text(id),
            status: TxStatus::Submitted,
            height: None,
        };
        let end = async {
            tokio::select! {
                end = end => end.ok(),
                () = self.stop.cancelled() => None,
            }
        };
        match tokio::time::timeout(SEND_WAIT, end).await {
            Ok(Some(TxEnd::Included(height))) => Ok(Sent {
                status: TxStatus::Included,
                height: Some(height),
                ..waiting
            }),
            Ok(Some(TxEnd::Refused(why))) => Err(RpcError::new(Code::TransactionRefused, why)),
            Ok(Some(TxEnd::Expired)) => Err(RpcError::new(
                Code::Expired,
                "no block took it in time; send it again",
            )),
            // It is kept and will be sent, by the next start if this node stops: to answer that the
            // call may be made again would have it paid twice.
            Ok(None) | Err(_) => Ok(waiting),
        }
    }
}

async fn taken(queued: oneshot::Receiver<Result<TxId, SendRefusal>>) -> Result<TxId, RpcError> {
    let queued = queued.await.map_err(|_| stopping(Stopping))?;
    queued.map_err(|e| send_error(&e))
}

fn none_left() -> RpcError {
    let why = "all nonces of the account's window are spoken for; try again after the next block";
    RpcError::new(Code::BadNonce, why)
}
