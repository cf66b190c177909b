//! The objects of a RouterOS double: tables of rows, with the rules by which a written value is
//! accepted, refused, and read back.

use super::menus;
use super::schema::{
    CERTIFICATE, Counts, FILTER, FILTER6, IDENTITY, INTERFACE, Kind, Property, QUEUE_TYPE, SCHEMAS, SERVICE, SIMPLE,
    Schema, TREE, USER, USER_GROUP,
};
use super::setup::RouterSetup;
use super::site;
use crate::units::{Duration, Instant};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Traffic of one queue or interface in one direction, as RouterOS counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that passed.
    pub bytes: u64,
    /// Packets that passed.
    pub packets: u64,
    /// Packets dropped.
    pub dropped: u64,
    /// Bytes waiting now.
    pub queued_bytes: u64,
    /// Packets waiting now.
    pub queued_packets: u64,
    /// Throughput of the last second or so, in bit/s.
    pub rate_bps: u64,
}

impl Traffic {
    /// Adds what passed since, and takes over what is so now.
    pub(crate) fn add(&mut self, delta: &Self) {
        self.bytes = self.bytes.wrapping_add(delta.bytes);
        self.packets = self.packets.wrapping_add(delta.packets);
        self.dropped = self.dropped.wrapping_add(delta.dropped);
        self.queued_bytes = delta.queued_bytes;
        self.queued_packets = delta.queued_packets;
        self.rate_bps = delta.rate_bps;
    }
}

/// One object.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    number: u32,
    pub(crate) values: BTreeMap<&'static str, String>,
    /// When it goes by itself.
    until: Option<Instant>,
    /// What was counted, and what of it is visible (the same, unless counters lag).
    pub(crate) counted: [Traffic; 2],
    pub(crate) visible: [Traffic; 2],
}

impl Row {
    /// The id, such as `*1000000`.
    pub(crate) fn id(&self) -> String {
        format!("*{:X}", self.number)
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// All members in RouterOS's order: the id, then by name. Unset ones are left out.
    pub(crate) fn members(&self, schema: &Schema) -> Vec<(&'static str, Cow<'_, str>)> {
        let mut members: Vec<(&'static str, Cow<'_, str>)> = self
            .values
            .iter()
            .filter(|(name, value)| match schema.property(name).map(|p| p.kind) {
                Some(Kind::Comment | Kind::Named(_) | Kind::Dscp) => !value.is_empty(),
                Some(Kind::Secret) => false,
                // Of a queue type only the members of its kind are shown.
                _ => !name.starts_with("cake-") || self.get("kind") == "cake",
            })
            .map(|(name, value)| (*name, Cow::from(value.as_str())))
            .collect();
        self.push_counters(schema.counts, &mut members);
        members.sort_unstable_by_key(|(name, _)| *name);
        if !schema.single {
            members.insert(0, (".id", self.id().into()));
        }
        members
    }

    fn push_counters(&self, counts: Counts, members: &mut Vec<(&'static str, Cow<'_, str>)>) {
        let [a, b] = &self.visible;
        let fields = |t: &Traffic| {
            [t.bytes, t.packets, t.dropped, t.queued_bytes, t.queued_packets, t.rate_bps, t.rate_bps / 12_000]
        };
        const NAMES: [&str; 7] =
            ["bytes", "packets", "dropped", "queued-bytes", "queued-packets", "rate", "packet-rate"];
        const TOTALS: [&str; 7] = [
            "total-bytes",
            "total-packets",
            "total-dropped",
            "total-queued-bytes",
            "total-queued-packets",
            "total-rate",
            "total-packet-rate",
        ];
        match counts {
            Counts::None => {}
            Counts::One => {
                members.extend(NAMES.into_iter().zip(fields(a)).map(|(n, v)| (n, v.to_string().into())));
            }
            Counts::Pair => {
                for (i, (up, down)) in fields(a).into_iter().zip(fields(b)).enumerate() {
                    members.push((NAMES[i], format!("{up}/{down}").into()));
                    // As on the real thing, totals stay zero unless a total queue is configured.
                    members.push((TOTALS[i], "0".into()));
                }
            }
            Counts::Interface => members.extend([
                ("rx-byte", a.bytes.to_string().into()),
                ("rx-packet", a.packets.to_string().into()),
                ("tx-byte", b.bytes.to_string().into()),
                ("tx-packet", b.packets.to_string().into()),
            ]),
        }
    }
}

/// All rows of one menu.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) schema: &'static Schema,
    pub(crate) rows: Vec<Row>,
    next_number: u32,
}

/// All menus.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    pub(crate) tables: Vec<Table>,
    /// Of the version 7.`minor`.
    minor: u32,
    now: Instant,
}

impl Objects {
    pub(crate) fn new(setup: &RouterSetup) -> Self {
        let tables =
            SCHEMAS.iter().map(|schema| Table { schema, rows: Vec::new(), next_number: schema.first_id }).collect();
        let mut objects = Self { tables, minor: site::minor(&setup.version), now: Instant::ZERO };
        for (i, schema) in SCHEMAS.iter().enumerate().filter(|(_, schema)| schema.single) {
            objects.insert(i, schema.properties.iter().map(|p| (p.name, p.default.to_owned())).collect());
        }
        menus::prepare(&mut objects, setup);
        objects
    }

    /// The row with this id or (unique) name.
    pub(crate) fn find(&self, table: usize, key: &str) -> Option<usize> {
        let by_id = key.strip_prefix('*').and_then(|hex| u32::from_str_radix(hex, 16).ok());
        self.tables[table].rows.iter().position(|row| match by_id {
            Some(number) => row.number == number,
            None => row.get("name") == key,
        })
    }

    /// The queue of this name, in either menu.
    pub(crate) fn find_queue(&self, name: &str) -> Option<(usize, usize)> {
        [TREE, SIMPLE].into_iter().find_map(|table| Some((table, self.find(table, name)?)))
    }

    /// Adds a row of these values, without any checks.
    pub(crate) fn insert(&mut self, table: usize, mut values: BTreeMap<&'static str, String>) -> usize {
        let table = &mut self.tables[table];
        for (name, value) in table.schema.read_only {
            values.entry(name).or_insert_with(|| (*value).to_owned());
        }
        let number = table.next_number;
        table.next_number = number.wrapping_add(1);
        table.rows.push(Row { number, values, until: None, counted: Default::default(), visible: Default::default() });
        table.rows.len() - 1
    }

    /// Adds a row as a client asks for it.
    pub(crate) fn add(&mut self, table: usize, given: &[(String, String)]) -> Result<usize, String> {
        let schema = self.tables[table].schema;
        let before = given.iter().find(|(name, _)| name == "place-before" && site::ORDERED.contains(&table));
        let given: Vec<_> = given.iter().filter(|pair| Some(*pair) != before).cloned().collect();
        let before = before.map(|(_, key)| self.find(table, key).ok_or("no such item")).transpose()?;
        if let Some(required) = schema.required.filter(|r| !given.iter().any(|(name, _)| name == r)) {
            return Err(format!("missing ={required}="));
        }
        let is_there = |p: &&Property| p.kind != Kind::Presence && site::is_known(self.minor, schema, p.name);
        let mut values: BTreeMap<&'static str, String> =
            schema.properties.iter().filter(is_there).map(|p| (p.name, p.default.to_owned())).collect();
        self.check_all(table, None, &given, &mut values)?;
        if matches!(table, TREE | SIMPLE) && values.get("name").is_some_and(String::is_empty) {
            let free = (1..).map(|n| format!("queue{n}")).find(|name| self.find(table, name).is_none());
            values.insert("name", free.unwrap_or_default());
        }
        if site::is_list(table) {
            self.same_entry(table, &values)?;
        }
        let row = self.insert(table, values);
        self.wind_up(table, row);
        let Some(before) = before else { return Ok(row) };
        self.tables[table].rows[before..=row].rotate_right(1);
        Ok(before)
    }

    /// Changes a row as a client asks for it: all of it, or nothing.
    pub(crate) fn change(&mut self, table: usize, row: usize, given: &[(String, String)]) -> Result<(), String> {
        let mut values = self.tables[table].rows[row].values.clone();
        self.check_all(table, Some(row), given, &mut values)?;
        let row = &mut self.tables[table].rows[row];
        // A queue that is hung up anew is a new queue: what it counted is gone.
        if matches!(table, TREE | SIMPLE)
            && ["parent", "queue", "disabled"].iter().any(|name| values.get(name) != row.values.get(name))
        {
            row.counted = Default::default();
            row.visible = Default::default();
        }
        row.values = values;
        Ok(())
    }

    /// What RouterOS does itself before anybody looks: while any rule sends connections along the fast
    /// track, a dynamic rule before all others shows what went there.
    pub(crate) fn settle(&mut self) {
        for table in [FILTER, FILTER6] {
            let rows = &self.tables[table].rows;
            let wanted = rows.iter().any(|r| r.get("action") == "fasttrack-connection" && r.get("disabled") != "true");
            let dummy = rows.iter().position(|row| row.get("dynamic") == "true");
            match (wanted, dummy) {
                (true, None) => {
                    let values = [
                        ("action", "passthrough"),
                        ("chain", "forward"),
                        ("comment", "special dummy rule to show fasttrack counters"),
                        ("disabled", "false"),
                        ("dynamic", "true"),
                    ];
                    let row = self.insert(table, values.into_iter().map(|(n, v)| (n, v.to_owned())).collect());
                    self.tables[table].rows[..=row].rotate_right(1);
                }
                (false, Some(row)) => drop(self.tables[table].rows.remove(row)),
                _ => {}
            }
        }
    }

    fn check_all(
        &self,
        table: usize,
        row: Option<usize>,
        given: &[(String, String)],
        values: &mut BTreeMap<&'static str, String>,
    ) -> Result<(), String> {
        for (name, value) in given {
            let property = self.tables[table]
                .schema
                .property(name)
                .filter(|p| site::is_known(self.minor, self.tables[table].schema, p.name))
                .ok_or_else(|| format!("unknown parameter {name}"))?;
            if name == "name" && table != site::ENVS && self.find(table, value).is_some_and(|other| Some(other) != row)
            {
                return Err("failure: already have queue with such name".to_owned());
            }
            values.insert(property.name, self.accept(property.name, property.kind, value)?);
        }
        Ok(())
    }

    /// The value as it reads back, or the text with which it is refused.
    fn accept(&self, name: &str, kind: Kind, value: &str) -> Result<String, String> {
        let no_match = || format!("input does not match any value of {name}");
        let invalid = || format!("invalid value for argument {name}");
        let pair = |one: Kind| {
            let (up, down) = value.split_once('/').ok_or_else(invalid)?;
            Ok(format!("{}/{}", self.accept(name, one, up)?, self.accept(name, one, down)?))
        };
        match kind {
            Kind::Comment | Kind::Text | Kind::Secret => Ok(value.to_owned()),
            Kind::Presence => Ok(String::new()),
            Kind::OneOf(words) => words.contains(&value).then(|| value.to_owned()).ok_or_else(no_match),
            Kind::Named(tables) => {
                let is_there = value.is_empty() || tables.iter().any(|table| self.find(*table, value).is_some());
                is_there.then(|| value.to_owned()).ok_or_else(no_match)
            }
            Kind::Dscp => match value.parse::<u8>() {
                Ok(0..=63) => Ok(value.to_owned()),
                _ => Err(invalid()),
            },
            Kind::Policy => menus::policy(value).ok_or_else(no_match),
            Kind::Flag => match value {
                "true" | "yes" => Ok("true".to_owned()),
                "false" | "no" => Ok("false".to_owned()),
                _ => Err(no_match()),
            },
            Kind::Rate => parse_rate(value).map(|bps| bps.to_string()).ok_or_else(invalid),
            Kind::Number(low, high) => {
                let number = value.parse().ok().filter(|n| (low..=high).contains(n));
                number.map(|n: u32| n.to_string()).ok_or_else(invalid)
            }
            Kind::QueueType if self.find(QUEUE_TYPE, value).is_some() => Ok(value.to_owned()),
            Kind::TreeParent
                if value == "global" || self.find(INTERFACE, value).is_some() || self.find(TREE, value).is_some() =>
            {
                Ok(value.to_owned())
            }
            Kind::SimpleParent if value == "none" || self.find(SIMPLE, value).is_some() => Ok(value.to_owned()),
            Kind::QueueType | Kind::TreeParent | Kind::SimpleParent => Err(no_match()),
            Kind::RatePair => pair(Kind::Rate),
            Kind::NumberPair(low, high) => pair(Kind::Number(low, high)),
            Kind::QueueTypePair => pair(Kind::QueueType),
            Kind::TextPair => pair(Kind::Text),
        }
    }

    /// An address is on a list once.
    fn same_entry(&self, table: usize, values: &BTreeMap<&'static str, String>) -> Result<(), String> {
        let same = |row: &Row| ["address", "list"].iter().all(|name| row.values.get(name) == values.get(name));
        if self.tables[table].rows.iter().any(same) {
            Err("failure: already have such entry".to_owned())
        } else {
            Ok(())
        }
    }

    /// An entry with a timeout begins to run.
    fn wind_up(&mut self, table: usize, row: usize) {
        let now = self.now;
        let row = &mut self.tables[table].rows[row];
        if site::is_list(table)
            && let Some(lasts) = site::seconds(row.get("timeout"))
        {
            row.until = Some(now + Duration::from_secs(lasts));
            row.values.insert("dynamic", "true".to_owned());
        }
    }

    /// Time goes on: what has run out is gone, and what runs shows what is left.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = now;
        for table in [site::LIST, site::LIST6] {
            let rows = &mut self.tables[table].rows;
            rows.retain(|row| row.until.is_none_or(|until| until > now));
            for row in rows {
                if let Some(until) = row.until {
                    row.values.insert("timeout", format!("{}s", until.since(now).as_secs()));
                }
            }
        }
    }

    /// What a reboot does to the objects: counters from zero, and ids that are new, or those of
    /// another row when they are `swapped`.
    pub(crate) fn reboot(&mut self, swapped: bool) {
        for table in &mut self.tables {
            table.rows.retain(|row| row.until.is_none());
            let mut numbers: Vec<u32> = table.rows.iter().map(|row| row.number).collect();
            if swapped && !numbers.is_empty() {
                numbers.rotate_left(1);
            } else {
                // Past all ids of before, so that an old one can't be mistaken for a new one.
                for number in &mut numbers {
                    *number = table.next_number;
                    table.next_number = table.next_number.wrapping_add(1);
                }
            }
            for (row, number) in table.rows.iter_mut().zip(numbers) {
                row.number = number;
                row.counted = Default::default();
                row.visible = Default::default();
            }
        }
    }

    /// Makes what was counted visible.
    pub(crate) fn show_counters(&mut self) {
        for row in self.tables.iter_mut().flat_map(|table| &mut table.rows) {
            row.visible = row.counted;
        }
    }

    /// Whether the user's group has this policy.
    pub(crate) fn grants(&self, user: &str, policy: &str) -> bool {
        let group = self.find(USER, user).map_or("", |row| self.tables[USER].rows[row].get("group"));
        let row = self.find(USER_GROUP, group);
        row.is_some_and(|row| self.tables[USER_GROUP].rows[row].get("policy").split(',').any(|p| p == policy))
    }

    /// The policies of the user's group become these.
    pub(crate) fn set_policy(&mut self, user: &str, policy: String) {
        let group = self.find(USER, user).map(|row| self.tables[USER].rows[row].get("group").to_owned());
        if let Some(row) = group.and_then(|group| self.find(USER_GROUP, &group)) {
            self.tables[USER_GROUP].rows[row].values.insert("policy", policy);
        }
    }

    /// The template in this row becomes a certificate.
    pub(crate) fn sign(&mut self, row: usize) {
        let row = &mut self.tables[CERTIFICATE].rows[row];
        let days: u64 = row.get("days-valid").parse().unwrap_or(0);
        row.values.insert("expires-after", format!("{}w{}d", days / 7, days % 7));
        row.values.insert("fingerprint", format!("{:064x}", row.number));
    }

    /// The certificate of www-ssl is the one with this fingerprint.
    pub(crate) fn set_fingerprint(&mut self, fingerprint: String) {
        let service =
            self.find(SERVICE, "www-ssl").map(|row| self.tables[SERVICE].rows[row].get("certificate").to_owned());
        if let Some(row) = service.and_then(|name| self.find(CERTIFICATE, &name)) {
            self.tables[CERTIFICATE].rows[row].values.insert("fingerprint", fingerprint);
        }
    }

    pub(crate) fn set_identity(&mut self, name: &str) {
        for row in &mut self.tables[IDENTITY].rows {
            row.values.insert("name", name.to_owned());
        }
    }
}

/// A rate as RouterOS accepts it: whole digits, with `k`, `M` or `G` for thousands, millions,
/// billions; `unlimited` is zero.
pub(crate) fn parse_rate(text: &str) -> Option<u64> {
    if text == "unlimited" {
        return Some(0);
    }
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1_000),
        b'M' => (&text[..text.len() - 1], 1_000_000),
        b'G' => (&text[..text.len() - 1], 1_000_000_000),
        _ => (text, 1),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_the_console_takes_them() {
        for (text, bps) in [
            ("0", Some(0)),
            ("unlimited", Some(0)),
            ("10M", Some(10_000_000)),
            ("940000k", Some(940_000_000)),
            ("2G", Some(2_000_000_000)),
            ("9.5M", None),
            ("", None),
            ("M", None),
            ("-1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_rate(text), bps, "{text}");
        }
    }
}
