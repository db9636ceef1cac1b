//! 32 bytes under a passphrase: Argon2id stretches it, with parameters and a salt that lie beside what it
//! seals; the seal is AES-256-GCM, bound to what the caller names. Wallets' key files and sealed homes share it.
//! `docs/protocol.md` §3.1.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Bytes of what is sealed, and of a sealing key.
pub(crate) const KEY: usize = 32;
/// Every salt is random, so every sealing key is used once, and its nonce may be the same.
const ONCE: [u8; 12] = [0; 12];
/// Longest name of a key or a wallet.
const NAME: usize = 32;

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

/// Why what is sealed does not come out.
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

/// 32 bytes under a passphrase.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wrapped {
    pub(crate) stretch: Stretch,
    #[serde(with = "serde_bytes")]
    pub(crate) salt: [u8; 16],
    #[serde(with = "serde_bytes")]
    pub(crate) sealed: Vec<u8>,
}

impl Wrapped {
    /// Seals `secret` under a passphrase with a fresh `salt`, bound to `bound`.
    pub(crate) fn seal(
        secret: &[u8; KEY],
        passphrase: &str,
        (stretch, salt): (Stretch, [u8; 16]),
        bound: &[u8],
    ) -> Result<Self, OpenError> {
        let key = stretched(passphrase, stretch, &salt)?;
        Ok(Self {
            stretch,
            salt,
            sealed: close(&key, &ONCE, bound, secret),
        })
    }

    /// What was sealed.
    pub(crate) fn open(
        &self,
        passphrase: &str,
        bound: &[u8],
    ) -> Result<Zeroizing<[u8; KEY]>, OpenError> {
        let key = stretched(passphrase, self.stretch, &self.salt)?;
        disclose(&key, &ONCE, bound, &self.sealed).ok_or(OpenError::Wrong)
    }
}

/// Seals 32 bytes under a key.
pub(crate) fn close(
    key: &[u8; KEY],
    nonce: &[u8; 12],
    bound: &[u8],
    secret: &[u8; KEY],
) -> Vec<u8> {
    // With room for the tag: a vector that grows would leave the secret where it was before.
    let mut sealed = Vec::with_capacity(KEY + AES_256_GCM.tag_len());
    sealed.extend_from_slice(secret);
    cipher(key)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(bound),
            &mut sealed,
        )
        .expect("32 bytes can be sealed");
    sealed
}

/// What [`close`] sealed; `None` if the key, the nonce, what it is bound to or a byte of it is another.
pub(crate) fn disclose(
    key: &[u8; KEY],
    nonce: &[u8; 12],
    bound: &[u8],
    sealed: &[u8],
) -> Option<Zeroizing<[u8; KEY]>> {
    let mut sealed = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let opened = cipher(key)
        .open_in_place(nonce, Aad::from(bound), &mut sealed)
        .ok()?;
    <[u8; KEY]>::try_from(&*opened).ok().map(Zeroizing::new)
}

fn cipher(key: &[u8; KEY]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("it takes 32 bytes"))
}

/// The key that a passphrase stands for.
fn stretched(
    passphrase: &str,
    stretch: Stretch,
    salt: &[u8],
) -> Result<Zeroizing<[u8; KEY]>, OpenError> {
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
    Ok(key)
}

/// Whether a text can name a wallet or a key: 1 to 32 of a-z, 0-9, - and _.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    (1..=NAME).contains(&text.len()) && text.bytes().all(fits)
}
