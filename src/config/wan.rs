//! `[[wan]]`: how to measure it, and which queues shape it; the law is `law`'s.

use super::fault::{Problem, Quantity};
use super::law;
use super::preset::Link;
use super::read::Section;
use crate::actuate::Exit;
use crate::decide;
use crate::measure::{self, MAX_CANDIDATES, MAX_TCP_TARGETS};
use crate::types::{Bitrate, Controlled, Duration, MAX_REFLECTORS, Menu, Name, RateRange, SilenceMode, Text};
use core::net::{IpAddr, SocketAddr};
use wanctl_hal::ProbeSource;

/// Reflectors when none are given: three operators, so that one outage is not three.
const REFLECTORS: [&str; 4] = ["1.1.1.1", "9.9.9.9", "8.8.8.8", "208.67.222.222"];

/// TCP targets when none are given.
const TCP_TARGETS: [&str; 2] = ["1.1.1.1:443", "9.9.9.9:443"];

/// A queue on the router.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueueRef {
    /// Its menu.
    pub menu: Menu,
    /// Its exact name.
    pub name: Name,
}

/// One WAN.
#[derive(Clone, Debug, PartialEq)]
pub struct WanConfig {
    /// Its name: unique, for logs and `--wan`.
    pub name: Text<64>,
    /// What kind of link it is.
    pub link: Link,
    /// How its probes are made to leave through it.
    pub source: ProbeSource,
    /// How it is measured.
    pub measure: measure::Settings,
    /// Which law decides on it.
    pub law: decide::Settings,
    /// The queues of download and upload; the same twice for a simple queue.
    pub queues: [QueueRef; 2],
    /// The WAN's interface on the router, to check directions against.
    pub router_interface: Option<Text<32>>,
    /// The rates of download and upload to leave behind with `exit = "rate"`.
    pub exit_rates: Option<[Controlled; 2]>,
    /// The rates to stay at while the write budget is used up.
    pub safe_rates: [Controlled; 2],
    /// The ranges of download and upload.
    pub ranges: [RateRange; 2],
}

pub(super) fn read(section: &Section<'_, '_>, cycle: Duration, exit: Option<Exit>) -> Option<WanConfig> {
    let name = name(section);
    let link = section.one_of("link", &Link::NAMES);
    if !section.has("link") {
        let names: Vec<&str> = Link::NAMES.iter().map(|(name, _)| *name).collect();
        section.fault("link", Problem::Missing { right: format!("one of {}", names.join(", ")) });
    }
    let preset = link.unwrap_or(Link::Cable).preset();
    let is_adaptive = section.one_of("law", &[("adaptive", true), ("classic", false)]).unwrap_or(true);
    let adaptive = law::adaptive(section, &preset);
    let source = source(section);
    let measure = measure_settings(section, cycle);
    let (download, upload) = (section.section("download"), section.section("upload"));
    law::warn_of_idle_keys(section, [&download, &upload], is_adaptive);
    let queues = queues(section, &download, &upload);
    let law = law::read(section, [&download, &upload], cycle, &preset);
    let ranges = law.as_ref().map(|s| [s.download.range, s.upload.range]);
    let exit_rates = exit_rates([&download, &upload], exit, ranges);
    let safe_rates = safe_rates([&download, &upload], ranges);
    let router_interface = section.text("router_interface").and_then(|text| {
        let name = Text::try_from(text.as_str()).ok();
        if name.is_none() {
            section.fault("router_interface", Problem::not_a("a name of at most 32 bytes"));
        }
        name
    });
    download.finish();
    upload.finish();
    section.finish();
    let link = link?;
    let law = law?;
    Some(WanConfig {
        name: name?,
        link,
        source: source?,
        measure: measure?,
        queues: queues?,
        router_interface,
        exit_rates,
        safe_rates: safe_rates?,
        ranges: [law.download.range, law.upload.range],
        law: if is_adaptive {
            let ranges = [law.download.range, law.upload.range];
            let baseline = law.baseline_initial;
            decide::Settings::Adaptive(decide::adaptive::Settings { baseline, ranges, ..adaptive? })
        } else {
            decide::Settings::Classic(law)
        },
    })
}

fn name(section: &Section<'_, '_>) -> Option<Text<64>> {
    let text = section.required_text("name", "cable")?;
    let plain = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' '));
    let name = Text::try_from(text.as_str()).ok().filter(|_| plain);
    if name.is_none() {
        let right = "at most 64 bytes of letters, digits, spaces, dots, dashes or underscores";
        section.fault("name", Problem::not_a(right));
    }
    name
}

/// Every key is read before any is given up on, or the others would count as unknown.
fn source(section: &Section<'_, '_>) -> Option<ProbeSource> {
    let address = section.parsed("source", "an address of this machine, such as \"172.17.0.2\"");
    let interface = section.text("interface").filter(|name| {
        let good = name.len() <= 15 && !name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control());
        if !good {
            section.fault("interface", Problem::not_a("an interface of this machine, such as \"eth1\""));
        }
        good
    });
    let mark = section.count("mark", 1..=0x7fff_ffff).and_then(|mark| u32::try_from(mark).ok());
    Some(ProbeSource { address, interface, mark })
}

fn measure_settings(section: &Section<'_, '_>, cycle: Duration) -> Option<measure::Settings> {
    let what = "addresses, such as [\"1.1.1.1\", \"9.9.9.9\"]";
    let given: Option<Vec<IpAddr>> = section.list("reflectors", MAX_CANDIDATES, what);
    let is_given = section.has("reflectors");
    let reflectors = given.or_else(|| (!is_given).then(|| REFLECTORS.iter().filter_map(|r| r.parse().ok()).collect()));
    if reflectors.as_ref().is_some_and(Vec::is_empty) {
        section.fault("reflectors", Problem::not_a("at least one address; without reflectors nothing can be measured"));
    }
    let active = section.count("active_reflectors", 1..=MAX_REFLECTORS);
    let known = reflectors.as_ref().map_or(MAX_REFLECTORS, Vec::len);
    if known > 0 && active.is_some_and(|n| n > known) {
        section.fault("active_reflectors", Problem::Range { low: Quantity::Count(1), high: Quantity::Count(known) });
    }
    let what = "ADDRESS:PORT, such as [\"1.1.1.1:443\"]";
    let tcp: Option<Vec<SocketAddr>> = section.list("tcp_targets", MAX_TCP_TARGETS, what);
    let tcp = tcp.unwrap_or_else(|| TCP_TARGETS.iter().filter_map(|t| t.parse().ok()).collect());
    let silence = section.one_of(
        "silence",
        &[("degrade", SilenceMode::Degrade), ("hold", SilenceMode::Hold), ("last", SilenceMode::Last)],
    );
    let probes = section.count("probes_per_cycle", 1..=MAX_REFLECTORS);
    let idle = section.duration_in("idle_probe_interval", Duration::from_millis(50)..=Duration::from_secs(5));
    let down = section.duration_in("down_after", Duration::from_secs(1)..=Duration::from_secs(600));
    let gateway = section.parsed("gateway", "the address of the next hop, such as \"100.64.0.1\"");
    let reflectors = reflectors?;
    Some(measure::Settings {
        cycle,
        active: active.unwrap_or(3).min(reflectors.len()),
        reflectors: reflectors.into_iter().collect(),
        probes_per_cycle: probes.unwrap_or(2),
        idle_interval: idle.unwrap_or(Duration::from_millis(500)),
        silence: silence.unwrap_or_default(),
        down_after: down.unwrap_or(Duration::from_secs(5)),
        gateway,
        tcp_targets: tcp.into_iter().collect(),
    })
}

/// One simple queue for both directions, or one queue of the tree for each.
fn queues(section: &Section<'_, '_>, download: &Section<'_, '_>, upload: &Section<'_, '_>) -> Option<[QueueRef; 2]> {
    let simple = queue(section, "simple_queue", Menu::Simple);
    let tree = [(download, "wan1-download"), (upload, "wan1-upload")].map(|(direction, example)| {
        if section.has("simple_queue") && direction.has("queue") {
            direction.fault(
                "queue",
                Problem::Misplaced("the simple_queue of this WAN holds both directions; give one or the other"),
            );
        } else if !section.has("simple_queue") && !direction.has("queue") {
            let right =
                format!("the name of the /queue/tree entry, such as \"{example}\" (or simple_queue for the whole WAN)");
            direction.fault("queue", Problem::Missing { right });
        }
        queue(direction, "queue", Menu::Tree)
    });
    if section.has("simple_queue") {
        return simple.map(|queue| [queue.clone(), queue]);
    }
    let [download, upload] = tree;
    Some([download?, upload?])
}

fn queue(section: &Section<'_, '_>, key: &'static str, menu: Menu) -> Option<QueueRef> {
    let text = section.text(key)?;
    let good = !text.contains(char::is_control);
    let name = Name::try_from(text.as_str()).ok().filter(|_| good);
    if name.is_none() {
        section.fault(key, Problem::not_a("the exact name of the queue, at most 64 bytes"));
    }
    name.map(|name| QueueRef { menu, name })
}

/// What `exit = "rate"` leaves behind.
fn exit_rates(
    directions: [&Section<'_, '_>; 2],
    exit: Option<Exit>,
    ranges: Option<[RateRange; 2]>,
) -> Option<[Controlled; 2]> {
    let mut rates = [None; 2];
    for (i, direction) in directions.into_iter().enumerate() {
        let rate = direction.rate("exit_rate");
        if exit == Some(Exit::Rate) && !direction.has("exit_rate") {
            direction.fault("exit_rate", Problem::missing("router.exit = \"rate\" needs the rate to leave behind"));
        }
        if exit.is_some_and(|exit| exit != Exit::Rate) && direction.has("exit_rate") {
            direction.warn("exit_rate", Problem::NoEffect("has no effect unless router.exit = \"rate\""));
        }
        rates[i] = ranges.and_then(|ranges| controlled(direction, "exit_rate", rate?, ranges[i]));
    }
    rates[0].zip(rates[1]).map(|(down, up)| [down, up])
}

/// The rates of a used-up write budget: the lowest ones, unless the file knows better.
fn safe_rates(directions: [&Section<'_, '_>; 2], ranges: Option<[RateRange; 2]>) -> Option<[Controlled; 2]> {
    let rates = directions.map(|direction| direction.rate("safe_rate"));
    let ranges = ranges?;
    let safe = |i: usize| match rates[i] {
        Some(rate) => controlled(directions[i], "safe_rate", rate, ranges[i]),
        None => Some(ranges[i].clamp(ranges[i].floor())),
    };
    Some([safe(0)?, safe(1)?])
}

/// A rate that lies in its range.
fn controlled(direction: &Section<'_, '_>, key: &'static str, rate: Bitrate, range: RateRange) -> Option<Controlled> {
    let controlled = range.clamp(rate);
    if controlled.rate() != rate {
        let (low, high) = (Quantity::Rate(range.floor()), Quantity::Rate(range.ceiling()));
        direction.fault(key, Problem::Range { low, high });
        return None;
    }
    Some(controlled)
}
