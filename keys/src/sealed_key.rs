//! An account key that rests in a file: under a passphrase, or in the clear where its owner chose none. The
//! seal is bound to the account. `docs/protocol.md` §3.1 *Wallet files*.

use crate::Signer;
use crate::passphrase::{KEY, OpenError, Stretch, Wrapped};
use larder_types::AccountId;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// What keeps a key from whoever reads its file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Lock {
    /// Only the file's mode: the key itself.
    None(#[serde(with = "serde_bytes")] [u8; KEY]),
    /// A passphrase.
    Passphrase(Wrapped),
}

/// An account and its key at rest.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedKey {
    /// The account, which anybody may know.
    account: AccountId,
    lock: Lock,
}

impl SealedKey {
    /// Seals an account's key under a passphrase; without one it lies in the clear.
    ///
    /// # Errors
    /// [`OpenError::Costly`] if `stretch` is beyond what [`SealedKey::open`] takes.
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
        let wrapped = Wrapped::seal(&seed, passphrase, (stretch, salt), &account.0)?;
        let lock = Lock::Passphrase(wrapped);
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
        matches!(self.lock, Lock::Passphrase(_))
    }

    /// The key.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, passphrase: Option<&str>) -> Result<Signer, OpenError> {
        let seed = match (&self.lock, passphrase) {
            (Lock::None(seed), _) => Zeroizing::new(*seed),
            (Lock::Passphrase(_), None) => return Err(OpenError::Needed),
            (Lock::Passphrase(wrapped), Some(passphrase)) => {
                wrapped.open(passphrase, &self.account.0)?
            }
        };
        let key = Signer::from_seed(&seed);
        match key.account() == self.account {
            true => Ok(key),
            false => Err(OpenError::Other),
        }
    }
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
        let mut file = sealed(Some("p"));
        let Lock::Passphrase(wrapped) = &mut file.lock else {
            panic!("it is sealed");
        };
        wrapped.stretch = greedy;
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
