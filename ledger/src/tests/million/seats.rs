//! What the mill grinds of validators: they come, go, misbehave and are shown up, at any time.

use super::{Mill, SIG};
use crate::tests::world::bls;
use crate::{
    Approve, Candidacy, Censored, Change, Equivocation, ProofAck, Resign, Tx, ValidatorRecord,
    Withdraw,
};
use larder_proofs::{SignedVote, Vote, VoteKind};
use larder_types::{Amount, Hash, NodeId};

/// Nodes that may stand, with a BLS key each.
const NODES: u8 = 16;
/// Keys that may be banned; the others go on.
const BANS: usize = 10;

impl Mill {
    /// The keys of whoever may stand.
    pub(super) fn bls_keys() -> Vec<[u8; 48]> {
        let keys = 70..70 + NODES;
        keys.map(|seed| bls(seed).public().to_bytes()).collect()
    }

    /// One more transaction about validators.
    pub(super) fn of_validators(&mut self) -> Option<Tx> {
        self.operations += 1;
        let records: Vec<NodeId> = self.state.validator_records().map(|r| r.node).collect();
        let any = self.dice.pick(&records)?;
        let record = self.state.validator(&any)?.clone();
        match self.dice.below(100) {
            0..15 => self.candidacy(),
            15..80 => self.approve(&record),
            80..86 => Some(Tx::Resign(Resign {
                node: record.node,
                since: record.since,
                sig: SIG,
            })),
            86..90 => self.equivocation(&record),
            90..96 => self.censored(),
            _ => self.withdraw(),
        }
    }

    fn candidacy(&mut self) -> Option<Tx> {
        let number = u8::try_from(self.dice.below(u64::from(NODES))).unwrap();
        let account = self.dice.pick(&self.accounts)?;
        Some(Tx::Candidacy(Box::new(Candidacy {
            node: NodeId([number; 32]),
            account,
            bls: self.bls[usize::from(number)],
            possession: [0; 96],
            bond: Amount(self.dice.magnitude(35)),
            auth: self.auth(&account, 0),
            by: self.hand(),
            sig_account: SIG,
            sig_node: SIG,
        })))
    }

    /// Of additions and removals both, few enough of the latter that some stay.
    fn approve(&mut self, record: &ValidatorRecord) -> Option<Tx> {
        let (node, since) = (record.node, record.since);
        let change = match self.dice.chance(75) {
            true => Change::Add { node, since },
            false => Change::Remove { node, since },
        };
        let members = self.state.validators().members();
        let by: Vec<NodeId> = members.iter().map(|member| member.node).collect();
        Some(Tx::Approve(Approve {
            change,
            expiry: self.state.head().height + 1 + self.dice.below(40),
            by: self.dice.pick(&by)?,
            sig: SIG,
        }))
    }

    fn equivocation(&mut self, record: &ValidatorRecord) -> Option<Tx> {
        let records = self.state.validator_records();
        let banned = records.filter(|record| record.is_banned).count();
        // Whoever founded the network stays honest, so that somebody does.
        if banned >= BANS || record.since == 0 {
            return None;
        }
        let vote = |value| SignedVote {
            vote: Vote {
                kind: VoteKind::Prevote,
                height: 1,
                round: 0,
                value,
            },
            by: record.node,
            sig: SIG,
        };
        Some(Tx::Equivocation(Box::new(Equivocation {
            a: vote(None),
            b: vote(Some(Hash([1; 32]))),
            reporter: self.dice.pick(&self.accounts).filter(|a| a.0[0] & 1 == 0),
        })))
    }

    fn censored(&mut self) -> Option<Tx> {
        let slots: Vec<u64> = self.state.roll.batches.keys().copied().collect();
        let members = self.state.validators().members();
        let by: Vec<NodeId> = members.iter().map(|member| member.node).collect();
        let ack = ProofAck {
            slot: self.dice.pick(&slots)?,
            provider: self.dice.pick(&self.nodes)?.1,
            blob_hash: Hash::default(),
            by: self.dice.pick(&by)?,
            sig: SIG,
        };
        Some(Tx::Censored(Censored { ack }))
    }

    fn withdraw(&mut self) -> Option<Tx> {
        let (_, provider) = self.dice.pick(&self.nodes)?;
        let account = self.state.provider(&provider)?.payout;
        Some(Tx::Withdraw(Withdraw {
            provider,
            account,
            amount: Amount(self.dice.magnitude(36)),
            auth: self.auth(&account, 0),
            by: self.hand(),
            sig: SIG,
        }))
    }
}
