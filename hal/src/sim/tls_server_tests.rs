use super::*;
use crate::sim::{Key, RouterDouble, RouterSetup, World};
use crate::units::WallClock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

const REQUEST: &[u8] = b"PATCH /rest/queue/tree/*1000000 HTTP/1.1\r\nAuthorization: Basic d2FuY3RsOnNlY3JldA==\r\n\
    Connection: close\r\nContent-Length: 19\r\n\r\n{\"max-limit\":\"10M\"}";

fn world() -> SharedWorld {
    World::new(RouterDouble::new(RouterSetup { wall: WallClock(0), ..RouterSetup::default() }), Vec::new()).share()
}

#[test]
fn plain_http_is_served_and_writes_are_told() {
    let (sender, told) = std::sync::mpsc::channel();
    let on_write: OnWrite = Box::new(move |name, limit| {
        let _ = sender.send((name.to_owned(), limit.map(str::to_owned)));
    });
    let server = RouterServer::start(&ServerSetup::local(None), world(), Some(on_write)).unwrap();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(REQUEST).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("Date: Thu, 01 Jan 1970"), "{answer}");
    let write = told.recv_timeout(Duration::from_secs(2)).unwrap();
    assert_eq!(write, ("wan1-dl".to_owned(), Some("10000000".to_owned())));
}

fn ask_over_tls(server: &RouterServer) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    let pem = CertificateDer::from_pem_slice(server.pem().unwrap().as_bytes()).unwrap();
    roots.add(pem).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(server.address())?);
    stream.write_all(REQUEST)?;
    let mut buffer = [0; 4_096];
    let n = stream.read(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..n]).into_owned())
}

#[test]
fn tls_is_served_and_a_routeros_certificate_fits_no_name() {
    let good = TlsSetup { names: vec!["127.0.0.1".to_owned()], signed: true, ..TlsSetup::default() };
    let server = RouterServer::start(&ServerSetup::local(Some(good)), world(), None).unwrap();
    assert!(ask_over_tls(&server).unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(server.fingerprint().is_some());
    let server = RouterServer::start(&ServerSetup::local(Some(TlsSetup::default())), world(), None).unwrap();
    assert!(ask_over_tls(&server).is_err());
}

fn good() -> TlsSetup {
    TlsSetup { names: vec!["127.0.0.1".to_owned()], signed: true, ..TlsSetup::default() }
}

#[test]
fn keys_are_of_both_kinds_and_no_two_certificates_are_one() {
    let mut seen = Vec::new();
    for key in [Key::Rsa2048, Key::Rsa2048, Key::P256] {
        let setup = ServerSetup::local(Some(TlsSetup { key, ..good() }));
        let server = RouterServer::start(&setup, world(), None).unwrap();
        assert!(ask_over_tls(&server).unwrap().starts_with("HTTP/1.1 200 OK\r\n"), "{key:?}");
        assert!(!seen.contains(&server.fingerprint()), "{key:?}");
        seen.push(server.fingerprint());
    }
}

#[test]
fn a_handshake_can_take_its_time() {
    let world = world();
    let server = RouterServer::start(&ServerSetup::local(Some(good())), world.clone(), None).unwrap();
    lock(&world).router.set_handshake(Duration::from_millis(300));
    let begin = std::time::Instant::now();
    assert!(ask_over_tls(&server).unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(begin.elapsed() >= Duration::from_millis(300));
}

#[test]
fn one_connection_too_many_is_cut() {
    let world = world();
    let server = RouterServer::start(&ServerSetup::local(None), world.clone(), None).unwrap();
    let others: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    while lock(&world).router.connections() < others.len() {
        thread::sleep(NAP);
    }
    let mut late = TcpStream::connect(server.address()).unwrap();
    let _ = late.write_all(REQUEST);
    let mut answer = String::new();
    let ended = late.read_to_string(&mut answer);
    assert!(answer.is_empty() && ended.map_or(true, |n| n == 0), "{answer}");
    assert_eq!(lock(&world).router.connections(), 20);
}
