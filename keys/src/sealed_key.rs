//! An account key that rests in a file: under a passphrase, or in the clear where its owner chose none.
//! The passphrase is stretched by Argon2id, whose parameters and salt lie beside what it seals; the seal is
//! AES-256-GCM over the key, bound to the account. `docs/protocol.md` §3.1 *Wallet files*.

use crate::Signer;
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use larder_types::AccountId;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of a key.
const KEY: usize = 32;
/// Every salt is random, so every sealing key is used once, and its nonce may be the same.
const NONCE: [u8; 12] = [0; 12];

/// How costly it is to try a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stretch {
    /// Memory, KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Stretch {
    /// For new files: RFC 9106's second choice, about 0.15 s of one core.
    pub const USUAL: Self = Self {
        memory: 64 << 10,
        passes: 3,
        lanes: 1,
    };
    /// What a file may ask for at most, so that a file from elsewhere does not exhaust the machine.
    pub const MOST: Self = Self {
        memory: 1 << 20,
        passes: 64,
        lanes: 16,
    };

    const fn is_bearable(self) -> bool {
        self.memory <= Self::MOST.memory
            && self.passes <= Self::MOST.passes
            && self.lanes <= Self::MOST.lanes
    }
}

/// What keeps a key from whoever reads its file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Lock {
    /// Only the file's mode: the key itself.
    None(#[serde(with = "serde_bytes")] [u8; KEY]),
    /// A passphrase.
    Passphrase {
        stretch: Stretch,
        #[serde(with = "serde_bytes")]
        salt: [u8; 16],
        #[serde(with = "serde_bytes")]
        sealed: Vec<u8>,
    },
}

/// An account and its key at rest.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedKey {
    /// The account, which anybody may know.
    account: AccountId,
    lock: Lock,
}

/// Why a key does not come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is sealed, and no passphrase is at hand.
    #[error("a passphrase is needed")]
    Needed,
    /// Not this passphrase; or the file was changed, which cannot be told apart.
    #[error("the passphrase is wrong")]
    Wrong,
    /// The file asks for more than [`Stretch::MOST`], or for what Argon2id does not do.
    #[error("the file asks for more memory or time than is sound")]
    Costly,
    /// The key is not that of the account that the file names.
    #[error("the file holds another account's key")]
    Other,
}

impl SealedKey {
    /// Seals an account's key under a passphrase; without one it lies in the clear.
    ///
    /// # Errors
    /// [`OpenError::Costly`] if `stretch` is beyond what [`SealedKey::open`] takes.
    ///
    /// # Panics
    /// Never: 32 bytes can be sealed.
    pub fn seal(
        key: &Signer,
        passphrase: Option<&str>,
        stretch: Stretch,
        salt: [u8; 16],
    ) -> Result<Self, OpenError> {
        let account = key.account();
        let seed = key.to_seed();
        let Some(passphrase) = passphrase else {
            let lock = Lock::None(*seed);
            return Ok(Self { account, lock });
        };
        let sealing = stretched(passphrase, stretch, &salt)?;
        // With room for the tag: a vector that grows would leave the seed where it was before.
        let mut sealed = Vec::with_capacity(seed.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&*seed);
        sealing
            .seal_in_place_append_tag(nonce(), Aad::from(account.0), &mut sealed)
            .expect("32 bytes can be sealed");
        let lock = Lock::Passphrase {
            stretch,
            salt,
            sealed,
        };
        Ok(Self { account, lock })
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// Whether it takes a passphrase.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        matches!(self.lock, Lock::Passphrase { .. })
    }

    /// The key.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, passphrase: Option<&str>) -> Result<Signer, OpenError> {
        let seed = match (&self.lock, passphrase) {
            (Lock::None(seed), _) => Zeroizing::new(*seed),
            (Lock::Passphrase { .. }, None) => return Err(OpenError::Needed),
            (
                Lock::Passphrase {
                    stretch,
                    salt,
                    sealed,
                },
                Some(passphrase),
            ) => {
                let opening = stretched(passphrase, *stretch, salt)?;
                let mut sealed = Zeroizing::new(sealed.clone());
                let opened = opening
                    .open_in_place(nonce(), Aad::from(self.account.0), &mut sealed)
                    .map_err(|_| OpenError::Wrong)?;
                let seed = <[u8; KEY]>::try_from(&*opened).map_err(|_| OpenError::Wrong)?;
                Zeroizing::new(seed)
            }
        };
        let key = Signer::from_seed(&seed);
        match key.account() == self.account {
            true => Ok(key),
            false => Err(OpenError::Other),
        }
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key(NONCE)
}

/// The key that a passphrase stands for.
fn stretched(passphrase: &str, stretch: Stretch, salt: &[u8]) -> Result<LessSafeKey, OpenError> {
    if !stretch.is_bearable() {
        return Err(OpenError::Costly);
    }
    let Stretch {
        memory,
        passes,
        lanes,
    } = stretch;
    let params = Params::new(memory, passes, lanes, Some(KEY)).map_err(|_| OpenError::Costly)?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut key = Zeroizing::new([0; KEY]);
    argon
        .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
        .map_err(|_| OpenError::Costly)?;
    let key = UnboundKey::new(&AES_256_GCM, &*key).map_err(|_| OpenError::Costly)?;
    Ok(LessSafeKey::new(key))
}

impl fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedKey({}, secret)", self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_types::codec;

    /// As cheap as Argon2id goes.
    const CHEAP: Stretch = Stretch {
        memory: 8,
        passes: 1,
        lanes: 1,
    };

    fn key() -> Signer {
        Signer::from_seed(&[7; 32])
    }

    fn sealed(passphrase: Option<&str>) -> SealedKey {
        SealedKey::seal(&key(), passphrase, CHEAP, [3; 16]).unwrap()
    }

    #[test]
    fn the_passphrase_and_nothing_else_opens_a_key() {
        let file = sealed(Some("open sesame"));
        let read: SealedKey = codec::decode(&codec::encode(&file)).unwrap();
        assert_eq!(read, file);
        assert!(read.is_sealed() && read.account() == key().account());
        let opened = read.open(Some("open sesame")).unwrap();
        assert_eq!(opened.public(), key().public());
        assert_eq!(read.open(None).unwrap_err(), OpenError::Needed);
        for wrong in ["", "open sesamE", "open sesame "] {
            assert_eq!(read.open(Some(wrong)).unwrap_err(), OpenError::Wrong);
        }
        let secret = key().to_seed();
        let holds = |bytes: &[u8]| bytes.windows(32).any(|w| w == &secret[..]);
        assert!(!holds(&codec::encode(&file)));
        // Without a passphrase it lies there as it is.
        let clear = sealed(None);
        assert!(!clear.is_sealed() && holds(&codec::encode(&clear)));
        assert_eq!(clear.open(None).unwrap().public(), key().public());
        for shown in [format!("{file:?}"), format!("{clear:?}")] {
            assert!(
                shown.ends_with(", secret)") && !shown.contains("7, 7"),
                "{shown}"
            );
        }
    }

    #[test]
    fn a_file_that_was_changed_gives_no_key() {
        let bytes = codec::encode(&sealed(Some("p")));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            if let Ok(file) = codec::decode::<SealedKey>(&changed) {
                assert!(file.open(Some("p")).is_err(), "byte {at}");
            }
        }
        let mut other = sealed(None);
        other.account = Signer::from_seed(&[8; 32]).account();
        assert_eq!(other.open(None).unwrap_err(), OpenError::Other);
    }

    #[test]
    fn a_file_cannot_ask_for_any_amount_of_memory() {
        let greedy = Stretch {
            memory: Stretch::MOST.memory + 1,
            ..CHEAP
        };
        let refused = SealedKey::seal(&key(), Some("p"), greedy, [3; 16]);
        assert_eq!(refused.unwrap_err(), OpenError::Costly);
        let Lock::Passphrase { salt, sealed, .. } = sealed(Some("p")).lock else {
            panic!("it is sealed");
        };
        let file = SealedKey {
            account: key().account(),
            lock: Lock::Passphrase {
                stretch: greedy,
                salt,
                sealed,
            },
        };
        assert_eq!(file.open(Some("p")).unwrap_err(), OpenError::Costly);
    }

    /// A change here, and no wallet that exists opens again.
    #[test]
    fn the_format_stays_what_it_is() {
        let file = sealed(Some("open sesame"));
        let hash = blake3::hash(&codec::encode(&file)).to_hex();
        let kept = include_str!("../vectors/sealed-key.txt").trim();
        assert_eq!(hash.as_str(), kept);
    }
}
