//! An announced absence: a provider that says so in time goes without pay in those epochs and is
//! not struck. `docs/protocol.md` §3.6.

use crate::check::Place;
use crate::{State, TxRefusal};
use larder_keys::{Signer, Tag, verify};
use larder_types::layout::Layout;
use larder_types::{Epoch, GenesisHash, NodeId, Signature};
use serde::{Deserialize, Serialize};

const MAINTENANCE: Tag = Tag("maintenance");

/// Epochs between the one that includes the notice and the first one away: no draw that the
/// provider could know is excused, and renters have an epoch to fetch what they need.
pub const NOTICE: Epoch = 2;
/// Most epochs away: below the four misses in a row that fault.
pub const LONGEST: u32 = 3;
/// Epochs from the beginning of one absence to that of the next, at least: one in twenty epochs
/// is the most that nobody may be asked in.
pub const APART: Epoch = 60;

/// A provider announces that it will be away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// Who.
    pub provider: NodeId,
    /// The first epoch away: at least two after the one that includes this.
    pub first: Epoch,
    /// How many, 1 to 3.
    pub epochs: u32,
    /// By the provider's node key.
    pub sig_provider: Signature,
}

/// The newest absence that a provider announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absence {
    /// The first epoch away.
    pub first: Epoch,
    /// How many.
    pub epochs: u32,
}

impl Absence {
    /// Whether it covers `epoch`.
    #[must_use]
    pub fn covers(&self, epoch: Epoch) -> bool {
        let since = epoch.checked_sub(self.first);
        since.is_some_and(|since| since < self.epochs)
    }

    /// The first epoch in which the next absence may begin.
    #[must_use]
    pub const fn next(&self) -> Epoch {
        self.first.saturating_add(APART)
    }
}

impl Maintenance {
    /// provider[32] ‖ first u32 ‖ epochs u32.
    fn to_layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.provider)
            .u32(self.first)
            .u32(self.epochs)
            .finish()
    }

    /// Announces an absence with the provider's node key.
    #[must_use]
    pub fn sign(node: &Signer, first: Epoch, epochs: u32, genesis: &GenesisHash) -> Self {
        let mut notice = Self {
            provider: node.node(),
            first,
            epochs,
            sig_provider: Signature::default(),
        };
        notice.sig_provider = node.sign(MAINTENANCE, genesis, &notice.to_layout());
        notice
    }

    pub(crate) fn verify(&self, genesis: &GenesisHash) -> bool {
        let bytes = self.to_layout();
        verify(
            &self.provider.0,
            MAINTENANCE,
            genesis,
            &bytes,
            &self.sig_provider,
        )
    }
}

impl State {
    /// In time, not too long, not too soon after the last. No nonce is needed: the notice names its
    /// epochs, so that it acts once.
    pub(crate) fn check_maintenance(
        &self,
        tx: &Maintenance,
        place: Place,
    ) -> Result<(), TxRefusal> {
        let record = self.provider(&tx.provider).ok_or(TxRefusal::Unregistered)?;
        let earliest = place.epoch.saturating_add(NOTICE);
        if tx.first < earliest {
            return Err(TxRefusal::Notice {
                first: tx.first,
                earliest,
            });
        }
        if !(1..=LONGEST).contains(&tx.epochs) {
            return Err(TxRefusal::Absence { epochs: tx.epochs });
        }
        match record.maintenance.map(|last| last.next()) {
            Some(next) if tx.first < next => Err(TxRefusal::AwayAgain { next }),
            Some(_) | None => Ok(()),
        }
    }
}
