//! The units and packages for boards (`cross/units`): checked by the tools that will read them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A directory of one test's own.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wanctl-units-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn unit(name: &str) -> PathBuf {
    Path::new(ROOT).join("cross/units").join(name)
}

/// What a tool says; `None`, and a word about it, when it is not installed.
fn tool(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("NOT TESTED ({:?} is not installed)", command.get_program());
            None
        }
        Err(error) => panic!("{command:?}: {error}"),
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(output));
    text(output)
}

fn package(kind: &str, program: &Path, architecture: &str, out: &Path) {
    done(&Command::new(unit("package.sh")).arg(kind).arg(program).arg(architecture).arg(out).output().unwrap());
}

fn fault_of(configuration: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wanctl"));
    command.args(["check", "--offline", "--config"]).arg(configuration).env("WANCTL_ROUTER_PASSWORD", "x");
    text(&command.output().unwrap())
}

#[test]
fn systemd_takes_the_unit_and_finds_it_well_closed() {
    let scratch = Scratch::new("systemd");
    let wrong = Path::new("/usr/bin/wanctl");
    let unit = fs::read_to_string(unit("wanctl.service")).unwrap();
    assert!(unit.contains(&wrong.display().to_string()));
    let copy = scratch.path("wanctl.service");
    fs::write(&copy, unit.replace("/usr/bin/wanctl", env!("CARGO_BIN_EXE_wanctl"))).unwrap();
    let Some(said) = tool(Command::new("systemd-analyze").arg("verify").arg(&copy)) else { return };
    let said = done(&said);
    assert!(!said.contains("wanctl.service"), "{said}");
    // 10 is wide open, and 2.0 is what a daemon needs that opens raw sockets to the whole internet.
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=yes", "--threshold=20"]).arg(&copy);
    done(&tool(&mut command).unwrap());
}

#[test]
fn shells_can_read_all_scripts() {
    for name in ["package.sh", "postinst", "prerm", "postrm", "wanctl.openrc", "openwrt/wanctl.init"] {
        done(&Command::new("sh").arg("-n").arg(unit(name)).output().unwrap());
    }
}

#[test]
fn the_debian_package_is_one_and_is_always_the_same() {
    let scratch = Scratch::new("deb");
    let small = scratch.path("small");
    fs::write(&small, "#!/bin/sh\n").unwrap();
    let file = |out: &str| {
        package("deb", &small, "armhf", &scratch.path(out));
        let name = format!("{out}/wanctl_{}_armhf.deb", env!("CARGO_PKG_VERSION"));
        fs::read(scratch.path(&name)).unwrap()
    };
    assert!(file("one") == file("two"), "two builds give different bytes");

    package("deb", Path::new(env!("CARGO_BIN_EXE_wanctl")), "amd64", &scratch.0);
    let deb = scratch.path(&format!("wanctl_{}_amd64.deb", env!("CARGO_PKG_VERSION")));
    let Some(said) = tool(Command::new("dpkg-deb").arg("--info").arg(&deb)) else { return };
    let said = done(&said);
    for field in ["Package: wanctl", "Architecture: amd64", "conffiles", "postinst", "prerm"] {
        assert!(said.contains(field), "no {field} in {said}");
    }
    let tree = scratch.path("tree");
    done(&Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&tree).output().unwrap());
    let said = done(&Command::new(tree.join("usr/bin/wanctl")).arg("--version").output().unwrap());
    assert!(said.contains(env!("CARGO_PKG_VERSION")), "{said}");
    assert!(tree.join("lib/systemd/system/wanctl.service").exists());
    assert!(tree.join("usr/share/doc/wanctl/routeros/install.rsc").exists());
    // The example lacks nothing but what only its reader can know.
    let said = fault_of(&tree.join("etc/wanctl/wanctl.toml"));
    assert!(said.contains("1 fault") && said.contains("fingerprint"), "{said}");
}

#[test]
fn the_tar_for_openwrt_has_everything_in_its_place() {
    let scratch = Scratch::new("tar");
    let small = scratch.path("small");
    fs::write(&small, "#!/bin/sh\n").unwrap();
    package("tar", &small, "aarch64", &scratch.0);
    let tar = scratch.path(&format!("wanctl-{}-openwrt-aarch64.tar.gz", env!("CARGO_PKG_VERSION")));
    let tree = scratch.path("tree");
    fs::create_dir(&tree).unwrap();
    done(&Command::new("tar").arg("-xzf").arg(&tar).arg("-C").arg(&tree).output().unwrap());
    for name in ["usr/bin/wanctl", "etc/init.d/wanctl"] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(tree.join(name)).unwrap().permissions().mode() & 0o777, 0o755, "{name}");
    }
    let file = tree.join("etc/wanctl/wanctl.toml");
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.contains("user = \"nobody\"") && !written.contains("credentials"), "{written}");
    let said = fault_of(&file);
    assert!(said.contains("1 fault") && said.contains("fingerprint"), "{said}");
}
