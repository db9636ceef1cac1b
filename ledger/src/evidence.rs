//! The false proofs behind FAIL verdicts. A FAIL is never a matter of votes: the provider's own
//! signed blob is in the block, and everyone who applies it checks. `docs/protocol.md` §3.5, §3.6.

use crate::verdict::verdict;
use crate::{ApplyError, State, Verdict, VerdictBatch};
use larder_proofs::Challenge;
use larder_types::{NodeId, SlotNo};
use serde::{Deserialize, Serialize};

/// Most bytes of false proofs in one block: more than fifty of honest length. With a block's
/// transactions it stays below the 4 MiB of a response.
pub const MAX_BLOCK_EVIDENCE_BYTES: usize = 2 << 20;

/// One false proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The slot that it was meant for.
    pub slot: SlotNo,
    /// Who signed it.
    pub provider: NodeId,
    /// The proof, as it was received.
    #[serde(with = "serde_bytes")]
    pub blob: Vec<u8>,
}

/// Whether each FAIL of these batches has its evidence, each piece of evidence its FAIL, in the
/// batches' order, and each convicts.
///
/// # Errors
/// [`ApplyError::Evidence`] or [`ApplyError::TooLarge`].
pub(crate) fn check(
    state: &State,
    batches: &[VerdictBatch],
    evidence: &[Evidence],
) -> Result<(), ApplyError> {
    let sizes = evidence.iter().map(|piece| piece.blob.len());
    if sizes.fold(0usize, usize::saturating_add) > MAX_BLOCK_EVIDENCE_BYTES {
        return Err(ApplyError::TooLarge);
    }
    let mut left = evidence.iter();
    for batch in batches {
        let slot = batch.slot;
        for (provider, challenge) in accused(state, batch) {
            let is_it = |piece: &&Evidence| (piece.slot, piece.provider) == (slot, provider);
            let convicts = |piece: &Evidence, challenge: &Challenge| {
                larder_proofs::convicts(&piece.blob, challenge, &state.genesis_hash())
            };
            match (left.next().filter(is_it), challenge) {
                (Some(piece), Some(challenge)) if convicts(piece, &challenge) => {}
                _ => return Err(ApplyError::Evidence { slot, provider }),
            }
        }
    }
    match left.next() {
        Some(Evidence { slot, provider, .. }) => Err(ApplyError::Evidence {
            slot: *slot,
            provider: *provider,
        }),
        None => Ok(()),
    }
}

/// Whom a batch accuses of a false answer, and to which challenge: first those for whole trees.
fn accused(state: &State, batch: &VerdictBatch) -> Vec<(NodeId, Option<Challenge>)> {
    let asked = state.slot_providers(batch.slot);
    let whole = asked.iter().zip(&batch.results).map(|(provider, result)| {
        let challenge = state.challenge_for(&provider.node);
        (provider.node, challenge, *result)
    });
    let targets = state.slot_targets(batch.slot);
    let single = targets
        .iter()
        .zip(&batch.targeted)
        .map(|((provider, _, challenge), result)| (*provider, *challenge, *result));
    whole
        .chain(single)
        .filter(|(_, _, result)| verdict(*result) == Verdict::Fail)
        .map(|(provider, challenge, _)| (provider, challenge))
        .collect()
}
