//! The loss: providers that hold shards are killed with SIGKILL, all at once, and their homes are
//! deleted. Nobody is told.

use super::network::{Fallen, Network};
use crate::cli::Failure;
use larder_rpc::Empty;
use std::fs;

/// What went with the providers that were killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) providers: usize,
    /// Shards that they held.
    pub(super) shards: u64,
}

/// Kills those `kill` providers that hold the most, and deletes their homes.
pub(super) async fn lose(net: &mut Network, kill: u16) -> Result<Loss, Failure> {
    let mut holding = Vec::new();
    for (i, provider) in net.providers.iter().enumerate() {
        let status = provider.client.provider_status(&Empty {}).await?;
        if status.shards > 0 {
            holding.push((status.used, status.shards, i));
        }
    }
    if holding.len() < usize::from(kill) {
        let holders = holding.len();
        return Err(Failure::new(
            1,
            format_args!("only {holders} providers hold anything: there are no {kill} to kill"),
        ));
    }
    holding.sort_unstable_by(|a, b| b.cmp(a));
    holding.truncate(usize::from(kill));
    let loss = Loss {
        providers: holding.len(),
        shards: holding.iter().map(|(_, shards, _)| shards).sum(),
    };
    // From the back, so that the places before stay what they are.
    holding.sort_unstable_by_key(|(.., i)| std::cmp::Reverse(*i));
    let mut homes = Vec::new();
    for (.., i) in holding {
        let mut provider = net.providers.remove(i);
        let usage = provider.kill()?;
        homes.push(provider.home.clone());
        net.fallen.push(Fallen {
            name: provider.name.clone(),
            node: provider.info.node.0,
            usage,
        });
    }
    homes.into_iter().try_for_each(fs::remove_dir_all)?;
    Ok(loss)
}
