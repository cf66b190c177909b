//! A router, a directory and a running program: what every test here needs.

use super::netns::Netns;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use wanctl_hal::sim::{
    Fault, Latency, QueueSetup, RouterDouble, RouterServer, RouterSetup, ServerSetup, SharedWorld, TlsSetup, World,
    lock,
};

/// The router's password, which must never be seen.
pub const PASSWORD: &str = "correct horse battery staple";

/// How long anything may take that has no deadline of its own.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The operator's own limits of the two queues.
pub const ORIGINALS: [&str; 2] = ["100000000", "50000000"];

/// The queues.
pub const QUEUES: [&str; 2] = ["wan1-dl", "wan1-ul"];

/// Waits until `found` gives something; `what` is told when it never does.
pub fn until<T>(what: &str, patience: Duration, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain for {patience:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether this runs as root; if not, says what is not tested.
pub fn root(what: &str) -> bool {
    // SAFETY: a plain system call without arguments.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        eprintln!("NOT TESTED (needs root): {what}");
    }
    root
}

/// What a configuration may differ in.
#[derive(Clone)]
pub struct Wishes {
    pub ceiling: &'static str,
    pub baseline: &'static str,
    /// Lines for the router's section.
    pub router: &'static str,
    /// Lines for the section of the WAN.
    pub wan: &'static str,
    /// Lines for the sections of both directions.
    pub directions: &'static str,
    /// Sections at the end.
    pub end: &'static str,
    pub reflectors: &'static str,
    /// Port of the endpoint.
    pub port: Option<u16>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            ceiling: "40M",
            baseline: "20ms",
            router: "",
            wan: "",
            directions: "",
            end: "",
            reflectors: r#"["127.0.0.1", "127.0.0.2", "127.0.0.3"]"#,
            port: None,
        }
    }
}

/// A router on loopback, and a directory for the program.
pub struct House {
    pub directory: PathBuf,
    pub world: SharedWorld,
    server: Option<RouterServer>,
    url: String,
    fingerprint: String,
}

impl House {
    pub fn new(name: &str) -> Self {
        Self::within(name, None)
    }

    /// The same in a namespace.
    pub fn within(name: &str, netns: Option<&Netns>) -> Self {
        let directory = std::env::temp_dir().join(format!("wanctl-process-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory");
        let setup = RouterSetup {
            password: PASSWORD.to_owned(),
            queues: vec![
                QueueSetup::tree(QUEUES[0], "bridge", 100_000_000),
                QueueSetup::tree(QUEUES[1], "ether1", 50_000_000),
            ],
            latency: Latency::fixed(Duration::from_millis(5)),
            ..RouterSetup::default()
        };
        let world = World::new(RouterDouble::new(setup), Vec::new()).share();
        let start = || RouterServer::start(&ServerSetup::local(Some(TlsSetup::default())), world.clone(), None);
        let server = netns.map_or_else(start, |netns| netns.within(start)).expect("the RouterOS double");
        let mut fingerprint = String::new();
        for byte in server.fingerprint().expect("TLS") {
            let _ = write!(fingerprint, "{byte:02x}");
        }
        Self { directory, url: format!("https://{}", server.address()), world, server: Some(server), fingerprint }
    }

    /// Writes the configuration; returns its path.
    pub fn configure(&self, wishes: &Wishes) -> PathBuf {
        let Wishes { ceiling, baseline, router, wan, directions, end, reflectors, port } = wishes;
        let listen = port.map_or_else(|| "off".to_owned(), |port| format!("127.0.0.1:{port}"));
        let (url, fingerprint, state) = (&self.url, &self.fingerprint, self.directory.join("state"));
        let state = state.display();
        let [down, up] = QUEUES;
        // The lowest baseline is high enough for delays of a busy machine not to be congestion.
        let text = format!(
            r#"
[router]
url = "{url}"
user = "wanctl"
fingerprint = "{fingerprint}"
{router}
[[wan]]
name = "cable"
link = "cable"
law = "classic"
reflectors = {reflectors}
tcp_targets = []
baseline = "{baseline}"
baseline_min = "15ms"
baseline_weight = 0.00001
{wan}
[wan.download]
queue = "{down}"
ceiling = "{ceiling}"
floor = "4M"
{directions}
[wan.upload]
queue = "{up}"
ceiling = "{ceiling}"
floor = "2M"
{directions}
[state]
directory = "{state}"
[observe]
listen = "{listen}"
{end}
"#
        );
        self.write("wanctl.toml", &text)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// The program with this configuration.
    pub fn start(&self, wishes: &Wishes) -> Program {
        Program::start(&mut self.command(&self.configure(wishes)), &self.directory)
    }

    /// How it is started.
    pub fn command(&self, configuration: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wanctl"));
        command.args(["run", "--config"]).arg(configuration).env("WANCTL_ROUTER_PASSWORD", PASSWORD);
        command
    }

    pub fn limits(&self) -> [String; 2] {
        let world = lock(&self.world);
        QUEUES.map(|queue| world.router.property(queue, "max-limit").unwrap_or("none").to_owned())
    }

    /// Waits until both limits are this.
    pub fn until_limits(&self, program: &Program, limit: &str) {
        let found = || (self.limits() == [limit, limit]).then_some(());
        let deadline = Instant::now() + PATIENCE;
        while found().is_none() {
            assert!(Instant::now() < deadline, "{:?} instead of {limit}; log:\n{}", self.limits(), program.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn inject(&self, fault: Fault) {
        let mut world = lock(&self.world);
        let now = world.now();
        world.router.inject(now, fault);
    }

    pub fn writes(&self) -> u64 {
        lock(&self.world).router.writes_total()
    }

    /// Closes the router's port.
    pub fn close(&mut self) {
        self.server = None;
    }

    pub fn state(&self, file: &str) -> PathBuf {
        self.directory.join("state").join(file)
    }

    /// Everything is given to nobody.
    pub fn give_away(&self) {
        for path in [self.directory.clone(), self.directory.join("wanctl.toml")] {
            std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).expect("chown");
        }
    }

    /// The program as nobody, without any capability.
    pub fn command_as_nobody(&self, configuration: &Path) -> Command {
        // Nobody may not enter every build directory.
        let program = self.directory.join("wanctl");
        fs::copy(env!("CARGO_BIN_EXE_wanctl"), &program).expect("a copy of the program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("permissions");
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups", "--inh-caps=-all"]);
        command.arg(program).args(["run", "--config"]).arg(configuration).env("WANCTL_ROUTER_PASSWORD", PASSWORD);
        command
    }
}

/// The user and group without rights.
const NOBODY: u32 = 65_534;

impl Drop for House {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The running program; killed when dropped.
pub struct Program {
    process: Child,
    log: PathBuf,
    out: PathBuf,
}

impl Program {
    pub fn start(command: &mut Command, directory: &Path) -> Self {
        let (log, out) = (directory.join("stderr"), directory.join("stdout"));
        let file = |path: &Path| File::create(path).expect("a file for the output");
        command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&log));
        Self { process: command.spawn().expect("the program"), log, out }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn signal(&self, signal: libc::c_int) {
        send(self.id(), signal);
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the log")
    }

    pub fn output(&self) -> String {
        fs::read_to_string(&self.out).expect("the output")
    }

    /// Waits for a line with these words; returns the first.
    pub fn until_line(&self, words: &[&str]) -> String {
        let found = || self.log().lines().find(|line| words.iter().all(|w| line.contains(w))).map(str::to_owned);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = found() {
                return line;
            }
            assert!(Instant::now() < deadline, "no line with {words:?} in:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The line of the WAN that SIGUSR1 gives.
    pub fn report(&self) -> String {
        self.report_of(self.id())
    }

    /// The same of a process that another one has started.
    pub fn report_of(&self, process: u32) -> String {
        let told = || self.log().lines().filter(|l| l.contains("cable: ")).map(str::to_owned).collect::<Vec<_>>();
        until("a report of what was measured", PATIENCE, || {
            let before = told().len();
            send(process, libc::SIGUSR1);
            let lines = until("the report", PATIENCE, || Some(told()).filter(|lines| lines.len() > before));
            lines[before..].iter().find(|line| line.contains(" cycles missed")).cloned()
        })
    }

    /// Waits until a report has this in it; returns the report.
    pub fn until_report(&self, words: &str) -> String {
        until(words, PATIENCE, || Some(self.report()).filter(|report| report.contains(words)))
    }

    /// Waits for the end.
    pub fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.process.try_wait().expect("waiting") {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its exit code when it ends by itself.
    pub fn code(&mut self) -> i32 {
        let Some(status) = self.ended(PATIENCE) else { panic!("it goes on:\n{}", self.log()) };
        status.code().unwrap_or_else(|| panic!("{status}:\n{}", self.log()))
    }

    /// Asks it to stop; it must obey within two seconds, whatever the router does.
    pub fn stop(&mut self, signal: libc::c_int) {
        self.signal(signal);
        self.stops();
    }

    /// It was asked to stop.
    pub fn stops(&mut self) {
        let Some(status) = self.ended(Duration::from_secs(2)) else {
            panic!("two seconds after it was asked to stop:\n{}", self.log())
        };
        assert_eq!(status.code(), Some(0), "{status}:\n{}", self.log());
    }

    pub fn kill(&mut self) {
        self.process.kill().expect("kill");
        self.process.wait().expect("wait");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn send(process: u32, signal: libc::c_int) {
    let id = libc::pid_t::try_from(process).expect("a process id");
    // SAFETY: a plain system call; the process is ours.
    assert_eq!(unsafe { libc::kill(id, signal) }, 0, "signal {signal} to {id}");
}

/// In a mount namespace of its own, with this file as /etc/resolv.conf; the process is the program's.
pub fn with_name_servers(resolv: &Path, program: &Command) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#]).arg(resolv);
    command.arg(program.get_program()).args(program.get_args());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// A name server at an address of this machine that never answers, or why there is none.
pub fn mute_name_server(house: &House, address: &str) -> Result<(UdpSocket, PathBuf), String> {
    let resolv = house.write("resolv.conf", &format!("nameserver {address}\n"));
    let output = with_name_servers(&resolv, Command::new("cat").arg("/etc/resolv.conf")).output();
    let output = output.map_err(|e| format!("unshare: {e}"))?;
    if !output.status.success() || !String::from_utf8_lossy(&output.stdout).contains(address) {
        return Err(format!("/etc/resolv.conf of our own: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let socket = UdpSocket::bind((address, 53)).map_err(|e| format!("{address}:53: {e}"))?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
    Ok((socket, resolv))
}

/// Waits until that name server is asked for a name with this in it.
pub fn until_asked(server: &UdpSocket, program: &Program, name: &[u8]) {
    let mut question = [0; 512];
    let length = server.recv(&mut question).unwrap_or_else(|e| panic!("no question: {e}; {}", program.log()));
    assert!(question[..length].windows(name.len()).any(|part| part == name), "for its name");
}
