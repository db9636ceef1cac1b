//! A leaf of the provider tree: one contract. 240 bytes, little endian; what both parties sign and
//! what a provider proves. `docs/protocol.md` §3.3.

use crate::hashes;
use crate::layout_reader::{Reader, serde_as_bytes};
use larder_types::codec::DecodeError;
use larder_types::layout::Layout;
use larder_types::{AccountId, Amount, ContractId, Hash};

/// The layout's version.
pub const VERSION: u8 = 1;
/// Flag: the contract renews itself at its own rate.
pub const AUTO_RENEW: u8 = 1;
/// Flag: repair agents may act for the renter.
pub const DELEGATED_REPAIR: u8 = 2;
/// Flag: the position may move to another provider.
pub const TRANSFERABLE: u8 = 4;
/// Flag: removing shards, shortening the end or closing early takes the admin key. The default.
pub const APPEND_ONLY: u8 = 16;
/// All flags that have a meaning. Of the others 8 is kept for audits by witnesses; a leaf with one
/// of them is refused, so that nobody signs today what a later version reads another way.
pub const FLAGS: u8 = AUTO_RENEW | DELEGATED_REPAIR | TRANSFERABLE | APPEND_ONLY;
/// A content tree holds at most 2^32 shards.
pub const MAX_DEPTH: u8 = 32;

/// A contract as the ledger and the provider's commitment know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ContractLeaf {
    /// [`VERSION`].
    pub version: u8,
    /// The flags above, or-ed.
    pub flags: u8,
    /// How fast the provider promises to serve.
    pub egress_class: u8,
    /// Depth of the content tree, at most 32.
    pub depth: u8,
    /// The first epoch that is paid.
    pub start_epoch: u32,
    /// The first epoch that no longer is; a multiple of 7.
    pub end_epoch: u32,
    /// Version of the terms' text.
    pub terms_version: u32,
    /// `derive_key("larder v1 contract", provider ‖ renter ‖ nonce16)`.
    pub contract_id: ContractId,
    /// The account that pays.
    pub renter: AccountId,
    /// The content tree's root hash.
    pub content_root: Hash,
    /// Chunks of 1 KiB stored: the content tree's sum.
    pub used_chunks: u64,
    /// Chunks of 1 KiB paid for.
    pub capacity_chunks: u64,
    /// Nano per epoch, for the whole contract: its weight in the draw.
    pub rate: Amount,
    /// What the provider stands to lose.
    pub collateral: Amount,
    /// The provider's slash accumulator at the start, Q0.64.
    pub slash_acc: u64,
    /// Counts up; the highest wins.
    pub revision: u64,
    /// Nano per MiB read beyond what is included.
    pub egress_price: Amount,
    /// Chunks per epoch that may be read without further pay.
    pub included_egress_chunks: u64,
    /// Hash of the terms' text.
    pub terms_hash: Hash,
    /// Reserved for egress by Open.
    pub egress_deposit: Amount,
    /// Paid for egress so far.
    pub egress_paid: Amount,
    /// The provider's count of unpaid epochs when the contract began.
    pub unpaid_at_start: u32,
}

impl ContractLeaf {
    /// Bytes of the layout.
    pub const LEN: usize = 240;
    const RESERVED: [u8; 12] = [0; 12];

    /// The layout.
    ///
    /// # Panics
    /// Never: the layout has this length.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let bytes = Layout::new()
            .u8(self.version)
            .u8(self.flags)
            .u8(self.egress_class)
            .u8(self.depth)
            .u32(self.start_epoch)
            .u32(self.end_epoch)
            .u32(self.terms_version)
            .fixed(self.contract_id)
            .fixed(self.renter)
            .fixed(self.content_root)
            .u64(self.used_chunks)
            .u64(self.capacity_chunks)
            .u64(self.rate.0)
            .u64(self.collateral.0)
            .u64(self.slash_acc)
            .u64(self.revision)
            .u64(self.egress_price.0)
            .u64(self.included_egress_chunks)
            .fixed(self.terms_hash)
            .u64(self.egress_deposit.0)
            .u64(self.egress_paid.0)
            .u32(self.unpaid_at_start)
            .fixed(Self::RESERVED)
            .finish();
        bytes.try_into().expect("the layout is 240 bytes")
    }

    /// Reads the layout.
    ///
    /// # Errors
    /// A wrong length, another version, a flag beyond [`FLAGS`], a depth above 32, more used than
    /// paid for, or a reserved byte that is not 0.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let leaf = Self {
            version: r.u8("version")?,
            flags: r.u8("flags")?,
            egress_class: r.u8("egress class")?,
            depth: r.u8("depth")?,
            start_epoch: r.u32("start epoch")?,
            end_epoch: r.u32("end epoch")?,
            terms_version: r.u32("terms version")?,
            contract_id: ContractId(r.array("contract id")?),
            renter: AccountId(r.array("renter")?),
            content_root: Hash(r.array("content root")?),
            used_chunks: r.u64("used chunks")?,
            capacity_chunks: r.u64("capacity chunks")?,
            rate: Amount(r.u64("rate")?),
            collateral: Amount(r.u64("collateral")?),
            slash_acc: r.u64("slash acc")?,
            revision: r.u64("revision")?,
            egress_price: Amount(r.u64("egress price")?),
            included_egress_chunks: r.u64("included egress")?,
            terms_hash: Hash(r.array("terms hash")?),
            egress_deposit: Amount(r.u64("egress deposit")?),
            egress_paid: Amount(r.u64("egress paid")?),
            unpaid_at_start: r.u32("unpaid at start")?,
        };
        let reserved: [u8; 12] = r.array("reserved")?;
        r.end()?;
        let field = |field, offset| Err(DecodeError::Field { field, offset });
        match () {
            () if leaf.version != VERSION => field("version", 0),
            () if leaf.flags & !FLAGS != 0 => field("flags", 1),
            () if leaf.depth > MAX_DEPTH => field("depth", 3),
            () if leaf.used_chunks > leaf.capacity_chunks => field("used chunks", 112),
            () if reserved != Self::RESERVED => field("reserved", 228),
            () => Ok(leaf),
        }
    }

    /// The leaf's hash in the provider tree.
    #[must_use]
    pub fn hash(&self) -> Hash {
        hashes::PROVIDER_LEAF.hash(&self.to_bytes())
    }
}

serde_as_bytes!(ContractLeaf);

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> [u8; ContractLeaf::LEN] {
        let leaf = ContractLeaf {
            version: VERSION,
            used_chunks: 1,
            capacity_chunks: 1,
            ..ContractLeaf::default()
        };
        leaf.to_bytes()
    }

    /// A good leaf with this byte at `offset`, read.
    fn read(offset: usize, byte: u8) -> Result<ContractLeaf, DecodeError> {
        let mut bytes = good();
        bytes[offset] = byte;
        ContractLeaf::from_bytes(&bytes)
    }

    #[test]
    fn flags_without_a_meaning_are_refused() {
        for flags in 0..=u8::MAX {
            let wanted = match flags & 0b1110_1000 {
                0 => Ok(flags),
                _ => Err(DecodeError::Field {
                    field: "flags",
                    offset: 1,
                }),
            };
            assert_eq!(read(1, flags).map(|leaf| leaf.flags), wanted, "{flags:#b}");
        }
    }

    #[test]
    fn a_leaf_that_breaks_a_rule_is_refused_at_the_field() {
        let refusal = |field, offset| Err(DecodeError::Field { field, offset });
        assert_eq!(read(0, 2), refusal("version", 0));
        assert_eq!(read(3, 33), refusal("depth", 3));
        assert_eq!(read(112, 2), refusal("used chunks", 112));
        for reserved in 228..240 {
            assert_eq!(read(reserved, 1), refusal("reserved", 228));
        }
        assert!(ContractLeaf::from_bytes(&good()).is_ok());
        let short = ContractLeaf::from_bytes(&good()[..239]);
        assert_eq!(short, refusal("reserved", 228));
        let long = ContractLeaf::from_bytes(&[&good()[..], &[0]].concat());
        assert_eq!(long, refusal("trailing bytes", 240));
    }
}
