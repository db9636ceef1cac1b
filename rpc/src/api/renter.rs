//! `renter_*`: what this node rents.

use crate::types::{RenterContract, Repairs};
use crate::values::{Empty, Page, PageParams};

super::methods! {
    /// What this node rents.
    RenterMethods: "renter";

    /// The home's contracts, by provider.
    "renter_listContracts" renter_list_contracts(PageParams) -> Page<RenterContract>, Read;
    /// The redundancy of all that the home has stored.
    "renter_repairs" renter_repairs(Empty) -> Repairs, Read;
}
