//! `provider_*`: what this node provides: its offer, its volumes, what it earns.

use super::NodeApi;
use crate::shown::internal;
use larder_rpc::{
    Absence, AbsenceParams, Audit, Earnings, Empty, HeldContract, Nano, OfferChange, Page,
    PageParams, ProviderMethods, ProviderOffer, ProviderStatus, RemoveVolumeParams, RpcError,
    Taking, Volume, VolumeParams, VolumeRemoved, WithdrawParams, Withdrawn,
};
use larder_types::Amount;

impl ProviderMethods for NodeApi {
    async fn provider_status(&self, _: Empty) -> Result<ProviderStatus, RpcError> {
        Ok(self.provider_now().await?.unwrap_or_default())
    }

    async fn provider_get_offer(&self, _: Empty) -> Result<ProviderOffer, RpcError> {
        self.offer_now().await
    }

    async fn provider_set_offer(&self, change: OfferChange) -> Result<ProviderOffer, RpcError> {
        self.change_offer(change).await
    }

    async fn provider_exit(&self, _: Empty) -> Result<ProviderOffer, RpcError> {
        let taking = Some(Taking::Leaving);
        self.change_offer(OfferChange {
            taking,
            ..OfferChange::default()
        })
        .await
    }

    async fn provider_withdraw(&self, params: WithdrawParams) -> Result<Withdrawn, RpcError> {
        self.withdraw(params).await
    }

    async fn provider_maintenance(&self, params: AbsenceParams) -> Result<Absence, RpcError> {
        self.announce(params).await
    }

    async fn provider_earnings(&self, params: PageParams) -> Result<Earnings, RpcError> {
        let audits = self.store.audits().await.map_err(internal)?;
        let add = |sum: Amount, more| sum.checked_add(more).unwrap_or(Amount(u64::MAX));
        let charged = audits.iter().map(|a| a.charged).fold(Amount::ZERO, add);
        let withheld = audits.iter().filter(|a| !a.paid);
        let withheld = withheld
            .map(|a| {
                a.amount
                    .checked_mul(u64::from(a.epochs))
                    .unwrap_or(Amount(u64::MAX))
            })
            .fold(Amount::ZERO, add);
        let epochs = Page::cut(audits.into_iter().map(crate::own::shown), &params)?;
        let guard = self.ledger.read();
        let (state, tallies) = &*guard;
        let record = state.provider(&self.node);
        let tally = tallies.get(&self.node).copied().unwrap_or_default();
        Ok(Earnings {
            earned: Nano(tally.earned),
            proven: tally.passed,
            missed: tally.missed,
            charged: Nano(charged),
            withheld: Nano(withheld),
            vesting: Nano(record.map_or(Amount::ZERO, |p| {
                p.vest.iter().copied().fold(Amount::ZERO, add)
            })),
            escrow: Nano(record.map(|p| p.escrow).unwrap_or_default()),
            epochs: epochs.items,
            next_cursor: epochs.next_cursor,
        })
    }

    async fn provider_list_audits(&self, params: PageParams) -> Result<Page<Audit>, RpcError> {
        let audits = self.store.audits().await.map_err(internal)?;
        Ok(Page::cut(
            audits.into_iter().map(crate::own::shown),
            &params,
        )?)
    }

    async fn provider_list_contracts(
        &self,
        params: PageParams,
    ) -> Result<Page<HeldContract>, RpcError> {
        Ok(Page::cut(self.held().await?, &params)?)
    }

    async fn provider_list_volumes(&self, params: PageParams) -> Result<Page<Volume>, RpcError> {
        Ok(Page::cut(self.volumes_now().await?, &params)?)
    }

    async fn provider_add_volume(&self, params: VolumeParams) -> Result<Volume, RpcError> {
        self.add_volume(params).await
    }

    async fn provider_resize_volume(&self, params: VolumeParams) -> Result<Volume, RpcError> {
        self.resize_volume(params).await
    }

    async fn provider_remove_volume(
        &self,
        params: RemoveVolumeParams,
    ) -> Result<VolumeRemoved, RpcError> {
        self.remove_volume(params).await
    }
}
