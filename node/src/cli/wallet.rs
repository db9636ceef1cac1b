//! `larder wallet`: the home's account.

use super::args::WalletCommand;
use super::connect::{Asked, ask};
use super::output::Out;
use larder_rpc::client::all;
use larder_rpc::{Client, Empty, Movement, Nano, SendParams, Text, Transaction, TxStatus};
use larder_types::{AccountId, Amount};
use serde_json::json;
use std::path::Path;

pub(super) fn wallet(home: &Path, command: WalletCommand, out: Out) -> Asked {
    ask(home, |node| async move {
        match command {
            WalletCommand::Address => address(&node, out).await,
            WalletCommand::Balance => balance(&node, out).await,
            WalletCommand::Send { to, amount } => send(&node, to, amount, out).await,
            WalletCommand::History => history(&node, out).await,
        }
    })
}

async fn address(node: &Client, out: Out) -> Asked {
    let account = node.node_info(&Empty {}).await?.account;
    out.object(&json!({ "message_type": "summary", "account": account }))?;
    out.line(account)
}

async fn balance(node: &Client, out: Out) -> Asked {
    let balance = node.wallet_get_balance(&Empty {}).await?;
    out.object(&json!({
        "message_type": "summary",
        "account": balance.account,
        "balance": balance.available.0.to_string(),
        "height": balance.as_of.height,
    }))?;
    out.line(format_args!("{} credits", balance.available.0))
}

async fn send(node: &Client, to: AccountId, amount: Amount, out: Out) -> Asked {
    let sent = node
        .wallet_send(&SendParams {
            to: Text(to),
            amount: Nano(amount),
        })
        .await?;
    out.object(&json!({
        "message_type": "summary",
        "tx": sent.tx,
        "status": sent.status,
        "height": sent.height,
        "to": to.to_string(),
        "amount": amount.to_string(),
    }))?;
    let fate = match (sent.status, sent.height) {
        (TxStatus::Included, Some(height)) => format!("in block {height}"),
        (TxStatus::Included, None) => "in a block".to_owned(),
        (TxStatus::Submitted | TxStatus::Known, _) => "waiting for a block".to_owned(),
    };
    out.line(format_args!(
        "paid {amount} credits to {to}: {fate} ({})",
        sent.tx
    ))
}

async fn history(node: &Client, out: Out) -> Asked {
    let list = all(|page| async move { node.wallet_list_transactions(&page).await }).await?;
    for item in list {
        out.object(&json!({
            "message_type": "transaction",
            "height": item.height,
            "time": item.time,
            "kind": item.kind,
            "received": item.received,
            "amount": item.amount.0.to_string(),
            "other": item.other,
            "tx": item.tx,
        }))?;
        out.line(in_words(&item))?;
    }
    Ok(())
}

fn in_words(item: &Transaction) -> String {
    let kind = match item.kind {
        Movement::Genesis => "genesis",
        Movement::Faucet => "faucet",
        Movement::Transfer => "transfer",
        Movement::Collateral => "collateral",
        Movement::Escrow => "escrow",
        Movement::Pay => "pay",
    };
    let sign = if item.received { '+' } else { '-' };
    let other = item.other.map(|o| o.to_string()).unwrap_or_default();
    let amount = item.amount.0.to_string();
    format!("{}  {sign}{amount:<18} {kind:<10} {other}", item.time)
        .trim_end()
        .to_owned()
}
