//! Sub-keys of a made history's accounts.

use super::{DEVICES, RENTERS, World};
use crate::examples::signer;
use crate::{Dice, Make};
use larder_ledger::{Delegate, Grant, Revoke, Tx};
use larder_types::{SubKeyId, Time};

/// The seed of every account's admin key.
const ADMIN: u8 = 62;
impl World {
    /// An account delegates to a device's key or revokes it.
    pub(super) fn of_keys(&self, dice: &mut Dice<'_>) -> Tx {
        let net = self.state.genesis_hash();
        let account = signer(RENTERS[dice.index(RENTERS.len())]);
        let subkey = SubKeyId(signer(DEVICES[dice.index(DEVICES.len())]).public());
        let admin = signer(if dice.once_in(8) { dice.byte() } else { ADMIN });
        let issued = Time(self.now.0.saturating_add(dice.below(2_000)));
        if dice.once_in(3) {
            return Tx::Revoke(Revoke::sign(
                account.account(),
                &admin,
                subkey,
                issued,
                &net,
            ));
        }
        let grant = Grant {
            may: Make::make(dice),
            cap: Make::make(dice),
            issued,
            until: Time(issued.0.saturating_add(dice.below(60_000))),
        };
        Tx::Delegate(Delegate::sign(&account, &admin, subkey, grant, &net))
    }
}
