//! A proof among validators, over loopback: what each of them answers finds its way.

use super::*;
use crate::driver::{self, Msg};
use crate::follow::tests::{
    DEADLINE, OTHER, PEER, VALIDATOR, genesis_of_two, introduce, node, request,
};
use larder_keys::Signer;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_takes_a_proof_is_enough_and_later_acknowledgements_reach_the_engine() {
    let genesis = genesis_of_two();
    let (mut validator, mut other) = (node(VALIDATOR, &genesis).await, node(OTHER, &genesis).await);
    let provider = node(PEER, &genesis).await;
    introduce(&provider.net, &validator.net).await;
    introduce(&provider.net, &other.net).await;
    let validators = Validators {
        own: provider.net.node(),
        ledger: provider.chain.ledger(),
        seat: Seat::default(),
        net: provider.net.clone(),
    };
    let (driver, mut told) = driver::inbox();
    let proof = Submission::Proof {
        slot: 7,
        blob: b"a proof".to_vec(),
    };
    let submitted = tokio::spawn(async move { validators.submit(proof, &driver).await });

    // One that gives no acknowledgements.
    let (call, respond) = request(&mut other.events).await;
    assert!(matches!(call, Call::Proof { slot: 7, .. }), "{call:?}");
    let taken = codec::encode(&Answer::Taken);
    respond.respond(taken).await.unwrap();
    assert_eq!(submitted.await.unwrap(), Ok(()));

    let (_, respond) = request(&mut validator.events).await;
    let (key, by) = (Signer::from_seed(&VALIDATOR), validator.net.node());
    let provider = provider.net.node();
    let given = ProofAck::sign(&key, 7, provider, b"a proof", &genesis.hash());
    let acknowledged = codec::encode(&Answer::Acknowledged(given));
    respond.respond(acknowledged).await.unwrap();
    let heard = timeout(DEADLINE, told.recv()).await.expect("it is told");
    let Some(Msg::Input(Input::Acked { from, ack })) = heard else {
        panic!("no acknowledgement: {heard:?}");
    };
    assert_eq!((from, ack), (by, given));
    let more = timeout(DEADLINE, told.recv())
        .await
        .expect("nobody is asked any more");
    assert!(more.is_none(), "{more:?}");
}
