//! The wire's encoding: DAG-CBOR, canonical. What decodes must encode to the same bytes, so that
//! one value has one form and one hash. `docs/protocol.md` §3.1.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that are no canonical encoding of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not DAG-CBOR of this type.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Another encoding of the same value: the shortest one is the only one.
    #[error("not in canonical form ({got} bytes, canonical {canonical})")]
    NotCanonical {
        /// Length received.
        got: usize,
        /// Length of the canonical form.
        canonical: usize,
    },
    /// A fixed layout of the wrong length, or with a forbidden value at an offset.
    #[error("bad {field} at byte {offset}")]
    Field {
        /// Which field.
        field: &'static str,
        /// Where it begins.
        offset: usize,
    },
}

/// The canonical encoding.
///
/// # Panics
/// If the type cannot be encoded, which is a bug in the type: ours have no floats and string keys.
#[must_use]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value).expect("our types have a DAG-CBOR form")
}

/// Decodes and demands the canonical form.
///
/// # Errors
/// [`DecodeError`] for anything but the exact bytes that [`encode`] gives.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let value: T =
        serde_ipld_dagcbor::from_slice(bytes).map_err(|e| DecodeError::Malformed(e.to_string()))?;
    let canonical = encode(&value);
    if canonical != bytes {
        return Err(DecodeError::NotCanonical {
            got: bytes.len(),
            canonical: canonical.len(),
        });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_decodes() {
        assert_eq!(decode::<u64>(&encode(&5u64)), Ok(5));
        assert!(decode::<u64>(&[0x18, 0x05]).is_err(), "5 in two bytes");
        assert!(decode::<u64>(&[0x05, 0x00]).is_err(), "trailing byte");
        assert!(decode::<u64>(&[]).is_err());
    }
}
