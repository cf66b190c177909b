//! Whether the RouterOS double is what others take for RouterOS: public clients, written for the
//! real thing, do their work on it over real TLS (docs/double.md).
//!
//! Needs the Python environment that `make tools` makes in target/clients. Where it is missing the
//! test fails, and says so; `WANCTL_SKIP_PYTHON=1` skips it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::process::Command;
use wanctl_hal::Duration;
use wanctl_hal::sim::{Key, Latency, RouterDouble, RouterServer, RouterSetup, ServerSetup, TlsSetup, World, lock};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every test that `docs/double.md` names is there.
#[test]
fn the_page_names_tests_that_exist() {
    let read = |path: &str| std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
    let page = read("docs/double.md");
    let files = ["serve_tests.rs", "router_tests.rs", "tls_server_tests.rs"];
    let tests: String = files.iter().map(|file| read(&format!("hal/src/sim/{file}"))).collect();
    let rows: Vec<&str> = page.lines().filter(|l| l.starts_with("| ") && l.as_bytes()[2].is_ascii_digit()).collect();
    assert_eq!(rows.len(), 20);
    for row in rows {
        let shown = row.trim_end_matches(" |").rsplit_once(" | ").unwrap().1;
        let names = shown.split('`').skip(1).step_by(2).filter(|n| n.contains('_') && !n.contains(['.', '/']));
        let wrong: Vec<&str> = names.filter(|name| !tests.contains(&format!("fn {name}()"))).collect();
        assert!(wrong.is_empty(), "{wrong:?} in {row}");
        assert!(shown.contains('`') || shown.contains("the same"), "{row}");
    }
}

/// Lets a client do everything it can to a router of its own.
fn drive(client: &str, tls: TlsSetup) {
    if std::env::var_os("WANCTL_SKIP_PYTHON").is_some() {
        eprintln!("NOT RUN because of WANCTL_SKIP_PYTHON: {client} against the double");
        return;
    }
    let python = Path::new(ROOT).join("target/clients/bin/python");
    assert!(
        python.exists(),
        "{} is missing: `make tools` makes it (needs python3 with venv, and the Python package index); \
         WANCTL_SKIP_PYTHON=1 goes without this test",
        python.display()
    );
    let latency = Latency::fixed(Duration::from_millis(2));
    let world = World::new(RouterDouble::new(RouterSetup { latency, ..RouterSetup::default() }), Vec::new()).share();
    let tls = TlsSetup { names: vec!["127.0.0.1".to_owned()], signed: true, ..tls };
    let server = RouterServer::start(&ServerSetup::local(Some(tls)), world.clone(), None).unwrap();
    let ca = std::env::temp_dir().join(format!("wanctl-double-{}-{client}.pem", std::process::id()));
    std::fs::write(&ca, server.pem().unwrap()).unwrap();

    let output = Command::new(python)
        .arg(Path::new(ROOT).join("tests/double/clients.py"))
        .args([client, &format!("https://{}", server.address()), ca.to_str().unwrap(), "wanctl", "secret"])
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy")
        .output()
        .unwrap();
    let _ = std::fs::remove_file(&ca);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{client}:\n{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.lines().count() >= 15, "{client} did too little:\n{said}");

    // What the client believes is what the double did.
    let world = lock(&world);
    let writes: Vec<_> = world.router.writes().map(|w| (w.object.as_str(), w.max_limit.as_deref())).collect();
    assert_eq!(writes, [("guest", Some("10000000")), ("guest", Some("12000000")), ("guest", None)], "{client}");
    assert_eq!(world.router.property("wan1-dl", "max-limit"), Some("100000000"));
}

#[test]
fn rosrestpy_takes_the_double_for_a_router() {
    drive("rosrestpy", TlsSetup::default());
}

#[test]
fn routeros_client_takes_the_double_for_a_router() {
    drive("routeros-client", TlsSetup { key: Key::P256, ..TlsSetup::default() });
}

#[test]
fn mikrotik_rest_mcp_takes_the_double_for_a_router() {
    drive("mikrotik-rest-mcp-server", TlsSetup { tls13: true, ..TlsSetup::default() });
}
