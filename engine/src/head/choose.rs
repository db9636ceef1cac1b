//! What a recovery believes of the heads that peers show: of each device the newest that verifies.
//! One honest peer is enough for that; a peer that shows an older one than another did is named,
//! because it forgot, was cut off, or lies. `docs/protocol.md` §3.9.

use super::{DeviceId, Head, HeadContract, RecoveryKeys, SegmentEntry, SignedHead};
use larder_types::{AccountId, ContractId, GenesisHash, NodeId, SegmentId};
use std::collections::BTreeMap;

/// Most heads of one answer that are looked at, and that a node gives: four accounts' worth of
/// devices, where an honest peer holds one account's under a key.
pub const MAX_ANSWER: usize = 32;

/// A device's newest head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundHead {
    /// The device's key.
    pub device: [u8; 32],
    /// What it said last.
    pub head: Head,
    /// As it was signed.
    pub signed: SignedHead,
}

/// A peer that gave an older head of a device than another peer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StalePeer {
    /// Which peer.
    pub peer: NodeId,
    /// Whose head.
    pub device: [u8; 32],
    /// The number it gave.
    pub seq: u64,
    /// The highest number that another gave.
    pub newest: u64,
}

/// What the heads of all devices say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The newest head of each device.
    pub heads: Vec<FoundHead>,
    /// The segments of all of them, each once: catalogues first.
    pub segments: Vec<SegmentEntry>,
    /// The highest number of all; 0 without any head. The next head must be above it.
    pub seq: u64,
    /// Peers that gave an older head than another.
    pub stale: Vec<StalePeer>,
    /// Heads that are not the account's, do not verify or do not open.
    pub refused: u32,
}

/// Verifies what each peer answered and keeps of each device the newest. Certificates that are past
/// count: a device that was lost long ago must not take its data along.
#[must_use]
pub fn choose(
    answers: Vec<(NodeId, Vec<SignedHead>)>,
    keys: &RecoveryKeys,
    account: &AccountId,
    net: &GenesisHash,
) -> Chosen {
    let mut refused = 0u32;
    let mut opened: Vec<(SignedHead, Head)> = Vec::new();
    let mut given: BTreeMap<(NodeId, [u8; 32]), u64> = BTreeMap::new();
    for (peer, heads) in answers {
        let surplus = heads.len().saturating_sub(MAX_ANSWER);
        refused = refused.saturating_add(u32::try_from(surplus).unwrap_or(u32::MAX));
        for signed in heads.into_iter().take(MAX_ANSWER) {
            let (device, seq) = (signed.cert.device_pk, signed.seq);
            // Most peers give the same heads: one look at each is enough.
            if !opened.iter().any(|(known, _)| *known == signed) {
                match signed.open(keys, account, net) {
                    Ok(head) => opened.push((signed, head)),
                    Err(_) => {
                        refused = refused.saturating_add(1);
                        continue;
                    }
                }
            }
            let best = given.entry((peer, device)).or_default();
            *best = seq.max(*best);
        }
    }
    let put_out = revoked(&opened, account, net);
    let before = opened.len();
    opened.retain(|(signed, head)| {
        put_out
            .get(&signed.device())
            .is_none_or(|seq| head.seq <= *seq)
    });
    let late = u32::try_from(before - opened.len()).unwrap_or(u32::MAX);
    refused = refused.saturating_add(late);
    let heads = newest(opened);
    let of = |device: &[u8; 32]| heads.iter().find(|found| found.device == *device);
    let stale = given
        .into_iter()
        .filter_map(|((peer, device), seq)| {
            let newest = of(&device)?.head.seq;
            let stale = StalePeer {
                peer,
                device,
                seq,
                newest,
            };
            (seq < newest).then_some(stale)
        })
        .collect();
    Chosen {
        segments: merged(&heads),
        seq: heads.iter().map(|found| found.head.seq).max().unwrap_or(0),
        heads,
        stale,
        refused,
    }
}

/// The devices that the words have put out, and the last of their heads that counts. Whoever holds one
/// of the heads holds the account's certificate, and with it the admin key.
fn revoked(
    opened: &[(SignedHead, Head)],
    account: &AccountId,
    net: &GenesisHash,
) -> BTreeMap<DeviceId, u64> {
    let mut revoked: BTreeMap<DeviceId, u64> = BTreeMap::new();
    for (signed, head) in opened {
        for it in &head.revoked {
            if it.verify(account, &signed.cert.admin_pk, net) {
                let seq = revoked.entry(it.device).or_insert(it.seq);
                *seq = it.seq.min(*seq);
            }
        }
    }
    revoked
}

/// Of each device the heads of its highest number. There are two of one number only if a device's
/// disk was copied or rolled back; then both count.
fn newest(opened: Vec<(SignedHead, Head)>) -> Vec<FoundHead> {
    let mut highest: BTreeMap<[u8; 32], u64> = BTreeMap::new();
    for (signed, head) in &opened {
        let seq = highest.entry(signed.cert.device_pk).or_default();
        *seq = head.seq.max(*seq);
    }
    let mut heads: Vec<FoundHead> = opened
        .into_iter()
        .map(|(signed, head)| FoundHead {
            device: signed.cert.device_pk,
            head,
            signed,
        })
        .filter(|found| highest.get(&found.device) == Some(&found.head.seq))
        .collect();
    heads.sort_by_key(|found| (std::cmp::Reverse(found.head.seq), found.device));
    heads
}

/// Every segment once, as the head of the highest number describes it; it is a catalogue if any
/// head says so.
fn merged(heads: &[FoundHead]) -> Vec<SegmentEntry> {
    let mut by_id: BTreeMap<SegmentId, SegmentEntry> = BTreeMap::new();
    for entry in heads.iter().flat_map(|found| &found.head.segments) {
        by_id
            .entry(entry.manifest.segment)
            .and_modify(|known| known.catalogue |= entry.catalogue)
            .or_insert_with(|| entry.clone());
    }
    let mut all: Vec<SegmentEntry> = by_id.into_values().collect();
    all.sort_by_key(|entry| !entry.catalogue);
    all
}

impl Chosen {
    /// The contracts that the heads name, each with the highest revision that any of them does.
    #[must_use]
    pub fn contracts(&self) -> Vec<HeadContract> {
        let mut by_id: BTreeMap<ContractId, HeadContract> = BTreeMap::new();
        for contract in self.heads.iter().flat_map(|found| &found.head.contracts) {
            let newest = by_id
                .entry(contract.contract)
                .or_insert_with(|| contract.clone());
            if newest.revision < contract.revision {
                *newest = contract.clone();
            }
        }
        by_id.into_values().collect()
    }

    /// Of the contracts that are active on the ledger, with their revisions, those of which no head
    /// knows that much: the heads shown are old, all of them, or the last device died before it
    /// published, or a provider has declared a loss since.
    #[must_use]
    pub fn uncovered(
        &self,
        active: impl IntoIterator<Item = (ContractId, u64)>,
    ) -> Vec<ContractId> {
        let known: BTreeMap<ContractId, u64> = self
            .contracts()
            .into_iter()
            .map(|c| (c.contract, c.revision))
            .collect();
        active
            .into_iter()
            .filter(|(id, revision)| known.get(id).is_none_or(|known| known < revision))
            .map(|(id, _)| id)
            .collect()
    }
}
