//! Scenario files of `wanctl simulate`: a line, a router, and what happens to them, as data.
//!
//! Read like the configuration: all faults at once, each with file, line and key. A scenario says
//! nothing about any control law; the simulation puts one into it.

use super::fault::{Faults, Problem, Quantity};
use super::preset::Link;
use super::read::{self, Section};
use crate::types::{Bitrate, Direction, Duration};
use std::path::Path;

/// The longest scenario.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What a line can be made of; the first is meant where nothing is said.
pub const MEDIA: [&str; 5] = ["plain", "docsis", "lte", "starlink", "halting"];

/// How many reflectors a simulated line has.
pub const REFLECTORS: usize = 4;

/// One direction of the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leg {
    /// Capacity at the beginning.
    pub capacity: Bitrate,
    /// Size of the provider's FIFO in bytes.
    pub fifo_bytes: u64,
    /// What does not fit is dropped at its head.
    pub drop_front: bool,
    /// Lowest rate the law may set.
    pub floor: Bitrate,
    /// Highest rate the law may set.
    pub ceiling: Bitrate,
}

/// The line without what happens to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Its kind, as in the configuration.
    pub link: &'static str,
    /// Round-trip time without any queue.
    pub base_rtt: Duration,
    /// Mean of the jitter of a probe.
    pub jitter: Duration,
    /// What the jitter is like, as a word.
    pub medium: &'static str,
    /// Part of the packets lost at random, in each direction.
    pub loss: f64,
    /// Whether probes wait in the FIFOs like everybody else.
    pub probes_queue: bool,
    /// Download, upload.
    pub legs: [Leg; 2],
}

/// The router without what happens to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Router {
    /// Shortest and longest time of a request.
    pub latency: [Duration; 2],
    /// What its token bucket holds, as a time.
    pub bucket: Duration,
    /// What CAKE is told to be the round-trip time.
    pub cake_rtt: Duration,
    /// Its counters advance only this often; `None`: always.
    pub counters_every: Option<Duration>,
}

/// How the daemon is configured besides its law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Control {
    /// Length of the control cycle.
    pub cycle: Duration,
    /// Time between two readings of statistics under load; `None`: the daemon's default.
    pub statistics: Option<Duration>,
    /// When anybody begins to control the line; before, the router's limits are the ceilings.
    pub starts: Duration,
}

/// What happens to reflectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reflectors {
    /// No answer for this long.
    Silent(Duration),
    /// They lose this part of the probes from now on.
    Loss(f64),
    /// Each answers at most so many probes per second from now on.
    Rate(f64),
    /// Their answers take this much longer from now on.
    Extra(Duration),
}

/// What happens to the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Requests wait.
    Stall,
    /// It answers to nothing, and cuts what is open.
    Gone,
    /// Connections are cut once.
    Reset,
    /// It reboots.
    Reboot,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// The line has this capacity from now on.
    Capacity(Direction, Bitrate),
    /// So many long transfers run from now on.
    Flows(Direction, usize),
    /// So many short transfers begin per second, at random, from now on.
    Pages(Direction, f64),
    /// A stream that never slows down runs at this rate from now on.
    Stream(Direction, Bitrate),
    /// Round-trip time without queues from now on.
    BaseRtt(Duration),
    /// Mean of the jitter from now on.
    Jitter(Duration),
    /// This part of the packets is lost at random from now on.
    Loss(f64),
    /// The line is cut or mended.
    Connected(bool),
    /// The router goes wrong, for this long.
    Router(Trouble, Duration),
    /// These reflectors (by position) go wrong.
    Reflectors(Vec<usize>, Reflectors),
}

/// Something that happens, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Not before.
    pub at: Duration,
    /// Up to so much later, by seed: a step must not always meet the same moment between two probes of a law.
    pub within: Duration,
    /// What.
    pub what: Happening,
}

/// What a random walk moves, with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Walked {
    /// A capacity.
    Capacity(Direction, [Bitrate; 2]),
    /// The base round-trip time.
    BaseRtt([Duration; 2]),
}

/// A quantity that wanders at random between two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Walk {
    /// What, and between which bounds.
    pub of: Walked,
    /// First and last change.
    pub between: [Duration; 2],
    /// Time from change to change.
    pub every: Duration,
    /// Greatest relative change at a time.
    pub step: f64,
    /// Probability of a leap to anywhere between the bounds instead.
    pub leap: f64,
}

/// One scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name, for tables and files.
    pub name: String,
    /// What it is, in a sentence.
    pub about: String,
    /// Whether the delay is made by queues that a shaper of ours can keep empty.
    pub controllable: bool,
    /// How long it lasts.
    pub lasts: Duration,
    /// Figures begin here.
    pub from: Duration,
    /// The line.
    pub line: Line,
    /// The router.
    pub router: Router,
    /// The daemon.
    pub control: Control,
    /// What happens, in order of time.
    pub events: Vec<Event>,
    /// What wanders.
    pub walks: Vec<Walk>,
}

/// Reads and checks a scenario.
///
/// # Errors
/// All [`Faults`] of the file.
pub fn load(path: &Path) -> Result<Scenario, Faults> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, &file),
        Err(error) => Err(Faults::unreadable(&file, path, &error)),
    }
}

/// Checks the text of a scenario.
///
/// # Errors
/// All [`Faults`] of the text.
pub fn parse(text: &str, file: &str) -> Result<Scenario, Faults> {
    let context = read::Context::new(text, file, Path::new("."), &|_| None);
    let scenario = read::document(&context).and_then(|root| scenario(&root));
    match (context.into_findings().0, scenario) {
        (faults, Some(scenario)) if faults.is_empty() => Ok(scenario),
        (faults, _) => Err(faults),
    }
}

/// Every key that may stand in a scenario, such as `event.download.flows`, in alphabetical order.
#[must_use]
pub fn known_keys() -> Vec<String> {
    let context = read::Context::new("[[event]]\n[[walk]]", "", Path::new(""), &|_| None);
    if let Some(root) = read::document(&context) {
        let _ = scenario(&root);
    }
    context.known()
}

fn scenario(root: &Section<'_, '_>) -> Option<Scenario> {
    let name = root.required_text("name", "step").filter(|name| {
        let good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !good {
            root.fault("name", Problem::not_a("letters, digits and dashes"));
        }
        good
    });
    let about = root.required_text("about", "30 to 12 to 30 Mbit/s");
    let tag = required(root, "tag", "one of: controllable, not-ours", |s, key| {
        s.one_of(key, &[("controllable", true), ("not-ours", false)])
    });
    let second = Duration::from_secs(1);
    let lasts = required(root, "lasts", "how long the scenario lasts, such as \"60s\"", |s, key| {
        s.duration_in(key, second..=LONGEST)
    });
    let most = lasts.unwrap_or(LONGEST);
    let from = root.duration_in("figures_from", Duration::ZERO..=most).unwrap_or(Duration::from_secs(10).min(most / 2));
    let line = line(root);
    let router = router(&root.section("router"));
    let control = control(&root.section("control"), most);
    let mut events: Vec<_> = root.sections("event").iter().flat_map(|section| event(section, most)).collect();
    events.sort_by_key(|event| event.at);
    let walks = root.sections("walk").iter().filter_map(|section| walk(section, most)).collect();
    root.finish();
    Some(Scenario {
        name: name?,
        about: about?,
        controllable: tag?,
        lasts: lasts?,
        from,
        line: line?,
        router,
        control,
        events,
        walks,
    })
}

/// A value that must be there; `right` says what would be.
fn required<T>(
    section: &Section<'_, '_>,
    key: &'static str,
    right: &str,
    read: impl Fn(&Section<'_, '_>, &'static str) -> Option<T>,
) -> Option<T> {
    if !section.has(key) {
        section.fault(key, Problem::missing(right));
    }
    read(section, key)
}

fn line(root: &Section<'_, '_>) -> Option<Line> {
    let section = root.section("line");
    let words = Link::NAMES.map(|(name, _)| (name, name));
    let link = section.one_of("link", &words).unwrap_or("cable");
    let base_rtt = section.duration_in("base_rtt", Duration::from_millis(1)..=Duration::from_secs(2));
    let jitter = jitter(&section);
    let medium = section.one_of("medium", &MEDIA.map(|word| (word, word)));
    let loss = section.number_in("loss", 0.0..=1.0);
    let probes = section.one_of("probes", &[("queue", true), ("first", false)]);
    section.finish();
    let legs = Direction::BOTH.map(|direction| {
        let section = root.section(direction.name());
        let leg = leg(&section);
        section.finish();
        leg
    });
    let [download, upload] = legs;
    Some(Line {
        link,
        base_rtt: base_rtt.unwrap_or(Duration::from_millis(20)),
        jitter: jitter.unwrap_or(Duration::from_micros(300)),
        medium: medium.unwrap_or(MEDIA[0]),
        loss: loss.unwrap_or(0.0),
        probes_queue: probes.unwrap_or(true),
        legs: [download?, upload?],
    })
}

fn jitter(section: &Section<'_, '_>) -> Option<Duration> {
    section.duration_in("jitter", Duration::ZERO..=Duration::from_secs(1))
}

fn leg(section: &Section<'_, '_>) -> Option<Leg> {
    let rate = |key| required(section, key, "a rate, such as \"30M\"", |s, key| s.rate(key));
    let (capacity, ceiling, floor) = (rate("capacity"), rate("ceiling"), rate("floor"));
    let depth = section.duration_in("fifo", Duration::from_millis(1)..=Duration::from_secs(10));
    let bytes = section.count("fifo_bytes", 3_000..=1_000_000_000).and_then(|n| u64::try_from(n).ok());
    if section.has("fifo") && section.has("fifo_bytes") {
        section.fault("fifo", Problem::Both("fifo", "fifo_bytes"));
    }
    let front = section.one_of("fifo_drops", &[("tail", false), ("front", true)]);
    let (capacity, ceiling, floor) = (capacity?, ceiling?, floor?);
    let rates = [("floor", floor), ("ceiling", ceiling)].map(|(key, rate)| (key, rate, Quantity::Rate(rate)));
    section.ordered(&rates, true);
    let depth = depth.unwrap_or(Duration::from_secs(1));
    let of_depth = Bitrate::from_f64(capacity.as_f64() / 8.0 * depth.as_secs_f64()).bps();
    Some(Leg { capacity, fifo_bytes: bytes.unwrap_or(of_depth), drop_front: front.unwrap_or(false), floor, ceiling })
}

fn router(section: &Section<'_, '_>) -> Router {
    let time = Duration::ZERO..=Duration::from_secs(5);
    let [low, high] = [("latency", 20), ("latency_max", 50)]
        .map(|(key, default)| section.duration_in(key, time.clone()).unwrap_or(Duration::from_millis(default)));
    let high = if section.has("latency_max") { high } else { high.max(low) };
    let values = [("latency", low), ("latency_max", high)].map(|(key, time)| (key, time, Quantity::Span(time)));
    section.ordered(&values, false);
    let bucket = section.duration_in("bucket", Duration::ZERO..=Duration::from_secs(10)).unwrap_or_default();
    let cake_rtt = section.duration_in("cake_rtt", Duration::from_millis(1)..=Duration::from_secs(10));
    let cake_rtt = cake_rtt.unwrap_or(Duration::from_millis(100));
    let counters_every = section.duration_in("counters_every", Duration::from_millis(1)..=Duration::from_secs(60));
    section.finish();
    Router { latency: [low, high], bucket, cake_rtt, counters_every }
}

fn control(section: &Section<'_, '_>, most: Duration) -> Control {
    let cycle = section.duration_in("cycle", Duration::from_millis(10)..=Duration::from_secs(1));
    let statistics = section.duration_in("statistics", Duration::from_millis(100)..=Duration::from_secs(60));
    let starts = section.duration_in("starts", Duration::ZERO..=most).unwrap_or_default();
    section.finish();
    Control { cycle: cycle.unwrap_or(Duration::from_millis(50)), statistics, starts }
}

/// Everything that one `[[event]]` says, each with its time.
fn event(section: &Section<'_, '_>, most: Duration) -> Vec<Event> {
    let at =
        required(section, "at", "when it happens, such as \"20s\"", |s, key| s.duration_in(key, Duration::ZERO..=most));
    let within = section.duration_in("within", Duration::ZERO..=most).unwrap_or_default();
    let mut found = Vec::new();
    for direction in Direction::BOTH {
        let section = section.section(direction.name());
        found.extend(section.rate("capacity").map(|rate| Happening::Capacity(direction, rate)));
        found.extend(section.count("flows", 0..=16).map(|n| Happening::Flows(direction, n)));
        found.extend(section.number_in("pages", 0.0..=1_000.0).map(|n| Happening::Pages(direction, n)));
        let stream = section.rate_in("stream", Bitrate::ZERO..=Bitrate::from_mbps(400_000));
        found.extend(stream.map(|rate| Happening::Stream(direction, rate)));
        section.finish();
    }
    found.extend(
        section.duration_in("base_rtt", Duration::from_millis(1)..=Duration::from_secs(5)).map(Happening::BaseRtt),
    );
    found.extend(jitter(section).map(Happening::Jitter));
    found.extend(section.number_in("loss", 0.0..=1.0).map(Happening::Loss));
    found.extend(section.one_of("line", &[("cut", false), ("mended", true)]).map(Happening::Connected));
    found.extend(trouble(section));
    found.extend(reflectors(section));
    section.finish();
    if found.is_empty() {
        let what = "something that happens: download, upload, base_rtt, jitter, loss, line, router or reflectors_…";
        section.fault("", Problem::missing(what));
    }
    let at = at.unwrap_or_default();
    found.into_iter().map(|what| Event { at, within, what }).collect()
}

fn trouble(section: &Section<'_, '_>) -> Option<Happening> {
    let words =
        [("stall", Trouble::Stall), ("gone", Trouble::Gone), ("reset", Trouble::Reset), ("reboot", Trouble::Reboot)];
    let trouble = section.one_of("router", &words);
    let lasts = section.duration("router_lasts");
    if section.has("router_lasts") && !section.has("router") {
        section.fault("router_lasts", Problem::Misplaced("nothing happens to the router here: add router = \"gone\""));
    }
    trouble.map(|trouble| Happening::Router(trouble, lasts.unwrap_or(Duration::from_secs(5))))
}

fn reflectors(section: &Section<'_, '_>) -> Vec<Happening> {
    let who = section.count("reflector", 1..=REFLECTORS);
    let silent = section.duration("reflectors_silent").map(Reflectors::Silent);
    let loss = section.number_in("reflectors_loss", 0.0..=1.0).map(Reflectors::Loss);
    let rate = section.number_in("reflectors_rate", 0.0..=1_000.0).map(Reflectors::Rate);
    let extra = section.duration_in("reflectors_extra", Duration::ZERO..=Duration::from_secs(5)).map(Reflectors::Extra);
    let who: Vec<usize> = who.map_or_else(|| (0..REFLECTORS).collect(), |n| vec![n - 1]);
    [silent, loss, rate, extra].into_iter().flatten().map(|what| Happening::Reflectors(who.clone(), what)).collect()
}

fn walk(section: &Section<'_, '_>, most: Duration) -> Option<Walk> {
    let words = [("download", Some(Direction::Download)), ("upload", Some(Direction::Upload)), ("base_rtt", None)];
    let of = required(section, "of", "one of: download, upload, base_rtt", |s, key| s.one_of(key, &words));
    let time = |key, default| section.duration_in(key, Duration::ZERO..=most).unwrap_or(default);
    let between = [time("from", Duration::ZERO), time("to", most)];
    let values = [("from", between[0]), ("to", between[1])].map(|(key, at)| (key, at, Quantity::Span(at)));
    section.ordered(&values, false);
    let every = required(section, "every", "time from change to change, such as \"100ms\"", |s, key| {
        s.duration_in(key, Duration::from_millis(10)..=LONGEST)
    });
    let step = section.number_in("step", 0.0..=1.0).unwrap_or(0.0);
    let leap = section.number_in("leap", 0.0..=1.0).unwrap_or(0.0);
    let of = match of {
        Some(Some(direction)) => {
            let [low, high] = ["low", "high"].map(|key| required(section, key, "a rate", |s, key| s.rate(key)));
            low.zip(high).map(|(low, high)| {
                section.ordered(&[("low", low, Quantity::Rate(low)), ("high", high, Quantity::Rate(high))], false);
                Walked::Capacity(direction, [low, high])
            })
        }
        _ => {
            let [low, high] = ["low", "high"].map(|key| required(section, key, "a duration", |s, key| s.duration(key)));
            low.zip(high).map(|(low, high)| {
                section.ordered(&[("low", low, Quantity::Span(low)), ("high", high, Quantity::Span(high))], false);
                Walked::BaseRtt([low, high])
            })
        }
    };
    section.finish();
    Some(Walk { of: of?, between, every: every?, step, leap })
}
