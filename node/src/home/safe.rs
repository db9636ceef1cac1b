//! Where a home's secrets lie: each in a file of its own, in the clear; or all of them in `keys/sealed.cbor`,
//! under a home key that its passphrases wrap. Where there is that file, it alone counts.
//! `docs/protocol.md` §3.1 *Sealed homes*.

use super::steps::{Step, carry_out, fresh, put, sync};
use super::{HomeError, key_path, read_key, read_private};
use larder_keys::{HomeKey, Keyring, Secrets};
use larder_types::codec;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// All that a home keeps secret: `keys/NAME.key`, 32 bytes each.
pub(super) const NAMES: [&str; 7] = [
    "node",
    "device",
    "ledger",
    "vault",
    "rendezvous",
    "sharing",
    "validator-bls",
];

/// A home's secrets, and what opens them.
#[derive(Debug, Clone)]
pub struct Safe {
    dir: PathBuf,
    /// None where they lie in the clear.
    key: Option<HomeKey>,
}

/// Whether the secrets of the home in `dir` take a passphrase.
#[must_use]
pub fn is_sealed(dir: &Path) -> bool {
    ring_path(dir).exists()
}

pub(super) fn ring_path(dir: &Path) -> PathBuf {
    dir.join("keys/sealed.cbor")
}

/// The keys of the home in `dir`; none if its secrets lie in the clear.
///
/// # Errors
/// If the file is damaged.
pub fn read_ring(dir: &Path) -> Result<Option<Keyring>, HomeError> {
    let path = ring_path(dir);
    let bytes = match read_private(&path) {
        Ok(bytes) => bytes,
        Err(HomeError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    let ring = codec::decode(&bytes).map_err(|e| HomeError::Damaged {
        path,
        why: e.to_string(),
    })?;
    Ok(Some(ring))
}

impl Safe {
    /// Opens the secrets of the home in `dir`.
    ///
    /// # Errors
    /// [`HomeError::Locked`] without a passphrase where one is needed, [`HomeError::Shut`] with a wrong one.
    pub fn open(dir: &Path, passphrase: Option<&str>) -> Result<Self, HomeError> {
        let dir = dir.to_owned();
        let Some(ring) = read_ring(&dir)? else {
            return Ok(Self { dir, key: None });
        };
        let Some(passphrase) = passphrase else {
            return Err(HomeError::Locked(dir));
        };
        match ring.open(passphrase) {
            Ok((key, _)) => Ok(Self {
                dir,
                key: Some(key),
            }),
            Err(e) => Err(HomeError::Shut(dir, e)),
        }
    }

    /// Whether it took a passphrase.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        self.key.is_some()
    }

    /// The secrets, by name.
    pub(super) fn read(&self) -> Result<Secrets, HomeError> {
        match &self.key {
            Some(key) => self.disclosed(key),
            None => self.clear(),
        }
    }

    /// One that must be there.
    pub(super) fn need(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, HomeError> {
        take(&self.dir, &mut self.read()?, name)
    }

    /// Keeps one.
    pub(super) fn keep(&self, name: &str, secret: &[u8; 32]) -> Result<(), HomeError> {
        let Some(key) = &self.key else {
            return super::write(&key_path(&self.dir, name), secret, 0o600);
        };
        let mut ring = self.ring()?;
        ring.keep(key, name, secret, &mut rand::rng());
        carry_out(&put_ring(&self.dir, &ring))
    }

    /// Takes away what a change of keys that was cut short left in the clear: what is sealed too, or was
    /// overwritten already. Anything else is somebody's, and stays.
    pub(super) fn sweep(&self) -> Result<(), HomeError> {
        let Some(key) = &self.key else {
            return Ok(());
        };
        let sealed = self.disclosed(key)?;
        let is_left = |path: &PathBuf| {
            let Ok(lies) = read_key(path) else {
                return false;
            };
            *lies == [0; 32] || sealed.values().any(|secret| *secret == lies)
        };
        let mut steps: Vec<Step> = NAMES
            .iter()
            .flat_map(|name| [key_path(&self.dir, name), fresh(&key_path(&self.dir, name))])
            .filter(is_left)
            .map(Step::Wipe)
            .collect();
        if !steps.is_empty() {
            steps.push(sync(&ring_path(&self.dir)));
        }
        carry_out(&steps)
    }

    fn ring(&self) -> Result<Keyring, HomeError> {
        read_ring(&self.dir)?.ok_or_else(|| HomeError::Io {
            path: ring_path(&self.dir),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    fn disclosed(&self, key: &HomeKey) -> Result<Secrets, HomeError> {
        let secrets = self.ring()?.secrets(key);
        secrets.map_err(|name| HomeError::Damaged {
            path: ring_path(&self.dir),
            why: format!("the key {name} in it was changed"),
        })
    }

    fn clear(&self) -> Result<Secrets, HomeError> {
        let lies = |name: &&str| key_path(&self.dir, name).exists();
        let read = |name: &str| {
            let secret = read_key(&key_path(&self.dir, name))?;
            Ok((name.to_owned(), secret))
        };
        NAMES.into_iter().filter(lies).map(read).collect()
    }
}

/// Takes one out that must be there.
pub(super) fn take(
    dir: &Path,
    secrets: &mut Secrets,
    name: &str,
) -> Result<Zeroizing<[u8; 32]>, HomeError> {
    secrets.remove(name).ok_or_else(|| HomeError::Io {
        path: key_path(dir, name),
        source: io::ErrorKind::NotFound.into(),
    })
}

/// The steps that put a keyring in place of the one that is there.
pub(super) fn put_ring(dir: &Path, ring: &Keyring) -> Vec<Step> {
    let bytes = Zeroizing::new(codec::encode(ring));
    put(&ring_path(dir), bytes, 0o600)
}
