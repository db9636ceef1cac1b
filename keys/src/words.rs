//! Twenty-four BIP-39 words and the seed they stand for. The words never rest on a device; the
//! seed exists only while keys are derived. `docs/protocol.md` §3.1.

use crate::{SharingKey, Signer, VaultKeys};
use rand_core::Rng;
use std::fmt;
use zeroize::Zeroizing;

/// Twenty-four words with a good checksum. Printing them takes [`Words::reveal`].
#[derive(Clone)]
pub struct Words(bip39::Mnemonic);

/// The 64 bytes that BIP-39 makes of the words (no passphrase).
#[derive(Clone)]
pub struct Seed(Zeroizing<[u8; 64]>);

/// Why a text is not a set of words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// Not twenty-four of them.
    #[error("expected 24 words, got {0}")]
    Count(usize),
    /// Word `0` (counted from 1) is not in the list.
    #[error("word {0} is not in the BIP-39 list")]
    Unknown(usize),
    /// All words are known, but they do not belong together.
    #[error("the words' checksum does not match: one is wrong or out of order")]
    Checksum,
}

impl Words {
    /// Fresh words from `rng`, which must be a cryptographic source.
    ///
    /// # Panics
    /// Never: 32 bytes of entropy make 24 words.
    #[must_use]
    pub fn generate(rng: &mut dyn Rng) -> Self {
        let mut entropy = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *entropy);
        Self(bip39::Mnemonic::from_entropy(&*entropy).expect("32 bytes make 24 words"))
    }

    /// Reads words that a person typed: any case, any white space.
    ///
    /// # Errors
    /// [`WordsError`] says what is wrong with them, without repeating a word.
    pub fn parse(text: &str) -> Result<Self, WordsError> {
        let text = Zeroizing::new(text.to_lowercase());
        let count = text.split_whitespace().count();
        if count != 24 {
            return Err(WordsError::Count(count));
        }
        let line = Zeroizing::new(text.split_whitespace().collect::<Vec<_>>().join(" "));
        bip39::Mnemonic::parse_in_normalized(bip39::Language::English, &line)
            .map(Self)
            .map_err(|e| match e {
                bip39::Error::UnknownWord(at) => WordsError::Unknown(at + 1),
                bip39::Error::BadWordCount(_)
                | bip39::Error::BadEntropyBitCount(_)
                | bip39::Error::InvalidChecksum
                | bip39::Error::AmbiguousLanguages(_) => WordsError::Checksum,
            })
    }

    /// The words as one line, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_string())
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> Seed {
        Seed(Zeroizing::new(self.0.to_seed("")))
    }
}

impl Seed {
    fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(
            &format!("larder v1 key {label}"),
            &*self.0,
        ))
    }

    /// The account key: contracts and ledger transactions.
    #[must_use]
    pub fn account(&self) -> Signer {
        Signer::from_seed(&self.derive("account"))
    }

    /// The admin key: device certificates, revocation, anything that drops data.
    #[must_use]
    pub fn admin(&self) -> Signer {
        Signer::from_seed(&self.derive("admin"))
    }

    /// The rendezvous tag: what the name of the account's heads is derived from. It rests on the
    /// device beside the vault root and is shown to nobody. `docs/protocol.md` §3.9.
    #[must_use]
    pub fn rendezvous(&self) -> Zeroizing<[u8; 32]> {
        self.derive("rendezvous")
    }

    /// The sharing key: what others share with the account is sealed to it. It rests on the device
    /// beside the vault root. `docs/protocol.md` §3.13.
    #[must_use]
    pub fn sharing(&self) -> SharingKey {
        SharingKey::from_secret(&self.derive("sharing"))
    }

    /// The vault keys of `vault_epoch` (0 at first; `device revoke` increments it).
    #[must_use]
    pub fn vault(&self, vault_epoch: u32) -> VaultKeys {
        VaultKeys::from_root(&self.derive(&format!("vault {vault_epoch}")))
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(secret)")
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BIP-39's own vector: 32 zero bytes.
    const ZERO: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon art";

    #[test]
    fn words_parse_as_typed_and_give_the_same_keys() {
        let words = Words::parse(ZERO).unwrap();
        let shouted = Words::parse(&format!("\n {} \t", ZERO.to_uppercase())).unwrap();
        assert_eq!(
            words.seed().account().public(),
            shouted.seed().account().public()
        );
        assert_eq!(
            Words::parse(&words.reveal()).unwrap().reveal(),
            words.reveal()
        );
    }

    #[test]
    fn keys_differ_by_label_and_stay_what_they_are() {
        let seed = Words::parse(ZERO).unwrap().seed();
        let all = [
            seed.account().public(),
            seed.admin().public(),
            *seed.vault(0).blob_id_key(),
            *seed.vault(1).blob_id_key(),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
        // A vector of our own: a change here locks every existing account out.
        let text = format!("{}", seed.account().account());
        assert_eq!(
            text,
            include_str!("../vectors/account-of-zero-words.txt").trim()
        );
    }

    #[test]
    fn wrong_words_are_refused_with_the_reason() {
        assert_eq!(
            Words::parse("abandon art").unwrap_err(),
            WordsError::Count(2)
        );
        let unknown = ZERO.replacen("abandon", "larderr", 1);
        assert_eq!(Words::parse(&unknown).unwrap_err(), WordsError::Unknown(1));
        let swapped = ZERO.replacen("art", "abandon", 1);
        assert_eq!(Words::parse(&swapped).unwrap_err(), WordsError::Checksum);
    }

    #[test]
    fn secrets_are_not_printed() {
        let words = Words::parse(ZERO).unwrap();
        assert!(!format!("{words:?} {:?}", words.seed()).contains("abandon"));
    }
}
