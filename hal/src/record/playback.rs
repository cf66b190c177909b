//! A board that gives the answers of a recording, and compares what the daemon says.

use super::entry::{End, Entry, Io, Shown};
use super::file::{Reader, Recording};
use super::recorder::{source_text, target_text};
use super::veil::Veil;
use crate::board::{
    BadTrust, Board, Clock, EchoEvent, EchoRequest, LinkEvent, LinkIo, LinkTarget, OpenError, ProbeSource, Ready,
    SendError, Signal, StoreError, StoreFile, TcpProbe, WanId,
};
use crate::units::{Duration, Instant};
use core::fmt;
use core::net::SocketAddr;
use std::cell::RefCell;
use std::rc::Rc;

/// The first thing that was not as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// When, from the first reading of the clock.
    pub at: Duration,
    /// What the daemon did in the recorded run.
    pub recorded: String,
    /// What it does now.
    pub now: String,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "recorded: {}\n     now: {}", self.recorded, self.now)
    }
}

/// What has been played so far. Shared by the board and by whoever reads notes.
#[derive(Debug)]
pub struct Player {
    reader: Reader,
    veil: Veil,
    began: Option<Instant>,
    /// Behind the end (or a divergence) time goes on, and nothing happens any more.
    beyond: Option<Instant>,
    clock: Clock,
    end: Option<End>,
    divergence: Option<Divergence>,
}

impl Player {
    /// The next entry, if the recording goes on as the daemon does: `fits` takes it or gives it
    /// back. Otherwise the recording has ended, or this is the divergence.
    fn next<T>(
        &mut self,
        said: impl FnOnce() -> String,
        fits: impl FnOnce(Entry<'static>, &mut Veil) -> Result<T, Entry<'static>>,
    ) -> Option<T> {
        if self.beyond.is_some() {
            return None;
        }
        let entry = self.reader.next();
        let recorded = match entry {
            Some(Entry::End(end)) => {
                self.end = Some(end);
                None
            }
            Some(entry) => match fits(entry, &mut self.veil) {
                Ok(answer) => return Some(answer),
                Err(entry) => Some(entry.to_string()),
            },
            None if self.reader.is_empty() => None,
            None => Some("something that this program can't read".to_owned()),
        };
        self.beyond = Some(self.reader.now());
        if let Some(recorded) = recorded {
            let at = self.reader.now().since(self.began.unwrap_or_default());
            self.divergence = Some(Divergence { at, recorded, now: said() });
        }
        None
    }

    /// The next note.
    pub fn note(&mut self) -> Option<Vec<u8>> {
        self.next(
            || Entry::Note([][..].into()).to_string(),
            |entry, _| if let Entry::Note(bytes) = entry { Ok(bytes.into_owned()) } else { Err(entry) },
        )
    }

    /// The daemon has stopped: so must the recording.
    pub fn stopped(&mut self) {
        self.next(|| Entry::End(End::Stopped).to_string(), |entry, _| Err::<(), _>(entry));
    }

    /// Whether the recording has ended, or was left.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.beyond.is_some()
    }

    /// The first difference.
    #[must_use]
    pub const fn divergence(&self) -> Option<&Divergence> {
        self.divergence.as_ref()
    }

    /// Why the recording ends; `None` when it was cut off, and before its end.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        self.end
    }
}

/// A machine that was there before.
#[derive(Debug)]
pub struct Playback {
    player: Rc<RefCell<Player>>,
}

impl Playback {
    /// Plays from the beginning.
    #[must_use]
    pub fn new(recording: Recording) -> Self {
        let player = Player {
            reader: recording.into_reader(),
            veil: Veil::default(),
            began: None,
            beyond: None,
            clock: Clock { now: Instant::ZERO, wall: crate::WallClock(0) },
            end: None,
            divergence: None,
        };
        Self { player: Rc::new(RefCell::new(player)) }
    }

    /// What is played, for whoever reads notes or wants to know how it went.
    #[must_use]
    pub fn player(&self) -> Rc<RefCell<Player>> {
        Rc::clone(&self.player)
    }

    /// The answer to what is said, if the recording has it.
    fn ask<T>(&self, said: &Entry<'_>, fits: impl FnOnce(Entry<'static>) -> Result<T, Entry<'static>>) -> Option<T> {
        self.player.borrow_mut().next(|| said.to_string(), |entry, _| fits(entry))
    }
}

/// Takes the answer out of an entry of the right kind that says the same.
macro_rules! fits {
    ($pattern:pat if $same:expr => $answer:expr) => {
        |entry| {
            if let $pattern = &entry
                && $same
            {
                Ok($answer)
            } else {
                Err(entry)
            }
        }
    };
}

impl Board for Playback {
    fn clock(&mut self) -> Clock {
        let said = Entry::Clock(self.player.borrow().clock);
        let answer = self.ask(&said, fits!(Entry::Clock(clock) if true => *clock));
        let mut player = self.player.borrow_mut();
        if let Some(clock) = answer {
            player.clock = clock;
            player.began.get_or_insert(clock.now);
        } else if let Some(now) = player.beyond {
            player.clock.now = now;
        }
        player.clock
    }

    fn entropy(&mut self) -> u64 {
        self.ask(&Entry::Entropy(0), fits!(Entry::Entropy(bits) if true => *bits)).unwrap_or(0)
    }

    fn wait(&mut self, until: Instant) -> Ready {
        let asked = until.since(self.player.borrow().reader.now());
        let said = Entry::Wait { at_most: asked, ready: Ready::default() };
        let answer = self.ask(&said, fits!(Entry::Wait { at_most, ready } if *at_most == asked => *ready));
        let mut player = self.player.borrow_mut();
        if let Some(now) = &mut player.beyond {
            *now = (*now).max(until);
        }
        answer.unwrap_or_default()
    }

    fn open_wan(&mut self, wan: WanId, source: &ProbeSource) -> Result<(), OpenError> {
        let source = source_text(source);
        let said = Entry::OpenWan { wan, source: source.as_str().into(), result: Ok(()) };
        let fits = fits!(
            Entry::OpenWan { wan: w, source: s, result } if *w == wan && *s == source => result.clone()
        );
        self.ask(&said, fits).unwrap_or(Ok(()))
    }

    fn close_wan(&mut self, wan: WanId) {
        self.ask(&Entry::CloseWan(wan), fits!(Entry::CloseWan(w) if *w == wan => ()));
    }

    fn send_echo(&mut self, wan: WanId, request: &EchoRequest) -> Result<Instant, SendError> {
        let said = Entry::SendEcho { wan, request: *request, result: Err(SendError::WouldBlock) };
        let fits = fits!(
            Entry::SendEcho { wan: w, request: r, result } if *w == wan && r == request => *result
        );
        self.ask(&said, fits).unwrap_or(Err(SendError::NoSocket))
    }

    fn send_trace(&mut self, wan: WanId, request: &EchoRequest, hops: u8) -> Result<Instant, SendError> {
        let said = Entry::SendTrace { wan, request: *request, hops, result: Err(SendError::WouldBlock) };
        let fits = fits!(
            Entry::SendTrace { wan: w, request: r, hops: h, result }
                if (*w, *h) == (wan, hops) && r == request => *result
        );
        self.ask(&said, fits).unwrap_or(Err(SendError::NoSocket))
    }

    fn recv_echo(&mut self, wan: WanId) -> Option<EchoEvent> {
        let fits = fits!(Entry::RecvEcho { wan: w, event } if *w == wan => *event);
        self.ask(&Entry::RecvEcho { wan, event: None }, fits).flatten()
    }

    fn tcp_probe(&mut self, wan: WanId, slot: u8, to: SocketAddr) -> Result<(), SendError> {
        let said = Entry::TcpProbe { wan, slot, to, result: Ok(()) };
        let fits = fits!(
            Entry::TcpProbe { wan: w, slot: s, to: t, result } if (*w, *s, *t) == (wan, slot, to) => *result
        );
        self.ask(&said, fits).unwrap_or(Err(SendError::NoSocket))
    }

    fn tcp_result(&mut self, wan: WanId) -> Option<TcpProbe> {
        let fits = fits!(Entry::TcpResult { wan: w, probe } if *w == wan => *probe);
        self.ask(&Entry::TcpResult { wan, probe: None }, fits).flatten()
    }

    fn link_target(&mut self, target: &LinkTarget) -> Result<(), BadTrust> {
        let target = target_text(target);
        let said = Entry::LinkTarget { target: target.as_str().into(), result: Ok(()) };
        self.ask(&said, fits!(Entry::LinkTarget { target: t, result } if *t == target => *result)).unwrap_or(Ok(()))
    }

    fn link_open(&mut self, to: SocketAddr) {
        self.ask(&Entry::LinkOpen(to), fits!(Entry::LinkOpen(t) if *t == to => ()));
        self.player.borrow_mut().veil = Veil::default();
    }

    fn link_poll(&mut self) -> Option<LinkEvent> {
        self.ask(&Entry::LinkPoll(None), fits!(Entry::LinkPoll(event) if true => *event)).flatten()
    }

    fn link_read(&mut self, buffer: &mut [u8]) -> LinkIo {
        let said = Entry::LinkRead(Io::WouldBlock);
        let fits = |entry| match entry {
            Entry::LinkRead(Io::Moved(bytes)) if bytes.len() <= buffer.len() => {
                buffer[..bytes.len()].copy_from_slice(&bytes);
                Ok(LinkIo::Moved(bytes.len()))
            }
            Entry::LinkRead(Io::WouldBlock) => Ok(LinkIo::WouldBlock),
            Entry::LinkRead(Io::Down) => Ok(LinkIo::Down),
            other => Err(other),
        };
        self.ask(&said, fits).unwrap_or(LinkIo::WouldBlock)
    }

    fn link_write(&mut self, offered: &[u8]) -> LinkIo {
        let said = || {
            let mut veil = Veil::default();
            let seen: Vec<u8> = offered.iter().copied().filter(|&byte| !veil.hides(byte)).collect();
            format!("offered to the router: {}", Shown(&seen))
        };
        let fits = |entry, veil: &mut Veil| match entry {
            Entry::LinkWrite(Io::Moved(public)) => match veil.take(offered, &public) {
                Some(taken) => Ok(LinkIo::Moved(taken)),
                None => Err(Entry::LinkWrite(Io::Moved(public))),
            },
            Entry::LinkWrite(Io::WouldBlock) => Ok(LinkIo::WouldBlock),
            Entry::LinkWrite(Io::Down) => Ok(LinkIo::Down),
            other => Err(other),
        };
        self.player.borrow_mut().next(said, fits).unwrap_or(LinkIo::WouldBlock)
    }

    fn link_close(&mut self) {
        self.ask(&Entry::LinkClose, fits!(Entry::LinkClose if true => ()));
    }

    fn signal(&mut self) -> Option<Signal> {
        self.ask(&Entry::Signal(None), fits!(Entry::Signal(signal) if true => *signal)).flatten()
    }

    fn load(&mut self, file: StoreFile, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let said = Entry::Load { file, result: Err(StoreError::NotFound) };
        let fits = |entry| match entry {
            Entry::Load { file: f, result: Ok(content) } if f == file && content.len() <= buffer.len() => {
                buffer[..content.len()].copy_from_slice(&content);
                Ok(Ok(content.len()))
            }
            Entry::Load { file: f, result: Err(error) } if f == file => Ok(Err(error)),
            other => Err(other),
        };
        self.ask(&said, fits).unwrap_or(Err(StoreError::NotFound))
    }

    fn store(&mut self, file: StoreFile, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
        let said = Entry::Store { file, durable, bytes: bytes.into(), result: Ok(()) };
        let fits = fits!(
            Entry::Store { file: f, durable: d, bytes: b, result }
            if (*f, *d) == (file, durable) && **b == *bytes => *result
        );
        self.ask(&said, fits).unwrap_or(Ok(()))
    }
}
