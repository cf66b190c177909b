//! Colour, where it is wanted.

use std::io::IsTerminal;

/// Whether to paint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint(bool);

/// A colour of any terminal's sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
}

impl Paint {
    /// With escape codes or without.
    pub(super) const fn new(on: bool) -> Self {
        Self(on)
    }

    /// For standard output: only on a terminal, and not if `NO_COLOR` is set (to anything but
    /// nothing, see no-color.org).
    pub(super) fn for_stdout() -> Self {
        Self(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 && text != " " { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn colour(self, colour: Colour, text: &str) -> String {
        self.with(&(colour as u8).to_string(), text)
    }

    pub(super) fn bold_in(self, colour: Colour, text: &str) -> String {
        self.with(&format!("1;{}", colour as u8), text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(super) fn invert(self, text: &str) -> String {
        self.with("7", text)
    }
}
