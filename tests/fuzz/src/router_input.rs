//! A talk with a router that says anything, in any pieces, at any time, driven as the daemon
//! drives it: bytes in, changes of the connection, time-outs, the outcome, the next request, bytes
//! out.
//!
//! Steps: `i` bytes come, `b` bytes come and the connection ends in the same wake-up, `d` the
//! connection ends, `t` time passes, `s` what to ask from now on (`n`: nothing), `l` how many bytes
//! of a request go out in a wake-up, `r` the router refuses or accepts connections, `h` hurry.

use super::input::{Step, pieces, span, steps};
use wanctl::routeros::{self, Client, json};
use wanctl::types::{
    Bitrate, Duration, Exchange, Instant, Intent, Item, Limit, LinkError, Menu, QueueId, RateRange, RouterError,
    SwitchTable, Table, Text, Verbatim,
};

const STEPS: usize = 128;

/// Longest time a client may be in no state to ask: a refused password, and what is around it.
const PATIENCE: Duration = Duration::from_secs(90);

pub fn run(data: &[u8]) {
    let whole = Talk::new(false).script(data);
    let cut = Talk::new(true).script(data);
    // After the first answer a cut one may find a request under way where a whole one found none.
    assert_eq!(whole, cut, "the first answer, whole and in pieces");
}

/// A request's end: what came with it, and how it went.
type Outcome = (Vec<Item>, Result<Exchange, RouterError>);

/// One request of ours.
#[derive(Debug)]
struct Asked {
    intent: Intent,
    items: Vec<Item>,
    /// Objects that have come to an end since.
    closed_braces: usize,
}

struct Talk {
    client: Client,
    now: Instant,
    cut: bool,
    /// The connection as the board sees it.
    up: bool,
    opening: bool,
    refuses: bool,
    want: Option<Intent>,
    asked: Option<Asked>,
    /// What is left to write of the present request, on the present connection.
    unsent: usize,
    allowance: usize,
    id: QueueId,
    first: Option<Outcome>,
}

impl Talk {
    fn new(cut: bool) -> Self {
        let settings = routeros::Settings {
            host: "router.lan".into(),
            credentials: "wanctl:secret".into(),
            connect_timeout: Duration::from_secs(3),
            response_timeout: Duration::from_secs(10),
        };
        Self {
            client: Client::new(settings, 1),
            now: Instant::ZERO + Duration::from_secs(1),
            cut,
            up: false,
            opening: false,
            refuses: false,
            want: Some(Intent::ReadQueues(Menu::Tree)),
            asked: None,
            unsent: 0,
            allowance: usize::MAX,
            id: text("*1000000"),
            first: None,
        }
    }

    fn script(mut self, data: &[u8]) -> Option<Outcome> {
        self.wake(&[], 0, None);
        self.wake(&[], 0, None);
        for step in steps(data, STEPS) {
            self.step(step);
            self.wake(&[], 0, None);
        }
        self.recovers();
        self.first
    }

    fn step(&mut self, Step { what, how, payload }: Step<'_>) {
        match what {
            b'i' => self.wake(payload, how, None),
            b'b' => self.wake(payload, how, Some(LinkError::Closed)),
            b'd' => self.wake(&[], 0, Some(link_error(how))),
            b't' => {
                self.now += span(how);
                self.wake(&[], 0, None);
            }
            b's' => self.want = self.intent(how, payload),
            b'n' => self.want = None,
            b'l' => self.allowance = if how == 0 { usize::MAX } else { usize::from(how) },
            b'r' => self.refuses = how % 2 == 1,
            b'h' => self.client.hurry(self.now),
            _ => self.wake(&[], 0, None),
        }
    }

    fn intent(&self, how: u8, payload: &[u8]) -> Option<Intent> {
        let range = RateRange::new(Bitrate::from_bps(1), Bitrate::from_bps(u64::MAX))?;
        let rate = range.clamp(Bitrate::from_mbps(u64::from(how)));
        let set = |menu, limit| Intent::SetLimit { menu, id: self.id.clone(), limit };
        let (download, upload) = (Some(rate), Some(rate));
        let six = how.is_multiple_of(2);
        let list = || SwitchTable::List { six, name: text("steer \"a\"") };
        // High numbers, so that kept inputs mean what they meant.
        match how {
            246 | 247 => return Some(Intent::ReadSwitches(SwitchTable::Mangle { six })),
            248 | 249 => return Some(Intent::ReadSwitches(list())),
            250 | 251 => {
                let comment = text("calls \\ \"x\"");
                let table = SwitchTable::Mangle { six };
                return Some(Intent::Turn { table, id: self.id.clone(), comment, on: payload.is_empty() });
            }
            252 | 253 => return Some(Intent::Lease { table: list(), address: text("10.0.0.0/8"), seconds: 60 }),
            254 | 255 => return Some(Intent::Release { table: list(), id: self.id.clone() }),
            _ => {}
        }
        Some(match how % 9 {
            0 => Intent::ReadResource,
            1 => Intent::ReadQueues(Menu::Tree),
            2 => Intent::ReadQueues(Menu::Simple),
            3 => Intent::ReadInterface(text(core::str::from_utf8(payload).unwrap_or("ether1"))),
            4 => set(Menu::Tree, Limit::Controlled { download, upload: None }),
            5 => set(Menu::Tree, Limit::Controlled { download: None, upload }),
            6 => set(Menu::Simple, Limit::Controlled { download, upload }),
            8 => Intent::Read(Table::ALL[usize::from(payload.first().copied().unwrap_or(0)) % Table::ALL.len()]),
            _ => set(Menu::Tree, Limit::Original(Verbatim::try_from("100M").ok()?)),
        })
    }

    /// One wake-up of the daemon.
    fn wake(&mut self, bytes: &[u8], how: u8, event: Option<LinkError>) {
        if self.up && !bytes.is_empty() {
            self.input(bytes, how);
        }
        if self.opening {
            self.opening = false;
            if self.refuses {
                self.client.down(self.now, LinkError::Refused);
            } else {
                self.up = true;
                self.unsent = 0;
                self.client.opened(self.now);
            }
        } else if let Some(error) = event.filter(|_| self.up) {
            self.up = false;
            self.client.down(self.now, error);
            assert!(!self.client.is_open(), "open after the end of the connection");
        }
        self.client.tick(self.now);
        self.settle();
        if self.client.is_free(self.now)
            && let Some(intent) = self.want.clone()
        {
            assert!(self.up, "free without a connection");
            assert_eq!(self.unsent, 0, "a request behind a part of another");
            self.client.start(self.now, intent.clone());
            assert_eq!(self.client.in_flight(), Some(&intent));
            self.asked = Some(Asked { intent, items: Vec::new(), closed_braces: 0 });
        }
        self.output();
        let idle = self.client.is_free(self.now) || self.unsent > 0 || self.opening;
        assert!(idle || self.client.deadline() > self.now, "the loop would spin");
    }

    fn input(&mut self, bytes: &[u8], how: u8) {
        let braces = bytes.iter().filter(|&&b| b == b'}' || b == b']').count();
        let Self { client, asked, now, id, .. } = self;
        if let Some(asked) = asked {
            asked.closed_braces += braces;
        }
        let mut sink = |item: Item| {
            let asked = asked.as_mut().expect("an item that nobody asked for");
            asked_for(&asked.intent, &item);
            if let Item::Queue(row) = &item {
                id.clone_from(&row.id);
            }
            asked.items.push(item);
            assert!(asked.items.len() <= asked.closed_braces, "more objects than came to an end");
        };
        if self.cut {
            pieces(bytes, how).for_each(|piece| client.input(*now, piece, &mut sink));
        } else {
            client.input(*now, bytes, &mut sink);
        }
    }

    fn settle(&mut self) {
        let Some((intent, result)) = self.client.take_outcome() else { return };
        assert!(self.client.take_outcome().is_none(), "two outcomes");
        let Some(intent) = intent else {
            assert!(result.is_err() && self.asked.is_none(), "the end of a request without the request");
            return;
        };
        let asked = self.asked.take().expect("the end of what was not begun");
        assert_eq!(asked.intent, intent);
        if let Ok(exchange) = result {
            assert!(exchange.sent <= exchange.answered && exchange.answered <= self.now);
            let single = matches!(
                intent,
                Intent::ReadResource | Intent::SetLimit { .. } | Intent::Turn { .. } | Intent::Lease { .. }
            );
            assert!(!single || asked.items.len() == 1, "{} items", asked.items.len());
        }
        self.first.get_or_insert((asked.items, result));
    }

    fn output(&mut self) {
        for _ in 0..2048 {
            match self.client.poll(self.now) {
                routeros::Step::Open => {
                    assert!(!self.up && !self.opening, "a second connection");
                    self.opening = true;
                }
                routeros::Step::Close => {
                    (self.up, self.opening) = (false, false);
                    assert!(!self.client.is_open());
                }
                routeros::Step::Nothing => return,
                routeros::Step::Write(bytes) => {
                    if !self.up {
                        panic!("writing to nobody");
                    }
                    if self.unsent == 0 {
                        whole_request(bytes);
                    }
                    let taken = bytes.len().min(self.allowance);
                    self.unsent = bytes.len() - taken;
                    self.client.wrote(self.now, taken);
                    if self.unsent > 0 {
                        return;
                    }
                }
            }
        }
        panic!("something to do without end");
    }

    /// Whatever was said, in bounded time the next request can be asked.
    fn recovers(&mut self) {
        (self.refuses, self.want, self.allowance) = (false, None, usize::MAX);
        let start = self.now;
        for _ in 0..16 {
            self.wake(&[], 0, None);
            if self.client.is_free(self.now) {
                assert!(self.asked.is_none(), "a request without an end");
                assert!(self.now.since(start) < PATIENCE);
                return;
            }
            self.now = self.now.max(self.client.deadline());
        }
        panic!("never free again: {:?}", self.client);
    }
}

fn text<const N: usize>(s: &str) -> Text<N> {
    Text::try_from(s).unwrap_or_default()
}

const fn link_error(how: u8) -> LinkError {
    match how % 4 {
        0 => LinkError::Closed,
        1 => LinkError::Reset,
        2 => LinkError::Unreachable,
        _ => LinkError::Os(5),
    }
}

/// An item is of what was asked for, and came whole.
fn asked_for(intent: &Intent, item: &Item) {
    match (intent, item) {
        (Intent::ReadResource, Item::Resource(_)) | (Intent::ReadInterface(_), Item::Interface { .. }) => {}
        (Intent::Turn { id, .. }, Item::Switch(row)) => assert_eq!(row.id, *id),
        (Intent::ReadSwitches(_) | Intent::Lease { .. }, Item::Switch(_)) => {}
        (Intent::Read(table), Item::Row(row)) => assert!(row.0.contains_key(table.key())),
        (Intent::ReadQueues(menu), Item::Queue(row)) => {
            assert_eq!(row.menu, *menu);
            assert!(row.max_limit.split('/').all(|rate| json::rate(rate).is_some()));
        }
        (Intent::SetLimit { menu, id, .. }, Item::Queue(row)) => assert_eq!((&row.menu, &row.id), (menu, id)),
        _ => panic!("{item:?} for {intent:?}"),
    }
}

/// One request, no more: whatever names and ids it was made of.
fn whole_request(bytes: &[u8]) {
    let request = core::str::from_utf8(bytes).expect("a request of ASCII");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.split("\r\n");
    let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
    assert!(first.len() == 3 && first[2] == "HTTP/1.1" && first[1].starts_with("/rest/"), "{first:?}");
    assert!(first[1].bytes().all(|b| b.is_ascii_graphic()), "{first:?}");
    let headers: Vec<(&str, &str)> = lines.map(|line| line.split_once(": ").expect("a header")).collect();
    let names: Vec<&str> = headers.iter().map(|h| h.0).collect();
    if matches!(first[0], "GET" | "DELETE") {
        assert_eq!((names.as_slice(), body), (&["Host", "Authorization"][..], ""));
    } else {
        assert!(matches!(first[0], "PATCH" | "PUT"));
        assert_eq!(names, ["Host", "Authorization", "Content-Type", "Content-Length"]);
        assert_eq!(headers[3].1, body.len().to_string());
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(body).expect("an object");
        if !object.contains_key("max-limit") {
            assert!(object.values().all(serde_json::Value::is_string), "{body}");
            return;
        }
        let limit = body.strip_prefix(r#"{"max-limit":""#).and_then(|b| b.strip_suffix(r#""}"#)).expect("one member");
        assert!(limit.split('/').all(|rate| json::rate(rate).is_some()), "{limit}");
    }
}
