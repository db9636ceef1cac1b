//! What the network does to messages: it delays them, so that they overtake each other, loses some,
//! brings some twice, and falls into two halves that do not reach each other.

use crate::dice::Dice;
use larder_types::Millis;
use std::collections::BTreeSet;

/// The network's state.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// One way takes this long, milliseconds.
    latency: (u64, u64),
    /// One message in so many is lost.
    loss: u64,
    /// One request in so many comes twice.
    twice: u64,
    /// The nodes that the validator does not reach, nor those on its side.
    far: BTreeSet<usize>,
}

impl Default for Weather {
    fn default() -> Self {
        Self::FAIR
    }
}

impl Weather {
    /// An ordinary day.
    pub(crate) const FAIR: Self = Self {
        latency: (5, 150),
        loss: 400,
        twice: 1_000,
        far: BTreeSet::new(),
    };

    /// Messages come late, out of order, twice or not at all; a split stays as it is.
    pub(crate) fn storm(&mut self) {
        (self.latency, self.loss, self.twice) = ((5, 12_000), 8, 6);
    }

    /// The storm is over.
    pub(crate) fn calm(&mut self) {
        let fair = Self::FAIR;
        (self.latency, self.loss, self.twice) = (fair.latency, fair.loss, fair.twice);
    }

    /// The network falls in two.
    pub(crate) fn split(&mut self, far: BTreeSet<usize>) {
        self.far = far;
    }

    /// It is one again.
    pub(crate) fn heal(&mut self) {
        self.far.clear();
    }

    /// Whether two nodes reach each other.
    pub(crate) fn joins(&self, a: usize, b: usize) -> bool {
        self.far.contains(&a) == self.far.contains(&b)
    }

    /// Whether a node reaches the validator.
    pub(crate) fn follows(&self, node: usize) -> bool {
        !self.far.contains(&node)
    }

    /// How long a message takes.
    pub(crate) fn latency(&self, dice: &mut Dice) -> Millis {
        dice.span(self.latency.0, self.latency.1)
    }

    /// Whether a message is lost.
    pub(crate) fn loses(&self, dice: &mut Dice) -> bool {
        dice.one_in(self.loss)
    }

    /// Whether a request comes twice.
    pub(crate) fn doubles(&self, dice: &mut Dice) -> bool {
        dice.one_in(self.twice)
    }
}
