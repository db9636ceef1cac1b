//! What a block says of this node's own provider, for its log and for its operator, who hears of
//! every verdict with its reason.

use crate::store::Audit;
use larder_ledger::{Ended, Event, Unpaid};
use larder_rpc::Nano;
use larder_types::{Amount, Epoch, NodeId};
use std::collections::BTreeMap;

/// Logs what befell the provider `node`.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "events of which the operator need not hear are many"
)]
pub(crate) fn log(events: &[Event], node: &NodeId) {
    for event in events {
        match event {
            Event::Faulted { provider, epoch } if provider == node => tracing::error!(
                epoch,
                "this provider is FAULTED: too many epochs were not proven. Nothing new opens with \
                 it until all of its contracts are closed; what it proves is still paid"
            ),
            Event::Charged {
                provider,
                epoch,
                miss,
                amount,
            } if provider == node => {
                tracing::warn!(epoch, miss, "an epoch that was not proven cost {amount}");
            }
            Event::LossDeclared {
                provider,
                contract,
                indices,
                ..
            } if provider == node => {
                let lost = indices.len();
                tracing::warn!(%contract, "{lost} shards are declared lost, with half of their collateral");
            }
            Event::Closed {
                provider,
                contract,
                why: why @ (Ended::Fault | Ended::Lost),
                ..
            } if provider == node => match why {
                Ended::Fault => tracing::warn!(
                    %contract,
                    "the renter has closed a contract, because this provider is FAULTED"
                ),
                Ended::Lost | Ended::Expired | Ended::Mutual | Ended::Notice => {
                    tracing::warn!(%contract, "all shards of a contract are lost: it is closed");
                }
            },
            Event::Censored {
                node: by,
                provider,
                slot,
                amount,
                ..
            } if provider == node => tracing::warn!(
                slot,
                validator = %by,
                "a validator withheld pay for a proof that it had acknowledged: {amount} came out of \
                 its bond"
            ),
            Event::Censored { node: by, slot, .. } if by == node => tracing::error!(
                slot,
                "this validator withheld pay for a proof that it had acknowledged: that is a strike, \
                 and paid out of its bond. Was its record of votes put back from an older copy?"
            ),
            Event::Skipped {
                provider,
                contract,
                why,
            } if provider == node => {
                tracing::info!(%contract, "an operation had no effect: {why}");
            }
            _ => {}
        }
    }
}

/// How a block judged the provider `node`.
pub(crate) fn audits(events: &[Event], node: &NodeId) -> Vec<Audit> {
    let mut audits: BTreeMap<Epoch, Audit> = BTreeMap::new();
    for event in events {
        if let Event::Paid {
            provider,
            epoch,
            pay,
            ..
        } = event
            && provider == node
        {
            let audit = Audit {
                epoch: *epoch,
                epochs: 1,
                paid: true,
                amount: *pay,
                charged: Amount::ZERO,
                reason: "a valid proof in time".to_owned(),
            };
            audits.insert(*epoch, audit);
        } else if let Event::Unpaid {
            provider,
            epoch,
            epochs,
            withheld,
            why,
        } = event
            && provider == node
        {
            let audit = Audit {
                epoch: *epoch,
                epochs: *epochs,
                paid: false,
                amount: *withheld,
                charged: Amount::ZERO,
                reason: reason(*why),
            };
            audits.insert(*epoch, audit);
        }
    }
    audits.into_values().collect()
}

/// What a block took from the collateral of the provider `node`: that falls at the epoch's end, after
/// its verdict.
pub(crate) fn charges(events: &[Event], node: &NodeId) -> Vec<(Epoch, Amount)> {
    let mut charges = Vec::new();
    for event in events {
        if let Event::Charged {
            provider,
            epoch,
            amount,
            ..
        } = event
            && provider == node
        {
            charges.push((*epoch, *amount));
        }
    }
    charges
}

fn reason(why: Unpaid) -> String {
    match why {
        Unpaid::Verdict(reason) => reason.to_string(),
        Unpaid::Expired => "a contract that had ended was not closed".to_owned(),
        Unpaid::NoVerdict => "no verdict was given".to_owned(),
    }
}

pub(crate) fn shown(audit: Audit) -> larder_rpc::Audit {
    larder_rpc::Audit {
        epoch: audit.epoch,
        epochs: audit.epochs,
        paid: audit.paid,
        amount: Nano(audit.amount),
        charged: Nano(audit.charged),
        reason: audit.reason,
    }
}
