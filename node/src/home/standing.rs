//! What a home says of itself without being opened: its network, its account, its checkpoint. A wallet
//! reads it while a node runs in it.

use super::{Config, HomeError, read_delegation, refuse_old};
use crate::invite::Invite;
use larder_ledger::Genesis;
use larder_proofs::Checkpoint;
use larder_types::{AccountId, GenesisHash, codec};
use std::fs;
use std::io;
use std::path::Path;

/// What a wallet needs of a home: read without holding it, for a node may run in it.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// The network.
    pub genesis: GenesisHash,
    /// The home's account.
    pub account: AccountId,
    /// The block that the chain must hold, if the home knows of one.
    pub checkpoint: Option<Checkpoint>,
}

impl Standing {
    /// Reads the home in `dir`.
    ///
    /// # Errors
    /// [`HomeError`] if there is none, or a file of it is damaged.
    pub fn read(dir: &Path) -> Result<Self, HomeError> {
        let config = read_config(dir)?;
        Ok(Self {
            genesis: genesis_hash(dir, &config)?,
            account: read_delegation(dir)?.account,
            checkpoint: checkpoint(dir, &config)?,
        })
    }
}

/// What a home knows of the way back to its network.
#[derive(Debug, Clone)]
pub struct WayBack {
    /// What the network's founder called it; `None` before the genesis document is here.
    pub network: Option<String>,
    /// Which network it is, and the peers that the home's own invite named; a founder's names none.
    pub invite: Invite,
}

impl WayBack {
    /// Reads the home in `dir`.
    ///
    /// # Errors
    /// [`HomeError`] if there is none, or a file of it is damaged.
    pub fn read(dir: &Path) -> Result<Self, HomeError> {
        let config = read_config(dir)?;
        let genesis = genesis_hash(dir, &config)?;
        Ok(Self {
            network: read_genesis(dir, &genesis)?.map(|genesis| genesis.network),
            invite: Invite {
                genesis,
                addrs: config.network.bootstrap.clone(),
                checkpoint: checkpoint(dir, &config)?,
            },
        })
    }
}

/// The genesis document in the home `dir`, once it is there.
pub(super) fn read_genesis(dir: &Path, hash: &GenesisHash) -> Result<Option<Genesis>, HomeError> {
    let path = dir.join("genesis.cbor");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(HomeError::Io { path, source }),
    };
    let genesis: Genesis = codec::decode(&bytes).map_err(|e| HomeError::Damaged {
        path: path.clone(),
        why: e.to_string(),
    })?;
    if genesis.hash() != *hash {
        let why = "it is another network's genesis".to_owned();
        return Err(HomeError::Damaged { path, why });
    }
    Ok(Some(genesis))
}

pub(super) fn read_config(dir: &Path) -> Result<Config, HomeError> {
    let path = dir.join("config.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(HomeError::Missing(dir.to_owned()));
        }
        Err(source) => return Err(HomeError::Io { path, source }),
    };
    refuse_old(dir)?;
    toml::from_str(&text).map_err(|e| HomeError::Damaged {
        path,
        why: e.message().to_owned(),
    })
}

pub(super) fn genesis_hash(dir: &Path, config: &Config) -> Result<GenesisHash, HomeError> {
    let genesis = config.network.genesis.parse();
    genesis.map_err(|e| HomeError::Damaged {
        path: dir.join("config.toml"),
        why: format!("network.genesis is {e}"),
    })
}

pub(super) fn checkpoint(dir: &Path, config: &Config) -> Result<Option<Checkpoint>, HomeError> {
    let point = config.network.checkpoint.as_ref();
    let point = point.map(|text| text.parse()).transpose();
    point.map_err(|e| HomeError::Damaged {
        path: dir.join("config.toml"),
        why: format!("network.checkpoint: {e}"),
    })
}
