//! Values of the node in the surface's form, and failures as rows of its error table.

mod fields;

pub(crate) use fields::readable;

use crate::driver::Stopping;
use crate::index::{IndexError, Row};
use crate::store::StoreError;
use larder_backup::{Kind, Listed};
use larder_engine::SendRefusal;
use larder_ledger::{Cause, State};
use larder_rpc::{
    AsOf, Code, Entry, EntryKind, Moment, Movement, Nano, RpcError, Text, Transaction,
};
use larder_types::{AccountId, Time};

pub(crate) fn as_of(state: &State) -> AsOf {
    let head = state.head();
    AsOf {
        height: head.height,
        block_hash: Text(head.hash),
    }
}

pub(crate) fn transaction(row: &Row) -> Transaction {
    let moved = &row.movement;
    Transaction {
        height: row.height,
        time: Moment(row.time),
        kind: match moved.cause {
            Cause::Genesis => Movement::Genesis,
            Cause::Faucet => Movement::Faucet,
            Cause::Transfer => Movement::Transfer,
            Cause::Collateral => Movement::Collateral,
            Cause::Escrow => Movement::Escrow,
            Cause::Pay => Movement::Pay,
            Cause::Fee => Movement::Fee,
            Cause::Bond => Movement::Bond,
            Cause::Guarantee => Movement::Guarantee,
            Cause::Existence => Movement::Existence,
        },
        received: moved.is_in,
        amount: Nano(moved.amount),
        other: moved.other.map(|id| Text(AccountId(id))),
        tx: moved.tx.map(Text),
    }
}

pub(crate) fn entry(listed: &Listed) -> Entry {
    let (kind, target) = match &listed.entry.kind {
        Kind::File(_) => (EntryKind::File, None),
        Kind::Dir(_) => (EntryKind::Dir, None),
        Kind::Symlink(to) => (
            EntryKind::Symlink,
            Some(String::from_utf8_lossy(to).into_owned()),
        ),
        Kind::Fifo | Kind::CharDevice(_) | Kind::BlockDevice(_) => (EntryKind::Special, None),
    };
    let meta = &listed.entry.meta;
    let seconds = u64::try_from(meta.mtime_s).unwrap_or(0);
    Entry {
        path: listed.path.to_string_lossy().into_owned(),
        kind,
        mode: meta.mode,
        uid: meta.uid,
        gid: meta.gid,
        size: listed.entry.size,
        modified: Moment(Time(seconds * 1_000 + u64::from(meta.mtime_ns / 1_000_000))),
        target,
    }
}

pub(crate) fn count(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(crate) fn stopping(e: Stopping) -> RpcError {
    RpcError::new(Code::Stopping, e)
}

pub(crate) fn internal(e: impl Into<Internal>) -> RpcError {
    RpcError::new(Code::Internal, e.into().0)
}

/// A failure of the node's own, as text.
pub(crate) struct Internal(String);

impl From<StoreError> for Internal {
    fn from(e: StoreError) -> Self {
        Self(e.to_string())
    }
}

impl From<IndexError> for Internal {
    fn from(e: IndexError) -> Self {
        Self(e.to_string())
    }
}

impl From<larder_backup::index::IndexError> for Internal {
    fn from(e: larder_backup::index::IndexError) -> Self {
        Self(e.to_string())
    }
}

impl From<crate::net::NetError> for Internal {
    fn from(e: crate::net::NetError) -> Self {
        Self(e.to_string())
    }
}

impl From<crate::home::HomeError> for Internal {
    fn from(e: crate::home::HomeError) -> Self {
        Self(e.to_string())
    }
}

impl From<tokio::task::JoinError> for Internal {
    fn from(e: tokio::task::JoinError) -> Self {
        Self(e.to_string())
    }
}

pub(crate) fn not_on_ledger(what: &str, id: impl std::fmt::Display) -> RpcError {
    RpcError::new(
        Code::NotOnLedger,
        format_args!("the ledger knows no {what} {id}"),
    )
}

pub(crate) fn send_error(e: &SendRefusal) -> RpcError {
    let code = match e {
        SendRefusal::Balance { .. } => Code::InsufficientCredit,
        SendRefusal::Cap { .. } => Code::BeyondLimit,
        SendRefusal::NotAuthorised => Code::NotReady,
        SendRefusal::Busy => Code::BadNonce,
        SendRefusal::NoLedger => Code::NoValidator,
    };
    RpcError::new(code, e)
}

/// `0x` and hex, as bytes travel on the wire.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    std::iter::once("0x".to_owned()).chain(digits).collect()
}

/// The bytes of `0x` and hex.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?;
    let pair = |i: usize| u8::from_str_radix(digits.get(i..i + 2)?, 16).ok();
    let sound = digits.bytes().all(|b| b.is_ascii_hexdigit());
    match sound {
        true => (0..digits.len()).step_by(2).map(pair).collect(),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_reads_back_and_nothing_else_is_read() {
        assert_eq!(hex(&[0, 0xab, 255]), "0x00abff");
        assert_eq!(from_hex("0x00abff"), Some(vec![0, 0xab, 255]));
        assert_eq!(from_hex("0x"), Some(Vec::new()));
        for bad in ["", "00", "0x0", "0x+1", "0xgg", "0x 1"] {
            assert_eq!(from_hex(bad), None, "{bad:?}");
        }
    }
}
