//! The registry of methods. Each row gives a name, what it takes and what it answers; from the
//! rows come the trait that a node implements, the dispatch, the typed client and [`METHODS`],
//! so that none of them can disagree.

use crate::client::{Client, ClientError};
use crate::errors::RpcError;
use crate::types::{
    Absence, AbsenceParams, Account, AccountParams, Approved, AtParams, Audit, BackupParams,
    Balance, Block, BlockCertificate, BlockHeader, BrowseParams, ChainValidators, ChangeParams,
    ChangesParams, ContractParams, Done, Entry, Estimate, EstimateParams, GenesisDocument, Head,
    HeldContract, Invite, Job, JobParams, JobStarted, LedgerContract, LedgerParams, LedgerProvider,
    Limit, NodeInfo, NodeStatus, Offer, OfferChange, Peer, Proof, ProofParams, ProviderOffer,
    ProviderParams, ProviderStatus, RemoveVolumeParams, RenterContract, Repairs, RestoreParams,
    SendParams, Sent, Snapshot, SubmitParams, Transaction, Unsigned, ValidatorChange, Validators,
    Volume, VolumeParams, VolumeRemoved, WithdrawParams, Withdrawn,
};
use crate::values::{Empty, Page, PageParams};
use jsonrpsee::types::error::{INVALID_PARAMS_CODE, INVALID_PARAMS_MSG};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use jsonrpsee::{Extensions, RpcModule};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

/// One row of the registry, for documents and checks.
#[derive(Clone, Copy)]
pub struct Method {
    /// The name on the wire.
    pub name: &'static str,
    /// The schema of its parameters.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of its result.
    pub result: fn(&mut SchemaGenerator) -> Schema,
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Method").field(&self.name).finish()
    }
}

/// One macro, because four hand-written lists of the same thirty methods would drift apart.
macro_rules! methods {
    ($($(#[$doc:meta])* $wire:literal $name:ident($params:ty) -> $result:ty;)+) => {
        /// What a node implements.
        pub trait Api: Send + Sync + 'static {
            $($(#[$doc])*
            fn $name(&self, params: $params)
                -> impl Future<Output = Result<$result, RpcError>> + Send;)+
        }

        /// Every method, in order.
        pub const METHODS: &[Method] = &[$(Method {
            name: $wire,
            params: schema::<$params>,
            result: schema::<$result>,
        },)+];

        /// Every method of `api`, ready to be served.
        ///
        /// # Panics
        /// If two rows share a name, which the tests would show.
        pub fn dispatch<A: Api>(api: Arc<A>) -> RpcModule<A> {
            let mut module = RpcModule::from_arc(api);
            $(module
                .register_async_method($wire, async |params: Params<'static>, api: Arc<A>, _: Extensions| {
                    let result: Result<$result, ErrorObjectOwned> = match read(&params) {
                        Ok(params) => api.$name(params).await.map_err(Into::into),
                        Err(refused) => Err(refused),
                    };
                    result
                })
                .expect("names are distinct");)+
            module
        }

        impl Client {
            $($(#[$doc])*
            ///
            /// # Errors
            /// [`ClientError`] if the node cannot be asked or refuses.
            pub async fn $name(&self, params: &$params) -> Result<$result, ClientError> {
                self.call($wire, params).await
            })+
        }
    };
}

methods! {
    /// What does not change while the node runs.
    "node_info" node_info(Empty) -> NodeInfo;
    /// The node at a glance.
    "node_status" node_status(Empty) -> NodeStatus;
    /// Connected peers.
    "node_peers" node_peers(PageParams) -> Page<Peer>;
    /// What lets another node join.
    "node_invite" node_invite(Empty) -> Invite;
    /// Stops the node cleanly, after it answered.
    "node_shutdown" node_shutdown(Empty) -> Done;

    /// The newest block applied.
    "chain_head" chain_head(Empty) -> Head;
    /// A block's header.
    "chain_getHeader" chain_get_header(AtParams) -> BlockHeader;
    /// A block with its certificate.
    "chain_getBlock" chain_get_block(AtParams) -> Block;
    /// What makes a block final.
    "chain_getCertificate" chain_get_certificate(AtParams) -> BlockCertificate;
    /// The validators whose certificate makes a block final; also of the one after the newest.
    "chain_getValidators" chain_get_validators(AtParams) -> ChainValidators;
    /// The document that the network began with.
    "chain_getGenesis" chain_get_genesis(Empty) -> GenesisDocument;
    /// The blocks at which the validators changed, oldest first.
    "chain_getValidatorChanges" chain_get_validator_changes(ChangesParams) -> Page<ValidatorChange>;
    /// What an account can spend.
    "ledger_getBalance" ledger_get_balance(AccountParams) -> Balance;
    /// All that the ledger holds of an account.
    "ledger_getAccount" ledger_get_account(AccountParams) -> Account;
    /// All that the ledger holds of a provider.
    "ledger_getProvider" ledger_get_provider(ProviderParams) -> LedgerProvider;
    /// A contract as it is active on the ledger.
    "ledger_getContract" ledger_get_contract(ContractParams) -> LedgerContract;
    /// An account's or a provider's record, or that there is none, with its proof.
    "ledger_getProof" ledger_get_proof(ProofParams) -> Proof;
    /// The network's parameters.
    "ledger_params" ledger_params(Empty) -> LedgerParams;

    /// Who makes blocks, who would, and what is being decided about them.
    "network_validators" network_validators(Empty) -> Validators;
    /// Approves a change of the validators, as the one that this node is.
    "network_approve" network_approve(ChangeParams) -> Approved;

    /// What the home's account can spend.
    "wallet_getBalance" wallet_get_balance(Empty) -> Balance;
    /// Movements of the home's account, newest first.
    "wallet_listTransactions" wallet_list_transactions(PageParams) -> Page<Transaction>;
    /// Pays another account; answers once the payment is in a block, or after a few seconds.
    "wallet_send" wallet_send(SendParams) -> Sent;
    /// What this device may do with the account's credit.
    "wallet_getLimit" wallet_get_limit(Empty) -> Limit;

    /// A transfer from the home's account for its account key to sign.
    "tx_build" tx_build(SendParams) -> Unsigned;
    /// Has a signed transaction sent until a block holds it; answers as `wallet_send` does.
    "tx_submit" tx_submit(SubmitParams) -> Sent;

    /// Valid offers, by provider.
    "market_listOffers" market_list_offers(PageParams) -> Page<Offer>;
    /// What this node stores and earns; all zero if it does not provide.
    "provider_status" provider_status(Empty) -> ProviderStatus;
    /// What this node offers.
    "provider_getOffer" provider_get_offer(Empty) -> ProviderOffer;
    /// Changes what this node offers, for good and at once.
    "provider_setOffer" provider_set_offer(OfferChange) -> ProviderOffer;
    /// Leaves: takes on nothing more, and is gone when the last contract has ended.
    "provider_exit" provider_exit(Empty) -> ProviderOffer;
    /// Takes free collateral back to the account that this provider is paid to.
    "provider_withdraw" provider_withdraw(WithdrawParams) -> Withdrawn;
    /// Announces that this provider will be away; answers once that is in a block.
    "provider_maintenance" provider_maintenance(AbsenceParams) -> Absence;
    /// How the ledger judged this provider, newest first.
    "provider_listAudits" provider_list_audits(PageParams) -> Page<Audit>;
    /// The contracts that this node provides, by their end.
    "provider_listContracts" provider_list_contracts(PageParams) -> Page<HeldContract>;
    /// Where this node's shards lie.
    "provider_listVolumes" provider_list_volumes(PageParams) -> Page<Volume>;
    /// Adds a volume, or looks again for one whose disk was not there.
    "provider_addVolume" provider_add_volume(VolumeParams) -> Volume;
    /// Changes how much may lie on a volume.
    "provider_resizeVolume" provider_resize_volume(VolumeParams) -> Volume;
    /// Takes a volume away: its shards are moved to the others, or declared lost.
    "provider_removeVolume" provider_remove_volume(RemoveVolumeParams) -> VolumeRemoved;
    /// The home's contracts, by provider.
    "renter_listContracts" renter_list_contracts(PageParams) -> Page<RenterContract>;
    /// The redundancy of all that the home has stored.
    "renter_repairs" renter_repairs(Empty) -> Repairs;

    /// Begins a backup.
    "backup_start" backup_start(BackupParams) -> JobStarted;
    /// What a backup would read.
    "backup_estimate" backup_estimate(EstimateParams) -> Estimate;
    /// The vault's snapshots, oldest first.
    "backup_listSnapshots" backup_list_snapshots(PageParams) -> Page<Snapshot>;
    /// What lies in a folder of a snapshot.
    "backup_browse" backup_browse(BrowseParams) -> Page<Entry>;
    /// Begins to find the account's data again, in a home made from its words.
    "backup_recover" backup_recover(Empty) -> JobStarted;
    /// Begins a restore.
    "backup_restore" backup_restore(RestoreParams) -> JobStarted;

    /// Jobs, newest first.
    "job_list" job_list(PageParams) -> Page<Job>;
    /// One job.
    "job_get" job_get(JobParams) -> Job;
    /// Asks a job to stop; it is over once its state says so.
    "job_cancel" job_cancel(JobParams) -> Done;
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Reads parameters, named or positional; none at all is an empty list.
fn read<P: DeserializeOwned>(params: &Params<'_>) -> Result<P, ErrorObjectOwned> {
    serde_json::from_str(params.as_str().unwrap_or("[]")).map_err(|e| {
        ErrorObjectOwned::owned(INVALID_PARAMS_CODE, INVALID_PARAMS_MSG, Some(e.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_surface() {
        let names: Vec<_> = METHODS.iter().map(|m| m.name).collect();
        for name in &names {
            let (area, verb) = name.split_once('_').unwrap();
            assert!(area.bytes().all(|b| b.is_ascii_lowercase()), "{name}");
            assert!(verb.bytes().all(|b| b.is_ascii_alphabetic()), "{name}");
        }
        let mut generator = SchemaGenerator::default();
        for method in METHODS {
            assert!((method.params)(&mut generator).as_object().is_some());
            assert!((method.result)(&mut generator).as_object().is_some());
        }
    }

    #[test]
    fn parameters_are_named_or_positional_and_unknown_ones_are_refused() {
        let limit = |text: &str| read::<PageParams>(&Params::new(Some(text))).map(|p| p.limit);
        assert_eq!(limit("{\"limit\":5}"), Ok(Some(5)));
        assert_eq!(limit("[null,5]"), Ok(Some(5)));
        assert_eq!(limit("[]"), Ok(None));
        assert_eq!(read::<Empty>(&Params::new(None)), Ok(Empty {}));
        for bad in ["{\"limits\":5}", "[null,5,6]", "5", "{\"limit\":-1}"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
        assert!(read::<Empty>(&Params::new(Some("[1]"))).is_err());
    }
}
