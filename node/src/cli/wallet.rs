//! `larder wallet`: the home's account, the wallets beside it, and transactions whoever signs them.

mod files;
mod history;
mod offline;
mod tx;

use super::args::{LimitArg, WalletArg, WalletCommand};
use super::connect::{Asked, ask};
use super::exit::{Failure, WRONG_WORDS};
use super::output::Out;
use super::verify::verify;
use super::words;
use crate::home::sign_delegation;
use crate::shown::hex;
use larder_contracts::Auth;
use larder_keys::{AccountSigner, Seed};
use larder_ledger::{Transfer, Tx};
use larder_rpc::{
    BuildParams, Client, ClientError, Code, Empty, Limit, Nano, SendParams, Sent, SubmitParams,
    Text, TxStatus, WalletParams,
};
use larder_types::{AccountId, Amount, codec};
use serde_json::json;
use std::path::Path;

pub(super) fn wallet(home: &Path, command: WalletCommand, out: Out) -> Asked {
    if let WalletCommand::Verify(args) = &command {
        return verify(home, args, out);
    }
    if let WalletCommand::New { words_file } = &command {
        return offline::new(words_file.as_deref(), out);
    }
    if let WalletCommand::Sign { tx, words_file } = &command {
        return offline::sign(tx, words_file.as_deref(), out);
    }
    ask(home, |node| Box::pin(talk(node, command, out)))
}

async fn talk(node: Client, command: WalletCommand, out: Out) -> Asked {
    match command {
        WalletCommand::Address { wallet } => address(&node, wallet, out).await,
        WalletCommand::Balance { wallet } => balance(&node, wallet, out).await,
        WalletCommand::History {
            wallet,
            account,
            limit,
        } => history::show(&node, (wallet, account), limit, out).await,
        WalletCommand::Send {
            to,
            amount,
            wallet,
            words_file,
        } => send(&node, (to, amount, wallet), words_file.as_deref(), out).await,
        WalletCommand::Limit {
            limit: Some(limit),
            words_file,
        } => set_limit(&node, limit, words_file.as_deref(), out).await,
        WalletCommand::Limit { limit: None, .. } => show_limit(&node, out).await,
        WalletCommand::Build {
            to,
            amount,
            from,
            expiry,
            nonce,
        } => {
            let wanted = BuildParams {
                to: Text(to),
                amount: Nano(amount),
                from: from.map(Text),
                expiry,
                nonce: nonce.map(Text),
            };
            tx::build(&node, wanted, out).await
        }
        WalletCommand::Submit { file } => tx::submit(&node, &file, out).await,
        WalletCommand::Decode { file } => tx::decode(&node, &file, out).await,
        WalletCommand::Fee { amount } => tx::fee(&node, amount, out).await,
        WalletCommand::Tx { tx, wait } => tx::show(&node, tx, wait, out).await,
        WalletCommand::Create { name, passphrase } => {
            files::create(&node, name, &passphrase, out).await
        }
        WalletCommand::Import {
            name,
            words_file,
            passphrase,
        } => files::import(&node, (name, words_file.as_deref()), &passphrase, out).await,
        WalletCommand::List => files::list(&node, out).await,
        WalletCommand::Lock { name } => files::lock(&node, name, out).await,
        WalletCommand::Unlock {
            name,
            how_long,
            passphrase_file,
        } => files::unlock(&node, (name, how_long), passphrase_file.as_deref(), out).await,
        WalletCommand::Verify(_) | WalletCommand::New { .. } | WalletCommand::Sign { .. } => {
            unreachable!("they need no node")
        }
    }
}

async fn address(node: &Client, wallet: WalletArg, out: Out) -> Asked {
    let params = WalletParams {
        wallet: wallet.wallet,
    };
    let account = node.wallet_get_balance(&params).await?.account;
    out.object(&json!({ "message_type": "summary", "account": account }))?;
    out.line(account)
}

async fn balance(node: &Client, wallet: WalletArg, out: Out) -> Asked {
    let params = WalletParams {
        wallet: wallet.wallet,
    };
    let balance = node.wallet_get_balance(&params).await?;
    out.object(&json!({
        "message_type": "summary",
        "account": balance.account,
        "balance": balance.available.0.to_string(),
        "height": balance.as_of.height,
    }))?;
    out.line(format_args!("{} credits", balance.available.0))
}

/// Pays as this device may; beyond that with the account key, which only the words give.
async fn send(
    node: &Client,
    (to, amount, wallet): (AccountId, Amount, WalletArg),
    words_file: Option<&Path>,
    out: Out,
) -> Asked {
    let params = SendParams {
        to: Text(to),
        amount: Nano(amount),
        wallet: wallet.wallet,
    };
    let sent = match node.wallet_send(&params).await {
        Err(ClientError::Refused {
            code: Code::BeyondLimit,
            message,
        }) => {
            out.remark(format_args!("{message}: the words are needed"))?;
            send_with_words(node, &params, words_file).await?
        }
        sent => sent?,
    };
    out.object(&json!({
        "message_type": "summary",
        "tx": sent.tx,
        "status": sent.status,
        "height": sent.height,
        "to": to.to_string(),
        "amount": amount.to_string(),
    }))?;
    out.line(format_args!(
        "paid {amount} credits to {to}: {} ({})",
        fate(&sent),
        sent.tx
    ))
}

pub(super) fn fate(sent: &Sent) -> String {
    match (sent.status, sent.height) {
        (TxStatus::Included, Some(height)) => format!("in block {height}"),
        (TxStatus::Included, None) => "in a block".to_owned(),
        (TxStatus::Known, Some(height)) => format!("known, in block {height}"),
        (TxStatus::Known, None) => "known, waiting for a block".to_owned(),
        (TxStatus::Submitted, _) => "waiting for a block".to_owned(),
    }
}

/// The words never leave this process, the account key neither: the node gets what they signed.
async fn send_with_words(
    node: &Client,
    params: &SendParams,
    words_file: Option<&Path>,
) -> Result<Sent, Failure> {
    let seed = words::given(words_file)?;
    let wanted = BuildParams {
        to: params.to,
        amount: params.amount,
        from: None,
        expiry: None,
        nonce: None,
    };
    let unsigned = node.tx_build(&wanted).await?;
    let account = of_account(&seed, unsigned.from.0)?;
    let auth = Auth {
        nonce: unsigned.nonce.0,
        expiry: unsigned.expiry,
    };
    let (to, amount) = (params.to.0, params.amount.0);
    let transfer = Transfer::sign(&account, to, amount, auth, &unsigned.genesis.0);
    submit(node, &Tx::Transfer(transfer)).await
}

async fn submit(node: &Client, tx: &Tx) -> Result<Sent, Failure> {
    let tx = hex(&codec::encode(tx));
    Ok(node.tx_submit(&SubmitParams { tx }).await?)
}

/// The account key, if the words are those of the node's account.
fn of_account(seed: &Seed, account: AccountId) -> Result<AccountSigner, Failure> {
    let key = AccountSigner::own(seed.account());
    if key.account() == account {
        return Ok(key);
    }
    Err(Failure::new(
        WRONG_WORDS,
        "these are the words of another account; use the words of this home",
    ))
}

async fn show_limit(node: &Client, out: Out) -> Asked {
    let limit = node.wallet_get_limit(&Empty {}).await?;
    out.object(&limit_object(&limit))?;
    let may = limit.may.join(", ");
    let cap = limit.cap.map_or_else(
        || "no limit".to_owned(),
        |cap| format!("{} credits an epoch", cap.0),
    );
    if !limit.authorised {
        return out.line(
            "this device's key is not on the ledger: wait for a block; if it was revoked, `larder \
             wallet limit AMOUNT` with the words authorises it again",
        );
    }
    out.line(format_args!("key     {}", limit.subkey))?;
    out.line(format_args!("may     {may}"))?;
    out.line(format_args!("limit   {cap}"))?;
    out.line(format_args!("spent   {} in this epoch", limit.spent.0))?;
    match limit.until {
        Some(until) => out.line(format_args!("until   {until}")),
        None => Ok(()),
    }
}

fn limit_object(limit: &Limit) -> serde_json::Value {
    json!({
        "message_type": "summary",
        "account": limit.account,
        "subkey": limit.subkey,
        "authorised": limit.authorised,
        "may": limit.may,
        "limit": limit.cap.map(|cap| cap.0.to_string()),
        "spent": limit.spent.0.to_string(),
        "until": limit.until,
    })
}

/// A new delegation of this device's key, signed with the words.
async fn set_limit(node: &Client, limit: LimitArg, words_file: Option<&Path>, out: Out) -> Asked {
    let seed = words::given(words_file)?;
    let now = node.wallet_get_limit(&Empty {}).await?;
    of_account(&seed, now.account.0)?;
    let genesis = node.node_info(&Empty {}).await?.genesis.0;
    let cap = match limit {
        LimitArg::None => Amount(u64::MAX),
        LimitArg::Credits(amount) => amount,
    };
    let delegation = sign_delegation(&seed, now.subkey.0, Some(cap), &genesis);
    let sent = submit(node, &Tx::Delegate(delegation)).await?;
    let now = node.wallet_get_limit(&Empty {}).await?;
    out.object(&limit_object(&now))?;
    let cap = match limit {
        LimitArg::None => "all there is".to_owned(),
        LimitArg::Credits(amount) => format!("{amount} credits an epoch"),
    };
    out.line(format_args!("this device may spend {cap}: {}", fate(&sent)))
}
