//! What the ledger says of the demo's providers: proofs, misses, pay. Asked of the validator, which
//! outlives the keeper.

use super::network::{LOOK, Network, SETTLE};
use crate::cli::Failure;
use larder_rpc::client::all;
use larder_rpc::{Client, Empty, LedgerProvider, ProviderParams, RenterContract, Text};
use larder_types::{Millis, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// How many epochs a whole backup may take to be proven. Two are needed: one until the ledger
/// shows the contracts, one in which they are challenged.
const EPOCHS: u32 = 6;

/// What the ledger holds of a provider.
pub(super) async fn provider(node: &Client, id: NodeId) -> Result<LedgerProvider, Failure> {
    let provider = Text(id);
    Ok(node
        .ledger_get_provider(&ProviderParams { provider })
        .await?)
}

/// What the ledger holds of every provider that there ever was, by name.
pub(super) async fn providers(net: &Network) -> Result<Vec<(String, LedgerProvider)>, Failure> {
    let mut shown = Vec::new();
    for (name, id) in net.all_providers() {
        let found = provider(&net.validator.client, id).await?;
        shown.push((name.to_owned(), found));
    }
    Ok(shown)
}

/// Waits until every provider with a contract has passed a challenge on all that it was given.
pub(super) async fn until_proven(net: &mut Network, epoch: Millis) -> Result<(), Failure> {
    let deadline = Instant::now() + SETTLE + epoch.to_std() * EPOCHS;
    // For each provider the epoch in which the ledger first showed all of its contracts.
    let mut settled: BTreeMap<NodeId, u32> = BTreeMap::new();
    loop {
        let (holders, waiting) = holders(&net.keeper.client).await?;
        let now = net.keeper.client.chain_head(&Empty {}).await?.epoch;
        let mut proven = 0;
        for id in holders.difference(&waiting) {
            let since = *settled.entry(*id).or_insert(now);
            let shown = provider(&net.keeper.client, *id).await?;
            proven += usize::from(shown.last_passed_epoch.is_some_and(|e| e >= since));
        }
        if !holders.is_empty() && proven == holders.len() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Failure::new(
                1,
                format_args!(
                    "after {EPOCHS} epochs {proven} of {} providers have proven all that they hold",
                    holders.len()
                ),
            ));
        }
        net.check()?;
        tokio::time::sleep(LOOK).await;
    }
}

/// Providers with a contract, and those of them whose newest revision the ledger does not show.
async fn holders(keeper: &Client) -> Result<(BTreeSet<NodeId>, BTreeSet<NodeId>), Failure> {
    let contracts = all(|page| async move { keeper.renter_list_contracts(&page).await }).await?;
    let of = |it: &RenterContract| it.provider.0;
    let waiting = contracts.iter().filter(|c| !c.settled).map(of).collect();
    Ok((contracts.iter().map(of).collect(), waiting))
}
