//! `wallet_*`: the home's own account, which this device's sub-key spends from, and those whose keys lie in
//! key files.

use super::NodeApi;
use super::ledger::balance;
use super::sending::read;
use crate::driver::Payment;
use crate::home::now;
use crate::shown::{as_of, hex, internal};
use crate::wallets::{HOME, LONGEST, Ready, Wallet, WalletError};
use larder_engine::Engine;
use larder_keys::{AccountSigner, OpenError, Words};
use larder_ledger::{May, Transfer, Tx};
use larder_rpc::{
    Balance, Code, Empty, Limit, Moment, Nano, Page, PageParams, RpcError, Secret, SendParams,
    Sent, SignParams, Signed, Text, Transaction, UnlockParams, WalletCreateParams, WalletCreated,
    WalletImportParams, WalletMethods, WalletPageParams, WalletParams, WalletShown, WalletState,
};
use larder_types::{AccountId, Amount, codec};
use std::time::Duration;
use zeroize::Zeroizing;

/// For how long a wallet is unlocked where nobody says otherwise: five minutes.
const UNLOCKED: u32 = 300;
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
    async fn wallet_create(&self, params: WalletCreateParams) -> Result<WalletCreated, RpcError> {
        let words = Words::generate(&mut rand::rng());
        let key = words.seed().account();
        let passphrase = params.passphrase.as_ref().map(wiped);
        let made = self.wallets.keep(params.wallet, key, passphrase).await;
        let made = made.map_err(shut)?;
        // Nobody can have paid it yet.
        self.index
            .adopt(made.account, true)
            .await
            .map_err(internal)?;
        Ok(WalletCreated {
            wallet: made.name,
            account: Text(made.account),
            words: Secret::new(words.reveal().as_str()),
            is_sealed: made.ready == Ready::Locked,
        })
    }

    async fn wallet_import(&self, params: WalletImportParams) -> Result<WalletShown, RpcError> {
        let words = Words::parse(params.words.reveal()).map_err(|e| {
            let why = format_args!("{e}; check the words and their order");
            RpcError::new(Code::WrongWords, why)
        })?;
        let key = words.seed().account();
        let passphrase = params.passphrase.as_ref().map(wiped);
        let made = self.wallets.keep(params.wallet, key, passphrase).await;
        let made = made.map_err(shut)?;
        self.index
            .adopt(made.account, false)
            .await
            .map_err(internal)?;
        Ok(shown(made))
    }

    async fn wallet_list(&self, params: PageParams) -> Result<Page<WalletShown>, RpcError> {
        let others = self.wallets.list().into_iter().map(shown);
        let all = std::iter::once(self.home_shown()).chain(others);
        Ok(Page::cut(all, &params)?)
    }

    async fn wallet_get_balance(&self, params: WalletParams) -> Result<Balance, RpcError> {
        let account = self.account_of(params.wallet.as_deref())?;
        let balance = self.state(|state| balance(state, account));
        if account != self.account {
            return Ok(balance);
        }
        let available = self.engine(Engine::spendable).await?;
        Ok(Balance {
            available: Nano(available),
            ..balance
        })
    }

    async fn wallet_list_transactions(
        &self,
        params: WalletPageParams,
    ) -> Result<Page<Transaction>, RpcError> {
        let account = self.account_of(params.wallet.as_deref())?;
        let page = PageParams {
            cursor: params.cursor,
            limit: params.limit,
        };
        self.history(account, &page).await
    }

    async fn wallet_send(&self, params: SendParams) -> Result<Sent, RpcError> {
        let (to, amount) = (params.to.0, params.amount.0);
        if amount == Amount::ZERO {
            return Err(RpcError::new(Code::BadValue, "send more than nothing"));
        }
        let Some(name) = named(params.wallet.as_deref()) else {
            return self.sent(Payment::Transfer { to, amount }).await;
        };
        let signer = self.wallets.signer(name).map_err(shut)?;
        // One at a time: the next one's nonce depends on what waits.
        let turn = self.wallets.turn().await;
        let auth = self.auth(signer.account(), (None, None)).await?;
        let genesis = self.genesis.hash();
        let transfer = Transfer::sign(&signer, to, amount, auth, &genesis);
        let (id, end) = self.queued(Tx::Transfer(transfer)).await?;
        drop(turn);
        self.ended(id, end).await
    }

    async fn wallet_sign(&self, params: SignParams) -> Result<Signed, RpcError> {
        let Tx::Transfer(transfer) = read(&params.tx)? else {
            let why = "a wallet signs transfers only, as `tx_build` makes them";
            return Err(RpcError::new(Code::BadValue, why));
        };
        let signer = match named(params.wallet.as_deref()) {
            Some(name) => self.wallets.signer(name).map_err(shut)?,
            None => AccountSigner::sub(self.account, self.ledger_key.clone()),
        };
        let signed = transfer.signed_by(&signer, &self.genesis.hash());
        let tx = signed.map(Tx::Transfer).ok_or_else(|| {
            let why = format_args!(
                "the transfer is from {}, and the wallet's account is {}",
                transfer.from,
                signer.account()
            );
            RpcError::new(Code::BadValue, why)
        })?;
        Ok(Signed {
            tx: Text(tx.id()),
            signed: hex(&codec::encode(&tx)),
        })
    }

    async fn wallet_lock(&self, params: WalletParams) -> Result<WalletShown, RpcError> {
        let name = params.wallet.as_deref().unwrap_or(HOME);
        Ok(shown(self.wallets.lock(name).map_err(shut)?))
    }

    async fn wallet_unlock(&self, params: UnlockParams) -> Result<WalletShown, RpcError> {
        let how_long = Duration::from_secs(params.seconds.unwrap_or(UNLOCKED).into());
        if how_long.is_zero() || how_long > LONGEST {
            let why = format_args!("unlock it for 1 to {} seconds", LONGEST.as_secs());
            return Err(RpcError::new(Code::BadValue, why));
        }
        let passphrase = wiped(&params.passphrase);
        let opened = self.wallets.unlock(&params.wallet, passphrase, how_long);
        Ok(shown(opened.await.map_err(shut)?))
    }

    async fn wallet_get_limit(&self, _: Empty) -> Result<Limit, RpcError> {
        self.limit()
    }
}

/// The name of a wallet that is not the home's.
fn named(wallet: Option<&str>) -> Option<&str> {
    wallet.filter(|name| *name != HOME)
}

fn wiped(secret: &Secret) -> Zeroizing<String> {
    Zeroizing::new(secret.reveal().to_owned())
}

fn shown(wallet: Wallet) -> WalletShown {
    let (state, until) = match wallet.ready {
        Ready::Always => (WalletState::Open, None),
        Ready::Locked => (WalletState::Locked, None),
        Ready::Until(time) => (WalletState::Unlocked, Some(Moment(time))),
    };
    WalletShown {
        wallet: wallet.name,
        account: Text(wallet.account),
        state,
        until,
    }
}

fn shut(e: WalletError) -> RpcError {
    let code = match &e {
        WalletError::Name(_) | WalletError::Empty | WalletError::Open(_) => Code::BadValue,
        WalletError::Missing(_) => Code::NoWallet,
        WalletError::Exists(_) | WalletError::Known(_) => Code::WalletExists,
        WalletError::TooMany => Code::BadValue,
        WalletError::Locked(_) | WalletError::Shut(_, OpenError::Needed) => Code::WalletLocked,
        WalletError::Shut(_, OpenError::Wrong) => Code::WrongWords,
        WalletError::Shut(_, OpenError::Costly | OpenError::Other) | WalletError::Home(_) => {
            Code::Internal
        }
        WalletError::Stopping => Code::Stopping,
    };
    RpcError::new(code, e)
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

    fn home_shown(&self) -> WalletShown {
        WalletShown {
            wallet: HOME.to_owned(),
            account: Text(self.account),
            state: WalletState::Device,
            until: None,
        }
    }

    fn account_of(&self, wallet: Option<&str>) -> Result<AccountId, RpcError> {
        match named(wallet) {
            None => Ok(self.account),
            Some(name) => Ok(self.wallets.get(name).map_err(shut)?.account),
        }
    }
}
