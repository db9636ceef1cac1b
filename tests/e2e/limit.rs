//! What a device may spend, and what takes the words: a home without the account key.

use crate::fleet::{Fleet, Node, larder};
use crate::folder::files;
use crate::until::until;
use larder_keys::{Seed, Words};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

const CREDIT: u64 = 1_000_000_000;

fn limit(keeper: &Node) -> Value {
    keeper.larder(&["wallet", "limit"]).done()
}

/// No file of the home holds a key that only the words give, nor the words.
fn holds_no_key_of(home: &Path, words: &str, seed: &Seed) {
    let first: Vec<&str> = words.split(' ').take(4).collect();
    let first = first.join(" ");
    let secrets = [seed.account().to_seed(), seed.admin().to_seed()];
    let all = files(home);
    assert!(all.iter().any(|file| file.ends_with("keys/ledger.key")));
    assert!(!home.join("keys/account.key").exists());
    for file in all {
        let bytes = fs::read(&file).unwrap();
        let has = |secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
        assert!(
            !has(first.as_bytes()),
            "the words lie in {}",
            file.display()
        );
        for secret in &secrets {
            assert!(!has(secret.as_slice()), "a key lies in {}", file.display());
        }
    }
}

#[test]
fn a_device_spends_within_its_limit_and_the_words_beyond_it() {
    // One epoch for all of it: limits are counted in each anew.
    let fleet = Fleet::found("900s");
    let (mut keeper, words_file) = fleet.keeper_with_words();
    let words = words_file.to_str().unwrap().to_owned();
    let seed = Words::parse(&fs::read_to_string(&words_file).unwrap())
        .unwrap()
        .seed();
    until("the faucet granted", Duration::from_secs(180), || {
        (keeper.status().balance.0.nano() > 0).then_some(())
    });
    let shown = limit(&keeper);
    assert_eq!(
        (&shown["authorised"], &shown["limit"]),
        (&true.into(), &Value::Null)
    );
    let may: Vec<Value> = ["open", "add", "renew", "transfer"]
        .map(Value::from)
        .to_vec();
    assert_eq!(shown["may"], Value::from(may));
    assert_eq!(shown["spent"], "0");

    // Another account's words set nothing, and neither does who has none.
    let other = fleet.path("other");
    let others = larder(&fleet.path("stranger"), &["init", "--new-network"]).done();
    fs::write(&other, others["words"].as_str().unwrap()).unwrap();
    let other = other.to_str().unwrap();
    let wrong = ["wallet", "limit", "20", "--words-file", other];
    let said = keeper.larder(&wrong).refused(12);
    assert!(said.contains("another account"), "{said}");
    keeper.larder(&["wallet", "limit", "20"]).refused(12);
    assert_eq!(limit(&keeper)["limit"], Value::Null);

    let set = ["wallet", "limit", "20", "--words-file", &words];
    keeper.larder(&set).done();
    assert_eq!(limit(&keeper)["limit"], "20");
    let to = fleet.founder.info().account.to_string();
    let sent = keeper.larder(&["wallet", "send", &to, "15"]).done();
    assert_eq!(sent["status"], "included");
    assert_eq!(limit(&keeper)["spent"], "15");

    // Five are left. Restarted, the device may no more than before.
    keeper.kill();
    keeper.start();
    let more = ["wallet", "send", &to, "10"];
    keeper.larder(&more).refused(12);
    let with = |words| [&more[..], &["--words-file", words]].concat();
    keeper.larder(&with(other)).refused(12);
    let balance = |credits: u64| {
        until("the balance is right", Duration::from_secs(180), || {
            (keeper.status().balance.0.nano() == credits * CREDIT).then_some(())
        });
    };
    balance(85);
    let sent = keeper.larder(&with(&words)).done();
    assert_eq!(sent["status"], "included");
    balance(75);
    assert_eq!(
        limit(&keeper)["spent"],
        "15",
        "the account key has no limit"
    );

    keeper
        .larder(&["wallet", "limit", "none", "--words-file", &words])
        .done();
    assert_eq!(limit(&keeper)["limit"], Value::Null);
    keeper.larder(&more).done();
    balance(65);
    let text = fs::read_to_string(&words_file).unwrap();
    holds_no_key_of(&keeper.home, &text, &seed);
}
