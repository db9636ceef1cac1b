//! `tx_*`: transactions, from what is wanted to the block that holds them.

use super::NodeApi;
use super::sending::read;
use crate::driver::Stopping;
use crate::home::now;
use crate::index::Kept;
use crate::shown::{as_of, count, hex, internal, readable, stopping};
use larder_contracts::Auth;
use larder_ledger::check::Place;
use larder_ledger::{Transfer, Tx, verify};
use larder_rpc::{
    BuildParams, Code, Decoded, FeeEstimate, FeeParams, Moment, Nano, RpcError, Sent,
    SignatureState, SubmitParams, Text, TxMethods, TxParams, TxShown, TxState, Unsigned,
    WaitParams,
};
use larder_types::{TxId, codec};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// For how long a call waits at most, and where nobody says otherwise.
const WAIT_MOST: u32 = 60;
const WAIT_USUAL: u32 = 20;

impl TxMethods for NodeApi {
    async fn tx_estimate_fee(&self, params: FeeParams) -> Result<FeeEstimate, RpcError> {
        let tx = match (params.tx, params.amount) {
            (Some(tx), None) if params.from.is_none() => read(&tx)?,
            (None, Some(amount)) => {
                // Nonces and expiries count by their lengths, so those of now.
                let (height, account) = self.state(|state| {
                    let from = params.from.map_or(self.account, |from| from.0);
                    (state.head().height, state.account(&from).copied())
                });
                let nonces = account.map(|account| account.nonces).unwrap_or_default();
                let auth = Auth {
                    nonce: nonces.free(0).unwrap_or_default(),
                    expiry: height + self.genesis.params.max_expiry,
                };
                let from = match params.from {
                    Some(from) => (from.0, None),
                    None => (self.account, Some(self.subkey)),
                };
                Tx::Transfer(Transfer::unsigned(from, self.account, amount.0, auth))
            }
            _ => {
                let why = "give `amount`, and `from` if another account pays; or `tx` alone";
                return Err(RpcError::new(Code::BadValue, why));
            }
        };
        Ok(self.state(|state| FeeEstimate {
            fee: Nano(state.fee(&tx)),
            bytes: count(tx.size() as u64),
            per_byte: Nano(self.genesis.params.tx_fee_per_byte),
            as_of: as_of(state),
        }))
    }

    async fn tx_build(&self, params: BuildParams) -> Result<Unsigned, RpcError> {
        let from = params.from.map_or(self.account, |from| from.0);
        let given = (params.nonce.map(|nonce| nonce.0), params.expiry);
        let auth = self.auth(from, given).await?;
        let (to, amount) = (params.to.0, params.amount.0);
        let transfer = Transfer::unsigned((from, None), to, amount, auth);
        let genesis = self.genesis.hash();
        let tx = Tx::Transfer(transfer.clone());
        Ok(Unsigned {
            genesis: Text(genesis),
            from: Text(from),
            to: Text(to),
            amount: Nano(amount),
            nonce: Text(auth.nonce),
            expiry: auth.expiry,
            fee: Nano(self.state(|state| state.fee(&tx))),
            context: Transfer::context(),
            layout: hex(&transfer.to_layout()),
            signing_payload: hex(&transfer.payload(&genesis)),
            unsigned: hex(&codec::encode(&tx)),
            signature_at: count(transfer.signature_at() as u64),
        })
    }

    async fn tx_decode(&self, params: SubmitParams) -> Result<Decoded, RpcError> {
        let tx = read(&params.tx)?;
        let stamp = tx.stamp();
        let content = readable(&tx).map_err(|why| RpcError::new(Code::BadValue, why))?;
        let (fee, refusal) = self.state(|state| {
            let refusal = state.check(&tx, Place::next(state, now())).err();
            (state.fee(&tx), refusal.map(|why| why.to_string()))
        });
        let kind = tx.kind().to_owned();
        let signature = match verify::tx(&self.genesis.hash(), tx) {
            Ok(_) => SignatureState::Good,
            Err(_) => SignatureState::Bad,
        };
        Ok(Decoded {
            tx: Text(stamp.id),
            kind,
            bytes: count(stamp.bytes as u64),
            fee: Nano(fee),
            content,
            signature,
            refusal,
        })
    }

    async fn tx_submit(&self, params: SubmitParams) -> Result<Sent, RpcError> {
        self.submitted(read(&params.tx)?).await
    }

    async fn tx_get(&self, params: TxParams) -> Result<TxShown, RpcError> {
        self.tx_shown(params.tx.0).await
    }

    async fn tx_wait(&self, params: WaitParams) -> Result<TxShown, RpcError> {
        let seconds = params.seconds.unwrap_or(WAIT_USUAL);
        if seconds > WAIT_MOST {
            let why = format_args!("wait at most {WAIT_MOST} seconds, and call again");
            return Err(RpcError::new(Code::BadValue, why));
        }
        let deadline = Instant::now() + Duration::from_secs(seconds.into());
        let mut heights = self.index.heights();
        let mut has_waited = false;
        loop {
            heights.mark_unchanged();
            let shown = self.tx_shown(params.tx.0).await?;
            let is_over = match shown.status {
                TxState::Included => true,
                TxState::Waiting => false,
                // It waited, and is in no block: it will not come by itself.
                TxState::Unknown => has_waited,
            };
            has_waited |= shown.status == TxState::Waiting;
            if is_over {
                return Ok(shown);
            }
            match timeout_at(deadline, heights.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(stopping(Stopping)),
                Err(_) => return Ok(shown),
            }
        }
    }
}

impl NodeApi {
    async fn tx_shown(&self, id: TxId) -> Result<TxShown, RpcError> {
        let waiting = self.engine(move |e| e.waiting(&id)).await?;
        let as_of = self.state(as_of);
        let shown = TxShown {
            tx: Text(id),
            status: TxState::Unknown,
            height: None,
            block_hash: None,
            time: None,
            place: None,
            bytes: None,
            as_of,
        };
        if let Some(at) = self.place(id).await? {
            let certified = self.stored(at.height).await?;
            let header = &certified.block.header;
            let tx = certified.block.txs.get(at.place as usize);
            return Ok(TxShown {
                status: TxState::Included,
                height: Some(at.height),
                block_hash: Some(Text(header.hash())),
                time: Some(Moment(header.time)),
                place: Some(at.place),
                bytes: tx.map(|tx| hex(&codec::encode(tx))),
                ..shown
            });
        }
        if let Some(tx) = waiting {
            return Ok(TxShown {
                status: TxState::Waiting,
                bytes: Some(hex(&codec::encode(&tx))),
                ..shown
            });
        }
        match self.index.knows_txs().await.map_err(internal)? {
            Kept::Whole | Kept::Not => Ok(shown),
            Kept::Filling(done, all) => {
                let why = format_args!("old blocks are being gone through: {done} of {all}");
                Err(RpcError::new(Code::NotReady, why))
            }
        }
    }
}
