//! `larder offer`: what this node offers, when it is away, how it leaves.

use super::args::{MaintenanceArgs, OfferCommand, OfferSetArgs};
use super::connect::{Asked, ask};
use super::exit::Failure;
use super::output::Out;
use larder_rpc::client::all;
use larder_rpc::{
    Absence, AbsenceParams, Audit, Client, Empty, Nano, OfferChange, ProviderOffer, Taking,
    WithdrawParams,
};
use larder_types::{Amount, Bytes, Time};
use serde_json::{Value, json};
use std::path::Path;

/// Verdicts shown to people; `--json` gives all that the node remembers.
const VERDICTS: usize = 10;

pub(super) fn offer(home: &Path, command: Option<OfferCommand>, out: Out) -> Asked {
    ask(home, |node| async move {
        match command.unwrap_or(OfferCommand::Show) {
            OfferCommand::Show => show(&node, out).await,
            OfferCommand::Set(args) => change(&node, set(args), out).await,
            OfferCommand::Pause => change(&node, taking(Taking::Paused), out).await,
            OfferCommand::Resume => change(&node, taking(Taking::All), out).await,
            OfferCommand::Maintenance(args) => maintenance(&node, args, out).await,
            OfferCommand::Shrink { size } => shrink(&node, size, out).await,
            OfferCommand::Exit => exit(&node, out).await,
            OfferCommand::Withdraw { amount } => withdraw(&node, amount, out).await,
        }
    })
}

async fn show(node: &Client, out: Out) -> Asked {
    let offer = node.provider_get_offer(&Empty {}).await?;
    let audits = all(|page| async move { node.provider_list_audits(&page).await }).await?;
    for audit in &audits {
        out.object(&audit_object(audit))?;
    }
    tell(&offer, out)?;
    for audit in audits.iter().take(VERDICTS) {
        let epochs = match audit.epochs {
            1 => audit.epoch.to_string(),
            many => format!("{} to {}", audit.epoch, audit.epoch + many - 1),
        };
        let paid = if audit.paid { "paid" } else { "unpaid" };
        let (amount, charged) = (audit.amount.0, audit.charged.0);
        let cost = match charged.nano() {
            0 => String::new(),
            _ => format!(", {charged} taken from the collateral"),
        };
        let reason = &audit.reason;
        out.line(format_args!(
            "epoch {epochs:<8} {paid:<6} {amount}: {reason}{cost}"
        ))?;
    }
    Ok(())
}

fn set(args: OfferSetArgs) -> OfferChange {
    OfferChange {
        quota: args.quota.map(|quota| quota.0),
        price: args.price.map(Nano),
        region: args.region,
        operator: args.operator,
        taking: None,
    }
}

fn taking(taking: Taking) -> OfferChange {
    OfferChange {
        taking: Some(taking),
        ..OfferChange::default()
    }
}

async fn change(node: &Client, change: OfferChange, out: Out) -> Asked {
    let offer = node.provider_set_offer(&change).await?;
    tell(&offer, out)
}

async fn shrink(node: &Client, size: Bytes, out: Out) -> Asked {
    let before = node.provider_get_offer(&Empty {}).await?;
    if size.0 > before.quota {
        let have = Bytes(before.quota);
        return Err(Failure::new(
            super::exit::USAGE,
            format_args!("{size} is more than the {have} offered: use `larder offer set --quota`"),
        ));
    }
    let quota = Some(size.0);
    let offer = node
        .provider_set_offer(&OfferChange {
            quota,
            ..OfferChange::default()
        })
        .await?;
    tell(&offer, out)?;
    if offer.contracted > offer.quota {
        let (sold, last) = (Bytes(offer.contracted), last(&offer));
        out.line(format_args!(
            "{sold} are under contract: nothing is renewed or extended until no more than {size} \
             are; {last}"
        ))?;
    }
    Ok(())
}

async fn exit(node: &Client, out: Out) -> Asked {
    let offer = node.provider_exit(&Empty {}).await?;
    tell(&offer, out)?;
    let locked = offer.collateral_locked.0;
    out.line(match offer.contracts {
        0 => {
            "no contract binds this node: `larder offer withdraw` takes its collateral back; then \
              it can be stopped for good"
                .to_owned()
        }
        _ => format!(
            "nothing is taken on or renewed. Leave the node running: it is paid until its \
             contracts end, {}; their collateral, {locked} credits, frees as they do, and `larder \
             offer withdraw` takes back what is free",
            last(&offer)
        ),
    })
}

async fn withdraw(node: &Client, amount: Option<Amount>, out: Out) -> Asked {
    let amount = amount.map(Nano);
    let done = node.provider_withdraw(&WithdrawParams { amount }).await?;
    out.object(&json!({
        "message_type": "summary",
        "amount": done.amount.0.to_string(),
        "tx": done.sent.tx,
        "status": done.sent.status,
        "height": done.sent.height,
    }))?;
    let how = match done.sent.height {
        Some(height) => format!("in block {height}"),
        None => "on its way: while the node runs, it goes on handing it in".to_owned(),
    };
    out.line(format_args!(
        "{} credits back to the account, {how}",
        done.amount.0
    ))
}

fn last(offer: &ProviderOffer) -> String {
    match (offer.last_end_epoch, offer.last_end) {
        (Some(epoch), Some(time)) => format!("the last at epoch {epoch}, {time}"),
        _ => "there are none".to_owned(),
    }
}

async fn maintenance(node: &Client, args: MaintenanceArgs, out: Out) -> Asked {
    let first = match (args.from, args.begins_in) {
        (Some(first), _) => first,
        (None, after) => {
            let params = node.ledger_params(&Empty {}).await?;
            let then: Time = crate::home::now().after(after.unwrap_or_default());
            let since = then.since(params.start.0).0 / params.epoch_ms.max(1);
            u32::try_from(since).unwrap_or(u32::MAX)
        }
    };
    let epochs = args.epochs;
    let absence = node
        .provider_maintenance(&AbsenceParams { first, epochs })
        .await?;
    let mut object = absence_object(&absence);
    object["message_type"] = json!("summary");
    out.object(&object)?;
    out.line(format_args!("announced: {}", away(&absence)))?;
    out.line(
        "stop the node then, and start it before it is over: those epochs are not paid, and no \
         strike",
    )
}

fn away(absence: &Absence) -> String {
    let Absence {
        first,
        epochs,
        begins,
        ends,
        next_from,
    } = absence;
    format!(
        "away in {epochs} epochs from {first} on, {begins} to {ends}; the next absence may begin \
         at epoch {next_from}"
    )
}

fn tell(offer: &ProviderOffer, out: Out) -> Asked {
    out.object(&object(offer))?;
    for (name, value) in lines(offer) {
        out.line(format_args!("{name:<11} {value}"))?;
    }
    Ok(())
}

fn lines(offer: &ProviderOffer) -> Vec<(&'static str, String)> {
    let taking = match offer.taking {
        Taking::All => "new contracts, extensions and renewals",
        Taking::Paused => "extensions and renewals only: paused",
        Taking::Leaving => "nothing: it leaves",
    };
    let mut lines = vec![
        (
            "offered",
            format!(
                "{}, {} of it under contract, {} used, {} free",
                Bytes(offer.quota),
                Bytes(offer.contracted),
                Bytes(offer.used),
                Bytes(offer.free)
            ),
        ),
        (
            "price",
            format!("{} credits per GiB and 30 days", offer.price.0),
        ),
        ("takes", taking.to_owned()),
        ("contracts", format!("{}; {}", offer.contracts, last(offer))),
        (
            "collateral",
            format!(
                "{} credits free, {} locked",
                offer.collateral_free.0, offer.collateral_locked.0
            ),
        ),
    ];
    if let Some(why) = &offer.refuses {
        lines.push(("REFUSES", why.clone()));
    }
    if let Some(absence) = &offer.maintenance {
        lines.push(("away", away(absence)));
    }
    if !offer.given.is_empty() {
        let given = offer.given.join(", ");
        let so = format!("{given} came by flag or environment, which go before what is set here");
        lines.push(("note", so));
    }
    lines
}

fn object(offer: &ProviderOffer) -> Value {
    json!({
        "message_type": "summary",
        "quota": offer.quota,
        "contracted": offer.contracted,
        "used": offer.used,
        "free": offer.free,
        "price": offer.price.0.to_string(),
        "egress_price": offer.egress_price.0.to_string(),
        "region": offer.region,
        "operator": offer.operator,
        "taking": offer.taking,
        "refuses": offer.refuses,
        "contracts": offer.contracts,
        "last_end_epoch": offer.last_end_epoch,
        "last_end": offer.last_end,
        "collateral_free": offer.collateral_free.0.to_string(),
        "collateral_locked": offer.collateral_locked.0.to_string(),
        "maintenance": offer.maintenance.as_ref().map(absence_object),
        "given": offer.given,
    })
}

fn absence_object(absence: &Absence) -> Value {
    json!({
        "first": absence.first,
        "epochs": absence.epochs,
        "begins": absence.begins,
        "ends": absence.ends,
        "next_from": absence.next_from,
    })
}

fn audit_object(audit: &Audit) -> Value {
    json!({
        "message_type": "audit",
        "epoch": audit.epoch,
        "epochs": audit.epochs,
        "paid": audit.paid,
        "amount": audit.amount.0.to_string(),
        "charged": audit.charged.0.to_string(),
        "reason": audit.reason,
    })
}
