//! Segments that nothing needs any more: with the admin key their shards leave the providers at a boundary;
//! without it, nothing does.

use super::*;
use crate::Dropping;
use crate::wire::{Deny, Reduce};
use larder_ledger::Reduction;

fn admin() -> Signer {
    Signer::from_seed(&[99; 32])
}

fn dropping(town: &Town, keeper: usize) -> Dropping {
    town.nodes[keeper].engine().dropping()
}

/// Signs all that can be signed now.
fn sign(town: &Town, keeper: usize, key: &Signer) -> Vec<Reduction> {
    let ready = dropping(town, keeper).ready.into_iter();
    ready
        .map(|it| Reduction::sign(it.signed, &it.provider, key, &NET))
        .collect()
}

/// Shards that the providers answer for.
fn stored(town: &Town) -> usize {
    let engines = town.nodes.iter().filter_map(|n| n.engine.as_ref());
    engines.map(|e| e.stored_shards().len()).sum()
}

#[test]
fn dropped_segments_leave_the_providers_and_the_others_stay() {
    let mut town = Town::new(6);
    let keeper = town.keeper(50, 50);
    town.prepare(keeper);
    let (gone, stays) = (town.store(keeper, 1), town.store(keeper, 2));
    town.pass(Millis(2 * params().epoch.0));
    let all = stored(&town);
    let n = town.nodes[keeper].engine().renter.segments[&gone]
        .roots
        .len();
    assert_eq!(all, 2 * n, "both are placed");
    town.command(keeper, Command::Drop(vec![gone]));
    let known = town.nodes[keeper].engine().known_segments();
    let known: Vec<_> = known.iter().map(|s| s.segment).collect();
    assert_eq!(known, [stays]);
    let report = town.nodes[keeper].engine().segments();
    assert_eq!((report.segments, report.below_full), (1, 0));

    town.until("all can be signed", |town| {
        dropping(town, keeper).waiting == 0
    });
    let shards: u32 = dropping(&town, keeper).ready.iter().map(|r| r.shards).sum();
    assert_eq!(shards as usize, n);
    // It survives a restart in between.
    town.start(keeper);
    town.until("all can be signed", |town| {
        let now = dropping(town, keeper);
        now.waiting == 0 && now.ready.len() == n
    });
    let signed = sign(&town, keeper, &admin());
    town.command(keeper, Command::Reduce(signed));
    let agreed = dropping(&town, keeper);
    assert_eq!((agreed.ready.len(), agreed.agreed as usize), (0, n));
    assert_eq!(stored(&town), all, "until the boundary they are proven");
    town.until("they are gone", |town| stored(town) == n);
    town.until("the row is gone", |town| {
        !town.nodes[keeper]
            .engine()
            .renter
            .segments
            .contains_key(&gone)
    });
    assert_eq!(dropping(&town, keeper), Dropping::default());
    let leases = town.nodes[keeper].engine().renter.leases.values();
    let used: u64 = leases.map(|l| l.leaf().used_chunks).sum();
    let row = &town.nodes[keeper].engine().renter.segments[&stays];
    assert_eq!(used * 1_024, row.shard_len * n as u64);
    // And what comes later finds its place behind the holes.
    let later = town.store(keeper, 3);
    town.pass(Millis(2 * params().epoch.0));
    assert_eq!(stored(&town), 2 * n);
    let row = &town.nodes[keeper].engine().renter.segments[&later];
    assert!(row.holders.iter().all(Option::is_some));
}

#[test]
fn a_provider_gives_nothing_up_without_a_good_signature() {
    let mut town = Town::new(6);
    let keeper = town.keeper(50, 50);
    town.prepare(keeper);
    let gone = town.store(keeper, 1);
    town.pass(Millis(2 * params().epoch.0));
    let all = stored(&town);
    town.command(keeper, Command::Drop(vec![gone]));
    town.until("all can be signed", |town| {
        dropping(town, keeper).waiting == 0
    });
    let mut bad = sign(&town, keeper, &admin());
    for it in &mut bad {
        it.key = Signer::from_seed(&[98; 32]).public();
    }
    // Our own engine sends nothing of the kind …
    town.command(keeper, Command::Reduce(bad.clone()));
    assert_eq!(dropping(&town, keeper).ready.len(), bad.len());
    // … and a provider that hears it from another program refuses.
    let first = bad.remove(0);
    let provider = dropping(&town, keeper).ready[0].provider;
    let i = town.index(&provider).unwrap();
    let ask = |reduction: &Reduction, places: Vec<u32>| {
        Request::Reduce(Box::new(Reduce {
            contract: reduction.signed.leaf.contract_id,
            places,
            reduction: reduction.clone(),
        }))
    };
    let denied = Response::Denied;
    assert_eq!(
        town.ask(i, ask(&first, vec![0])),
        denied(Deny::BadSignature)
    );
    // What is signed is what taking these places out makes, and nothing else.
    let good = sign(&town, keeper, &admin()).remove(0);
    assert!(matches!(
        town.ask(i, ask(&good, vec![7])),
        Response::Denied(Deny::Contract(_))
    ));
    assert_eq!(
        town.ask(i, ask(&good, Vec::new())),
        denied(Deny::WrongBytes)
    );
    let mut other = good;
    other.signed.leaf.end_epoch -= 7;
    assert_eq!(town.ask(i, ask(&other, vec![0])), denied(Deny::Stale));
    town.pass(Millis(2 * params().epoch.0));
    assert_eq!(stored(&town), all);
    let good = sign(&town, keeper, &admin()).remove(0);
    assert!(matches!(
        town.ask(i, ask(&good, vec![0])),
        Response::Signed(_)
    ));
    assert!(
        matches!(town.ask(i, ask(&good, vec![0])), Response::Signed(_)),
        "it is heard once more"
    );
}
