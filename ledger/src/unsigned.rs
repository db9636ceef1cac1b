//! A transfer before it is signed, for keys that lie elsewhere: what is signed of it, and where in its encoding
//! the signature stands. `docs/protocol.md` §3.1, §3.12.

use crate::tx::TRANSFER;
use crate::{Transfer, Tx};
use larder_contracts::Auth;
use larder_keys::{AccountSigner, sign_layout};
use larder_types::{AccountId, Amount, GenesisHash, Signature, SubKeyId, codec};

impl Transfer {
    /// For the account's own key to sign, or for a sub-key.
    #[must_use]
    pub fn unsigned(
        (from, by): (AccountId, Option<SubKeyId>),
        to: AccountId,
        amount: Amount,
        auth: Auth,
    ) -> Self {
        Self {
            from,
            to,
            amount,
            auth,
            by,
            sig: Signature::default(),
        }
    }

    /// The context string under which a transfer is signed.
    #[must_use]
    pub fn context() -> String {
        TRANSFER.context()
    }

    /// The 32 bytes that are signed.
    #[must_use]
    pub fn payload(&self, genesis: &GenesisHash) -> [u8; 32] {
        sign_layout(TRANSFER, genesis, &self.to_layout())
    }

    /// The same transfer, signed by `signer` whoever was to sign it; `None` if it is another account's.
    #[must_use]
    pub fn signed_by(&self, signer: &AccountSigner, genesis: &GenesisHash) -> Option<Self> {
        let ours = signer.account() == self.from;
        ours.then(|| Self::sign(signer, self.to, self.amount, self.auth, genesis))
    }

    /// Where in the canonical encoding of the transaction the signature's 64 bytes begin.
    ///
    /// # Panics
    /// Never: the signature is part of the encoding.
    #[must_use]
    pub fn signature_at(&self) -> usize {
        let with = |byte| {
            let sig = Signature([byte; 64]);
            codec::encode(&Tx::Transfer(Self {
                sig,
                ..self.clone()
            }))
        };
        let (zeros, ones) = (with(0), with(1));
        let mut pairs = zeros.iter().zip(&ones);
        let at = pairs.position(|(zero, one)| zero != one);
        at.expect("the signature is part of the encoding")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify;
    use larder_keys::Signer;

    #[test]
    fn a_signature_put_in_its_place_makes_the_transaction() {
        let (key, genesis) = (Signer::from_seed(&[1; 32]), GenesisHash([2; 32]));
        let auth = Auth {
            nonce: 300,
            expiry: 70_000,
        };
        let from = (key.account(), None);
        let transfer = Transfer::unsigned(from, AccountId([3; 32]), Amount(5), auth);
        let signer = AccountSigner::own(key);
        let signed = transfer.signed_by(&signer, &genesis).unwrap();
        let mut bytes = codec::encode(&Tx::Transfer(transfer.clone()));
        let at = transfer.signature_at();
        assert_eq!(bytes[at - 2..at], [0x58, 64]);
        bytes[at..at + 64].copy_from_slice(&signed.sig.0);
        let tx: Tx = codec::decode(&bytes).unwrap();
        assert_eq!(tx, Tx::Transfer(signed));
        assert!(verify::tx(&genesis, tx.clone()).is_ok());
        assert!(verify::tx(&GenesisHash([9; 32]), tx).is_err());
        let other = AccountSigner::own(Signer::from_seed(&[8; 32]));
        assert_eq!(transfer.signed_by(&other, &genesis), None);
    }
}
