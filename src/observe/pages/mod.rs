//! The documents of the endpoint. Each is made piece by piece into a small buffer, over as many
//! wake-ups as it takes, so that none of them can hold the loop up and none is ever whole in memory.

mod events;
mod health;
mod history;
mod metrics;
mod status;

pub use health::{Health, is_ready, judge};
pub use history::Query;
pub use metrics::described;

use super::Facts;
use core::fmt;

/// Bytes of the largest piece.
pub const PIECE: usize = 4_096;

/// What a piece is written to.
pub type Piece = heapless::String<PIECE>;

/// The version of the documents' form; it grows when a member goes away or changes its meaning.
pub const SCHEMA: u32 = 1;

/// A document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Page {
    /// Whether all is well, for machines that act on it.
    Health,
    /// Whether it works at all.
    Ready,
    /// Everything.
    Status,
    /// Everything, for Prometheus.
    Metrics {
        /// As OpenMetrics, which it has to ask for.
        open: bool,
    },
    /// The last events.
    Events,
    /// What was.
    History(Query),
    /// For people.
    Index,
}

impl Page {
    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Health | Self::Ready | Self::Status | Self::Events => "application/json",
            Self::Metrics { open: true } => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Metrics { open: false } => "text/plain; version=0.0.4; charset=utf-8",
            Self::History(query) => query.media_type(),
            Self::Index => "text/html; charset=utf-8",
        }
    }
}

/// The page for people, whole.
pub const INDEX: &str = include_str!("page.html");

/// Where in a document we are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cursor {
    page: Page,
    step: u32,
    /// Number of the event or record that comes next.
    number: u64,
    /// Something of the present list was written.
    listed: bool,
}

impl Cursor {
    /// At the beginning.
    #[must_use]
    pub const fn new(page: Page) -> Self {
        Self { page, step: 0, number: 0, listed: false }
    }

    /// Writes the next piece. Returns whether there is more.
    pub fn piece(&mut self, facts: &dyn Facts, out: &mut Piece) -> bool {
        let more = match self.page {
            Page::Health => health::health(facts, out),
            Page::Ready => health::ready(facts, out),
            Page::Status => status::piece(self.step, facts, out),
            Page::Metrics { open } => metrics::piece(self, open, facts, out),
            Page::Events => events::piece(self, facts, out),
            Page::History(query) => history::piece(query, self, facts, out),
            Page::Index => self.index(out),
        };
        self.step += 1;
        more
    }

    /// What stands between two members of a list; nothing before the first.
    fn separator(&mut self) -> &'static str {
        if core::mem::replace(&mut self.listed, true) { "," } else { "" }
    }

    fn index(&self, out: &mut Piece) -> bool {
        const STRIDE: usize = PIECE - 8;
        let from = usize::try_from(self.step).unwrap_or(usize::MAX).saturating_mul(STRIDE);
        let cut = |at: usize| (at.min(INDEX.len())..=INDEX.len()).find(|i| INDEX.is_char_boundary(*i));
        let (from, to) = (cut(from).unwrap_or(INDEX.len()), cut(from + STRIDE).unwrap_or(INDEX.len()));
        let _ = out.push_str(&INDEX[from..to]);
        to < INDEX.len()
    }
}

/// What can be displayed, as a JSON string.
pub(super) struct Quoted<T>(pub(super) T);

impl<T: fmt::Display> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        struct Escape<'a, 'b>(&'a mut fmt::Formatter<'b>);
        impl fmt::Write for Escape<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                for c in text.chars() {
                    match c {
                        '"' => self.0.write_str("\\\"")?,
                        '\\' => self.0.write_str("\\\\")?,
                        c if c.is_control() => write!(self.0, "\\u{:04x}", u32::from(c))?,
                        c => self.0.write_char(c)?,
                    }
                }
                Ok(())
            }
        }
        f.write_char('"')?;
        write!(Escape(f), "{}", self.0)?;
        f.write_char('"')
    }
}

/// A number, or `null`.
pub(super) struct OrNull<T>(pub(super) Option<T>);

impl<T: fmt::Display> fmt::Display for OrNull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("null"),
        }
    }
}
