//! Steering: whether what wanctl switches has the effect it is meant to have. Two rules (one that marks new
//! connections, one that routes by the mark), a table with a way out, address translation, and FastTrack.

use super::facts::{Facts, quote};
use super::finding::{Finding, Mark};
use crate::config::{Config, Means, SteeringConfig, WanConfig};
use crate::types::{Row, Table};

/// The name of the connection mark and the table in the commands that make them.
const STEER: &str = "wanctl-steer";

const NOBODY: &str = "without it nothing is steered, whatever wanctl switches";
const HALVES: &str =
    "a connection that changes its line half-way is broken off: the other side knows it by its old address";

/// A rule that marks new connections while it is enabled, or while a list has entries.
struct Marker<'a> {
    about: String,
    /// Mangle of IPv4 or of IPv6.
    table: Table,
    rows: &'a [Row],
    facts: &'a Facts,
    alternate: &'a WanConfig,
    way: Way<'a>,
}

/// By what a marking rule is known.
enum Way<'a> {
    /// By its comment; wanctl enables and disables it.
    Comment(&'a str),
    /// By the address list it matches; it stays enabled.
    List(&'a str),
}

pub(super) fn examine(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pair in &config.steering {
        for (alternate, means) in pair.settings.alternates.iter().zip(&pair.means) {
            let wan = &config.wans[alternate.wan.index()];
            let about = format!("{} via {}", pair.name, wan.name);
            for (table, way) in ways(means) {
                let rows = facts.rows(table);
                if facts.has(table) {
                    findings.extend(Marker { about: about.clone(), table, rows, facts, alternate: wan, way }.examine());
                }
            }
            findings.extend(both_families(pair, means, &about, facts));
        }
    }
    if !config.steering.is_empty() {
        findings.extend(fasttrack(config, facts));
    }
    if config.wans.len() > 1 {
        findings.extend(config.wans.iter().filter_map(|wan| pinned(wan, facts)));
    }
    // Two alternates may have the same thing said of what they share.
    let mut told: Vec<Finding> = Vec::new();
    for finding in findings {
        if !told.contains(&finding) {
            told.push(finding);
        }
    }
    told
}

fn ways(means: &Means) -> Vec<(Table, Way<'_>)> {
    match means {
        Means::Rule { comment, comment6 } => [(Table::Mangle, Some(comment)), (Table::Mangle6, comment6.as_ref())]
            .into_iter()
            .filter_map(|(table, comment)| Some((table, Way::Comment(comment?))))
            .collect(),
        Means::Lease { lists, prefixes } => [(Table::Mangle, false), (Table::Mangle6, true)]
            .into_iter()
            .filter(|(_, v6)| prefixes.iter().any(|p| p.address.is_ipv6() == *v6))
            .flat_map(|(table, _)| lists.iter().map(move |list| (table, Way::List(list))))
            .collect(),
    }
}

/// `set` for this row: by its number, which is the only thing that is surely its own.
fn set(table: Table, row: &Row, arguments: &str) -> String {
    format!("{} set {} {arguments}", table.console(), row.get(".id"))
}

impl Marker<'_> {
    fn name(&self) -> String {
        match self.way {
            Way::Comment(comment) => format!("the rule {}", quote(comment)),
            Way::List(list) => format!("the rule for the list {}", quote(list)),
        }
    }

    fn bad(&self, what: String, why: &'static str, mend: String) -> Finding {
        Finding::new(Mark::Bad, self.about.as_str(), what, why, mend)
    }

    /// The rule's own part of the command that adds it.
    fn own(&self) -> String {
        match self.way {
            Way::Comment(comment) => format!("disabled=yes comment={}", quote(comment)),
            Way::List(list) => {
                format!("src-address-list={} comment={}", quote(list), quote(&format!("wanctl: {list}")))
            }
        }
    }

    fn examine(&self) -> Vec<Finding> {
        let (menu, is_mine) = (self.table.console(), |row: &&Row| match self.way {
            Way::Comment(comment) => row.get("comment") == comment && !row.is("dynamic"),
            Way::List(list) => row.get("src-address-list") == list && row.get("action") == "mark-connection",
        });
        let found: Vec<&Row> = self.rows.iter().filter(is_mine).collect();
        let row = match found.as_slice() {
            [row] => row,
            [] => {
                // Before what routes by the mark.
                let router = self.rows.iter().find(|row| row.get("action") == "mark-routing" && !row.is("dynamic"));
                let place = router.map_or(String::new(), |row| format!(" place-before={}", row.get(".id")));
                let mend = format!(
                    "{menu} add chain=prerouting action=mark-connection new-connection-mark={STEER} passthrough=yes \
                     connection-state=new connection-mark=no-mark dst-address-type=!local in-interface-list=LAN {}{place}",
                    self.own()
                );
                return vec![self.bad(format!("{menu} has no such rule of yours: {}", self.name()), NOBODY, mend)];
            }
            [_, others @ ..] => {
                let ids: Vec<&str> = others.iter().map(|row| row.get(".id")).collect();
                let what = format!("{} is there {} times", self.name(), found.len());
                let mend = format!("{menu} set {} comment=\"spare\" src-address-list=\"\" disabled=yes", ids.join(","));
                return vec![self.bad(what, "wanctl switches one rule, and can't know which", mend)];
            }
        };
        let mut findings = self.flaws(row);
        findings.extend(self.router(row));
        findings.extend(self.translation());
        if findings.is_empty() {
            let state = match self.way {
                Way::Comment(_) if row.is("disabled") => "is disabled now",
                Way::Comment(_) => "is enabled now",
                Way::List(_) => "is in its place",
            };
            findings.push(Finding::plain(Mark::Good, self.about.as_str(), format!("{} {state}", self.name())));
        }
        findings
    }

    /// What is wrong with the marking rule itself: a table.
    fn flaws(&self, row: &Row) -> Vec<Finding> {
        let name = self.name();
        let is_lease = matches!(self.way, Way::List(_));
        let has_mark = !matches!(row.get("new-connection-mark"), "" | "no-mark");
        let table: [(bool, String, &'static str, &str); 6] = [
            (
                row.get("chain") != "prerouting",
                format!("{name} is in the chain \"{}\"", row.get("chain")),
                "a line is chosen after prerouting: any later mark comes too late",
                "chain=prerouting",
            ),
            (
                row.get("action") != "mark-connection" || !has_mark,
                format!("{name} has the action \"{}\" instead of a connection mark", row.get("action")),
                HALVES,
                "action=mark-connection new-connection-mark=wanctl-steer passthrough=yes",
            ),
            (
                row.get("connection-state") != "new",
                format!("{name} takes connections in any state, not only new ones"),
                HALVES,
                "connection-state=new",
            ),
            (
                row.get("passthrough") == "false" || row.get("passthrough") == "no",
                format!("{name} ends the way of the packet (passthrough=no)"),
                "the first packet of a connection would not be routed by its new mark",
                "passthrough=yes",
            ),
            (
                row.is("invalid"),
                format!("{name} is invalid: an interface or a list it names is gone"),
                NOBODY,
                "in-interface=\"\" in-interface-list=LAN",
            ),
            (
                is_lease && row.is("disabled"),
                format!("{name} is disabled"),
                "wanctl fills the list, and leaves the rule alone",
                "disabled=no",
            ),
        ];
        table
            .into_iter()
            .filter(|(is_so, ..)| *is_so)
            .map(|(_, what, why, arguments)| self.bad(what, why, set(self.table, row, arguments)))
            .collect()
    }

    /// The rule that routes by the mark, its table and the way out of it.
    fn router(&self, marker: &Row) -> Vec<Finding> {
        let menu = self.table.console();
        let mark = match marker.get("new-connection-mark") {
            "" | "no-mark" => return Vec::new(), // told already
            mark => mark,
        };
        let is_router = |row: &&Row| {
            row.get("action") == "mark-routing"
                && row.get("chain") == "prerouting"
                && row.get("connection-mark") == mark
                && !row.is("disabled")
                && !row.is("dynamic")
        };
        let Some(row) = self.rows.iter().find(is_router) else {
            let known = self.facts.named(Table::RoutingTable, STEER).is_some();
            let table = if known { String::new() } else { format!("/routing table add name={STEER} fib; ") };
            let mend = format!(
                "{table}{menu} add chain=prerouting action=mark-routing new-routing-mark={STEER} passthrough=no \
                 connection-mark={mark} in-interface-list=LAN comment=\"wanctl: steered connections\""
            );
            return vec![self.bad(format!("no rule routes by the connection mark \"{mark}\""), NOBODY, mend)];
        };
        let mut findings = Vec::new();
        let place = |wanted: &Row| self.rows.iter().position(|r| core::ptr::eq(r, wanted));
        if place(row) < place(marker) {
            let what = "the rule that routes by the mark comes before the one that makes it".to_owned();
            let why = "the first packet of a connection leaves by the other line, and its answer finds nobody";
            findings.push(self.bad(what, why, format!("{menu} move {}", row.get(".id"))));
        }
        let from = ["in-interface", "in-interface-list", "src-address", "src-address-list"];
        if from.iter().all(|member| row.get(member).is_empty()) {
            findings.push(self.bad(
                "the rule that routes by the mark takes packets from everywhere".to_owned(),
                "what comes back through the line would be sent out through it again",
                set(self.table, row, "in-interface-list=LAN"),
            ));
        }
        findings.extend(self.way_out(row.get("new-routing-mark")));
        findings
    }

    /// The default route of the table. (IPv6's routes are read for their number only.)
    fn way_out(&self, table: &str) -> Vec<Finding> {
        let facts = self.facts;
        if self.table == Table::Mangle6 || !facts.has(Table::Route) {
            return Vec::new();
        }
        let ours = |row: &&Row| row.get("routing-table") == table && !row.is("disabled");
        let routes: Vec<&Row> = facts.rows(Table::Route).iter().filter(ours).collect();
        let Some(route) = routes.iter().min_by_key(|row| row.get("distance").parse::<u32>().unwrap_or(1)) else {
            let gateway = facts.gateway_of(self.alternate);
            return vec![self.bad(
                format!("the table \"{table}\" has no default route"),
                "steered connections fall back to the main table, and leave by the line they should avoid",
                format!(
                    "/ip route add dst-address=0.0.0.0/0 gateway={gateway} routing-table={table} check-gateway=ping"
                ),
            )];
        };
        // An interface as gateway goes with the interface.
        let is_watched =
            !route.get("check-gateway").is_empty() || !route.get("gateway").starts_with(|c: char| c.is_ascii_digit());
        if is_watched {
            return Vec::new();
        }
        vec![Finding::new(
            Mark::Warn,
            self.about.as_str(),
            format!("the default route of the table \"{table}\" stays when its gateway is dead"),
            "steered connections would go nowhere, until wanctl turns back; watched, they fall back to the main table",
            format!("/ip route set {} check-gateway=ping", route.get(".id")),
        )]
    }

    /// Somebody must put the line's own address on what leaves by it.
    fn translation(&self) -> Option<Finding> {
        let interface = self.alternate.router_interface.as_deref()?;
        if self.table == Table::Mangle6 || !self.facts.has(Table::Nat) {
            return None;
        }
        let is_one = |row: &Row| {
            let out = row.get("out-interface");
            row.get("chain") == "srcnat"
                && matches!(row.get("action"), "masquerade" | "src-nat")
                && !row.is("disabled")
                // Who is on a list is the operator's business.
                && (out == interface || out.is_empty())
        };
        (!self.facts.rows(Table::Nat).iter().any(is_one)).then(|| {
            self.bad(
                format!("nothing translates addresses on \"{interface}\""),
                "what leaves by it with an address of the LAN gets no answer",
                format!("/ip firewall nat add chain=srcnat out-interface={} action=masquerade", quote(interface)),
            )
        })
    }
}

/// One family steered and the other not is half a cure.
fn both_families(pair: &SteeringConfig, means: &Means, about: &str, facts: &Facts) -> Option<Finding> {
    let steers_v6 = match means {
        Means::Rule { comment6, .. } => comment6.is_some(),
        Means::Lease { prefixes, .. } => prefixes.iter().any(|p| p.address.is_ipv6()),
    };
    let routes = facts.rows(Table::Route6).iter().filter(|row| !row.is("disabled")).count();
    (!steers_v6 && routes > 0 && !pair.settings.dry_run).then(|| {
        Finding::plain(
            Mark::Note,
            about,
            "the router has a default route for IPv6, whose connections are not steered (rule6, or an IPv6 prefix of the \
             lease)",
        )
    })
}

/// Connections on FastTrack are routed by the main table, whatever their mark.
fn fasttrack(config: &Config, facts: &Facts) -> Vec<Finding> {
    let steers_v6 =
        config.steering.iter().flat_map(|p| &p.means).any(|m| ways(m).iter().any(|w| w.0 == Table::Mangle6));
    let tables: &[Table] = if steers_v6 { &[Table::Filter, Table::Filter6] } else { &[Table::Filter] };
    let catches = |row: &Row| {
        row.get("action") == "fasttrack-connection"
            && !row.is("disabled")
            && !row.is("dynamic")
            && row.get("connection-mark") != "no-mark"
    };
    let caught = tables.iter().filter(|table| facts.rows(**table).iter().any(catches));
    caught
        .map(|table| {
            Finding::new(
                Mark::Bad,
                table.console(),
                "FastTrack takes steered connections",
                "after their first packets they are routed by the main table, and leave by the line they should avoid",
                format!("{} set [find action=fasttrack-connection] connection-mark=no-mark", table.console()),
            )
        })
        .collect()
}

/// The command that keeps a line's probes on it.
pub(super) fn pin(wan: &WanConfig) -> String {
    let source = wan.source.address.map_or_else(|| "SOURCE-OF-THE-WAN".to_owned(), |ip| ip.to_string());
    format!("/routing rule add src-address={source}/32 action=lookup-only-in-table table=wanctl-{}", wan.name)
}

/// The rule that keeps a line's probes on that line. (That they do leave by it is proved by their first hop.)
fn pinned(wan: &WanConfig, facts: &Facts) -> Option<Finding> {
    let source = wan.source.address?;
    if source.is_ipv6() || !facts.has(Table::RoutingRule) {
        return None;
    }
    let is_its = |row: &Row| {
        let from = row.get("src-address");
        (from.strip_suffix("/32").unwrap_or(from) == source.to_string()) && !row.is("disabled")
    };
    let rule = facts.rows(Table::RoutingRule).iter().find(|row| is_its(row));
    let why = "probes that leave by another line measure that line; and when this one is dead they must not find a way";
    match rule {
        None => {
            let table = format!("wanctl-{}", wan.name);
            let make = if facts.named(Table::RoutingTable, &table).is_some() {
                String::new()
            } else {
                let gateway = facts.gateway_of(wan);
                format!(
                    "/routing table add name={table} fib; /ip route add dst-address=0.0.0.0/0 gateway={gateway} \
                     routing-table={table}; "
                )
            };
            let mend = format!("{make}{}", pin(wan));
            let what = format!("no routing rule keeps {source} on this line");
            Some(Finding::new(Mark::Warn, wan.name.as_str(), what, why, mend))
        }
        Some(row) if row.get("action") != "lookup-only-in-table" => Some(Finding::new(
            Mark::Warn,
            wan.name.as_str(),
            format!("the routing rule of {source} has the action \"{}\"", row.get("action")),
            why,
            set(Table::RoutingRule, row, "action=lookup-only-in-table"),
        )),
        Some(_) => None,
    }
}
