//! A home's secrets at rest, under a random home key, and the keys that open it: each is a passphrase that
//! wraps the home key, so that one can come, go or change without the others. It is one value, kept in one
//! file: there is never a half of a change. `docs/protocol.md` §3.1 *Sealed homes*.

use crate::passphrase::{KEY, OpenError, Stretch, Wrapped, close, disclose, is_name};
use larder_types::{AccountId, Time};
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// Most keys of a home: each wrong passphrase is tried on all of them.
const MAX_KEYS: usize = 16;

/// What a home keeps secret, by name.
pub type Secrets = BTreeMap<String, Zeroizing<[u8; KEY]>>;

/// What a home's secrets are sealed under; each of its keys wraps it.
#[derive(Clone)]
pub struct HomeKey(Zeroizing<[u8; KEY]>);

/// A key to be.
#[derive(Clone, Copy)]
pub struct NewKey<'a> {
    /// What its owner calls it.
    pub name: &'a str,
    /// Its passphrase.
    pub passphrase: &'a str,
    /// When it is made.
    pub made: Time,
    /// How costly it is to try a passphrase.
    pub stretch: Stretch,
}

/// A key as anybody may see it who has the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opener<'a> {
    /// What its owner calls it.
    pub name: &'a str,
    /// When it, or its passphrase, was made.
    pub made: Time,
    /// How costly it is to try a passphrase.
    pub stretch: Stretch,
}

/// Why the keys of a home stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The name is none.
    #[error("{0:?} is no name for a key: take 1 to 32 of a-z, 0-9, - and _")]
    Name(String),
    /// There is one of that name.
    #[error("there is a key {0} already: choose another name")]
    Exists(String),
    /// There is none of that name.
    #[error("there is no key {0}: `larder key list` shows those that there are")]
    Missing(String),
    /// Too many.
    #[error("a home has at most {MAX_KEYS} keys: remove one first")]
    TooMany,
    /// An empty passphrase.
    #[error(
        "the passphrase is empty: name a file with it by --new-passphrase-file, or type one in a terminal"
    )]
    Empty,
    /// Another key has it: which of the two it opened could not be said.
    #[error("the key {0} has this passphrase: choose another")]
    Known(String),
    /// Nothing would open the home any more.
    #[error("the key {0} is the last one: `--unseal` removes it and leaves the home unsealed")]
    Last(String),
    /// The home is to lie open, and others still have keys.
    #[error("others than {0} open this home too: remove them first, or leave `--unseal` out")]
    NotLast(String),
    /// A passphrase does not open it, or cannot be stretched.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// A key at rest.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    name: String,
    made: Time,
    home: Wrapped,
}

/// A secret at rest.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    #[serde(with = "serde_bytes")]
    nonce: [u8; 12],
    #[serde(with = "serde_bytes")]
    sealed: Vec<u8>,
}

/// A home's secrets, sealed, and the keys that open it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyring {
    /// Whose home it is, which anybody may know.
    account: AccountId,
    keys: Vec<Key>,
    secrets: BTreeMap<String, Sealed>,
}

impl Keyring {
    /// Seals a home's secrets under a new home key, with its first key.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn seal(
        account: AccountId,
        secrets: &Secrets,
        first: NewKey<'_>,
        rng: &mut dyn Rng,
    ) -> Result<Self, KeyringError> {
        let mut home = HomeKey(Zeroizing::new([0; KEY]));
        rng.fill_bytes(&mut *home.0);
        let mut sealed = Self {
            account,
            keys: Vec::new(),
            secrets: BTreeMap::new(),
        };
        for (name, secret) in secrets {
            sealed.keep(&home, name, secret, rng);
        }
        sealed.add(&home, first, rng)?;
        Ok(sealed)
    }

    /// Whose home it is.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The keys, in the order in which they came.
    pub fn keys(&self) -> impl Iterator<Item = Opener<'_>> {
        self.keys.iter().map(|key| Opener {
            name: &key.name,
            made: key.made,
            stretch: key.home.stretch,
        })
    }

    /// The home key, and the name of the key that a passphrase is of.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, passphrase: &str) -> Result<(HomeKey, &str), OpenError> {
        for key in &self.keys {
            match key.home.open(passphrase, &self.bound(&key.name, key.made)) {
                Ok(home) => return Ok((HomeKey(home), &key.name)),
                Err(OpenError::Wrong) => {}
                Err(e @ (OpenError::Needed | OpenError::Costly | OpenError::Other)) => {
                    return Err(e);
                }
            }
        }
        Err(OpenError::Wrong)
    }

    /// The secrets.
    ///
    /// # Errors
    /// The name of one that was changed, or is under another home key.
    pub fn secrets(&self, home: &HomeKey) -> Result<Secrets, String> {
        let open = |(name, sealed): (&String, &Sealed)| {
            let bound = self.bound(name, Time(0));
            let opened = disclose(&home.0, &sealed.nonce, &bound, &sealed.sealed);
            let opened = opened.ok_or_else(|| name.clone())?;
            Ok((name.clone(), opened))
        };
        self.secrets.iter().map(open).collect()
    }

    /// Keeps a secret under a name, in place of what was there.
    pub fn keep(&mut self, home: &HomeKey, name: &str, secret: &[u8; KEY], rng: &mut dyn Rng) {
        let mut nonce = [0; 12];
        rng.fill_bytes(&mut nonce);
        let sealed = close(&home.0, &nonce, &self.bound(name, Time(0)), secret);
        self.secrets
            .insert(name.to_owned(), Sealed { nonce, sealed });
    }

    /// Adds a key.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn add(
        &mut self,
        home: &HomeKey,
        new: NewKey<'_>,
        rng: &mut dyn Rng,
    ) -> Result<(), KeyringError> {
        if !is_name(new.name) {
            return Err(KeyringError::Name(new.name.to_owned()));
        }
        if self.at(new.name).is_ok() {
            return Err(KeyringError::Exists(new.name.to_owned()));
        }
        if self.keys.len() >= MAX_KEYS {
            return Err(KeyringError::TooMany);
        }
        let key = self.wrap(home, new, rng)?;
        self.keys.push(key);
        Ok(())
    }

    /// Gives the key of that name another passphrase.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn change(
        &mut self,
        home: &HomeKey,
        new: NewKey<'_>,
        rng: &mut dyn Rng,
    ) -> Result<(), KeyringError> {
        let at = self.at(new.name)?;
        let key = self.wrap(home, new, rng)?;
        self.keys[at] = key;
        Ok(())
    }

    /// Removes a key, never the last.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn remove(&mut self, name: &str) -> Result<(), KeyringError> {
        let at = self.at(name)?;
        if self.keys.len() == 1 {
            return Err(KeyringError::Last(name.to_owned()));
        }
        self.keys.remove(at);
        Ok(())
    }

    /// Whether the key of that name is the only one, without which the home lies open.
    ///
    /// # Errors
    /// [`KeyringError`] if there is none, or it is not the only one.
    pub fn is_last(&self, name: &str) -> Result<(), KeyringError> {
        self.at(name)?;
        match self.keys.len() {
            1 => Ok(()),
            _ => Err(KeyringError::NotLast(name.to_owned())),
        }
    }

    /// A name that no key has: `key-1`, `key-2` and on.
    #[must_use]
    pub fn free_name(&self) -> String {
        let names = (1..).map(|number| format!("key-{number}"));
        let mut free = names.filter(|name| self.at(name).is_err());
        free.next().unwrap_or_default()
    }

    fn at(&self, name: &str) -> Result<usize, KeyringError> {
        let at = self.keys.iter().position(|key| key.name == name);
        at.ok_or_else(|| KeyringError::Missing(name.to_owned()))
    }

    fn wrap(
        &self,
        home: &HomeKey,
        new: NewKey<'_>,
        rng: &mut dyn Rng,
    ) -> Result<Key, KeyringError> {
        if new.passphrase.is_empty() {
            return Err(KeyringError::Empty);
        }
        match self.open(new.passphrase) {
            Ok((_, name)) => return Err(KeyringError::Known(name.to_owned())),
            Err(OpenError::Wrong) => {}
            Err(e @ (OpenError::Needed | OpenError::Costly | OpenError::Other)) => {
                return Err(e.into());
            }
        }
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        let bound = self.bound(new.name, new.made);
        Ok(Key {
            name: new.name.to_owned(),
            made: new.made,
            home: Wrapped::seal(&home.0, new.passphrase, (new.stretch, salt), &bound)?,
        })
    }

    /// What a seal holds for: the account, the time and the name. A file pieced together from others does not
    /// open.
    fn bound(&self, name: &str, made: Time) -> Vec<u8> {
        [&self.account.0[..], &made.0.to_be_bytes(), name.as_bytes()].concat()
    }
}

impl fmt::Debug for HomeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HomeKey(secret)")
    }
}

impl fmt::Debug for NewKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey({}, secret)", self.name)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({}, {} keys)", self.account, self.keys.len())
    }
}

#[cfg(test)]
#[path = "keyring/tests.rs"]
mod tests;
