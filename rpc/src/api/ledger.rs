//! `ledger_*`: what the ledger holds true of accounts, providers and contracts.

use crate::types::{
    Account, AccountParams, Balance, ContractParams, HistoryParams, LedgerContract, LedgerParams,
    LedgerProvider, Proof, ProofParams, ProviderParams, Transaction,
};
use crate::values::{Empty, Page};

super::methods! {
    /// What the ledger holds true of accounts, providers and contracts.
    LedgerMethods: "ledger";

    /// What an account can spend.
    "ledger_getBalance" ledger_get_balance(AccountParams) -> Balance, Read;
    /// All that the ledger holds of an account.
    "ledger_getAccount" ledger_get_account(AccountParams) -> Account, Read;
    /// What moved on an account, newest first: of the home's account and its wallets always, of others where
    /// `config.toml` says so.
    "ledger_getHistory" ledger_get_history(HistoryParams) -> Page<Transaction>, Read;
    /// All that the ledger holds of a provider.
    "ledger_getProvider" ledger_get_provider(ProviderParams) -> LedgerProvider, Read;
    /// A contract as it is active on the ledger.
    "ledger_getContract" ledger_get_contract(ContractParams) -> LedgerContract, Read;
    /// An account's or a provider's record, or that there is none, with its proof.
    "ledger_getProof" ledger_get_proof(ProofParams) -> Proof, Read;
    /// The network's parameters.
    "ledger_params" ledger_params(Empty) -> LedgerParams, Read;
}
