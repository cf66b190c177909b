//! Alerts of the real program: over TCP and TLS, with secrets from files and the environment, and none of them told.

use super::house::{House, PASSWORD, PATIENCE, Wishes, until};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use wanctl_hal::sim::{
    Fault, RouterDouble, RouterServer, RouterSetup, ServerSetup, SharedWorld, TlsSetup, World, lock,
};

const SECRETS: [&str; 3] = ["hush-path", "hush-query", "hush-token"];

/// A webhook over plain TCP: what came, whole.
fn plain() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, told) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let heard = Arc::clone(&told);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let (mut text, mut bytes) = (String::new(), [0; 4096]);
            loop {
                let count = stream.read(&mut bytes).unwrap_or(0);
                text.push_str(core::str::from_utf8(&bytes[..count]).unwrap());
                let length = text.lines().find_map(|l| l.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
                if count == 0 || body.is_some() && body >= length {
                    break;
                }
            }
            heard.lock().unwrap().push(text);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (address, told)
}

/// One over TLS, and its fingerprint.
fn secure() -> (RouterServer, SharedWorld, String) {
    let world = World::new(RouterDouble::new(RouterSetup::default()), Vec::new()).share();
    let server = RouterServer::start(&ServerSetup::local(Some(TlsSetup::default())), world.clone(), None).unwrap();
    let mut fingerprint = String::new();
    server.fingerprint().unwrap().iter().for_each(|byte| write!(fingerprint, "{byte:02x}").unwrap());
    (server, world, fingerprint)
}

fn secret(house: &House, name: &str, text: &str) {
    fs::set_permissions(house.write(name, text), fs::Permissions::from_mode(0o600)).unwrap();
}

/// `wanctl` with this configuration: its exit code, and what it says.
fn wanctl(words: &[&str], config: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wanctl"));
    command.args(words).arg("--config").arg(config).env("WANCTL_ROUTER_PASSWORD", PASSWORD).env("HUSH", SECRETS[2]);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code(), text)
}

fn quiet(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} in:\n{text}");
    }
}

#[test]
fn webhooks_are_told_and_no_secret_is() {
    let house = House::new("alerts");
    let ((http, heard), (tls, world, fingerprint)) = (plain(), secure());
    let port = tls.address().port();
    secret(&house, "url", &format!("https://localhost:{port}/webhook/{}?key={}\n", SECRETS[0], SECRETS[1]));
    secret(&house, "gone", &format!("http://127.0.0.1:9/{}\n", SECRETS[0]));
    let rules = format!(
        "[log]\nlevel = \"debug\"\n\
         [[alert]]\nname = \"secure\"\nurl_file = \"url\"\ntoken_env = \"HUSH\"\nfingerprint = \"{fingerprint}\"\n\
         events = [\"router faults\"]\n\
         [[alert]]\nname = \"plain\"\nurl = \"http://{http}/topic\"\ntoken_env = \"HUSH\"\nformat = \"ntfy\"\n\
         events = [\"warnings\"]\n\
         [[alert]]\nname = \"gone\"\nurl_file = \"gone\"\nevents = [\"warnings\"]\n"
    );
    let wishes = Wishes { end: rules.clone().leak(), ..Wishes::default() };
    let config = house.configure(&wishes);
    let (code, text) = wanctl(&["alert-test", "secure"], &config);
    assert!(code == Some(0) && text.contains("secure: delivered in "), "{text}");
    let (code, text) = wanctl(&["alert-test"], &config);
    assert!(
        code == Some(1) && text.contains("plain: delivered") && text.contains("gone: connection refused"),
        "{text}"
    );
    quiet(&text);
    assert!(heard.lock().unwrap().pop().unwrap().contains("test of the alert rule \"plain\""));

    let mut command = house.command(&config);
    let mut program = super::house::Program::start(command.env("HUSH", SECRETS[2]), &house.directory);
    house.until_limits(&program, "40000000");
    house.inject(Fault::Status { status: 500, times: 1 });
    let told = || lock(&world).router.told().iter().map(|b| String::from_utf8(b.clone()).unwrap()).collect::<Vec<_>>();
    let last = until("an alert over TLS", PATIENCE, || told().pop().filter(|text| !text.contains("\"test\"")));
    let json: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert_eq!((&json["rule"], &json["event"]), (&"secure".into(), &"router faults".into()));
    assert_eq!(json["text"], "router: HTTP status 500");
    let text = until("an alert over TCP", PATIENCE, || heard.lock().unwrap().pop());
    assert!(text.starts_with("POST /topic HTTP/1.1\r\n") && text.contains("\r\nPriority: 4\r\n"), "{text}");
    assert!(text.contains(&format!("\r\nAuthorization: Bearer {}\r\n", SECRETS[2])), "{text}");
    assert!(text.ends_with("\r\n\r\nrouter: HTTP status 500"), "{text}");
    program.until_line(&["WARN", "alert \"gone\": connection refused; tried again"]);

    // Other rules from now on: the certificate is not the pinned one, and nothing is sent there.
    let before = told().len();
    let other = rules.replace(&fingerprint, &"ab".repeat(32)).replace("/topic", "/other").replace("cable", "x");
    house.configure(&Wishes { end: other.leak(), ..Wishes::default() });
    program.signal(libc::SIGHUP);
    program.until_line(&["configuration read again, in force now"]);
    house.inject(Fault::Status { status: 503, times: 1 });
    program.until_line(&["WARN", "alert \"secure\": it shows another certificate than the pinned one: ", &fingerprint]);
    until("the other path", PATIENCE, || heard.lock().unwrap().pop().filter(|text| text.starts_with("POST /other ")));
    assert_eq!(told().len(), before);
    let (code, text) = wanctl(&["alert-test", "secure"], &config);
    assert!(code == Some(1) && text.contains("secure: it shows another certificate"), "{text}");
    program.report();
    assert_eq!(house.limits(), ["40000000"; 2], "the control goes on");
    program.stop(libc::SIGTERM);
    quiet(&(program.log() + &program.output()));
}

#[test]
fn a_bad_rule_is_loud_and_nothing_else_is_lost() {
    let house = House::new("bad-alert");
    let (http, heard) = plain();
    let rules = format!(
        "[[alert]]\nname = \"good\"\nurl = \"http://{http}/x\"\nevents = [\"reloads\"]\n\
         [[alert]]\nname = \"bad\"\nurl = \"https://ntfy.example/x\"\nfingerprint = \"ab\"\n"
    );
    let wishes = Wishes { end: rules.leak(), ..Wishes::default() };
    let config = house.configure(&wishes);
    for words in [&["check", "--offline"][..], &["alert-test"], &["alert-test", "bad"]] {
        let (code, text) = wanctl(words, &config);
        assert!(code == Some(2) && text.contains("alert \"bad\".fingerprint = \"ab\": must be the SHA-256"), "{text}");
    }
    assert_eq!(wanctl(&["alert-test", "good"], &config).0, Some(0));
    let (code, schema) = wanctl(&["status", "--schema"], &config);
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(code == Some(0) && schema["additionalProperties"] == false, "asked of nobody: {schema}");
    let mut program = house.start(&wishes);
    house.until_limits(&program, "40000000");
    program.until_line(&["ERROR", "wanctl.toml:", "alert \"bad\".fingerprint = \"ab\": must be"]);
    program.until_line(&["ERROR", "alert rules out of use: 1; everything else works"]);
    program.signal(libc::SIGHUP);
    until("an alert by the good rule", PATIENCE, || {
        heard.lock().unwrap().pop().filter(|text| text.contains("configuration read again"))
    });
    program.stop(libc::SIGTERM);
}

/// Alerts are no part of a recording: it holds no secret of theirs, needs none, and sends none when it is repeated.
#[test]
fn a_run_with_alerts_is_repeated_without_them() {
    let house = House::new("alert-record");
    let (http, heard) = plain();
    secret(&house, "url", &format!("http://{http}/{}\n", SECRETS[0]));
    let rule =
        "[[alert]]\nname = \"r\"\nurl_file = \"url\"\ntoken_env = \"HUSH\"\nevents = [\"warnings\", \"reloads\"]\n";
    let config = house.configure(&Wishes { end: rule, ..Wishes::default() });
    let recording = house.directory.join("run.wanrec");
    let mut command = house.command(&config);
    command.arg("--record").arg(&recording).env("HUSH", SECRETS[2]);
    let mut program = super::house::Program::start(&mut command, &house.directory);
    house.until_limits(&program, "40000000");
    house.inject(Fault::Reset);
    until("an alert", PATIENCE, || heard.lock().unwrap().pop());
    program.signal(libc::SIGHUP);
    until("another", PATIENCE, || heard.lock().unwrap().pop().filter(|text| text.contains("read again")));
    program.stop(libc::SIGTERM);
    let before = heard.lock().unwrap().len();
    fs::remove_file(house.directory.join("url")).unwrap();
    let content = fs::read(&recording).unwrap();
    assert!(SECRETS.iter().all(|secret| !content.windows(secret.len()).any(|w| w == secret.as_bytes())));
    let replayed = Command::new(env!("CARGO_BIN_EXE_wanctl")).arg("replay").arg(&recording).output().unwrap();
    let told = String::from_utf8_lossy(&replayed.stdout).into_owned() + &String::from_utf8_lossy(&replayed.stderr);
    assert!(replayed.status.success() && told.contains(" cycles, identical"), "{told}");
    assert_eq!(heard.lock().unwrap().len(), before, "nobody is told of a replay");
}
