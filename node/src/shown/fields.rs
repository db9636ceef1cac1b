//! A transaction's fields as JSON, whatever its kind: ids as multibase strings, other bytes as `0x` and hex,
//! amounts, nonces and what is beyond a double's integers as decimal strings.

use super::hex;
use ipld_core::ipld::Ipld;
use larder_ledger::Tx;
use larder_types::{Hash, codec};
use serde_json::{Map, Value};

/// Fields that hold credit or a nonce.
const STRINGS: [&str; 12] = [
    "amount",
    "bond",
    "cap",
    "charged",
    "collateral",
    "credits_total",
    "egress_paid",
    "fee",
    "limit",
    "nonce",
    "rate",
    "slash_acc",
];
/// The greatest integer up to which a double holds all.
const MAX_SAFE: i128 = (1 << 53) - 1;

/// The fields of a transaction.
///
/// # Errors
/// If it holds what our transactions never do, such as a link.
pub(crate) fn readable(tx: &Tx) -> Result<Value, &'static str> {
    let whole: Ipld = codec::peek(&codec::encode(tx)).ok_or("it is no DAG-CBOR")?;
    // The kind is told beside.
    if let Ipld::Map(kinds) = whole {
        let fields = kinds.into_values().next().ok_or("it is empty")?;
        return value("", fields);
    }
    Err("it has no kind")
}

fn value(field: &str, ipld: Ipld) -> Result<Value, &'static str> {
    Ok(match ipld {
        Ipld::Null => Value::Null,
        Ipld::Bool(is) => Value::Bool(is),
        Ipld::Integer(n) if STRINGS.contains(&field) || n.abs() > MAX_SAFE => n.to_string().into(),
        Ipld::Integer(n) => i64::try_from(n).unwrap_or_default().into(),
        Ipld::String(text) => text.into(),
        Ipld::Bytes(bytes) => match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(id) => Hash(id).to_string().into(),
            Err(_) => hex(&bytes).into(),
        },
        Ipld::List(items) => {
            let items = items.into_iter().map(|item| value(field, item));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Ipld::Map(fields) => {
            let fields = fields.into_iter().map(|(name, ipld)| {
                let shown = value(&name, ipld)?;
                Ok((name, shown))
            });
            Value::Object(fields.collect::<Result<Map<_, _>, &'static str>>()?)
        }
        Ipld::Float(_) => return Err("it holds a float"),
        Ipld::Link(_) => return Err("it holds a link"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_contracts::Auth;
    use larder_ledger::Transfer;
    use larder_types::{AccountId, Amount};

    #[test]
    fn a_transfer_reads_as_the_surface_says() {
        let auth = Auth {
            nonce: 7,
            expiry: 2_000,
        };
        let (from, to) = (AccountId([1; 32]), AccountId([2; 32]));
        let transfer = Transfer::unsigned((from, None), to, Amount(u64::MAX), auth);
        let shown = readable(&Tx::Transfer(transfer)).unwrap();
        assert_eq!(shown["from"], from.to_string());
        assert_eq!(shown["to"], to.to_string());
        assert_eq!(shown["amount"], u64::MAX.to_string());
        assert_eq!(shown["auth"]["nonce"], "7");
        assert_eq!(shown["auth"]["expiry"], 2_000);
        assert_eq!(shown["by"], Value::Null);
        assert_eq!(shown["sig"], format!("0x{}", "00".repeat(64)));
    }
}
