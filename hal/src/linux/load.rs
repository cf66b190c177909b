//! Transfers made to fill a line, on threads of their own: plain HTTP, for `calibrate`.

use super::echo::bind;
use crate::board::ProbeSource;
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

/// What is to be transferred.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Where the server is.
    pub to: SocketAddr,
    /// Through which line.
    pub source: ProbeSource,
    /// Value of the `Host` header.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// Away from us (POST) instead of towards us (GET).
    pub upload: bool,
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
        for _ in 0..count {
            let (transfer, stop, fault) = (transfer.clone(), Arc::clone(&load.stop), Arc::clone(&load.fault));
            let transfers = move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Err(error) = run(&transfer, &stop) {
                        blame(&fault, &error);
                        std::thread::sleep(LOOK);
                    }
                }
            };
            // The machine may have no more threads; fewer transfers are better than a panic.
            if let Err(error) = std::thread::Builder::new().spawn(transfers) {
                blame(&load.fault, &error);
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

fn blame(fault: &Mutex<Option<String>>, error: &io::Error) {
    *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
}

fn run(transfer: &Transfer, stop: &AtomicBool) -> io::Result<()> {
    let mut stream = connect(transfer)?;
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

fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn receive(stream: &mut TcpStream, stop: &AtomicBool) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 17];
    let mut is_head = true;
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
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

fn send(stream: &mut TcpStream, stop: &AtomicBool) -> io::Result<()> {
    // Something that nobody on the way can compress.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut noise = Vec::with_capacity(1 << 16);
    while noise.len() < 1 << 16 {
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

fn good_status(head: &[u8]) -> io::Result<()> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let is_good = line.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
    if is_good { Ok(()) } else { Err(io::Error::other(format!("the server says {line}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::Instant;

    /// Bytes that pass in one direction until there are a million.
    fn passed(upload: bool, answer: &'static str) -> (u64, Option<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let path = "/big?x=1".to_owned();
        let transfer = Transfer { to, source: ProbeSource::default(), host: "h".to_owned(), path, upload };
        let load = Load::start(&transfer, 1);
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 1 << 16];
        let count = stream.read(&mut buffer).unwrap();
        let head = String::from_utf8_lossy(&buffer[..count]).into_owned();
        assert!(head.starts_with(if upload { "POST /big?x=1 " } else { "GET /big?x=1 " }), "{head}");
        let mut passed = 0;
        if upload && !answer.is_empty() {
            stream.write_all(answer.as_bytes()).unwrap();
            drop(stream);
        } else if upload {
            while passed < 1_000_000 {
                passed += stream.read(&mut buffer).unwrap() as u64;
            }
        } else {
            stream.write_all(answer.as_bytes()).unwrap();
            while passed < 1_000_000 && stream.write_all(&buffer).is_ok() {
                passed += buffer.len() as u64;
            }
        }
        let end = Instant::now() + Duration::from_secs(2);
        while load.fault().is_none() && Instant::now() < end && passed == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        (passed, load.fault())
    }

    #[test]
    fn transfers_run_in_both_directions_and_refusals_are_told() {
        assert!(passed(true, "").0 >= 1_000_000);
        assert!(passed(false, "HTTP/1.1 200 OK\r\n\r\n").0 >= 1_000_000);
        let (_, fault) = passed(true, "HTTP/1.1 405 Method Not Allowed\r\n\r\n");
        assert!(fault.is_some(), "a refused upload");
    }

    #[test]
    fn only_success_is_good() {
        assert!(good_status(b"HTTP/1.1 206 Partial Content\r\n").is_ok());
        let told = good_status(b"HTTP/1.1 301 Moved\r\nLocation: x").unwrap_err().to_string();
        assert_eq!(told, "the server says HTTP/1.1 301 Moved");
    }
}
