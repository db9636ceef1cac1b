//! A validator that lies, on the engine's real network: what only the crate's inside can play. Honest
//! networks are in `tests/bft.rs`.

mod adversary;
#[path = "../../tests/bft/net.rs"]
mod net;

pub(super) use net::genesis;
use net::{Net, key};

#[tokio::test(flavor = "multi_thread")]
async fn two_votes_that_contradict_each_other_are_told() {
    let mut net = Net::of(4).await;
    net.stop(3).await;
    let liar = adversary::Liar::join(&net, 3).await;
    let mut paid = 0;
    let [a, b] = loop {
        liar.vote_twice(net.height(0) + 2..=net.height(0) + 6);
        net.pay(0, paid).await;
        paid += 1;
        net.until_paid(&[0, 1, 2], paid).await;
        if let Ok(pair) = net.evidence(0).try_recv() {
            break pair;
        }
        assert!(paid < 200, "nobody noticed");
    };
    assert!(larder_proofs::is_equivocation(&a, &b), "{a:?} {b:?}");
    assert_eq!(a.by, key(3).node());
    let genesis = genesis(4).genesis_hash();
    assert!(a.is_signed(&genesis) && b.is_signed(&genesis));
    liar.leave();
    net.check(&[0, 1, 2]).await;
}
