//! A home's sharing key, `keys/sharing.key`, and the account's word that it is its own,
//! `keys/sharing.cert`. Both come from the words, at `init`, at a recovery, or once for a home that is
//! older than shares. `docs/protocol.md` §3.13.

use super::{HomeError, genesis_hash, key_path, read_config, read_delegation, read_key, write};
use larder_keys::{Seed, SharingCert, SharingKey};
use larder_types::{GenesisHash, codec};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn cert_path(dir: &Path) -> PathBuf {
    dir.join("keys/sharing.cert")
}

/// Writes both into the home `dir`.
pub(super) fn write_sharing(dir: &Path, seed: &Seed, net: &GenesisHash) -> Result<(), HomeError> {
    let key = seed.sharing();
    let cert = SharingCert::sign(&seed.account(), &key, net);
    write(&key_path(dir, "sharing"), key.secret(), 0o600)?;
    // Last: with it the key counts.
    write(&cert_path(dir), &codec::encode(&cert), 0o600)
}

/// The sharing key of the home `dir`; none in homes that are older than shares.
///
/// # Errors
/// If a file is damaged.
pub fn read_sharing(dir: &Path) -> Result<Option<(SharingKey, SharingCert)>, HomeError> {
    let path = cert_path(dir);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(HomeError::Io { path, source }),
    };
    let cert: SharingCert = codec::decode(&bytes).map_err(|e| HomeError::Damaged {
        path: path.clone(),
        why: e.to_string(),
    })?;
    let key = SharingKey::from_secret(&*read_key(&key_path(dir, "sharing"))?);
    if key.public() != cert.sharing_pk {
        let why = "it is of another sharing key".to_owned();
        return Err(HomeError::Damaged { path, why });
    }
    Ok(Some((key, cert)))
}

/// Gives a home that is older than shares its sharing key.
///
/// # Errors
/// [`HomeError::Other`] if the words are another account's.
pub fn give_sharing(dir: &Path, seed: &Seed) -> Result<SharingCert, HomeError> {
    let net = genesis_hash(dir, &read_config(dir)?)?;
    if read_delegation(dir)?.account != seed.account().account() {
        return Err(HomeError::Other(dir.to_owned()));
    }
    write_sharing(dir, seed, &net)?;
    Ok(SharingCert::sign(&seed.account(), &seed.sharing(), &net))
}
