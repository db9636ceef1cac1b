//! `larder offers`, `larder contracts`: the market and what one has in it.

use super::args::ContractsCommand;
use super::connect::{Asked, ask};
use super::output::Out;
use super::words;
use larder_rpc::client::all;
use larder_rpc::{Client, ContractParams, Text};
use larder_types::{Bytes, ContractId};
use serde_json::json;
use std::path::Path;

pub(super) fn offers(home: &Path, out: Out) -> Asked {
    ask(home, |node| async move {
        let offers = all(|page| {
            let node = &node;
            async move { node.market_list_offers(&page).await }
        });
        for offer in offers.await? {
            out.object(&json!({
                "message_type": "offer",
                "provider": offer.provider,
                "account": offer.account,
                "price": offer.price.0.to_string(),
                "egress_price": offer.egress_price.0.to_string(),
                "free": offer.free,
                "min_term": offer.min_term,
                "max_term": offer.max_term,
                "region": offer.region,
                "operator": offer.operator,
                "expires": offer.expires,
            }))?;
            let (price, free) = (offer.price.0.to_string(), Bytes(offer.free).to_string());
            out.line(format_args!(
                "{}  {price:>8} credits/GiB/30d  {free:>10} free  {:<8} {}",
                offer.provider, offer.region, offer.operator
            ))?;
        }
        Ok(())
    })
}

pub(super) fn contracts(home: &Path, command: Option<ContractsCommand>, out: Out) -> Asked {
    let words = match &command {
        Some(ContractsCommand::Cancel { words_file, .. }) => {
            Some(words::text(words_file.as_deref())?)
        }
        _ => None,
    };
    ask(home, |node| async move {
        match command {
            None => list(&node, out).await,
            Some(ContractsCommand::Show { contract }) => show(&node, contract, out).await,
            Some(ContractsCommand::Health { contract }) => {
                super::cost::health(&node, contract, out).await
            }
            Some(ContractsCommand::Cancel {
                contract, force, ..
            }) => {
                let words = words.as_ref().map_or("", |words| words.as_str());
                super::cost::cancel(&node, contract, (words, force), out).await
            }
            Some(ContractsCommand::Allowance { credits }) => {
                super::cost::allow(&node, credits.0, out).await
            }
            Some(ContractsCommand::Spending) => super::cost::spending(&node, out).await,
        }
    })
}

async fn list(node: &Client, out: Out) -> Asked {
    for it in all(|page| async move { node.renter_list_contracts(&page).await }).await? {
        out.object(&json!({
            "message_type": "contract",
            "contract": it.contract,
            "provider": it.provider,
            "operator": it.operator,
            "region": it.region,
            "revision": it.revision,
            "settled": it.settled,
            "start_epoch": it.start_epoch,
            "end_epoch": it.end_epoch,
            "capacity": it.capacity,
            "used": it.used,
            "rate": it.rate.0.to_string(),
            "audits_passed": it.audits_passed,
            "audits_failed": it.audits_failed,
            "audits_silent": it.audits_silent,
            "refuses": it.refuses,
        }))?;
        let used = format!("{} of {}", Bytes(it.used), Bytes(it.capacity));
        out.line(format_args!(
            "{}  {used:<24} {} credits/epoch until epoch {}  audits {}/{}  {}{}",
            it.contract,
            it.rate.0,
            it.end_epoch,
            it.audits_passed,
            it.audits_passed + it.audits_failed + it.audits_silent,
            it.operator,
            if it.refuses { "  takes no shards" } else { "" }
        ))?;
    }
    Ok(())
}

async fn show(node: &Client, contract: ContractId, out: Out) -> Asked {
    let contract = Text(contract);
    let it = node
        .ledger_get_contract(&ContractParams { contract, at: None })
        .await?;
    out.object(&json!({
        "message_type": "summary",
        "contract": it.contract,
        "provider": it.provider,
        "renter": it.renter,
        "revision": it.revision,
        "start_epoch": it.start_epoch,
        "end_epoch": it.end_epoch,
        "capacity": it.capacity,
        "used": it.used,
        "rate": it.rate.0.to_string(),
        "collateral": it.collateral.0.to_string(),
        "height": it.as_of.height,
    }))?;
    for (name, value) in [
        ("provider", it.provider.to_string()),
        ("renter", it.renter.to_string()),
        ("revision", it.revision.to_string()),
        ("epochs", format!("{} to {}", it.start_epoch, it.end_epoch)),
        (
            "stored",
            format!("{} of {}", Bytes(it.used), Bytes(it.capacity)),
        ),
        ("rate", format!("{} credits an epoch", it.rate.0)),
        ("collateral", format!("{} credits", it.collateral.0)),
    ] {
        out.line(format_args!("{name:<10} {value}"))?;
    }
    Ok(())
}
