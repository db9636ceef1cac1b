//! Heads that we keep for the accounts of our contracts, so that a keeper that lost everything
//! finds them again: of each device the one with the highest number, sealed, signed, durable before
//! the answer. Whoever knows the rendezvous key may have them. `docs/protocol.md` §3.9.

use super::Provider;
use crate::ctx::Ctx;
use crate::head::{HeadError, MAX_ANSWER, SeenHead, SignedHead};
use crate::rows::{HeadRow, Write};
use crate::wire::{Deny, Response};
use larder_types::{AccountId, Epoch, Hash};
use std::collections::{BTreeMap, BTreeSet};

/// Most devices of one account: half a MiB. A recovery makes a new one; the one whose number is
/// lowest gives way.
pub(super) const MAX_DEVICES: usize = 8;
/// A head rests so many epochs after its account's last contract here has ended: the account may
/// be about to come back, and elsewhere its data may live on.
const REST_EPOCHS: Epoch = 14;

/// The heads that are kept, by rendezvous key and device.
#[derive(Debug, Default)]
pub(crate) struct KeptHeads(BTreeMap<(Hash, [u8; 32]), HeadRow>);

impl KeptHeads {
    /// Takes durable rows up again.
    pub(crate) fn restore(&mut self, rows: Vec<HeadRow>) {
        self.0 = rows.into_iter().map(|row| (place(&row), row)).collect();
    }

    /// The heads under a rendezvous key, those of accounts that pay here first: a key is no secret,
    /// and proposals cost nothing.
    pub(crate) fn under(
        &self,
        key: &Hash,
        have: &[SeenHead],
        pays: impl Fn(&AccountId) -> bool,
    ) -> Response {
        let of_key = self.0.range((*key, [0; 32])..=(*key, [u8::MAX; 32]));
        let news = |head: &&SignedHead| {
            let known = have.iter().find(|seen| seen.device == head.device());
            known.is_none_or(|known| known.seq < head.seq)
        };
        let mut heads: Vec<&SignedHead> = of_key.map(|(_, row)| &row.head).filter(news).collect();
        heads.sort_by_cached_key(|head| !pays(&head.cert.account));
        Response::Heads(heads.into_iter().take(MAX_ANSWER).cloned().collect())
    }

    /// The rendezvous keys, each once.
    pub(crate) fn keys(&self) -> Vec<Hash> {
        let keys: BTreeSet<Hash> = self.0.keys().map(|(key, _)| *key).collect();
        keys.into_iter().collect()
    }

    /// Who gives way for a device's first head: nobody while there is room, else the account's
    /// lowest number.
    fn yields(&self, new: &SignedHead) -> Result<Option<(Hash, [u8; 32])>, Deny> {
        let of_account: Vec<_> = self
            .0
            .iter()
            .filter(|(_, row)| row.head.cert.account == new.cert.account)
            .collect();
        if of_account.len() < MAX_DEVICES {
            return Ok(None);
        }
        let lowest = of_account.into_iter().min_by_key(|(_, row)| row.head.seq);
        match lowest {
            Some((place, row)) if row.head.seq < new.seq => Ok(Some(*place)),
            Some(_) | None => Err(Deny::NoRoom),
        }
    }
}

fn place(row: &HeadRow) -> (Hash, [u8; 32]) {
    (row.head.key, row.head.cert.device_pk)
}

impl Provider {
    /// Keeps a head if it is newer than its device's last one.
    pub(crate) fn put_head(
        &mut self,
        ctx: &mut Ctx<'_>,
        head: SignedHead,
    ) -> Result<Response, Deny> {
        if !self.rents(&head.cert.account) {
            return Err(Deny::UnknownContract);
        }
        head.verify(&ctx.me.genesis).map_err(refusal)?;
        if ctx.now > head.cert.expiry {
            return Err(Deny::BadSignature);
        }
        let seq = head.seq;
        let row = HeadRow { head, gone: None };
        let at = place(&row);
        let mut rows = Vec::new();
        match self.heads.0.get(&at) {
            Some(kept) if kept.head.seq >= seq => {
                let seq = kept.head.seq;
                return Ok(Response::Kept { seq });
            }
            Some(_) => {}
            None => {
                if let Some(old) = self.heads.yields(&row.head)? {
                    self.heads.0.remove(&old);
                    rows.push(Write::head(&old.0, &old.1, None));
                }
            }
        }
        rows.push(Write::head(&at.0, &at.1, Some(&row)));
        ctx.persist(rows);
        self.heads.0.insert(at, row);
        Ok(Response::Kept { seq })
    }

    /// Whether the ledger holds a contract of the account here.
    pub(crate) fn is_paid_by(&self, account: &AccountId) -> bool {
        self.contracts
            .values()
            .any(|held| held.active.is_some() && held.leaf().renter == *account)
    }

    fn rents(&self, account: &AccountId) -> bool {
        self.contracts
            .values()
            .any(|held| held.leaf().renter == *account)
    }

    /// An epoch has begun: heads of accounts without a contract here rest a while, then go.
    pub(crate) fn tend_heads(&mut self, ctx: &mut Ctx<'_>) {
        if self.heads.0.is_empty() {
            return;
        }
        let renters: BTreeSet<AccountId> = self
            .contracts
            .values()
            .map(|held| held.leaf().renter)
            .collect();
        let epoch = ctx.chain.epoch;
        let mut rows = Vec::new();
        self.heads.0.retain(|(key, device), row| {
            let rents = renters.contains(&row.head.cert.account);
            let gone = (!rents).then(|| row.gone.unwrap_or(epoch));
            let keep = gone.is_none_or(|since| epoch < since.saturating_add(REST_EPOCHS));
            if !keep {
                rows.push(Write::head(key, device, None));
            } else if gone != row.gone {
                row.gone = gone;
                rows.push(Write::head(key, device, Some(row)));
            }
            keep
        });
        ctx.persist(rows);
    }
}

fn refusal(why: HeadError) -> Deny {
    match why {
        HeadError::Cert | HeadError::Signature => Deny::BadSignature,
        HeadError::TooLong { .. }
        | HeadError::Key
        | HeadError::Account
        | HeadError::Seal
        | HeadError::Decode(_)
        | HeadError::Number { .. }
        | HeadError::Manifest(_) => Deny::WrongBytes,
    }
}
