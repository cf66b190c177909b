//! What RouterOS's menus hold: properties, their kinds and defaults.

use super::{menus, site};

/// What may be written into a property, and how it reads back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text; left out of replies while empty.
    Comment,
    /// Any text.
    Text,
    /// `true`/`false`, written as `yes`/`no` as well.
    Flag,
    /// A rate in bit/s, written with `k`, `M` or `G` as well; 0 is unlimited.
    Rate,
    /// A whole number within a range.
    Number(u32, u32),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A number from 0 to 63, or nothing.
    Dscp,
    /// Nothing, or the name of a row of one of these menus.
    Named(&'static [usize]),
    /// There or not; without a value.
    Presence,
    /// Name of a queue type.
    QueueType,
    /// `global`, an interface, or another queue of the tree.
    TreeParent,
    /// `none`, or another simple queue.
    SimpleParent,
    /// Two rates, upload first. One alone is refused.
    RatePair,
    /// Two numbers within a range.
    NumberPair(u32, u32),
    /// Two names of queue types.
    QueueTypePair,
    /// Two texts.
    TextPair,
    /// A list of policies, of which all are read back.
    Policy,
    /// Any text; never read back.
    Secret,
}

/// A property that may be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
}

pub(crate) const fn p(name: &'static str, kind: Kind, default: &'static str) -> Property {
    Property { name, kind, default }
}

/// How many sets of counters a row has, and what they are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    None,
    /// `bytes`, `dropped`, …
    One,
    /// The same as `upload/download`, and `total-bytes`, ….
    Pair,
    /// `rx-byte`, `tx-byte`.
    Interface,
}

/// A menu.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) path: &'static [&'static str],
    /// Holds one object without id.
    pub(crate) single: bool,
    /// Rows may be added and removed.
    pub(crate) growing: bool,
    /// Number of the first row, and prefix of automatic names.
    pub(crate) first_id: u32,
    pub(crate) properties: &'static [Property],
    /// Members that can be read only, with the value of a healthy row.
    pub(crate) read_only: &'static [(&'static str, &'static str)],
    /// Must be given to add a row.
    pub(crate) required: Option<&'static str>,
    pub(crate) counts: Counts,
}

impl Schema {
    pub(crate) fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|p| p.name == name)
    }
}

/// Positions in [`SCHEMAS`].
pub(crate) const TREE: usize = 0;
pub(crate) const SIMPLE: usize = 1;
pub(crate) const RESOURCE: usize = 2;
pub(crate) const IDENTITY: usize = 3;
pub(crate) const INTERFACE: usize = 4;
pub(crate) const QUEUE_TYPE: usize = 5;
pub(crate) const USER_GROUP: usize = 6;
pub(crate) const USER: usize = 7;
pub(crate) const FILTER: usize = 8;
pub(crate) const FILTER6: usize = 9;
pub(crate) const SERVICE: usize = 13;
pub(crate) const CERTIFICATE: usize = 14;
pub(crate) const ROUTE: usize = 15;

/// The menus the double knows.
pub(crate) static SCHEMAS: [Schema; 31] = [
    Schema {
        path: &["queue", "tree"],
        single: false,
        growing: true,
        first_id: 0x0100_0000,
        properties: &[
            p("bucket-size", Kind::Text, "0.1"),
            p("burst-limit", Kind::Rate, "0"),
            p("burst-threshold", Kind::Rate, "0"),
            p("burst-time", Kind::Text, "0s"),
            p("comment", Kind::Comment, ""),
            p("disabled", Kind::Flag, "false"),
            p("limit-at", Kind::Rate, "0"),
            p("max-limit", Kind::Rate, "0"),
            p("name", Kind::Text, ""),
            p("packet-mark", Kind::Text, ""),
            p("parent", Kind::TreeParent, "global"),
            p("priority", Kind::Number(1, 8), "8"),
            p("queue", Kind::QueueType, "default-small"),
        ],
        read_only: &[("invalid", "false")],
        required: Some("parent"),
        counts: Counts::One,
    },
    Schema {
        path: &["queue", "simple"],
        single: false,
        growing: true,
        first_id: 1,
        properties: &[
            p("bucket-size", Kind::TextPair, "0.1/0.1"),
            p("burst-limit", Kind::RatePair, "0/0"),
            p("burst-threshold", Kind::RatePair, "0/0"),
            p("burst-time", Kind::TextPair, "0s/0s"),
            p("comment", Kind::Comment, ""),
            p("disabled", Kind::Flag, "false"),
            p("limit-at", Kind::RatePair, "0/0"),
            p("max-limit", Kind::RatePair, "0/0"),
            p("name", Kind::Text, ""),
            p("packet-marks", Kind::Text, ""),
            p("parent", Kind::SimpleParent, "none"),
            p("priority", Kind::NumberPair(1, 8), "8/8"),
            p("queue", Kind::QueueTypePair, "default-small/default-small"),
            p("target", Kind::Text, ""),
        ],
        read_only: &[("dynamic", "false"), ("invalid", "false")],
        required: None,
        counts: Counts::Pair,
    },
    Schema {
        path: &["system", "resource"],
        single: true,
        growing: false,
        first_id: 0,
        properties: &[],
        read_only: &[
            ("architecture-name", "arm64"),
            ("bad-blocks", "0"),
            ("board-name", "RB5009UG+S+"),
            ("build-time", "2026-09-29 10:11:12"),
            ("cpu", "ARM64"),
            ("cpu-count", "4"),
            ("cpu-frequency", "1400"),
            ("cpu-load", "3"),
            ("factory-software", "7.4.1"),
            ("free-hdd-space", "976777216"),
            ("free-memory", "812646400"),
            ("platform", "MikroTik"),
            ("total-hdd-space", "1073741824"),
            ("total-memory", "1073741824"),
            ("version", "7.24.5 (stable)"),
            ("write-sect-total", "120000"),
        ],
        required: None,
        counts: Counts::None,
    },
    Schema {
        path: &["system", "identity"],
        single: true,
        growing: false,
        first_id: 0,
        properties: &[p("name", Kind::Text, "MikroTik")],
        read_only: &[],
        required: None,
        counts: Counts::None,
    },
    Schema {
        path: &["interface"],
        single: false,
        growing: false,
        first_id: 1,
        properties: &[
            p("comment", Kind::Comment, ""),
            p("disabled", Kind::Flag, "false"),
            p("mtu", Kind::Number(68, 65_535), "1500"),
            p("name", Kind::Text, ""),
        ],
        read_only: &[("actual-mtu", "1500"), ("running", "true"), ("type", "ether")],
        required: None,
        counts: Counts::Interface,
    },
    menus::TYPE_MENU,
    menus::GROUP_MENU,
    menus::USER_MENU,
    site::FILTER_MENU,
    menus::FILTER6_MENU,
    menus::SCRIPT_MENU,
    menus::SCHEDULER_MENU,
    menus::NETWATCH_MENU,
    menus::SERVICE_MENU,
    menus::CERTIFICATE_MENU,
    menus::ROUTE_MENU,
    site::VETH_MENU,
    site::BRIDGE_MENU,
    site::PORT_MENU,
    site::ADDRESS_MENU,
    site::ROUTING_TABLE_MENU,
    site::ROUTING_RULE_MENU,
    site::NAT_MENU,
    site::MANGLE_MENU,
    site::CONTAINER_MENU,
    site::ENVS_MENU,
    site::MOUNTS_MENU,
    site::MANGLE6_MENU,
    site::LIST_MENU,
    site::LIST6_MENU,
    menus::ROUTE6_MENU,
];
