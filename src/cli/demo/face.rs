//! What the audience sees: a picture redrawn in place on a terminal, or lines of plain text.

use super::paint::Paint;
use super::scenes::SCENES;
use super::summary::Outcome;
use super::view::{self, Moment};
use core::fmt::Write as _;
use std::io::{self, Write};

/// To the terminal's second screen (what was on the first one stays), and the cursor away.
const OPEN: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";

/// Back; a terminal with one screen only is left empty.
const CLOSE: &str = "\x1b[2J\x1b[H\x1b[?25h\x1b[?1049l";

/// Where the show is shown. A terminal is as before when this is gone.
pub(super) struct Face<'a> {
    out: &'a mut dyn Write,
    /// `None`: plain text.
    picture: Option<Paint>,
    open: bool,
}

impl<'a> Face<'a> {
    /// A picture painted so, or (`None`) plain text.
    pub(super) fn new(out: &'a mut dyn Write, picture: Option<Paint>) -> Self {
        Self { out, picture, open: false }
    }

    /// The show begins.
    ///
    /// # Errors
    /// When nobody reads any more; so for all of these.
    pub(super) fn open(&mut self) -> io::Result<()> {
        self.open = true;
        let text = if self.picture.is_some() { OPEN } else { view::PLAIN_LEGEND };
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// A scene begins.
    pub(super) fn heading(&mut self, scene: usize) -> io::Result<()> {
        if self.picture.is_some() {
            return Ok(());
        }
        let shown = &SCENES[scene];
        writeln!(self.out, "\nScene {} of {}: {}", scene + 1, SCENES.len(), shown.title)?;
        shown.story.iter().try_for_each(|line| writeln!(self.out, "{line}"))
    }

    /// Shows a moment. `second`: a new second has begun, which is when a line is due.
    pub(super) fn show(&mut self, moment: &Moment<'_>, second: bool) -> io::Result<()> {
        let Some(paint) = self.picture else {
            return if second { writeln!(self.out, "{}", view::plain(moment)) } else { Ok(()) };
        };
        // Each line overwrites what was there, so nothing flickers. The cursor rests at the top:
        // a key pressed there scrolls nothing.
        let mut frame = String::from("\x1b[H");
        for line in view::picture(moment, paint) {
            let _ = write!(frame, "{line}\x1b[K\r\n");
        }
        frame.push_str("\x1b[J\x1b[H");
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }

    /// The show is over: what it came to, below what there was to see.
    pub(super) fn close(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.restore()?;
        writeln!(self.out)?;
        if let Some(paint) = self.picture {
            view::graph(&outcome.record, None, paint).iter().try_for_each(|line| writeln!(self.out, "{line}"))?;
            writeln!(self.out)?;
        }
        write!(self.out, "{}", outcome.text(self.picture.unwrap_or(Paint::new(false))))
    }

    /// The terminal as it was.
    fn restore(&mut self) -> io::Result<()> {
        if core::mem::take(&mut self.open) && self.picture.is_some() {
            self.out.write_all(CLOSE.as_bytes())?;
        }
        self.out.flush()
    }
}

impl Drop for Face<'_> {
    fn drop(&mut self) {
        // If nobody reads, nobody sees it either.
        let _ = self.restore();
    }
}
