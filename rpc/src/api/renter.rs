//! `renter_*`: what this node rents.

use crate::types::{
    AllowanceParams, CancelParams, Cancelled, ContractHealth, RentedParams, Quote, QuoteParams, RentParams, RenterContract, Repairs, Spending,
};
use crate::values::{Empty, Page, PageParams};

super::methods! {
    /// What this node rents.
    RenterMethods: "renter";

    /// The home's contracts, by provider.
    "renter_listContracts" renter_list_contracts(PageParams) -> Page<RenterContract>, Read;
    /// What storing would cost this home beside what it rents already.
    "renter_quote" renter_quote(QuoteParams) -> Quote, Read;
    /// Opens a contract with a provider; it is in force once both have signed and a block holds it.
    "renter_createContract" renter_create_contract(RentParams) -> RenterContract, Wallet;
    /// Proposes a later end for a contract; it has one once its provider agreed.
    "renter_renewContract" renter_renew_contract(RentedParams) -> RenterContract, Wallet;
    /// Gives notice: the contract ends some epochs after the next boundary, as the network's parameters say. What
    /// lies there is rebuilt elsewhere before.
    "renter_cancelContract" renter_cancel_contract(CancelParams) -> Cancelled, Admin;
    /// Sets the most that the home's contracts may cost in 30 days, at once and for good.
    "renter_setAllowance" renter_set_allowance(AllowanceParams) -> Spending, Wallet;
    /// What the home's contracts cost, and how long its credit lasts.
    "renter_spending" renter_spending(Empty) -> Spending, Read;
    /// How one of the home's contracts is, and what hangs on it.
    "renter_contractHealth" renter_contract_health(RentedParams) -> ContractHealth, Read;
    /// The redundancy of all that the home has stored.
    "renter_repairs" renter_repairs(Empty) -> Repairs, Read;
}
