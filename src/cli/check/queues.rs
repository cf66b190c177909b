//! The queues: there, alive, with CAKE as their leaf and nothing else that sets their rate, and
//! not bypassed.

use super::facts::{Facts, command, half, quote, set_half, table};
use super::finding::{Finding, Mark};
use crate::config::{Config, WanConfig};
use crate::routeros::json;
use crate::types::{Bitrate, Direction, Menu, RateRange, Row, Table};

/// A burst longer than this is felt as delay. RouterOS's default is five times as much.
const LONGEST_BURST_MS: f64 = 20.0;

/// Queues hang on queues at most this deep; more is a ring.
const DEPTH: usize = 16;

/// One direction of a WAN, and the queue that shapes it.
struct Subject<'a> {
    about: String,
    menu: Menu,
    direction: Direction,
    range: RateRange,
    row: &'a Row,
    facts: &'a Facts,
}

pub(super) fn examine(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut bypassed, mut downloads) = (Vec::new(), Vec::new());
    for wan in &config.wans {
        findings.extend(interface(wan, facts));
        let mut subjects = Vec::new();
        let shared = wan.queues[0] == wan.queues[1];
        for direction in Direction::BOTH {
            match subject(wan, direction, facts) {
                Ok(subject) => {
                    findings.extend(subject.examine(shared && direction == Direction::Upload));
                    subjects.push(subject);
                }
                Err(finding) => findings.extend(finding),
            }
        }
        if let [down, up] = subjects.as_slice()
            && !shared
        {
            findings.extend(down.one_traffic(up));
        }
        bypassed.extend(subjects.iter().filter_map(Subject::bypass));
        downloads.extend(subjects.into_iter().next().filter(|s| s.direction == Direction::Download).map(|s| (wan, s)));
    }
    findings.extend(downloads.iter().filter_map(|(wan, subject)| {
        let others = downloads.iter().filter(|(other, _)| other.name != wan.name);
        subject.own_traffic(wan, others.map(|(_, other)| other))
    }));
    findings.extend(fasttrack(facts, &bypassed));
    // Two queues may have the same thing said of what they share.
    let mut told: Vec<Finding> = Vec::new();
    for finding in findings {
        if !told.contains(&finding) {
            told.push(finding);
        }
    }
    told
}

/// The interface that directions are checked against.
fn interface(wan: &WanConfig, facts: &Facts) -> Option<Finding> {
    let name = wan.router_interface.as_deref().filter(|_| facts.has(Table::Interface))?;
    let why = "directions are checked against the counters of this interface";
    match facts.named(Table::Interface, name) {
        None => {
            let what = format!("the router has no interface \"{name}\" (router_interface)");
            Some(Finding::new(Mark::Bad, wan.name.as_str(), what, why, "/interface print"))
        }
        Some(row) if row.is("disabled") => {
            let mend = command(Table::Interface, "enable", name, "");
            Some(Finding::new(Mark::Bad, wan.name.as_str(), format!("interface \"{name}\" is disabled"), why, mend))
        }
        Some(_) => None,
    }
}

/// The one queue of this direction, in working order, or why not. (`Err(None)`: the menu could
/// not be read, which is told elsewhere.)
fn subject<'a>(wan: &WanConfig, direction: Direction, facts: &'a Facts) -> Result<Subject<'a>, Option<Finding>> {
    let (queue, range) = (&wan.queues[direction.index()], wan.ranges[direction.index()]);
    let (menu, name) = (table(queue.menu), queue.name.as_str());
    if !facts.has(menu) {
        return Err(None);
    }
    let about = format!("{} {}", wan.name, direction.name());
    let found: Vec<&Row> = facts.rows(menu).iter().filter(|row| row.get("name") == name).collect();
    let bad = |what: String, why, mend: String| Err(Some(Finding::new(Mark::Bad, about.as_str(), what, why, mend)));
    match found.as_slice() {
        [] => {
            let others: Vec<&str> = facts.rows(menu).iter().map(|row| row.get("name")).collect();
            let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
            bad(
                format!("{} has no \"{name}\"; it has: {others}", menu.console()),
                "wanctl sets the limit of a queue, and makes none",
                make(wan, direction, name),
            )
        }
        [row] if row.is("disabled") => bad(
            format!("\"{name}\" is disabled"),
            "a disabled queue takes limits and shapes nothing",
            command(menu, "enable", name, ""),
        ),
        [row] if row.is("invalid") => bad(
            format!("\"{name}\" is invalid: its parent \"{}\", mark or type is gone", row.get("parent")),
            "an invalid queue takes limits and shapes nothing",
            command(menu, "set", name, &format!("parent={}", if queue.menu == Menu::Tree { "bridge" } else { "none" })),
        ),
        [row] if row.is("dynamic") => bad(
            format!("\"{name}\" is dynamic"),
            "RouterOS makes dynamic queues itself, and lets nobody change them",
            make(wan, direction, &format!("{name}-static")),
        ),
        [row] => Ok(Subject { about, menu: queue.menu, direction, range, row, facts }),
        more => bad(
            format!("{} queues are called \"{name}\"", more.len()),
            "it must be clear which one to set",
            format!("{} set {} name={name}-other", menu.console(), more[1].get(".id")),
        ),
    }
}

/// How the missing queue of a WAN is made.
fn make(wan: &WanConfig, direction: Direction, name: &str) -> String {
    let [download, upload] = wan.ranges.map(|range| range.ceiling().bps());
    match (wan.queues[direction.index()].menu, direction) {
        (Menu::Tree, Direction::Download) => {
            format!(
                "/queue tree add name={} parent=bridge queue=cake bucket-size=0.01 max-limit={download}",
                quote(name)
            )
        }
        (Menu::Tree, Direction::Upload) => {
            let parent = wan.router_interface.as_deref().unwrap_or("ether1");
            format!(
                "/queue tree add name={} parent={parent} queue=cake bucket-size=0.01 max-limit={upload}",
                quote(name)
            )
        }
        (Menu::Simple, _) => format!(
            "/queue simple add name={} target=192.168.88.0/24 queue=cake/cake bucket-size=0.01/0.01 \
             max-limit={upload}/{download}",
            quote(name)
        ),
    }
}

impl<'a> Subject<'a> {
    fn name(&self) -> &'a str {
        self.row.get("name")
    }

    fn half(&self, member: &str) -> &'a str {
        half(self.menu, self.row, member, self.direction)
    }

    fn rate(&self, row: &Row, member: &str) -> Bitrate {
        json::rate(half(self.menu, row, member, self.direction)).unwrap_or(Bitrate::ZERO)
    }

    fn set(&self, row: &Row, member: &str, value: &str) -> String {
        let arguments = set_half(self.menu, row, member, self.direction, value);
        command(table(self.menu), "set", row.get("name"), &arguments)
    }

    fn finding(&self, mark: Mark, what: String, why: &'static str, mend: String) -> Finding {
        Finding::new(mark, self.about.as_str(), what, why, mend)
    }

    /// Everything about this direction; what is about the queue as a whole only unless it is
    /// `told` already.
    fn examine(&self, told: bool) -> Vec<Finding> {
        let limit = self.rate(self.row, "max-limit");
        let now = if limit == Bitrate::ZERO { "unlimited".to_owned() } else { limit.to_string() };
        let (floor, ceiling) = (self.range.floor(), self.range.ceiling());
        let what = format!("\"{}\" has {now} now; will be kept in {floor} to {ceiling}", self.name());
        let mut findings = vec![Finding::plain(Mark::Good, self.about.as_str(), what)];
        if !told {
            findings.extend(self.parent());
        }
        findings.extend(self.leaves().into_iter().flat_map(|leaf| self.leaf(leaf)));
        findings.extend(self.limit_at());
        findings.extend(self.burst());
        findings.extend(self.bucket(limit));
        findings
    }

    /// From the queue's parent up to what is no queue.
    fn ancestors(&self) -> Vec<&'a Row> {
        let rows = self.facts.rows(table(self.menu));
        let mut chain: Vec<&Row> = Vec::new();
        let mut row = self.row;
        while let Some(parent) = rows.iter().find(|r| r.get("name") == row.get("parent"))
            && chain.len() < DEPTH
        {
            chain.push(parent);
            row = parent;
        }
        chain
    }

    /// What the topmost queue hangs on: `global`, `none`, or an interface.
    fn root(&self) -> &'a str {
        self.ancestors().last().unwrap_or(&self.row).get("parent")
    }

    fn parent(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let menu = table(self.menu);
        let ceiling = self.range.ceiling();
        for parent in self.ancestors() {
            let name = parent.get("name");
            if parent.is("disabled") {
                findings.push(self.finding(
                    Mark::Bad,
                    format!("its parent \"{name}\" is disabled"),
                    "nothing passes through a queue whose parent is disabled",
                    command(menu, "enable", name, ""),
                ));
            }
            let cap = self.rate(parent, "max-limit");
            if cap != Bitrate::ZERO && cap < ceiling {
                findings.push(self.finding(
                    Mark::Warn,
                    format!("its parent \"{name}\" has {cap}, less than the ceiling of {ceiling}"),
                    "the lower limit of the two counts, and wanctl knows only one of them",
                    self.set(parent, "max-limit", "0"),
                ));
            }
        }
        let root = self.root();
        match self.facts.named(Table::Interface, root) {
            Some(interface) if interface.is("disabled") => findings.push(self.finding(
                Mark::Bad,
                format!("its interface \"{root}\" is disabled"),
                "nothing passes there",
                command(Table::Interface, "enable", root, ""),
            )),
            None if self.menu == Menu::Tree && root != "global" && self.facts.has(Table::Interface) => {
                findings.push(self.finding(
                    Mark::Bad,
                    format!("it hangs on \"{root}\", which is neither an interface nor a queue"),
                    "nothing passes there",
                    command(menu, "set", self.name(), &format!("parent={}", self.lan())),
                ));
            }
            _ => {}
        }
        findings
    }

    /// The interface on the inside, as far as one can tell.
    fn lan(&self) -> &'a str {
        let rows = self.facts.rows(Table::Interface);
        rows.iter().find(|r| r.get("type") == "bridge").map_or("bridge", |r| r.get("name"))
    }

    /// Two queues on the same place with the same mark see the same packets.
    fn one_traffic(&self, upload: &Self) -> Option<Finding> {
        let same = self.menu == Menu::Tree
            && upload.menu == Menu::Tree
            && self.root() == upload.root()
            && self.row.get("packet-mark") == upload.row.get("packet-mark");
        same.then(|| {
            self.finding(
                Mark::Bad,
                format!("\"{}\" and \"{}\" both hang on \"{}\"", self.name(), upload.name(), self.root()),
                "a queue of the tree shapes what leaves an interface: upload leaves through the WAN, download \
                 through the LAN",
                command(Table::Tree, "set", self.name(), &format!("parent={}", self.lan())),
            )
        })
    }

    /// Downloads of several WANs leave by one LAN: only marks tell them apart.
    fn own_traffic<'b>(&self, wan: &WanConfig, mut others: impl Iterator<Item = &'b Self>) -> Option<Finding>
    where
        'a: 'b,
    {
        let takes_all = |queue: &Self| queue.menu == Menu::Tree && queue.row.get("packet-mark").is_empty();
        let rival = others.find(|other| other.root() == self.root() && takes_all(self) && other.menu == Menu::Tree)?;
        let interface = wan.router_interface.as_deref().unwrap_or("INTERFACE-OF-THE-LINE");
        let mark = quote(&wan.name);
        Some(self.finding(
            Mark::Bad,
            format!("\"{}\" takes all that leaves \"{}\", as does \"{}\"", self.name(), self.root(), rival.name()),
            "what came by one line would be held to the limit of the other",
            format!(
                "/ip firewall mangle add chain=prerouting in-interface={interface} action=mark-packet \
                 new-packet-mark={mark} passthrough=yes comment={}; {}",
                quote(&format!("wanctl: download of {}", wan.name)),
                self.set(self.row, "packet-mark", &mark)
            ),
        ))
    }

    /// The queues at the ends: those that hold packets.
    fn leaves(&self) -> Vec<&'a Row> {
        let rows = self.facts.rows(table(self.menu));
        let mut leaves = Vec::new();
        let mut open = vec![(self.row, 0)];
        while let Some((row, depth)) = open.pop() {
            let children = rows.iter().filter(|r| r.get("parent") == row.get("name") && depth < DEPTH);
            let before = open.len();
            open.extend(children.map(|child| (child, depth + 1)));
            if open.len() == before {
                leaves.push(row);
            }
        }
        leaves
    }

    fn leaf(&self, leaf: &Row) -> Vec<Finding> {
        let queue = half(self.menu, leaf, "queue", self.direction);
        let types = self.facts.rows(Table::QueueType);
        if !self.facts.has(Table::QueueType) {
            return Vec::new();
        }
        let Some(kind) = types.iter().find(|t| t.get("name") == queue).filter(|t| t.get("kind") == "cake") else {
            let cake = types.iter().find(|t| t.get("kind") == "cake");
            let name = cake.map_or("cake", |t| t.get("name"));
            let set = self.set(leaf, "queue", name);
            let make = format!("/queue type add name={name} kind=cake; ");
            return vec![self.finding(
                Mark::Bad,
                format!("\"{}\" has the type \"{queue}\", which is not of kind cake", leaf.get("name")),
                "without CAKE one greedy transfer fills the queue of everybody else, at any rate",
                if cake.is_some() { set } else { make + &set },
            )];
        };
        let about = format!("queue type {queue}");
        let set = |arguments| command(Table::QueueType, "set", queue, arguments);
        let mut findings = Vec::new();
        if !matches!(kind.get("cake-bandwidth"), "" | "0" | "unlimited") {
            findings.push(Finding::new(
                Mark::Bad,
                about.as_str(),
                format!("has a cake-bandwidth of its own: {}", kind.get("cake-bandwidth")),
                "the lower of the two limits counts, and wanctl moves only max-limit",
                set("cake-bandwidth=0"),
            ));
        }
        if kind.is("cake-autorate-ingress") {
            findings.push(Finding::new(
                Mark::Bad,
                about,
                "has cake-autorate-ingress on",
                "it would move the rate as well, by another rule",
                set("cake-autorate-ingress=no"),
            ));
        }
        findings
    }

    fn limit_at(&self) -> Option<Finding> {
        let (guaranteed, floor) = (self.rate(self.row, "limit-at"), self.range.floor());
        (guaranteed > floor).then(|| {
            self.finding(
                Mark::Warn,
                format!("limit-at is {guaranteed}, more than the floor of {floor}"),
                "RouterOS guarantees limit-at, so a lower max-limit has no effect",
                self.set(self.row, "limit-at", "0"),
            )
        })
    }

    fn burst(&self) -> Option<Finding> {
        let burst = self.rate(self.row, "burst-limit");
        (burst != Bitrate::ZERO).then(|| {
            self.finding(
                Mark::Warn,
                format!("burst-limit is {burst}"),
                "for a while it replaces max-limit, and with it what wanctl has set",
                self.set(self.row, "burst-limit", "0"),
            )
        })
    }

    /// `bucket-size` is the time for which a queue that was idle may send at any speed.
    fn bucket(&self, limit: Bitrate) -> Option<Finding> {
        let seconds: f64 = self.half("bucket-size").parse().ok()?;
        let rate = if limit == Bitrate::ZERO { self.range.ceiling() } else { limit };
        let kilobytes = seconds * rate.as_f64() / 8e3;
        let ms = seconds * 1e3;
        (ms > LONGEST_BURST_MS).then(|| {
            self.finding(
                Mark::Warn,
                format!("bucket-size {seconds} lets {ms:.0} ms through unshaped: {kilobytes:.0} kB at {rate}"),
                "after a pause the burst waits in the provider's queue, where CAKE can't help",
                self.set(self.row, "bucket-size", "0.01"),
            )
        })
    }

    /// Why FastTrack would go past this queue, if it would.
    fn bypass(&self) -> Option<Bypass<'a>> {
        let mark = self.row.get("packet-mark");
        let is_marked = self.menu == Menu::Tree && !matches!(mark, "" | "no-mark");
        let is_global = self.menu == Menu::Simple || self.root() == "global";
        (is_marked || is_global).then(|| Bypass { queue: self.name(), is_marked })
    }
}

/// A queue that FastTrack can go past.
struct Bypass<'a> {
    queue: &'a str,
    /// It takes packets by their mark: connections with a mark can be kept off FastTrack.
    is_marked: bool,
}

/// Connections on FastTrack skip mangle, simple queues and trees on `global`.
fn fasttrack(facts: &Facts, queues: &[Bypass<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for table in [Table::Filter, Table::Filter6] {
        let rules: Vec<&Row> = facts
            .rows(table)
            .iter()
            .filter(|r| r.get("action") == "fasttrack-connection" && !r.is("disabled") && !r.is("dynamic"))
            .collect();
        let spares_marked = rules.iter().all(|r| r.get("connection-mark") == "no-mark");
        let mut bypassed: Vec<&Bypass<'_>> = queues.iter().filter(|q| !(q.is_marked && spares_marked)).collect();
        bypassed.dedup_by_key(|q| q.queue);
        if rules.is_empty() {
            continue;
        }
        if bypassed.is_empty() {
            findings.push(Finding::plain(
                Mark::Good,
                table.console(),
                "FastTrack is on, and goes past no queue of ours",
            ));
            continue;
        }
        let names: Vec<&str> = bypassed.iter().map(|q| q.queue).collect();
        let find = "[find action=fasttrack-connection]";
        findings.push(Finding::new(
            Mark::Bad,
            table.console(),
            format!("FastTrack goes past {}", names.join(", ")),
            "its connections skip marks, simple queues and trees on \"global\": they are neither shaped nor sorted",
            if bypassed.iter().all(|q| q.is_marked) {
                format!("{} set {find} connection-mark=no-mark", table.console())
            } else {
                format!("{} disable {find}", table.console())
            },
        ));
    }
    findings
}

#[cfg(test)]
#[path = "queues_tests.rs"]
mod tests;
