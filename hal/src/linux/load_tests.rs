use super::*;
use std::net::TcpListener;
use std::time::Instant;

/// A transfer to whoever listens there.
fn transfer(listener: &TcpListener, tls: bool, upload: bool) -> Transfer {
    let to = listener.local_addr().unwrap();
    let tls = tls.then(|| "load.example".to_owned());
    let (source, host, path) = (ProbeSource::default(), "load.example".to_owned(), "/big?x=1".to_owned());
    Transfer { to, source, host, tls, path, upload }
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// The server's side: takes the request, gives the answer, then bytes in one direction until there are a million.
fn serve(stream: &mut (impl Read + Write), upload: bool, answer: &str) -> u64 {
    let mut buffer = vec![0; 1 << 16];
    let count = stream.read(&mut buffer).unwrap();
    let head = String::from_utf8_lossy(&buffer[..count]).into_owned();
    let method = if upload { "POST" } else { "GET" };
    assert!(head.starts_with(&format!("{method} /big?x=1 HTTP/1.1\r\nHost: load.example\r\n")), "{head}");
    stream.write_all(answer.as_bytes()).unwrap();
    let mut passed = 0;
    while passed < 1_000_000 {
        if upload {
            passed += stream.read(&mut buffer).unwrap() as u64;
        } else {
            stream.write_all(&buffer).unwrap();
            passed += buffer.len() as u64;
        }
    }
    passed
}

/// What is told of a transfer to a server that does this with its connections.
fn fault(tls: bool, upload: bool, server: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = listener();
    let load = Load::start(&transfer(&listener, tls, upload), 1);
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(server));
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        if let Some(fault) = load.fault() {
            return fault;
        }
        assert!(Instant::now() < end, "nothing is told");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Takes what comes first, answers with this, and hangs up in order.
fn answer(bytes: &'static [u8]) -> impl Fn(TcpStream) {
    move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = io::copy(&mut stream.take(1 << 20), &mut io::sink());
    }
}

/// Its only thread ends within a second, whatever the server does.
fn stops(load: Load) {
    let stop = Arc::clone(&load.stop);
    drop(load);
    let end = Instant::now() + Duration::from_secs(1);
    while Arc::strong_count(&stop) > 1 {
        assert!(Instant::now() < end, "it goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_handshake_that_is_not_answered_can_be_stopped() {
    let listener = listener();
    let load = Load::start(&transfer(&listener, true, false), 1);
    let (mut stream, _) = listener.accept().unwrap();
    assert!(stream.read(&mut [0; 4096]).unwrap() > 100, "its part");
    stops(load);
}

#[test]
fn transfers_run_in_both_directions() {
    for (upload, answer) in [(true, ""), (false, "HTTP/1.1 200 OK\r\n\r\n")] {
        let listener = listener();
        let load = Load::start(&transfer(&listener, false, upload), 1);
        let (mut stream, _) = listener.accept().unwrap();
        assert!(serve(&mut stream, upload, answer) >= 1_000_000);
        assert_eq!(load.fault(), None);
        stops(load);
    }
}

#[test]
fn refusals_are_told_with_host_and_remedy() {
    let told = fault(false, true, answer(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n"));
    assert!(told.starts_with("http://load.example: "), "{told}");
    let told = fault(false, false, answer(b"HTTP/1.1 404 Not Found\r\n\r\n"));
    assert!(told.starts_with("http://load.example: the server says HTTP/1.1 404") && told.contains("200"), "{told}");
    let told = fault(false, false, answer(&[21, 3, 3, 0, 2, 2, 10]));
    assert!(told.starts_with("http://load.example: TLS is spoken there; right would be https://"), "{told}");
    let told = fault(false, false, answer(b""));
    assert!(told.starts_with("http://load.example: closed without an answer; right would be "), "{told}");

    let told = fault(true, false, answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert!(told.starts_with("https://load.example: no TLS is spoken there; right would be http://"), "{told}");
    let told = fault(true, false, answer(&[21, 3, 3, 0, 2, 2, 40]));
    assert!(told.starts_with("https://load.example: ") && told.contains("HandshakeFailure"), "{told}");
    assert!(told.contains("right would be a server that speaks TLS"), "{told}");
    let told = fault(true, true, answer(b""));
    assert!(told.starts_with("https://load.example: closed without an answer; right would be "), "{told}");

    let gone = listener();
    let load = Load::start(&transfer(&gone, true, false), 1);
    drop(gone.accept());
    drop(gone);
    let end = Instant::now() + Duration::from_secs(5);
    let refused = |told: &String| told.starts_with("https://load.example: Connection refused");
    while !load.fault().is_some_and(|told| refused(&told) && told.contains("right would be a port that listens")) {
        assert!(Instant::now() < end, "{:?}", load.fault());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn only_success_is_good() {
    assert!(good_status(b"HTTP/1.1 206 Partial Content\r\n").is_ok());
    let told = good_status(b"HTTP/1.1 301 Moved\r\nLocation: x").unwrap_err().to_string();
    assert!(told.starts_with("the server says HTTP/1.1 301 Moved; right would be "), "{told}");
}

/// On a real server of TLS.
#[cfg(feature = "sim")]
mod secure {
    use super::*;
    use crate::sim::TlsSetup;
    use crate::sim::certificate::Identity;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::sign::CertifiedKey;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    fn config(tls13: bool) -> Arc<ServerConfig> {
        Identity::new(&TlsSetup { tls13, expired: true, ..TlsSetup::default() }).unwrap().config
    }

    fn accept(listener: &TcpListener, config: &Arc<ServerConfig>) -> StreamOwned<ServerConnection, TcpStream> {
        let (socket, _) = listener.accept().unwrap();
        StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), socket)
    }

    /// With an expired certificate of another name that nobody has signed. Stopped while the server is mute, all buffers
    /// full or nothing to read.
    #[test]
    fn transfers_run_over_tls_and_stop_within_a_second() {
        for (upload, tls13) in [(true, false), (true, true), (false, false), (false, true)] {
            let listener = listener();
            let load = Load::start(&transfer(&listener, true, upload), 1);
            let mut stream = accept(&listener, &config(tls13));
            let answer = if upload { "" } else { "HTTP/1.1 200 OK\r\n\r\n" };
            assert!(serve(&mut stream, upload, answer) >= 1_000_000);
            assert_eq!(stream.conn.server_name(), Some("load.example"));
            std::thread::sleep(LOOK + LOOK / 2);
            assert_eq!(load.fault(), None, "a time-out is no fault");
            stops(load);
        }
    }

    /// What a time-out cuts in two arrives whole: every byte of an upload is as it was made.
    #[test]
    fn bytes_are_not_lost_by_time_outs() {
        let listener = listener();
        let load = Load::start(&transfer(&listener, true, true), 1);
        let mut stream = accept(&listener, &config(true));
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let (mut first, mut next) = (vec![0; NOISE], vec![0; NOISE]);
        stream.read_exact(&mut first).unwrap();
        for pause in 0..3 {
            std::thread::sleep(LOOK + LOOK / 5);
            // More than all buffers hold.
            for part in 0..200 {
                stream.read_exact(&mut next).unwrap();
                assert!(first == next, "pause {pause}, part {part}");
            }
        }
        stops(load);
    }

    /// Whoever answers will do, but must have the key of the certificate it shows.
    #[test]
    fn a_handshake_signed_with_another_key_is_none() {
        #[derive(Debug)]
        struct Thief(Arc<CertifiedKey>);
        impl ResolvesServerCert for Thief {
            fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
                Some(Arc::clone(&self.0))
            }
        }
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let [shown, own] = [(); 2].map(|()| rcgen::generate_simple_self_signed(Vec::new()).unwrap());
            let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
            let key = provider.key_provider.load_private_key(key).unwrap();
            let pair = CertifiedKey::new(vec![shown.cert.der().clone()], key);
            let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
            let config = Arc::new(builder.with_no_client_auth().with_cert_resolver(Arc::new(Thief(Arc::new(pair)))));
            let told = fault(true, false, move |socket| {
                let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), socket);
                assert!(stream.read(&mut [0; 100]).is_err(), "an alert");
            });
            assert!(told.contains("BadSignature"), "{told}");
        }
    }
}
