//! Transfers made to fill a line, on threads of their own: HTTP, plain or over TLS, for `calibrate`.
//!
//! Nothing that goes over them is secret, and nothing that comes is used: whoever answers will do. So the certificate is
//! not judged, only whether the handshake is signed with its key.

use super::echo::bind;
use super::stream::Stream;
use super::sys::is_wait;
use super::tls::Tls;
use crate::board::ProbeSource;
use core::fmt::Display;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a thread looks whether it shall go on.
const LOOK: Duration = Duration::from_millis(500);

/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// What is uploaded in one request before the next one.
const BODY: u64 = 1 << 32;

/// Of so many different bytes, sent again and again.
const NOISE: usize = 1 << 16;

/// What is to be transferred.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Where the server is.
    pub to: SocketAddr,
    /// Through which line.
    pub source: ProbeSource,
    /// Value of the `Host` header.
    pub host: String,
    /// Name or address of the server for TLS; `None` for plain HTTP.
    pub tls: Option<String>,
    /// Path and query.
    pub path: String,
    /// Away from us (POST) instead of towards us (GET).
    pub upload: bool,
}

impl Transfer {
    /// Scheme and host, for messages.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.host)
    }
}

/// Transfers that run until this is dropped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    fault: Arc<Mutex<Option<String>>>,
}

impl Load {
    /// So many of them at a time, each begun anew when it ends.
    #[must_use]
    pub fn start(transfer: &Transfer, count: usize) -> Self {
        let load = Self { stop: Arc::default(), fault: Arc::default() };
        let tls = match transfer.tls.as_deref().map(Tls::with_anybody).transpose() {
            Ok(tls) => tls,
            Err(bad) => {
                blame(&load.fault, transfer, &bad);
                return load;
            }
        };
        for _ in 0..count {
            let (what, tls) = (transfer.clone(), tls.clone());
            let (stop, fault) = (Arc::clone(&load.stop), Arc::clone(&load.fault));
            let transfers = move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Err(error) = run(&what, tls.as_ref(), &stop) {
                        blame(&fault, &what, &error);
                        std::thread::sleep(LOOK);
                    }
                }
            };
            // The machine may have no more threads; fewer transfers are better than a panic.
            if let Err(error) = std::thread::Builder::new().spawn(transfers) {
                blame(&load.fault, transfer, &error);
            }
        }
        load
    }

    /// What went wrong last.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // The threads end by themselves soon after; nobody waits for them.
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn blame(fault: &Mutex<Option<String>>, transfer: &Transfer, error: &dyn Display) {
    let told = format!("{}: {error}", transfer.origin());
    *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
}

fn run(transfer: &Transfer, tls: Option<&Tls>, stop: &AtomicBool) -> io::Result<()> {
    let socket = connect(transfer).map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => io::Error::other(format!("{error}; right would be a port that listens")),
        _ => error,
    })?;
    let mut stream = Stream::open(socket, tls, stop)?;
    let Transfer { host, path, upload, .. } = transfer;
    let end = "User-Agent: wanctl\r\nConnection: close\r\n\r\n";
    if *upload {
        let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {BODY}\r\n{end}");
        stream.write_all(head.as_bytes())?;
        send(&mut stream, stop)
    } else {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{end}").as_bytes())?;
        receive(&mut stream, stop)
    }
}

fn connect(transfer: &Transfer) -> io::Result<TcpStream> {
    let (domain, any) = match transfer.to {
        SocketAddr::V4(_) => (Domain::IPV4, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        SocketAddr::V6(_) => (Domain::IPV6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    bind(&socket, &transfer.source, any).map_err(|error| io::Error::other(error.to_string()))?;
    socket.connect_timeout(&SockAddr::from(transfer.to), CONNECT)?;
    socket.set_read_timeout(Some(LOOK))?;
    socket.set_write_timeout(Some(LOOK))?;
    Ok(socket.into())
}

fn receive(stream: &mut Stream, stop: &AtomicBool) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 17];
    let mut is_head = true;
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) if is_head => {
                return Err(io::Error::other("closed without an answer; right would be a web server's port"));
            }
            Ok(0) => return Ok(()),
            Ok(count) if is_head => {
                is_head = false;
                good_status(&buffer[..count])?;
            }
            Ok(_) => {}
            Err(error) if is_wait(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn send(stream: &mut Stream, stop: &AtomicBool) -> io::Result<()> {
    // Something that nobody on the way can compress.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut noise = Vec::with_capacity(NOISE);
    while noise.len() < NOISE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    let (mut left, mut answer) = (BODY, [0; 512]);
    while left > 0 && !stop.load(Ordering::Relaxed) {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(noise.len());
        match stream.write(&noise[..most]) {
            Ok(count) => left -= count as u64,
            Err(error) if is_wait(&error) => {}
            Err(error) => {
                // Who refuses says why, and closes.
                return match stream.read(&mut answer) {
                    Ok(count) if count > 0 => good_status(&answer[..count]).and(Err(error)),
                    _ => Err(error),
                };
            }
        }
    }
    Ok(())
}

/// Only success is good; anything else comes with what would be right.
fn good_status(head: &[u8]) -> io::Result<()> {
    /// How an alert of TLS begins.
    const ALERT: u8 = 21;
    if head.first() == Some(&ALERT) {
        return Err(io::Error::other("TLS is spoken there; right would be https://, or its port for http"));
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let is_good = line.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
    let right = "right would be an address that answers GET (for upload POST) with 200; redirects are not followed";
    if is_good { Ok(()) } else { Err(io::Error::other(format!("the server says {line}; {right}"))) }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
