//! `provider_*`: what this node provides: its offer, its volumes, what it earns.

use crate::types::{Earnings, Absence, AbsenceParams, Audit, HeldContract, OfferChange, ProviderOffer, ProviderStatus, RemoveVolumeParams, Volume, VolumeParams, VolumeRemoved, WithdrawParams, Withdrawn};
use crate::values::{Empty, Page, PageParams};

super::methods! {
    /// What this node provides: its offer, its volumes, what it earns.
    ProviderMethods: "provider";

    /// What this node stores and earns; all zero if it does not provide.
    "provider_status" provider_status(Empty) -> ProviderStatus, Read;
    /// What this node offers.
    "provider_getOffer" provider_get_offer(Empty) -> ProviderOffer, Read;
    /// Changes what this node offers, for good and at once.
    "provider_setOffer" provider_set_offer(OfferChange) -> ProviderOffer, Admin;
    /// Leaves: takes on nothing more, and is gone when the last contract has ended.
    "provider_exit" provider_exit(Empty) -> ProviderOffer, Admin;
    /// Takes free collateral back to the account that this provider is paid to.
    "provider_withdraw" provider_withdraw(WithdrawParams) -> Withdrawn, Admin;
    /// Announces that this provider will be away; answers once that is in a block.
    "provider_maintenance" provider_maintenance(AbsenceParams) -> Absence, Admin;
    /// What this provider earned, in all and by epoch, and what was taken from it.
    "provider_earnings" provider_earnings(PageParams) -> Earnings, Read;
    /// How the ledger judged this provider, newest first.
    "provider_listAudits" provider_list_audits(PageParams) -> Page<Audit>, Read;
    /// The contracts that this node provides, by their end.
    "provider_listContracts" provider_list_contracts(PageParams) -> Page<HeldContract>, Read;
    /// Where this node's shards lie.
    "provider_listVolumes" provider_list_volumes(PageParams) -> Page<Volume>, Admin;
    /// Adds a volume, or looks again for one whose disk was not there.
    "provider_addVolume" provider_add_volume(VolumeParams) -> Volume, Admin;
    /// Changes how much may lie on a volume.
    "provider_resizeVolume" provider_resize_volume(VolumeParams) -> Volume, Admin;
    /// Takes a volume away: its shards are moved to the others, or declared lost.
    "provider_removeVolume" provider_remove_volume(RemoveVolumeParams) -> VolumeRemoved, Admin;
}
