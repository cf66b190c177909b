//! The long way between provider and server: two TUN interfaces, and what one sends the other
//! gets a fixed time later, in order. (The kernels this must run on have no netem.)

use super::netns::{Netns, open_tun, readable};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

type Packet = (Instant, Box<[u8]>);

/// The forwarder; it ends when dropped.
pub struct DelayLine {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl DelayLine {
    /// Makes an interface `name` in both namespaces, and joins them, `one_way` apart.
    pub fn new(one: &Netns, other: &Netns, name: &str, one_way: Duration) -> Self {
        let open = |netns: &Netns| netns.within(|| open_tun(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let ends = [open(one), open(other)];
        for netns in [one, other] {
            // Room for bursts, so that the only losses are those of the bottleneck.
            netns.ip(&["link", "set", name, "txqueuelen", "10000", "up"]);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let clone = |file: &File| file.try_clone().expect("duplicating a descriptor");
        let mut threads = Vec::new();
        for (from, to) in [(&ends[0], &ends[1]), (&ends[1], &ends[0])] {
            let (from, to, stop) = (clone(from), clone(to), Arc::clone(&stop));
            let (sender, receiver) = mpsc::channel();
            threads.push(thread::spawn(move || take(from, &sender, &stop)));
            threads.push(thread::spawn(move || give(to, &receiver, one_way)));
        }
        Self { stop, threads }
    }
}

impl Drop for DelayLine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn take(mut from: File, queue: &Sender<Packet>, stop: &AtomicBool) {
    let mut buffer = [0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        if !readable(from.as_fd(), 100) {
            continue;
        }
        let Ok(length) = from.read(&mut buffer) else { return };
        if queue.send((Instant::now(), buffer[..length].into())).is_err() {
            return;
        }
    }
}

fn give(mut to: File, queue: &Receiver<Packet>, one_way: Duration) {
    for (taken, packet) in queue {
        let early = (taken + one_way).saturating_duration_since(Instant::now());
        if !early.is_zero() {
            thread::sleep(early);
        }
        // An interface that is down or full loses packets, as a line does.
        let _ = to.write_all(&packet);
    }
}
