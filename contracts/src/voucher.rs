//! A reader's word for what it has read, and for what its contract's deposit owes the provider for it.
//! Each one counts from the beginning of the contract's terms, so that the newest stands for all before
//! it, and a second settlement of the same one is worth nothing. It is a receipt too.
//! `docs/protocol.md` §3.4, §3.9.

use larder_keys::{AccountSigner, Tag, signing_key, verify};
use larder_types::layout::Layout;
use larder_types::size::MIB;
use larder_types::{
    AccountId, Amount, ContractId, Epoch, GenesisHash, NodeId, Signature, SubKeyId,
};
use serde::{Deserialize, Serialize};

/// A voucher's tag.
pub const VOUCHER: Tag = Tag("voucher");

/// What a reader has had from one provider under one contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voucher {
    /// Who served.
    pub provider: NodeId,
    /// Whose contract pays.
    pub reader: AccountId,
    /// Which contract.
    pub contract: ContractId,
    /// Bytes read beyond what the contract includes, since its terms began.
    pub bytes_total: u64,
    /// What is owed for them.
    pub credits_total: Amount,
    /// The epoch in which the terms began: the next terms have a deposit and totals of their own.
    pub nonce: u64,
    /// The reader's sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key.
    pub sig_reader: Signature,
}

/// What a voucher says beside its parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Bytes read beyond what the contract includes.
    pub bytes: u64,
    /// What is owed for them.
    pub credits: Amount,
}

impl Voucher {
    /// `provider[32] ‖ reader[32] ‖ contract[32] ‖ bytes u64 ‖ credits u64 ‖ nonce u64 ‖ has_by u8 ‖
    /// by[32]`.
    #[must_use]
    pub fn to_layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.provider)
            .fixed(self.reader)
            .fixed(self.contract)
            .u64(self.bytes_total)
            .u64(self.credits_total.0)
            .u64(self.nonce)
            .option(self.by.map(|by| by.0))
            .finish()
    }

    /// Owes `provider` a tally under a contract whose terms began in epoch `start`.
    #[must_use]
    pub fn sign(
        reader: &AccountSigner,
        provider: NodeId,
        contract: ContractId,
        start: Epoch,
        tally: Tally,
        genesis: &GenesisHash,
    ) -> Self {
        let mut voucher = Self {
            provider,
            reader: reader.account(),
            contract,
            bytes_total: tally.bytes,
            credits_total: tally.credits,
            nonce: u64::from(start),
            by: reader.by(),
            sig_reader: Signature::default(),
        };
        voucher.sig_reader = reader.sign(VOUCHER, genesis, &voucher.to_layout());
        voucher
    }

    /// Whether the reader, or the sub-key that `by` names, signed it. That the sub-key may is the
    /// ledger's to say.
    #[must_use]
    pub fn verify(&self, genesis: &GenesisHash) -> bool {
        verify(
            &signing_key(&self.reader, self.by),
            VOUCHER,
            genesis,
            &self.to_layout(),
            &self.sig_reader,
        )
    }
}

/// What `bytes` cost at `price` (nano per MiB): rounded up. Both sides call it. A product beyond any
/// supply becomes the largest amount there is.
#[must_use]
pub fn egress(price: Amount, bytes: u64) -> Amount {
    u128::from(price.0)
        .checked_mul(u128::from(bytes))
        .and_then(|product| u64::try_from(product.div_ceil(u128::from(MIB))).ok())
        .map_or(Amount(u64::MAX), Amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_keys::Signer;
    use larder_types::codec;

    const NET: GenesisHash = GenesisHash([5; 32]);

    fn voucher(reader: &AccountSigner) -> Voucher {
        let tally = Tally {
            bytes: MIB,
            credits: Amount(7),
        };
        let contract = ContractId([3; 32]);
        Voucher::sign(reader, NodeId([2; 32]), contract, 9, tally, &NET)
    }

    #[test]
    fn every_part_of_a_voucher_is_signed() {
        let own = AccountSigner::own(Signer::from_seed(&[1; 32]));
        let good = voucher(&own);
        assert!(good.verify(&NET));
        assert!(!good.verify(&GenesisHash([6; 32])), "another network");
        assert_eq!(codec::decode(&codec::encode(&good)), Ok(good.clone()));
        let changes: [fn(&mut Voucher); 7] = [
            |v| v.provider.0[0] ^= 1,
            |v| v.reader.0[0] ^= 1,
            |v| v.contract.0[0] ^= 1,
            |v| v.bytes_total += 1,
            |v| v.credits_total.0 += 1,
            |v| v.nonce += 1,
            |v| v.by = Some(SubKeyId(v.reader.0)),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut other = good.clone();
            change(&mut other);
            assert!(!other.verify(&NET), "{n}");
        }
    }

    #[test]
    fn a_device_signs_under_its_own_name() {
        let account = Signer::from_seed(&[1; 32]).account();
        let device = Signer::from_seed(&[4; 32]);
        let signed = voucher(&AccountSigner::sub(account, device.clone()));
        assert!(signed.verify(&NET));
        assert_eq!(signed.by, Some(SubKeyId(device.public())));
        let mut as_own = signed;
        as_own.by = None;
        assert!(!as_own.verify(&NET));
    }

    #[test]
    fn reading_is_priced_by_the_mebibyte_and_rounded_up() {
        assert_eq!(egress(Amount(5), MIB), Amount(5));
        assert_eq!(egress(Amount(5), MIB + 1), Amount(6));
        assert_eq!(egress(Amount(5), 0), Amount::ZERO);
        assert_eq!(egress(Amount::ZERO, u64::MAX), Amount::ZERO);
        assert_eq!(egress(Amount(u64::MAX), u64::MAX), Amount(u64::MAX));
    }
}
