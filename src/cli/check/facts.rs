//! What the router was read to be, and how commands for it are spelled.

use crate::config::Config;
use crate::types::{Direction, Menu, RouterError, Row, Table};
use core::net::IpAddr;
use std::collections::BTreeMap;

/// What the router told, menu by menu.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) tables: BTreeMap<Table, Result<Vec<Row>, RouterError>>,
    /// The address from which the router sees us, as far as this machine knows.
    pub(super) here: Option<IpAddr>,
}

impl Facts {
    /// The rows of a menu, or none when it could not be read.
    pub(super) fn rows(&self, table: Table) -> &[Row] {
        self.tables.get(&table).and_then(|rows| rows.as_deref().ok()).unwrap_or_default()
    }

    /// Whether the menu was read, so that what is not in it does not exist.
    pub(super) fn has(&self, table: Table) -> bool {
        matches!(self.tables.get(&table), Some(Ok(_)))
    }

    /// The row of this name.
    pub(super) fn named(&self, table: Table, name: &str) -> Option<&Row> {
        self.rows(table).iter().find(|row| row.get("name") == name)
    }

    /// Our address as `address=` takes it.
    pub(super) fn here(&self) -> String {
        match self.here {
            Some(IpAddr::V4(ip)) => format!("{ip}/32"),
            Some(IpAddr::V6(ip)) => format!("{ip}/128"),
            None => "ADDRESS-OF-THIS-MACHINE/32".to_owned(),
        }
    }
}

/// The menu of a queue as a table.
pub(super) const fn table(menu: Menu) -> Table {
    match menu {
        Menu::Tree => Table::Tree,
        Menu::Simple => Table::Simple,
    }
}

/// The names of all queues of ours.
pub(super) fn our_queues(config: &Config) -> Vec<&str> {
    let mut names: Vec<&str> = config.wans.iter().flat_map(|w| &w.queues).map(|q| q.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A string as the console takes it.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// `/queue tree set [find name="x"] …`
pub(super) fn command(table: Table, verb: &str, name: &str, arguments: &str) -> String {
    let gap = if arguments.is_empty() { "" } else { " " };
    format!("{} {verb} [find name={}]{gap}{arguments}", table.console(), quote(name))
}

/// The part of a queue's member that is about one direction. A simple queue holds both as
/// `upload/download`.
pub(super) fn half<'a>(menu: Menu, row: &'a Row, member: &str, direction: Direction) -> &'a str {
    let text = row.get(member);
    match (menu, text.split_once('/'), direction) {
        (Menu::Simple, Some((_, download)), Direction::Download) => download,
        (Menu::Simple, Some((upload, _)), Direction::Upload) => upload,
        _ => text,
    }
}

/// `member=value` for one direction; the other half of a simple queue stays as it is.
pub(super) fn set_half(menu: Menu, row: &Row, member: &str, direction: Direction, value: &str) -> String {
    let other = |direction| half(menu, row, member, direction);
    match (menu, direction) {
        (Menu::Tree, _) => format!("{member}={value}"),
        (Menu::Simple, Direction::Download) => format!("{member}={}/{value}", other(Direction::Upload)),
        (Menu::Simple, Direction::Upload) => format!("{member}={value}/{}", other(Direction::Download)),
    }
}
