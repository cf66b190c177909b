//! A real machine with a simulated internet: real clock, router link, signals and files, while
//! probes are answered by the lines of a world that runs in real time. For `wanctl demo`.

use super::world::{SharedWorld, lock};
use crate::board::{
    BadTrust, Board, Clock, EchoEvent, EchoRequest, LinkEvent, LinkIo, LinkTarget, OpenError, ProbeSource, Ready,
    SendError, Signal, StoreError, StoreFile, TcpProbe, WanId,
};
use crate::endpoint::ListenError;
use crate::forward::inner_clients_and_hooks;
use crate::units::Instant;
use core::net::SocketAddr;

/// A board whose probes go into a world.
#[derive(Debug)]
pub struct LiveBoard<B> {
    inner: B,
    world: SharedWorld,
}

impl<B: Board> LiveBoard<B> {
    /// Probes of `inner` go into `world`, whose clock is that of `inner`.
    pub fn new(mut inner: B, world: SharedWorld) -> Self {
        let now = inner.clock().now;
        lock(&world).advance(now);
        Self { inner, world }
    }

    /// The machine below.
    pub fn inner(&mut self) -> &mut B {
        &mut self.inner
    }

    /// Brings the world to the present.
    fn advance(&mut self) -> Instant {
        let now = self.inner.clock().now;
        lock(&self.world).advance(now);
        now
    }

    /// What the world has for us, and when it has to be looked at again.
    fn look(&mut self) -> (Ready, Option<Instant>) {
        self.advance();
        let world = lock(&self.world);
        let (wans, tcp) = world.probes_ready();
        (Ready { wans, tcp, link: false, signal: world.has_signal() }, world.next_due())
    }
}

impl<B: Board> Board for LiveBoard<B> {
    fn clock(&mut self) -> Clock {
        self.inner.clock()
    }

    fn entropy(&mut self) -> u64 {
        self.inner.entropy()
    }

    fn wait(&mut self, until: Instant) -> Ready {
        loop {
            let (world, due) = self.look();
            let news = world.tcp || world.signal;
            let now = self.inner.clock().now;
            let until_now = if news { now } else { due.map_or(until, |due| if due < until { due } else { until }) };
            let machine = self.inner.wait(until_now);
            let any = news || machine.link || machine.signal || machine.tcp;
            if any || self.inner.clock().now >= until {
                let (world, _) = self.look();
                return Ready {
                    wans: world.wans,
                    tcp: world.tcp,
                    link: machine.link,
                    signal: machine.signal || world.signal,
                };
            }
        }
    }

    fn open_wan(&mut self, wan: WanId, _source: &ProbeSource) -> Result<(), OpenError> {
        lock(&self.world).open_wan(wan.index())
    }

    fn close_wan(&mut self, wan: WanId) {
        lock(&self.world).close_wan(wan.index());
    }

    fn send_echo(&mut self, wan: WanId, request: &EchoRequest) -> Result<Instant, SendError> {
        self.advance();
        lock(&self.world).send_echo(wan.index(), request)
    }

    fn send_trace(&mut self, wan: WanId, request: &EchoRequest, hops: u8) -> Result<Instant, SendError> {
        self.advance();
        lock(&self.world).send_trace(wan.index(), request, hops)
    }

    fn recv_echo(&mut self, wan: WanId) -> Option<EchoEvent> {
        lock(&self.world).wans.get_mut(wan.index())?.recv_echo()
    }

    fn tcp_probe(&mut self, wan: WanId, slot: u8, to: SocketAddr) -> Result<(), SendError> {
        self.advance();
        lock(&self.world).tcp_probe(wan.index(), slot, to)
    }

    fn tcp_result(&mut self, wan: WanId) -> Option<TcpProbe> {
        lock(&self.world).wans.get_mut(wan.index())?.tcp_result()
    }

    fn link_target(&mut self, target: &LinkTarget) -> Result<(), BadTrust> {
        self.inner.link_target(target)
    }

    fn link_open(&mut self, to: SocketAddr) {
        self.inner.link_open(to);
    }

    fn link_poll(&mut self) -> Option<LinkEvent> {
        self.inner.link_poll()
    }

    fn link_read(&mut self, buffer: &mut [u8]) -> LinkIo {
        self.inner.link_read(buffer)
    }

    fn link_write(&mut self, bytes: &[u8]) -> LinkIo {
        self.inner.link_write(bytes)
    }

    fn link_close(&mut self) {
        self.inner.link_close();
    }

    inner_clients_and_hooks!();

    fn signal(&mut self) -> Option<Signal> {
        let simulated = lock(&self.world).take_signal();
        simulated.or_else(|| self.inner.signal())
    }

    fn load(&mut self, file: StoreFile, buffer: &mut [u8]) -> Result<usize, StoreError> {
        self.inner.load(file, buffer)
    }

    fn store(&mut self, file: StoreFile, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
        self.inner.store(file, bytes, durable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{LineSetup, RouterDouble, RouterSetup, SimBoard, Wan, World};
    use crate::units::{Bitrate, Duration};
    use core::net::{IpAddr, Ipv4Addr};

    /// The machine below is a simulated one here: its clock runs as fast as it can.
    #[test]
    fn replies_are_told_of_and_end_no_sleep() {
        let router = || RouterDouble::new(RouterSetup::default());
        let reflector = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let line = LineSetup::new(Bitrate::from_mbps(10), Bitrate::from_mbps(10));
        let wan = Wan::new("wan1", "ether1", &line).with_reflectors(&[reflector]);
        let inner = SimBoard::new(World::new(router(), Vec::new()).share());
        let mut board = LiveBoard::new(inner, World::new(router(), vec![wan]).share());
        let id = WanId::new(0).unwrap();
        board.open_wan(id, &ProbeSource::default()).unwrap();
        let sent = board.send_echo(id, &EchoRequest { to: reflector, sequence: 1, token: 2 }).unwrap();
        assert_eq!(board.wait(sent + Duration::from_millis(50)).wans, 1);
        assert_eq!(board.clock().now, sent + Duration::from_millis(50));
        let Some(EchoEvent::Reply(reply)) = board.recv_echo(id) else { panic!("no reply") };
        let rtt = reply.at.since(sent);
        assert!((20..25).contains(&rtt.as_millis()), "{rtt:?}");
        assert_eq!(board.wait(sent + Duration::from_millis(60)), Ready::default());
    }
}
