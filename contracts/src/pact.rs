//! A pact between friends: two nodes that give each other disk for nothing. Both sign one note of what each
//! gives. Contracts between them are those of everybody, at price zero. `docs/protocol.md` §3.10 *Friends*.

use crate::Offer;
use larder_keys::{Signer, Tag, verify};
use larder_types::layout::Layout;
use larder_types::{AccountId, Amount, Bytes, GenesisHash, Hash, NodeId, Params, Signature, Time};
use serde::{Deserialize, Serialize};

/// The tag of both signatures.
pub const PACT: Tag = Tag("pact");

/// The tag of a gift's signature: it is no offer that anybody else could be shown.
pub const GIFT: Tag = Tag("gift");

/// What a friend gives: an offer at price zero for one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gift {
    /// The terms.
    pub offer: Offer,
    /// To whom.
    pub to: AccountId,
    /// By the node that gives.
    pub sig: Signature,
}

impl Gift {
    /// Signs what is given to an account.
    #[must_use]
    pub fn sign(offer: Offer, to: AccountId, node: &Signer, net: &GenesisHash) -> Self {
        let mut gift = Self {
            offer,
            to,
            sig: Signature::default(),
        };
        gift.sig = node.sign(GIFT, net, &gift.to_layout());
        gift
    }

    /// to\[32\] ‖ the offer's layout, its length before it as u32.
    fn to_layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.to)
            .var(self.offer.to_layout())
            .finish()
    }

    /// Whether it holds at `now`, costs nothing, and is to this account.
    #[must_use]
    pub fn is_good(&self, to: &AccountId, now: Time, params: &Params, net: &GenesisHash) -> bool {
        let is_free = self.offer.price == Amount::ZERO && self.offer.egress_price == Amount::ZERO;
        let key = &self.offer.provider.0;
        is_free
            && self.to == *to
            && self.offer.check(now, params).is_ok()
            && verify(key, GIFT, net, &self.to_layout(), &self.sig)
    }
}

/// One side of a pact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// The node that gives.
    pub node: NodeId,
    /// The account that is given to.
    pub account: AccountId,
    /// How much disk it gives the other.
    pub gives: Bytes,
}

/// What two friends give each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pact {
    /// The invitation's secret: whoever knows it first becomes the guest.
    pub token: Hash,
    /// Who invited.
    pub host: Party,
    /// Who accepted.
    pub guest: Party,
}

impl Pact {
    /// token\[32\] ‖ host ‖ guest; a side is node\[32\] ‖ account\[32\] ‖ gives u64.
    #[must_use]
    pub fn to_layout(&self) -> Vec<u8> {
        let side = |layout: Layout, party: &Party| {
            layout
                .fixed(party.node)
                .fixed(party.account)
                .u64(party.gives.0)
        };
        let layout = Layout::new().fixed(self.token);
        side(side(layout, &self.host), &self.guest).finish()
    }

    /// Signs with a side's node key.
    #[must_use]
    pub fn sign(&self, key: &Signer, net: &GenesisHash) -> Signature {
        key.sign(PACT, net, &self.to_layout())
    }

    /// Whether a side has signed it.
    #[must_use]
    pub fn is_signed_by(&self, party: &Party, sig: &Signature, net: &GenesisHash) -> bool {
        verify(&party.node.0, PACT, net, &self.to_layout(), sig)
    }

    /// The sides as a node sees them: itself, and the other. `None`: it is neither, or both.
    #[must_use]
    pub fn sides(&self, node: &NodeId) -> Option<(&Party, &Party)> {
        match (self.host.node == *node, self.guest.node == *node) {
            (true, false) => Some((&self.host, &self.guest)),
            (false, true) => Some((&self.guest, &self.host)),
            (true, true) | (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NET: GenesisHash = GenesisHash([4; 32]);

    fn party(key: &Signer, gives: u64) -> Party {
        Party {
            node: key.node(),
            account: AccountId([9; 32]),
            gives: Bytes(gives),
        }
    }

    #[test]
    fn both_sign_the_same_and_no_change_is_signed() {
        let [host, guest] = [1, 2].map(|i| Signer::from_seed(&[i; 32]));
        let pact = Pact {
            token: Hash([7; 32]),
            host: party(&host, 5),
            guest: party(&guest, 6),
        };
        let sig = pact.sign(&guest, &NET);
        assert!(pact.is_signed_by(&pact.guest, &sig, &NET));
        assert!(!pact.is_signed_by(&pact.host, &sig, &NET));
        assert!(!pact.is_signed_by(&pact.guest, &sig, &GenesisHash([5; 32])));
        let mut changed = pact;
        changed.host.gives = Bytes(50);
        assert!(!changed.is_signed_by(&changed.guest, &sig, &NET));
        assert_eq!(pact.to_layout().len(), 32 + 2 * (32 + 32 + 8));
    }

    #[test]
    fn a_node_is_on_one_side() {
        let [host, guest] = [1, 2].map(|i| Signer::from_seed(&[i; 32]));
        let pact = Pact {
            token: Hash([7; 32]),
            host: party(&host, 5),
            guest: party(&guest, 6),
        };
        assert_eq!(pact.sides(&host.node()), Some((&pact.host, &pact.guest)));
        assert_eq!(pact.sides(&guest.node()), Some((&pact.guest, &pact.host)));
        assert_eq!(pact.sides(&NodeId([3; 32])), None);
        let alone = Pact {
            guest: pact.host,
            ..pact
        };
        assert_eq!(alone.sides(&host.node()), None);
    }
}
