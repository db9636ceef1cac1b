//! What may not be seen: an answer, or something handed on, before it is durable.

use super::*;

impl Shell {
    /// A durable row.
    pub(super) fn row<T>(&self, kind: Kind, key: &[u8]) -> Option<T>
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        let value = self.rows.get(&(kind as u8, key.to_vec()))?;
        Some(codec::decode(value).expect("an engine writes what it reads"))
    }

    /// The engine has answered a peer: what it signed is durable.
    pub(super) fn replied(&mut self, token: Token, response: Response) {
        let asked = self.waiting.remove(&token);
        let asked = asked.expect("a request is answered once");
        match (asked, response) {
            (Asked::Open(peer, signed), Response::Signed(sig)) => {
                let id = signed.leaf.contract_id;
                self.is_held(&id, |held| held.sig_provider == sig);
                self.reached.insert("a contract sold");
                let old = self.sold.remove(&id);
                let (tree, acked) = old.map_or_else(Default::default, |s| (s.tree, s.acked));
                let sold = Sold {
                    peer,
                    signed,
                    tree,
                    acked,
                };
                self.sold.insert(id, sold);
            }
            (Asked::Add(id, signed, tree), Response::Signed(sig)) => {
                self.is_held(&id, |held| held.sig_provider == sig);
                self.reached.insert("shards signed for");
                if let Some(sold) = self.sold.get_mut(&id) {
                    sold.acked.retain(|leaf| !tree.leaves().contains(leaf));
                    (sold.signed, sold.tree) = (signed, tree);
                }
            }
            (_, Response::Kept { seq }) => {
                let heads = self
                    .rows
                    .iter()
                    .filter(|((kind, _), _)| *kind == Kind::Head as u8);
                let mut rows = heads.map(|(_, value)| codec::decode::<HeadRow>(value));
                let kept = rows.any(|row| row.is_ok_and(|row| row.head.seq == seq));
                self.reached.insert("a head kept");
                assert!(kept, "a head is kept before it is durable");
            }
            _ => {}
        }
    }

    #[track_caller]
    pub(super) fn is_held(&self, id: &ContractId, is: impl Fn(&Revision) -> bool) {
        let held = self.row::<Revision>(Kind::Held, &id.0);
        assert!(
            held.is_some_and(|held| is(&held)),
            "signed before it is durable"
        );
    }

    pub(super) fn stream_ends(&mut self, token: Token, reply: BulkReply) {
        let asked = self.waiting.remove(&token);
        let asked = asked.expect("a stream is answered once");
        if let (Asked::Place(contract, leaf), BulkReply::Ack(_)) = (asked, reply) {
            let row = self.rows.get(&(Kind::Shard as u8, leaf.root.0.to_vec()));
            self.reached.insert("a shard acknowledged");
            assert!(row.is_some(), "acknowledged before it is durable");
            if let Some(sold) = self.sold.get_mut(&contract)
                && !sold.acked.contains(&leaf)
                && !sold.tree.leaves().contains(&leaf)
            {
                sold.acked.push(leaf);
            }
        }
    }

    /// What is handed to the ledger is durable, or follows from what is.
    pub(super) fn submitted(&mut self, what: &Submission) {
        let Submission::Tx(tx) = what else { return };
        if let Tx::TreeUpdate(update) = &**tx {
            for op in &update.ops {
                if let Op::Put(signed) = op {
                    let (id, revision) = (signed.leaf.contract_id, signed.leaf.revision);
                    // The row may be gone again: what was handed on is handed on until it expires.
                    let durable = self.signed.get(&id).is_some_and(|most| *most >= revision);
                    assert!(durable, "handed on before it is durable");
                    self.reached.insert("a contract posted");
                    self.posted.push((id, revision));
                }
            }
            return;
        }
        let row = self.rows.get(&(Kind::Outbox as u8, tx.id().0.to_vec()));
        // The faucet grants once, whoever asks again; a close is asked for again while the ledger
        // shows the contract; an absence is announced by a command that waits for its block.
        let again = matches!(
            **tx,
            Tx::Faucet(_) | Tx::CloseFaulted(_) | Tx::Maintenance(_)
        );
        let known = row.is_some() || again;
        assert!(known, "handed on before it is durable: {tx:?}");
        self.outbox.push(tx.id());
    }
}
