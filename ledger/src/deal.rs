//! Which slot of the epoch asks whom, kept once it is known: what follows from beacon and trees is
//! no part of the state, is not compared and not kept. `docs/protocol.md` §3.1.

use larder_types::SlotNo;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Whom each slot asks: providers' indices, ascending.
pub(crate) type Asked = BTreeMap<SlotNo, Vec<u32>>;

/// A deal that is made when it is first asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deal(OnceLock<Arc<Asked>>);

impl Deal {
    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> Asked) -> &Asked {
        self.0.get_or_init(|| Arc::new(make()))
    }
}

/// Two states that are equal in all else have the same deal, made or not.
impl PartialEq for Deal {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Deal {}
