//! What the router was read to be, and how commands for it are spelled.

use crate::config::{Config, WanConfig};
use crate::types::{Direction, Menu, RouterError, Row, Table};
use core::net::{IpAddr, Ipv4Addr};
use std::collections::BTreeMap;

/// What the router told, menu by menu.
#[derive(Debug, Default)]
pub(in crate::cli) struct Facts {
    pub(in crate::cli) tables: BTreeMap<Table, Result<Vec<Row>, RouterError>>,
    /// The address from which the router sees us, as far as this machine knows.
    pub(in crate::cli) here: Option<IpAddr>,
}

impl Facts {
    /// The rows of a menu, or none when it could not be read.
    pub(in crate::cli) fn rows(&self, table: Table) -> &[Row] {
        self.tables.get(&table).and_then(|rows| rows.as_deref().ok()).unwrap_or_default()
    }

    /// Whether the menu was read, so that what is not in it does not exist.
    pub(in crate::cli) fn has(&self, table: Table) -> bool {
        matches!(self.tables.get(&table), Some(Ok(_)))
    }

    /// The row of this name.
    pub(in crate::cli) fn named(&self, table: Table, name: &str) -> Option<&Row> {
        self.rows(table).iter().find(|row| row.get("name") == name)
    }

    /// The interface by which a gateway is reached: its own name, what stands behind `%`, or the one whose network it
    /// is in.
    pub(in crate::cli) fn interface_of<'a>(&'a self, gateway: &'a str) -> Option<&'a str> {
        if let Some((_, interface)) = gateway.split_once('%') {
            return Some(interface);
        }
        if self.named(Table::Interface, gateway).is_some() {
            return Some(gateway);
        }
        let gateway: Ipv4Addr = gateway.parse().ok()?;
        let is_near = |row: &&Row| {
            let (address, length) = row.get("address").split_once('/')?;
            let (address, length): (Ipv4Addr, u32) = (address.parse().ok()?, length.parse().ok()?);
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(length)?).unwrap_or(0);
            Some(address.to_bits() & mask == gateway.to_bits() & mask && !row.is("disabled"))
        };
        self.rows(Table::Address).iter().find(|row| is_near(row) == Some(true)).map(|row| row.get("interface"))
    }

    /// The gateway of the line of this WAN, as a route takes it: of a default route through its interface, or the
    /// interface itself, which will do where there is nobody but the provider at its other end.
    pub(in crate::cli) fn gateway_of<'a>(&'a self, wan: &'a WanConfig) -> &'a str {
        let Some(interface) = wan.router_interface.as_deref() else { return "GATEWAY-OF-THE-LINE" };
        let mut gateways = self.rows(Table::Route).iter().map(|row| row.get("gateway"));
        gateways.find(|gateway| self.interface_of(gateway) == Some(interface)).unwrap_or(interface)
    }

    /// Our address as `address=` takes it.
    pub(in crate::cli) fn here(&self) -> String {
        match self.here {
            Some(IpAddr::V4(ip)) => format!("{ip}/32"),
            Some(IpAddr::V6(ip)) => format!("{ip}/128"),
            None => "ADDRESS-OF-THIS-MACHINE/32".to_owned(),
        }
    }
}

/// The menu of a queue as a table.
pub(in crate::cli) const fn table(menu: Menu) -> Table {
    match menu {
        Menu::Tree => Table::Tree,
        Menu::Simple => Table::Simple,
    }
}

/// The names of all queues of ours.
pub(in crate::cli) fn our_queues(config: &Config) -> Vec<&str> {
    let mut names: Vec<&str> = config.wans.iter().flat_map(|w| &w.queues).map(|q| q.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A string as the console takes it.
pub(in crate::cli) fn quote(text: &str) -> String {
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
pub(in crate::cli) fn command(table: Table, verb: &str, name: &str, arguments: &str) -> String {
    let gap = if arguments.is_empty() { "" } else { " " };
    format!("{} {verb} [find name={}]{gap}{arguments}", table.console(), quote(name))
}

/// The part of a queue's member that is about one direction. A simple queue holds both as
/// `upload/download`.
pub(in crate::cli) fn half<'a>(menu: Menu, row: &'a Row, member: &str, direction: Direction) -> &'a str {
    let text = row.get(member);
    match (menu, text.split_once('/'), direction) {
        (Menu::Simple, Some((_, download)), Direction::Download) => download,
        (Menu::Simple, Some((upload, _)), Direction::Upload) => upload,
        _ => text,
    }
}

/// `member=value` for one direction; the other half of a simple queue stays as it is.
pub(in crate::cli) fn set_half(menu: Menu, row: &Row, member: &str, direction: Direction, value: &str) -> String {
    let other = |direction| half(menu, row, member, direction);
    match (menu, direction) {
        (Menu::Tree, _) => format!("{member}={value}"),
        (Menu::Simple, Direction::Download) => format!("{member}={}/{value}", other(Direction::Upload)),
        (Menu::Simple, Direction::Upload) => format!("{member}={value}/{}", other(Direction::Download)),
    }
}
