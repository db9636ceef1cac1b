//! Keys that come, change and go, and files that were changed.

use super::*;
use larder_types::codec;

/// As cheap as Argon2id goes.
const CHEAP: Stretch = Stretch {
    memory: 8,
    passes: 1,
    lanes: 1,
};

/// Counts; a vector needs the same bytes each time.
struct Counter(u8);

impl rand_core::TryRng for Counter {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

fn new<'a>(name: &'a str, passphrase: &'a str) -> NewKey<'a> {
    NewKey {
        name,
        passphrase,
        made: Time(1_000),
        stretch: CHEAP,
    }
}

fn secrets() -> Secrets {
    let pair = |(name, byte): (&str, u8)| (name.to_owned(), Zeroizing::new([byte; KEY]));
    [("node", 7), ("vault", 8)].map(pair).into()
}

fn sealed(rng: &mut Counter) -> Keyring {
    Keyring::seal(AccountId([1; 32]), &secrets(), new("first", "one"), rng).unwrap()
}

fn opens(ring: &Keyring, passphrase: &str) -> Result<Secrets, OpenError> {
    let (home, _) = ring.open(passphrase)?;
    ring.secrets(&home).map_err(|_| OpenError::Other)
}

#[test]
fn keys_come_change_and_go_and_each_opens_all_of_it() {
    let mut rng = Counter(0);
    let mut ring = sealed(&mut rng);
    let (home, by) = ring.open("one").unwrap();
    assert_eq!(by, "first");
    assert_eq!(opens(&ring, "two").unwrap_err(), OpenError::Wrong);
    ring.add(&home, new("second", "two"), &mut rng).unwrap();
    for passphrase in ["one", "two"] {
        assert_eq!(opens(&ring, passphrase).unwrap(), secrets());
    }
    let add = |ring: &mut Keyring, name, passphrase| {
        let added = ring.add(&home, new(name, passphrase), &mut Counter(9));
        added.unwrap_err()
    };
    let first = "first".to_owned();
    assert_eq!(add(&mut ring, "third", "one"), KeyringError::Known(first));
    let second = "second".to_owned();
    assert_eq!(
        add(&mut ring, "second", "x"),
        KeyringError::Exists(second.clone())
    );
    assert_eq!(
        add(&mut ring, "My key", "x"),
        KeyringError::Name("My key".to_owned())
    );
    assert_eq!(add(&mut ring, "third", ""), KeyringError::Empty);
    assert_eq!(ring.free_name(), "key-1");

    ring.change(&home, new("second", "three"), &mut rng)
        .unwrap();
    assert_eq!(opens(&ring, "two").unwrap_err(), OpenError::Wrong);
    assert_eq!(opens(&ring, "three").unwrap(), secrets());
    assert_eq!(
        ring.is_last("second"),
        Err(KeyringError::NotLast(second.clone()))
    );
    ring.remove("first").unwrap();
    assert_eq!(opens(&ring, "one").unwrap_err(), OpenError::Wrong);
    assert_eq!(ring.remove("second"), Err(KeyringError::Last(second)));
    assert_eq!(ring.is_last("second"), Ok(()));
    let nobody = "nobody".to_owned();
    assert_eq!(ring.remove("nobody"), Err(KeyringError::Missing(nobody)));
    assert_eq!(ring.keys().count(), 1);
}

#[test]
fn there_is_an_end_to_keys() {
    let mut rng = Counter(0);
    let mut ring = sealed(&mut rng);
    let (home, _) = ring.open("one").unwrap();
    for number in 1..MAX_KEYS {
        let name = ring.free_name();
        assert_eq!(name, format!("key-{number}"));
        ring.add(&home, new(&name, &name), &mut rng).unwrap();
    }
    let beyond = ring.add(&home, new("beyond", "b"), &mut rng);
    assert_eq!(beyond, Err(KeyringError::TooMany));
}

#[test]
fn what_is_kept_later_is_there_and_nothing_lies_in_the_clear() {
    let mut rng = Counter(0);
    let mut ring = sealed(&mut rng);
    let (home, _) = ring.open("one").unwrap();
    ring.keep(&home, "sharing", &[9; KEY], &mut rng);
    let bytes = codec::encode(&ring);
    let read: Keyring = codec::decode(&bytes).unwrap();
    let opened = opens(&read, "one").unwrap();
    assert_eq!(*opened["sharing"], [9; KEY]);
    for secret in opened.values().chain([&home.0]) {
        assert!(!bytes.windows(KEY).any(|window| window == &secret[..]));
    }
    assert!(format!("{read:?} {home:?}").ends_with("1 keys) HomeKey(secret)"));
}

#[test]
fn a_file_that_was_changed_opens_nothing_else() {
    let bytes = codec::encode(&sealed(&mut Counter(0)));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        if let Ok(ring) = codec::decode::<Keyring>(&changed) {
            assert!(opens(&ring, "one").is_err(), "byte {at}");
        }
    }
}

/// A change here, and no sealed home that exists opens again.
#[test]
fn the_format_stays_what_it_is() {
    let hash = blake3::hash(&codec::encode(&sealed(&mut Counter(0)))).to_hex();
    let kept = include_str!("../../vectors/keyring.txt").trim();
    assert_eq!(hash.as_str(), kept);
}
