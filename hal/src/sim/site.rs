//! RouterOS's menus for what stands around the daemon: the container it runs in, the interfaces
//! and routes of that, and the rules by which packets are marked.

use super::menus::menu;
use super::schema::{Kind, Property, Schema, p};

/// Positions in [`super::schema::SCHEMAS`].
pub(crate) const VETH: usize = 16;
pub(crate) const BRIDGE: usize = 17;
pub(crate) const ROUTING_TABLE: usize = 20;
pub(crate) const ROUTING_RULE: usize = 21;
pub(crate) const NAT: usize = 22;
pub(crate) const MANGLE: usize = 23;
pub(crate) const CONTAINER: usize = 24;
pub(crate) const ENVS: usize = 25;
pub(crate) const MANGLE6: usize = 27;
pub(crate) const LIST: usize = 28;
pub(crate) const LIST6: usize = 29;

/// What has rows in an order that counts.
pub(crate) const ORDERED: [usize; 6] =
    [super::schema::FILTER, super::schema::FILTER6, ROUTING_RULE, NAT, MANGLE, MANGLE6];

/// Interfaces of every kind.
const INTERFACES: Kind = Kind::Named(&[super::schema::INTERFACE, VETH, BRIDGE]);

const COMMENT: Property = p("comment", Kind::Comment, "");
const DISABLED: Property = p("disabled", Kind::Flag, "false");

pub(crate) const VETH_MENU: Schema = Schema {
    read_only: &[("running", "true")],
    ..menu(
        &["interface", "veth"],
        &[
            p("address", Kind::Text, ""),
            COMMENT,
            DISABLED,
            p("gateway", Kind::Comment, ""),
            p("gateway6", Kind::Comment, ""),
            p("name", Kind::Text, ""),
        ],
    )
};

pub(crate) const BRIDGE_MENU: Schema = Schema {
    read_only: &[("running", "true")],
    ..menu(&["interface", "bridge"], &[COMMENT, DISABLED, p("name", Kind::Text, "")])
};

pub(crate) const PORT_MENU: Schema = Schema {
    required: Some("interface"),
    ..menu(
        &["interface", "bridge", "port"],
        &[p("bridge", Kind::Named(&[BRIDGE]), ""), COMMENT, DISABLED, p("interface", INTERFACES, "")],
    )
};

pub(crate) const ADDRESS_MENU: Schema = Schema {
    required: Some("address"),
    ..menu(&["ip", "address"], &[p("address", Kind::Text, ""), COMMENT, DISABLED, p("interface", INTERFACES, "")])
};

pub(crate) const ROUTING_TABLE_MENU: Schema =
    menu(&["routing", "table"], &[COMMENT, DISABLED, p("fib", Kind::Presence, ""), p("name", Kind::Text, "")]);

pub(crate) const ROUTING_RULE_MENU: Schema = Schema {
    required: Some("action"),
    read_only: &[("inactive", "false")],
    ..menu(
        &["routing", "rule"],
        &[
            p("action", Kind::OneOf(&["lookup", "lookup-only-in-table", "drop", "unreachable"]), "lookup"),
            COMMENT,
            DISABLED,
            p("dst-address", Kind::Comment, ""),
            p("interface", Kind::Comment, ""),
            p("routing-mark", Kind::Comment, ""),
            p("src-address", Kind::Comment, ""),
            p("table", Kind::Named(&[ROUTING_TABLE]), ""),
        ],
    )
};

/// Whether this is a table of address lists.
pub(crate) const fn is_list(table: usize) -> bool {
    matches!(table, LIST | LIST6)
}

/// A time span as clients write it: `60s`, `1m`, `00:01:00`.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    if let [hours, minutes, seconds] = text.split(':').collect::<Vec<_>>()[..] {
        let number = |text: &str| text.parse::<u64>().ok();
        return Some(number(hours)? * 3600 + number(minutes)? * 60 + number(seconds)?);
    }
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)].iter().find(|(u, _)| *u == unit)?.1;
    Some(digits.parse::<u64>().ok()? * factor)
}

/// What a rule of the firewall may look at.
macro_rules! matchers {
    ($($own:expr),* $(,)?) => {
        &[
            COMMENT,
            DISABLED,
            p("connection-mark", Kind::Comment, ""),
            p("connection-state", Kind::Comment, ""),
            p("dscp", Kind::Dscp, ""),
            p("dst-address", Kind::Comment, ""),
            p("dst-address-list", Kind::Comment, ""),
            p("dst-address-type", Kind::Comment, ""),
            p("dst-port", Kind::Comment, ""),
            p("in-interface", Kind::Comment, ""),
            p("in-interface-list", Kind::Comment, ""),
            p("out-interface", INTERFACES, ""),
            p("out-interface-list", Kind::Comment, ""),
            p("protocol", Kind::Comment, ""),
            p("src-address", Kind::Comment, ""),
            p("src-address-list", Kind::Comment, ""),
            $($own),*
        ]
    };
}

/// As the double begins to know what a rule looks at, filters know it as well.
pub(crate) const FILTER: &[Property] = matchers![
    p(
        "action",
        Kind::OneOf(&["accept", "drop", "reject", "jump", "return", "log", "passthrough", "fasttrack-connection"]),
        "accept",
    ),
    p("chain", Kind::Text, ""),
    p("hw-offload", Kind::Comment, ""),
];

const RULES: Schema =
    Schema { required: Some("chain"), read_only: &[("dynamic", "false"), ("invalid", "false")], ..menu(&[], &[]) };

pub(crate) const FILTER_MENU: Schema = Schema { path: &["ip", "firewall", "filter"], properties: FILTER, ..RULES };

pub(crate) const NAT_MENU: Schema = Schema {
    path: &["ip", "firewall", "nat"],
    properties: matchers![
        p("action", Kind::OneOf(&["accept", "masquerade", "src-nat", "dst-nat"]), "accept"),
        p("chain", Kind::OneOf(&["srcnat", "dstnat"]), ""),
    ],
    ..RULES
};

pub(crate) const MANGLE_MENU: Schema = Schema {
    path: &["ip", "firewall", "mangle"],
    properties: matchers![
        p(
            "action",
            Kind::OneOf(&["accept", "jump", "mark-connection", "mark-packet", "mark-routing", "passthrough"]),
            "accept",
        ),
        p("chain", Kind::Text, ""),
        p("new-connection-mark", Kind::Comment, ""),
        p("new-packet-mark", Kind::Comment, ""),
        p("new-routing-mark", Kind::Named(&[ROUTING_TABLE]), ""),
        p("passthrough", Kind::Flag, "true"),
    ],
    ..RULES
};

pub(crate) const MANGLE6_MENU: Schema = Schema { path: &["ipv6", "firewall", "mangle"], ..MANGLE_MENU };

/// Entries with a timeout go by themselves, and live in memory: a reboot forgets them.
pub(crate) const LIST_MENU: Schema = Schema {
    required: Some("address"),
    read_only: &[("dynamic", "false")],
    ..menu(
        &["ip", "firewall", "address-list"],
        &[p("address", Kind::Text, ""), COMMENT, DISABLED, p("list", Kind::Text, ""), p("timeout", Kind::Comment, "")],
    )
};

pub(crate) const LIST6_MENU: Schema = Schema { path: &["ipv6", "firewall", "address-list"], ..LIST_MENU };

pub(crate) const CONTAINER_MENU: Schema = Schema {
    required: Some("interface"),
    read_only: &[("status", "stopped")],
    ..menu(
        &["container"],
        &[
            p("cmd", Kind::Comment, ""),
            COMMENT,
            p("dns", Kind::Comment, ""),
            p("entrypoint", Kind::Comment, ""),
            p("envlist", Kind::Comment, ""),
            p("envlists", Kind::Comment, ""),
            p("file", Kind::Comment, ""),
            p("hostname", Kind::Comment, ""),
            p("interface", Kind::Named(&[VETH]), ""),
            p("logging", Kind::Flag, "false"),
            p("mountlists", Kind::Comment, ""),
            p("mounts", Kind::Comment, ""),
            p("name", Kind::Comment, ""),
            p("remote-image", Kind::Comment, ""),
            p("root-dir", Kind::Text, ""),
            p("start-on-boot", Kind::Flag, "false"),
            p("stop-signal", Kind::Text, "15-SIGTERM"),
            p("user", Kind::Text, "0:0"),
        ],
    )
};

pub(crate) const ENVS_MENU: Schema = Schema {
    required: Some("key"),
    ..menu(
        &["container", "envs"],
        &[
            COMMENT,
            p("key", Kind::Text, ""),
            p("list", Kind::Comment, ""),
            p("name", Kind::Comment, ""),
            p("value", Kind::Text, ""),
        ],
    )
};

pub(crate) const MOUNTS_MENU: Schema = Schema {
    required: Some("src"),
    ..menu(
        &["container", "mounts"],
        &[
            COMMENT,
            p("dst", Kind::Text, ""),
            p("list", Kind::Comment, ""),
            p("name", Kind::Comment, ""),
            p("src", Kind::Text, ""),
        ],
    )
};

/// Properties that only some versions know: menu, property, and the minor numbers of the first
/// and the last 7.x that does.
const SPELLINGS: [(&[&str], &str, u32, u32); 9] = [
    (&["container"], "envlist", 0, 19),
    (&["container"], "envlists", 20, u32::MAX),
    (&["container"], "mounts", 0, 20),
    (&["container"], "mountlists", 21, u32::MAX),
    (&["container"], "name", 20, u32::MAX),
    (&["container", "envs"], "name", 0, 19),
    (&["container", "envs"], "list", 20, u32::MAX),
    (&["container", "mounts"], "name", 0, 20),
    (&["container", "mounts"], "list", 21, u32::MAX),
];

/// Whether 7.`minor` knows this property of the menu.
pub(crate) fn is_known(minor: u32, schema: &Schema, property: &str) -> bool {
    let gate = SPELLINGS.iter().find(|(path, name, ..)| *path == schema.path && *name == property);
    gate.is_none_or(|(_, _, first, last)| (*first..=*last).contains(&minor))
}

/// The second number of a version such as `7.24.5 (stable)`.
pub(crate) fn minor(version: &str) -> u32 {
    let digits = version.split(|c: char| !c.is_ascii_digit()).nth(1);
    digits.and_then(|text| text.parse().ok()).unwrap_or(0)
}
