//! A home's sharing key, `keys/sharing.key`, and the account's word that it is its own,
//! `keys/sharing.cert`. Both come from the words, at `init`, at a recovery, or once for a home that is
//! older than shares. `docs/protocol.md` §3.13.

use super::{HomeError, Safe, genesis_hash, lock, read_config, read_delegation, write};
use larder_keys::{Seed, SharingCert, SharingKey};
use larder_types::{GenesisHash, codec};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn cert_path(dir: &Path) -> PathBuf {
    dir.join("keys/sharing.cert")
}

/// Writes both into the home `dir`.
pub(super) fn write_sharing(
    dir: &Path,
    safe: &Safe,
    seed: &Seed,
    net: &GenesisHash,
) -> Result<(), HomeError> {
    let key = seed.sharing();
    let cert = SharingCert::sign(&seed.account(), &key, net);
    safe.keep("sharing", key.secret())?;
    // Last: with it the key counts.
    write(&cert_path(dir), &codec::encode(&cert), 0o600)
}

/// The account's word on the sharing key of the home `dir`; none in homes that are older than shares.
///
/// # Errors
/// If the file is damaged.
pub fn read_sharing_cert(dir: &Path) -> Result<Option<SharingCert>, HomeError> {
    let path = cert_path(dir);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(HomeError::Io { path, source }),
    };
    codec::decode(&bytes)
        .map(Some)
        .map_err(|e| HomeError::Damaged {
            path,
            why: e.to_string(),
        })
}

/// The same with the key itself, out of the home's opened safe.
///
/// # Errors
/// If a file is damaged.
pub fn read_sharing(
    dir: &Path,
    safe: &Safe,
) -> Result<Option<(SharingKey, SharingCert)>, HomeError> {
    let Some(cert) = read_sharing_cert(dir)? else {
        return Ok(None);
    };
    let key = SharingKey::from_secret(&*safe.need("sharing")?);
    if key.public() != cert.sharing_pk {
        let (path, why) = (cert_path(dir), "it is of another sharing key".to_owned());
        return Err(HomeError::Damaged { path, why });
    }
    Ok(Some((key, cert)))
}

/// Gives a home that is older than shares its sharing key. Beside a running node only where the home lies in
/// the clear: a sealed one has one file for all of its secrets.
///
/// # Errors
/// [`HomeError::Other`] if the words are another account's.
pub fn give_sharing(dir: &Path, safe: &Safe, seed: &Seed) -> Result<SharingCert, HomeError> {
    let net = genesis_hash(dir, &read_config(dir)?)?;
    if read_delegation(dir)?.account != seed.account().account() {
        return Err(HomeError::Other(dir.to_owned()));
    }
    let _lock = safe.is_sealed().then(|| lock(dir)).transpose()?;
    write_sharing(dir, safe, seed, &net)?;
    Ok(SharingCert::sign(&seed.account(), &seed.sharing(), &net))
}
