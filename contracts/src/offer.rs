//! A provider's offer: what it sells, at which price, for how long the price stands. Signed by the
//! node key and gossiped; a price binds only while the offer is valid. `docs/protocol.md` §3.10.

use larder_keys::{Signer, Tag, verify};
use larder_types::layout::Layout;
use larder_types::{
    AccountId, Amount, Bytes, GenesisHash, Millis, NodeId, Params, Signature, Time,
};
use serde::{Deserialize, Serialize};

/// The tag of an offer's signature.
pub const OFFER: Tag = Tag("offer");
/// Longest region name, bytes.
pub const MAX_REGION: usize = 16;
/// Longest operator name, bytes.
pub const MAX_OPERATOR: usize = 64;
/// Most addresses in an offer.
pub const MAX_ADDRS: usize = 16;
/// Longest multiaddr, bytes: a relayed one with two peer ids fits.
pub const MAX_ADDR: usize = 256;
/// How far ahead of ours another node's clock may be.
pub const CLOCK_SKEW: Millis = Millis(60_000);

/// What a provider sells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Who offers.
    pub provider: NodeId,
    /// The account that is paid.
    pub account: AccountId,
    /// Nano per GiB and 30 days.
    pub price: Amount,
    /// Nano per MiB read back.
    pub egress_price: Amount,
    /// Quota that is still free, bytes.
    pub free: Bytes,
    /// Shortest term, epochs.
    pub min_term: u32,
    /// Longest term, epochs.
    pub max_term: u32,
    /// Collateral the provider locks, in epochs of pay.
    pub collateral_epochs: u32,
    /// Region claimed, at most 16 bytes.
    pub region: String,
    /// Operator claimed, at most 64 bytes.
    pub operator: String,
    /// Multiaddrs, at most 16.
    pub addrs: Vec<String>,
    /// When it was signed; of two offers by one provider the later one counts.
    pub issued: Time,
    /// Until when the price stands.
    pub valid_until: Time,
}

/// An offer with its provider's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedOffer {
    /// The offer.
    pub offer: Offer,
    /// By the node key.
    pub sig: Signature,
}

/// Why an offer is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum OfferRefusal {
    /// The signature is not the provider's.
    #[error("the offer's signature is bad")]
    Signature,
    /// It has run out.
    #[error("the offer ran out at {valid_until:?}")]
    Expired {
        /// Its end.
        valid_until: Time,
    },
    /// It was signed in the future.
    #[error("the offer was signed in the future, at {issued:?}")]
    Early {
        /// When.
        issued: Time,
    },
    /// It stands longer than the network allows, or ends before it begins.
    #[error("the offer stands for {ttl}, at most {most} are allowed")]
    Ttl {
        /// Its validity.
        ttl: Millis,
        /// The most.
        most: Millis,
    },
    /// A text or list is longer than allowed.
    #[error("the offer's {field} is too long")]
    TooLong {
        /// Which one.
        field: OfferField,
    },
    /// The shortest term is above the longest, or above what the network allows.
    #[error("terms from {min} to {max} epochs make no sense here")]
    Terms {
        /// Shortest.
        min: u32,
        /// Longest.
        max: u32,
    },
}

/// A field of an offer that has a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfferField {
    /// The region.
    Region,
    /// The operator.
    Operator,
    /// The list of addresses.
    Addrs,
    /// One address.
    Addr,
}

impl std::fmt::Display for OfferField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Region => "region",
            Self::Operator => "operator",
            Self::Addrs => "list of addresses",
            Self::Addr => "address",
        })
    }
}

impl Offer {
    /// What is signed: every field in order.
    #[must_use]
    pub fn to_layout(&self) -> Vec<u8> {
        let head = Layout::new()
            .fixed(self.provider)
            .fixed(self.account)
            .u64(self.price.0)
            .u64(self.egress_price.0)
            .u64(self.free.0)
            .u32(self.min_term)
            .u32(self.max_term)
            .u32(self.collateral_epochs)
            .var(&self.region)
            .var(&self.operator)
            .u64(self.issued.0)
            .u64(self.valid_until.0);
        self.addrs.iter().fold(head, Layout::var).finish()
    }

    /// Signs the offer with the provider's node key.
    #[must_use]
    pub fn sign(self, node: &Signer, genesis: &GenesisHash) -> SignedOffer {
        let sig = node.sign(OFFER, genesis, &self.to_layout());
        SignedOffer { offer: self, sig }
    }

    /// Chunks of quota that are free.
    #[must_use]
    pub const fn free_chunks(&self) -> u64 {
        self.free.0 / larder_types::params::CHUNK
    }

    fn check_lengths(&self) -> Result<(), OfferRefusal> {
        let long = |field| Err(OfferRefusal::TooLong { field });
        if self.region.len() > MAX_REGION {
            return long(OfferField::Region);
        }
        if self.operator.len() > MAX_OPERATOR {
            return long(OfferField::Operator);
        }
        if self.addrs.len() > MAX_ADDRS {
            return long(OfferField::Addrs);
        }
        if self.addrs.iter().any(|addr| addr.len() > MAX_ADDR) {
            return long(OfferField::Addr);
        }
        Ok(())
    }

    /// Whether it can be believed at `now`, whoever signed it.
    ///
    /// # Errors
    /// [`OfferRefusal`] names the first rule it breaks.
    pub fn check(&self, now: Time, params: &Params) -> Result<(), OfferRefusal> {
        let (min, max) = (self.min_term, self.max_term);
        self.check_lengths()?;
        self.check_times(now, params)?;
        if min > max || min > params.max_term || max < params.min_term {
            return Err(OfferRefusal::Terms { min, max });
        }
        Ok(())
    }

    fn check_times(&self, now: Time, params: &Params) -> Result<(), OfferRefusal> {
        if self.issued > now.after(CLOCK_SKEW) {
            return Err(OfferRefusal::Early {
                issued: self.issued,
            });
        }
        let ttl = self.valid_until.since(self.issued);
        if ttl.0 == 0 || ttl > params.offer_ttl {
            return Err(OfferRefusal::Ttl {
                ttl,
                most: params.offer_ttl,
            });
        }
        if self.valid_until <= now {
            return Err(OfferRefusal::Expired {
                valid_until: self.valid_until,
            });
        }
        Ok(())
    }
}

impl SignedOffer {
    /// Whether the offer can be believed at `now`. Cheap checks come before the signature.
    ///
    /// # Errors
    /// [`OfferRefusal`] names the first rule it breaks.
    pub fn check(
        &self,
        now: Time,
        params: &Params,
        genesis: &GenesisHash,
    ) -> Result<(), OfferRefusal> {
        self.offer.check(now, params)?;
        if !verify(
            &self.offer.provider.0,
            OFFER,
            genesis,
            &self.offer.to_layout(),
            &self.sig,
        ) {
            return Err(OfferRefusal::Signature);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_types::{Profile, codec};

    const NET: GenesisHash = GenesisHash([5; 32]);

    fn offer(node: &Signer) -> Offer {
        Offer {
            provider: node.node(),
            account: AccountId([2; 32]),
            price: Amount(1_000),
            egress_price: Amount::ZERO,
            free: Bytes(1 << 30),
            min_term: 1,
            max_term: 100,
            collateral_epochs: 0,
            region: "eu".into(),
            operator: "op-1".into(),
            addrs: vec!["/ip4/127.0.0.1/tcp/1".into()],
            issued: Time(1_000_000),
            valid_until: Time(2_000_000),
        }
    }

    fn check(change: impl FnOnce(&mut Offer), now: Time, want: Result<(), OfferRefusal>) {
        let node = Signer::from_seed(&[1; 32]);
        let mut offer = offer(&node);
        change(&mut offer);
        let signed = offer.sign(&node, &NET);
        let params = Params::profile(Profile::Dev);
        assert_eq!(signed.check(now, &params, &NET), want);
        let wire = codec::encode(&signed);
        assert_eq!(codec::decode::<SignedOffer>(&wire), Ok(signed));
    }

    #[test]
    fn an_offer_is_believed_while_it_stands() {
        check(|_| (), Time(1_500_000), Ok(()));
        let valid_until = Time(2_000_000);
        check(
            |_| (),
            valid_until,
            Err(OfferRefusal::Expired { valid_until }),
        );
        let issued = Time(1_000_000);
        check(|_| (), Time(900_000), Err(OfferRefusal::Early { issued }));
        check(|_| (), Time(950_000), Ok(()));
    }

    #[test]
    fn bounds_are_enforced() {
        let now = Time(1_500_000);
        let long = |field| Err(OfferRefusal::TooLong { field });
        check(|o| o.region = "x".repeat(17), now, long(OfferField::Region));
        check(
            |o| o.operator = "x".repeat(65),
            now,
            long(OfferField::Operator),
        );
        check(
            |o| o.addrs = vec![String::new(); 17],
            now,
            long(OfferField::Addrs),
        );
        check(
            |o| o.addrs = vec!["x".repeat(257)],
            now,
            long(OfferField::Addr),
        );
        check(
            |o| o.min_term = 101,
            now,
            Err(OfferRefusal::Terms { min: 101, max: 100 }),
        );
        let most = Params::profile(Profile::Dev).offer_ttl;
        let ttl = Millis(most.0 + 1);
        check(
            |o| o.valid_until = o.issued.after(ttl),
            now,
            Err(OfferRefusal::Ttl { ttl, most }),
        );
        let ttl = Millis(0);
        check(
            |o| o.valid_until = o.issued,
            now,
            Err(OfferRefusal::Ttl { ttl, most }),
        );
    }

    #[test]
    fn a_changed_offer_is_refused() {
        let node = Signer::from_seed(&[1; 32]);
        let mut signed = offer(&node).sign(&node, &NET);
        signed.offer.price = Amount(1);
        let params = Params::profile(Profile::Dev);
        assert_eq!(
            signed.check(Time(1_500_000), &params, &NET),
            Err(OfferRefusal::Signature)
        );
    }
}
