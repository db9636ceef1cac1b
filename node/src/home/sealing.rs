//! Giving a home keys, and taking them. Each change is one rename of `keys/sealed.cbor`, or its removal:
//! killed at any point, the home opens as before or as after, and never lies open because of it. Nothing here
//! runs beside a node on the same home. ADR 19.

use super::safe::{NAMES, Safe, put_ring, read_ring, ring_path};
use super::steps::{Step, carry_out, put, sync};
use super::{HomeError, key_path, lock, now, read_config, read_delegation};
use larder_keys::{HomeKey, Keyring, NewKey, Stretch};
use std::path::Path;
use zeroize::Zeroizing;

/// Adds a key to the home in `dir`, the first of which seals it, and says its name; without a name, the next
/// number.
///
/// # Errors
/// [`HomeError`]; then the keys are as they were.
pub fn add_key(
    dir: &Path,
    current: Option<&str>,
    (name, passphrase): (Option<&str>, &str),
) -> Result<String, HomeError> {
    let _lock = hold(dir)?;
    let (steps, name) = plan_add(dir, current, (name, passphrase), Stretch::USUAL)?;
    carry_out(&steps)?;
    Ok(name)
}

/// Gives the key that `current` is of another passphrase, and says its name.
///
/// # Errors
/// [`HomeError`]; then the keys are as they were.
pub fn change_passphrase(dir: &Path, current: &str, next: &str) -> Result<String, HomeError> {
    let _lock = hold(dir)?;
    let (steps, name) = plan_change(dir, current, next, Stretch::USUAL)?;
    carry_out(&steps)?;
    Ok(name)
}

/// Removes a key. The last one goes only if the home is to lie open, and then all secrets are in the clear
/// again.
///
/// # Errors
/// [`HomeError`]; then the keys are as they were.
pub fn remove_key(dir: &Path, current: &str, name: &str, unseal: bool) -> Result<(), HomeError> {
    let _lock = hold(dir)?;
    carry_out(&plan_remove(dir, current, name, unseal)?)
}

/// Holds a home: what a running node has read must not change below it.
fn hold(dir: &Path) -> Result<std::fs::File, HomeError> {
    read_config(dir)?;
    lock(dir)
}

fn plan_add(
    dir: &Path,
    current: Option<&str>,
    (name, passphrase): (Option<&str>, &str),
    stretch: Stretch,
) -> Result<(Vec<Step>, String), HomeError> {
    let safe = Safe::open(dir, current)?;
    safe.sweep()?;
    let ring = read_ring(dir)?;
    let name = match (name, &ring) {
        (Some(name), _) => name.to_owned(),
        (None, Some(ring)) => ring.free_name(),
        (None, None) => "key-1".to_owned(),
    };
    let new = new(&name, passphrase, stretch);
    let steps = match ring {
        Some(mut ring) => {
            let home = key(dir, &ring, current.unwrap_or_default())?.0;
            ring.add(&home, new, &mut rand::rng())?;
            put_ring(dir, &ring)
        }
        None => plan_seal(dir, &safe, new)?,
    };
    Ok((steps, name))
}

/// First all of it is sealed, durably; only then does what lies in the clear go.
fn plan_seal(dir: &Path, safe: &Safe, first: NewKey<'_>) -> Result<Vec<Step>, HomeError> {
    let account = read_delegation(dir)?.account;
    let secrets = safe.read()?;
    let ring = Keyring::seal(account, &secrets, first, &mut rand::rng())?;
    let clear = NAMES.into_iter().filter(|name| secrets.contains_key(*name));
    let wipes = clear.map(|name| Step::Wipe(key_path(dir, name)));
    let mut steps = put_ring(dir, &ring);
    steps.extend(wipes);
    steps.push(sync(&ring_path(dir)));
    Ok(steps)
}

fn plan_change(
    dir: &Path,
    current: &str,
    next: &str,
    stretch: Stretch,
) -> Result<(Vec<Step>, String), HomeError> {
    let mut ring = sealed(dir)?;
    let (home, name) = key(dir, &ring, current)?;
    ring.change(&home, new(&name, next, stretch), &mut rand::rng())?;
    Ok((put_ring(dir, &ring), name))
}

fn plan_remove(
    dir: &Path,
    current: &str,
    name: &str,
    unseal: bool,
) -> Result<Vec<Step>, HomeError> {
    let mut ring = sealed(dir)?;
    key(dir, &ring, current)?;
    if !unseal {
        ring.remove(name)?;
        return Ok(put_ring(dir, &ring));
    }
    ring.is_last(name)?;
    plan_unseal(dir, &Safe::open(dir, Some(current))?)
}

/// First all of it lies in the clear, durably; with the sealed file gone, that is what counts.
fn plan_unseal(dir: &Path, safe: &Safe) -> Result<Vec<Step>, HomeError> {
    let mut steps = Vec::new();
    for (name, secret) in safe.read()? {
        let bytes = Zeroizing::new(secret.to_vec());
        steps.extend(put(&key_path(dir, &name), bytes, 0o600));
    }
    steps.push(Step::Remove(ring_path(dir)));
    steps.push(sync(&ring_path(dir)));
    Ok(steps)
}

fn sealed(dir: &Path) -> Result<Keyring, HomeError> {
    read_ring(dir)?.ok_or_else(|| HomeError::Unsealed(dir.to_owned()))
}

fn key(dir: &Path, ring: &Keyring, passphrase: &str) -> Result<(HomeKey, String), HomeError> {
    let opened = ring.open(passphrase);
    let (home, name) = opened.map_err(|e| HomeError::Shut(dir.to_owned(), e))?;
    Ok((home, name.to_owned()))
}

fn new<'a>(name: &'a str, passphrase: &'a str, stretch: Stretch) -> NewKey<'a> {
    NewKey {
        name,
        passphrase,
        made: now(),
        stretch,
    }
}

#[cfg(test)]
mod tests;
