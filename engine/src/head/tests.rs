use super::*;
use larder_coding::layout::Code;
use larder_keys::VaultKeys;
use larder_types::{SegmentId, ShardRoot};

const NET: GenesisHash = GenesisHash([9; 32]);

/// An account, one of its devices, and what its words give.
struct Owner {
    account: Signer,
    device: Signer,
    cert: DeviceCert,
    keys: RecoveryKeys,
}

impl Owner {
    fn new(account: u8, device: u8) -> Self {
        let admin = Signer::from_seed(&[account ^ 0x80; 32]);
        let vault = VaultKeys::from_root(&[account; 32]);
        let device = Signer::from_seed(&[device; 32]);
        let account_key = Signer::from_seed(&[account; 32]);
        let expiry = Time(1_000);
        let cert = DeviceCert::sign(&account_key, &admin, device.public(), expiry, &NET);
        Self {
            cert,
            device,
            keys: RecoveryKeys::new(&[account; 32], &vault, &NET),
            account: account_key,
        }
    }

    fn head(&self, head: &Head) -> SignedHead {
        let device = (&self.device, &self.cert);
        SignedHead::seal(head, [3; 12], &self.keys, device, &NET).unwrap()
    }

    fn open(&self, signed: &SignedHead) -> Result<Head, HeadError> {
        signed.open(&self.keys, &self.account.account(), &NET)
    }

    fn choose(&self, answers: &[(u8, &[SignedHead])]) -> Chosen {
        let answers = answers
            .iter()
            .map(|(peer, heads)| (peer_id(*peer), heads.to_vec()))
            .collect();
        choose(answers, &self.keys, &self.account.account(), &NET)
    }
}

fn peer_id(peer: u8) -> NodeId {
    NodeId([peer; 32])
}

fn entry(id: u8, catalogue: bool) -> SegmentEntry {
    let code = Code::new(4, 8, 6).unwrap();
    let roots = (0..8).map(|j| ShardRoot([id ^ j; 32])).collect();
    SegmentEntry {
        class: Class::Normal,
        meta: catalogue,
        catalogue,
        manifest: Manifest::new(SegmentId([id; 32]), 1 << 20, code, roots).unwrap(),
    }
}

fn head(seq: u64, ids: &[u8]) -> Head {
    Head {
        seq,
        segments: ids.iter().map(|id| entry(*id, false)).collect(),
        contracts: vec![HeadContract {
            contract: ContractId([1; 32]),
            provider: peer_id(7),
            revision: 10 * seq,
            addrs: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
            claim: 0,
        }],
        ..Head::empty(seq)
    }
}

fn ids(chosen: &Chosen) -> Vec<u8> {
    let id = |entry: &SegmentEntry| entry.manifest.segment.0[0];
    chosen.segments.iter().map(id).collect()
}

#[test]
fn a_certificate_says_whose_device_it_is_and_until_when() {
    let owner = Owner::new(1, 2);
    assert!(owner.cert.verify(&NET));
    assert!(!owner.cert.verify(&GenesisHash([8; 32])));
    assert!(owner.cert.holds(Time(1_000), &NET));
    assert!(!owner.cert.holds(Time(1_001), &NET));
    let read = DeviceCert::from_bytes(&owner.cert.to_bytes()).unwrap();
    assert_eq!(read, owner.cert);
    let mut forged: [DeviceCert; 5] = std::array::from_fn(|_| owner.cert.clone());
    forged[0].account = AccountId([4; 32]);
    forged[1].admin_pk = Signer::from_seed(&[5; 32]).public();
    forged[2].device_pk = Signer::from_seed(&[5; 32]).public();
    forged[3].expiry = Time(1_001);
    forged[4].sig_account.0[0] ^= 1;
    for (i, cert) in forged.iter().enumerate() {
        assert!(!cert.verify(&NET), "{i}");
    }
}

#[test]
fn a_head_opens_for_its_account_alone() {
    let owner = Owner::new(1, 2);
    let wanted = head(3, &[1, 2]);
    let signed = owner.head(&wanted);
    assert_eq!(owner.open(&signed), Ok(wanted));
    assert!(signed.sealed.len().is_power_of_two());

    let other = Owner::new(6, 2);
    assert_eq!(other.open(&signed), Err(HeadError::Key));
    // Another account's device that learned the key.
    let mut intruder = Owner::new(6, 7);
    intruder.keys.key = owner.keys.key;
    let theirs = intruder.head(&head(99, &[]));
    assert_eq!(owner.open(&theirs), Err(HeadError::Account));
    // It names our account, which never named its admin key.
    let admin = Signer::from_seed(&[0x77; 32]);
    let cert = DeviceCert::sign(
        &intruder.account,
        &admin,
        intruder.device.public(),
        Time(9),
        &NET,
    );
    intruder.cert = DeviceCert {
        account: owner.account.account(),
        ..cert
    };
    assert_eq!(
        owner.open(&intruder.head(&head(99, &[]))),
        Err(HeadError::Cert)
    );
}

#[test]
fn a_head_that_was_touched_does_not_open() {
    let owner = Owner::new(1, 2);
    let good = owner.head(&head(3, &[1]));
    type Spoil = fn(&mut SignedHead);
    let cases: [(Spoil, HeadError); 4] = [
        (|h| h.seq += 1, HeadError::Signature),
        (|h| h.sealed[40] ^= 1, HeadError::Signature),
        (|h| h.sig.0[0] ^= 1, HeadError::Signature),
        (
            |h| h.sealed = vec![0; MAX_HEAD + 1],
            HeadError::TooLong { len: MAX_HEAD + 1 },
        ),
    ];
    for (spoil, why) in cases {
        let mut spoilt = good.clone();
        spoil(&mut spoilt);
        assert_eq!(owner.open(&spoilt), Err(why));
    }
    // Signed anew by the device over another number: the seal is bound to the first.
    let mut moved = good.clone();
    moved.seq = 4;
    moved.sig = owner.device.sign(HEAD, &NET, &moved.layout());
    assert_eq!(owner.open(&moved), Err(HeadError::Seal));
    // Sealed by a holder of the keys, but no head, or one with another number inside.
    let reseal = |bytes: &[u8]| {
        let mut made = good.clone();
        let context = seal_context(&made.key, made.seq, &made.cert.device_pk);
        made.sealed = seal_message(&owner.keys.seal, [4; 12], &context, bytes).unwrap();
        made.sig = owner.device.sign(HEAD, &NET, &made.layout());
        made
    };
    assert!(matches!(
        owner.open(&reseal(b"no head")),
        Err(HeadError::Decode(_))
    ));
    assert_eq!(
        owner.open(&reseal(&codec::encode(&head(5, &[])))),
        Err(HeadError::Number {
            inside: 5,
            outside: 3
        })
    );
    let mut odd = head(3, &[1]);
    odd.segments[0].manifest.roots.pop();
    assert!(matches!(
        owner.open(&reseal(&codec::encode(&odd))),
        Err(HeadError::Manifest(_))
    ));
}

#[test]
fn of_each_device_the_newest_head_counts_and_old_ones_are_named() {
    let (a, b) = (Owner::new(1, 2), Owner::new(1, 3));
    let (a1, a2) = (a.head(&head(1, &[1])), a.head(&head(2, &[1, 4])));
    let b9 = b.head(&head(9, &[2]));
    let chosen = a.choose(&[
        (10, std::slice::from_ref(&a1)),
        (11, &[a2.clone(), b9]),
        (12, &[a1.clone(), a2]),
    ]);
    assert_eq!(ids(&chosen), [1, 2, 4], "the union over the devices");
    assert_eq!((chosen.seq, chosen.heads.len(), chosen.refused), (9, 2, 0));
    let stale = StalePeer {
        peer: peer_id(10),
        device: a.device.public(),
        seq: 1,
        newest: 2,
    };
    assert_eq!(chosen.stale, [stale], "peer 12 showed the newest as well");
    let active = |revision| [(ContractId([1; 32]), revision)];
    assert!(chosen.uncovered(active(90)).is_empty());
    assert_eq!(chosen.uncovered(active(91)), [ContractId([1; 32])]);
}

#[test]
fn forged_foreign_and_surplus_heads_are_counted_and_ignored() {
    let owner = Owner::new(1, 2);
    let good = owner.head(&head(3, &[5]));
    let mut tampered = owner.head(&head(8, &[6]));
    tampered.sealed[50] ^= 1;
    let foreign = Owner::new(6, 2).head(&head(9, &[7]));
    let chosen = owner.choose(&[(1, &[tampered, foreign]), (2, std::slice::from_ref(&good))]);
    assert_eq!((ids(&chosen), chosen.seq, chosen.refused), (vec![5], 3, 2));
    assert!(chosen.stale.is_empty());
    assert_eq!(owner.choose(&[]), Chosen::default());

    let flood = vec![good; MAX_ANSWER + 5];
    assert_eq!(owner.choose(&[(1, &flood)]).refused, 5);
}

#[test]
fn catalogues_come_first_and_two_heads_of_one_number_both_count() {
    let owner = Owner::new(1, 2);
    let mut first = head(3, &[1, 2]);
    first.segments.push(entry(9, true));
    let second = head(3, &[4, 9]);
    let (first, second) = (owner.head(&first), owner.head(&second));
    let chosen = owner.choose(&[(1, &[first]), (2, &[second])]);
    assert_eq!(ids(&chosen), [9, 1, 2, 4]);
    assert!(chosen.segments[0].catalogue, "one head says so");
    assert!(chosen.stale.is_empty());
}
