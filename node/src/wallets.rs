//! Accounts whose keys lie in the home beside its own: `wallets/NAME.cbor`, mode 0600, each an account key
//! sealed under a passphrase, or in the clear where its owner chose none. A sealed key is in memory only
//! while its wallet is unlocked, and wiped when that ends. Nothing here is ever logged.

use crate::home::{HomeError, make_dir, now, read_private, write};
use larder_keys::{AccountSigner, OpenError, SealedKey, Signer, Stretch};
use larder_types::{AccountId, Millis, Time, codec};
use rand::Rng as _;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

/// The home's own account, which no key file is named after.
pub const HOME: &str = "home";
/// Most wallets of a home: each is in memory, and its account in the index.
const MAX_WALLETS: usize = 1_000;
/// For how long a wallet may be unlocked at most: a day.
pub const LONGEST: Duration = Duration::from_secs(86_400);

/// Why something cannot be done with a wallet.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The name is none.
    #[error("{0:?} is no name for a wallet: take 1 to 32 of a-z, 0-9, - and _, and not {HOME}")]
    Name(String),
    /// There is none of that name.
    #[error("there is no wallet {0}: `larder wallet list` shows those that there are")]
    Missing(String),
    /// There is one of that name.
    #[error("there is a wallet {0} already: choose another name")]
    Exists(String),
    /// There is one of that account.
    #[error("the wallet {0} has this account already")]
    Known(String),
    /// Too many.
    #[error("a home holds at most {MAX_WALLETS} wallets")]
    TooMany,
    /// An empty passphrase.
    #[error("the passphrase is empty: leave it out to have none")]
    Empty,
    /// It has none to be unlocked with.
    #[error("the wallet {0} has no passphrase: it needs no unlocking, and cannot be locked")]
    Open(String),
    /// Its key is sealed.
    #[error(
        "the wallet {0} is locked: unlock it with its passphrase first (`larder wallet unlock {0}`)"
    )]
    Locked(String),
    /// Not its passphrase, or not its file.
    #[error("the wallet {0} does not open: {1}")]
    Shut(String, OpenError),
    /// Its file.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// Whether a wallet can sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// It has no passphrase.
    Always,
    /// Its passphrase is needed.
    Locked,
    /// Until then.
    Until(Time),
}

/// A wallet as others may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wallet {
    /// Its name.
    pub name: String,
    /// Its account.
    pub account: AccountId,
    /// Whether it can sign.
    pub ready: Ready,
}

struct Entry {
    sealed: SealedKey,
    unlocked: Option<Unlocked>,
}

struct Unlocked {
    key: Signer,
    until: Time,
    /// Which unlocking it was: the one that ends must not end a later one.
    turn: u64,
}

#[derive(Default)]
struct All {
    wallets: BTreeMap<String, Entry>,
    turns: u64,
}

/// A home's wallets.
#[derive(Clone)]
pub struct Wallets {
    dir: PathBuf,
    all: Arc<Mutex<All>>,
    turn: Arc<tokio::sync::Mutex<()>>,
    stretching: Arc<Semaphore>,
}

impl Wallets {
    /// Those of the home in `home`, all of them locked.
    ///
    /// # Errors
    /// [`HomeError`] if a file is damaged, or others may read it.
    pub fn open(home: &Path) -> Result<Self, HomeError> {
        let dir = home.join("wallets");
        let mut all = All::default();
        let at = |source| HomeError::Io {
            path: dir.clone(),
            source,
        };
        let files = match fs::read_dir(&dir) {
            Ok(files) => files.collect::<Result<Vec<_>, _>>().map_err(at)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(at(e)),
        };
        for file in files {
            let path = file.path();
            // What a crash left of a file that was being written has another ending.
            if path.extension().is_none_or(|ending| ending != "cbor") {
                continue;
            }
            let damaged = |why: String| HomeError::Damaged {
                path: path.clone(),
                why,
            };
            let name = path.file_stem().and_then(|name| name.to_str());
            let name = name.filter(|name| is_name(name));
            let name = name.ok_or_else(|| damaged("its name is no wallet's".to_owned()))?;
            let bytes = read_private(&path)?;
            let sealed = codec::decode(&bytes).map_err(|e| damaged(e.to_string()))?;
            let unlocked = None;
            all.wallets
                .insert(name.to_owned(), Entry { sealed, unlocked });
        }
        Ok(Self {
            dir,
            all: Arc::new(Mutex::new(all)),
            turn: Arc::default(),
            stretching: Arc::new(Semaphore::new(1)),
        })
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn to choose a nonce and queue what it is for.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Their accounts.
    #[must_use]
    pub fn accounts(&self) -> BTreeSet<AccountId> {
        let all = self.all();
        all.wallets.values().map(|w| w.sealed.account()).collect()
    }

    /// All of them, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Wallet> {
        let all = self.all();
        all.wallets
            .iter()
            .map(|(name, entry)| entry.shown(name))
            .collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// [`WalletError::Missing`].
    pub fn get(&self, name: &str) -> Result<Wallet, WalletError> {
        Ok(self.all().find(name)?.shown(name))
    }

    /// Keeps an account's key under a name, sealed if there is a passphrase.
    ///
    /// # Errors
    /// [`WalletError`]; then nothing is kept.
    pub async fn keep(
        &self,
        name: String,
        key: Signer,
        passphrase: Option<Zeroizing<String>>,
    ) -> Result<Wallet, WalletError> {
        if passphrase.as_ref().is_some_and(|text| text.is_empty()) {
            return Err(WalletError::Empty);
        }
        let wallets = self.clone();
        let one = self.stretch().await?;
        // Argon2id takes its time, and so does the disk.
        let kept = tokio::task::spawn_blocking(move || {
            let _one = one;
            wallets.all().free(&name, &key.account())?;
            let mut salt = [0; 16];
            rand::rng().fill_bytes(&mut salt);
            let passphrase = passphrase.as_ref().map(|text| text.as_str());
            let sealed = SealedKey::seal(&key, passphrase, Stretch::USUAL, salt)
                .map_err(|e| WalletError::Shut(name.clone(), e))?;
            let mut all = wallets.all();
            // Another may have come meanwhile.
            all.free(&name, &key.account())?;
            make_dir(&wallets.dir, 0o700)?;
            let path = wallets.dir.join(format!("{name}.cbor"));
            write(&path, &Zeroizing::new(codec::encode(&sealed)), 0o600)?;
            let unlocked = None;
            let entry = Entry { sealed, unlocked };
            let shown = entry.shown(&name);
            all.wallets.insert(name, entry);
            Ok(shown)
        });
        kept.await.map_err(|_| WalletError::Stopping)?
    }

    /// Has a wallet's key in memory for a while.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn unlock(
        &self,
        name: &str,
        passphrase: Zeroizing<String>,
        how_long: Duration,
    ) -> Result<Wallet, WalletError> {
        let sealed = self.all().find(name)?.sealed.clone();
        if !sealed.is_sealed() {
            return Err(WalletError::Open(name.to_owned()));
        }
        let one = self.stretch().await?;
        let opened = tokio::task::spawn_blocking(move || {
            let _one = one;
            sealed.open(Some(&passphrase))
        });
        let opened = opened.await.map_err(|_| WalletError::Stopping)?;
        let key = opened.map_err(|e| WalletError::Shut(name.to_owned(), e))?;
        let how_long = how_long.min(LONGEST);
        let millis = u64::try_from(how_long.as_millis()).unwrap_or(u64::MAX);
        let until = now().after(Millis(millis));
        let mut all = self.all();
        all.turns += 1;
        let turn = all.turns;
        let entry = all.find_mut(name)?;
        entry.unlocked = Some(Unlocked { key, until, turn });
        let shown = entry.shown(name);
        drop(all);
        let (wallets, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(how_long).await;
            wallets.end(&name, turn);
        });
        Ok(shown)
    }

    /// The right to stretch a passphrase: one at a time, as each takes 64 MiB and a thread.
    async fn stretch(&self) -> Result<OwnedSemaphorePermit, WalletError> {
        let one = Arc::clone(&self.stretching).acquire_owned().await;
        one.map_err(|_| WalletError::Stopping)
    }

    fn end(&self, name: &str, turn: u64) {
        if let Ok(entry) = self.all().find_mut(name) {
            entry.unlocked.take_if(|unlocked| unlocked.turn == turn);
        }
    }

    /// Wipes a wallet's key from memory.
    ///
    /// # Errors
    /// [`WalletError`] if there is none, or it has no passphrase.
    pub fn lock(&self, name: &str) -> Result<Wallet, WalletError> {
        let mut all = self.all();
        let entry = all.find_mut(name)?;
        if !entry.sealed.is_sealed() {
            return Err(WalletError::Open(name.to_owned()));
        }
        entry.unlocked = None;
        Ok(entry.shown(name))
    }

    /// What signs for a wallet's account.
    ///
    /// # Errors
    /// [`WalletError::Locked`] if its passphrase is needed.
    pub fn signer(&self, name: &str) -> Result<AccountSigner, WalletError> {
        let all = self.all();
        let entry = all.find(name)?;
        let key = match (&entry.unlocked, entry.sealed.is_sealed()) {
            (Some(unlocked), _) if now() < unlocked.until => unlocked.key.clone(),
            (Some(_) | None, true) => return Err(WalletError::Locked(name.to_owned())),
            (Some(_) | None, false) => {
                let opened = entry.sealed.open(None);
                opened.map_err(|e| WalletError::Shut(name.to_owned(), e))?
            }
        };
        Ok(AccountSigner::own(key))
    }
}

impl All {
    fn find(&self, name: &str) -> Result<&Entry, WalletError> {
        let missing = || WalletError::Missing(name.to_owned());
        self.wallets.get(name).ok_or_else(missing)
    }

    fn find_mut(&mut self, name: &str) -> Result<&mut Entry, WalletError> {
        let missing = || WalletError::Missing(name.to_owned());
        self.wallets.get_mut(name).ok_or_else(missing)
    }

    /// Whether a wallet may be made.
    fn free(&self, name: &str, account: &AccountId) -> Result<(), WalletError> {
        if !is_name(name) {
            return Err(WalletError::Name(name.to_owned()));
        }
        if self.wallets.contains_key(name) {
            return Err(WalletError::Exists(name.to_owned()));
        }
        let same = |(_, entry): &(&String, &Entry)| entry.sealed.account() == *account;
        match self.wallets.iter().find(same) {
            Some((known, _)) => Err(WalletError::Known(known.clone())),
            None if self.wallets.len() >= MAX_WALLETS => Err(WalletError::TooMany),
            None => Ok(()),
        }
    }
}

impl Entry {
    fn shown(&self, name: &str) -> Wallet {
        let ready = match &self.unlocked {
            Some(unlocked) if now() < unlocked.until => Ready::Until(unlocked.until),
            Some(_) | None if self.sealed.is_sealed() => Ready::Locked,
            Some(_) | None => Ready::Always,
        };
        Wallet {
            name: name.to_owned(),
            account: self.sealed.account(),
            ready,
        }
    }
}

fn is_name(name: &str) -> bool {
    name != HOME && larder_keys::is_name(name)
}

impl std::fmt::Debug for Wallets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wallets({}, secret)", self.dir.display())
    }
}

#[cfg(test)]
#[path = "wallets/tests.rs"]
mod tests;
