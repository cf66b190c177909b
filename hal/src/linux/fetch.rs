//! One plain HTTP request, blocking: for commands that ask a running daemon, never for the loop.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest answer that is taken: a week of history is shorter.
const MOST: usize = 4 << 20;

/// Sends `request` to `to` and returns all that comes back until the other side closes.
///
/// # Errors
/// When nobody is there, or `patience` is over before the answer is, or the answer is beyond all measure.
pub fn fetch(to: SocketAddr, request: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let end = Instant::now() + patience;
    let mut stream = TcpStream::connect_timeout(&to, patience)?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut part = [0; 8192];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part) {
            Ok(0) => return Ok(answer),
            Ok(count) if answer.len() + count > MOST => return Err(io::ErrorKind::InvalidData.into()),
            Ok(count) => answer.extend_from_slice(&part[..count]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
