//! From what a router is to a configuration for it: pure.

use crate::cli::check::Facts;
use crate::types::{Row, Table};
use std::fmt::Write as _;

/// More lines than this are a matter for a person.
const LINES: usize = 2;

/// Reflectors of the second line: others than the defaults, which the first one asks.
const OTHER_REFLECTORS: &str = r#"["1.0.0.1", "149.112.112.112", "8.8.4.4"]"#;

/// A line as the router has it.
struct Line<'a> {
    /// The interface to the provider.
    interface: &'a str,
    /// The queues: download, upload.
    queues: [Option<&'a Row>; 2],
    /// They are one object, of `/queue/simple`.
    is_simple: bool,
    /// The address whose probes a routing rule keeps on it.
    source: Option<String>,
}

/// The configuration; `router` is its first section.
pub(super) fn text(router: &str, facts: &Facts) -> String {
    let lines = lines(facts);
    let mut text = format!(
        "# Proposed by `wanctl init`. What says CHANGE could not be known.\n{router}# The password: \
         WANCTL_ROUTER_PASSWORD, or password_file = \"/etc/wanctl/password\" (mode 0600).\n"
    );
    if lines.is_empty() {
        text += "\n# CHANGE: the router shows no default route whose interface is known.\n";
        wan(&mut text, 0, 1, &Line { interface: "ether1", queues: [None; 2], is_simple: false, source: None }, facts);
    }
    for (i, line) in lines.iter().enumerate() {
        wan(&mut text, i, lines.len(), line, facts);
    }
    if lines.len() == LINES {
        steering(&mut text, facts);
    }
    text
}

/// The lines, the one of the best default route first.
fn lines(facts: &Facts) -> Vec<Line<'_>> {
    let is_main = |row: &&Row| matches!(row.get("routing-table"), "" | "main") && !row.is("disabled");
    let mut routes: Vec<&Row> = facts.rows(Table::Route).iter().filter(is_main).collect();
    routes.sort_by_key(|row| row.get("distance").parse::<u32>().unwrap_or(1));
    let mut interfaces: Vec<&str> = Vec::new();
    for interface in routes.iter().filter_map(|row| facts.interface_of(row.get("gateway"))) {
        if !interfaces.contains(&interface) && interfaces.len() < LINES {
            interfaces.push(interface);
        }
    }
    let count = interfaces.len();
    interfaces.iter().map(|interface| line(interface, &interfaces, count, facts)).collect()
}

fn line<'a>(interface: &'a str, all: &[&str], count: usize, facts: &'a Facts) -> Line<'a> {
    let tree: Vec<&Row> = facts.rows(Table::Tree).iter().filter(|row| !row.is("disabled")).collect();
    let upload = tree.iter().find(|row| row.get("parent") == interface).copied();
    // A queue of the LAN: with one line the first, with several the one whose name begins as that of the upload.
    let mut downloads = tree.iter().filter(|row| !all.contains(&row.get("parent"))).copied();
    let download = match (upload, count) {
        (_, 1) => downloads.next(),
        (Some(upload), _) => downloads.max_by_key(|row| common(row.get("name"), upload.get("name"))),
        (None, _) => None,
    };
    let simple = facts.rows(Table::Simple).iter().find(|row| !row.is("disabled") && !row.is("dynamic"));
    let (queues, is_simple) = match (download, upload, simple) {
        (None, None, Some(simple)) if count == 1 => ([Some(simple); 2], true),
        _ => ([download, upload], false),
    };
    Line { interface, queues, is_simple, source: source(interface, facts) }
}

/// How many letters two names have in common from their beginning.
fn common(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}

/// The source address whose routing rule leads to a table with a default route through this interface.
fn source(interface: &str, facts: &Facts) -> Option<String> {
    let leads_here = |rule: &&Row| {
        let routes = facts.rows(Table::Route).iter().filter(|row| row.get("routing-table") == rule.get("table"));
        routes.map(|row| row.get("gateway")).any(|gateway| facts.interface_of(gateway) == Some(interface))
    };
    let with_source = facts.rows(Table::RoutingRule).iter().filter(|r| !r.get("src-address").is_empty());
    let rule = with_source.filter(|r| !r.is("disabled") && r.get("table") != "main").find(leads_here)?;
    Some(rule.get("src-address").trim_end_matches("/32").to_owned())
}

fn wan(text: &mut String, i: usize, count: usize, line: &Line<'_>, facts: &Facts) {
    let n = i + 1;
    let kind = facts.named(Table::Interface, line.interface).map_or("", |row| row.get("type"));
    let (link, is_sure) = match kind {
        "lte" => ("lte", true),
        "pppoe-out" => ("dsl", true),
        _ => ("cable", false),
    };
    let _ = writeln!(text, "\n[[wan]]\nname = \"wan{n}\"");
    let hint = if is_sure { "" } else { "          # CHANGE: cable, dsl, fiber, lte or starlink" };
    let _ = writeln!(text, "link = \"{link}\"{hint}");
    let _ = writeln!(text, "router_interface = {:?}", line.interface);
    if count > 1 {
        match &line.source {
            Some(source) => {
                let _ = writeln!(text, "source = \"{source}\"   # kept on this line by a routing rule of the router");
            }
            None => {
                let _ = writeln!(
                    text,
                    "source = \"172.17.0.{}\"   # CHANGE: an address of this machine for this line",
                    n + 1
                );
            }
        }
    }
    if i > 0 {
        let _ = writeln!(text, "reflectors = {OTHER_REFLECTORS}   # others than those of wan1");
    }
    if let ([Some(queue), _], true) = (line.queues, line.is_simple) {
        let _ = writeln!(text, "simple_queue = {:?}   # holds both directions", queue.get("name"));
    }
    for (place, section) in ["download", "upload"].into_iter().enumerate() {
        let queue = line.queues[place];
        let name = queue.map_or_else(|| format!("wan{n}-{section}"), |row| row.get("name").to_owned());
        let hint = if queue.is_some() { "" } else { "   # not on the router yet" };
        let _ = writeln!(text, "[wan.{section}]");
        if !line.is_simple {
            let _ = writeln!(text, "queue = {name:?}{hint}");
        }
        // Of a simple queue the upload comes first.
        let limit = queue.map_or("", |row| row.get("max-limit"));
        let limit = limit.split_once('/').map_or(limit, |(up, down)| if place == 0 { down } else { up });
        match limit.parse::<u64>().unwrap_or(0) {
            0 => {
                let guess = if place == 0 { "100M" } else { "20M" };
                let _ = writeln!(text, "ceiling = \"{guess}\"   # CHANGE: what the line carries at its best");
            }
            bps => {
                let _ = writeln!(text, "ceiling = {bps}   # the queue's limit now; what the line carries at its best");
            }
        }
    }
}

/// A pair, to watch before it acts.
fn steering(text: &mut String, facts: &Facts) {
    let is_switch = |row: &&Row| {
        row.get("action") == "mark-connection" && !row.get("comment").is_empty() && row.get("connection-state") == "new"
    };
    let rows = || facts.rows(Table::Mangle).iter().filter(is_switch);
    let found =
        rows().find(|row| row.is("disabled")).or_else(|| rows().find(|row| row.get("comment").contains("steer")));
    let comment = found.map_or("wanctl: steer wan2", |row| row.get("comment"));
    let _ = write!(
        text,
        "\n# New calls, games and the like leave through wan2 while wan1 is bad: docs/steering.md\n[[steering]]\n\
         name = \"calls\"\nprimary = \"wan1\"\ndry_run = true   # watch for a day what it would do, then take this line \
         out\n[[steering.alternate]]\nwan = \"wan2\"\nrule = {comment:?}   # the comment of the mangle rule to switch\n"
    );
}
