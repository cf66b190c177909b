//! Network namespaces: made with `ip netns`, entered by threads, deleted whatever happens.

use std::ffi::c_int;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle, ScopedJoinHandle};

/// Where `ip netns` keeps its names.
const DIRECTORY: &str = "/run/netns";

/// All our names begin with this, then the process, then the world.
const PREFIX: &str = "wanctl-test-";

/// One namespace; deleted when dropped.
pub struct Netns {
    name: String,
    file: File,
}

impl Netns {
    pub fn new(world: &str, role: &str) -> Self {
        let name = format!("{PREFIX}{}-{world}-{role}", std::process::id());
        ip(&["netns", "add", &name]);
        let file = File::open(Path::new(DIRECTORY).join(&name)).expect("the namespace just made");
        let netns = Self { name, file };
        netns.ip(&["link", "set", "lo", "up"]);
        netns
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` in here.
    pub fn ip(&self, arguments: &[&str]) {
        ip(&[&["-n", &self.name], arguments].concat());
    }

    /// Runs `tc` in here.
    pub fn tc(&self, arguments: &[&str]) {
        run("tc", &[&["-n", &self.name], arguments].concat());
    }

    /// Runs `work` in here, and waits for it.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let join = self.spawn_scoped(scope, work);
            join.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A thread in here, for as long as `scope` lasts.
    pub fn spawn_scoped<'scope, T: Send + 'scope>(
        &self,
        scope: &'scope thread::Scope<'scope, '_>,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, T> {
        let file = self.file.try_clone().expect("duplicating a descriptor");
        scope.spawn(move || {
            enter(&file);
            work()
        })
    }

    /// A thread in here.
    pub fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let file = self.file.try_clone().expect("duplicating a descriptor");
        thread::spawn(move || {
            enter(&file);
            work()
        })
    }

    /// Makes `command` run in here, and end with the thread that starts it.
    pub fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let file = self.file.try_clone().expect("duplicating a descriptor");
        // SAFETY: between fork and exec only two system calls are made; both are safe there, and
        // the descriptor is owned by the closure.
        unsafe {
            command.pre_exec(move || {
                check(libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET))?;
                check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))
            })
        }
    }

    /// Writes a sysctl below `net/` in here.
    pub fn sysctl(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/net/{name}");
        // `/proc/sys/net` shows the namespace of the thread that opens it.
        self.within(|| fs::write(&path, value)).unwrap_or_else(|e| panic!("{path} = {value}: {e}"));
    }

    /// Switches segmentation and receive offloads of an interface off, so that queues see packets
    /// as they would be on the wire.
    pub fn no_offload(&self, interface: &str) {
        // ETHTOOL_STSO, _SGSO, _SGRO, _STXCSUM (segmentation needs it; without, nothing re-enables).
        for command in [0x1f, 0x24, 0x2c, 0x17] {
            let done = self.within(|| set_off(interface, command));
            done.unwrap_or_else(|e| panic!("ethtool {command:#x} on {interface}: {e}"));
        }
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

/// Deletes what earlier processes left behind that did not end by themselves.
pub fn sweep() {
    let Ok(entries) = fs::read_dir(DIRECTORY) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(process) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else { continue };
        if !Path::new("/proc").join(process).exists() {
            eprintln!("deleting {name}, left behind by an earlier run");
            delete(&name);
        }
    }
}

fn delete(name: &str) {
    let ended = Command::new("ip").args(["netns", "del", name]).status();
    if !ended.is_ok_and(|status| status.success()) {
        eprintln!("namespace {name} could not be deleted");
    }
}

/// Moves this thread into a namespace.
fn enter(file: &File) {
    // SAFETY: plain system call on a descriptor that is open.
    let result = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
    check(result).expect("setns");
}

/// `-1` into the error behind it.
pub fn check(result: c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub fn ip(arguments: &[&str]) {
    run("ip", arguments);
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {}", arguments.join(" "), text.trim());
}

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

fn set_off(interface: &str, command: u32) -> io::Result<()> {
    let mut value = EthtoolValue { command, data: 0 };
    let mut request = interface_request(interface);
    request.ifr_ifru.ifru_data = std::ptr::from_mut(&mut value).cast();
    // SAFETY: plain system call; the descriptor is new and ours.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    check(socket)?;
    // SAFETY: the descriptor was opened just now and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: SIOCETHTOOL takes an `ifreq` whose data point to an `ethtool_value`; both live here.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) })
}

/// A TUN interface of this name in the namespace of this thread, without packet headers.
pub fn open_tun(name: &str) -> io::Result<File> {
    let device = File::options().read(true).write(true).open("/dev/net/tun")?;
    let mut request = interface_request(name);
    let flags = libc::IFF_TUN | libc::IFF_NO_PI;
    request.ifr_ifru.ifru_flags = i16::try_from(flags).expect("two low bits");
    // SAFETY: TUNSETIFF takes an `ifreq`, which lives here.
    check(unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    Ok(device)
}

fn interface_request(name: &str) -> libc::ifreq {
    // SAFETY: `ifreq` is plain data, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    assert!(name.len() < libc::IFNAMSIZ, "{name} is too long for an interface");
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::try_from(from).expect("ASCII");
    }
    request
}

/// Whether the descriptor can be read within `milliseconds`.
pub fn readable(descriptor: BorrowedFd<'_>, milliseconds: c_int) -> bool {
    let mut poll = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one `pollfd`, which lives here.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) == 1 }
}

/// A veth pair between two namespaces.
pub fn cable(one: &Netns, one_name: &str, one_address: &str, other: &Netns, other_name: &str, other_address: &str) {
    one.ip(&["link", "add", one_name, "type", "veth", "peer", "name", other_name, "netns", other.name()]);
    for (netns, name, address) in [(one, one_name, one_address), (other, other_name, other_address)] {
        netns.ip(&["address", "add", address, "dev", name]);
        netns.no_offload(name);
        for which in ["all", name] {
            netns.sysctl(&format!("ipv4/conf/{which}/rp_filter"), "0");
        }
        netns.ip(&["link", "set", name, "txqueuelen", "10000", "up"]);
    }
}
