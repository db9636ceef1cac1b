//! `larder wallet history`: what moved on an account, newest first.

use crate::cli::args::WalletArg;
use crate::cli::connect::Asked;
use crate::cli::output::Out;
use larder_rpc::{
    Client, ClientError, HistoryParams, Movement, Page, Text, Transaction, WalletPageParams,
};
use larder_types::AccountId;
use serde_json::json;

pub(super) async fn show(
    node: &Client,
    whose: (WalletArg, Option<AccountId>),
    limit: Option<usize>,
    out: Out,
) -> Asked {
    let mut left = limit.unwrap_or(usize::MAX);
    let mut cursor = None;
    while left > 0 {
        let some = page(node, &whose, cursor, left).await?;
        left = left.saturating_sub(some.items.len());
        for item in &some.items {
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
            out.line(in_words(item))?;
        }
        cursor = some.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(())
}

async fn page(
    node: &Client,
    (wallet, account): &(WalletArg, Option<AccountId>),
    cursor: Option<String>,
    limit: usize,
) -> Result<Page<Transaction>, ClientError> {
    let limit = u32::try_from(limit).ok();
    match account {
        Some(account) => {
            let account = Text(*account);
            let params = HistoryParams {
                account,
                cursor,
                limit,
            };
            node.ledger_get_history(&params).await
        }
        None => {
            let params = WalletPageParams {
                cursor,
                limit,
                wallet: wallet.wallet.clone(),
            };
            node.wallet_list_transactions(&params).await
        }
    }
}

fn in_words(item: &Transaction) -> String {
    let kind = match item.kind {
        Movement::Genesis => "genesis",
        Movement::Faucet => "faucet",
        Movement::Transfer => "transfer",
        Movement::Collateral => "collateral",
        Movement::Escrow => "escrow",
        Movement::Pay => "pay",
        Movement::Fee => "fee",
        Movement::Bond => "bond",
        Movement::Guarantee => "guarantee",
        Movement::Existence => "existence",
    };
    let sign = if item.received { '+' } else { '-' };
    let other = item.other.map(|o| o.to_string()).unwrap_or_default();
    let amount = item.amount.0.to_string();
    format!("{}  {sign}{amount:<18} {kind:<10} {other}", item.time)
        .trim_end()
        .to_owned()
}
