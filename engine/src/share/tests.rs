//! Shares as they are sealed, signed and refused.

use super::*;
use larder_coding::Code;
use larder_types::{Hash, SegmentId, ShardRoot};
use rand_core::{Infallible, TryCryptoRng, TryRng};

const NET: GenesisHash = GenesisHash([5; 32]);
const NOW: Time = Time(1_800_000_000_000);

/// Counts: good for tests only.
struct Counting(u8);

impl TryRng for Counting {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 = self.0.wrapping_add(1);
        Ok(u32::from(self.0))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.try_next_u32().map(u64::from)
    }
    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for byte in to {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

fn signer(seed: u8) -> Signer {
    Signer::from_seed(&[seed; 32])
}

fn cert(expiry: Time) -> DeviceCert {
    DeviceCert::sign(&signer(1), &signer(2), signer(3).public(), expiry, &NET)
}

fn person(seed: u8) -> (SharingKey, SharingCert) {
    let key = SharingKey::from_secret(&[seed; 32]);
    let cert = SharingCert::sign(&signer(seed), &key, &NET);
    (key, cert)
}

fn share() -> Share {
    let code = Code::new(1, 2, 1).unwrap();
    let roots = vec![ShardRoot([1; 32]), ShardRoot([2; 32])];
    let manifest = Manifest::new(SegmentId([9; 32]), 1 << 20, code, roots).unwrap();
    let reader = GivenKey([7; 32]);
    let held = vec![
        (0, NodeId([20; 32]), ContractId([30; 32])),
        (1, NodeId([21; 32]), ContractId([31; 32])),
    ];
    let lendable = Lendable {
        manifest: manifest.clone(),
        held,
    };
    let owner = AccountSigner::own(signer(1));
    let places = lendable.grant((signer(7).node(), NOW), &owner, &NET);
    Share {
        id: [4; 16],
        name: "album".into(),
        created: NOW,
        expiry: NOW,
        files: 1,
        dirs: 0,
        bytes: 5,
        tree: vec![1],
        reader,
        providers: Vec::new(),
        segments: vec![SegmentShare {
            manifest,
            outer: GivenKey([5; 32]),
            mask: GivenKey([6; 32]),
            places,
        }],
        blobs: vec![SharedBlob {
            id: BlobId([8; 32]),
            key: GivenKey([9; 32]),
            segment: 0,
            offset: 0,
            len: 100,
            plain_len: 5,
        }],
    }
}

fn sealed(share: &Share, expiry: Time, to: &SharingCert) -> Vec<u8> {
    let device = (&signer(3), &cert(expiry));
    let rng = &mut Counting(1);
    share.seal(device, to, &NET, rng).unwrap()
}

#[test]
fn a_share_says_whose_it_is_and_opens_for_its_recipient_only() {
    let ((key, to), (other, elsewhere)) = (person(40), person(41));
    let file = sealed(&share(), Time(u64::MAX), &to);
    let opened = Share::open(&file, (&to.account, &key), NOW, &NET).unwrap();
    assert_eq!(opened, (share(), signer(1).account()));
    let stranger = Share::open(&file, (&elsewhere.account, &other), NOW, &NET);
    assert_eq!(stranger, Err(ShareError::Sealed(UnsealError::Seal)));
    let caps = &opened.0.segments[0].places;
    let signed = |p: &SharedPlace| p.cap.is_signed_by(&signer(1).account(), &NET);
    assert!(caps.iter().all(signed));
}

#[test]
fn nobody_else_can_hand_it_on_as_theirs() {
    let ((key, to), (_, other)) = (person(40), person(41));
    // The recipient seals what it was sent to a third: the signature names the first.
    let bytes = codec::encode(&share());
    let layout = layout(
        &cert(NOW).account,
        (&other.account, &other.sharing_pk),
        &bytes,
    );
    let signed = SignedShare {
        sig: signer(3).sign(SHARE, &NET, &layout),
        cert: cert(NOW),
        share: bytes,
    };
    let file = to.seal(&codec::encode(&signed), &NET, &mut Counting(1));
    let opened = Share::open(&file.unwrap(), (&to.account, &key), NOW, &NET);
    assert_eq!(opened, Err(ShareError::Signature));
}

#[test]
fn a_device_that_is_certified_no_more_shares_nothing() {
    let (key, to) = person(40);
    let file = sealed(&share(), Time(NOW.0 - 1), &to);
    let opened = Share::open(&file, (&to.account, &key), NOW, &NET);
    assert_eq!(opened, Err(ShareError::Cert));
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    type Spoil = fn(&mut Share);
    let cases: [(&str, Spoil); 8] = [
        ("name", |s| s.name = "x".repeat(MAX_NAME + 1)),
        ("segments", |s| s.segments.push(s.segments[0].clone())),
        ("places", |s| s.segments[0].places[0].position = 1),
        ("places", |s| s.segments[0].places[0].position = 9),
        ("places", |s| {
            s.segments[0].places[0].cap.reader = NodeId([1; 32])
        }),
        ("blobs", |s| s.blobs[0].segment = 1),
        ("blobs", |s| s.blobs[0].offset = 1 << 20),
        ("blobs", |s| s.blobs[0].plain_len = u32::MAX),
    ];
    for (part, spoil) in cases {
        let mut share = share();
        spoil(&mut share);
        assert_eq!(share.check(), Err(ShareError::Parts(part)));
    }
    let mut long = share();
    long.tree = vec![0; MAX_SHARE];
    let (_, to) = person(40);
    let device = (&signer(3), &cert(NOW));
    let refused = long.seal(device, &to, &NET, &mut Counting(1));
    assert!(matches!(refused, Err(ShareError::TooLong { .. })));
    assert!(!format!("{:?}", share()).contains(&Hash([7; 32]).to_string()));
}
