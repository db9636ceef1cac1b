//! In which order validators are asked: in a circle of their node keys, beginning with the one whose
//! turn it is. It stays with who serves, and goes on past who is silent. The set may change between two
//! questions.

use larder_types::NodeId;

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rota {
    at: NodeId,
    /// Whether `at` has had its turn.
    past: bool,
}

impl Rota {
    /// Begins behind `own`: nodes spread over the validators, and none asks itself first.
    #[must_use]
    pub const fn behind(own: NodeId) -> Self {
        Self {
            at: own,
            past: true,
        }
    }

    /// The validators in turn. `members` are in the order of their keys.
    #[must_use]
    pub fn order(&self, members: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
        let mut order: Vec<NodeId> = members.into_iter().collect();
        let had_theirs = |node: &NodeId| *node < self.at || (self.past && *node == self.at);
        let turn = order.partition_point(had_theirs);
        order.rotate_left(turn);
        order
    }

    /// It served: it is asked first the next time.
    pub const fn stay(&mut self, with: NodeId) {
        (self.at, self.past) = (with, false);
    }

    /// It was silent, or knew nothing: the next time the one behind it is asked first.
    pub const fn pass(&mut self, by: NodeId) {
        (self.at, self.past) = (by, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[u8]) -> Vec<NodeId> {
        ids.iter().map(|id| NodeId([*id; 32])).collect()
    }

    #[test]
    fn who_serves_stays_first_and_who_is_silent_comes_last() {
        let set = nodes(&[1, 3, 5, 7]);
        let mut rota = Rota::behind(NodeId([4; 32]));
        assert_eq!(rota.order(set.clone()), nodes(&[5, 7, 1, 3]));
        rota.stay(NodeId([1; 32]));
        assert_eq!(rota.order(set.clone()), nodes(&[1, 3, 5, 7]));
        rota.pass(NodeId([1; 32]));
        assert_eq!(rota.order(set.clone()), nodes(&[3, 5, 7, 1]));
        rota.pass(NodeId([7; 32]));
        assert_eq!(rota.order(set), nodes(&[1, 3, 5, 7]));
    }

    #[test]
    fn a_set_without_the_one_whose_turn_it_was_goes_on_behind_it() {
        let mut rota = Rota::behind(NodeId([9; 32]));
        rota.stay(NodeId([5; 32]));
        assert_eq!(rota.order(nodes(&[1, 3, 7])), nodes(&[7, 1, 3]));
        assert_eq!(rota.order(nodes(&[])), nodes(&[]));
    }
}
