//! The wire's encoding: DAG-CBOR, canonical. What decodes must encode to the same bytes, so that
//! one value has one form and one hash. `docs/protocol.md` §3.1.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, BufRead, Read};

/// Bytes that are no canonical encoding of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not DAG-CBOR of this type.
    #[error("malformed at byte {offset}: {what}")]
    Malformed {
        /// How far it could be read.
        offset: usize,
        /// What is wrong there.
        what: String,
    },
    /// Another encoding of the same value: the shortest one is the only one.
    #[error("not in canonical form from byte {offset} on")]
    NotCanonical {
        /// The first byte that differs from the canonical form.
        offset: usize,
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
    let value: T = serde_ipld_dagcbor::from_slice(bytes).map_err(|e| DecodeError::Malformed {
        offset: readable::<T>(bytes),
        what: e.to_string(),
    })?;
    let canonical = encode(&value);
    if canonical != bytes {
        let same = canonical.iter().zip(bytes).take_while(|(a, b)| a == b);
        return Err(DecodeError::NotCanonical {
            offset: same.count(),
        });
    }
    Ok(value)
}

/// How many bytes of what does not decode can be read. The decoder does not say, so they are read
/// once more, from a source that counts.
fn readable<T: DeserializeOwned>(bytes: &[u8]) -> usize {
    let mut source = Counted {
        rest: bytes,
        taken: 0,
    };
    // Only how far it comes matters.
    drop(serde_ipld_dagcbor::from_reader::<T, _>(&mut source));
    source.taken
}

/// Bytes, and how many of them were taken.
struct Counted<'a> {
    rest: &'a [u8],
    taken: usize,
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.rest.read(buf)?;
        self.taken += len;
        Ok(len)
    }
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.rest)
    }

    fn consume(&mut self, len: usize) {
        let len = len.min(self.rest.len());
        self.rest = &self.rest[len..];
        self.taken += len;
    }
}

/// Reads those parts of a message that `T` names, whatever else it holds and in whichever form: to
/// tell what it is before it is read in earnest. `None` if they are not there.
#[must_use]
pub fn peek<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_ipld_dagcbor::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::{Amount, Hash};
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Paper {
        a: u64,
        b: Hash,
        c: Option<Vec<Amount>>,
    }

    fn paper() -> Vec<u8> {
        encode(&Paper {
            a: 300,
            b: Hash([7; 32]),
            c: Some(vec![Amount(1), Amount(1 << 40)]),
        })
    }

    /// Replaces `len` bytes at `at`.
    fn spliced(at: usize, len: usize, with: &[u8]) -> Vec<u8> {
        let mut bytes = paper();
        bytes.splice(at..at + len, with.iter().copied());
        bytes
    }

    #[test]
    fn only_the_canonical_form_decodes() {
        assert_eq!(decode::<u64>(&encode(&5u64)), Ok(5));
        assert!(decode::<u64>(&[0x18, 0x05]).is_err(), "5 in two bytes");
        assert!(decode::<u64>(&[0x05, 0x00]).is_err(), "trailing byte");
        assert!(decode::<u64>(&[]).is_err());
    }

    /// The offset is that of the first byte that could not be read; the first byte of a number or a
    /// length counts as read.
    ///
    /// a3 | 61 61 | 19 012c | 61 62 | 58 20 … | 61 63 | 82 01 1b …
    #[test]
    fn every_other_form_is_refused_and_the_refusal_says_where() {
        let bytes = paper();
        let end = bytes.len();
        assert_eq!(encode(&decode::<Paper>(&bytes).unwrap()), bytes);
        let cases: [(&str, Vec<u8>, usize); 15] = [
            ("nothing", Vec::new(), 0),
            ("a number for a map", vec![0x05], 1),
            ("a trailing byte", [&bytes[..], &[0]].concat(), end),
            (
                "a number in more bytes than it takes",
                spliced(3, 3, &[0x1a, 0, 0, 1, 0x2c]),
                8,
            ),
            (
                "a length in more bytes than it takes",
                spliced(8, 2, &[0x59, 0, 32]),
                43,
            ),
            ("one field too few", spliced(0, 6, &[0xa2]), end - 5),
            ("a field that nobody knows", spliced(2, 1, b"z"), 3),
            ("a field twice", spliced(7, 1, b"a"), 8),
            ("fields in another order", swapped(), 39),
            ("a hash of 31 bytes", spliced(8, 3, &[0x58, 31]), 41),
            ("a hash as a list", spliced(8, 2, &[0x98, 32]), 9),
            ("a negative number", spliced(3, 3, &[0x20]), 4),
            ("a float", spliced(3, 3, &[0xfb, 0, 0, 0, 0, 0, 0, 0, 0]), 4),
            ("a list without a length", spliced(44, 1, &[0x9f]), 45),
            (
                "a length beyond all bytes",
                spliced(8, 2, &[0x5b, 0x7f, 0, 0, 0, 0, 0, 0, 0]),
                end + 7,
            ),
        ];
        for (what, bytes, want) in cases {
            let got = match decode::<Paper>(&bytes).expect_err(what) {
                DecodeError::Malformed { offset, .. } | DecodeError::NotCanonical { offset } => {
                    offset
                }
                DecodeError::Field { .. } => panic!("{what}: no layout here"),
            };
            assert_eq!(got, want, "{what}");
        }
        for cut in 0..end {
            let refused = decode::<Paper>(&bytes[..cut]);
            assert!(
                matches!(refused, Err(DecodeError::Malformed { offset, .. }) if offset <= cut),
                "{cut}: {refused:?}"
            );
        }
    }

    /// The first two fields in the other order.
    fn swapped() -> Vec<u8> {
        let bytes = paper();
        let (a, b) = (&bytes[1..6], &bytes[6..42]);
        [&bytes[..1], b, a, &bytes[42..]].concat()
    }

    #[test]
    fn lists_in_lists_end_somewhere() {
        let deep = [vec![0x81; 100_000], vec![0]].concat();
        assert!(decode::<Vec<Paper>>(&deep).is_err());
    }
}
