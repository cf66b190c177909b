//! The local endpoint: a listener and a few connections, none of which can wake the loop.
//!
//! They are tried when the loop is awake anyway. So no number of clients, however hostile, makes it
//! wake more often.

use crate::board::LinkIo;
use crate::endpoint::{CLIENTS, ListenError};
use core::net::SocketAddr;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Listener and clients.
#[derive(Debug, Default)]
pub(super) struct Endpoint {
    listener: Option<TcpListener>,
    clients: [Option<TcpStream>; CLIENTS],
}

impl Endpoint {
    /// Replaces the listener; clients stay.
    pub(super) fn listen(&mut self, at: Option<SocketAddr>) -> Result<Option<SocketAddr>, ListenError> {
        // The old one first: it may hold the very address.
        self.listener = None;
        let Some(at) = at else { return Ok(None) };
        let listener = TcpListener::bind(at).map_err(|e| listen_error(&e))?;
        listener.set_nonblocking(true).map_err(|e| listen_error(&e))?;
        let bound = listener.local_addr().map_err(|e| listen_error(&e))?;
        self.listener = Some(listener);
        Ok(Some(bound))
    }

    /// Takes in one client, if one waits and a place is free.
    pub(super) fn accept(&mut self) -> Option<usize> {
        let free = self.clients.iter().position(Option::is_none)?;
        let (stream, _) = self.listener.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        let _ = stream.set_nodelay(true);
        self.clients[free] = Some(stream);
        Some(free)
    }

    pub(super) fn read(&mut self, client: usize, buffer: &mut [u8]) -> LinkIo {
        let Some(Some(stream)) = self.clients.get_mut(client) else { return LinkIo::Down };
        outcome(stream.read(buffer))
    }

    pub(super) fn write(&mut self, client: usize, bytes: &[u8]) -> LinkIo {
        let Some(Some(stream)) = self.clients.get_mut(client) else { return LinkIo::Down };
        outcome(stream.write(bytes))
    }

    pub(super) fn close(&mut self, client: usize) {
        if let Some(place) = self.clients.get_mut(client) {
            *place = None;
        }
    }
}

fn outcome(result: io::Result<usize>) -> LinkIo {
    match result {
        Ok(0) => LinkIo::Down,
        Ok(n) => LinkIo::Moved(n),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => LinkIo::WouldBlock,
        Err(_) => LinkIo::Down,
    }
}

fn listen_error(error: &io::Error) -> ListenError {
    match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse,
        io::ErrorKind::AddrNotAvailable => ListenError::NotOurs,
        io::ErrorKind::PermissionDenied => ListenError::Forbidden,
        _ => ListenError::Os(error.raw_os_error().unwrap_or(0)),
    }
}
