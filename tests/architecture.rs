//! The arrows between the parts point one way. A new arrow fails here; if it is needed, the design
//! is wrong and must change first.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

/// Part → what it may name. `hal` is the machine; `types` re-exports its plain data.
const ARROWS: [(&str, &[&str]); 9] = [
    ("types", &["hal"]),
    ("measure", &["types"]),
    ("decide", &["types"]),
    ("actuate", &["types"]),
    ("routeros", &["types"]),
    ("observe", &["types"]),
    ("config", &["types", "measure", "decide", "actuate", "observe", "hal"]),
    ("daemon", &["types", "measure", "decide", "actuate", "routeros", "observe", "config", "hal"]),
    ("cli", &["types", "measure", "decide", "actuate", "routeros", "observe", "config", "daemon", "hal"]),
];

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The code without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|l| l.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn arrows_point_one_way() {
    let mut wrong = Vec::new();
    for (part, allowed) in ARROWS {
        for path in sources(&Path::new(ROOT).join("src").join(part)) {
            let code = code(&path);
            for (other, _) in ARROWS.iter().filter(|(other, _)| *other != part && !allowed.contains(other)) {
                if code.contains(&format!("crate::{other}")) {
                    wrong.push(format!("{} names crate::{other}", path.display()));
                }
            }
            if !allowed.contains(&"hal") && code.contains("wanctl_hal") {
                wrong.push(format!("{} names wanctl_hal", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_pure_parts_read_no_clock_and_do_no_io() {
    let forbidden = ["std::net::", "std::time::", "std::fs", "std::thread", "SystemTime", "println!", "unsafe"];
    for part in ["types", "measure", "decide", "actuate", "routeros"] {
        for path in sources(&Path::new(ROOT).join("src").join(part)) {
            let code = code(&path);
            for word in forbidden {
                assert!(!code.contains(word), "{} contains {word}", path.display());
            }
        }
    }
}

#[test]
fn unsafe_lives_in_one_place() {
    for root in ["src", "hal/src"] {
        for path in sources(&Path::new(ROOT).join(root)) {
            let allowed = path.components().any(|c| c.as_os_str() == "linux");
            assert!(allowed || !code(&path).contains("unsafe "), "{}", path.display());
        }
    }
}

#[test]
fn the_top_level_is_the_one_agreed() {
    let mut names: Vec<String> =
        fs::read_dir(ROOT).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|n| !n.starts_with('.') && n != "target" && n != "dist");
    names.sort();
    let expected = [
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "Makefile",
        "README.md",
        "cross",
        "docs",
        "hal",
        "rustfmt.toml",
        "src",
        "tests",
    ];
    assert_eq!(names, expected);
}

#[test]
fn files_and_functions_stay_small() {
    for root in ["src", "hal/src"] {
        for path in sources(&Path::new(ROOT).join(root)) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 560, "{} has {lines} lines: it has two jobs", path.display());
        }
    }
}
