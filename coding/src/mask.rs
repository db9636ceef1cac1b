//! Masks: `S_j = RS_j XOR ChaCha20(derive_key("larder v1 mask", MK_seg ‖ j_u16), nonce 0)`. A
//! provider without `MK_seg` cannot rebuild its shard from others'. Seekable, so that any range of
//! a shard can be unmasked alone. `docs/protocol.md` §3.2.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use std::fmt;
use zeroize::Zeroizing;

/// The keystream of one position of one segment.
pub struct Mask(ChaCha20);

impl Mask {
    /// The mask of `position` under the segment's `mask_key` (`MK_seg`).
    #[must_use]
    pub fn new(mask_key: &[u8; 32], position: u16) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("larder v1 mask");
        hasher.update(mask_key).update(&position.to_le_bytes());
        let key = Zeroizing::new(*hasher.finalize().as_bytes());
        Self(ChaCha20::new((&*key).into(), &[0; 12].into()))
    }

    /// Masks or unmasks `bytes`, which lie at `offset` of the shard.
    ///
    /// # Panics
    /// Beyond 256 GiB, where no shard reaches.
    pub fn apply(&mut self, offset: u64, bytes: &mut [u8]) {
        self.0.seek(offset);
        self.0.apply_keystream(bytes);
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask(secret)")
    }
}
