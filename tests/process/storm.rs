//! Two hundred hostile connections at once, on real sockets, for seconds: the control goes on as if they were not there.

use super::crowd::{CLIENTS, Crowd};
use super::house::{House, PATIENCE, Program, Wishes, until};
use super::report::number_before;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wanctl::observe::http::QUANTUM;

const STORM: Duration = Duration::from_secs(6);

/// Of the storm, until memory is first looked at.
const FIRST: Duration = Duration::from_secs(1);

/// Bounds on the growth of memory over the rest of the storm, KiB.
const GROWTH: u64 = 512;

/// Length of a cycle, the default.
const CYCLE: Duration = Duration::from_millis(50);

/// The answer to a polite client that asks once.
fn ask(to: SocketAddr, path: &str) -> Option<String> {
    let patience = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&to, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200 ").then_some(answer)
}

/// A figure of the process, KiB.
fn memory(program: &Program, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).expect("it lives");
    let value = status.lines().find_map(|l| l.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no {key} in\n{status}"))
}

/// Numbers of one report that SIGUSR1 gives: the crowd has the endpoint.
fn told_before<const N: usize>(program: &Program, whats: [&str; N]) -> [u64; N] {
    program.report();
    let log = program.log();
    whats.map(|what| number_before(&log, what).unwrap_or_else(|| panic!("no number before{what} in {log}")))
}

/// Cycles missed, and of how many.
fn cycles(program: &Program) -> [u64; 2] {
    told_before(program, [" missed; they", " cycles, "])
}

#[test]
fn a_crowd_of_two_hundred_changes_nothing_for_the_control() {
    let house = House::new("crowd");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map(|a| a.port()).expect("a port");
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let mut program = house.start(&Wishes { port: Some(port), ..Wishes::default() });
    house.until_limits(&program, "40000000");
    until("ready", PATIENCE, || ask(to, "/health"));
    let seed = std::env::var("WANCTL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_260_401_u64);
    let [calm, calm_anonymous] = ["VmRSS:", "RssAnon:"].map(|key| memory(&program, key));
    let (writes, [missed_calm, _]) = (house.writes(), cycles(&program));
    let crowd = Crowd::start(to, seed);
    thread::sleep(FIRST);
    let first = ["VmRSS:", "RssAnon:"].map(|key| memory(&program, key));
    let (before, began) = (cycles(&program), Instant::now());
    thread::sleep(STORM.saturating_sub(FIRST));
    let (took, after) = (began.elapsed(), cycles(&program));
    let last = ["VmRSS:", "RssAnon:"].map(|key| memory(&program, key));
    let told = crowd.end();
    let ended = Instant::now();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (missed, made) = (after[0] - before[0], after[1] - before[1]);
    eprintln!(
        "seed {seed}: {} connections, {} refused, {} ended, {} bytes sent, {} heard\n\
         RSS {calm} KiB before, {} after a second, {} at the end; anonymous {calm_anonymous}, {}, {}\n\
         {made} cycles in {took:?}, {missed} missed, {} more in the first second, {missed_calm} before it all; {} writes to the router",
        count(&told.connected),
        count(&told.refused),
        count(&told.ended),
        count(&told.sent),
        count(&told.heard),
        first[0],
        last[0],
        first[1],
        last[1],
        before[0] - missed_calm,
        house.writes() - writes,
    );
    // Those who wait in the kernel's queue, though they have gone, are let in and shed first.
    for path in ["/health", "/status"] {
        until(path, PATIENCE, || ask(to, path));
    }
    let [most] = told_before(&program, [" bytes at most in one wake-up"]);
    let lateness = program.log().lines().rfind(|l| l.contains("they began")).map(str::to_owned);
    eprintln!("since the start: {}", lateness.as_deref().unwrap_or("no lateness in the log"));
    eprintln!("a polite client had both answers {:?} after the storm", ended.elapsed());
    eprintln!("at most {most} bytes in one wake-up");
    assert!((1..=QUANTUM as u64).contains(&most), "{most} bytes in one wake-up; {QUANTUM} are allowed");
    assert!(count(&told.connected) >= CLIENTS as u64 / 2, "no crowd");
    for (first, last) in first.into_iter().zip(last) {
        assert!(last < first + GROWTH, "memory grew from {first} to {last} KiB");
    }
    assert_eq!(house.writes(), writes, "writes to the router: {}", program.log());
    assert_eq!(house.limits(), ["40000000"; 2].map(str::to_owned));
    let possible = u64::try_from(took.as_millis() / CYCLE.as_millis()).expect("a few");
    assert!(made >= possible / 2, "{made} cycles of {possible}");
    let log = program.log();
    assert!(!log.contains("panic") && !log.contains(" ERROR "), "{log}");
    program.stop(libc::SIGTERM);
}
