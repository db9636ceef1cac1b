//! `tx_*`: transactions, from what is wanted to the block that holds them.

use crate::types::{SendParams, Sent, SubmitParams, Unsigned};

super::methods! {
    /// Transactions, from what is wanted to the block that holds them.
    TxMethods: "tx";

    /// A transfer from the home's account for its account key to sign.
    "tx_build" tx_build(SendParams) -> Unsigned, Wallet;
    /// Has a signed transaction sent until a block holds it; answers as `wallet_send` does.
    "tx_submit" tx_submit(SubmitParams) -> Sent, Wallet;
}
