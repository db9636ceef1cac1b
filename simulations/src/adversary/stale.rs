//! An old proof under a new date: header and signature are those of the challenge, what lies between
//! is not.

use larder_engine::Identity;
use larder_keys::Tag;
use larder_proofs::Challenge;
use larder_types::layout::Layout;

/// The tag that proofs are signed under.
const PROOF: Tag = Tag("proof");
/// Bytes of a signature.
const SIGNATURE: usize = 64;

/// The proof `old` as if it answered `challenge`. `docs/protocol.md` §3.5, *ProofBlob*.
pub(super) fn redated(me: &Identity, challenge: &Challenge, old: &[u8]) -> Vec<u8> {
    let mut blob = Layout::new()
        .fixed(*b"DSP1")
        .u32(challenge.provider_index)
        .u64(challenge.slot_no)
        .fixed(challenge.beacon)
        .u8(challenge.c)
        .fixed(challenge.active.hash)
        .finish();
    let end = old.len().saturating_sub(SIGNATURE);
    blob.extend_from_slice(old.get(blob.len()..end).unwrap_or_default());
    let signature = me.node_key.sign(PROOF, &me.genesis, &blob);
    blob.extend_from_slice(&signature.0);
    blob
}
