//! The forms that values take on the wire: amounts as decimal strings in nano, ids and 64-bit
//! counters as strings, times as RFC 3339, lists as pages. Each form is a type, so that no
//! method can answer another one.

use larder_types::{Amount, BlockHash, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroize as _;

/// A value that travels as the string that it prints and parses as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<T>(pub T);

/// An amount of credit: a decimal string in nano, `"1000000000"` for one credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nano(pub Amount);

/// A moment: RFC 3339 in UTC, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub Time);

/// A passphrase, or words: a string that is never printed, and wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

/// No parameters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// The block whose state an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AsOf {
    /// The block's height.
    pub height: u64,
    /// The block's hash.
    pub block_hash: Text<BlockHash>,
}

/// Which page of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PageParams {
    /// The `nextCursor` of the page before; absent: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many items (1 to 1,000; 1,000 when absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "{T}Page")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Hand it back for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A cursor that no page of this list gave out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such cursor: begin again without one")]
pub struct CursorError;

/// Most items in one page: a page of the longest items stays far below the 10 MiB of a response.
pub const PAGE_MAX: usize = 1_000;

impl PageParams {
    /// How many items the caller gets at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
            .map_or(PAGE_MAX, |limit| usize::try_from(limit).unwrap_or(PAGE_MAX))
            .clamp(1, PAGE_MAX)
    }

    /// How many items of the list come before this page.
    ///
    /// # Errors
    /// [`CursorError`] if the cursor is none of ours.
    pub fn offset(&self) -> Result<usize, CursorError> {
        self.cursor
            .as_deref()
            .map_or(Ok(0), |c| c.parse().map_err(|_| CursorError))
    }
}

impl<T> Page<T> {
    /// The wanted page of a list whose items are all at hand, in a stable order.
    ///
    /// # Errors
    /// [`CursorError`] if the cursor is none of ours.
    pub fn cut<I>(items: I, params: &PageParams) -> Result<Self, CursorError>
    where
        I: IntoIterator<Item = T>,
    {
        let (offset, limit) = (params.offset()?, params.limit());
        let mut rest = items.into_iter().skip(offset);
        let items: Vec<T> = rest.by_ref().take(limit).collect();
        let next_cursor = rest.next().map(|_| (offset + items.len()).to_string());
        Ok(Self { items, next_cursor })
    }
}

impl Secret {
    /// Keeps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: fmt::Display> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

impl<'de, T> Deserialize<'de> for Text<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl<T> JsonSchema for Text<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl Serialize for Nano {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0.nano())
    }
}

impl<'de> Deserialize<'de> for Nano {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(D::Error::custom(
                "an amount is a decimal string in nano, like \"1000000000\"",
            ));
        }
        text.parse()
            .map(|nano| Self(Amount(nano)))
            .map_err(D::Error::custom)
    }
}

impl JsonSchema for Nano {
    fn schema_name() -> Cow<'static, str> {
        "Nano".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "an amount in nano; 10^9 nano are one credit"
        })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0.0) * 1_000_000)
            .unwrap_or(END_OF_TIME);
        f.write_str(&moment.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

/// The wall clock.
pub(crate) fn now() -> Time {
    let nanos = OffsetDateTime::now_utc().unix_timestamp_nanos();
    Time(u64::try_from(nanos / 1_000_000).unwrap_or_default())
}

/// RFC 3339 has four digits for the year.
const END_OF_TIME: OffsetDateTime = time::macros::datetime!(9999-12-31 23:59:59 UTC);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(D::Error::custom)?;
        u64::try_from(moment.unix_timestamp_nanos() / 1_000_000)
            .map(|ms| Self(Time(ms)))
            .map_err(|_| D::Error::custom("a time before 1970"))
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_types::AccountId;

    #[test]
    fn values_take_the_forms_of_the_surface() {
        let nano = Nano(Amount(1_500_000_000));
        assert_eq!(serde_json::to_string(&nano).unwrap(), "\"1500000000\"");
        assert_eq!(
            serde_json::from_str::<Nano>("\"1500000000\"").unwrap(),
            nano
        );
        for bad in ["\"1.5\"", "\"\"", "\"+1\"", "1", "\"99999999999999999999\""] {
            assert!(serde_json::from_str::<Nano>(bad).is_err(), "{bad}");
        }
        let moment = Moment(Time(1_700_000_000_123));
        let text = serde_json::to_string(&moment).unwrap();
        assert_eq!(text, "\"2023-11-14T22:13:20.123Z\"");
        assert_eq!(serde_json::from_str::<Moment>(&text).unwrap(), moment);
        let id = Text(AccountId([3; 32]));
        let text = serde_json::to_string(&id).unwrap();
        assert!(text.starts_with("\"z"));
        assert_eq!(serde_json::from_str::<Text<AccountId>>(&text).unwrap(), id);
        assert_eq!(
            Moment(Time(u64::MAX)).to_string(),
            "9999-12-31T23:59:59Z",
            "the last moment RFC 3339 can say"
        );
    }

    #[test]
    fn pages_join_to_the_whole_list() {
        let mut params = PageParams {
            limit: Some(3),
            ..PageParams::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = Page::cut(0..10, &params).unwrap();
            seen.extend(page.items);
            params.cursor = page.next_cursor;
            if params.cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        params.cursor = Some("x".into());
        assert_eq!(Page::cut(0..10, &params), Err(CursorError));
    }
}
