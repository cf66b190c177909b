//! The JSON of RouterOS, from body bytes in any pieces to one object at a time, in fixed memory.
//!
//! A list may hold hundreds of queues; only one object is kept at a time. Its bytes are cleaned
//! before serde sees them: comments may hold raw control bytes and broken UTF-8, and neither may
//! cost us the reply.

use crate::types::{
    Bitrate, Duration, Menu, QueueCounters, QueueRow, RouterError, RouterInfo, Row, SwitchRow, SwitchTable, Table,
    Text, Verbatim,
};
use core::fmt;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

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

/// A member's value as text, whatever JSON type the router chose: strings, but also bare numbers
/// and booleans. Text beyond `N` bytes is marked, so that it equals nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field<const N: usize>(Text<N>);

impl<'de, const N: usize> Deserialize<'de> for Field<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

impl<const N: usize> Field<N> {
    fn new(value: fmt::Arguments<'_>) -> Self {
        let mut text = Truncating(Text::new());
        let _ = fmt::Write::write_fmt(&mut text, value);
        Self(text.0)
    }
}

/// Text that takes what fits and marks its end when something did not.
struct Truncating<const N: usize>(Text<N>);

impl<const N: usize> fmt::Write for Truncating<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for c in s.chars() {
            if self.0.push(c).is_err() {
                self.0.pop();
                let _ = self.0.push(char::from(REPLACEMENT));
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

struct FieldVisitor<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for FieldVisitor<N> {
    type Value = Field<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, number or boolean")
    }

    fn visit_str<E>(self, v: &str) -> Result<Field<N>, E> {
        // Nearly all values are strings that fit: copied as a whole, not letter by letter.
        Ok(Text::try_from(v).map_or_else(|_| Field::new(format_args!("{v}")), Field))
    }

    fn visit_bool<E>(self, v: bool) -> Result<Field<N>, E> {
        Ok(Field::new(format_args!("{v}")))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Field<N>, E> {
        Ok(Field::new(format_args!("{v}")))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Field<N>, E> {
        Ok(Field::new(format_args!("{v}")))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Field<N>, E> {
        Ok(Field::new(format_args!("{v}")))
    }

    fn visit_unit<E>(self) -> Result<Field<N>, E> {
        Ok(Field(Text::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field<N>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field(Text::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field<N>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field(Text::new()))
    }
}

/// Every member that we read, of any object; what is missing is unset.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Members {
    #[serde(rename = ".id")]
    id: Option<Field<16>>,
    name: Option<Field<64>>,
    max_limit: Option<Field<48>>,
    bytes: Option<Field<48>>,
    dropped: Option<Field<48>>,
    queued_bytes: Option<Field<48>>,
    queued_packets: Option<Field<48>>,
    disabled: Option<Field<8>>,
    invalid: Option<Field<8>>,
    dynamic: Option<Field<8>>,
    version: Option<Field<32>>,
    board_name: Option<Field<32>>,
    uptime: Option<Field<32>>,
    write_sect_since_reboot: Option<Field<24>>,
    chain: Option<Field<24>>,
    comment: Option<Field<96>>,
    address: Option<Field<96>>,
    list: Option<Field<64>>,
    timeout: Option<Field<24>>,
    rx_byte: Option<Field<24>>,
    tx_byte: Option<Field<24>>,
    detail: Option<Field<64>>,
    message: Option<Field<64>>,
}

fn members(object: &[u8]) -> Option<Members> {
    serde_json::from_slice(object).ok()
}

/// A queue of `menu`, or `None` when the object is something else.
#[must_use]
pub fn queue(object: &[u8], menu: Menu) -> Option<QueueRow> {
    let m = members(object)?;
    let (id, name) = (m.id.map(|f| f.0).filter(|id| is_id(id))?, m.name?.0);
    // Every queue has a limit, if only 0; a body without belongs to another menu.
    let max_limit: Verbatim = m.max_limit?.0;
    let limits = match menu {
        Menu::Tree => rate(&max_limit).map(|r| [r, r]),
        Menu::Simple => max_limit.split_once('/').and_then(|(up, down)| Some([rate(down)?, rate(up)?])),
    }?;
    let number = |field: &Option<Field<48>>| pair(field.as_ref().map_or("", |f| f.0.as_str()), menu);
    let (bytes, dropped) = (number(&m.bytes), number(&m.dropped));
    let (queued_bytes, queued_packets) = (number(&m.queued_bytes), number(&m.queued_packets));
    let counters = [0, 1].map(|i| QueueCounters {
        bytes: bytes[i],
        dropped: dropped[i],
        queued_bytes: queued_bytes[i],
        queued_packets: queued_packets[i],
    });
    let flag = |field: Option<Field<8>>| field.is_some_and(|f| is_true(&f.0));
    Some(QueueRow {
        menu,
        id,
        name,
        max_limit,
        limits,
        counters,
        disabled: flag(m.disabled),
        invalid: flag(m.invalid),
        dynamic: flag(m.dynamic),
    })
}

/// A rule or an entry of `table`, or `None` when the object is something else.
#[must_use]
pub fn switch(object: &[u8], table: &SwitchTable) -> Option<SwitchRow> {
    let m = members(object)?;
    let key = match table {
        // Every rule has a chain; few have a comment.
        SwitchTable::Mangle { .. } => m.chain.as_ref().map(|_| m.comment.map(|f| f.0).unwrap_or_default()),
        SwitchTable::List { name, .. } => m.list.filter(|list| list.0 == *name).and_then(|_| m.address.map(|f| f.0)),
    }?;
    let flag = |field: Option<Field<8>>| field.is_some_and(|f| is_true(&f.0));
    Some(SwitchRow {
        id: m.id.map(|f| f.0).filter(|id| is_id(id))?,
        key,
        prerouting: m.chain.is_none_or(|chain| chain.0 == "prerouting"),
        disabled: flag(m.disabled),
        invalid: flag(m.invalid),
        dynamic: flag(m.dynamic),
        timeout: m.timeout.and_then(|f| duration(&f.0)),
    })
}

/// `/system/resource`, or `None` when the object is something else.
#[must_use]
pub fn resource(object: &[u8]) -> Option<RouterInfo> {
    let m = members(object)?;
    Some(RouterInfo {
        version: m.version?.0,
        board: m.board_name.map(|f| f.0).unwrap_or_default(),
        uptime: m.uptime.and_then(|f| duration(&f.0)),
        sectors_written: m.write_sect_since_reboot.and_then(|f| f.0.parse().ok()),
    })
}

/// Byte counters (received, transmitted) of the interface called `name`.
#[must_use]
pub fn interface(object: &[u8], name: &str) -> Option<(u64, u64)> {
    let m = members(object)?;
    (m.name?.0 == name).then_some((m.rx_byte?.0.parse().ok()?, m.tx_byte?.0.parse().ok()?))
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
    let m = members(object)?;
    m.detail.or(m.message).map(|f| f.0)
}

/// Ids become a part of a path, so one that could end it is none; RouterOS's are `*` and digits.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b == b'*' || b.is_ascii_alphanumeric())
}

/// `true` and `yes` are true; everything else, and what is missing, is false.
fn is_true(text: &str) -> bool {
    matches!(text, "true" | "yes")
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
