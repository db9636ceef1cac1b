//! A share address: what somebody gives others, so that they can share with them. It holds the account,
//! its sharing key and the account's signature over both, and a checksum; nothing in it is secret.

use larder_keys::SharingCert;
use larder_types::{AccountId, Signature};

/// What every share address begins with.
const PREFIX: &str = "lshare1";
/// account\[32\] ‖ sharing key\[32\] ‖ signature\[64\].
const LEN: usize = 128;

/// A text that is no share address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It does not begin as one.
    #[error(
        "not a share address: it must begin with {PREFIX}, as `larder shared address` prints it"
    )]
    Prefix,
    /// It was cut or changed.
    #[error("the share address is damaged or cut short: copy it once more")]
    Damaged,
}

/// The text of an account's sharing key.
#[must_use]
pub fn to_text(cert: &SharingCert) -> String {
    let bytes = [&cert.account.0[..], &cert.sharing_pk, &cert.sig.0].concat();
    let sum = blake3::hash(&bytes);
    let whole = [&bytes[..], &sum.as_bytes()[..4]].concat();
    format!("{PREFIX}{}", bs58::encode(whole).into_string())
}

/// Reads a share address; whether the account signed it is not looked at. White space counts for
/// nothing.
///
/// # Errors
/// [`AddressError`].
pub fn from_text(text: &str) -> Result<SharingCert, AddressError> {
    let text: String = text.split_whitespace().collect();
    let whole = text.strip_prefix(PREFIX).ok_or(AddressError::Prefix)?;
    let whole = bs58::decode(whole).into_vec();
    let whole = whole.map_err(|_| AddressError::Damaged)?;
    let (bytes, sum) = whole.split_last_chunk::<4>().ok_or(AddressError::Damaged)?;
    if bytes.len() != LEN || blake3::hash(bytes).as_bytes()[..4] != sum[..] {
        return Err(AddressError::Damaged);
    }
    let (mut account, mut sharing_pk, mut sig) = ([0; 32], [0; 32], [0; 64]);
    account.copy_from_slice(&bytes[..32]);
    sharing_pk.copy_from_slice(&bytes[32..64]);
    sig.copy_from_slice(&bytes[64..]);
    Ok(SharingCert {
        account: AccountId(account),
        sharing_pk,
        sig: Signature(sig),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_keys::{SharingKey, Signer};
    use larder_types::GenesisHash;

    #[test]
    fn an_address_survives_line_breaks_but_no_change() {
        let key = SharingKey::from_secret(&[1; 32]);
        let cert = SharingCert::sign(&Signer::from_seed(&[2; 32]), &key, &GenesisHash([3; 32]));
        let text = to_text(&cert);
        assert!(text.len() < 200, "{text}");
        let (a, b) = text.split_at(40);
        assert_eq!(from_text(&format!(" {a}\n{b}\n")), Ok(cert));
        assert_eq!(from_text("larder1abc"), Err(AddressError::Prefix));
        let short = &text[..text.len() - 1];
        assert_eq!(from_text(short), Err(AddressError::Damaged));
        let other = if text.ends_with('2') { '3' } else { '2' };
        let bent = format!("{short}{other}");
        assert_eq!(from_text(&bent), Err(AddressError::Damaged));
        assert_eq!(from_text("lshare1"), Err(AddressError::Damaged));
    }
}
