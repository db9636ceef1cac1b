//! What a recovery works with: the name under which others keep an account's heads, and the key
//! that seals them. The name is a hash of what only the words give, so that holders learn nothing
//! of the account from it, and differs between networks. `docs/protocol.md` §3.9.

use crate::VaultKeys;
use larder_types::{GenesisHash, Hash};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Where an account's heads are found on one network, and what opens them.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryKeys {
    /// The rendezvous key: who keeps a head is found under it.
    #[zeroize(skip)]
    pub key: Hash,
    /// The key that seals heads.
    pub seal: [u8; 32],
}

impl RecoveryKeys {
    /// The keys of the account whose words give `tag` ([`crate::Seed::rendezvous`]) and `vault`.
    #[must_use]
    pub fn new(tag: &[u8; 32], vault: &VaultKeys, net: &GenesisHash) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("larder v1 rendezvous");
        hasher.update(&net.0).update(tag);
        Self {
            key: Hash(*hasher.finalize().as_bytes()),
            seal: *vault.head_key(),
        }
    }
}

impl fmt::Debug for RecoveryKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKeys(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Words;

    const ZERO: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon art";

    /// A change here, and no account finds its heads again.
    #[test]
    fn the_same_words_find_the_same_heads() {
        let seed = Words::parse(ZERO).unwrap().seed();
        let (tag, vault) = (seed.rendezvous(), seed.vault(0));
        let keys = RecoveryKeys::new(&tag, &vault, &GenesisHash([7; 32]));
        let text = format!(
            "rendezvous tag  {}\nhead key        {}\nrendezvous key  {}\n",
            Hash(*tag),
            Hash(keys.seal),
            keys.key,
        );
        assert_eq!(
            text,
            include_str!("../vectors/recovery-of-zero-words.txt"),
            "\n{text}"
        );
    }

    #[test]
    fn other_words_epochs_and_networks_have_other_keys() {
        let seed = Words::parse(ZERO).unwrap().seed();
        let of = |tag: &[u8; 32], epoch, net| {
            RecoveryKeys::new(tag, &seed.vault(epoch), &GenesisHash([net; 32]))
        };
        let tag = seed.rendezvous();
        let ours = of(&tag, 0, 1);
        assert_ne!(ours.key, of(&tag, 0, 2).key);
        assert_ne!(ours.key, of(&[0; 32], 0, 1).key);
        assert_ne!(ours.seal, of(&tag, 1, 1).seal);
        assert_eq!(format!("{ours:?}"), "RecoveryKeys(secret)");
    }
}
