//! What validators answered to something that was handed in, and what that makes of it. One that takes
//! it is enough. A refusal is final only once more than a third of the votes refuse: fewer may lie, or
//! lag behind. `docs/protocol.md` §3.5.

use crate::io::SubmitError;
use larder_proofs::ValidatorSet;
use larder_types::NodeId;
use std::collections::BTreeSet;

/// What a validator answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// It takes it, or has it.
    Taken,
    /// It breaks a rule, it says.
    Refused(String),
    /// Nothing, or that it cannot now.
    Silent,
}

/// Something that is being handed in.
#[derive(Debug)]
pub struct Handing<'a> {
    set: &'a ValidatorSet,
    refused: BTreeSet<NodeId>,
    why: Option<String>,
    taken: bool,
}

impl<'a> Handing<'a> {
    /// To these validators; none has answered.
    #[must_use]
    pub const fn to(set: &'a ValidatorSet) -> Self {
        Self {
            set,
            refused: BTreeSet::new(),
            why: None,
            taken: false,
        }
    }

    /// Hears an answer. Gives the end, once there is one.
    pub fn hear(&mut self, from: NodeId, word: Word) -> Option<Result<(), SubmitError>> {
        match word {
            Word::Taken => self.taken = true,
            Word::Refused(why) => {
                self.refused.insert(from);
                self.why = Some(why);
            }
            Word::Silent => {}
        }
        if self.taken {
            return Some(Ok(()));
        }
        let why = self.why.clone().filter(|_| self.an_honest_one_refuses())?;
        Some(Err(SubmitError::Refused(why)))
    }

    /// Fewer than a third of the votes are faulty.
    fn an_honest_one_refuses(&self) -> bool {
        let power = |counts: &dyn Fn(&NodeId) -> bool| -> u128 {
            let members = self.set.members().iter().filter(|m| counts(&m.node));
            members.map(|m| u128::from(m.power)).sum()
        };
        power(&|node| self.refused.contains(node)) * 3 > power(&|_| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_proofs::Validator;
    use larder_proofs::bls::SecretKey;

    fn set(powers: &[u64]) -> ValidatorSet {
        let members = (0u8..).zip(powers).map(|(seed, power)| Validator {
            node: NodeId([seed; 32]),
            bls: SecretKey::from_seed(&[seed; 32]).public(),
            power: *power,
        });
        ValidatorSet::new(members.collect()).unwrap()
    }

    fn refused() -> Word {
        Word::Refused("no".to_owned())
    }

    /// The place in `words` with which it ends, and how.
    fn check(powers: &[u64], words: &[(u8, Word)]) -> Option<(usize, bool)> {
        let set = set(powers);
        let mut handing = Handing::to(&set);
        let mut answers = words.iter().cloned();
        let end = answers.by_ref().find_map(|(seed, word)| {
            let end = handing.hear(NodeId([seed; 32]), word)?;
            Some(end.is_ok())
        })?;
        Some((words.len() - answers.len(), end))
    }

    #[test]
    fn one_that_takes_it_is_enough() {
        let words = [(0, Word::Silent), (1, refused()), (2, Word::Taken)];
        assert_eq!(check(&[1; 4], &words), Some((3, true)));
    }

    #[test]
    fn a_third_of_the_votes_cannot_refuse() {
        assert_eq!(check(&[1], &[(0, refused())]), Some((1, false)));
        assert_eq!(check(&[1; 4], &[(0, refused())]), None);
        assert_eq!(
            check(&[1; 4], &[(0, refused()), (3, refused())]),
            Some((2, false))
        );
        assert_eq!(check(&[1; 3], &[(0, refused())]), None, "exactly a third");
        assert_eq!(check(&[1, 1, 2], &[(2, refused())]), Some((1, false)));
    }

    #[test]
    fn no_voice_counts_twice_and_no_stranger_counts() {
        assert_eq!(check(&[1; 4], &[(0, refused()), (0, refused())]), None);
        assert_eq!(check(&[1; 4], &[(8, refused()), (9, refused())]), None);
    }
}
