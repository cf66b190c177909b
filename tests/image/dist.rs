//! The release files, and the tools of others that look at them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// One line of `cross/targets`.
pub struct Target {
    pub name: String,
    pub architecture: String,
    pub variant: Option<String>,
    /// The emulator and the oldest processor it must run on; none for this machine's own.
    pub emulator: Option<(String, String)>,
}

/// Where this project is.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The directory of the release files.
pub fn directory() -> PathBuf {
    std::env::var_os("DIST").map_or_else(|| root().join("dist"), PathBuf::from)
}

/// All targets, or those named in `TARGETS`.
pub fn targets() -> Vec<Target> {
    let wanted = std::env::var("TARGETS").unwrap_or_default();
    let text = std::fs::read_to_string(root().join("cross/targets")).expect("cross/targets");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let all = lines.map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let present = |field: &str| (field != "-").then(|| field.to_owned());
        Target {
            name: fields[0].to_owned(),
            architecture: fields[5].to_owned(),
            variant: present(fields[6]),
            emulator: present(fields[7])
                .map(|e| e.split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("emulator:processor")),
        }
    });
    let found: Vec<Target> =
        all.filter(|t| wanted.is_empty() || wanted.split_whitespace().any(|w| w == t.name)).collect();
    assert!(!found.is_empty(), "no target named {wanted:?}");
    found
}

impl Target {
    pub fn program(&self) -> PathBuf {
        let path = directory().join(format!("wanctl-{}-{}", env!("CARGO_PKG_VERSION"), self.name));
        assert!(path.exists(), "{} is missing: make dist", path.display());
        path
    }

    pub fn image(&self) -> PathBuf {
        let variant = self.variant.as_ref().map(|v| format!("-{v}")).unwrap_or_default();
        let name = format!("wanctl-{}-image-{}{variant}.tar", env!("CARGO_PKG_VERSION"), self.architecture);
        let path = directory().join(name);
        assert!(path.exists(), "{} is missing: make image", path.display());
        path
    }

    /// The program with these arguments, on the oldest processor it is for.
    pub fn command(&self) -> Command {
        let Some((emulator, processor)) = &self.emulator else { return Command::new(self.program()) };
        let mut command = Command::new(emulator);
        command.args(["-cpu", processor]).arg(self.program());
        command
    }
}

/// What a command gives; it must succeed.
pub fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{error}", output.status);
    output
}

/// Its standard output as text.
pub fn text(command: &mut Command) -> String {
    String::from_utf8(output(command).stdout).expect("text")
}

/// An empty directory, deleted when dropped.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wanctl-image-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
