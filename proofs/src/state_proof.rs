//! What a header's state root says of one account or one provider: the record, or that there is none,
//! with the way up to the root. Whoever trusts the header needs to trust nobody else.
//! `docs/protocol.md` §3.8.

use crate::Header;
use crate::map::{Key, MapError, MapProof};
use larder_types::layout::Layout;
use larder_types::{AccountId, Hash, NodeId};

/// What a state root is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roots {
    /// The map of accounts, by their ids.
    pub accounts: Hash,
    /// The map of providers, by their ids.
    pub providers: Hash,
    /// All other state, which is not shown piece by piece.
    pub rest: Hash,
}

impl Roots {
    /// Derived over `accounts[32] ‖ providers[32] ‖ rest[32]`.
    #[must_use]
    pub fn state_root(&self) -> Hash {
        let layout = Layout::new()
            .fixed(self.accounts)
            .fixed(self.providers)
            .fixed(self.rest)
            .finish();
        Hash(blake3::derive_key("larder v1 state root", &layout))
    }
}

/// That a record is in the state, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateProof {
    /// The record, as canonical DAG-CBOR; without one there is none.
    pub value: Option<Vec<u8>>,
    /// From the record's place up to its map's root.
    pub path: MapProof,
    /// From there up to the state's.
    pub roots: Roots,
}

/// Why a proof shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateProofError {
    /// Its roots make another state root than the header's.
    #[error("the proof is of another state than the header's")]
    State,
    /// It does not lead to its map's root.
    #[error("the proof does not show what it says: {0}")]
    Map(#[from] MapError),
}

/// What the state after the block of `header`, which is trusted, holds of an account: its record in
/// canonical DAG-CBOR, or that there is none.
///
/// # Errors
/// [`StateProofError`]: the proof shows nothing of this account in this state.
pub fn check_account<'a>(
    header: &Header,
    proof: &'a StateProof,
    account: &AccountId,
) -> Result<Option<&'a [u8]>, StateProofError> {
    proof.check(header, &proof.roots.accounts, &account.0)
}

/// As [`check_account`], of a provider.
///
/// # Errors
/// [`StateProofError`]: the proof shows nothing of this provider in this state.
pub fn check_provider<'a>(
    header: &Header,
    proof: &'a StateProof,
    provider: &NodeId,
) -> Result<Option<&'a [u8]>, StateProofError> {
    proof.check(header, &proof.roots.providers, &provider.0)
}

impl StateProof {
    fn check(
        &self,
        header: &Header,
        root: &Hash,
        key: &Key,
    ) -> Result<Option<&[u8]>, StateProofError> {
        if self.roots.state_root() != header.state_root {
            return Err(StateProofError::State);
        }
        let value = self.value.as_deref();
        self.path.verify(root, key, value)?;
        Ok(value)
    }
}
