//! The offers that hold, as a whole, and quotes in the surface's form.

use crate::shown::count;
use larder_contracts::Offer;
use larder_engine::quote::{Ask, Quote, Quoted};
use larder_rpc::{Nano, Prices, QuoteParams, QuotedContract, RegionStats, Text};
use larder_types::{Amount, Class};
use std::collections::{BTreeMap, BTreeSet};

/// What a caller wants to store.
pub(crate) fn ask(params: &QuoteParams) -> Ask {
    Ask {
        class: class(params),
        bytes: params.bytes,
        epochs: params.epochs,
    }
}

fn class(params: &QuoteParams) -> Class {
    params.class.map_or(Class::default(), |class| class.0)
}

/// A quote, for callers.
pub(crate) fn shown(quote: Quote, params: &QuoteParams) -> larder_rpc::Quote {
    let code = quote.plan.code;
    let rates = quote.contracts.iter().map(|c| c.rate);
    let add = |sum: Amount, rate| sum.checked_add(rate).unwrap_or(sum);
    larder_rpc::Quote {
        class: Text(class(params)),
        k: code.k(),
        n: code.n(),
        repair_at: code.r(),
        annual_loss: quote.plan.annual_loss,
        class_met: quote.plan.class_met,
        providers: count(quote.providers as u64),
        per_epoch: Nano(rates.fold(Amount::ZERO, add)),
        contracts: quote.contracts.into_iter().map(contract).collect(),
        cost: Nano(quote.cost),
        affordable: quote.affordable,
    }
}

fn contract(quoted: Quoted) -> QuotedContract {
    QuotedContract {
        provider: Text(quoted.provider),
        operator: quoted.operator,
        region: quoted.region,
        price: Nano(quoted.price),
        capacity: quoted.capacity,
        epochs: quoted.epochs,
        rate: Nano(quoted.rate),
        cost: Nano(quoted.cost),
        collateral: Nano(quoted.collateral),
    }
}

/// What offers ask; nothing without any.
pub(crate) fn prices<'a>(offers: impl IntoIterator<Item = &'a Offer>) -> Option<Prices> {
    let mut prices: Vec<Amount> = offers.into_iter().map(|o| o.price).collect();
    prices.sort_unstable();
    let median = prices.get(prices.len().saturating_sub(1) / 2)?;
    Some(Prices {
        lowest: Nano(*prices.first()?),
        median: Nano(*median),
        highest: Nano(*prices.last()?),
    })
}

/// What is free in all.
pub(crate) fn free<'a>(offers: impl IntoIterator<Item = &'a Offer>) -> u64 {
    let free = offers.into_iter().map(|o| o.free.0);
    free.fold(0, u64::saturating_add)
}

/// Operators; those that name none count each.
pub(crate) fn operators(offers: &[Offer]) -> u32 {
    let lone = offers.iter().filter(|o| o.operator.is_empty()).count();
    let named: BTreeSet<&str> = offers.iter().map(|o| o.operator.as_str()).collect();
    count((lone + named.iter().filter(|name| !name.is_empty()).count()) as u64)
}

/// The offers by region.
pub(crate) fn regions(offers: &[Offer]) -> Vec<RegionStats> {
    let mut regions: BTreeMap<&str, Vec<&Offer>> = BTreeMap::new();
    for offer in offers {
        regions.entry(&offer.region).or_default().push(offer);
    }
    let stats = regions.into_iter().filter_map(|(region, offers)| {
        Some(RegionStats {
            region: region.to_owned(),
            providers: count(offers.len() as u64),
            free: free(offers.iter().copied()),
            prices: prices(offers.iter().copied())?,
        })
    });
    stats.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_types::{AccountId, Bytes, NodeId, Time};

    fn offer(i: u8, price: u64, region: &str, operator: &str) -> Offer {
        Offer {
            provider: NodeId([i; 32]),
            account: AccountId([i; 32]),
            price: Amount(price),
            egress_price: Amount::ZERO,
            free: Bytes(10),
            min_term: 1,
            max_term: 10,
            collateral_epochs: 0,
            region: region.into(),
            operator: operator.into(),
            addrs: Vec::new(),
            issued: Time(0),
            valid_until: Time(1),
        }
    }

    #[test]
    fn stats_are_of_the_offers_that_there_are() {
        let offers = [
            offer(1, 5, "de", "x"),
            offer(2, 9, "de", "x"),
            offer(3, 1, "de", ""),
            offer(4, 7, "fr", ""),
        ];
        let all = prices(&offers).unwrap();
        let figures = (all.lowest.0.0, all.median.0.0, all.highest.0.0);
        assert_eq!(figures, (1, 5, 9), "the lower of the two in the middle");
        assert_eq!((free(&offers), operators(&offers)), (40, 3));
        let regions = regions(&offers);
        let named: Vec<_> = regions
            .iter()
            .map(|r| (&r.region[..], r.providers))
            .collect();
        assert_eq!(named, [("de", 3), ("fr", 1)]);
        assert_eq!(regions[1].prices.median, Nano(Amount(7)));
        assert!(prices(&[]).is_none());
    }
}
