//! Recording and replaying whole runs.
//!
//! Every input of a run passes through [`crate::Board`], so a run is recorded by a board that
//! stands between the daemon and the machine ([`Recorder`]) and repeated by one that stands in
//! the machine's place ([`Playback`]): it gives the same answers, and compares what the daemon
//! says with what it said then. The few things that a command reads beside the board (the
//! configuration, the router's looked-up address) are put on the same [`Tape`] as notes.
//!
//! | file | what it holds |
//! |---|---|
//! | `entry` | one call of the board: what was said, what was answered |
//! | `codec` | entries into few bytes and back |
//! | `plain` | the same for everything that is not worth saving bytes on |
//! | `delta` | messages that are nearly like earlier ones |
//! | `veil` | the value of the `Authorization` header never gets here |
//! | `file` | blocks with check sums; the bound on the size; reading back |
//!
//! The format is described in `docs/recording.md`.

mod codec;
mod delta;
mod entry;
mod file;
mod plain;
mod playback;
mod recorder;
mod veil;

pub use entry::{End, Entry, Io};
pub use file::{Cut, Damage, FORMAT, MAGIC, Recording, SMALLEST, Tape};
pub use playback::{Divergence, Playback, Player};
pub use recorder::Recorder;
