//! The JSON of RouterOS, from body bytes in any pieces to one object at a time, in fixed memory.
//!
//! A list may hold hundreds of queues; only one object is kept at a time. Its bytes are cleaned
//! before serde sees them: comments may hold raw control bytes and broken UTF-8, and neither may
//! cost us the reply.

use crate::types::{
    Bitrate, Duration, Menu, QueueCounters, QueueId, QueueRow, RouterError, RouterInfo, Row, SwitchRow, SwitchTable,
    Table, Text, Verbatim,
};
use core::fmt;
use core::str::FromStr;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Longest single object that is accepted. A queue with all members and a long comment has
/// about 900 bytes; `/system/resource` about 700.
pub const MAX_OBJECT: usize = 4096;

/// The same for a [`row`], which may hold a script.
pub const MAX_ROW: usize = 1 << 17;

/// Stands for a byte that was no valid text. Not allowed in configured names, so that a damaged
/// name can match none of them.
const REPLACEMENT: u8 = 0x7f;

/// The body is no JSON object or list of objects, or an object is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadBody;

/// Cuts a body into its top-level objects.
#[derive(Debug)]
pub struct Splitter {
    /// Never longer than `limit`; what the loop reads fits without allocation.
    object: Vec<u8>,
    limit: usize,
    depth: u8,
    in_string: bool,
    escaped: bool,
    in_list: bool,
    complete: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Self {
            object: Vec::with_capacity(MAX_OBJECT),
            limit: MAX_OBJECT,
            depth: 0,
            in_string: false,
            escaped: false,
            in_list: false,
            complete: false,
        }
    }
}

impl Splitter {
    /// Makes ready for the next body, whose objects may be as long as `limit`.
    pub fn reset(&mut self, limit: usize) {
        self.object.clear();
        self.limit = limit;
        self.depth = 0;
        (self.in_string, self.escaped, self.in_list, self.complete) = (false, false, false, false);
    }

    fn push(&mut self, byte: u8) -> Result<(), BadBody> {
        if self.object.len() >= self.limit {
            return Err(BadBody);
        }
        self.object.push(byte);
        Ok(())
    }

    /// Takes bytes of the body and calls `each` with every object they complete.
    ///
    /// # Errors
    /// [`BadBody`]; nothing more can be read from this body.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), BadBody> {
        for &byte in bytes {
            if self.depth == 0 {
                self.between_objects(byte)?;
            } else if self.in_object(byte)? {
                clean(&mut self.object);
                each(&self.object);
                self.object.clear();
            }
        }
        Ok(())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// [`BadBody`] when it ended in the middle, or held no JSON.
    pub fn end(&self) -> Result<(), BadBody> {
        if self.complete { Ok(()) } else { Err(BadBody) }
    }

    fn between_objects(&mut self, byte: u8) -> Result<(), BadBody> {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'[' if !self.in_list && !self.complete => self.in_list = true,
            b']' if self.in_list => (self.in_list, self.complete) = (false, true),
            b',' if self.in_list => {}
            b'{' if !self.complete => {
                self.depth = 1;
                self.push(byte)?;
            }
            _ => return Err(BadBody),
        }
        Ok(())
    }

    /// Returns whether the byte completes the object.
    fn in_object(&mut self, byte: u8) -> Result<bool, BadBody> {
        let control = byte < 0x20;
        self.push(if control { b' ' } else { byte })?;
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return Ok(false);
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth = self.depth.checked_add(1).ok_or(BadBody)?,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.complete = self.depth == 0 && !self.in_list;
        Ok(self.depth == 0)
    }
}

/// Replaces what is not UTF-8, byte by byte and in place.
fn clean(object: &mut [u8]) {
    let mut from = 0;
    while let Err(error) = core::str::from_utf8(&object[from..]) {
        let bad = from + error.valid_up_to();
        object[bad] = REPLACEMENT;
        from = bad + 1;
    }
}

/// Most members of an object that are looked at. Queues have up to some 40; those beyond are not seen.
const MEMBERS: usize = 64;

/// The members of an object as they stand in it, name and value. Nothing is copied before it is asked for: a reader
/// generated for every member would be 8 kB of code, fetched into cold caches twice a second.
struct Members<'a>(heapless::Vec<(&'a str, &'a str), MEMBERS>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = heapless::Vec::new();
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let _ = members.push((name.get(), value.get()));
        }
        Ok(Members(members))
    }
}

impl<'a> Members<'a> {
    fn of(object: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(object).ok()
    }

    /// A member's value as text, whatever JSON type the router chose: strings, but also bare numbers and booleans.
    /// `null` is as good as missing; a list or an object is no value that we read.
    fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        let is_it = |quoted: &str| quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"')) == Some(name);
        let &(_, raw) = self.0.iter().find(|(quoted, _)| is_it(quoted))?;
        match raw.as_bytes().first()? {
            b'"' if raw.contains('\\') => serde_json::from_str(raw).ok().map(Cow::Owned),
            b'"' => raw.get(1..raw.len() - 1).map(Cow::Borrowed),
            b'n' => None,
            b'[' | b'{' => Some(Cow::Borrowed("")),
            _ => Some(Cow::Borrowed(raw)),
        }
    }

    /// The same as text of at most `N` bytes; what is longer is marked at its end, so that it equals nothing.
    fn text<const N: usize>(&self, name: &str) -> Option<Text<N>> {
        self.get(name).map(|value| {
            // Nearly all values fit: copied as a whole, not letter by letter.
            Text::try_from(&*value).unwrap_or_else(|_| marked(&value))
        })
    }

    fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }

    /// `true` and `yes` are true; everything else, and what is missing, is false.
    fn flag(&self, name: &str) -> bool {
        matches!(self.get(name).as_deref(), Some("true" | "yes"))
    }

    fn id(&self) -> Option<QueueId> {
        self.text(".id").filter(|id| is_id(id))
    }
}

/// What fits of a text, and at its end the mark.
fn marked<const N: usize>(value: &str) -> Text<N> {
    let mut text = Text::new();
    for c in value.chars() {
        if text.push(c).is_err() {
            break;
        }
    }
    text.pop();
    let _ = text.push(char::from(REPLACEMENT));
    text
}

/// A queue of `menu`, or `None` when the object is something else.
#[must_use]
pub fn queue(object: &[u8], menu: Menu) -> Option<QueueRow> {
    let m = Members::of(object)?;
    let (id, name) = (m.id()?, m.text("name")?);
    // Every queue has a limit, if only 0; a body without belongs to another menu.
    let max_limit: Verbatim = m.text("max-limit")?;
    let limits = match menu {
        Menu::Tree => rate(&max_limit).map(|r| [r, r]),
        Menu::Simple => max_limit.split_once('/').and_then(|(up, down)| Some([rate(down)?, rate(up)?])),
    }?;
    let [bytes, dropped, queued_bytes, queued_packets] = ["bytes", "dropped", "queued-bytes", "queued-packets"]
        .map(|name| pair(m.get(name).as_deref().unwrap_or_default(), menu));
    let counters = [0, 1].map(|i| QueueCounters {
        bytes: bytes[i],
        dropped: dropped[i],
        queued_bytes: queued_bytes[i],
        queued_packets: queued_packets[i],
    });
    let [disabled, invalid, dynamic] = ["disabled", "invalid", "dynamic"].map(|name| m.flag(name));
    Some(QueueRow { menu, id, name, max_limit, limits, counters, disabled, invalid, dynamic })
}

/// A rule or an entry of `table`, or `None` when the object is something else.
#[must_use]
pub fn switch(object: &[u8], table: &SwitchTable) -> Option<SwitchRow> {
    let m = Members::of(object)?;
    let chain = m.get("chain");
    let key = match table {
        // Every rule has a chain; few have a comment.
        SwitchTable::Mangle { .. } => chain.as_ref().map(|_| m.text("comment").unwrap_or_default()),
        SwitchTable::List { name, .. } => m.get("list").filter(|list| **list == **name).and_then(|_| m.text("address")),
    }?;
    Some(SwitchRow {
        id: m.id()?,
        key,
        prerouting: chain.is_none_or(|chain| chain == "prerouting"),
        disabled: m.flag("disabled"),
        invalid: m.flag("invalid"),
        dynamic: m.flag("dynamic"),
        timeout: m.get("timeout").and_then(|text| duration(&text)),
    })
}

/// `/system/resource`, or `None` when the object is something else.
#[must_use]
pub fn resource(object: &[u8]) -> Option<RouterInfo> {
    let m = Members::of(object)?;
    Some(RouterInfo {
        version: m.text("version")?,
        board: m.text("board-name").unwrap_or_default(),
        uptime: m.get("uptime").and_then(|text| duration(&text)),
        sectors_written: m.number("write-sect-since-reboot"),
    })
}

/// Byte counters (received, transmitted) of the interface called `name`.
#[must_use]
pub fn interface(object: &[u8], name: &str) -> Option<(u64, u64)> {
    let m = Members::of(object)?;
    (m.get("name")? == name).then_some((m.number("rx-byte")?, m.number("tx-byte")?))
}

/// A row of `table`, or `None` when the object is something else.
#[must_use]
pub fn row(object: &[u8], table: Table) -> Option<Row> {
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(object).ok()?;
    members.contains_key(table.key()).then(|| {
        let text = |value| match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        };
        Row(members.into_iter().map(|(name, value)| (name, text(value))).collect())
    })
}

/// What RouterOS says in `detail`, and what it means; the texts are those of its binary API.
pub const DETAILS: [(&str, RouterError); 7] = [
    ("not enough permissions", RouterError::Permission),
    ("no such item", RouterError::NotFound),
    ("no such command", RouterError::NoSuchCommand),
    ("unknown parameter", RouterError::UnknownParameter),
    ("input does not match", RouterError::BadValue),
    ("failure:", RouterError::BadValue),
    ("Session closed", RouterError::SessionClosed),
];

/// What RouterOS says of an error: `detail`, or `message` where there is no detail.
#[must_use]
pub fn error_detail(object: &[u8]) -> Option<Text<64>> {
    let m = Members::of(object)?;
    m.text("detail").or_else(|| m.text("message"))
}

/// Ids become a part of a path, so one that could end it is none; RouterOS's are `*` and digits.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b == b'*' || b.is_ascii_alphanumeric())
}

/// A counter of download and upload: simple queues list upload first, the tree has one number.
fn pair(text: &str, menu: Menu) -> [u64; 2] {
    let number = |t: &str| t.parse().unwrap_or(0);
    match (menu, text.split_once('/')) {
        (Menu::Simple, Some((up, down))) => [number(down), number(up)],
        _ => [number(text); 2],
    }
}

/// A rate as RouterOS prints it: whole bit/s, or with the suffix of the console (`10M`).
#[must_use]
pub fn rate(text: &str) -> Option<Bitrate> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1_000),
        b'M' => (&text[..text.len() - 1], 1_000_000),
        b'G' => (&text[..text.len() - 1], 1_000_000_000),
        _ if text == "unlimited" => return Some(Bitrate::ZERO),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor).map(Bitrate::from_bps)
}

/// A time span as RouterOS prints it: `7w6d9h34m50s`, `1s500ms`, `12ms345us`.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let micros: u64 = match &rest[..letters] {
            "w" => 604_800_000_000,
            "d" => 86_400_000_000,
            "h" => 3_600_000_000,
            "m" => 60_000_000,
            "s" => 1_000_000,
            "ms" => 1_000,
            "us" => 1,
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.checked_add(Duration::from_micros(number.checked_mul(micros)?))?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(body: &[u8], step: usize) -> Result<Vec<Vec<u8>>, BadBody> {
        let mut splitter = Splitter::default();
        let mut objects = Vec::new();
        for piece in body.chunks(step) {
            splitter.feed(piece, |object| objects.push(object.to_vec()))?;
        }
        splitter.end().map(|()| objects)
    }

    #[test]
    fn objects_come_out_one_by_one_however_they_arrive() {
        let body = br#"[ {"a":"}"},{"b":{"c":[1,{}]}} , {"d":"\"{"}]"#;
        for step in 1..=body.len() {
            let objects = split(body, step).unwrap();
            assert_eq!(objects.len(), 3);
            assert_eq!(objects[2], br#"{"d":"\"{"}"#);
        }
        assert_eq!(split(b"[]", 1), Ok(vec![]));
        assert_eq!(split(b"{}", 1), Ok(vec![b"{}".to_vec()]));
    }

    #[test]
    fn what_is_no_list_of_objects_is_refused() {
        for body in [&b"<html>"[..], b"", b"[{\"a\":1}", b"[1,2]", b"{}{}", b"[]]", b"\"text\""] {
            assert_eq!(split(body, 1), Err(BadBody), "{}", String::from_utf8_lossy(body));
        }
        let huge = [b"[{\"comment\":\"".as_slice(), &[b'x'; 5000], b"\"}]"].concat();
        assert_eq!(split(&huge, 1000), Err(BadBody));
    }

    #[test]
    fn a_queue_is_read_whatever_surrounds_it() {
        let body = b"{\".id\":\"*1000000\",\"name\":\"wan1-dl\",\"max-limit\":\"10M\",\"bytes\":\"12345\",\
            \"comment\":\"bell \x07 and \xff\xfe\",\"disabled\":\"false\",\"invalid\":\"yes\",\"new-thing\":{\"x\":[1]},\
            \"dropped\":7,\"queued-packets\":null}";
        let objects = split(body, 3).unwrap();
        let row = queue(&objects[0], Menu::Tree).unwrap();
        assert_eq!((row.id.as_str(), row.name.as_str()), ("*1000000", "wan1-dl"));
        assert_eq!(row.limits, [Bitrate::from_mbps(10); 2]);
        assert_eq!((row.counters[0].bytes, row.counters[1].dropped), (12345, 7));
        assert!(row.invalid && !row.disabled && !row.dynamic);
        assert_eq!(queue(br#"{".id":"*1","name":"ether1"}"#, Menu::Tree), None, "another menu's body has no max-limit");
    }

    #[test]
    fn simple_queues_list_upload_first() {
        let row = queue(
            br#"{".id":"*1","name":"q","max-limit":"38000000/940000000","bytes":"1/2","dynamic":true}"#,
            Menu::Simple,
        )
        .unwrap();
        assert_eq!(row.limits, [Bitrate::from_mbps(940), Bitrate::from_mbps(38)]);
        assert_eq!((row.counters[0].bytes, row.counters[1].bytes), (2, 1));
        assert!(row.dynamic);
    }

    #[test]
    fn an_id_that_is_no_part_of_a_path_is_none() {
        for id in ["", " ", r"*1\r\nHost: x", "*1/../../user", "*1?a=b", "ü"] {
            let row = format!(r#"{{".id":"{id}","name":"q","max-limit":"0"}}"#);
            assert_eq!(queue(row.as_bytes(), Menu::Tree), None, "{id}");
        }
    }

    #[test]
    fn a_damaged_or_overlong_name_equals_none() {
        let objects = split(b"{\".id\":\"*1\",\"name\":\"wan\xff\",\"max-limit\":\"0\"}", 1).unwrap();
        assert_eq!(queue(&objects[0], Menu::Tree).unwrap().name.as_str(), "wan\u{7f}");
        let long = format!(r#"{{".id":"*1","max-limit":"0","name":"{}"}}"#, "n".repeat(80));
        assert!(queue(long.as_bytes(), Menu::Tree).unwrap().name.ends_with('\u{7f}'));
    }

    #[test]
    fn durations_and_rates_as_routeros_prints_them() {
        assert_eq!(duration("1w1d1h1m1s"), Some(Duration::from_secs(604_800 + 86_400 + 3_600 + 61)));
        assert_eq!(duration("1s500ms"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("12ms345us"), Some(Duration::from_micros(12_345)));
        for bad in ["", "1", "s", "1x", "99999999999999999999s", "9999999999999999w"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert_eq!(rate("38000000"), Some(Bitrate::from_mbps(38)));
        assert_eq!(rate("unlimited"), Some(Bitrate::ZERO));
        for bad in ["", "M", "9.5M", "-1", "99999999999999999999G"] {
            assert_eq!(rate(bad), None, "{bad}");
        }
    }

    #[test]
    fn rows_are_text_whatever_the_router_makes_of_them() {
        let read = row(br#"{".id":"*1","name":"x","disabled":true,"port":443,"gone":null}"#, Table::Service).unwrap();
        assert_eq!(["name", "port", "gone", "never"].map(|member| read.get(member)), ["x", "443", "", ""]);
        assert!(read.is("disabled") && !read.is("name"));
        assert!(row(br#"{"name":"MikroTik"}"#, Table::Service).is_none(), "the body of another menu");
        assert!(row(br#"{"version":"7.24"}"#, Table::Resource).is_some());
    }

    #[test]
    fn only_rows_may_be_long() {
        let script = format!(r#"[{{".id":"*1","source":"{}"}}]"#, "x".repeat(60_000));
        let mut splitter = Splitter::default();
        let feed = |splitter: &mut Splitter| splitter.feed(script.as_bytes(), |object| assert!(object.len() > 60_000));
        assert_eq!(feed(&mut splitter), Err(BadBody));
        splitter.reset(MAX_ROW);
        assert_eq!(feed(&mut splitter), Ok(()));
        splitter.reset(MAX_OBJECT);
        assert_eq!(feed(&mut splitter), Err(BadBody));
    }
}
