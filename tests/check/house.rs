//! A router on loopback, a configuration for it, and what the program says.

use super::console::Console;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use wanctl_hal::Duration;
use wanctl_hal::sim::{
    Latency, RouterDouble, RouterServer, RouterSetup, ServerSetup, SharedWorld, TlsSetup, World, lock,
};

/// The router's password, which must never be seen.
pub const PASSWORD: &str = "correct horse battery staple";

/// A router, and a directory with a configuration.
pub struct House {
    directory: PathBuf,
    pub world: SharedWorld,
    pub server: RouterServer,
    text: String,
}

/// What a run of the program gave.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl House {
    /// A router as its owner should have it, behind a certificate of its own making.
    pub fn new(name: &str) -> Self {
        Self::with(name, RouterSetup::default(), Some(TlsSetup::default()))
    }

    pub fn with(name: &str, setup: RouterSetup, tls: Option<TlsSetup>) -> Self {
        let directory = std::env::temp_dir().join(format!("wanctl-check-test-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        let setup =
            RouterSetup { password: PASSWORD.to_owned(), latency: Latency::fixed(Duration::from_millis(2)), ..setup };
        let world = World::new(RouterDouble::new(setup), Vec::new()).share();
        let server = RouterServer::start(&ServerSetup::local(tls.clone()), world.clone(), None).unwrap();
        let url = format!("{}://{}", if tls.is_some() { "https" } else { "http" }, server.address());
        let text = format!(
            r#"
[router]
url = "{url}"
user = "wanctl"
# trust
[[wan]]
name = "cable"
link = "cable"
reflectors = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
tcp_targets = []
[wan.download]
queue = "wan1-dl"
ceiling = "80M"
[wan.upload]
queue = "wan1-ul"
ceiling = "18M"
[state]
directory = "state"
"#
        );
        let house = Self { directory, world, server, text };
        house.write();
        house
    }

    /// Another certificate, as after a reset of the router.
    pub fn renew_certificate(&mut self) {
        let setup = ServerSetup { bind: self.server.address(), ..ServerSetup::local(Some(TlsSetup::default())) };
        let bind = ServerSetup::local(None);
        // The port must be free before the next server can have it.
        self.server = RouterServer::start(&bind, self.world.clone(), None).unwrap();
        self.server = RouterServer::start(&setup, self.world.clone(), None).unwrap();
    }

    /// Another text in the configuration.
    pub fn change(&mut self, old: &str, new: &str) {
        assert!(self.text.contains(old), "{old} in {}", self.text);
        self.text = self.text.replacen(old, new, 1);
        self.write();
    }

    /// The administrator's console.
    pub fn console(&self) -> Console {
        Console::of(self.world.clone(), "wanctl", PASSWORD)
    }

    /// Puts a line where a person would put what `trust` prints.
    pub fn paste(&mut self, line: &str) {
        self.change("# trust\n", &format!("# trust\n{line}\n"));
    }

    pub fn pin(&mut self) {
        let line = format!("fingerprint = \"{}\"", self.fingerprint());
        self.paste(&line);
    }

    /// The certificate's fingerprint as RouterOS prints it.
    pub fn fingerprint(&self) -> String {
        self.server.fingerprint().unwrap().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// How many requests have reached the router, with the right password or not.
    pub fn requests(&self) -> u64 {
        lock(&self.world).router.requests_total()
    }

    fn write(&self) {
        fs::write(self.directory.join("wanctl.toml"), &self.text).unwrap();
    }

    pub fn run(&self, command: &str) -> Said {
        self.run_with(command, Some(PASSWORD))
    }

    pub fn run_with(&self, command: &str, password: Option<&str>) -> Said {
        let mut program = Command::new(env!("CARGO_BIN_EXE_wanctl"));
        program.arg(command).arg("--config").arg(self.directory.join("wanctl.toml"));
        match password {
            Some(password) => program.env("WANCTL_ROUTER_PASSWORD", password),
            None => program.env_remove("WANCTL_ROUTER_PASSWORD"),
        };
        let output = program.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let said = Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
        assert!(!said.out.contains(PASSWORD) && !said.err.contains(PASSWORD), "{said:?}");
        said
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
