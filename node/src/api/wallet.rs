//! `wallet_*` and `tx_*`: payments and other transactions, from what is wanted to the block that
//! holds it, and what this device's sub-key may spend.

use super::NodeApi;
use super::ledger::balance;
use crate::driver::{Msg, Payment, Stopping};
use crate::home::now;
use crate::shown::{as_of, from_hex, hex, internal, send_error, stopping, transaction};
use larder_engine::{Engine, SendRefusal, TxEnd};
use larder_ledger::check::Place;
use larder_ledger::{May, Transfer, Tx, verify};
use larder_rpc::{
    Balance, Code, Empty, Limit, Moment, Nano, Page, PageParams, RpcError, SendParams, Sent,
    SubmitParams, Text, Transaction, TxStatus, Unsigned, WalletMethods,
};
use larder_types::{Amount, TxId, codec};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a payment may take to stand in a block before the answer says it waits.
const SEND_WAIT: Duration = Duration::from_secs(20);
/// A cap that no credit reaches: none.
const NO_CAP: Amount = Amount(u64::MAX);

/// The verbs of a sub-key in words.
fn verbs(may: May) -> Vec<String> {
    [
        (May::OPEN, "open"),
        (May::ADD, "add"),
        (May::RENEW, "renew"),
        (May::TRANSFER, "transfer"),
    ]
    .into_iter()
    .filter(|(verb, _)| may.allows(*verb))
    .map(|(_, word)| word.to_owned())
    .collect()
}

impl WalletMethods for NodeApi {
    async fn wallet_get_balance(&self, _: Empty) -> Result<Balance, RpcError> {
        let available = self.engine(Engine::spendable).await?;
        Ok(Balance {
            available: Nano(available),
            ..self.state(|state| balance(state, self.account))
        })
    }

    async fn wallet_list_transactions(
        &self,
        params: PageParams,
    ) -> Result<Page<Transaction>, RpcError> {
        let history = self.store.history().await.map_err(internal)?;
        Ok(Page::cut(history.iter().map(transaction), &params)?)
    }

    async fn wallet_send(&self, params: SendParams) -> Result<Sent, RpcError> {
        let (to, amount) = (params.to.0, params.amount.0);
        if amount == Amount::ZERO {
            return Err(RpcError::new(Code::BadValue, "send more than nothing"));
        }
        self.sent(Payment::Transfer { to, amount }).await
    }

    async fn wallet_get_limit(&self, _: Empty) -> Result<Limit, RpcError> {
        self.limit()
    }
}

impl NodeApi {
    pub(super) fn limit(&self) -> Result<Limit, RpcError> {
        let (account, subkey) = (self.account, self.subkey);
        Ok(self.state(|state| {
            let key = state.sub_keys().get(&account, &subkey);
            Limit {
                account: Text(account),
                subkey: Text(subkey),
                authorised: key.is_some_and(|key| now() < key.until),
                may: key.map_or_else(Vec::new, |key| verbs(key.may)),
                cap: key
                    .and_then(|key| key.cap)
                    .filter(|c| *c < NO_CAP)
                    .map(Nano),
                spent: Nano(key.map_or(Amount::ZERO, |key| key.spent_in(state.epoch()))),
                until: key.map(|key| Moment(key.until)),
                as_of: as_of(state),
            }
        }))
    }

    pub(super) async fn unsigned(&self, params: SendParams) -> Result<Unsigned, RpcError> {
        let (from, to, amount) = (self.account, params.to.0, params.amount.0);
        let auth = self.engine(Engine::spare_auth).await?.ok_or_else(|| {
            let why = "the ledger does not know the account yet; wait for a block";
            RpcError::new(Code::NotReady, why)
        })?;
        let genesis = self.genesis.hash();
        let payload = Transfer::payload(from, to, amount, auth, &genesis);
        Ok(Unsigned {
            genesis: Text(genesis),
            from: Text(from),
            to: Text(to),
            amount: Nano(amount),
            nonce: Text(auth.nonce),
            expiry: auth.expiry,
            signing_payload: hex(&payload),
        })
    }

    pub(super) async fn submitted(&self, params: SubmitParams) -> Result<Sent, RpcError> {
        let bad = |why: &dyn std::fmt::Display| RpcError::new(Code::BadValue, why);
        let bytes = from_hex(&params.tx).ok_or_else(|| bad(&"tx is `0x` and hex"))?;
        let tx = codec::decode::<Tx>(&bytes).map_err(|e| bad(&e))?;
        let tx = verify::tx(&self.genesis.hash(), tx).map_err(|e| bad(&e))?;
        let refused = self.state(|state| state.check(tx.get(), Place::next(state, now())).err());
        if let Some(why) = refused {
            return Err(RpcError::new(Code::TransactionRefused, why));
        }
        self.sent(Payment::Signed(Box::new(tx.into_inner()))).await
    }

    /// Has something sent, and waits a while for the block that holds it.
    pub(crate) async fn sent(&self, what: Payment) -> Result<Sent, RpcError> {
        let (done, queued) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        self.driver
            .send(Msg::Send { what, done, ended })
            .await
            .map_err(stopping)?;
        self.included(queued, end).await
    }

    /// Waits for a transaction's end, for a while.
    pub(crate) async fn included(
        &self,
        queued: oneshot::Receiver<Result<TxId, SendRefusal>>,
        end: oneshot::Receiver<TxEnd>,
    ) -> Result<Sent, RpcError> {
        let tx = queued
            .await
            .map_err(|_| stopping(Stopping))?
            .map_err(|e| send_error(&e))?;
        let waiting = Sent {
            tx: Text(tx),
            status: TxStatus::Submitted,
            height: None,
        };
        match tokio::time::timeout(SEND_WAIT, end).await {
            Ok(Ok(TxEnd::Included(height))) => Ok(Sent {
                status: TxStatus::Included,
                height: Some(height),
                ..waiting
            }),
            Ok(Ok(TxEnd::Refused(why))) => Err(RpcError::new(Code::TransactionRefused, why)),
            Ok(Ok(TxEnd::Expired)) => Err(RpcError::new(
                Code::Expired,
                "no block took it in time; send it again",
            )),
            Ok(Err(_)) => Err(stopping(Stopping)),
            Err(_) => Ok(waiting),
        }
    }
}
