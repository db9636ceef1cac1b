//! Which code, and which providers: a class's target meets the providers that there really are.
//! Positions of one segment go to distinct operators as far as there are enough, and never more
//! than `r − k` to one, so that the loss of a whole operator still leaves k. `docs/protocol.md`
//! §4.3, DESIGN *Placement*.

use crate::durability::{MRT_DAYS, PRIOR_MTTF_DAYS, annual_loss};
use larder_coding::layout::Code;
use larder_types::{Class, NodeId};
use std::collections::BTreeMap;

/// What was chosen for a class, and what it promises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The code.
    pub code: Code,
    /// Probability that a segment is lost within a year, by the prior of §4.3.
    pub annual_loss: f64,
    /// Whether that meets the class's target.
    pub class_met: bool,
}

/// The codes on offer: small ones for small networks, then the profiles of §4.3.
const CODES: [(u16, u16, u16); 12] = [
    (1, 1, 1),
    (1, 2, 1),
    (1, 3, 2),
    (2, 4, 3),
    (2, 6, 4),
    (3, 6, 5),
    (4, 8, 6),
    (4, 12, 8),
    (10, 30, 17),
    (16, 48, 28),
    (20, 60, 34),
    (32, 96, 54),
];

/// The annual loss per segment that a class allows.
#[must_use]
pub fn target(class: Class) -> f64 {
    match class {
        Class::Low => 1e-2,
        Class::Normal => 1e-3,
        Class::High => 1e-6,
        Class::Critical => 1e-9,
    }
}

/// The cheapest code that meets the class with `providers` at hand, or else the safest one. A code
/// uses at most two thirds of them (at least two), so that repair has somewhere to go. `None`
/// without any provider.
///
/// # Panics
/// Never: the table holds codes.
#[must_use]
pub fn choose_code(class: Class, providers: usize) -> Option<Plan> {
    let most = (providers * 2 / 3).max(providers.min(2));
    let plans = CODES
        .iter()
        .filter(|(_, n, _)| usize::from(*n) <= most)
        .map(|&(k, n, r)| plan(class, Code::new(k, n, r).expect("the table holds codes")));
    let met = plans.clone().filter(|p| p.class_met).min_by_key(|p| {
        // Bytes stored per byte, then the larger k (less traffic at the same cost, §4.3).
        (
            u32::from(p.code.n()) * 1000 / u32::from(p.code.k()),
            u16::MAX - p.code.k(),
        )
    });
    met.or_else(|| plans.min_by(|a, b| a.annual_loss.total_cmp(&b.annual_loss)))
}

fn plan(class: Class, code: Code) -> Plan {
    let annual_loss = annual_loss(code, PRIOR_MTTF_DAYS, MRT_DAYS);
    Plan {
        code,
        annual_loss,
        class_met: annual_loss <= target(class),
    }
}

/// A provider that could take a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Who.
    pub provider: NodeId,
    /// Its operator; empty: it stands for itself.
    pub operator: &'a str,
    /// How full its contract would be, in parts per million: the emptier goes first.
    pub fullness_ppm: u64,
    /// What it asks, in any unit.
    pub price: u64,
    /// Decides between equals.
    pub tie: u64,
}

/// Chooses up to `wanted` providers, best first, beside those that already hold positions of the
/// segment (by operator in `taken`): operators that hold none come first, then the emptier, then
/// the cheaper contract. None gets beyond the code's cap per operator.
///
/// With one kind of domain, taking the least used operator each time is an optimal matching.
#[must_use]
pub fn choose(
    code: Code,
    taken: &BTreeMap<String, u16>,
    candidates: &[Candidate<'_>],
    wanted: usize,
) -> Vec<NodeId> {
    pick(usize::from(operator_cap(code)), taken, candidates, wanted)
}

/// Chooses up to `wanted` providers to rent from, at most `cap` of one operator.
#[must_use]
pub fn choose_spread(cap: usize, candidates: &[Candidate<'_>], wanted: usize) -> Vec<NodeId> {
    pick(cap, &BTreeMap::new(), candidates, wanted)
}

/// Chooses up to `wanted` more providers beside those rented from already (by operator in
/// `rented`): other operators come first, then the cheaper.
#[must_use]
pub fn choose_more(
    rented: &BTreeMap<String, u16>,
    candidates: &[Candidate<'_>],
    wanted: usize,
) -> Vec<NodeId> {
    pick(usize::MAX, rented, candidates, wanted)
}

fn pick(
    cap: usize,
    taken: &BTreeMap<String, u16>,
    candidates: &[Candidate<'_>],
    wanted: usize,
) -> Vec<NodeId> {
    let mut used: BTreeMap<&str, u16> = taken.iter().map(|(o, n)| (o.as_str(), *n)).collect();
    let mut left: Vec<&Candidate<'_>> = candidates.iter().collect();
    let mut chosen = Vec::new();
    while chosen.len() < wanted {
        let load = |c: &Candidate<'_>| match c.operator {
            "" => 0,
            name => used.get(name).copied().unwrap_or(0),
        };
        let best = left
            .iter()
            .enumerate()
            .filter(|(_, c)| usize::from(load(c)) < cap)
            .min_by_key(|(_, c)| (load(c), c.fullness_ppm, c.price, c.tie, c.provider))
            .map(|(i, _)| i);
        let Some(best) = best else { break };
        let candidate = left.swap_remove(best);
        if !candidate.operator.is_empty() {
            *used.entry(candidate.operator).or_default() += 1;
        }
        chosen.push(candidate.provider);
    }
    chosen
}

/// The most positions of a segment that one operator may hold: `r − cap ≥ k`, at least one.
#[must_use]
pub fn operator_cap(code: Code) -> u16 {
    code.r().saturating_sub(code.k()).max(1)
}

/// How many positions must be placed before a segment counts as saved: halfway from the repair
/// threshold to all of them.
#[must_use]
pub fn success_threshold(code: Code) -> u16 {
    code.r() + (code.n() - code.r()).div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(class: Class, providers: usize) -> (u16, u16, u16, bool) {
        let plan = choose_code(class, providers).unwrap();
        (plan.code.k(), plan.code.n(), plan.code.r(), plan.class_met)
    }

    #[test]
    fn codes_follow_class_and_providers() {
        assert_eq!(code(Class::Normal, 12), (4, 8, 6, true));
        assert_eq!(code(Class::Normal, 50), (4, 8, 6, true));
        assert_eq!(code(Class::Critical, 90), (20, 60, 34, true));
        assert!(!code(Class::Critical, 12).3);
        assert_eq!(code(Class::Normal, 1), (1, 1, 1, false));
        assert!(choose_code(Class::Low, 0).is_none());
        for providers in 3..200 {
            let (_, n, ..) = code(Class::Critical, providers);
            assert!(usize::from(n) * 3 <= providers * 2);
        }
    }

    #[test]
    fn operators_are_spread_and_capped() {
        let node = |i: u8| NodeId([i; 32]);
        let operators = ["a", "a", "a", "a", "b", "b", "c", ""];
        let candidates: Vec<_> = (0..8u8)
            .map(|i| Candidate {
                provider: node(i),
                operator: operators[usize::from(i)],
                fullness_ppm: 0,
                price: 1,
                tie: 0,
            })
            .collect();
        let code = Code::new(4, 8, 6).unwrap();
        let chosen = choose(code, &BTreeMap::new(), &candidates, 8);
        assert_eq!(
            chosen.len(),
            6,
            "two of a, two of b, c and the lone one: {chosen:?}"
        );
        let first: Vec<_> = chosen[..4]
            .iter()
            .map(|n| operators[usize::from(n.0[0])])
            .collect();
        assert_eq!(
            first
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .len(),
            4,
            "{first:?}"
        );
        let taken = BTreeMap::from([("a".to_owned(), 2)]);
        assert!(choose(code, &taken, &candidates[..4], 4).is_empty());
    }

    #[test]
    fn the_threshold_lies_between_repair_and_all() {
        assert_eq!(success_threshold(Code::new(4, 8, 6).unwrap()), 7);
        assert_eq!(success_threshold(Code::new(1, 1, 1).unwrap()), 1);
    }
}
