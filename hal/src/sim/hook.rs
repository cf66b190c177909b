//! Whoever gets alerts, played for a test: takes requests, answers as it is told to, remembers everything.

use crate::board::{LinkError, LinkEvent, LinkIo};
use crate::units::{Duration, Instant};

/// Time to connect, and from request to answer.
const WAY: Duration = Duration::from_millis(40);

/// What it does with whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookMood {
    /// Answers with this status.
    Answers(u16),
    /// Nothing listens.
    Refuses,
    /// Nothing is heard of it, not even whether it listens.
    Silent,
    /// Takes the request and says nothing.
    Mute,
    /// Takes the request and hangs up.
    HangsUp,
}

/// A connection.
#[derive(Clone, Debug)]
struct Call {
    open_at: Instant,
    is_open: bool,
    request: Vec<u8>,
    answer: Vec<u8>,
    answer_at: Option<Instant>,
}

/// One request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRequest {
    /// When.
    pub at: Instant,
    /// For which rule.
    pub slot: usize,
    /// Head and body.
    pub text: String,
}

/// The other side of all alerts.
#[derive(Clone, Debug)]
pub struct Hooks {
    /// What it does, rule by rule.
    pub moods: [HookMood; crate::MAX_HOOKS],
    /// Connections begun: when.
    pub calls: Vec<Instant>,
    /// What came.
    pub requests: Vec<HookRequest>,
    call: Option<Call>,
    slot: usize,
}

impl Default for Hooks {
    fn default() -> Self {
        let moods = [HookMood::Answers(200); crate::MAX_HOOKS];
        Self { moods, calls: Vec::new(), requests: Vec::new(), call: None, slot: 0 }
    }
}

impl Hooks {
    fn mood(&self) -> HookMood {
        self.moods[self.slot.min(crate::MAX_HOOKS - 1)]
    }

    pub(super) fn open(&mut self, slot: usize, now: Instant) {
        self.slot = slot;
        self.calls.push(now);
        let (request, answer) = (Vec::new(), Vec::new());
        self.call = Some(Call { open_at: now + WAY, is_open: false, request, answer, answer_at: None });
    }

    pub(super) fn close(&mut self) {
        self.call = None;
    }

    pub(super) fn poll(&mut self, now: Instant) -> Option<LinkEvent> {
        let mood = self.mood();
        let call = self.call.as_mut().filter(|call| call.open_at <= now)?;
        let down = |error| Some(LinkEvent::Down(error));
        let end = match (mood, call.is_open) {
            (HookMood::Refuses, false) => down(LinkError::Refused),
            (HookMood::Silent, false) => return None,
            (_, false) => {
                call.is_open = true;
                return Some(LinkEvent::Open { resumed: None });
            }
            (HookMood::HangsUp, true) if call.answer_at.is_some_and(|at| at <= now) => down(LinkError::Closed),
            _ => return None,
        };
        self.call = None;
        end
    }

    pub(super) fn write(&mut self, bytes: &[u8], now: Instant) -> LinkIo {
        let (mood, slot) = (self.mood(), self.slot);
        let Some(call) = self.call.as_mut().filter(|call| call.is_open) else { return LinkIo::Down };
        // Not all at once, as with a full buffer of a socket.
        let taken = bytes.len().min(700);
        call.request.extend_from_slice(&bytes[..taken]);
        if call.answer_at.is_none() && is_whole(&call.request) {
            call.answer_at = Some(now + WAY);
            let text = String::from_utf8_lossy(&call.request).into_owned();
            self.requests.push(HookRequest { at: now, slot, text });
            if let HookMood::Answers(status) = mood {
                call.answer = format!("HTTP/1.1 {status} So\r\nContent-Length: 2\r\n\r\n{{}}").into_bytes();
            }
        }
        LinkIo::Moved(taken)
    }

    pub(super) fn read(&mut self, buffer: &mut [u8], now: Instant) -> LinkIo {
        let Some(call) = self.call.as_mut().filter(|call| call.is_open) else { return LinkIo::Down };
        if call.answer_at.is_none_or(|at| at > now) || call.answer.is_empty() {
            return LinkIo::WouldBlock;
        }
        // In pieces: an answer need not come in one.
        let length = call.answer.len().min(buffer.len()).min(7);
        buffer[..length].copy_from_slice(&call.answer[..length]);
        call.answer.drain(..length);
        LinkIo::Moved(length)
    }
}

/// Whether the head and as many bytes of the body as it says are there.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
    length.is_some_and(|length| request.len() >= head.len() + 4 + length)
}
