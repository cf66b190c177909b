//! Alerts: which events are told to whom by webhook, how often, and the HTTP request that does it. Knows no socket:
//! the daemon carries the bytes. Beside measure -> decide -> actuate, and without influence on any of them.
//!
//! Of one kind and WAN, a rule tells at most one bad and one good news in a cool-down, and at its end the last of what
//! was withheld, so that nobody is left with old news. What can't be delivered waits in a short queue for an hour.

mod message;
mod rule;
mod topic;

pub use rule::{AlertError, AlertFormat, AlertRule};
pub use topic::{GROUPS, Topic, Topics};

use super::EventRing;
use crate::types::{Duration, Event, Instant, LinkError, WanId};
use topic::is_good;

/// Most alerts that wait; the oldest gives way.
const QUEUE: usize = 16;

/// Most kinds of events per WAN that a rule remembers to have told.
const REMEMBERED: usize = 24;

/// Longest request: head with a long path and a token, and the body.
const REQUEST: usize = 4096;

/// Most bytes of an answer that are looked at: only its status matters.
const ANSWER: usize = 2048;

/// Longest time to look the name up, to connect and for the handshake; and from there to the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause after a failure; it doubles from failure to failure…
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// …up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// An alert that is older is of no use any more.
const TOO_OLD: Duration = Duration::from_secs(3600);

/// Shortest time between two connections: each may be a TLS handshake.
const APART: Duration = Duration::from_secs(2);

/// Time between two looks at cool-downs that have ended.
const LOOK: Duration = Duration::from_secs(1);

/// An alert that waits to be told.
#[derive(Clone, Copy)]
struct Waiting {
    rule: usize,
    /// `None`: a test.
    event: Option<Event>,
    /// When it happened: monotonic, and in seconds since 1970.
    at: Instant,
    wall: f64,
    /// How many like it were not told before it.
    suppressed: u32,
}

/// A kind of events of one WAN that was told.
struct Told {
    key: (usize, Option<WanId>),
    /// Since when the cool-down runs.
    since: Instant,
    /// Bad news, and good.
    told: [bool; 2],
    withheld: u32,
    last: Option<Waiting>,
}

/// What was done for a rule since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertCounters {
    /// Messages that the other side has taken.
    pub sent: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Events not told because of the cool-down.
    pub suppressed: u64,
    /// Messages given up: refused, too old, or pushed out of the queue.
    pub dropped: u64,
}

/// A rule and what it has done.
struct Rule {
    rule: AlertRule,
    told: heapless::Vec<Told, REMEMBERED>,
    counters: AlertCounters,
    /// Failures since the last message that was taken, and the last one.
    failures: u32,
    error: Option<AlertError>,
    retry_at: Instant,
}

/// What the daemon shall do with the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum AlertStep<'a> {
    /// Connect to this port of the rule in this place.
    Open(usize, u16),
    /// Send these bytes, as many as go.
    Write(&'a [u8]),
    /// Close the connection.
    Close,
    /// Nothing now.
    Nothing,
}

/// What has come of a delivery, for the log: told when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertNews {
    /// It failed; whether the message was given up.
    Failed(AlertError, bool),
    /// It works again, after so many failures.
    Back(u32),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Closed,
    Connecting(Instant),
    Busy(Instant),
    /// To be closed by the daemon.
    Over,
}

/// All rules, what waits, and the one delivery under way.
pub struct Alerts {
    rules: Vec<Rule>,
    queue: heapless::Deque<Waiting, QUEUE>,
    /// How many events of the ring were looked at.
    seen: u64,
    link: Link,
    current: Option<Waiting>,
    request: heapless::String<REQUEST>,
    written: usize,
    answer: heapless::Vec<u8, ANSWER>,
    open_from: Instant,
    look_at: Instant,
    news: Option<(usize, AlertNews)>,
}

impl Alerts {
    /// These rules; of the ring, the first `seen` events are old news.
    #[must_use]
    pub fn new(rules: Vec<AlertRule>, seen: u64) -> Self {
        let rule = |rule| Rule {
            rule,
            told: heapless::Vec::new(),
            counters: AlertCounters::default(),
            failures: 0,
            error: None,
            retry_at: Instant::ZERO,
        };
        Self {
            rules: rules.into_iter().map(rule).collect(),
            queue: heapless::Deque::new(),
            seen,
            link: Link::Closed,
            current: None,
            request: heapless::String::new(),
            written: 0,
            answer: heapless::Vec::new(),
            open_from: Instant::ZERO,
            look_at: Instant::ZERO,
            news: None,
        }
    }

    /// Takes over what rules of the same name have counted.
    pub fn inherit(&mut self, old: &Self) {
        for rule in &mut self.rules {
            if let Some(old) = old.rules.iter().find(|old| old.rule.name == rule.rule.name) {
                rule.counters = old.counters;
            }
        }
    }

    /// What was done for a rule, what waits for it, and why not, by its place.
    #[must_use]
    pub fn rule(&self, place: usize) -> Option<AlertFacts<'_>> {
        let Rule { rule, counters, error, .. } = self.rules.get(place)?;
        let waiting = self.queue.iter().chain(&self.current).filter(|w| w.rule == place).count();
        Some(AlertFacts { name: &rule.name, format: rule.format, counters: *counters, waiting, error: *error })
    }

    /// What has come of deliveries since the last call: the rule's name, and what.
    pub fn take_news(&mut self) -> Option<(&str, AlertNews)> {
        let (place, news) = self.news.take()?;
        Some((&self.rules.get(place)?.rule.name, news))
    }

    /// Sends a test by the rule in this place.
    pub fn test(&mut self, place: usize, now: Instant, wall: f64) {
        self.enqueue(Waiting { rule: place, event: None, at: now, wall, suppressed: 0 });
    }

    /// Looks at what is new in the ring, and at what has cooled down.
    pub fn watch(&mut self, events: &EventRing, now: Instant, wall: f64) {
        let new = usize::try_from(events.total() - self.seen).unwrap_or(usize::MAX);
        if new > 0 {
            self.seen = events.total();
            let kept = events.iter().count();
            for event in events.iter().skip(kept.saturating_sub(new)) {
                let wall = wall - now.since(event.at).as_secs_f64();
                for place in 0..self.rules.len() {
                    self.notice(Waiting { rule: place, event: Some(*event), at: event.at, wall, suppressed: 0 });
                }
            }
        }
        if now >= self.look_at {
            self.look_at = now + LOOK;
            (0..self.rules.len()).for_each(|place| self.cool(place, now));
        }
    }

    /// An event that a rule may want to be told of.
    fn notice(&mut self, mut waiting: Waiting) {
        let (Some(event), Some(rule)) = (waiting.event, self.rules.get_mut(waiting.rule)) else { return };
        let (kind, of) = (event.kind, event.kind.wans());
        if !rule.rule.topics.has(&kind) || rule.rule.wan.is_some_and(|wan| !of.contains(&Some(wan))) {
            return;
        }
        let (key, good) = ((kind.class(), of[0]), usize::from(is_good(&kind)));
        let Some(told) = rule.told.iter_mut().find(|told| told.key == key) else {
            let full = rule.told.is_full().then(|| rule.told.remove(0)).and_then(|told| told.last);
            let mut told = Told { key, since: event.at, told: [false; 2], withheld: 0, last: None };
            told.told[good] = true;
            let _ = rule.told.push(told); // there is room
            rule.counters.suppressed += full.map_or(0, |last| u64::from(last.suppressed));
            full.into_iter().chain([waiting]).for_each(|waiting| self.enqueue(waiting));
            return;
        };
        if core::mem::replace(&mut told.told[good], true) {
            told.withheld += 1;
            waiting.suppressed = told.withheld - 1;
            told.last = Some(waiting);
            return;
        }
        waiting.suppressed = core::mem::take(&mut told.withheld);
        told.last = None;
        rule.counters.suppressed += u64::from(waiting.suppressed);
        self.enqueue(waiting);
    }

    /// Cool-downs that have ended: the last of what was withheld is told, and another one begins.
    fn cool(&mut self, place: usize, now: Instant) {
        let Some(rule) = self.rules.get_mut(place) else { return };
        let cool_down = rule.rule.cool_down;
        let mut ended = heapless::Vec::<Waiting, REMEMBERED>::new();
        rule.told.retain_mut(|told| {
            if now.since(told.since) < cool_down {
                return true;
            }
            let Some(last) = told.last.take() else { return false };
            (told.since, told.withheld, told.told) = (now, 0, [false; 2]);
            told.told[last.event.map_or(0, |event| usize::from(is_good(&event.kind)))] = true;
            rule.counters.suppressed += u64::from(last.suppressed);
            let _ = ended.push(last);
            true
        });
        ended.into_iter().for_each(|waiting| self.enqueue(waiting));
    }

    fn enqueue(&mut self, waiting: Waiting) {
        if self.queue.is_full()
            && let Some(oldest) = self.queue.pop_front()
            && let Some(rule) = self.rules.get_mut(oldest.rule)
        {
            rule.counters.dropped += 1;
        }
        let _ = self.queue.push_back(waiting); // there is room
    }

    /// Whether nothing waits and nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.current.is_none() && self.link == Link::Closed
    }

    /// What to do next; a connection is begun only if it `may_open`. `names` are those of the WANs.
    pub fn poll(&mut self, now: Instant, may_open: bool) -> AlertStep<'_> {
        match self.link {
            Link::Connecting(until) | Link::Busy(until) if until <= now => {
                self.end(now, Err(AlertError::TimeOut));
                self.link = Link::Closed;
                AlertStep::Close
            }
            Link::Over => {
                self.link = Link::Closed;
                AlertStep::Close
            }
            Link::Busy(_) if self.written < self.request.len() => {
                AlertStep::Write(&self.request.as_bytes()[self.written..])
            }
            Link::Closed if may_open && now >= self.open_from => self.begin(now),
            _ => AlertStep::Nothing,
        }
    }

    /// The first of what waits and may be tried.
    fn begin(&mut self, now: Instant) -> AlertStep<'_> {
        for _ in 0..self.queue.len() {
            let Some(waiting) = self.queue.pop_front() else { break };
            let Some(rule) = self.rules.get_mut(waiting.rule) else { continue };
            if now.since(waiting.at) > TOO_OLD {
                rule.counters.dropped += 1;
            } else if self.current.is_some() || rule.retry_at > now {
                let _ = self.queue.push_back(waiting); // there is room: it comes from there
            } else {
                self.current = Some(waiting);
            }
        }
        let Some(waiting) = self.current else { return AlertStep::Nothing };
        (self.link, self.open_from) = (Link::Connecting(now + PATIENCE), now + APART);
        AlertStep::Open(waiting.rule, self.rules[waiting.rule].rule.port)
    }

    /// The connection is open.
    pub fn opened(&mut self, now: Instant, names: &[String]) {
        let (Link::Connecting(_), Some(waiting)) = (self.link, self.current) else { return };
        self.link = Link::Busy(now + PATIENCE);
        (self.written, _) = (0, self.answer.clear());
        self.request.clear();
        if message::write(&mut self.request, &self.rules[waiting.rule].rule, &waiting, names).is_err() {
            // Can't happen with bounded names, paths and tokens.
            self.end(now, Err(AlertError::Status(413)));
        }
    }

    /// That many bytes of [`AlertStep::Write`] were taken.
    pub const fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
    }

    /// The connection has ended by itself.
    pub fn down(&mut self, now: Instant, error: LinkError) {
        if matches!(self.link, Link::Connecting(_) | Link::Busy(_)) {
            self.end(now, Err(AlertError::Link(error)));
        }
    }

    /// Bytes of the answer.
    pub fn input(&mut self, now: Instant, bytes: &[u8]) {
        if !matches!(self.link, Link::Busy(_)) {
            return;
        }
        let room = ANSWER - self.answer.len();
        let _ = self.answer.extend_from_slice(&bytes[..bytes.len().min(room)]);
        match status(&self.answer) {
            Ok(Some(200..=299)) => self.end(now, Ok(())),
            Ok(Some(status)) => self.end(now, Err(AlertError::Status(status))),
            Ok(None) if bytes.len() <= room => {}
            Ok(None) | Err(()) => self.end(now, Err(AlertError::NotHttp)),
        }
    }

    /// The end of a delivery.
    fn end(&mut self, now: Instant, result: Result<(), AlertError>) {
        self.link = Link::Over;
        let Some(waiting) = self.current.take() else { return };
        let Some(rule) = self.rules.get_mut(waiting.rule) else { return };
        let Err(error) = result else {
            rule.counters.sent += 1;
            rule.error = None;
            let failures = core::mem::take(&mut rule.failures);
            if failures > 0 {
                self.news = Some((waiting.rule, AlertNews::Back(failures)));
            }
            return;
        };
        rule.counters.failed += 1;
        let pause = FIRST_PAUSE.saturating_mul(1 << rule.failures.min(10)).min(LONGEST_PAUSE);
        rule.retry_at = now + pause;
        rule.failures = rule.failures.saturating_add(1);
        if rule.error.replace(error) != Some(error) {
            self.news = Some((waiting.rule, AlertNews::Failed(error, error.is_final())));
        }
        if error.is_final() || self.queue.push_front(waiting).is_err() {
            rule.counters.dropped += 1;
        }
    }
}

/// What is known of a rule.
#[derive(Clone, Copy, Debug)]
pub struct AlertFacts<'a> {
    /// Its name.
    pub name: &'a str,
    /// How its messages look.
    pub format: AlertFormat,
    /// What was done.
    pub counters: AlertCounters,
    /// How many messages wait.
    pub waiting: usize,
    /// Why the last attempt failed, until one succeeds.
    pub error: Option<AlertError>,
}

/// The status of an answer, once it is there; interim ones are passed over.
fn status(mut answer: &[u8]) -> Result<Option<u16>, ()> {
    loop {
        // The first line alone, however the rest was cut: headers are of no interest, and any number will do.
        let Some(end) = answer.iter().position(|byte| *byte == b'\n') else {
            let start = b"HTTP/1.";
            let agrees = answer.iter().zip(start).all(|(byte, wanted)| byte == wanted);
            return if agrees { Ok(None) } else { Err(()) };
        };
        let mut parsed = httparse::Response::new(&mut []);
        parsed.parse(&answer[..=end]).map_err(|_| ())?;
        let code = parsed.code.ok_or(())?;
        if !(100..200).contains(&code) {
            return Ok(Some(code));
        }
        let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
        answer = &answer[end + 4..];
    }
}

#[cfg(test)]
mod tests;
