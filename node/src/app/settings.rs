//! What a run of the node goes by: flag, then environment, then `config.toml`, then default.

use super::AppError;
use crate::cli::options::{LEAST_QUOTA, UpOptions};
use crate::home::{Home, configured};
use crate::net::Multiaddr;
use crate::shards::VolumeConfig;
use larder_engine::Provide;
use larder_keys::{AccountSigner, Signer};
use larder_types::{Amount, Params};
use libp2p::multiaddr::Protocol;
use std::net::{Ipv4Addr, SocketAddr};

/// Where a node listens without `--listen`.
const LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/4750", "/ip4/0.0.0.0/udp/4750/quic-v1"];
/// Where the consensus listens if the node has no TCP address of its own.
const CONSENSUS_PORT: u16 = 4751;
/// Where the RPC listens without `--rpc`.
const RPC_PORT: u16 = 4730;
/// What a provider asks without `--price`, per GiB and 30 days: a hundredth of a credit.
const PRICE: Amount = Amount(10_000_000);

/// What flags, environment, file and defaults came to.
pub(super) struct Settings {
    pub(super) listen: Vec<Multiaddr>,
    pub(super) rpc: SocketAddr,
    pub(super) provide: Option<Provide>,
    /// What of that a flag or the environment said.
    pub(super) given: Vec<String>,
    pub(super) volumes: Vec<VolumeConfig>,
    pub(super) validate: bool,
    /// Where the consensus listens, if this node is one of several validators.
    pub(super) consensus_listen: Multiaddr,
    /// Whether the node may ask for the grant of an account that the ledger does not know.
    pub(super) faucet: Faucet,
    /// The account key, while the words are at hand.
    pub(super) account_key: Option<AccountSigner>,
}

/// What becomes of an account that the ledger does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Faucet {
    /// The faucet is asked for its grant, where the network has one.
    Asked,
    /// Nothing: it may be the account of wrong words.
    LeftAlone,
}

impl Faucet {
    pub(super) fn params(self, params: &Params) -> Params {
        match self {
            Self::Asked => params.clone(),
            Self::LeftAlone => Params {
                faucet: None,
                ..params.clone()
            },
        }
    }
}

impl Settings {
    pub(super) fn recovery(account: Signer) -> Self {
        Self {
            listen: Vec::new(),
            rpc: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            provide: None,
            given: Vec::new(),
            volumes: Vec::new(),
            validate: false,
            consensus_listen: beside(&[]),
            faucet: Faucet::LeftAlone,
            account_key: Some(AccountSigner::own(account)),
        }
    }

    pub(super) fn of(home: &Home, options: UpOptions) -> Result<Self, AppError> {
        let file = &home.config.up;
        let given = given(&options);
        let listen = [
            options.listen,
            file.listen.clone(),
            LISTEN.map(str::to_owned).to_vec(),
        ]
        .into_iter()
        .find(|l| !l.is_empty())
        .unwrap_or_default();
        let quota = match options.provide {
            Some(quota) => Some(quota),
            None => configured(home, "provide", file.provide.as_ref())?,
        };
        let price = match options.price {
            Some(price) => Some(price),
            None => configured(home, "price", file.price.as_ref())?,
        };
        let region = options
            .region
            .or_else(|| file.region.clone())
            .unwrap_or_default();
        let operator = options
            .operator
            .or_else(|| file.operator.clone())
            .unwrap_or_default();
        short("region", &region, larder_contracts::offer::MAX_REGION)?;
        short("operator", &operator, larder_contracts::offer::MAX_OPERATOR)?;
        if let Some(quota) = quota.filter(|q| q.0 > 0 && q.0 < LEAST_QUOTA.0) {
            return Err(AppError::LittleQuota(quota));
        }
        let price = price.unwrap_or(PRICE);
        let address = |text: String| text.parse().map_err(|_| AppError::Addr(text));
        let listen: Vec<Multiaddr> = listen.into_iter().map(address).collect::<Result<_, _>>()?;
        let consensus = options.consensus_listen;
        let consensus = consensus.or_else(|| file.consensus_listen.clone());
        Ok(Self {
            consensus_listen: match consensus {
                Some(text) => address(text)?,
                None => beside(&listen),
            },
            listen,
            rpc: options
                .rpc
                .or(file.rpc)
                .unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, RPC_PORT))),
            provide: quota.map(|quota| Provide {
                quota,
                price,
                egress_price: Amount::ZERO,
                region,
                operator,
                taking: crate::providing::meant(file.taking.unwrap_or_default()),
            }),
            given,
            volumes: home.config.volumes(&home.dir)?,
            validate: options.validate || file.validate,
            faucet: Faucet::Asked,
            account_key: None,
        })
    }
}

/// The next port at the first address that the node listens on by TCP; any, where that is any.
fn beside(listen: &[Multiaddr]) -> Multiaddr {
    let next = |addr: &Multiaddr| {
        let mut parts = addr.iter();
        match (parts.next()?, parts.next()?) {
            (host @ (Protocol::Ip4(_) | Protocol::Ip6(_)), Protocol::Tcp(port)) => {
                let next = if port == 0 { 0 } else { port.checked_add(1)? };
                Some(
                    Multiaddr::empty()
                        .with(host.acquire())
                        .with(Protocol::Tcp(next)),
                )
            }
            _ => None,
        }
    };
    let any = Multiaddr::empty().with(Protocol::Ip4(Ipv4Addr::UNSPECIFIED));
    let found = listen.iter().find_map(next);
    found.unwrap_or_else(|| any.with(Protocol::Tcp(CONSENSUS_PORT)))
}

fn given(options: &UpOptions) -> Vec<String> {
    let given = [
        ("quota", options.provide.is_some()),
        ("price", options.price.is_some()),
        ("region", options.region.is_some()),
        ("operator", options.operator.is_some()),
    ];
    let said = given.into_iter().filter(|(_, said)| *said);
    said.map(|(what, _)| what.to_owned()).collect()
}

fn short(what: &'static str, value: &str, most: usize) -> Result<(), AppError> {
    if value.len() > most {
        Err(AppError::TooLong(what, most))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_consensus_listens_beside_the_node() {
        let of = |listen: &[&str]| {
            let listen: Vec<Multiaddr> = listen.iter().map(|l| l.parse().unwrap()).collect();
            beside(&listen).to_string()
        };
        let quic = "/ip4/127.0.0.1/udp/9/quic-v1";
        assert_eq!(of(&LISTEN), "/ip4/0.0.0.0/tcp/4751");
        assert_eq!(of(&[quic, "/ip4/127.0.0.1/tcp/0"]), "/ip4/127.0.0.1/tcp/0");
        assert_eq!(of(&["/ip6/::1/tcp/70"]), "/ip6/::1/tcp/71");
        assert_eq!(of(&[quic]), "/ip4/0.0.0.0/tcp/4751");
    }
}
