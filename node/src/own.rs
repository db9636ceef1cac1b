//! What a block says of this node's own provider, for its log: the rest is in `larder doctor` and
//! in the node's status.

use larder_ledger::{Ended, Event};
use larder_types::NodeId;

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
