//! Log lines to a collector over UDP, without waiting: a datagram that can't leave at once is dropped.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::io;
use std::net::UdpSocket;
use std::sync::OnceLock;

static COLLECTOR: OnceLock<UdpSocket> = OnceLock::new();

/// Opens the way to the collector, once for the process.
///
/// # Errors
/// There is no socket, or no route, to be had.
pub fn open_syslog(to: SocketAddr) -> io::Result<()> {
    let any = match to.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(to)?;
    let _ = COLLECTOR.set(socket); // a second call changes nothing
    Ok(())
}

/// Sends one line; returns whether it left. (A collector that is not there refuses the one before.)
#[must_use]
pub fn write_syslog(datagram: &[u8]) -> bool {
    COLLECTOR.get().is_some_and(|socket| socket.send(datagram).is_ok())
}

/// The name of this machine, or `-`, as syslog has it when there is none.
#[must_use]
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}
