//! What it would cost to store so many bytes now: the code, the providers and the terms that
//! placement would choose among the offers that hold, and what would be set aside for them.
//! Nothing is opened or reserved. `docs/protocol.md` §3.10 *Prices and sizes*.

use crate::placement::Plan;
use crate::renter::leases::{price_of, term};
use crate::renter::planning::{Selection, select, stepped};
use crate::renter::renting::RentRefusal;
use crate::{Engine, NoRoom};
use larder_contracts::{Draft, Offer};
use larder_types::params::CHUNK;
use larder_types::size::MIB;
use larder_types::{AccountId, Amount, Bytes, Class, Epoch, NodeId, Params, Time};

/// What is to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// At which class.
    pub class: Class,
    /// How many bytes, before coding.
    pub bytes: u64,
    /// For how many epochs; `None`: what is asked for by itself, about 30 days.
    pub epochs: Option<u32>,
}

/// What that would cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Quote {
    /// The code, and what it promises.
    pub plan: Plan,
    /// Providers that would hold a share, those rented from already among them.
    pub providers: usize,
    /// The contracts that would be opened.
    pub contracts: Vec<Quoted>,
    /// What all of them cost, egress deposits included.
    pub cost: Amount,
    /// Whether the account could pay that now.
    pub affordable: bool,
}

/// A contract that would be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// With whom.
    pub provider: NodeId,
    /// Its operator.
    pub operator: String,
    /// Its region.
    pub region: String,
    /// What it asks per GiB and 30 days.
    pub price: Amount,
    /// Bytes leased.
    pub capacity: u64,
    /// For how many epochs: the end is rounded up to a multiple of seven.
    pub epochs: u32,
    /// Pay per epoch.
    pub rate: Amount,
    /// What it costs for the term.
    pub cost: Amount,
    /// What the provider locks.
    pub collateral: Amount,
}

impl Engine {
    /// What this account would have to open beside what it rents already.
    ///
    /// # Errors
    /// [`NoRoom`] without any provider, or any with room enough.
    pub fn quote(&self, now: Time, ask: Ask) -> Result<Quote, NoRoom> {
        let fresh = self.renter.unrented(now, &self.me.node());
        let usable = self.renter.usable_providers();
        self.quoted(fresh, usable, ask)
    }

    /// What an account would have to open that rents nothing yet.
    ///
    /// # Errors
    /// [`NoRoom`] without any provider, or any with room enough.
    pub fn quote_afresh(&self, now: Time, ask: Ask) -> Result<Quote, NoRoom> {
        let all = self.renter.rentable(now, &self.me.node()).collect();
        self.quoted(all, 0, ask)
    }

    /// What a contract with this provider would be, if one can be opened.
    ///
    /// # Errors
    /// [`RentRefusal`].
    pub fn may_rent(
        &self,
        now: Time,
        provider: &NodeId,
        size: Bytes,
    ) -> Result<Quoted, RentRefusal> {
        let rents = self
            .renter
            .leases
            .values()
            .any(|l| l.of.is_none() && l.provider == *provider);
        if rents {
            return Err(RentRefusal::Rented);
        }
        let own = self.me.node();
        let mut offers = self.renter.rentable(now, &own);
        let offer = offers.find(|o| o.provider == *provider);
        let offer = offer.ok_or(RentRefusal::NoOffer)?;
        let capacity = stepped(&self.me.params, size.0.div_ceil(CHUNK));
        if offer.free.0 / CHUNK < capacity {
            let needed = capacity.saturating_mul(CHUNK) / MIB;
            return Err(NoRoom::NoQuota { needed }.into());
        }
        let place = (self.me.account(), self.chain.epoch.saturating_add(1));
        let quoted = contract(&self.me.params, offer, capacity, place, None);
        let have = self.spendable();
        if quoted.cost > have {
            let needed = quoted.cost;
            return Err(NoRoom::NoCredit { needed, have }.into());
        }
        let rate = std::iter::once(quoted.rate);
        self.renter.within_allowance(&self.me.params, rate, None)?;
        Ok(quoted)
    }

    fn quoted(&self, offers: Vec<Offer>, usable: usize, ask: Ask) -> Result<Quote, NoRoom> {
        let params = &self.me.params;
        let wanted = (ask.class, ask.bytes);
        // Between equals chance decides when it comes to it: they cost the same.
        let chosen = select(params, offers, usable, wanted, || 0)?;
        let (account, start) = (self.me.account(), self.chain.epoch.saturating_add(1));
        Ok(of(
            params,
            chosen,
            (account, start),
            ask.epochs,
            self.spendable(),
        ))
    }
}

fn of(
    params: &Params,
    chosen: Selection,
    place: (AccountId, Epoch),
    epochs: Option<u32>,
    have: Amount,
) -> Quote {
    let offers = chosen.offers.into_iter();
    let contracts: Vec<Quoted> = offers
        .map(|offer| contract(params, offer, chosen.capacity, place, epochs))
        .collect();
    let cost = contracts
        .iter()
        .try_fold(Amount::ZERO, |sum, c| sum.checked_add(c.cost));
    let cost = cost.unwrap_or(Amount(u64::MAX));
    Quote {
        plan: chosen.plan,
        providers: chosen.providers,
        contracts,
        cost,
        affordable: cost <= have,
    }
}

/// The contract that an offer would become, for `capacity` chunks.
fn contract(
    params: &Params,
    offer: Offer,
    capacity: u64,
    (account, start): (AccountId, Epoch),
    epochs: Option<u32>,
) -> Quoted {
    let leaf = Draft {
        provider: offer.provider,
        renter: account,
        nonce16: [0; 16],
        start,
        term: epochs.unwrap_or_else(|| term(params, &offer)),
        capacity_chunks: capacity,
        price: offer.price,
        collateral_epochs: offer.collateral_epochs,
    }
    .leaf(params);
    Quoted {
        provider: offer.provider,
        operator: offer.operator,
        region: offer.region,
        price: offer.price,
        capacity: leaf.capacity_chunks.saturating_mul(CHUNK),
        epochs: leaf.end_epoch.saturating_sub(leaf.start_epoch),
        rate: leaf.rate,
        cost: price_of(&leaf),
        collateral: leaf.collateral,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_types::Profile;

    fn offer(i: u8, price: u64) -> Offer {
        Offer {
            provider: NodeId([i; 32]),
            price: Amount(price),
            free: Bytes(1 << 40),
            operator: format!("o{i}"),
            min_term: 1,
            max_term: 400,
            ..blank()
        }
    }

    fn blank() -> Offer {
        Offer {
            provider: NodeId([0; 32]),
            account: AccountId([0; 32]),
            price: Amount::ZERO,
            egress_price: Amount::ZERO,
            collateral_epochs: 0,
            free: Bytes(0),
            min_term: 1,
            max_term: 1,
            region: String::new(),
            operator: String::new(),
            addrs: Vec::new(),
            issued: Time(0),
            valid_until: Time(u64::MAX),
        }
    }

    fn quote(offers: Vec<Offer>, usable: usize, bytes: u64, epochs: Option<u32>) -> Quote {
        let params = Params::profile(Profile::Private);
        let wanted = (Class::Normal, bytes);
        let chosen = select(&params, offers, usable, wanted, || 0).unwrap();
        let have = Amount::from_credits(1);
        of(&params, chosen, (AccountId([1; 32]), 5), epochs, have)
    }

    fn twelve(price: u64) -> Vec<Offer> {
        (1..=12).map(|i| offer(i, price)).collect()
    }

    #[test]
    fn the_cost_is_the_sum_of_the_contracts_that_would_be_opened() {
        let quote = quote(twelve(10_000_000), 0, 4 << 30, Some(70));
        assert_eq!((quote.plan.code.k(), quote.plan.code.n()), (4, 8));
        assert_eq!(quote.contracts.len(), 12, "n and half of it");
        let sum: u64 = quote.contracts.iter().map(|c| c.cost.nano()).sum();
        assert_eq!(quote.cost, Amount(sum));
        for contract in &quote.contracts {
            assert_eq!(
                contract.cost.nano(),
                contract.rate.nano() * u64::from(contract.epochs)
            );
            assert!((70..77).contains(&contract.epochs), "{}", contract.epochs);
            assert!(
                contract.capacity * 12 >= (4 << 30) * 2,
                "twice the bytes in all"
            );
        }
    }

    #[test]
    fn more_bytes_longer_terms_and_dearer_offers_cost_more() {
        let base = quote(twelve(10_000_000), 0, 4 << 30, Some(70)).cost;
        assert!(quote(twelve(10_000_000), 0, 8 << 30, Some(70)).cost > base);
        assert!(quote(twelve(10_000_000), 0, 4 << 30, Some(140)).cost > base);
        assert!(quote(twelve(20_000_000), 0, 4 << 30, Some(70)).cost > base);
    }

    #[test]
    fn what_is_rented_already_costs_nothing_new() {
        assert!(quote(twelve(10_000_000), 6, 4 << 30, None).contracts.len() == 6);
        let nothing = quote(Vec::new(), 12, 4 << 30, None);
        assert_eq!((nothing.cost, nothing.affordable), (Amount::ZERO, true));
    }

    #[test]
    fn what_the_account_cannot_pay_is_said() {
        assert!(quote(twelve(10_000_000), 0, 1 << 20, Some(7)).affordable);
        assert!(!quote(twelve(1_000_000_000_000), 0, 1 << 30, Some(70)).affordable);
    }
}
