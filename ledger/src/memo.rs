//! A hash that is kept once it is known. It follows from what lies beside it, so that it is no part of
//! the state: it is not compared and not kept.

use larder_types::Hash;
use std::sync::OnceLock;

/// A hash, made when it is first asked for; whoever changes what it is of starts a new one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memo(OnceLock<Hash>);

impl Memo {
    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> Hash) -> Hash {
        *self.0.get_or_init(make)
    }
}

/// Two values that are equal in all else have the same hash, made or not.
impl PartialEq for Memo {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Memo {}
