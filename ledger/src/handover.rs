//! A contract moves to another provider: it closes with the old one and opens with the new one at the
//! same boundary, with the same content. All three sign: the old provider posts it, the new one and
//! the renter have signed what opens. `docs/protocol.md` §3.3, §3.10.

use crate::check::Place;
use crate::{State, TxRefusal};
use larder_contracts::SignedLeaf;
use larder_keys::{Signer, Tag, verify};
use larder_proofs::{ContractLeaf, TRANSFERABLE};
use larder_types::layout::Layout;
use larder_types::{ContractId, GenesisHash, NodeId, Signature};
use serde::{Deserialize, Serialize};

const HANDOVER: Tag = Tag("handover");

/// What is to open elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// The contract that closes.
    pub contract: ContractId,
    /// Who takes it on.
    pub to: NodeId,
    /// The contract that opens, signed by the renter for the new provider, with its licence to move
    /// money.
    pub signed: SignedLeaf,
    /// By the new provider's node key.
    pub sig_to: Signature,
}

impl Handover {
    /// contract[32] ‖ the new leaf's layout for its provider.
    fn terms(&self) -> Vec<u8> {
        let signed = self.signed.to_layout(&self.to);
        Layout::new().fixed(self.contract).fixed(signed).finish()
    }

    /// What the old provider signs: the terms ‖ to[32] ‖ sig_renter[64] ‖ sig_to[64].
    pub(crate) fn to_layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.terms())
            .fixed(self.to)
            .fixed(self.signed.sig_renter.0)
            .fixed(self.sig_to.0)
            .finish()
    }

    /// The new provider, whose node key `to` is, takes `contract` on as `signed`.
    #[must_use]
    pub fn sign(
        contract: ContractId,
        signed: SignedLeaf,
        to: &Signer,
        genesis: &GenesisHash,
    ) -> Self {
        let mut handover = Self {
            contract,
            to: to.node(),
            signed,
            sig_to: Signature::default(),
        };
        handover.sig_to = to.sign(HANDOVER, genesis, &handover.terms());
        handover
    }

    pub(crate) fn verify(&self, genesis: &GenesisHash) -> bool {
        let terms = self.terms();
        self.signed.verify(&self.to, genesis)
            && verify(&self.to.0, HANDOVER, genesis, &terms, &self.sig_to)
    }

    /// Whether what opens is what closes, elsewhere: the same renter, content and flags, no shorter
    /// term; and the renter had agreed beforehand that it may move.
    pub(crate) fn continues(&self, old: &ContractLeaf) -> bool {
        let new = &self.signed.leaf;
        let same = |leaf: &ContractLeaf| {
            (
                leaf.renter,
                leaf.content_root,
                leaf.used_chunks,
                leaf.depth,
                leaf.flags,
            )
        };
        old.flags & TRANSFERABLE != 0 && same(old) == same(new) && new.end_epoch >= old.end_epoch
    }
}

impl State {
    /// Once an epoch and contract; the money must be in time, the rest is judged at the boundary.
    pub(crate) fn check_handover(
        &self,
        handover: &Handover,
        place: Place,
    ) -> Result<(), TxRefusal> {
        let contract = self.contract(&handover.contract);
        let (_, _, leaf) = contract.ok_or(TxRefusal::NoContract)?;
        if !handover.continues(leaf) {
            return Err(TxRefusal::NotTransferable);
        }
        self.permit_put(&handover.signed, place.epoch, place.time)?;
        self.check_put(&handover.signed, place)
    }
}
