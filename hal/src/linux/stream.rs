//! A blocking connection whose reads and writes time out, with TLS on it or without: for transfers, never for the loop.

use super::sys::is_wait;
use super::tls::Tls;
use rustls::{ClientConnection, Error};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What is taken from the wire at once; a record of TLS has up to 16 KiB.
const PORTION: usize = 1 << 16;

/// Longest time for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// The connection. A read or write that ends with `WouldBlock`, `TimedOut` or `Interrupted` is to be made again, with the
/// same bytes; nothing is lost by it. Each waits for the wire once, hence for a time-out of the socket at most.
pub(super) struct Stream {
    wire: BufReader<TcpStream>,
    tls: Option<Box<ClientConnection>>,
}

impl Stream {
    /// Over a socket that is connected and times out; the handshake is made, or left when `stop` says so.
    ///
    /// # Errors
    /// When TLS can't be agreed on, with what would be right.
    pub(super) fn open(socket: TcpStream, tls: Option<&Tls>, stop: &AtomicBool) -> io::Result<Self> {
        let wire = BufReader::with_capacity(PORTION, socket);
        let client = |tls: &Tls| ClientConnection::new(Arc::clone(&tls.config), tls.name.clone()).map(Box::new);
        let mut stream = Self { wire, tls: tls.map(client).transpose().map_err(|error| told(&error))? };
        let end = Instant::now() + HANDSHAKE;
        while stream.tls.as_ref().is_some_and(|client| client.is_handshaking()) && !stop.load(Ordering::Relaxed) {
            match stream.exchange() {
                Ok(0) => return Err(io::Error::other(format!("closed without an answer; {RIGHT}"))),
                Err(error) if !is_wait(&error) => return Err(error),
                _ if Instant::now() >= end => return Err(io::Error::other(format!("no answer; {RIGHT}"))),
                _ => {}
            }
        }
        Ok(stream)
    }

    /// Sends what TLS holds, then takes a portion from the wire. `Ok(0)` at the end of the stream.
    fn exchange(&mut self) -> io::Result<usize> {
        // Who has hung up may have said why: that is still to be read.
        let _ = self.send();
        let Some(client) = &mut self.tls else { return Ok(0) };
        let count = client.read_tls(&mut self.wire)?;
        if let Err(error) = client.process_new_packets() {
            // An alert that says why we give up belongs to the other side.
            let _ = self.send();
            return Err(told(&error));
        }
        Ok(count)
    }

    /// Sends what TLS holds; `WouldBlock` if that was not all.
    fn send(&mut self) -> io::Result<()> {
        let Some(client) = self.tls.as_mut().filter(|client| client.wants_write()) else { return Ok(()) };
        client.write_tls(self.wire.get_mut())?;
        if client.wants_write() { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }
}

/// Reads what TLS has decrypted already. Many servers end the connection without ending TLS.
fn decrypted(client: &mut ClientConnection, buffer: &mut [u8]) -> io::Result<usize> {
    client.reader().read(buffer).or_else(|e| if e.kind() == ErrorKind::UnexpectedEof { Ok(0) } else { Err(e) })
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(client) = &mut self.tls else { return self.wire.read(buffer) };
        match decrypted(client, buffer) {
            Err(error) if is_wait(&error) => {}
            other => return other,
        }
        self.exchange()?;
        self.tls.as_mut().map_or(Ok(0), |client| decrypted(client, buffer))
    }
}

impl Write for Stream {
    /// What TLS takes leaves with the next read, write or flush.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send()?;
        match &mut self.tls {
            Some(client) => client.writer().write(bytes),
            None => self.wire.get_mut().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

const RIGHT: &str = "right would be a server that speaks TLS 1.2 or 1.3 on that port, or http://";

/// What a failure of TLS means.
fn told(error: &Error) -> io::Error {
    io::Error::other(match error {
        Error::InvalidMessage(_) => "no TLS is spoken there; right would be http://, or its port for https".to_owned(),
        other => format!("{other}; {RIGHT}"),
    })
}
