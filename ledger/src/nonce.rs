//! An account's nonces: a base and a window of 256 bits. A nonce must lie in the window and be
//! unused, and is then spent; the base advances over the spent prefix. `docs/protocol.md` §3.1.

use serde::{Deserialize, Serialize};

/// Nonces that may be used in any order.
pub const WINDOW: u64 = 256;

/// Spent and unspent nonces of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nonces {
    /// Every nonce below is spent.
    base: u64,
    /// Bit i of the little-endian number: whether `base + i` is spent. Bit 0 never is.
    #[serde(with = "serde_bytes")]
    window: [u8; 32],
}

/// Why a nonce cannot be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NonceError {
    /// It was spent before.
    #[error("nonce {nonce} is spent")]
    Spent {
        /// Which.
        nonce: u64,
    },
    /// It lies beyond the window.
    #[error("nonce {nonce} lies outside the window {base}..{base}+256")]
    Outside {
        /// Which.
        nonce: u64,
        /// Where the window begins.
        base: u64,
    },
}

impl Nonces {
    /// Every nonce below `base` is spent.
    #[must_use]
    pub const fn from_base(base: u64) -> Self {
        Self {
            base,
            window: [0; 32],
        }
    }

    /// Below this lies every nonce that could have been used.
    #[must_use]
    pub const fn beyond(&self) -> u64 {
        self.base.saturating_add(WINDOW)
    }

    /// The least nonce that may still be unspent.
    #[must_use]
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// The window's bytes, for the state's root.
    #[must_use]
    pub const fn window(&self) -> &[u8; 32] {
        &self.window
    }

    /// Whether `nonce` could be spent now.
    ///
    /// # Errors
    /// [`NonceError`] if it is spent or outside.
    pub fn check(&self, nonce: u64) -> Result<(), NonceError> {
        let Some(offset) = nonce.checked_sub(self.base) else {
            return Err(NonceError::Spent { nonce });
        };
        if offset >= WINDOW || nonce == u64::MAX {
            return Err(NonceError::Outside {
                nonce,
                base: self.base,
            });
        }
        if self.is_set(offset) {
            return Err(NonceError::Spent { nonce });
        }
        Ok(())
    }

    /// Spends `nonce`.
    ///
    /// # Errors
    /// As [`Nonces::check`]; then nothing changes.
    pub fn spend(&mut self, nonce: u64) -> Result<(), NonceError> {
        self.check(nonce)?;
        let offset = nonce.saturating_sub(self.base);
        if let Some(byte) = self.window.get_mut(byte_of(offset)) {
            *byte |= mask_of(offset);
        }
        while self.is_set(0) {
            self.advance();
        }
        Ok(())
    }

    /// The least unspent nonce that is at least `from`, if the window has one.
    #[must_use]
    pub fn free(&self, from: u64) -> Option<u64> {
        (0..WINDOW)
            .filter_map(|offset| self.base.checked_add(offset))
            .find(|nonce| *nonce >= from && self.check(*nonce).is_ok())
    }

    fn is_set(&self, offset: u64) -> bool {
        self.window
            .get(byte_of(offset))
            .is_some_and(|byte| byte & mask_of(offset) != 0)
    }

    /// Moves the window up by one.
    fn advance(&mut self) {
        let mut carry = 0;
        for byte in self.window.iter_mut().rev() {
            let low = *byte & 1;
            *byte = (*byte >> 1) | (carry << 7);
            carry = low;
        }
        self.base = self.base.saturating_add(1);
    }
}

fn byte_of(offset: u64) -> usize {
    usize::try_from(offset >> 3).unwrap_or(usize::MAX)
}

const fn mask_of(offset: u64) -> u8 {
    1 << (offset & 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_window_is_a_set_of_spent_numbers(wanted in prop::collection::vec(0u64..600, 0..800)) {
            let mut nonces = Nonces::default();
            let mut spent = BTreeSet::new();
            for nonce in wanted {
                let base = (0..).find(|n| !spent.contains(n)).unwrap();
                let good = !spent.contains(&nonce) && nonce < base + WINDOW;
                prop_assert_eq!(nonces.base(), base);
                prop_assert_eq!(nonces.spend(nonce).is_ok(), good);
                if good {
                    spent.insert(nonce);
                }
                let free = (nonce..).find(|n| !spent.contains(n)).unwrap();
                let base = nonces.base();
                prop_assert_eq!(nonces.free(nonce), (free < base + WINDOW).then_some(free));
            }
        }
    }

    #[test]
    fn the_end_of_numbers_is_not_reached() {
        let mut nonces = Nonces {
            base: u64::MAX - 1,
            window: [0; 32],
        };
        assert!(nonces.check(u64::MAX).is_err());
        assert_eq!(nonces.spend(u64::MAX - 1), Ok(()));
        assert_eq!(nonces.free(0), None);
    }
}
