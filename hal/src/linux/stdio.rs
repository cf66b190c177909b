//! Standard error without waiting: a pipe that nobody reads must not stop the loop.

use super::sys;
use crate::units::Duration;

/// A write of at most this many bytes to a pipe that is ready never blocks (POSIX).
const PIPE_BUF: usize = 4096;

/// Writes a line to standard error; returns whether it was taken. It is dropped when it could not
/// be written at once.
#[must_use]
pub fn write_stderr(line: &[u8]) -> bool {
    let line = &line[..line.len().min(PIPE_BUF)];
    sys::ready(libc::STDERR_FILENO, libc::POLLOUT, Duration::ZERO) && sys::write(libc::STDERR_FILENO, line)
}

/// Seconds since 1970, for log lines.
#[must_use]
pub fn unix_seconds() -> u64 {
    sys::wall_clock().unix_seconds()
}
