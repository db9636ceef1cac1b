//! A contract that a person ends: nothing is lost by it, and no device can do it without the words.

use crate::by_hand::saved;
use crate::fleet::{Fleet, offered};
use crate::folder::{plain, same};
use crate::until::until;
use std::fs;
use std::path::Path;
use std::time::Duration;

const PROVIDERS: usize = 4;
const SOON: Duration = Duration::from_secs(180);

#[test]
fn a_contract_ends_by_notice_and_what_lay_there_lies_elsewhere_before() {
    let fleet = Fleet::found("4s");
    let _providers = fleet.providers(PROVIDERS);
    let (keeper, words) = fleet.keeper_with_words();
    offered(&keeper, PROVIDERS);
    let folder = fleet.path("folder");
    plain(&folder, 2);
    saved(&keeper.larder(&["backup", folder.to_str().unwrap()]));
    let whole = || keeper.repairs()["full_redundancy"] == true;
    until("all is whole", SOON, || whole().then_some(()));

    let begun = |it: &larder_rpc::RenterContract| it.used > 0 && it.settled;
    let leaves = until("a contract has begun", SOON, || {
        keeper.contracts().into_iter().find(begun)
    });
    let id = leaves.contract.to_string();
    let others = fleet.path("others.txt");
    fs::write(
        &others,
        larder_keys::Words::generate(&mut rand::rng())
            .reveal()
            .as_str(),
    )
    .unwrap();
    let cancel = |words: &Path| {
        let words = words.to_str().unwrap();
        keeper.larder(&["contracts", "cancel", &id, "--words-file", words])
    };
    let refused = cancel(&others).refused(12);
    assert!(refused.contains("another account"), "{refused}");

    let done = cancel(&words).done();
    assert!(done["leaves_in"].as_u64().is_some(), "{done}");
    until("the contract has ended", SOON, || {
        let gone = keeper
            .contracts()
            .iter()
            .all(|it| it.contract != leaves.contract);
        gone.then_some(())
    });
    until("what lay there lies elsewhere", SOON, || {
        whole().then_some(())
    });
    let target = fleet.path("back");
    keeper
        .larder(&["restore", "latest", "--target", target.to_str().unwrap()])
        .done();
    same(&folder, &target);

    // More than is allowed is not rented; what is, stays.
    let allowed = keeper
        .larder(&["contracts", "allowance", "0.000000001"])
        .done();
    assert_eq!(allowed["allowance"], "0.000000001", "{allowed}");
    let rented: Vec<String> = keeper
        .contracts()
        .iter()
        .map(|it| it.provider.to_string())
        .collect();
    let offers = keeper.larder(&["offers"]).objects();
    let offers = offers.iter().filter_map(|it| it["provider"].as_str());
    let free = { offers }
        .find(|provider| !rented.iter().any(|it| it == provider))
        .unwrap();
    let params = format!("{{\"provider\":\"{free}\",\"size\":1048576}}");
    let rent = keeper
        .larder(&["call", "renter_createContract", &params])
        .refused(21);
    assert!(rent.contains("allowance"), "{rent}");
    let any = keeper.larder(&["contracts", "allowance", "none"]).done();
    assert!(any["allowance"].is_null(), "{any}");
}
