//! `tx_*`: transactions, from what is wanted to the block that holds them.

use crate::types::{
    BuildParams, Decoded, FeeEstimate, FeeParams, Sent, SubmitParams, TxParams, TxShown, Unsigned,
    WaitParams,
};

super::methods! {
    /// Transactions, from what is wanted to the block that holds them.
    TxMethods: "tx";

    /// What a transfer or a transaction would cost.
    "tx_estimateFee" tx_estimate_fee(FeeParams) -> FeeEstimate, Read;
    /// A transfer for an account's own key to sign, wherever that lies, with all that it takes to check what is
    /// signed and to assemble the signed transaction.
    "tx_build" tx_build(BuildParams) -> Unsigned, Wallet;
    /// A transaction as it reads, and whether it is good.
    "tx_decode" tx_decode(SubmitParams) -> Decoded, Read;
    /// Has a signed transaction sent until a block holds it; answers as `wallet_send` does. One that waits or
    /// is in a block already is `known`.
    "tx_submit" tx_submit(SubmitParams) -> Sent, Wallet;
    /// Where a transaction is.
    "tx_get" tx_get(TxParams) -> TxShown, Read;
    /// The same, once it is in a block; or after some seconds, wherever it is then.
    "tx_wait" tx_wait(WaitParams) -> TxShown, Read;
}
