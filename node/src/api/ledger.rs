//! `ledger_*`: what the ledger holds true of accounts, providers and contracts.

use super::NodeApi;
use crate::shown::{as_of, not_on_ledger};
use larder_ledger::State;
use larder_rpc::{
    Account, AccountParams, Balance, Code, ContractParams, Empty, HistoryParams, LedgerContract,
    LedgerMethods, LedgerParams, LedgerProvider, Moment, Nano, Page, PageParams, Proof,
    ProofParams, ProviderParams, RpcError, Text, Transaction,
};
use larder_types::params::CHUNK;
use larder_types::{AccountId, Amount, ContractId, NodeId};

impl LedgerMethods for NodeApi {
    async fn ledger_get_proof(&self, params: ProofParams) -> Result<Proof, RpcError> {
        self.proof(params).await
    }

    async fn ledger_get_balance(&self, params: AccountParams) -> Result<Balance, RpcError> {
        let account = params.account.0;
        self.state_at(params.at.as_deref(), |state| balance(state, account))
            .await
    }

    async fn ledger_get_account(&self, params: AccountParams) -> Result<Account, RpcError> {
        let id = params.account.0;
        self.state_at(params.at.as_deref(), |state| account(state, id))
            .await?
    }

    async fn ledger_get_history(
        &self,
        params: HistoryParams,
    ) -> Result<Page<Transaction>, RpcError> {
        let page = PageParams {
            cursor: params.cursor,
            limit: params.limit,
        };
        self.history(params.account.0, &page).await
    }

    async fn ledger_get_provider(
        &self,
        params: ProviderParams,
    ) -> Result<LedgerProvider, RpcError> {
        self.ledger_provider(params.provider.0)
    }

    async fn ledger_get_contract(
        &self,
        params: ContractParams,
    ) -> Result<LedgerContract, RpcError> {
        let id = params.contract.0;
        self.state_at(params.at.as_deref(), |state| contract(state, id))
            .await?
    }

    async fn ledger_params(&self, _: Empty) -> Result<LedgerParams, RpcError> {
        self.parameters()
    }
}

impl NodeApi {
    /// Looks at the state after the block that `at` names.
    pub(super) async fn state_at<T>(
        &self,
        at: Option<&str>,
        look: impl FnOnce(&State) -> T + Send,
    ) -> Result<T, RpcError> {
        if matches!(at, None | Some("latest" | "finalized")) {
            return Ok(self.state(look));
        }
        let height = self.height(at).await?;
        self.state_after(height).map(|state| look(&state))
    }

    /// The state after a block, if it is held still.
    pub(super) fn state_after(&self, height: u64) -> Result<State, RpcError> {
        self.ledger.at(height).ok_or_else(|| {
            let (oldest, newest) = self.ledger.held();
            let why = format!(
                "the state after block {height} is not held; ask for one of {oldest} to {newest}, or \
                 `latest`"
            );
            RpcError::new(Code::NotOnLedger, why)
        })
    }

    pub(super) fn ledger_provider(&self, id: NodeId) -> Result<LedgerProvider, RpcError> {
        let guard = self.ledger.read();
        let (state, tallies) = &*guard;
        let record = state
            .provider(&id)
            .ok_or_else(|| not_on_ledger("provider", id))?;
        let tally = tallies.get(&id).copied().unwrap_or_default();
        let chunks: u64 = record.active.iter().map(|(_, leaf)| leaf.used_chunks).sum();
        Ok(LedgerProvider {
            provider: Text(id),
            account: Text(record.payout),
            collateral_free: Nano(record.free),
            collateral_locked: Nano(record.locked),
            active_bytes: chunks * CHUNK,
            passed: tally.passed,
            missed: tally.missed,
            misses_in_a_row: record.consecutive_misses(),
            faulted_since_epoch: record.faulted,
            last_passed_epoch: tally.last_passed,
            earned: Nano(tally.earned),
            as_of: as_of(state),
        })
    }

    pub(super) fn parameters(&self) -> Result<LedgerParams, RpcError> {
        let params = &self.genesis.params;
        Ok(LedgerParams {
            network: self.genesis.network.clone(),
            genesis: Text(self.genesis.hash()),
            start: Moment(self.genesis.start),
            supply: Nano(self.genesis.supply.total().unwrap_or_default()),
            profile: params.profile.to_string(),
            epoch_ms: params.epoch.0,
            slots: params.slots,
            window_ms: params.window.0,
            challenges: params.challenges,
            fee_ppm: params.fee_ppm,
            burn_ppm: params.burn_ppm,
            vesting_epochs: params.vesting,
            min_term: params.min_term,
            max_term: params.max_term,
            capacity_step: params.capacity_step.0,
            faucet: params.faucet.map(Nano),
        })
    }
}

/// The account `id` as it stands in a state.
fn account(state: &State, id: AccountId) -> Result<Account, RpcError> {
    let record = state
        .account(&id)
        .ok_or_else(|| not_on_ledger("account", id))?;
    let z = state.epoch();
    let escrowed = state
        .contracts_of(&id)
        .map(|(_, _, leaf)| {
            let left = u64::from(leaf.end_epoch.saturating_sub(z.max(leaf.start_epoch)));
            leaf.rate.checked_mul(left).unwrap_or(Amount::ZERO)
        })
        .sum();
    let vesting = state
        .providers()
        .filter(|p| p.payout == id)
        .flat_map(|p| p.vest.iter().copied())
        .sum();
    Ok(Account {
        account: Text(id),
        available: Nano(record.balance),
        escrowed: Nano(escrowed),
        vesting: Nano(vesting),
        next_nonce: Text(record.nonces.free(0).unwrap_or(u64::MAX)),
        as_of: as_of(state),
    })
}

/// The contract `id` as it stands in a state.
fn contract(state: &State, id: ContractId) -> Result<LedgerContract, RpcError> {
    let (_, provider, leaf) = state
        .contract(&id)
        .ok_or_else(|| not_on_ledger("contract", id))?;
    Ok(LedgerContract {
        contract: Text(id),
        provider: Text(provider),
        renter: Text(leaf.renter),
        revision: leaf.revision,
        start_epoch: leaf.start_epoch,
        end_epoch: leaf.end_epoch,
        capacity: leaf.capacity_chunks * CHUNK,
        used: leaf.used_chunks * CHUNK,
        rate: Nano(leaf.rate),
        collateral: Nano(leaf.collateral),
        as_of: as_of(state),
    })
}

/// What an account can spend in a state.
pub(super) fn balance(state: &State, account: AccountId) -> Balance {
    Balance {
        account: Text(account),
        available: Nano(state.balance(&account)),
        as_of: as_of(state),
    }
}
