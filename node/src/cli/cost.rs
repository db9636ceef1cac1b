//! `larder quote`, `larder contracts health|spending`: what storing costs, and what hangs on it.

use super::args::QuoteArgs;
use super::connect::{Asked, ask};
use super::exit::{BELOW_CLASS, Failure};
use super::output::Out;
use larder_rpc::{
    AllowanceParams, CancelParams, Client, Empty, Nano, QuoteParams, RentedParams, Secret,
    Spending, Text,
};
use larder_types::{Amount, Bytes, ContractId};
use serde_json::json;
use std::path::Path;

pub(super) fn quote(home: &Path, args: QuoteArgs, out: Out) -> Asked {
    let params = QuoteParams {
        bytes: args.size.0,
        class: Some(Text(args.class)),
        epochs: args.epochs,
    };
    ask(home, |node| async move {
        let quote = match args.afresh {
            true => node.market_quote(&params).await?,
            false => node.renter_quote(&params).await?,
        };
        for it in &quote.contracts {
            out.object(&json!({
                "message_type": "contract",
                "provider": it.provider,
                "operator": it.operator,
                "region": it.region,
                "price": it.price.0.to_string(),
                "capacity": it.capacity,
                "epochs": it.epochs,
                "rate": it.rate.0.to_string(),
                "cost": it.cost.0.to_string(),
            }))?;
            out.line(format_args!(
                "{}  {:>10} for {} epochs: {} credits  {} {}",
                it.provider,
                Bytes(it.capacity).to_string(),
                it.epochs,
                it.cost.0,
                it.operator,
                it.region
            ))?;
        }
        out.object(&json!({
            "message_type": "summary",
            "class": quote.class,
            "k": quote.k,
            "n": quote.n,
            "repair_at": quote.repair_at,
            "annual_loss": quote.annual_loss,
            "class_met": quote.class_met,
            "providers": quote.providers,
            "cost": quote.cost.0.to_string(),
            "per_epoch": quote.per_epoch.0.to_string(),
            "affordable": quote.affordable,
        }))?;
        out.line(format_args!(
            "{} credits, {} an epoch, for {} new contracts; {} of {} shards bring a segment back",
            quote.cost.0,
            quote.per_epoch.0,
            quote.contracts.len(),
            quote.k,
            quote.n
        ))?;
        if !quote.affordable {
            out.line("the account has less than that: fund it (`larder wallet address`)")?;
        }
        if quote.class_met {
            return Ok(());
        }
        let why = format_args!(
            "with the providers that there are, {} is not met: more of them make it safer",
            quote.class
        );
        Err(Failure::new(BELOW_CLASS, why))
    })
}

pub(super) async fn health(node: &Client, contract: ContractId, out: Out) -> Asked {
    let contract = Text(contract);
    let it = node
        .renter_contract_health(&RentedParams { contract })
        .await?;
    let mut object = json!({
        "message_type": "summary",
        "contract": it.contract,
        "provider": it.provider,
        "signed": it.signed,
        "active": it.active,
        "end_epoch": it.end_epoch,
        "ends": it.ends,
        "lapsing": it.lapsing,
        "shards": it.shards,
        "segments_that_need_it": it.segments_that_need_it,
    });
    let provider = json!({
        "misses_in_a_row": it.misses_in_a_row,
        "proved_lately": it.proved_lately,
        "faulted": it.faulted,
        "refuses": it.refuses,
        "audits_passed": it.audits_passed,
        "audits_failed": it.audits_failed,
        "audits_silent": it.audits_silent,
    });
    for (key, value) in provider.as_object().into_iter().flatten() {
        object[key] = value.clone();
    }
    out.object(&object)?;
    let state = match (it.faulted, it.active, it.signed) {
        (true, _, _) => "FAULTED",
        (false, true, _) => "active",
        (false, false, true) => "signed, not yet active",
        (false, false, false) => "proposed",
    };
    let lapsing = if it.lapsing {
        ", and is NOT renewed"
    } else {
        ""
    };
    let all = it.audits_passed + it.audits_failed + it.audits_silent;
    for (name, value) in [
        ("state", state.to_owned()),
        ("provider", it.provider.to_string()),
        (
            "ends",
            format!("epoch {}, {}{lapsing}", it.end_epoch, it.ends),
        ),
        (
            "holds",
            format!(
                "{} shards; {} segments could not be read without them",
                it.shards, it.segments_that_need_it
            ),
        ),
        (
            "proofs",
            format!(
                "{} missed in a row, lately proved: {}",
                it.misses_in_a_row, it.proved_lately
            ),
        ),
        ("audits", format!("{} of {all} passed", it.audits_passed)),
    ] {
        out.line(format_args!("{name:<10} {value}"))?;
    }
    Ok(())
}

pub(super) async fn cancel(
    node: &Client,
    contract: ContractId,
    (words, force): (&str, bool),
    out: Out,
) -> Asked {
    let params = CancelParams {
        contract: Text(contract),
        words: Secret::new(words),
        force,
    };
    let done = node.renter_cancel_contract(&params).await?;
    out.object(&json!({
        "message_type": "summary",
        "contract": done.contract,
        "tx": done.tx,
        "status": done.status,
        "leaves_in": done.leaves_in,
    }))?;
    let when = done.leaves_in.map_or_else(
        || "the notice waits for a block; `larder contracts` shows when it ends".to_owned(),
        |epoch| format!("notice given: it ends in epoch {epoch}"),
    );
    out.line(format_args!(
        "{when}; what lies there is rebuilt elsewhere while this node runs (`larder repairs`)"
    ))
}

pub(super) async fn allow(node: &Client, allowance: Option<Amount>, out: Out) -> Asked {
    let params = AllowanceParams {
        allowance: allowance.map(Nano),
    };
    shown(&node.renter_set_allowance(&params).await?, out)
}

pub(super) async fn spending(node: &Client, out: Out) -> Asked {
    shown(&node.renter_spending(&Empty {}).await?, out)
}

fn shown(it: &Spending, out: Out) -> Asked {
    out.object(&json!({
        "message_type": "summary",
        "contracts": it.contracts,
        "per_epoch": it.per_epoch.0.to_string(),
        "reserved": it.reserved.0.to_string(),
        "free": it.free.0.to_string(),
        "epochs_covered": it.epochs_covered,
        "set_aside": it.set_aside.0.to_string(),
        "whole_history": it.whole_history,
        "allowance": it.allowance.map(|most| most.0.to_string()),
    }))?;
    let allowance = it.allowance.map_or_else(
        || "none: contracts may cost what the account has".to_owned(),
        |most| format!("{} credits in 30 days", most.0),
    );
    let covered = it
        .epochs_covered
        .map_or_else(|| "for ever".to_owned(), |n| format!("for {n} epochs more"));
    for (name, value) in [
        ("contracts", it.contracts.to_string()),
        ("cost", format!("{} credits an epoch", it.per_epoch.0)),
        (
            "reserved",
            format!("{} credits for epochs to come", it.reserved.0),
        ),
        ("free", format!("{} credits, enough {covered}", it.free.0)),
        ("set aside", format!("{} credits so far", it.set_aside.0)),
        ("allowance", allowance),
    ] {
        out.line(format_args!("{name:<10} {value}"))?;
    }
    Ok(())
}
