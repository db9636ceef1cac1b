//! A home as it is made, opened and refused.

use super::*;
use larder_types::Profile;

fn options(words: Option<&str>) -> InitOptions {
    InitOptions {
        network: Network::New {
            profile: Profile::Dev,
            epoch: None,
            consensus: Consensus::Solo,
        },
        words: words.map(|w| Zeroizing::new(w.to_owned())),
    }
}

#[test]
fn a_home_is_made_once_and_opens_for_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    assert!(matches!(
        Home::open(&home, None),
        Err(HomeError::Missing(_))
    ));
    let made = init(&home, options(None)).unwrap();
    assert!(matches!(
        init(&home, options(None)),
        Err(HomeError::Exists(_))
    ));
    let open = Home::open(&home, None).unwrap();
    assert_eq!(open.keys.account(), made.account);
    assert!(open.keys.delegation.verify(&open.genesis_hash().unwrap()));
    assert_eq!(open.keys.delegation.subkey, open.keys.sub_key());
    let genesis = open.genesis().unwrap().unwrap();
    assert_eq!(genesis.founder, made.account);
    assert_eq!(genesis.validators[0].node, open.keys.node.node());
    assert!(matches!(Home::open(&home, None), Err(HomeError::Busy(_))));
    drop(open);
    assert!(Home::open(&home, None).is_ok());
}

#[test]
fn keys_are_private_and_the_words_are_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let made = init(&home, options(None)).unwrap();
    let first = made.words.split(' ').next().unwrap().to_owned();
    for entry in fs::read_dir(home.join("keys")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600
        );
        let bytes = fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(first.len()).any(|w| w == first.as_bytes()));
    }
    fs::set_permissions(
        home.join("keys/ledger.key"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    assert!(matches!(
        Home::open(&home, None),
        Err(HomeError::Damaged { .. })
    ));
}

#[test]
fn wrong_words_and_invites_leave_no_home() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let wrong = init(&home, options(Some("abandon art"))).unwrap_err();
    assert_eq!(wrong.exit_code(), 12);
    let join = InitOptions {
        network: Network::Join {
            invite: "larder1nonsense".to_owned(),
        },
        words: None,
    };
    assert_eq!(init(&home, join).unwrap_err().exit_code(), 1);
    assert!(!home.exists());
}

#[test]
fn a_device_is_certified_and_older_homes_open_without() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let made = init(&home, options(None)).unwrap();
    let open = Home::open(&home, None).unwrap();
    let (cert, genesis) = (
        open.keys.cert.clone().unwrap(),
        open.genesis_hash().unwrap(),
    );
    assert!(cert.holds(now(), &genesis));
    assert!(!cert.holds(now().after(CERT_LASTS).after(Millis(1)), &genesis));
    assert_eq!(cert.account, made.account);
    assert_eq!(cert.device_pk, open.keys.device.public());
    let ours = open.recovery_keys().unwrap();
    drop(open);
    for name in ["device.cert", "rendezvous.key"] {
        fs::remove_file(home.join("keys").join(name)).unwrap();
    }
    let older = Home::open(&home, None).unwrap();
    assert!(older.keys.cert.is_none());
    assert_ne!(older.recovery_keys().unwrap().key, ours.key);
}

/// Every file below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let below = |path: PathBuf| match path.is_dir() {
        true => files(&path),
        false => vec![path],
    };
    entries.flat_map(below).collect()
}

#[test]
fn neither_the_account_key_nor_the_admin_key_rests_in_a_home() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let made = init(&home, options(None)).unwrap();
    let seed = Words::parse(&made.words).unwrap().seed();
    let secrets = [seed.account().to_seed(), seed.admin().to_seed()];
    let all = files(&home);
    assert!(all.len() > 6);
    for path in all {
        let bytes = fs::read(&path).unwrap();
        for secret in &secrets {
            let found = bytes.windows(32).any(|w| w == secret.as_slice());
            assert!(!found, "{}", path.display());
        }
    }
}

/// What the first version wrote: `genesis.cbor`, from that version's code, in hex.
const OLD_GENESIS: &str = include_str!("genesis-of-version-1.txt");

#[test]
fn a_home_of_the_first_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    fs::create_dir_all(home.join("keys")).unwrap();
    let (hex, hash) = OLD_GENESIS.trim().split_once(' ').unwrap();
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
        .collect();
    assert_eq!(
        GenesisHash(*blake3::hash(&bytes).as_bytes()).to_string(),
        hash
    );
    let config = format!("[network]\ngenesis = \"{hash}\"\nbootstrap = []\n");
    fs::write(home.join("config.toml"), config).unwrap();
    fs::write(home.join("genesis.cbor"), bytes).unwrap();
    for key in ["node", "device", "account", "vault", "rendezvous"] {
        let path = key_path(&home, key);
        fs::write(&path, [7; 32]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let before = files(&home);
    let refused = |home: &Path| match Home::open(home, None) {
        Err(e @ HomeError::Old(_)) => (e.exit_code(), e.to_string()),
        other => panic!("{other:?}"),
    };
    let (exit, message) = refused(&home);
    assert_eq!(exit, 1);
    assert!(message.contains("earlier version") && message.contains("init"));
    assert!(!message.contains('\n'));
    assert_eq!(files(&home), before);
    // The genesis alone is enough, and the account key is.
    fs::rename(key_path(&home, "account"), key_path(&home, "ledger")).unwrap();
    refused(&home);
    fs::remove_file(home.join("genesis.cbor")).unwrap();
    fs::rename(key_path(&home, "ledger"), key_path(&home, "account")).unwrap();
    refused(&home);
}

#[test]
fn the_same_words_give_the_same_account() {
    let dir = tempfile::tempdir().unwrap();
    let made = init(&dir.path().join("a"), options(None)).unwrap();
    let again = init(&dir.path().join("b"), options(Some(&made.words))).unwrap();
    assert_eq!(made.account, again.account);
    assert_ne!(made.peer_id, again.peer_id, "the node's key is its own");
}

#[test]
fn a_certificate_of_another_account_or_device_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [ours, twin, other] = ["ours", "twin", "other"].map(|name| dir.path().join(name));
    let words = init(&ours, options(None)).unwrap().words;
    init(&twin, options(Some(&words))).unwrap();
    init(&other, options(None)).unwrap();
    let own = fs::read(cert_path(&ours)).unwrap();
    for foreign in [&twin, &other] {
        fs::copy(cert_path(foreign), cert_path(&ours)).unwrap();
        let refused = Home::open(&ours, None).unwrap_err();
        assert!(refused.to_string().contains("certify"), "{refused}");
    }
    fs::write(cert_path(&ours), own).unwrap();
    Home::open(&ours, None).unwrap();
}
