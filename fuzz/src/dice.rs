//! Where values come from: bytes that a fuzzer chose, or noise that follows from a seed. Both give
//! the same values on every machine.

use rand_core::{Infallible, TryRng};

/// A source of choices. It never ends: after a fuzzer's last byte come zeros.
#[derive(Debug)]
pub struct Dice<'a>(Source<'a>);

#[derive(Debug)]
enum Source<'a> {
    Bytes(&'a [u8]),
    Noise(Box<blake3::OutputReader>),
}

impl<'a> Dice<'a> {
    /// Choices that `bytes` make.
    #[must_use]
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self(Source::Bytes(bytes))
    }

    /// Choices that follow from `name` and `number`.
    #[must_use]
    pub fn noise(name: &str, number: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("larder fuzz dice");
        hasher.update(&number.to_le_bytes()).update(name.as_bytes());
        Self(Source::Noise(Box::new(hasher.finalize_xof())))
    }

    /// Whether all that follows is zeros.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self.0, Source::Bytes([]))
    }

    /// Fills `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        match &mut self.0 {
            Source::Bytes(bytes) => {
                let len = out.len().min(bytes.len());
                let (head, rest) = bytes.split_at(len);
                *bytes = rest;
                let (given, zeros) = out.split_at_mut(len);
                given.copy_from_slice(head);
                zeros.fill(0);
            }
            Source::Noise(reader) => reader.fill(out),
        }
    }

    /// `N` bytes.
    #[must_use]
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    /// Any number, the eight bytes of it.
    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A number below `n`; 0 if there is none.
    pub fn below(&mut self, n: u64) -> u64 {
        let drawn = if n <= 256 {
            u64::from(self.byte())
        } else {
            self.word()
        };
        drawn.checked_rem(n).unwrap_or(0)
    }

    /// An index below `len`.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// One of `of`, if it has any.
    pub fn pick<'t, T>(&mut self, of: &'t [T]) -> Option<&'t T> {
        of.get(self.index(of.len()))
    }

    /// True one time in `n`.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

impl TryRng for Dice<'_> {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.array()))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.word())
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}
