//! `wallet_*`: the accounts whose keys lie in the home.

use crate::types::{
    Balance, Limit, SendParams, Sent, SignParams, Signed, Transaction, UnlockParams,
    WalletCreateParams, WalletCreated, WalletImportParams, WalletPageParams, WalletParams,
    WalletShown,
};
use crate::values::{Empty, Page, PageParams};

super::methods! {
    /// The accounts whose keys lie in the home: its own, which is the wallet `home`, and those in key files.
    WalletMethods: "wallet";

    /// Makes a new account, and says its 24 words this once. Its key lies in a file of the home, sealed under
    /// the passphrase if one is given.
    "wallet_create" wallet_create(WalletCreateParams) -> WalletCreated, Wallet;
    /// Takes an account in from its 24 words.
    "wallet_import" wallet_import(WalletImportParams) -> WalletShown, Wallet;
    /// The wallets: the home's own first, the others by name.
    "wallet_list" wallet_list(PageParams) -> Page<WalletShown>, Read;
    /// What a wallet can spend.
    "wallet_getBalance" wallet_get_balance(WalletParams) -> Balance, Read;
    /// Movements of a wallet's account, newest first.
    "wallet_listTransactions" wallet_list_transactions(WalletPageParams) -> Page<Transaction>, Read;
    /// Pays another account; answers once the payment is in a block, or after a few seconds.
    "wallet_send" wallet_send(SendParams) -> Sent, Wallet;
    /// Signs a transfer of the wallet's account, and sends nothing.
    "wallet_sign" wallet_sign(SignParams) -> Signed, Wallet;
    /// Forgets the key of a wallet with a passphrase until it is unlocked again.
    "wallet_lock" wallet_lock(WalletParams) -> WalletShown, Wallet;
    /// Has a wallet's key in memory for a while.
    "wallet_unlock" wallet_unlock(UnlockParams) -> WalletShown, Wallet;
    /// What this device may do with the account's credit.
    "wallet_getLimit" wallet_get_limit(Empty) -> Limit, Read;
}
