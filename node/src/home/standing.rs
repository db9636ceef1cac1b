//! What a home says of itself without being opened: its network, its account, its checkpoint. A wallet
//! reads it while a node runs in it.

use super::{Config, HomeError, read_delegation, refuse_old};
use larder_proofs::Checkpoint;
use larder_types::{AccountId, GenesisHash};
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
