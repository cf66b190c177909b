//! One WAN of the world: its line, who answers behind it, and the probes under way on it.

use super::line::{Entry, Line, LineSetup};
use super::reflector::{Answer, Connect, Reflector, Target};
use super::rng::Rng;
use super::setup::{Half, ShaperRef};
use crate::board::{EchoEvent, EchoReply, EchoRequest, OpenError, SendError, TcpProbe};
use crate::units::{Direction, Duration, Instant};
use core::cmp::Reverse;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::{BinaryHeap, VecDeque};

/// Most probes of one WAN under way, and most answers that wait to be read.
const CAPACITY: usize = 4_096;

/// A probe on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Probe {
    /// Position in `reflectors` is not kept: what it will answer is decided when it is sent.
    Echo {
        to: IpAddr,
        sequence: u16,
        token: u64,
        answer: AnswerKind,
        duplicates: u8,
    },
    Tcp {
        slot: u8,
        attempt: u32,
        sent: Instant,
        error: Option<i32>,
    },
}

/// [`Answer`] with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum AnswerKind {
    Reply(IpAddr),
    Unreachable(IpAddr),
}

/// Where a probe is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Reaches the FIFO of the download on its way back.
    Back,
    /// Reaches us.
    Home,
}

/// Something that waits for its time: ordered by time, then by order of making.
type Timer = Reverse<(Instant, u64, Stage, Duration, Probe)>;

/// A probe in a FIFO.
#[derive(Clone, Copy, Debug)]
struct Crossing {
    place: f64,
    entered: Instant,
    extra: Duration,
    probe: Probe,
}

/// One WAN of a world.
#[derive(Debug)]
pub struct Wan {
    /// Its line.
    pub line: Line,
    /// Its shapers on the router: download, upload.
    pub shapers: [ShaperRef; 2],
    /// Its interface on the router: received is download.
    pub interface: String,
    /// Who answers echo requests.
    pub reflectors: Vec<(IpAddr, Reflector)>,
    /// Who answers SYN.
    pub targets: Vec<(SocketAddr, Target)>,
    /// The routers on the way, nearest first: who answers a probe that may go no farther.
    pub path: Vec<IpAddr>,
    /// Sockets can't be opened.
    pub open_error: Option<OpenError>,
    /// Nothing can be sent.
    pub send_error: Option<SendError>,
    is_open: bool,
    crossing: [VecDeque<Crossing>; 2],
    timers: BinaryHeap<Timer>,
    made: u64,
    echoes: VecDeque<EchoEvent>,
    connects: VecDeque<TcpProbe>,
    attempts: [u32; 256],
    rng: Rng,
}

impl Wan {
    /// A WAN whose shapers are the queues `name-dl` and `name-ul` of the tree.
    #[must_use]
    pub fn new(name: &str, interface: &str, setup: &LineSetup) -> Self {
        let shaper = |suffix| ShaperRef { queue: format!("{name}-{suffix}"), half: Half::First };
        Self {
            line: Line::new(setup),
            shapers: [shaper("dl"), shaper("ul")],
            interface: interface.to_owned(),
            reflectors: Vec::new(),
            targets: Vec::new(),
            // Our own router, and one of the provider's.
            path: vec![
                IpAddr::V4(Ipv4Addr::new(192, 168, 88, 1)),
                IpAddr::V4(Ipv4Addr::new(100, 64, name.bytes().fold(0, u8::wrapping_add), 1)),
            ],
            open_error: None,
            send_error: None,
            is_open: false,
            crossing: [VecDeque::with_capacity(CAPACITY), VecDeque::with_capacity(CAPACITY)],
            timers: BinaryHeap::with_capacity(CAPACITY),
            made: 0,
            echoes: VecDeque::with_capacity(CAPACITY),
            connects: VecDeque::with_capacity(256),
            attempts: [0; 256],
            rng: Rng::new(setup.seed ^ 0x5741_4E00),
        }
    }

    /// The same with these reflectors, at no extra distance.
    #[must_use]
    pub fn with_reflectors(mut self, addresses: &[IpAddr]) -> Self {
        self.reflectors = addresses.iter().map(|&address| (address, Reflector::default())).collect();
        self
    }

    /// The reflector at this address.
    pub fn reflector(&mut self, address: IpAddr) -> Option<&mut Reflector> {
        self.reflectors.iter_mut().find(|(a, _)| *a == address).map(|(_, r)| r)
    }

    /// The TCP target at this address.
    pub fn target(&mut self, address: SocketAddr) -> Option<&mut Target> {
        self.targets.iter_mut().find(|(a, _)| *a == address).map(|(_, t)| t)
    }

    // ---- the board's side --------------------------------------------------------------------

    /// Opens the sockets; what waited in the old ones is gone.
    ///
    /// # Errors
    /// What [`Wan::open_error`] says.
    pub fn open(&mut self) -> Result<(), OpenError> {
        self.close();
        if let Some(error) = &self.open_error {
            return Err(error.clone());
        }
        self.is_open = true;
        Ok(())
    }

    /// Closes the sockets.
    pub fn close(&mut self) {
        self.is_open = false;
        self.echoes.clear();
    }

    /// Sends an echo request.
    ///
    /// # Errors
    /// What [`Wan::send_error`] says, or that the sockets are not open.
    pub fn send_echo(&mut self, now: Instant, request: &EchoRequest) -> Result<Instant, SendError> {
        if !self.is_open {
            return Err(SendError::NoSocket);
        }
        self.send_error.map_or(Ok(()), Err)?;
        let found = self.reflectors.iter_mut().find(|(a, _)| *a == request.to).map(|(_, r)| r);
        let Some(reflector) = found else { return Ok(now) };
        if !reflector.answers(now, &mut self.rng) {
            return Ok(now);
        }
        let reflector = *reflector;
        let (answer, token) = match reflector.answer {
            Answer::Reply => (AnswerKind::Reply(request.to), request.token),
            Answer::From(other) => (AnswerKind::Reply(other), request.token),
            Answer::ForgedToken => (AnswerKind::Reply(request.to), !request.token),
            Answer::Unreachable(router) => (AnswerKind::Unreachable(router), request.token),
        };
        let duplicates = reflector.duplicates;
        let probe = Probe::Echo { to: request.to, sequence: request.sequence, token, answer, duplicates };
        self.depart(now, reflector.extra, probe);
        Ok(now)
    }

    /// Sends a probe that may go over so many hops.
    ///
    /// # Errors
    /// As [`Wan::send_echo`].
    pub fn send_trace(&mut self, now: Instant, request: &EchoRequest, hops: u8) -> Result<Instant, SendError> {
        let Some(router) = usize::from(hops).checked_sub(1).and_then(|i| self.path.get(i)).copied() else {
            return self.send_echo(now, request);
        };
        if !self.is_open {
            return Err(SendError::NoSocket);
        }
        self.send_error.map_or(Ok(()), Err)?;
        let answer = AnswerKind::Unreachable(router);
        let (to, sequence, token) = (request.to, request.sequence, request.token);
        self.depart(now, Duration::ZERO, Probe::Echo { to, sequence, token, answer, duplicates: 0 });
        Ok(now)
    }

    /// Takes what came in on the ICMP sockets.
    pub fn recv_echo(&mut self) -> Option<EchoEvent> {
        self.echoes.pop_front()
    }

    /// Starts to connect.
    ///
    /// # Errors
    /// What [`Wan::send_error`] says.
    pub fn tcp_probe(&mut self, now: Instant, slot: u8, to: SocketAddr) -> Result<(), SendError> {
        self.send_error.map_or(Ok(()), Err)?;
        let attempt = self.attempts[usize::from(slot)].wrapping_add(1);
        self.attempts[usize::from(slot)] = attempt;
        let Some((_, target)) = self.targets.iter().find(|(a, _)| *a == to).copied() else { return Ok(()) };
        let error = match target.connect {
            Connect::Answers => None,
            Connect::Silent => return Ok(()),
            Connect::Fails(error) => Some(error_number(error)),
        };
        self.depart(now, target.extra, Probe::Tcp { slot, attempt, sent: now, error });
        Ok(())
    }

    /// Takes one finished TCP probe.
    pub fn tcp_result(&mut self) -> Option<TcpProbe> {
        self.connects.pop_front()
    }

    /// Puts something into the ICMP socket that no reflector sent.
    pub fn inject(&mut self, event: EchoEvent) {
        if self.is_open && self.echoes.len() < CAPACITY {
            self.echoes.push_back(event);
        }
    }

    /// Whether echo events wait, and whether TCP probes have ended.
    #[must_use]
    pub fn ready(&self) -> (bool, bool) {
        (!self.echoes.is_empty(), !self.connects.is_empty())
    }

    // ---- time --------------------------------------------------------------------------------

    /// When something happens to a probe next, at the latest the end of the next step while
    /// one is in a FIFO and `exact` is asked for; otherwise by the present rate.
    #[must_use]
    pub fn next_due(&self, exact: bool) -> Option<Instant> {
        let step = self.line.now() + Duration::from_millis(1);
        let crossing = Direction::BOTH.into_iter().filter_map(|direction| {
            let place = self.crossing[direction.index()].front()?.place;
            Some(if exact { step } else { step + self.line.remaining(direction, place) })
        });
        let timer = self.timers.peek().map(|Reverse((at, ..))| *at);
        crossing.chain(timer).min()
    }

    /// Brings the line and the probes to `now`. To be called at least at every
    /// [`Wan::next_due`] (exact).
    pub fn advance(&mut self, now: Instant) {
        self.line.advance(now);
        for direction in Direction::BOTH {
            while let Some(front) = self.crossing[direction.index()].front().copied() {
                let Some(left) = self.line.left(direction, front.place) else { break };
                self.crossing[direction.index()].pop_front();
                let left = if left > front.entered { left } else { front.entered };
                self.leave(direction, left, front.extra, front.probe);
            }
        }
        while self.timers.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((at, _, stage, extra, probe))) = self.timers.pop() else { break };
            match stage {
                Stage::Back => self.enter(Direction::Download, at, extra, probe),
                Stage::Home => self.arrive(at, probe),
            }
        }
    }

    fn depart(&mut self, now: Instant, extra: Duration, probe: Probe) {
        let at = now + self.line.sparse_wait(Direction::Upload);
        self.enter(Direction::Upload, at, extra, probe);
    }

    fn enter(&mut self, direction: Direction, at: Instant, extra: Duration, probe: Probe) {
        match self.line.enter(direction, at) {
            Entry::Passes => self.leave(direction, at, extra, probe),
            Entry::Waits(place) => {
                let queue = &mut self.crossing[direction.index()];
                // First in, first out also for those that enter a little later in the same step.
                let place = queue.back().map_or(place, |last| if last.place > place { last.place } else { place });
                if queue.len() < CAPACITY {
                    queue.push_back(Crossing { place, entered: at, extra, probe });
                }
            }
            Entry::Dropped => {}
        }
    }

    fn leave(&mut self, direction: Direction, at: Instant, extra: Duration, probe: Probe) {
        let half = self.line.base_rtt() / 2;
        match direction {
            Direction::Upload => {
                let grant = self.line.jitter(direction, at);
                self.set_timer(at + grant + half + extra, Stage::Back, extra, probe);
            }
            Direction::Download => {
                let rest = half + self.line.sparse_wait(direction) + self.line.jitter(direction, at);
                self.set_timer(at + rest, Stage::Home, extra, probe);
            }
        }
    }

    fn set_timer(&mut self, at: Instant, stage: Stage, extra: Duration, probe: Probe) {
        if self.timers.len() < CAPACITY {
            self.made += 1;
            self.timers.push(Reverse((at, self.made, stage, extra, probe)));
        }
    }

    fn arrive(&mut self, at: Instant, probe: Probe) {
        match probe {
            Probe::Echo { to, sequence, token, answer, duplicates } => {
                let event = match answer {
                    AnswerKind::Reply(from) => EchoEvent::Reply(EchoReply { from, sequence, token, at }),
                    AnswerKind::Unreachable(from) => EchoEvent::Unreachable { from, to, sequence },
                };
                (0..=duplicates).for_each(|_| self.inject(event));
            }
            Probe::Tcp { slot, attempt, sent, error } => {
                if self.attempts[usize::from(slot)] == attempt && self.connects.len() < 256 {
                    let result = error.map_or(Ok(at.since(sent)), |errno| Err(SendError::Os(errno)));
                    self.connects.push_back(TcpProbe { slot, result });
                }
            }
        }
    }
}

/// The number the operating system has for an error.
const fn error_number(error: SendError) -> i32 {
    match error {
        SendError::WouldBlock => 11,
        SendError::NoBuffers => 105,
        SendError::NetworkUnreachable => 101,
        SendError::NotPermitted => 1,
        SendError::NoAddress => 99,
        SendError::NoSocket => 97,
        SendError::Os(errno) => errno,
    }
}
