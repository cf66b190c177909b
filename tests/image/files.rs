//! The files themselves: sums, programs that say who they are, images that others can read.

use super::dist::{Scratch, directory, output, root, targets, text};
use serde_json::Value;
use std::fs;
use std::process::Command;

/// The largest a program may be.
const LARGEST: u64 = 2 << 20;

#[test]
fn sums_are_right() {
    output(Command::new("sha256sum").args(["--check", "--strict", "--quiet", "SHA256SUMS"]).current_dir(directory()));
    let sums = fs::read_to_string(directory().join("SHA256SUMS")).unwrap();
    for target in targets() {
        for path in [target.program(), target.image()] {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(sums.lines().any(|line| line.ends_with(name)), "{name} has no sum");
        }
    }
}

#[test]
fn programs_are_small_and_say_what_they_are() {
    for target in targets() {
        let size = fs::metadata(target.program()).unwrap().len();
        assert!(size <= LARGEST, "{}: {size} bytes", target.name);
        let version: Value = serde_json::from_str(&text(target.command().args(["version", "--json"]))).unwrap();
        assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(version["target"], target.name.as_str());
        assert_eq!(version["features"], Value::Array(Vec::new()), "no simulator in a release");
        assert!(version["commit"].as_str().is_some_and(|c| c.len() >= 40), "{version}");
    }
}

#[test]
fn programs_check_a_configuration() {
    for target in targets() {
        for (example, code) in [("minimal", 0), ("dual-wan", 0), ("missing", 2)] {
            let file = root().join("docs/examples").join(example).with_extension("toml");
            let mut command = target.command();
            let check = ["check", "--offline", "--config"];
            let ended = command.args(check).arg(file).env("WANCTL_ROUTER_PASSWORD", "secret").output().unwrap();
            let error = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(code), "{} {example}: {error}", target.name);
        }
        // The same file, named by the environment.
        let file = root().join("docs/examples/missing.toml");
        let ended = target.command().args(["check", "--offline"]).env("WANCTL_CONFIG", &file).output().unwrap();
        assert_eq!(ended.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&ended.stderr).contains("missing.toml"));
    }
}

#[test]
fn bills_of_materials_name_what_is_linked() {
    for target in targets() {
        let path = format!("{}.cdx.json", target.program().display());
        let bill: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(bill["bomFormat"], "CycloneDX");
        let sum = text(Command::new("sha256sum").arg(target.program()));
        let told = bill["metadata"]["component"]["hashes"][0]["content"].as_str().unwrap();
        assert!(sum.starts_with(told), "{sum} {told}");
        let named = |name: &str| bill["components"].as_array().unwrap().iter().any(|c| c["name"] == name);
        for linked in ["rustls", "ring", "mio", "wanctl-hal"] {
            assert!(named(linked), "{linked} is linked and not named");
        }
        for not in ["proptest", "rcgen", "serde_derive", "tokio", "openssl-sys"] {
            assert!(!named(not), "{not} is named and not linked");
        }
    }
}

#[test]
fn others_can_read_the_images() {
    for target in targets() {
        let image = format!("docker-archive:{}", target.image().display());
        let seen: Value = serde_json::from_str(&text(Command::new("skopeo").args(["inspect", &image]))).unwrap();
        assert_eq!(seen["Architecture"], target.architecture.as_str());
        assert_eq!(seen["Os"], "linux");
        assert_eq!(seen["Layers"].as_array().unwrap().len(), 1);
        let seen: Value =
            serde_json::from_str(&text(Command::new("skopeo").args(["inspect", "--config", &image]))).unwrap();
        assert_eq!(seen.get("variant").and_then(Value::as_str), target.variant.as_deref(), "{seen}");
        assert_eq!(seen["config"]["Entrypoint"], serde_json::json!(["/usr/bin/wanctl"]));
        assert_eq!(seen["config"]["Cmd"], serde_json::json!(["run"]));
    }
}

#[test]
fn a_router_can_read_the_images() {
    for target in targets() {
        let scratch = Scratch::new(&target.name);
        output(Command::new("tar").arg("xf").arg(target.image()).arg("-C").arg(&scratch.0));
        let manifest = fs::read_to_string(scratch.0.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let layers = manifest[0]["Layers"].as_array().unwrap();
        assert_eq!(layers.len(), 1, "one layer");
        let layer = fs::read(scratch.0.join(layers[0].as_str().unwrap())).unwrap();
        for tar in [&fs::read(target.image()).unwrap(), &layer] {
            plain(tar);
        }
        let rootfs = scratch.0.join("rootfs");
        fs::create_dir(&rootfs).unwrap();
        output(Command::new("tar").arg("xf").arg(scratch.0.join("layer.tar")).arg("-C").arg(&rootfs));
        assert!(
            fs::read(rootfs.join("usr/bin/wanctl")).unwrap() == fs::read(target.program()).unwrap(),
            "{}: another program is in the image",
            target.name
        );
        for directory in ["etc/wanctl", "tmp", "var/lib/wanctl"] {
            assert!(rootfs.join(directory).is_dir(), "{directory}");
        }
    }
}

/// Every header is ustar, and of a plain file or a directory; nothing else is understood everywhere.
fn plain(tar: &[u8]) {
    let mut at = 0;
    let mut entries = 0;
    while tar[at..at + 512].iter().any(|&b| b != 0) {
        let header = &tar[at..at + 512];
        assert_eq!(&header[257..263], b"ustar\0");
        assert!(matches!(header[156], b'0' | b'5'), "an entry of type {:?}", char::from(header[156]));
        let size = std::str::from_utf8(&header[124..135]).unwrap();
        let size = usize::from_str_radix(size, 8).unwrap();
        at += 512 + size.next_multiple_of(512);
        entries += 1;
    }
    assert!(entries >= 3, "{entries} entries");
}
