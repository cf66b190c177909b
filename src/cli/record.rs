//! What a recording holds beside the calls of the board: the configuration, as text, at the start
//! and at every reload, and the router's address. No secret: passwords are numbered.

use crate::config::{self, Config, Faults, Secret, Warning};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use wanctl_hal::Trust;
use wanctl_hal::linux;
use wanctl_hal::record::{End, Player, Tape};

/// Where to record, and how much at most.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

/// Something that was read beside the board.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Note {
    /// The first entry.
    Start {
        /// Version of the program.
        program: String,
        /// Seconds since 1970, for the log lines before the first cycle.
        at: u64,
        configuration: Configuration,
    },
    /// Where the router was found.
    Router(SocketAddr),
    /// A new configuration, or how many faults it had.
    Reload(Result<Configuration, u32>),
}

/// A configuration without its secrets.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Configuration {
    file: String,
    text: String,
    /// Which of the passwords so far: a reload with another one must look like it.
    password: usize,
    /// What `ca_file` held.
    authorities: Option<Vec<u8>>,
}

impl Configuration {
    /// Checks it again.
    pub(super) fn parse(&self) -> Result<(Config, Vec<Warning>), Faults> {
        let password = format!("password {}", self.password);
        config::parse_elsewhere(&self.text, &self.file, &password, self.authorities.as_deref())
    }

    /// Checks another file, in the same surroundings.
    pub(super) fn parse_other(&self, path: &Path) -> Result<(Config, Vec<Warning>), Faults> {
        let authorities = self.authorities.as_deref().unwrap_or_default();
        config::parse_elsewhere(&config::text(path)?, &path.display().to_string(), "password", Some(authorities))
    }
}

/// Whether a configuration may be recorded.
///
/// # Errors
/// What is wrong, and how to mend it: the text gives the password away.
pub(super) fn check(file: &Path, text: &str, config: &Config) -> Result<(), String> {
    let password = config.router.password.reveal();
    let credentials = BASE64.encode(format!("{}:{password}", config.router.user));
    match text.lines().position(|line| line.contains(password) || line.contains(&credentials)) {
        None => Ok(()),
        Some(line) => Err(format!(
            "line {} of {} contains the router's password, and a recording contains that file: take it out, or choose \
             another password",
            line + 1,
            file.display()
        )),
    }
}

/// Writes notes.
pub(super) struct Notes {
    tape: Rc<RefCell<Tape>>,
    file: String,
    passwords: Vec<Secret>,
}

impl Notes {
    pub(super) fn new(tape: Rc<RefCell<Tape>>, file: &Path) -> Self {
        Self { tape, file: file.display().to_string(), passwords: Vec::new() }
    }

    pub(super) fn start(&mut self, text: &str, config: &Config) -> Result<(), String> {
        let program = env!("CARGO_PKG_VERSION").to_owned();
        let configuration = self.configuration(text, config)?;
        self.put(&Note::Start { program, at: linux::unix_seconds(), configuration });
        Ok(())
    }

    pub(super) fn router(&self, address: SocketAddr) {
        self.put(&Note::Router(address));
    }

    /// What came of a reload. A text that gives the password away ends the recording.
    pub(super) fn reload(&mut self, result: Result<(&str, &Config), u32>) {
        let note = match result {
            Ok((text, config)) => self.configuration(text, config).map(Ok),
            Err(faults) => Ok(Err(faults)),
        };
        match note {
            Ok(note) => self.put(&Note::Reload(note)),
            Err(message) => {
                log::warn!("recording: {message}; it ends here, the control goes on");
                self.tape.borrow_mut().end(End::Withheld);
            }
        }
    }

    fn configuration(&mut self, text: &str, config: &Config) -> Result<Configuration, String> {
        check(Path::new(&self.file), text, config)?;
        let secret = &config.router.password;
        let known = self.passwords.iter().position(|p| p == secret);
        let password = known.unwrap_or_else(|| {
            self.passwords.push(secret.clone());
            self.passwords.len() - 1
        });
        let authorities = match &config.router.trust {
            Trust::Authorities(pem) => Some(pem.clone()),
            Trust::Plain | Trust::Fingerprint(_) | Trust::Public => None,
        };
        Ok(Configuration { file: self.file.clone(), text: text.to_owned(), password, authorities })
    }

    fn put(&self, note: &Note) {
        // Can't fail: there is no map with other keys than text.
        self.tape.borrow_mut().note(&serde_json::to_vec(note).unwrap_or_default());
    }
}

/// The next note of a recording, if the next entry is one.
pub(super) fn next_note(player: &RefCell<Player>) -> Option<Note> {
    let bytes = player.borrow_mut().note()?;
    serde_json::from_slice(&bytes).ok()
}
