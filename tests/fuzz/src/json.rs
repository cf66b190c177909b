//! A body of RouterOS's JSON in any pieces. The first byte says how it is cut.

use super::input::pieces;
use wanctl::routeros::json::{self, BadBody, Splitter};
use wanctl::types::{Menu, Table};

type Objects = Result<Vec<Vec<u8>>, BadBody>;

fn split<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Objects {
    let (mut splitter, mut objects) = (Splitter::default(), Vec::new());
    for part in parts {
        splitter.feed(part, |object| objects.push(object.to_vec()))?;
    }
    splitter.end().map(|()| objects)
}

pub fn run(data: &[u8]) {
    let Some((&how, body)) = data.split_first() else { return };
    let objects = split(core::iter::once(body));
    assert_eq!(objects, split(pieces(body, how)), "pieces of {how}");
    if let Ok(text) = core::str::from_utf8(body) {
        values(text);
    }
    for object in objects.unwrap_or_default() {
        assert!(core::str::from_utf8(&object).is_ok(), "not cleaned");
        assert!(object.starts_with(b"{") && object.ends_with(b"}") || object.ends_with(b"]"));
        one(&object);
    }
    one(body);
}

/// What is read of one object is what serde_json finds in it.
fn one(object: &[u8]) {
    for menu in [Menu::Tree, Menu::Simple] {
        let Some(row) = json::queue(object, menu) else { continue };
        assert_eq!(row.menu, menu);
        let read = |text: &str| json::rate(text).expect("a row with a limit that is no rate");
        let limits = match menu {
            Menu::Tree => [read(&row.max_limit); 2],
            Menu::Simple => {
                let (up, down) = row.max_limit.split_once('/').expect("a pair");
                [read(down), read(up)]
            }
        };
        assert_eq!(row.limits, limits);
        if menu == Menu::Tree {
            assert_eq!(row.counters[0], row.counters[1], "the tree has one direction");
        }
    }
    for table in Table::ALL {
        if let Some(row) = json::row(object, table) {
            assert!(row.0.contains_key(table.key()));
        }
    }
    let _ = json::resource(object);
    let _ = json::error_detail(object);
    for name in ["", "ether1"] {
        let _ = json::interface(object, name);
    }
}

/// Numbers with a unit: what is read survives being printed in the smallest unit.
fn values(text: &str) {
    if let Some(rate) = json::rate(text) {
        assert_eq!(json::rate(&rate.bps().to_string()), Some(rate));
    }
    if let Some(span) = json::duration(text)
        && let Ok(micros) = u64::try_from(span.as_micros())
    {
        assert_eq!(json::duration(&format!("{micros}us")), Some(span));
    }
}
