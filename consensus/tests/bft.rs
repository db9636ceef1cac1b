//! Validators in one process, over real loopback ports and real time; nothing here sleeps, everything
//! waits for an event with a deadline.

#![allow(clippy::unwrap_used, reason = "a test ends at the first fault")]

#[path = "bft/net.rs"]
mod net;
#[path = "bft/provider.rs"]
mod provider;

use larder_consensus::bft::{BftError, GuardError, peer_id};
use larder_ledger::{Censored, ProofAck, Reason, Tx};
use net::{Net, key};
use provider::{Provider, until_taken};

#[tokio::test(flavor = "multi_thread")]
async fn one_validator_alone_makes_final_blocks() {
    let net = Net::of(1).await;
    for nonce in 0..3 {
        net.pay(0, nonce).await;
        net.until_paid(&[0], nonce + 1).await;
    }
    net.check(&[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_agree_on_twenty_blocks() {
    let mut net = Net::of(4).await;
    let everybody = [0, 1, 2, 3];
    let mut paid = 0;
    while net.height(0) < 20 {
        let at = usize::try_from(paid % 4).unwrap();
        net.pay(at, paid).await;
        paid += 1;
        net.until_paid(&everybody, paid).await;
    }
    let chain = net.check(&everybody).await;
    let proposers: std::collections::BTreeSet<_> =
        chain.iter().map(|one| one.block.header.proposer).collect();
    assert_eq!(proposers.len(), 4, "each had its turn");
    for node in everybody {
        assert!(net.evidence(node).try_recv().is_err(), "all were honest");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_stopped_catches_up_from_its_record() {
    let mut net = Net::of(4).await;
    net.pay(0, 0).await;
    net.until_paid(&[0, 1, 2, 3], 1).await;
    net.stop(3).await;
    let behind = net.height(3);
    for nonce in 1..6 {
        net.pay(0, nonce).await;
        net.until_paid(&[0, 1, 2], nonce + 1).await;
    }
    assert_eq!(net.height(3), behind);
    net.restart(3).await.unwrap();
    net.until_paid(&[3], 6).await;
    net.pay(3, 6).await;
    net.until_paid(&[0, 1, 2, 3], 7).await;
    net.check(&[0, 1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_stopped_at_once_go_on() {
    let mut net = Net::of(4).await;
    for round in 0..3 {
        net.pay(0, round).await;
        net.until_paid(&[0, 1, 2, 3], round + 1).await;
        for node in 0..4 {
            net.stop(node).await;
        }
        for node in 0..4 {
            net.restart(node).await.unwrap();
        }
        net.connect().await;
    }
    net.pay(1, 3).await;
    net.until_paid(&[0, 1, 2, 3], 4).await;
    net.check(&[0, 1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_validator_is_refused_under_its_old_key() {
    let mut net = Net::of(4).await;
    net.pay(0, 0).await;
    net.until_paid(&[0, 1, 2, 3], 1).await;
    net.stop(3).await;
    std::fs::remove_dir_all(net.dir(3)).unwrap();
    let refused = net.restart(3).await.unwrap_err();
    let wiped = matches!(refused, BftError::Guard(GuardError::WipedValidator { .. }));
    assert!(wiped, "{refused}");
    // The others go on without it, and so does it without its ledger but with its record: not.
    net.pay(0, 1).await;
    net.until_paid(&[0, 1, 2], 2).await;
    net.stop(2).await;
    net.forget_ledger(2);
    let refused = net.restart(2).await.unwrap_err();
    let behind = matches!(refused, BftError::Guard(GuardError::Behind { .. }));
    assert!(behind, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_of_four_go_on_and_two_do_not() {
    let mut net = Net::of(4).await;
    net.stop(1).await;
    for nonce in 0..4 {
        net.pay(0, nonce).await;
        net.until_paid(&[0, 2, 3], nonce + 1).await;
    }
    net.stop(2).await;
    let head = net.height(0);
    net.pay(0, 4).await;
    net.restart(1).await.unwrap();
    net.until_paid(&[0, 1, 3], 5).await;
    assert!(net.height(0) > head);
    net.check(&[0, 1, 3]).await;
}

/// 4 → 5 → 4, by transactions, while blocks go on; who has left follows without voting.
#[tokio::test(flavor = "multi_thread")]
async fn validators_come_and_go() {
    let mut net = Net::of(4).await;
    net.pay(0, 0).await;
    net.until_paid(&[0, 1, 2, 3], 1).await;
    let fifth = net.add().await;
    net.connect().await;
    net.until_paid(&[fifth], 1).await;
    net.stand(fifth, 1).await;
    net.until(&[0, 1, 2], |state| {
        state.addition(&key(fifth).node()).is_some()
    })
    .await;
    for validator in 0..3 {
        net.approve_addition(validator, fifth).await;
    }
    net.until(&[0, 1, 2, 3, fifth], |state| {
        state.validators().members().len() == 5
    })
    .await;
    // With five, four make a quorum: without it nothing would go on.
    net.stop(0).await;
    net.pay(1, 2).await;
    net.until_paid(&[1, 2, 3, fifth], 2).await;
    for validator in [1, 2, 3, fifth] {
        net.approve_removal(validator, 0).await;
    }
    net.until(&[1, 2, 3, fifth], |state| {
        state.validators().members().len() == 4
    })
    .await;
    net.restart(0).await.unwrap();
    net.connect().await;
    net.pay(1, 3).await;
    net.until_paid(&[0, 1, 2, 3, fifth], 3).await;
    net.check(&[0, 1, 2, 3, fifth]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_is_refused() {
    let net = Net::of(1).await;
    let bft = net.bft(0);
    let refused = bft.add_peer("example.org:4002").await;
    assert!(matches!(refused, Err(BftError::Address(_))), "{refused:?}");
    let node = key(0).node();
    let suffix = format!("/p2p/{}", peer_id(&node));
    let [address] = bft.addresses() else {
        panic!("one address: {:?}", bft.addresses());
    };
    assert!(address.ends_with(&suffix) && !address.contains("/tcp/0"));
}

/// A validator that has acknowledged a proof, and was stopped then.
async fn stopped_after_its_word() -> (Net, Provider, ProofAck) {
    let mut net = Net::of(1).await;
    let provider = Provider::asked(&net).await;
    let blob = provider.proof(&net.state(0));
    let (bft, node) = (net.bft(0).clone(), provider.node());
    let ack = until_taken(|| bft.submit_proof(node, blob.clone())).await;
    let ack = ack.unwrap();
    drop(bft);
    let slot = net.state(0).slot_of(&provider.node());
    assert!(ack.is_of((slot, &provider.node()), &blob));
    assert_eq!(ack.by, key(0).node());
    net.stop(0).await;
    (net, provider, ack)
}

/// The one verdict on a slot.
async fn verdict(net: &Net, slot: u64) -> Option<Reason> {
    let chain = net.check(&[0]).await;
    let mut batches = chain.iter().flat_map(|one| &one.block.verdicts);
    let batch = batches.find(|batch| batch.slot == slot).unwrap();
    let [verdict] = batch.results[..] else {
        panic!("one provider: {batch:?}");
    };
    verdict
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_validator_keeps_its_word() {
    let (mut net, provider, ack) = Box::pin(stopped_after_its_word()).await;
    net.restart(0).await.unwrap();
    let slot = provider.judged(&net).await;
    assert_eq!(verdict(&net, slot).await, None, "a pass");
    assert_eq!(net.state(0).withheld_from(&provider.node()), []);
    let accused = Tx::Censored(Censored { ack });
    assert!(net.bft(0).submit(accused).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_throws_its_word_away_is_struck_by_it() {
    let (mut net, provider, ack) = Box::pin(stopped_after_its_word()).await;
    std::fs::remove_dir_all(net.dir(0).join("acknowledged")).unwrap();
    net.restart(0).await.unwrap();
    let slot = provider.judged(&net).await;
    assert_eq!(verdict(&net, slot).await, Some(Reason::Excused));
    let withheld = net.state(0).withheld_from(&provider.node());
    assert_eq!(withheld, [(ack.slot, ack.by)]);
    let accused = Tx::Censored(Censored { ack });
    let bft = net.bft(0);
    until_taken(|| bft.submit(accused.clone())).await;
    let strikes = |state: &larder_ledger::State| {
        let record = state.validator(&ack.by);
        record.is_some_and(|record| record.strikes == 1)
    };
    net.until(&[0], strikes).await;
}
