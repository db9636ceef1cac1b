//! Wallets beside the home's own account, keys that lie elsewhere, and wallets in other languages that
//! believe no node.

use crate::fleet::{Fleet, Node, Said, larder};
use crate::foreign::Program;
use crate::until::until;
use larder_rpc::{
    AccountParams, Client, ClientError, Code, HistoryParams, Text, TxParams, TxState,
    WalletPageParams,
};
use larder_types::AccountId;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

const SETTLE: Duration = Duration::from_secs(180);

/// The one line of a program that succeeded.
fn said(said: &Said) -> Value {
    assert_eq!(said.code, 0, "{said:?}");
    serde_json::from_str(said.out.trim()).unwrap_or_else(|e| panic!("{e}: {said:?}"))
}

fn nano(said: &Value) -> u64 {
    said["balance"].as_str().unwrap().parse().unwrap()
}

/// The account of a new key in a language's own hands.
fn new_key(program: &Program, file: &Path) -> String {
    let made = said(&program.run(&["new", file.to_str().unwrap()]));
    made["account"].as_str().unwrap().to_owned()
}

fn pays(node: &Node, to: &str, credits: &str) -> Value {
    let sent = node.larder(&["wallet", "send", to, credits]).done();
    assert_eq!(sent["status"], "included", "{sent}");
    sent
}

#[test]
fn wallets_in_javascript_and_python_sign_pay_and_believe_no_liar() {
    let fleet = Fleet::found_bft("6s");
    // The set has changed once: those who do not follow the change trust a stale set.
    let validators = fleet.validators(1);
    let node = &validators[0];
    let (js, py) = (Program::of("wallet.mjs"), Program::of("wallet.py"));
    let (js_key, py_key) = (fleet.path("js.key"), fleet.path("py.key"));
    let (js_account, py_account) = (new_key(&js, &js_key), new_key(&py, &py_key));
    for account in [&js_account, &py_account] {
        pays(&fleet.founder, account, "9");
        let account = Text(account.parse().unwrap());
        until("the payment is on this node too", SETTLE, || {
            let params = AccountParams { account, at: None };
            let ask = |node: Client| async move { node.ledger_get_balance(&params).await };
            (node.ask(ask).unwrap().available.0.nano() > 0).then_some(())
        });
    }

    let wallets = [
        (&js, js_key, &js_account, &py_account, "2000000000"),
        (&py, py_key, &py_account, &js_account, "500000000"),
    ];
    for (program, key, account, to, amount) in &wallets {
        let words = [
            "send",
            "--key",
            key.to_str().unwrap(),
            "--to",
            to,
            "--amount",
            amount,
        ];
        let sent = said(&program.ask(node, &words));
        assert_eq!(sent["account"], **account);
        // Handed in once more though it is in a block.
        assert_eq!(sent["again"], "known", "{sent}");
        assert!(sent["height"].as_u64().unwrap() > 1);
    }
    let balances = [(&js_account, 7_500_000_000), (&py_account, 10_500_000_000)];
    for (program, ..) in &wallets {
        for (account, balance) in balances {
            let believed = said(&program.ask(node, &["verify", "--account", account]));
            assert_eq!(nano(&believed), balance, "{believed}");
            assert_eq!(
                (&believed["changes"], &believed["validators"]),
                (&1.into(), &2.into())
            );
        }
        for (lie, why) in [
            (
                "balance",
                "the path does not lead from the account's record",
            ),
            (
                "certificate",
                "the certificate's signature is not the validators'",
            ),
            ("validators", "names other validators than those trusted"),
        ] {
            let lied = program.ask(node, &["verify", "--account", &js_account, "--forge", lie]);
            assert_eq!((lied.code, lied.out.as_str()), (1, ""), "{lied:?}");
            assert!(lied.err.contains(why), "{lied:?}");
        }
    }
    // Of an account that nobody ever paid, they believe that there is nothing.
    let nobody = AccountId([7; 32]).to_string();
    for (program, ..) in &wallets {
        let believed = said(&program.ask(node, &["verify", "--account", &nobody]));
        assert_eq!(nano(&believed), 0);
    }
}

/// The code of a refused call.
fn code<T: std::fmt::Debug>(asked: Result<T, ClientError>) -> Code {
    let error = asked.unwrap_err();
    let ClientError::Refused { code, .. } = error else {
        panic!("{error}");
    };
    code
}

fn kinds(listed: &Said) -> Vec<(String, bool, String)> {
    assert_eq!(listed.code, 0, "{listed:?}");
    let row = |row: Value| {
        let text = |field: &str| row[field].as_str().unwrap().to_owned();
        (text("kind"), row["received"] == true, text("amount"))
    };
    listed.objects().into_iter().map(row).collect()
}

#[test]
fn a_wallet_is_made_locked_paid_and_spent_from_and_its_past_is_kept() {
    let fleet = Fleet::found("4s");
    let mut founder = fleet.founder;
    until("the chain has a block", SETTLE, || {
        (founder.status().height > 1).then_some(())
    });
    let pass = fleet.invite.len().to_string();
    let file = founder.home.join("pass");
    fs::write(&file, format!("{pass}\n")).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let create = ["wallet", "create", "shop", "--passphrase-file", &file];
    let made = founder.larder(&create).done();
    let shop = made["account"].as_str().unwrap().to_owned();
    let words = made["words"].as_str().unwrap().to_owned();
    assert_eq!(
        (&made["sealed"], words.split(' ').count()),
        (&true.into(), 24)
    );
    let again = founder.larder(&create).refused(1);
    assert!(again.contains("already"), "{again}");
    pays(&founder, &shop, "30");

    // Locked, the wrong passphrase, unlocked.
    let own = founder.info().account.to_string();
    let back = ["wallet", "send", &own, "4", "--wallet", "shop"];
    let locked = founder.larder(&back).refused(11);
    assert!(locked.contains("unlock"), "{locked}");
    let wrong = founder.home.join("wrong");
    fs::write(&wrong, "not it").unwrap();
    let unlock =
        |file: &str| ["wallet", "unlock", "shop", "--passphrase-file", file].map(String::from);
    founder.larder(&unlock(wrong.to_str().unwrap())).refused(12);
    let opened = founder.larder(&unlock(&file)).done();
    assert_eq!(opened["state"], "unlocked", "{opened}");
    let sent = founder.larder(&back).done();
    assert_eq!(sent["status"], "included");
    let tx: Text<larder_types::TxId> = Text(sent["tx"].as_str().unwrap().parse().unwrap());
    let found = founder.ask(|node| async move { node.tx_get(&TxParams { tx }).await });
    let found = found.unwrap();
    assert_eq!(found.status, TxState::Included);
    assert_eq!(found.height, sent["height"].as_u64());
    assert_eq!(
        founder.larder(&["wallet", "lock", "shop"]).done()["state"],
        "locked"
    );
    founder.larder(&back).refused(11);
    let listed = founder.larder(&["wallet", "list"]).objects();
    let names: Vec<_> = listed
        .iter()
        .map(|w| w["wallet"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["home", "shop"]);

    // Its past, page after page, newest first.
    let past = kinds(&founder.larder(&["wallet", "history", "--wallet", "shop"]));
    let transfer = |is_in, amount: &str| ("transfer".to_owned(), is_in, amount.to_owned());
    assert_eq!(past, [transfer(false, "4"), transfer(true, "30")]);
    let pages = founder.ask(|node| async move {
        let page = |cursor| WalletPageParams {
            cursor,
            limit: Some(1),
            wallet: Some("shop".to_owned()),
        };
        let first = node.wallet_list_transactions(&page(None)).await?;
        let second = node
            .wallet_list_transactions(&page(first.next_cursor))
            .await?;
        assert_eq!(second.next_cursor, None);
        Ok((first.items[0].received, second.items[0].received))
    });
    assert_eq!(pages.unwrap(), (false, true));

    // The words give the same account anywhere, without a node.
    let file = founder.home.join("words");
    fs::write(&file, &words).unwrap();
    let file = file.to_str().unwrap();
    let nowhere = founder.home.join("nowhere");
    let shown = larder(&nowhere, &["wallet", "new", "--words-file", file]).done();
    assert_eq!(shown["account"], *shop);
    let built = founder
        .larder(&["wallet", "build", &own, "2.5", "--from", &shop])
        .done();
    let document = founder.home.join("built.json");
    fs::write(&document, built.to_string()).unwrap();
    let sign = |document: &Path| {
        let document = document.to_str().unwrap();
        larder(
            &nowhere,
            &["wallet", "sign", "--tx", document, "--words-file", file],
        )
    };
    let signed = sign(&document).done();
    let mut lied = built;
    lied["amount"] = "1".into();
    let lies = founder.home.join("lied.json");
    fs::write(&lies, lied.to_string()).unwrap();
    let refused = sign(&lies).refused(1);
    assert!(refused.contains("something else"), "{refused}");
    assert!(!nowhere.exists());
    let document = founder.home.join("signed.json");
    fs::write(&document, signed.to_string()).unwrap();
    let document = document.to_str().unwrap();
    let read = founder.larder(&["wallet", "decode", document]).done();
    assert_eq!(
        (&read["signature"], &read["refusal"]),
        (&"good".into(), &Value::Null)
    );
    assert_eq!(read["content"]["amount"], "2500000000");
    let submit = ["wallet", "submit", document];
    assert_eq!(founder.larder(&submit).done()["status"], "included");
    assert_eq!(founder.larder(&submit).done()["status"], "known");
    let read = founder.larder(&["wallet", "decode", document]).done();
    assert!(read["refusal"].is_string(), "its nonce is spent: {read}");

    // Of a stranger nothing is kept, until the configuration says so; then its whole past is there.
    let stranger = AccountId([9; 32]);
    pays(&founder, &stranger.to_string(), "1");
    let ask = |founder: &Node| {
        founder.ask(|node| async move {
            let params = HistoryParams {
                account: Text(stranger),
                cursor: None,
                limit: None,
            };
            node.ledger_get_history(&params).await
        })
    };
    assert_eq!(code(ask(&founder)), Code::HistoryNotKept);
    let refused = founder.larder(&["wallet", "history", "--account", &stranger.to_string()]);
    assert!(refused.refused(1).contains("[rpc]"));
    founder.stop();
    let config = founder.home.join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\n[rpc]\nhistory = \"all\"\n")).unwrap();
    founder.start();
    let past = until("the past is gathered", SETTLE, || ask(&founder).ok());
    assert_eq!(past.items.len(), 1);
    assert!(past.items[0].received && past.items[0].amount.0.nano() == 1_000_000_000);
    // What is the home's own is still there, and the wallet is locked after the restart.
    let past = kinds(&founder.larder(&["wallet", "history", "--wallet", "shop"]));
    assert_eq!(past.len(), 3, "{past:?}");
    founder.larder(&back).refused(11);
    // Known for as long as it could be replayed, over a restart too.
    assert_eq!(founder.larder(&submit).done()["status"], "known");
}
