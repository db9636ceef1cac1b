//! The keyed BLAKE3 hashes of the commitment. Each kind of node has a key of its own,
//! `derive_key("larder v1 <name>", "")`, so that no node passes for one of another kind.
//! `docs/protocol.md` §3.3.

use larder_types::Hash;
use std::sync::LazyLock;

/// A kind of hash and its key.
#[derive(Debug)]
pub(crate) struct Domain(LazyLock<[u8; 32]>);

macro_rules! domain {
    ($($name:ident = $text:literal),+ $(,)?) => {
        $(pub(crate) static $name: Domain =
            Domain(LazyLock::new(|| blake3::derive_key(concat!("larder v1 ", $text), b"")));)+

        /// Every domain's name and key, for the vectors.
        #[cfg(test)]
        pub(crate) const KEYS: &[(&str, fn() -> [u8; 32])] = &[$(($text, || *$name.0)),+];
    };
}

domain! {
    PROVIDER_EMPTY = "ptree empty",
    PROVIDER_LEAF = "ptree leaf",
    PROVIDER_NODE = "ptree node",
    CONTENT_EMPTY = "ctree empty",
    CONTENT_LEAF = "ctree leaf",
    CONTENT_NODE = "ctree node",
    CHALLENGE = "challenge",
    TARGETED = "targeted",
    MAP_VALUE = "map value",
    MAP_LEAF = "map leaf",
    MAP_NODE = "map node",
}

impl Domain {
    /// The keyed hash of `bytes`.
    pub(crate) fn hash(&self, bytes: &[u8]) -> Hash {
        Hash(*blake3::keyed_hash(&self.0, bytes).as_bytes())
    }

    /// Fills `out` with the keyed hash of `bytes`, extended.
    pub(crate) fn fill(&self, bytes: &[u8], out: &mut [u8]) {
        blake3::Hasher::new_keyed(&self.0)
            .update(bytes)
            .finalize_xof()
            .fill(out);
    }
}
