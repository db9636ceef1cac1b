//! A small sealed message: AES-256-GCM under a key that the caller names, padded so that its length
//! says little. Not for bulk: the nonces are random, and 2^32 messages under one key are enough.
//! `docs/protocol.md` §3.9.
//!
//! nonce\[12\] ‖ ciphertext of (length u32 ‖ message ‖ zeros) ‖ tag\[16\]. The whole is a power of
//! two, at least 1 KiB and at most 64 KiB.

use crate::blob::TAG_LEN;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Bytes of a nonce.
pub const NONCE_LEN: usize = 12;
/// Least bytes of a sealed message.
pub const MIN_SEALED: usize = 1 << 10;
/// Most bytes of a sealed message.
pub const MAX_SEALED: usize = 64 << 10;
/// Bytes of the length before the message.
const LEN_LEN: usize = 4;
/// Most bytes of a message.
pub const MAX_MESSAGE: usize = MAX_SEALED - NONCE_LEN - LEN_LEN - TAG_LEN;

/// A message too long to seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed message holds at most {MAX_MESSAGE} bytes, not {len}")]
pub struct TooLong {
    /// Bytes given.
    pub len: usize,
}

/// Bytes that do not open: damaged, made with another key, or not what they are shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the seal does not open")]
pub struct NotOurs;

/// Seals `message` for `context`, which it is bound to and does not carry. `nonce` must be fresh
/// random bytes.
///
/// # Errors
/// [`TooLong`] beyond [`MAX_MESSAGE`].
///
/// # Panics
/// Never: the cipher refuses nothing of these lengths.
pub fn seal_message(
    key: &[u8; 32],
    nonce: [u8; NONCE_LEN],
    context: &[u8],
    message: &[u8],
) -> Result<Vec<u8>, TooLong> {
    let len = u32::try_from(message.len()).ok();
    let (Some(len), true) = (len, message.len() <= MAX_MESSAGE) else {
        return Err(TooLong { len: message.len() });
    };
    let bare = NONCE_LEN + LEN_LEN + message.len() + TAG_LEN;
    let whole = bare.next_power_of_two().max(MIN_SEALED);
    let mut out = Vec::with_capacity(whole);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(message);
    out.resize(whole - TAG_LEN, 0);
    let tag = cipher(key)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context),
            &mut out[NONCE_LEN..],
        )
        .expect("AES-GCM takes any body of at most 64 KiB");
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

/// Opens what [`seal_message`] sealed with this key for this context.
///
/// # Errors
/// [`NotOurs`] for anything else.
pub fn open_message(key: &[u8; 32], context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, NotOurs> {
    if sealed.len() > MAX_SEALED {
        return Err(NotOurs);
    }
    let (nonce, body) = sealed.split_first_chunk().ok_or(NotOurs)?;
    let mut body = body.to_vec();
    let plain = cipher(key)
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(context),
            &mut body,
        )
        .map_err(|_| NotOurs)?;
    let (len, rest) = plain.split_first_chunk().ok_or(NotOurs)?;
    let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| NotOurs)?;
    Ok(rest.get(..len).ok_or(NotOurs)?.to_vec())
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the key has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [1; 32];
    const NONCE: [u8; 12] = [2; 12];

    #[test]
    fn a_message_opens_with_its_key_and_context_only() {
        let sealed = seal_message(&KEY, NONCE, b"context", b"message").unwrap();
        assert_eq!(open_message(&KEY, b"context", &sealed).unwrap(), b"message");
        assert_eq!(open_message(&[9; 32], b"context", &sealed), Err(NotOurs));
        assert_eq!(open_message(&KEY, b"contexT", &sealed), Err(NotOurs));
        for at in [0, 12, 500, sealed.len() - 1] {
            let mut spoilt = sealed.clone();
            spoilt[at] ^= 1;
            assert_eq!(open_message(&KEY, b"context", &spoilt), Err(NotOurs));
        }
        for len in [0, 11, 12, 27, 28, 1023] {
            assert_eq!(
                open_message(&KEY, b"context", &sealed[..len]),
                Err(NotOurs),
                "{len}"
            );
        }
    }

    #[test]
    fn the_length_says_little() {
        let sizes = [
            (0, 1 << 10),
            (992, 1 << 10),
            (993, 2 << 10),
            (20_000, 32 << 10),
            (MAX_MESSAGE, MAX_SEALED),
        ];
        for (len, whole) in sizes {
            let message = vec![7; len];
            let sealed = seal_message(&KEY, NONCE, b"", &message).unwrap();
            assert_eq!(sealed.len(), whole, "{len}");
            assert_eq!(open_message(&KEY, b"", &sealed).unwrap(), message);
        }
        let long = vec![0; MAX_MESSAGE + 1];
        let len = long.len();
        assert_eq!(seal_message(&KEY, NONCE, b"", &long), Err(TooLong { len }));
    }
}
