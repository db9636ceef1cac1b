//! The demo's network: validators, providers and a keeper, from their homes until the keeper has
//! heard every offer and can pay.

use super::chosen::Size;
use super::fleet::{Node, Yard};
use super::plan::Plan;
use super::usage::Usage;
use super::validators::{gather, votes};
use crate::cli::Failure;
use larder_rpc::{Client, Empty};
use larder_types::NodeId;
use larder_types::size::GIB;
use std::path::Path;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How often a condition is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(200);
/// How long what depends on no epoch may take: offers that spread, shards that become whole.
pub(super) const SETTLE: Duration = Duration::from_secs(60);
/// The least that a provider offers.
const QUOTA: u64 = 2 * GIB;
/// Where the providers say they are.
const REGIONS: [&str; 12] = [
    "de", "fr", "nl", "se", "us", "ca", "br", "jp", "kr", "in", "au", "za",
];

/// The nodes of the demo.
pub(super) struct Network {
    pub(super) yard: Yard,
    pub(super) invite: String,
    /// The founder's, which is never killed.
    pub(super) validator: Node,
    /// The other validators that run.
    pub(super) validators: Vec<Node>,
    /// The one that is killed for a while.
    pub(super) absent: Option<String>,
    /// What validators' processes that are no more had used.
    pub(super) past_validators: Usage,
    pub(super) epoch: Duration,
    /// Those that live.
    pub(super) providers: Vec<Node>,
    /// Those that were killed for good.
    pub(super) fallen: Vec<Fallen>,
    /// The keeper; after the recovery its successor.
    pub(super) keeper: Node,
    /// The keeper's words, until they are written down.
    pub(super) words: Zeroizing<String>,
    /// What keepers that are no more had used.
    pub(super) past_keeper: Usage,
}

/// A provider that was killed and whose home was deleted.
pub(super) struct Fallen {
    pub(super) name: String,
    pub(super) node: NodeId,
    pub(super) usage: Usage,
}

/// What live providers have on their disks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OnDisk {
    pub(super) providers: usize,
    pub(super) shards: u64,
    pub(super) bytes: u64,
}

impl Network {
    /// Refuses to go on if a node has ended.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        self.validator.check()?;
        self.keeper.check()?;
        self.validators.iter_mut().try_for_each(Node::check)?;
        self.providers.iter_mut().try_for_each(Node::check)
    }

    /// How many of the nodes make blocks, by their own word and the ledger's.
    pub(super) async fn voting(&self) -> Result<usize, Failure> {
        let others = [&self.validator, &self.keeper];
        let mut voting = 0;
        for node in self.providers.iter().chain(others).chain(&self.validators) {
            voting += usize::from(votes(node).await?);
        }
        Ok(voting)
    }

    /// All providers by name, those that fell among them.
    pub(super) fn all_providers(&self) -> Vec<(&str, NodeId)> {
        let live = self.providers.iter().map(|p| (&*p.name, p.info.node.0));
        let fallen = self.fallen.iter().map(|f| (&*f.name, f.node));
        let mut all: Vec<_> = live.chain(fallen).collect();
        all.sort_unstable();
        all
    }

    /// What the live providers say that they store.
    pub(super) async fn on_disk(&self) -> Result<OnDisk, Failure> {
        let mut sum = OnDisk::default();
        for provider in &self.providers {
            let status = provider.client.provider_status(&Empty {}).await?;
            sum.providers += usize::from(status.shards > 0);
            sum.shards += status.shards;
            sum.bytes += status.used;
        }
        Ok(sum)
    }
}

/// Founds the network and starts its nodes; returns once the keeper knows all offers and can pay.
pub(super) async fn start(plan: &Plan, dir: &Path, size: Size) -> Result<Network, Failure> {
    let yard = Yard::new(dir, plan.keep)?;
    let epoch = plan.epoch.to_string();
    let consensus = if plan.validators == 1 { "solo" } else { "bft" };
    let words = ["--new-network", "--profile", "dev", "--epoch", &epoch];
    yard.init(
        "validator",
        &[&words[..], &["--consensus", consensus]].concat(),
    )?;
    let validator = yard.up("validator", &["--validate"])?.ready().await?;
    let invite = validator.client.node_invite(&Empty {}).await?.invite;
    let validators = gather(&yard, &validator, &invite, plan.validators - 1).await?;
    let quota = quota(size, plan.providers).to_string();
    let mut starting = Vec::new();
    for (i, region) in (1..=plan.providers).zip(REGIONS.iter().cycle()) {
        let (name, operator) = (format!("provider-{i:02}"), format!("operator-{i:02}"));
        yard.init(&name, &["--join", &invite])?;
        let words = [
            "--provide",
            &quota,
            "--price",
            "2",
            "--region",
            region,
            "--operator",
            &operator,
        ];
        starting.push(yard.up(&name, &words)?);
    }
    let words = yard.init("keeper", &["--join", &invite])?;
    let keeper = yard.up("keeper", &[])?;
    let mut providers = Vec::new();
    for provider in starting {
        providers.push(provider.ready().await?);
    }
    let mut net = Network {
        yard,
        invite,
        validator,
        validators,
        absent: None,
        past_validators: Usage::default(),
        epoch: plan.epoch.to_std(),
        providers,
        fallen: Vec::new(),
        keeper: keeper.ready().await?,
        words,
        past_keeper: Usage::default(),
    };
    until_offered(&mut net, usize::from(plan.providers)).await?;
    Ok(net)
}

/// What each provider offers, bytes: four times its even share, so that any class fits.
fn quota(size: Size, providers: u16) -> u64 {
    QUOTA.max(size.bytes.saturating_mul(4) / u64::from(providers))
}

/// Waits until the keeper has heard every offer and can pay.
async fn until_offered(net: &mut Network, wanted: usize) -> Result<(), Failure> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let status = net.keeper.client.node_status(&Empty {}).await?;
        let heard = usize::try_from(status.offers).unwrap_or(usize::MAX);
        if heard >= wanted && status.ready && status.balance.0.nano() > 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Failure::new(
                21,
                format_args!(
                    "after {} s the keeper knows {heard} of {wanted} offers and holds {} credits",
                    SETTLE.as_secs(),
                    status.balance.0
                ),
            ));
        }
        net.check()?;
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether every segment of this keeper is whole, and there are any.
pub(super) async fn is_whole(keeper: &Client) -> Result<bool, Failure> {
    let repairs = keeper.renter_repairs(&Empty {}).await?;
    Ok(repairs.segments > 0 && repairs.full_redundancy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_grow_with_the_folder() {
        let of = |bytes| quota(Size { files: 1, bytes }, 12);
        assert_eq!(of(1), QUOTA);
        assert_eq!(of(30 * GIB), 10 * GIB);
    }
}
