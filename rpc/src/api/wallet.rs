//! `wallet_*`: the home's own credit.

use crate::types::{Balance, Limit, SendParams, Sent, Transaction};
use crate::values::{Empty, Page, PageParams};

super::methods! {
    /// The home's own credit.
    WalletMethods: "wallet";

    /// What the home's account can spend.
    "wallet_getBalance" wallet_get_balance(Empty) -> Balance, Read;
    /// Movements of the home's account, newest first.
    "wallet_listTransactions" wallet_list_transactions(PageParams) -> Page<Transaction>, Read;
    /// Pays another account; answers once the payment is in a block, or after a few seconds.
    "wallet_send" wallet_send(SendParams) -> Sent, Wallet;
    /// What this device may do with the account's credit.
    "wallet_getLimit" wallet_get_limit(Empty) -> Limit, Read;
}
