//! DAG-CBOR for people: each line a head with its bytes, and what it says.

use std::fmt::Write as _;

/// The value's bytes, line by line; what is no DAG-CBOR is a line of bytes.
pub(crate) fn annotate(bytes: &[u8]) -> String {
    let mut lines = String::new();
    match item(bytes, 0, &mut lines) {
        Some([]) => lines,
        Some(_) | None => hex::encode(bytes) + "\n",
    }
}

/// Writes one item and gives what follows it.
fn item<'a>(bytes: &'a [u8], depth: usize, out: &mut String) -> Option<&'a [u8]> {
    let (first, _) = bytes.split_first()?;
    let (major, short) = (first >> 5, first & 31);
    let len = match short {
        0..24 => 1,
        24..28 => 1 + (1 << (short - 24)),
        _ => return None,
    };
    let (head, mut rest) = bytes.split_at_checked(len)?;
    let number = match head {
        [_] => u64::from(short),
        [_, more @ ..] => more.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)),
        [] => return None,
    };
    let mut line =
        |bytes: &str, text: String| writeln!(out, "{}{bytes}  {text}", "  ".repeat(depth)).ok();
    let shown = hex::encode(head);
    match major {
        0 => line(&shown, number.to_string())?,
        2 | 3 => {
            let (body, after) = rest.split_at_checked(usize::try_from(number).ok()?)?;
            rest = after;
            let text = match major {
                2 => format!("{number} bytes"),
                _ => format!("{:?}", std::str::from_utf8(body).ok()?),
            };
            line(&format!("{shown} {}", hex::encode(body)), text)?;
        }
        4 => {
            line(&shown, format!("list of {number}"))?;
            for _ in 0..number {
                rest = item(rest, depth + 1, out)?;
            }
        }
        5 => {
            line(&shown, format!("map of {number}"))?;
            for _ in 0..number {
                rest = item(rest, depth + 1, out)?;
                rest = item(rest, depth + 2, out)?;
            }
        }
        7 => {
            let text = match number {
                20 => "false",
                21 => "true",
                22 => "nothing",
                _ => return None,
            };
            line(&shown, text.to_owned())?;
        }
        _ => return None,
    }
    Some(rest)
}
