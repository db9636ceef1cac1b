//! All chance of a run, from its seed: one stream for the world and one for each node's engine.
//! Transcendental functions go through `libm`, so that a seed means the same on every machine.

use larder_types::Millis;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// Milliseconds in an hour.
pub(crate) const HOUR: u64 = 3_600_000;
/// Milliseconds in a day.
pub(crate) const DAY: u64 = 24 * HOUR;

/// 32 bytes that belong to `label` and `index` under `seed`.
pub(crate) fn derive(seed: u64, label: &str, index: usize) -> [u8; 32] {
    *blake3::Hasher::new_derive_key("larder v1 simulation")
        .update(&seed.to_le_bytes())
        .update(&(index as u64).to_le_bytes())
        .update(label.as_bytes())
        .finalize()
        .as_bytes()
}

/// One stream of chance.
#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of `label` and `index` under `seed`.
    pub(crate) fn new(seed: u64, label: &str, index: usize) -> Self {
        Self(ChaCha8Rng::from_seed(derive(seed, label, index)))
    }

    /// The stream itself, as the engine wants it.
    pub(crate) fn rng(&mut self) -> &mut ChaCha8Rng {
        &mut self.0
    }

    /// A number below `n`; 0 if `n` is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        // The bias is below n / 2^64.
        let product = u128::from(self.0.next_u64()) * u128::from(n);
        u64::try_from(product >> 64).expect("below n")
    }

    /// A span of `from` up to but not including `to`.
    pub(crate) fn span(&mut self, from: u64, to: u64) -> Millis {
        Millis(from + self.below(to - from))
    }

    /// Whether one of `n` equal chances fell.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of several, each equally likely; `None` of none.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let i = self.below(of.len() as u64);
        of.get(usize::try_from(i).expect("below a length")).copied()
    }

    /// 32 random bytes.
    pub(crate) fn bytes32(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Uniform in (0, 1).
    fn unit(&mut self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let k = (self.0.next_u64() >> 11) as f64;
        (k + 0.5) / 9_007_199_254_740_992.0
    }

    /// Exponential with this mean, hours.
    pub(crate) fn exponential(&mut self, mean_hours: f64) -> Millis {
        hours(-mean_hours * libm::log(self.unit()))
    }

    /// Weibull with this shape and mean, hours.
    pub(crate) fn weibull(&mut self, shape: f64, mean_hours: f64) -> Millis {
        let scale = mean_hours / libm::tgamma(1.0 + 1.0 / shape);
        hours(scale * libm::pow(-libm::log(self.unit()), 1.0 / shape))
    }

    /// Lognormal with this median and mean, hours (mean > median).
    pub(crate) fn lognormal(&mut self, median_hours: f64, mean_hours: f64) -> Millis {
        let sigma = libm::sqrt(2.0 * libm::log(mean_hours / median_hours));
        let (u, v) = (self.unit(), self.unit());
        let normal = libm::sqrt(-2.0 * libm::log(u)) * libm::cos(2.0 * std::f64::consts::PI * v);
        hours(median_hours * libm::exp(sigma * normal))
    }
}

/// At least a second, at most ten years.
fn hours(h: f64) -> Millis {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "clamped to 1 s..10 a"
    )]
    let ms = (h * HOUR as f64).clamp(1_000.0, 3_650.0 * DAY as f64) as u64;
    Millis(ms)
}
