//! RFC 9380's vectors, and refusals of bad points.

use super::*;
use ark_bls12_381::{Fq, Fq2};

const NET: GenesisHash = GenesisHash([1; 32]);
const TAG: Tag = Tag("bls test");

/// RFC 9380, appendix J.10.1: message, and how often its last letter stands in it; then x and y, each as
/// c0 and c1.
const RFC_9380: [((&str, usize), [&str; 4]); 5] = [
    (
        ("", 0),
        [
            "0141ebfbdca40eb85b87142e130ab689c673cf60f1a3e98d69335266f30d9b8d4ac44c1038e9dcdd5393faf5c41fb78a",
            "05cb8437535e20ecffaef7752baddf98034139c38452458baeefab379ba13dff5bf5dd71b72418717047f5b0f37da03d",
            "0503921d7f6a12805e72940b963c0cf3471c7b2a524950ca195d11062ee75ec076daf2d4bc358c4b190c0c98064fdd92",
            "12424ac32561493f3fe3c260708a12b7c620e7be00099a974e259ddc7d1f6395c3c811cdd19f1e8dbf3e9ecfdcbab8d6",
        ],
    ),
    (
        ("abc", 1),
        [
            "02c2d18e033b960562aae3cab37a27ce00d80ccd5ba4b7fe0e7a210245129dbec7780ccc7954725f4168aff2787776e6",
            "139cddbccdc5e91b9623efd38c49f81a6f83f175e80b06fc374de9eb4b41dfe4ca3a230ed250fbe3a2acf73a41177fd8",
            "1787327b68159716a37440985269cf584bcb1e621d3a7202be6ea05c4cfe244aeb197642555a0645fb87bf7466b2ba48",
            "00aa65dae3c8d732d10ecd2c50f8a1baf3001578f71c694e03866e9f3d49ac1e1ce70dd94a733534f106d4cec0eddd16",
        ],
    ),
    (
        ("abcdef0123456789", 1),
        [
            "121982811d2491fde9ba7ed31ef9ca474f0e1501297f68c298e9f4c0028add35aea8bb83d53c08cfc007c1e005723cd0",
            "190d119345b94fbd15497bcba94ecf7db2cbfd1e1fe7da034d26cbba169fb3968288b3fafb265f9ebd380512a71c3f2c",
            "05571a0f8d3c08d094576981f4a3b8eda0a8e771fcdcc8ecceaf1356a6acf17574518acb506e435b639353c2e14827c8",
            "0bb5e7572275c567462d91807de765611490205a941a5a6af3b1691bfe596c31225d3aabdf15faff860cb4ef17c7c3be",
        ],
    ),
    (
        ("q128_q", 128),
        [
            "19a84dd7248a1066f737cc34502ee5555bd3c19f2ecdb3c7d9e24dc65d4e25e50d83f0f77105e955d78f4762d33c17da",
            "0934aba516a52d8ae479939a91998299c76d39cc0c035cd18813bec433f587e2d7a4fef038260eef0cef4d02aae3eb91",
            "14f81cd421617428bc3b9fe25afbb751d934a00493524bc4e065635b0555084dd54679df1536101b2c979c0152d09192",
            "09bcccfa036b4847c9950780733633f13619994394c23ff0b32fa6b795844f4a0673e20282d07bc69641cee04f5e5662",
        ],
    ),
    (
        ("a512_a", 512),
        [
            "01a6ba2f9a11fa5598b2d8ace0fbe0a0eacb65deceb476fbbcb64fd24557c2f4b18ecfc5663e54ae16a84f5ab7f62534",
            "11fca2ff525572795a801eed17eb12785887c7b63fb77a42be46ce4a34131d71f7a73e95fee3f812aea3de78b4d01569",
            "0b6798718c8aed24bc19cb27f866f1c9effcdbf92397ad6448b5c9db90d2b9da6cbabf48adc1adf59a1a28344e79d57e",
            "03a47f8e6d1763ba0cad63d6114c0accbef65707825a511b251a660a9b3994249ae4e63fac38b23da0c398689ee2ab52",
        ],
    ),
];

#[test]
fn hashing_to_g2_gives_rfc_9380s_points() {
    let field = |hex: &str| Fq::from_be_bytes_mod_order(&hex::decode(hex).unwrap());
    for ((start, times), [x0, x1, y0, y1]) in RFC_9380 {
        let (begin, last) = start.split_at(start.len().saturating_sub(1));
        let message = begin.to_owned() + &last.repeat(times);
        let domain = b"QUUX-V01-CS02-with-BLS12381G2_XMD:SHA-256_SSWU_RO_";
        let point = hash_to_g2(domain, message.as_bytes());
        assert_eq!(point.x, Fq2::new(field(x0), field(x1)));
        assert_eq!(point.y, Fq2::new(field(y0), field(y1)));
    }
}

#[test]
fn a_signature_is_good_for_its_key_type_network_and_bytes_only() {
    let (key, other) = (
        SecretKey::from_seed(&[1; 32]),
        SecretKey::from_seed(&[2; 32]),
    );
    let signature = key.sign(TAG, &NET, b"bytes");
    assert!(key.public().verify(TAG, &NET, b"bytes", &signature));
    assert!(!other.public().verify(TAG, &NET, b"bytes", &signature));
    assert!(!key.public().verify(Tag("x"), &NET, b"bytes", &signature));
    assert!(
        !key.public()
            .verify(TAG, &GenesisHash([9; 32]), b"bytes", &signature)
    );
    assert!(!key.public().verify(TAG, &NET, b"bytez", &signature));
    assert_eq!(signature, key.sign(TAG, &NET, b"bytes"), "it is unique");
}

#[test]
fn keys_and_signatures_are_read_as_written() {
    let key = SecretKey::from_seed(&[1; 32]);
    let signature = key.sign(TAG, &NET, b"bytes");
    assert_eq!(
        PublicKey::from_bytes(&key.public().to_bytes()),
        Ok(key.public())
    );
    assert_eq!(Signature::from_bytes(&signature.to_bytes()), Ok(signature));
}

#[test]
fn points_outside_the_subgroup_or_not_canonical_are_refused() {
    // Points of the curve, found by x alone: nearly none lie in the subgroup of order r.
    let outside_g1 = (1..)
        .filter_map(|x| G1Affine::get_point_from_x_unchecked(Fq::from(x), false))
        .find(|p| !p.is_in_correct_subgroup_assuming_on_curve())
        .unwrap();
    assert!(PublicKey::from_bytes(&PublicKey(outside_g1).to_bytes()).is_err());
    let outside_g2 = (1..)
        .filter_map(|x| {
            G2Affine::get_point_from_x_unchecked(Fq2::new(Fq::from(x), Fq::from(0)), false)
        })
        .find(|p| !p.is_in_correct_subgroup_assuming_on_curve())
        .unwrap();
    assert!(Signature::from_bytes(&Signature(outside_g2).to_bytes()).is_err());

    assert!(
        PublicKey::from_bytes(&PublicKey(G1Affine::identity()).to_bytes()).is_err(),
        "identity"
    );
    assert!(PublicKey::from_bytes(&[0; 48]).is_err());
    assert!(PublicKey::from_bytes(&[0xff; 48]).is_err());
    assert!(Signature::from_bytes(&[0; 96]).is_err());
    // The identity with its sign bit set is a second form of the same point.
    let mut twin = PublicKey(G1Affine::identity()).to_bytes();
    twin[0] |= 0x20;
    assert!(PublicKey::from_bytes(&twin).is_err());
    for head in [0xe0, 0xc0] {
        let mut infinite = [0; 96];
        infinite[0] = head;
        assert!(Signature::from_bytes(&infinite).is_err(), "nothing, signed");
    }
    // x + p names the same field element; only x itself is canonical.
    let p = hex::decode("1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab").unwrap();
    let mut modulus: [u8; 48] = p.try_into().unwrap();
    modulus[0] |= 0x80;
    assert!(PublicKey::from_bytes(&modulus).is_err());
    // The same as the higher half of a signature's x.
    let mut high = [0; 96];
    high[..48].copy_from_slice(&modulus);
    assert!(Signature::from_bytes(&high).is_err());
}

#[test]
fn the_secret_is_not_printed() {
    assert_eq!(
        format!("{:?}", SecretKey::from_seed(&[3; 32])),
        "SecretKey(secret)"
    );
}
