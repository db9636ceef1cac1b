//! The error table: every positive code that a method may answer, with what a caller needs to
//! know about it. 1000s ledger and transactions, 1100s wallet, 1200s market, 1300s storage,
//! 1400s backup, 1500s node, 1600s access. Codes never change their meaning.

use jsonrpsee::types::ErrorObjectOwned;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One row of the table: `Name = code, "reason", retryable, exit code`.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $reason:literal, $retryable:literal, $exit:literal;)+) => {
        /// Why a call was refused or failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// The whole table, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> i32 {
                match self { $(Self::$name => $code,)+ }
            }

            /// What it means.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }

            /// The word in `data.reason`.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)+ }
            }

            /// Whether the same call may succeed later.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)+ }
            }

            /// The command line's exit code for it.
            #[must_use]
            pub const fn exit_code(self) -> u8 {
                match self { $(Self::$name => $exit,)+ }
            }

            /// The row with this number.
            #[must_use]
            pub const fn from_number(number: i32) -> Option<Self> {
                match number { $($code => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

codes! {
    /// No account, provider, contract or block of that name.
    NotOnLedger = 1000, "not_on_ledger", false, 1;
    /// The account holds less than the transaction moves.
    InsufficientCredit = 1001, "insufficient_credit", false, 21;
    /// The transaction's nonce is not the account's next one.
    BadNonce = 1002, "bad_nonce", true, 1;
    /// The transaction's expiry has passed, or lies too far ahead.
    Expired = 1003, "expired", true, 1;
    /// The ledger refused the transaction for another rule.
    TransactionRefused = 1004, "transaction_refused", false, 1;
    /// No validator could be reached.
    NoValidator = 1005, "no_validator", true, 21;
    /// The node does not keep this account's history.
    HistoryNotKept = 1006, "history_not_kept", false, 1;

    /// This home holds no account key.
    NoAccount = 1100, "no_account", false, 10;
    /// The words or the passphrase are wrong.
    WrongWords = 1101, "wrong_words", false, 12;

    /// It is more than this device may spend in this epoch: it takes the words.
    BeyondLimit = 1102, "beyond_limit", true, 12;
    /// The wallet's key is sealed: it is to be unlocked first.
    WalletLocked = 1103, "wallet_locked", true, 11;
    /// The home has no wallet of that name.
    NoWallet = 1104, "no_wallet", false, 10;
    /// There is a wallet of that name, or of that account, already.
    WalletExists = 1105, "wallet_exists", false, 1;

    /// Too few usable offers for the class.
    NoOffers = 1200, "no_offers", true, 21;
    /// The offers that there are have too little room.
    NoQuota = 1201, "no_quota", true, 21;
    /// A provider refused the contract.
    ContractRefused = 1202, "contract_refused", true, 21;

    /// This node offers nothing.
    NotProviding = 1203, "not_providing", false, 1;
    /// Contracts would cost more than the allowance.
    AllowanceReached = 1204, "allowance_reached", false, 21;
    /// Something could be read no more without what lies under the contract.
    StillNeeded = 1205, "still_needed", true, 1;
    /// The friend cannot be invited, accepted or found.
    NoFriend = 1206, "no_friend", false, 1;

    /// Fewer shards than needed can be fetched now.
    SegmentUnavailable = 1300, "segment_unavailable", true, 22;
    /// Stored data does not match its name.
    Damaged = 1301, "damaged", false, 22;
    /// The disk is full.
    DiskFull = 1302, "disk_full", true, 1;
    /// Too few providers took their shards.
    NotDurable = 1303, "not_durable", true, 21;
    /// The volume is none, or cannot be treated so.
    BadVolume = 1304, "bad_volume", false, 1;

    /// No snapshot matches.
    NoSnapshot = 1400, "no_snapshot", false, 1;
    /// More than one snapshot matches the prefix.
    AmbiguousSnapshot = 1401, "ambiguous_snapshot", false, 1;
    /// The snapshot holds no such path.
    NoSuchPath = 1402, "no_such_path", false, 1;
    /// A path given cannot be read at all.
    Unreadable = 1403, "unreadable", false, 1;
    /// The target cannot be written.
    TargetUnwritable = 1404, "target_unwritable", false, 1;
    /// Another backup or restore holds the vault.
    VaultBusy = 1405, "vault_busy", true, 11;
    /// A pattern to include or exclude is malformed.
    BadPattern = 1406, "bad_pattern", false, 2;
    /// No provider of the account answered with its head.
    NoHeads = 1407, "no_heads", true, 1;
    /// Nothing says which snapshots are meant, or too much does.
    BadSelection = 1408, "bad_selection", false, 2;
    /// The delay in which the snapshot could be brought back is over.
    DelayOver = 1409, "delay_over", false, 1;
    /// No schedule of that name.
    NoSchedule = 1410, "no_schedule", false, 1;
    /// The command before a scheduled backup failed.
    HookFailed = 1411, "hook_failed", true, 1;
    /// This machine has no FUSE, or not for the user that runs the node.
    NoFuse = 1412, "no_fuse", false, 1;
    /// The share is damaged, or sealed to another account.
    BadShare = 1420, "bad_share", false, 1;
    /// The owner has taken the share back.
    ShareRevoked = 1421, "share_revoked", false, 1;
    /// The share's time is over.
    ShareExpired = 1422, "share_expired", false, 1;
    /// No share of that name.
    NoShare = 1423, "no_share", false, 1;
    /// It is no share address of this network.
    BadAddress = 1424, "bad_address", false, 2;
    /// More than one share can carry.
    ShareTooLarge = 1425, "share_too_large", false, 1;
    /// The home has no sharing key, or no certificate: it takes the words.
    NoSharingKey = 1426, "no_sharing_key", false, 12;

    /// The node is starting and cannot answer this yet.
    NotReady = 1500, "not_ready", true, 11;
    /// The node is stopping.
    Stopping = 1501, "stopping", true, 11;
    /// No job of that name.
    NoJob = 1502, "no_job", false, 1;
    /// The job was cancelled.
    Cancelled = 1503, "cancelled", true, 130;
    /// The node failed; its log says more.
    Internal = 1504, "internal", false, 1;
    /// Too many jobs are waiting.
    TooManyJobs = 1505, "too_many_jobs", true, 11;
    /// The node has no peers.
    NoPeers = 1506, "no_peers", true, 21;
    /// A parameter's value makes no sense here.
    BadValue = 1507, "bad_value", false, 2;

    /// The cookie or token is missing or unknown.
    Unauthenticated = 1600, "unauthenticated", false, 11;
    /// The token's scope or list of methods does not reach so far.
    Forbidden = 1601, "forbidden", false, 1;
    /// The token has called too often in this second.
    TooFast = 1602, "rate_limited", true, 11;
    /// Too many calls at once.
    TooManyCalls = 1603, "too_many_calls", true, 11;
    /// No token of that name.
    NoToken = 1604, "no_token", false, 1;
    /// There are as many tokens as there may be.
    TooManyTokens = 1605, "too_many_tokens", false, 1;
}

/// A refusal or failure as methods answer it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// Which row of the table.
    pub code: Code,
    /// One line for a person, naming the mend.
    pub message: String,
}

/// The `data` member of an error object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ErrorData {
    /// [`Code::reason`].
    pub reason: String,
    /// [`Code::retryable`].
    pub retryable: bool,
}

impl RpcError {
    /// An error of this row; `message` names the mend.
    pub fn new(code: Code, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        let data = ErrorData {
            reason: error.code.reason().to_owned(),
            retryable: error.code.retryable(),
        };
        Self::owned(error.code.number(), error.message, Some(data))
    }
}

impl From<crate::values::CursorError> for RpcError {
    fn from(error: crate::values::CursorError) -> Self {
        Self::new(Code::BadValue, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stays_as_it_is() {
        let table: String = Code::ALL
            .iter()
            .map(|c| {
                assert_eq!(Code::from_number(c.number()), Some(*c));
                format!(
                    "{} {} {} {}\n",
                    c.number(),
                    c.reason(),
                    c.retryable(),
                    c.exit_code()
                )
            })
            .collect();
        assert_eq!(table, include_str!("errors.snapshot"));
    }

    #[test]
    fn an_error_carries_its_row() {
        let object = ErrorObjectOwned::from(RpcError::new(Code::NoOffers, "no offers"));
        assert_eq!(object.code(), 1200);
        let data: ErrorData = serde_json::from_str(object.data().unwrap().get()).unwrap();
        assert_eq!((data.reason.as_str(), data.retryable), ("no_offers", true));
    }
}
