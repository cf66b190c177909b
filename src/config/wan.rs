//! `[[wan]]`: how to measure it, which law decides on it, and which queues shape it.

use super::preset::{self, Link, Preset};
use super::read::Section;
use crate::actuate::Exit;
use crate::decide::{self, classic};
use crate::measure::{self, MAX_CANDIDATES, MAX_TCP_TARGETS};
use crate::types::{Bitrate, Duration, MAX_REFLECTORS, Menu, Millis, Name, RateRange, SilenceMode, Text};
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
    pub exit_rates: Option<[Bitrate; 2]>,
    /// The ranges of download and upload.
    pub ranges: [RateRange; 2],
}

pub(super) fn read(section: &Section<'_, '_>, cycle: Duration, exit: Option<Exit>) -> Option<WanConfig> {
    let name = name(section);
    let link = section.one_of("link", &Link::NAMES);
    if !section.has("link") {
        let names: Vec<&str> = Link::NAMES.iter().map(|(name, _)| *name).collect();
        section.fault("link", &format!("missing; one of: {}", names.join(", ")));
    }
    let preset = link.unwrap_or(Link::Cable).preset();
    let _ = section.one_of("law", &[("classic", ())]);
    let source = source(section);
    let measure = measure_settings(section, cycle);
    let (download, upload) = (section.section("download"), section.section("upload"));
    let simple = section.text("simple_queue");
    let queues = match simple {
        Some(name) => {
            for direction in [&download, &upload] {
                if direction.has("queue") {
                    direction.fault(
                        "queue",
                        "the simple_queue of this WAN holds both directions already; give one or the other",
                    );
                }
            }
            queue(section, "simple_queue", Menu::Simple, &name).map(|q| [q.clone(), q])
        }
        None => tree_queues(section, &download, &upload),
    };
    let down = direction(&download, cycle, &preset, preset.download, true);
    let up = direction(&upload, cycle, &preset, preset.upload, false);
    let law = law(section, cycle, &preset, down, up);
    let exit_rates = [download.rate("exit_rate"), upload.rate("exit_rate")];
    if exit == Some(Exit::Rate) {
        for (direction, rate) in [(&download, exit_rates[0]), (&upload, exit_rates[1])] {
            if rate.is_none() && !direction.has("exit_rate") {
                direction.fault("exit_rate", "missing; router.exit = \"rate\" needs the rate to leave behind");
            }
        }
    }
    let router_interface = section.text("router_interface").and_then(|text| {
        let name = Text::try_from(text.as_str()).ok();
        if name.is_none() {
            section.fault("router_interface", "must be at most 32 characters");
        }
        name
    });
    download.finish();
    upload.finish();
    section.finish();
    link?;
    let law = law?;
    Some(WanConfig {
        name: name?,
        source: source?,
        measure: measure?,
        queues: queues?,
        router_interface,
        exit_rates: exit_rates[0].zip(exit_rates[1]).map(|(d, u)| [d, u]),
        ranges: [law.download.range, law.upload.range],
        law: decide::Settings::Classic(law),
    })
}

fn name(section: &Section<'_, '_>) -> Option<Text<64>> {
    let text = section.required_text("name", "cable")?;
    let plain = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' '));
    let name = Text::try_from(text.as_str()).ok().filter(|_| plain);
    if name.is_none() {
        section.fault("name", "must be at most 64 letters, digits, spaces, dots, dashes or underscores");
    }
    name
}

fn source(section: &Section<'_, '_>) -> Option<ProbeSource> {
    let address = section.parsed("source", "an address of this machine, such as \"172.17.0.2\"");
    if section.has("source") && address.is_none() {
        return None;
    }
    let interface = section.text("interface");
    let mark = if section.has("mark") {
        let mark = section.count("mark", 1..=0x7fff_ffff)?;
        Some(u32::try_from(mark).unwrap_or(0))
    } else {
        None
    };
    Some(ProbeSource { address, interface, mark })
}

fn measure_settings(section: &Section<'_, '_>, cycle: Duration) -> Option<measure::Settings> {
    let reflectors: Option<Vec<IpAddr>> =
        section.list("reflectors", MAX_CANDIDATES, "addresses, such as [\"1.1.1.1\", \"9.9.9.9\"]");
    if reflectors.as_ref().is_some_and(Vec::is_empty) {
        section.fault("reflectors", "must name at least one; without reflectors nothing can be measured");
    }
    let reflectors = reflectors.unwrap_or_else(|| REFLECTORS.iter().filter_map(|r| r.parse().ok()).collect());
    let active = section.count("active_reflectors", 1..=MAX_REFLECTORS).unwrap_or(3).min(reflectors.len());
    let tcp: Option<Vec<SocketAddr>> =
        section.list("tcp_targets", MAX_TCP_TARGETS, "address:port, such as [\"1.1.1.1:443\"]");
    let tcp = tcp.unwrap_or_else(|| TCP_TARGETS.iter().filter_map(|t| t.parse().ok()).collect());
    let silence = section.one_of(
        "silence",
        &[("degrade", SilenceMode::Degrade), ("hold", SilenceMode::Hold), ("last", SilenceMode::Last)],
    );
    Some(measure::Settings {
        cycle,
        reflectors: reflectors.into_iter().collect(),
        active,
        probes_per_cycle: section.count("probes_per_cycle", 1..=MAX_REFLECTORS).unwrap_or(2),
        idle_interval: section
            .duration_in("idle_probe_interval", Duration::from_millis(50)..=Duration::from_secs(5))
            .unwrap_or(Duration::from_millis(500)),
        silence: silence.unwrap_or_default(),
        down_after: section
            .duration_in("down_after", Duration::from_secs(1)..=Duration::from_secs(600))
            .unwrap_or(Duration::from_secs(5)),
        gateway: section.parsed("gateway", "the address of the next hop"),
        tcp_targets: tcp.into_iter().collect(),
    })
}

fn queue(section: &Section<'_, '_>, key: &'static str, menu: Menu, text: &str) -> Option<QueueRef> {
    let good = !text.contains(char::is_control);
    let name = Name::try_from(text).ok().filter(|_| good);
    if name.is_none() {
        section.fault(key, "must be the exact name of the queue, at most 64 bytes");
    }
    name.map(|name| QueueRef { menu, name })
}

fn tree_queues(
    section: &Section<'_, '_>,
    download: &Section<'_, '_>,
    upload: &Section<'_, '_>,
) -> Option<[QueueRef; 2]> {
    let one = |direction: &Section<'_, '_>, example| {
        if !direction.has("queue") {
            direction.fault(
                "queue",
                &format!("missing: the name of the /queue/tree entry, such as \"{example}\" (or simple_queue for the whole WAN)"),
            );
        }
        direction.text("queue").and_then(|name| queue(direction, "queue", Menu::Tree, &name))
    };
    let queues = (one(download, "wan1-download"), one(upload, "wan1-upload"));
    let (download, upload) = (queues.0?, queues.1?);
    if download == upload {
        section.fault(
            "name",
            &format!("download and upload use one /queue/tree entry, \"{}\"; each needs its own", download.name),
        );
        return None;
    }
    Some([download, upload])
}

/// Thresholds, floors and steps of one direction.
fn direction(
    section: &Section<'_, '_>,
    cycle: Duration,
    preset: &Preset,
    defaults: preset::Direction,
    is_download: bool,
) -> Option<classic::DirectionSettings> {
    let [green, soft_red, hard_red] = preset.thresholds_ms;
    let delay = |key, default| section.millis(key).or_else(|| Millis::new(default));
    let (green, soft_red, hard_red) =
        (delay("green", green)?, delay("soft_red", soft_red)?, delay("hard_red", hard_red)?);
    let ordered = green < soft_red && (!is_download || soft_red < hard_red);
    if !ordered {
        section.fault(
            "green",
            &format!("thresholds out of order: green {green} < soft_red {soft_red} < hard_red {hard_red} must hold"),
        );
    }
    if !section.has("ceiling") {
        section.fault("ceiling", "missing: the highest rate this direction may have, such as \"940M\"");
    }
    let ceiling = section.rate("ceiling");
    let floor_given = section.rate("floor");
    if section.has("floor") && section.has("floor_red") {
        section.fault("floor", "floor and floor_red are the same thing; give one");
    }
    let part = |fraction: f64| ceiling.map(|c| Bitrate::from_f64(c.as_f64() * fraction));
    let red = section.rate("floor_red").or(floor_given).or_else(|| part(defaults.floor));
    let soft = section.rate("floor_soft_red").or(red);
    let yellow = section.rate("floor_yellow").or(soft);
    let floor_green = section.rate("floor_green").or(yellow);
    let factor = |key, default| section.number_in(key, 0.1..=1.0).unwrap_or(default);
    let factor_down = factor("factor_down", defaults.factor_down);
    let factor_down_yellow = factor("factor_down_yellow", defaults.factor_down_yellow);
    let step_up = section.rate("step_up").or_else(|| part(defaults.step_up));
    let green_required =
        section.streak("green_required", cycle).unwrap_or(Duration::from_millis(defaults.green_required_ms));
    let soft_red_required = section.streak("soft_red_required", cycle).unwrap_or(classic::REFERENCE_CYCLE);
    let (ceiling, red, soft, yellow, floor_green) = (ceiling?, red?, soft?, yellow?, floor_green?);
    let floors = [red, soft, yellow, floor_green, ceiling];
    if !floors.is_sorted() {
        section.fault(
            if red > ceiling { "ceiling" } else { "floor_red" },
            &format!(
                "out of order: floor_red {red} <= floor_soft_red {soft} <= floor_yellow {yellow} <= floor_green \
                 {floor_green} <= ceiling {ceiling} must hold"
            ),
        );
    }
    Some(classic::DirectionSettings {
        green,
        soft_red,
        hard_red,
        soft_red_required,
        floor_green,
        floor_yellow: yellow,
        floor_soft_red: soft,
        range: RateRange::new(red, ceiling)?,
        step_up: step_up?,
        factor_down,
        factor_down_yellow,
        green_required,
    })
}

/// The law of one WAN.
fn law(
    section: &Section<'_, '_>,
    cycle: Duration,
    preset: &Preset,
    download: Option<classic::DirectionSettings>,
    upload: Option<classic::DirectionSettings>,
) -> Option<classic::Settings> {
    let delay = |key, default| section.millis(key).or_else(|| Millis::new(default));
    let baseline_min = delay("baseline_min", 1.0)?;
    let baseline_max = delay("baseline_max", 1000.0)?;
    let baseline_initial = delay("baseline", preset.baseline_ms)?;
    let ordered = baseline_min <= baseline_initial && baseline_initial <= baseline_max;
    if !ordered {
        section.fault(
            "baseline",
            &format!("out of order: baseline_min {baseline_min} <= baseline {baseline_initial} <= baseline_max {baseline_max} must hold"),
        );
    }
    Some(classic::Settings {
        baseline_initial,
        load_weight: weight(section, cycle, "load_weight", "load_time_constant", preset.load_weight),
        baseline_weight: weight(section, cycle, "baseline_weight", "baseline_time_constant", preset.baseline_weight),
        baseline_update_threshold: delay("baseline_update_threshold", preset.update_threshold_ms)?,
        baseline_min,
        baseline_max,
        download: download?,
        upload: upload?,
    })
}

/// Smoothing, given as the weight of one cycle or as a time constant, in weight per reference
/// cycle. At the reference cycle a weight stays what it is to the last bit.
fn weight(
    section: &Section<'_, '_>,
    cycle: Duration,
    weight_key: &'static str,
    time_key: &'static str,
    default: f64,
) -> f64 {
    if section.has(weight_key) && section.has(time_key) {
        section.fault(weight_key, &format!("{weight_key} and {time_key} say the same thing; give one"));
    }
    let reference = classic::REFERENCE_CYCLE.as_secs_f64();
    if section.has(time_key) {
        let range = Duration::from_millis(50)..=Duration::from_secs(3600);
        return section.duration_in(time_key, range).map_or(default, |time| reference / time.as_secs_f64());
    }
    match section.number_in(weight_key, 1e-5..=1.0) {
        Some(weight) if cycle == classic::REFERENCE_CYCLE => weight,
        Some(weight) => weight * reference / cycle.as_secs_f64(),
        None => default,
    }
}
