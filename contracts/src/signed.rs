//! Signatures on contracts: the renter's on a leaf, the provider's beside it, and the provider's
//! acknowledgement of a shard. `docs/protocol.md` §3.1, §3.3, §3.10.
//!
//! The ledger fills in `slash_acc` and `unpaid_at_start` when a leaf becomes active, and counts
//! `egress_paid` up; signatures cover the leaf with all three as zero, so that the leaf two parties
//! signed and the leaf the ledger holds carry the same signatures. They cover the provider too, which the leaf does not name:
//! otherwise whoever sees a leaf in a block could post it for a tree of its own.

use larder_keys::{AccountSigner, Signer, Tag, signing_key, verify};
use larder_proofs::ContractLeaf;
use larder_types::layout::Layout;
use larder_types::{
    AccountId, Amount, ContractId, GenesisHash, NodeId, ShardRoot, Signature, SubKeyId,
};
use serde::{Deserialize, Serialize};

/// The renter's tag.
pub const REVISION: Tag = Tag("revision");
/// The provider's tag.
pub const REVISION_PROVIDER: Tag = Tag("revision provider");
/// A shard acknowledgement's tag.
pub const SHARD_ACK: Tag = Tag("shard ack");

/// What a signature that moves a renter's money carries against replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Unused in the account's window; spent when the money moves.
    pub nonce: u64,
    /// The last block height at which the ledger may include it.
    pub expiry: u64,
}

impl Auth {
    /// Ends the bytes that `by`, or else the account key, signs: nonce u64 ‖ expiry u64 ‖ has_by u8 ‖
    /// `by[32]`.
    #[must_use]
    pub fn close(self, layout: Layout, by: Option<SubKeyId>) -> Vec<u8> {
        let layout = layout.u64(self.nonce).u64(self.expiry);
        layout.option(by.map(|by| by.0)).finish()
    }
}

/// A leaf with its renter's signature, good for one provider only. `auth` is there iff the leaf differs in money from the
/// one that is active on the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedLeaf {
    /// The leaf.
    pub leaf: ContractLeaf,
    /// The licence to move money, if it does.
    pub auth: Option<Auth>,
    /// The renter's sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key, over the leaf, the provider, `auth` and `by`.
    pub sig_renter: Signature,
}

/// A leaf with both signatures: what each side keeps, the highest revision winning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// The renter's part.
    pub signed: SignedLeaf,
    /// By the provider's node key, over the same bytes.
    pub sig_provider: Signature,
}

/// A provider's word that it holds a shard durably, to be counted in the contract named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardAck {
    /// The contract that pays for it.
    pub contract_id: ContractId,
    /// The masked shard's root.
    pub root: ShardRoot,
    /// Its length in chunks.
    pub chunks: u64,
    /// By the provider's node key.
    pub sig: Signature,
}

/// A leaf without what the ledger fills in: as both sides sign it.
#[must_use]
pub fn bare(leaf: &ContractLeaf) -> ContractLeaf {
    ContractLeaf {
        slash_acc: 0,
        unpaid_at_start: 0,
        egress_paid: Amount::ZERO,
        ..*leaf
    }
}

/// What both sides sign: leaf[240] ‖ provider[32] ‖ has_auth u8 ‖ nonce u64 ‖ expiry u64 ‖
/// has_by u8 ‖ by[32].
fn layout(
    leaf: &ContractLeaf,
    provider: &NodeId,
    auth: Option<Auth>,
    by: Option<SubKeyId>,
) -> Vec<u8> {
    let none = Auth {
        nonce: 0,
        expiry: 0,
    };
    let layout = Layout::new()
        .fixed(bare(leaf).to_bytes())
        .fixed(provider)
        .u8(u8::from(auth.is_some()));
    auth.unwrap_or(none).close(layout, by)
}

impl SignedLeaf {
    /// Signs `leaf`, to stand in `provider`'s tree, for the renter.
    #[must_use]
    pub fn sign(
        leaf: ContractLeaf,
        auth: Option<Auth>,
        provider: &NodeId,
        renter: &AccountSigner,
        genesis: &GenesisHash,
    ) -> Self {
        let by = renter.by();
        let sig_renter = renter.sign(REVISION, genesis, &layout(&leaf, provider, auth, by));
        Self {
            leaf,
            auth,
            by,
            sig_renter,
        }
    }

    /// The bytes under the signatures of a contract with `provider`.
    #[must_use]
    pub fn to_layout(&self, provider: &NodeId) -> Vec<u8> {
        layout(&self.leaf, provider, self.auth, self.by)
    }

    /// Whether the renter that the leaf names, or the sub-key that `by` names, signed it for
    /// `provider`. That the sub-key may is the ledger's to say.
    #[must_use]
    pub fn verify(&self, provider: &NodeId, genesis: &GenesisHash) -> bool {
        verify(
            &signing_key(&self.leaf.renter, self.by),
            REVISION,
            genesis,
            &self.to_layout(provider),
            &self.sig_renter,
        )
    }

    /// Adds the signature of the provider whose node key `node` is.
    #[must_use]
    pub fn countersign(self, node: &Signer, genesis: &GenesisHash) -> Revision {
        let bytes = self.to_layout(&node.node());
        let sig_provider = node.sign(REVISION_PROVIDER, genesis, &bytes);
        Revision {
            signed: self,
            sig_provider,
        }
    }
}

impl Revision {
    /// Whether it is between `renter` and `provider` and both signed it. Without the renter's
    /// account, a provider could show a leaf between itself and a key of its own.
    #[must_use]
    pub fn verify(&self, provider: &NodeId, renter: &AccountId, genesis: &GenesisHash) -> bool {
        let bytes = self.signed.to_layout(provider);
        self.signed.leaf.renter == *renter
            && verify(
                &provider.0,
                REVISION_PROVIDER,
                genesis,
                &bytes,
                &self.sig_provider,
            )
            && self.signed.verify(provider, genesis)
    }
}

impl ShardAck {
    /// Acknowledges a shard with the provider's node key.
    #[must_use]
    pub fn sign(
        contract_id: ContractId,
        root: ShardRoot,
        chunks: u64,
        node: &Signer,
        genesis: &GenesisHash,
    ) -> Self {
        let sig = node.sign(SHARD_ACK, genesis, &ack_layout(&contract_id, &root, chunks));
        Self {
            contract_id,
            root,
            chunks,
            sig,
        }
    }

    /// Whether `provider` signed it.
    #[must_use]
    pub fn verify(&self, provider: &NodeId, genesis: &GenesisHash) -> bool {
        let bytes = ack_layout(&self.contract_id, &self.root, self.chunks);
        verify(&provider.0, SHARD_ACK, genesis, &bytes, &self.sig)
    }
}

fn ack_layout(contract_id: &ContractId, root: &ShardRoot, chunks: u64) -> Vec<u8> {
    Layout::new()
        .fixed(contract_id)
        .fixed(root)
        .u64(chunks)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draft;
    use larder_types::{Params, Profile, codec};

    const NET: GenesisHash = GenesisHash([5; 32]);

    fn own(key: &Signer) -> AccountSigner {
        AccountSigner::own(key.clone())
    }

    fn leaf(renter: &Signer, node: &Signer) -> ContractLeaf {
        Draft {
            provider: node.node(),
            renter: renter.account(),
            nonce16: [3; 16],
            start: 2,
            term: 20,
            capacity_chunks: 1 << 16,
            price: Amount(1_000_000),
            collateral_epochs: 2,
        }
        .leaf(&Params::profile(Profile::Dev))
    }

    #[test]
    fn both_sign_the_same_bytes_under_different_tags() {
        let (renter, node) = (Signer::from_seed(&[1; 32]), Signer::from_seed(&[2; 32]));
        let auth = Some(Auth {
            nonce: 7,
            expiry: 100,
        });
        let (account, provider) = (renter.account(), node.node());
        let signed = SignedLeaf::sign(leaf(&renter, &node), auth, &provider, &own(&renter), &NET);
        assert!(signed.verify(&provider, &NET));
        assert!(!signed.verify(&provider, &GenesisHash([6; 32])));
        let revision = signed.countersign(&node, &NET);
        assert!(revision.verify(&provider, &account, &NET));
        assert!(!revision.verify(&NodeId(renter.public()), &account, &NET));
        let wire = codec::encode(&revision);
        assert_eq!(codec::decode::<Revision>(&wire), Ok(revision.clone()));

        let mut other_nonce = revision.clone();
        other_nonce.signed.auth = Some(Auth {
            nonce: 8,
            expiry: 100,
        });
        assert!(!other_nonce.verify(&provider, &account, &NET));
        let mut no_auth = revision.clone();
        no_auth.signed.auth = None;
        assert!(!no_auth.verify(&provider, &account, &NET));
        let mut cheaper = revision;
        cheaper.signed.leaf.rate = Amount(1);
        assert!(!cheaper.verify(&provider, &account, &NET));
    }

    #[test]
    fn a_sub_key_signs_under_its_own_name() {
        let (renter, node) = (Signer::from_seed(&[1; 32]), Signer::from_seed(&[2; 32]));
        let device = Signer::from_seed(&[3; 32]);
        let (provider, leaf) = (node.node(), leaf(&renter, &node));
        let hand = AccountSigner::sub(renter.account(), device.clone());
        let signed = SignedLeaf::sign(leaf, None, &provider, &hand, &NET);
        assert!(signed.verify(&provider, &NET));
        assert_eq!(signed.by, Some(SubKeyId(device.public())));
        for by in [None, Some(SubKeyId(node.public()))] {
            let other = SignedLeaf {
                by,
                ..signed.clone()
            };
            assert!(!other.verify(&provider, &NET));
        }
        // Nor does the account's own signature pass for a sub-key's.
        let mut own = SignedLeaf::sign(leaf, None, &provider, &own(&renter), &NET);
        own.by = Some(SubKeyId(renter.public()));
        assert!(!own.verify(&provider, &NET));
    }

    #[test]
    fn what_the_ledger_fills_in_leaves_signatures_good() {
        let (renter, node) = (Signer::from_seed(&[1; 32]), Signer::from_seed(&[2; 32]));
        let provider = node.node();
        let mut signed =
            SignedLeaf::sign(leaf(&renter, &node), None, &provider, &own(&renter), &NET);
        signed.leaf.slash_acc = 1 << 60;
        signed.leaf.unpaid_at_start = 9;
        signed.leaf.egress_paid = Amount(5);
        assert!(signed.verify(&provider, &NET));
    }

    #[test]
    fn a_leaf_signed_for_one_provider_is_worthless_to_another() {
        let (renter, node) = (Signer::from_seed(&[1; 32]), Signer::from_seed(&[2; 32]));
        let thief = Signer::from_seed(&[3; 32]);
        let leaf = leaf(&renter, &node);
        let signed = SignedLeaf::sign(leaf, None, &node.node(), &own(&renter), &NET);
        assert!(!signed.verify(&thief.node(), &NET));
        let stolen = signed.countersign(&thief, &NET);
        assert!(!stolen.verify(&thief.node(), &renter.account(), &NET));
        assert!(!stolen.verify(&node.node(), &renter.account(), &NET));
    }

    #[test]
    fn a_revision_with_another_renter_is_not_ours() {
        let (renter, node) = (Signer::from_seed(&[1; 32]), Signer::from_seed(&[2; 32]));
        // The provider plays the renter too, under our contract's id.
        let forged = ContractLeaf {
            renter: node.account(),
            ..leaf(&renter, &node)
        };
        let provider = node.node();
        let revision =
            SignedLeaf::sign(forged, None, &provider, &own(&node), &NET).countersign(&node, &NET);
        assert!(revision.verify(&provider, &node.account(), &NET));
        assert!(!revision.verify(&provider, &renter.account(), &NET));
    }

    #[test]
    fn an_ack_names_contract_root_and_length() {
        let node = Signer::from_seed(&[2; 32]);
        let ack = ShardAck::sign(ContractId([1; 32]), ShardRoot([2; 32]), 16, &node, &NET);
        assert!(ack.verify(&node.node(), &NET));
        let mut longer = ack.clone();
        longer.chunks = 32;
        assert!(!longer.verify(&node.node(), &NET));
        let mut elsewhere = ack;
        elsewhere.contract_id = ContractId([9; 32]);
        assert!(!elsewhere.verify(&node.node(), &NET));
    }
}
