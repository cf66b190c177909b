use super::*;
use crate::sim::{RouterDouble, RouterSetup, World};
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
