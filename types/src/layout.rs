//! Fixed little-endian layouts for what is hashed or signed. A [`Layout`] is written in order,
//! fields have fixed widths, and what varies in length is preceded by its length as `u32`.

/// A byte string under construction.
#[derive(Debug, Default, Clone)]
pub struct Layout(Vec<u8>);

impl Layout {
    /// An empty layout.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one byte.
    #[must_use]
    pub fn u8(mut self, v: u8) -> Self {
        self.0.push(v);
        self
    }

    /// Appends a `u32`.
    #[must_use]
    pub fn u32(mut self, v: u32) -> Self {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }

    /// Appends a `u64`.
    #[must_use]
    pub fn u64(mut self, v: u64) -> Self {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }

    /// Appends bytes of a width that the format fixes.
    #[must_use]
    pub fn fixed(mut self, v: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(v.as_ref());
        self
    }

    /// Appends bytes of any length, their length first.
    ///
    /// # Panics
    /// Beyond 4 GiB, which no message reaches.
    #[must_use]
    pub fn var(self, v: impl AsRef<[u8]>) -> Self {
        let v = v.as_ref();
        let len = u32::try_from(v.len()).expect("a field is below 4 GiB");
        self.u32(len).fixed(v)
    }

    /// Appends whether there is a value of a fixed width, then the value, or zeros.
    #[must_use]
    pub fn option<const N: usize>(self, v: Option<[u8; N]>) -> Self {
        self.u8(u8::from(v.is_some())).fixed(v.unwrap_or([0; N]))
    }

    /// The bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}
