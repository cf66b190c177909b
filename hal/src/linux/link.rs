//! The connection to the router: non-blocking TCP, with TLS on it or without.

use super::tls::Tls;
use crate::board::{LinkError, LinkEvent, LinkIo};
use core::net::SocketAddr;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::{ClientConnection, HandshakeKind};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

/// Where the connection is on its way.
#[derive(Debug)]
enum Stage {
    Connecting,
    Handshaking,
    Open,
    /// Nothing more will come; what was read before may still be fetched.
    Ended,
}

/// One connection.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    stage: Stage,
    readable: bool,
    writable: bool,
}

/// The connection to the router, or none.
#[derive(Debug, Default)]
pub(super) struct Link {
    connection: Option<Connection>,
    event: Option<LinkEvent>,
}

impl Link {
    /// See [`crate::Board::link_open`].
    pub(super) fn open(&mut self, to: SocketAddr, tls: Option<&Tls>, registry: &Registry, token: Token) {
        self.close(registry);
        if let Err(error) = self.try_open(to, tls, registry, token) {
            self.event = Some(LinkEvent::Down(link_error(&error)));
        }
    }

    fn try_open(&mut self, to: SocketAddr, tls: Option<&Tls>, registry: &Registry, token: Token) -> io::Result<()> {
        let tls = match tls {
            None => None,
            Some(tls) => {
                let client = ClientConnection::new(Arc::clone(&tls.config), tls.name.clone());
                Some(Box::new(client.map_err(io::Error::other)?))
            }
        };
        let mut stream = TcpStream::connect(to)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.connection = Some(Connection { stream, tls, stage: Stage::Connecting, readable: false, writable: false });
        Ok(())
    }

    /// See [`crate::Board::link_close`].
    pub(super) fn close(&mut self, registry: &Registry) {
        self.event = None;
        if let Some(mut connection) = self.connection.take() {
            if let Some(tls) = &mut connection.tls {
                tls.send_close_notify();
                let _ = tls.write_tls(&mut connection.stream);
            }
            let _ = registry.deregister(&mut connection.stream);
        }
    }

    /// The poll says that something has become possible.
    pub(super) fn progress(&mut self, readable: bool, writable: bool) {
        if let Some(connection) = &mut self.connection {
            connection.readable |= readable;
            connection.writable |= writable;
        }
    }

    /// Whether there is something to do at once.
    pub(super) fn is_pending(&self) -> bool {
        self.event.is_some() || self.connection.as_ref().is_some_and(|c| c.readable && !matches!(c.stage, Stage::Ended))
    }

    /// See [`crate::Board::link_poll`].
    pub(super) fn poll(&mut self, tls: Option<&Tls>) -> Option<LinkEvent> {
        if let Some(connection) = &mut self.connection {
            match connection.advance(tls) {
                Ok(Some(event)) => self.event = Some(event),
                Ok(None) => {}
                Err(error) => self.end(error),
            }
        }
        self.event.take()
    }

    /// See [`crate::Board::link_read`].
    pub(super) fn read(&mut self, tls: Option<&Tls>, buffer: &mut [u8]) -> LinkIo {
        let Some(connection) = self.connection.as_mut() else { return LinkIo::Down };
        match connection.stage {
            Stage::Open => {}
            Stage::Connecting | Stage::Handshaking => return LinkIo::WouldBlock,
            Stage::Ended => return LinkIo::Down,
        }
        match connection.read(tls, buffer) {
            Ok(0) => LinkIo::WouldBlock,
            Ok(length) => LinkIo::Moved(length),
            Err(error) => {
                self.end(error);
                LinkIo::Down
            }
        }
    }

    /// See [`crate::Board::link_write`].
    pub(super) fn write(&mut self, bytes: &[u8]) -> LinkIo {
        let Some(connection) = self.connection.as_mut() else { return LinkIo::Down };
        match connection.stage {
            Stage::Open => {}
            Stage::Connecting | Stage::Handshaking => return LinkIo::WouldBlock,
            Stage::Ended => return LinkIo::Down,
        }
        match connection.write(bytes) {
            Ok(0) => LinkIo::WouldBlock,
            Ok(length) => LinkIo::Moved(length),
            Err(error) => {
                self.end(error);
                LinkIo::Down
            }
        }
    }

    fn end(&mut self, error: LinkError) {
        if let Some(connection) = &mut self.connection
            && !matches!(connection.stage, Stage::Ended)
        {
            connection.stage = Stage::Ended;
            self.event = Some(LinkEvent::Down(error));
        }
    }
}

impl Connection {
    /// Makes progress with connect and handshake, and sends what TLS still holds.
    fn advance(&mut self, tls: Option<&Tls>) -> Result<Option<LinkEvent>, LinkError> {
        if matches!(self.stage, Stage::Connecting) {
            if !self.writable {
                return Ok(None);
            }
            match self.stream.take_error() {
                Ok(Some(error)) | Err(error) => return Err(link_error(&error)),
                Ok(None) => {}
            }
            match self.stream.peer_addr() {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(None),
                Err(error) => return Err(link_error(&error)),
            }
            let _ = self.stream.set_nodelay(true);
            if self.tls.is_none() {
                self.stage = Stage::Open;
                return Ok(Some(LinkEvent::Open { resumed: None }));
            }
            self.stage = Stage::Handshaking;
        }
        if matches!(self.stage, Stage::Handshaking) {
            return self.handshake(tls);
        }
        if matches!(self.stage, Stage::Open) && self.writable {
            self.flush().map_err(|e| link_error(&e))?;
        }
        Ok(None)
    }

    fn handshake(&mut self, tls: Option<&Tls>) -> Result<Option<LinkEvent>, LinkError> {
        self.flush().map_err(|e| link_error(&e))?;
        if self.readable {
            let more = self.read_tls(tls);
            // An alert that says why we give up belongs to the other side.
            let _ = self.flush();
            more?;
        }
        let Some(client) = &self.tls else { return Err(LinkError::Closed) };
        if client.is_handshaking() {
            return Ok(None);
        }
        self.stage = Stage::Open;
        let resumed = client.handshake_kind() == Some(HandshakeKind::Resumed);
        self.flush().map_err(|e| link_error(&e))?;
        Ok(Some(LinkEvent::Open { resumed: Some(resumed) }))
    }

    /// Reads one portion of TLS from the wire. `Ok(false)` at the end of the stream.
    fn read_tls(&mut self, tls: Option<&Tls>) -> Result<bool, LinkError> {
        let Some(client) = &mut self.tls else { return Ok(false) };
        match client.read_tls(&mut self.stream) {
            Ok(0) if client.is_handshaking() => return Err(LinkError::Closed),
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(link_error(&error)),
        }
        match client.process_new_packets() {
            Ok(_) => Ok(true),
            Err(error) => Err(LinkError::Tls(tls.map_or(crate::board::TlsFault::Handshake, |t| t.fault(&error)))),
        }
    }

    fn read(&mut self, tls: Option<&Tls>, buffer: &mut [u8]) -> Result<usize, LinkError> {
        if self.tls.is_none() {
            if !self.readable {
                return Ok(0);
            }
            return match self.stream.read(buffer) {
                Ok(0) => Err(LinkError::Closed),
                Ok(length) => Ok(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    Ok(0)
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
                Err(error) => Err(link_error(&error)),
            };
        }
        let plain = self.read_plain(buffer)?;
        if plain > 0 || !self.readable {
            return Ok(plain);
        }
        let more = self.read_tls(tls)?;
        let _ = self.flush(); // key updates, alerts
        match self.read_plain(buffer)? {
            0 if !more => Err(LinkError::Closed),
            length => Ok(length),
        }
    }

    /// What TLS has decrypted already.
    fn read_plain(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        let Some(client) = &mut self.tls else { return Ok(0) };
        match client.reader().read(buffer) {
            Ok(0) => Err(LinkError::Closed), // close_notify
            Ok(length) => Ok(length),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(LinkError::Closed),
            Err(error) => Err(link_error(&error)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, LinkError> {
        let written = match &mut self.tls {
            Some(client) => client.writer().write(bytes),
            None => self.stream.write(bytes),
        };
        match written {
            Ok(length) => self.flush().map(|()| length).map_err(|e| link_error(&e)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            Err(error) => Err(link_error(&error)),
        }
    }

    /// Sends what TLS has ready.
    fn flush(&mut self) -> io::Result<()> {
        let Some(client) = &mut self.tls else { return Ok(()) };
        while client.wants_write() {
            match client.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable = false;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn link_error(error: &io::Error) -> LinkError {
    match error.kind() {
        ErrorKind::ConnectionRefused => LinkError::Refused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => LinkError::Reset,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => LinkError::Unreachable,
        ErrorKind::UnexpectedEof => LinkError::Closed,
        _ => LinkError::Os(error.raw_os_error().unwrap_or(0)),
    }
}
