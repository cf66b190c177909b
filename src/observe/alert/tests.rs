//! The rules and their deliveries, without any socket.

use super::*;
use crate::types::{EventKind, RouterError, Signal};
use proptest::prelude::*;

const SECRET: &str = "/hook/s3cret";

fn rule(name: &str, format: AlertFormat, topics: &[&str]) -> AlertRule {
    AlertRule {
        name: name.to_owned(),
        host: "hook.example".to_owned(),
        port: 443,
        path: SECRET.to_owned(),
        token: Some("t0ken".to_owned()),
        format,
        topics: topics.iter().map(|t| t.parse::<Topic>().unwrap()).collect(),
        wan: None,
        cool_down: Duration::from_secs(600),
    }
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn wan(index: usize) -> WanId {
    WanId::new(index).unwrap()
}

fn signal(index: usize, to: Signal) -> EventKind {
    EventKind::Signal { wan: wan(index), from: if to == Signal::Down { Signal::Good } else { Signal::Down }, to }
}

/// Alerts with a ring, and a webhook that takes everything at once.
struct House {
    alerts: Alerts,
    ring: EventRing,
    names: Vec<String>,
}

impl House {
    fn new(rules: Vec<AlertRule>) -> Self {
        let names = ["cable".to_owned(), "d\"sl\n".to_owned()].to_vec();
        Self { alerts: Alerts::new(rules, 0), ring: EventRing::default(), names }
    }

    fn happens(&mut self, at: Instant, kind: EventKind) {
        self.ring.push(Event { at, kind });
        self.alerts.watch(&self.ring, at, 1e9 + at.since(Instant::ZERO).as_secs_f64());
    }

    /// Delivers what may be delivered; the bodies.
    fn deliver(&mut self, now: Instant, answer: &[u8]) -> Vec<String> {
        let mut told = Vec::new();
        for second in 0..100 {
            let now = now + Duration::from_secs(2 * second);
            self.alerts.watch(&self.ring, now, 1e9);
            match self.alerts.poll(now, true) {
                AlertStep::Open(_, port) => assert_eq!(port, 443),
                other => {
                    assert_eq!(other, AlertStep::Nothing);
                    break;
                }
            }
            self.alerts.opened(now, &self.names);
            let mut text = String::new();
            while let AlertStep::Write(bytes) = self.alerts.poll(now, true) {
                let piece = bytes.len().min(100);
                text.push_str(core::str::from_utf8(&bytes[..piece]).unwrap());
                self.alerts.wrote(piece);
            }
            answer.chunks(3).for_each(|bytes| self.alerts.input(now, bytes));
            assert_eq!(self.alerts.poll(now, true), AlertStep::Close);
            told.push(text);
        }
        told
    }
}

const OK: &[u8] = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\nA: b\r\n";

fn body(request: &str) -> serde_json::Value {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).unwrap();
    assert_eq!(length, body.len().to_string());
    serde_json::from_str(body).unwrap_or_else(|_| body.into())
}

#[test]
fn one_message_in_each_format() {
    let formats = [AlertFormat::Json, AlertFormat::Ntfy, AlertFormat::Discord];
    let rules = formats.map(|format| rule(format.name(), format, &["wan-down"]));
    let mut house = House::new(rules.to_vec());
    house.happens(at(5), signal(1, Signal::Down));
    house.happens(at(5), EventKind::Reloaded);
    let told = house.deliver(at(6), OK);
    assert_eq!(told.len(), 3, "{told:?}");
    for text in &told {
        let head = text.split("\r\n\r\n").next().unwrap();
        assert!(head.starts_with("POST /hook/s3cret HTTP/1.1\r\nHost: hook.example\r\n"), "{head}");
        assert!(head.contains("\r\nAuthorization: Bearer t0ken\r\n"), "{head}");
    }
    let json = body(&told[0]);
    assert_eq!((&json["source"], &json["rule"], &json["schema"]), (&"wanctl".into(), &"json".into(), &1.into()));
    assert_eq!((&json["event"], &json["level"]), (&"signal quality".into(), &"WARN".into()));
    assert_eq!((&json["wan"], &json["suppressed"]), (&"d\"sl\n".into(), &0.into()));
    assert_eq!(json["time"], 1e9 + 5.0);
    assert!(json["text"].as_str().unwrap().contains("nothing answers"), "{json}");
    assert!(told[1].contains("\r\nTitle: wanctl: signal quality\r\nPriority: 4\r\nTags: warning\r\n"), "{}", told[1]);
    assert!(body(&told[1]).as_str().unwrap().contains("nothing answers"));
    let discord = body(&told[2]);
    assert!(discord["content"].as_str().unwrap().starts_with("wanctl WARN: d\"sl"), "{discord}");
    assert_eq!(discord["allowed_mentions"]["parse"], serde_json::json!([]));
    assert!(house.alerts.is_idle());
    assert_eq!(house.alerts.rule(0).unwrap().counters, AlertCounters { sent: 1, ..AlertCounters::default() });
}

/// Of a line that flaps all the time: the first bad news and the first good at once, the last one at the end of the
/// cool-down, with the number of those in between.
#[test]
fn a_flapping_line_is_told_of_seldom_and_never_leaves_old_news() {
    let mut house = House::new(vec![rule("r", AlertFormat::Json, &["wan-down"])]);
    for i in 0..50 {
        house.happens(at(10 + 10 * i), signal(0, if i % 2 == 0 { Signal::Down } else { Signal::Good }));
    }
    let told = house.deliver(at(505), OK);
    assert_eq!(told.len(), 2);
    assert_eq!(house.deliver(at(608), OK), Vec::<String>::new(), "the cool-down has not ended");
    let told = house.deliver(at(610), OK);
    assert_eq!(told.len(), 1);
    let last = body(&told[0]);
    assert!(last["text"].as_str().unwrap().contains("reflectors answer") && last["suppressed"] == 47, "{last}");
    assert_eq!(house.alerts.rule(0).unwrap().counters.suppressed, 47);
    // Another WAN and another kind have cool-downs of their own.
    house.happens(at(620), signal(1, Signal::Down));
    assert_eq!(house.deliver(at(620), OK).len(), 1);
}

#[test]
fn rules_choose() {
    let has = |topics: &[&str], kind| topics.iter().map(|t| t.parse::<Topic>().unwrap()).collect::<Topics>().has(&kind);
    let fault = EventKind::RouterFault(RouterError::ConnectTimeout);
    assert!(has(&["router faults"], fault) && has(&["warnings"], fault) && !has(&["errors"], fault));
    assert!(
        has(&["errors"], EventKind::Swapped { wan: wan(0) }) && has(&["warnings"], EventKind::Swapped { wan: wan(0) })
    );
    assert!(!has(&["wan-down"], signal(0, Signal::Silent)) || has(&["signal quality"], signal(0, Signal::Silent)));
    assert!(Topics::default().has(&signal(0, Signal::Down)) && Topics::default().has(&signal(0, Signal::Good)));
    assert!("router fault".parse::<Topic>().is_err());
    let mut house = House::new(vec![AlertRule { wan: Some(wan(1)), ..rule("r", AlertFormat::Ntfy, &["wan-down"]) }]);
    house.happens(at(1), signal(0, Signal::Down));
    assert!(house.deliver(at(1), OK).is_empty());
    house.happens(at(100), signal(1, Signal::Down));
    assert_eq!(house.deliver(at(100), OK).len(), 1);
}

/// What fails is tried again, more and more seldom, for an hour; what is refused is not.
#[test]
fn retries_back_off_and_end() {
    let mut house =
        House::new(vec![rule("r", AlertFormat::Json, &["reloads"]), rule("s", AlertFormat::Json, &["reloads"])]);
    house.happens(at(0), EventKind::Reloaded);
    let mut tried = [Vec::new(), Vec::new()];
    let mut news = Vec::new();
    for now in 0..6_000 {
        let now = at(now);
        if let AlertStep::Open(place, _) = house.alerts.poll(now, true) {
            tried[place].push(now);
            if place == 0 {
                house.alerts.down(now, LinkError::Refused);
            } else {
                house.alerts.opened(now, &[]);
                house.alerts.input(now, b"HTTP/1.1 403 Forbidden\r\n");
            }
            assert_eq!(house.alerts.poll(now, true), AlertStep::Close);
        }
        news.extend(house.alerts.take_news().map(|(name, news)| (name.to_owned(), news)));
    }
    let gaps: Vec<u64> = tried[0].windows(2).map(|w| w[1].since(w[0]).as_secs()).collect();
    assert!(gaps.starts_with(&[5, 10, 20, 40, 80, 160, 300, 300]) && gaps.len() < 20, "{gaps:?}");
    assert!(tried[0].last().unwrap().since(at(0)) <= TOO_OLD);
    assert_eq!(tried[1].len(), 1, "a refusal is final");
    let counters = [0, 1].map(|place| house.alerts.rule(place).unwrap().counters);
    assert_eq!((counters[0].dropped, counters[1].dropped, counters[1].failed), (1, 1, 1));
    let refused = AlertNews::Failed(AlertError::Link(LinkError::Refused), false);
    let denied = AlertNews::Failed(AlertError::Status(403), true);
    assert_eq!(news, [("r".to_owned(), refused), ("s".to_owned(), denied)], "each is told once");
}

#[test]
fn a_webhook_that_is_silent_is_given_up_in_time() {
    let mut house = House::new(vec![rule("r", AlertFormat::Json, &["reloads"])]);
    house.happens(at(0), EventKind::Reloaded);
    assert!(matches!(house.alerts.poll(at(0), true), AlertStep::Open(..)));
    assert_eq!(house.alerts.poll(at(9), true), AlertStep::Nothing);
    assert_eq!(house.alerts.poll(at(10), true), AlertStep::Close);
    assert_eq!(house.alerts.rule(0).unwrap().error, Some(AlertError::TimeOut));
    assert_eq!(house.alerts.rule(0).unwrap().waiting, 1);
}

fn kinds() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        (0usize..8, any::<bool>()).prop_map(|(i, down)| signal(i, if down { Signal::Down } else { Signal::Good })),
        Just(EventKind::Reloaded),
        (0u16..999).prop_map(|status| EventKind::RouterFault(RouterError::Status(status))),
        (0usize..8).prop_map(|i| EventKind::Swapped { wan: wan(i) }),
        (0u32..9).prop_map(|failures| EventKind::RouterBack { failures }),
    ]
}

proptest! {
    /// Whatever happens and whatever the webhook says: at most so many messages in a cool-down, every event is told,
    /// suppressed, given up or waits, and connections keep their distance.
    #[test]
    fn nothing_is_lost_and_nothing_floods(
        events in prop::collection::vec((0u64..300, kinds()), 1..120),
        moods in prop::collection::vec(0u8..5, 1..20),
    ) {
        let mut house = House::new(vec![rule("r", AlertFormat::Ntfy, &["warnings", "reloads", "signal quality", "the router answering again"])]);
        let (mut now, mut opened, mut n) = (0, None::<u64>, 0);
        let wanted = house.alerts.rules[0].rule.topics;
        let mut happened = 0;
        for (pause, kind) in events {
            let until = now + pause;
            happened += u64::from(wanted.has(&kind));
            house.happens(at(until), kind);
            while now <= until {
                match house.alerts.poll(at(now), true) {
                    AlertStep::Open(..) => {
                        prop_assert!(opened.is_none_or(|before| now >= before + 2));
                        opened = Some(now);
                        n += 1;
                        match moods[n % moods.len()] {
                            0 => house.alerts.down(at(now), LinkError::Reset),
                            1 => house.alerts.opened(at(now), &[]),
                            2 => { house.alerts.opened(at(now), &[]); house.alerts.input(at(now), b"\0\xffgarbage"); }
                            3 => { house.alerts.opened(at(now), &[]); house.alerts.input(at(now), b"HTTP/1.1 429 X\r\n"); }
                            _ => { house.alerts.opened(at(now), &[]); house.alerts.input(at(now), OK); }
                        }
                    }
                    AlertStep::Write(bytes) => { let n = bytes.len(); house.alerts.wrote(n); }
                    _ => {}
                }
                house.alerts.watch(&house.ring, at(now), 0.0);
                now += 1;
            }
        }
        let rule = &house.alerts.rules[0];
        let withheld: u64 = rule.told.iter().map(|told| u64::from(told.withheld)).sum();
        let waiting = house.alerts.rule(0).unwrap().waiting as u64;
        let c = rule.counters;
        prop_assert_eq!(c.sent + c.dropped + c.suppressed + withheld + waiting, happened);
    }

    #[test]
    fn any_answer_is_taken(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
        let _ = status(&bytes);
        let mut house = House::new(vec![rule("r", AlertFormat::Json, &["reloads"])]);
        house.happens(at(0), EventKind::Reloaded);
        let _ = house.alerts.poll(at(0), true);
        house.alerts.opened(at(0), &[]);
        bytes.chunks(512).for_each(|piece| house.alerts.input(at(0), piece));
    }
}
