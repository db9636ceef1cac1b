//! Wallets on disk and in memory.

use super::*;
use std::os::unix::fs::PermissionsExt as _;

fn secret(text: &str) -> Option<Zeroizing<String>> {
    Some(Zeroizing::new(text.to_owned()))
}

fn key(seed: u8) -> Signer {
    Signer::from_seed(&[seed; 32])
}

async fn keep(wallets: &Wallets, name: &str, seed: u8, pass: Option<&str>) -> Ready {
    let pass = pass.and_then(secret);
    let kept = wallets.keep(name.to_owned(), key(seed), pass).await;
    kept.unwrap().ready
}

#[tokio::test]
async fn a_wallet_signs_while_it_is_unlocked_and_is_locked_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let wallets = Wallets::open(home.path()).unwrap();
    assert_eq!(keep(&wallets, "shop", 1, Some("pass")).await, Ready::Locked);
    assert_eq!(keep(&wallets, "till", 2, None).await, Ready::Always);
    assert_eq!(wallets.signer("till").unwrap().account(), key(2).account());
    let locked = wallets.signer("shop").unwrap_err();
    assert!(matches!(locked, WalletError::Locked(_)), "{locked}");

    let hour = Duration::from_secs(3_600);
    let pass = |text: &str| Zeroizing::new(text.to_owned());
    let refused = wallets.unlock("shop", pass("Pass"), hour).await;
    assert!(matches!(
        refused,
        Err(WalletError::Shut(_, OpenError::Wrong))
    ));
    assert!(wallets.signer("shop").is_err());
    let opened = wallets.unlock("shop", pass("pass"), hour).await.unwrap();
    assert!(matches!(opened.ready, Ready::Until(_)));
    assert_eq!(wallets.signer("shop").unwrap().account(), key(1).account());
    assert_eq!(wallets.lock("shop").unwrap().ready, Ready::Locked);
    assert!(wallets.signer("shop").is_err());

    wallets.unlock("shop", pass("pass"), hour).await.unwrap();
    let again = Wallets::open(home.path()).unwrap();
    assert_eq!(again.accounts(), wallets.accounts());
    assert_eq!(again.get("shop").unwrap().ready, Ready::Locked);
    assert!(again.signer("till").is_ok());
    assert!(matches!(again.lock("till"), Err(WalletError::Open(_))));
    let file = home.path().join("wallets/shop.cbor");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let open = Wallets::open(home.path()).unwrap_err().to_string();
    assert!(open.contains("others can read"), "{open}");
}

#[tokio::test(start_paused = true)]
async fn an_unlocking_ends_by_itself_and_does_not_end_a_later_one() {
    let home = tempfile::tempdir().unwrap();
    let wallets = Wallets::open(home.path()).unwrap();
    keep(&wallets, "shop", 1, Some("pass")).await;
    let pass = Zeroizing::new("pass".to_owned());
    let (short, long) = (Duration::from_secs(60), Duration::from_secs(600));
    wallets.unlock("shop", pass.clone(), short).await.unwrap();
    wallets.unlock("shop", pass, long).await.unwrap();
    let holds = || wallets.all().find("shop").unwrap().unlocked.is_some();
    tokio::time::sleep(short * 2).await;
    assert!(holds(), "the first unlocking's end is not the second one's");
    tokio::time::sleep(long).await;
    assert!(!holds(), "the key is gone from memory");
}

#[tokio::test]
async fn names_are_plain_and_each_account_is_kept_once() {
    let home = tempfile::tempdir().unwrap();
    let wallets = Wallets::open(home.path()).unwrap();
    for name in ["", "home", "a/b", "..", "Shop", "a b", &"x".repeat(33)] {
        let refused = wallets.keep(name.to_owned(), key(1), None).await;
        assert!(matches!(refused, Err(WalletError::Name(_))), "{name:?}");
    }
    let empty = wallets.keep("a".to_owned(), key(1), secret("")).await;
    assert!(matches!(empty, Err(WalletError::Empty)));
    keep(&wallets, "a", 1, None).await;
    let twice = wallets.keep("a".to_owned(), key(2), None).await;
    assert!(matches!(twice, Err(WalletError::Exists(_))));
    let same = wallets.keep("b".to_owned(), key(1), None).await;
    assert!(matches!(same, Err(WalletError::Known(name)) if name == "a"));
    assert!(matches!(wallets.get("b"), Err(WalletError::Missing(_))));
    assert_eq!(wallets.list().len(), 1);
}
