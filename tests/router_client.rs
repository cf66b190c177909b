//! The client of the router against answers that are wrong in how they come, not in what they say.
//! Each of these was found by the fuzzer (`tests/fuzz`).
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use wanctl::routeros::{Client, Settings, Step};
use wanctl::types::{Duration, Instant, Intent, Item, LinkError, Menu, RouterError};

const NOW: Instant = Instant::from_nanos(5_000_000_000);

/// A client that has asked for the queues of the tree and written `written` bytes of that.
fn asked(written: usize) -> Client {
    let settings = Settings {
        host: "router.lan".into(),
        credentials: "wanctl:secret".into(),
        connect_timeout: Duration::from_secs(3),
        response_timeout: Duration::from_secs(10),
    };
    let mut client = Client::new(settings, 1);
    assert_eq!(client.poll(NOW), Step::Open);
    client.opened(NOW);
    client.start(NOW, Intent::ReadQueues(Menu::Tree));
    let Step::Write(bytes) = client.poll(NOW) else { panic!("nothing to write") };
    let written = bytes.len().min(written);
    client.wrote(NOW, written);
    client
}

/// What comes of these pieces: items, and the end of the request.
fn answer(client: &mut Client, pieces: &[&str]) -> (usize, Option<Result<(), RouterError>>) {
    let mut items = 0;
    for piece in pieces {
        client.input(NOW, piece.as_bytes(), &mut |_: Item| items += 1);
    }
    (items, client.take_outcome().map(|(_, result)| result.map(|_| ())))
}

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";

#[test]
fn a_refusal_on_a_connection_that_ends_does_not_leave_it_open() {
    let mut client = asked(usize::MAX);
    let refusal = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(answer(&mut client, &[refusal]).1, Some(Err(RouterError::NotFound)));
    assert!(!client.is_open());
    assert_eq!(client.poll(NOW), Step::Close);

    let mut client = asked(usize::MAX);
    assert_eq!(answer(&mut client, &["HTTP/1.0 500 Oops\r\n\r\n{}"]).1, None, "the end tells the end");
    client.down(NOW, LinkError::Closed);
    assert_eq!(client.take_outcome().unwrap().1, Err(RouterError::Status(500)));
    assert!(!client.is_open());
}

#[test]
fn what_follows_a_refusal_belongs_to_nothing() {
    let mut client = asked(usize::MAX);
    let refusal = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\nHTTP/1.1";
    assert_eq!(answer(&mut client, &[refusal]).1, Some(Err(RouterError::NotFound)));
    assert_eq!(client.poll(NOW), Step::Close);
}

#[test]
fn an_answer_before_the_end_of_the_request_ends_the_connection() {
    let mut client = asked(20);
    assert_eq!(answer(&mut client, &[GOOD]).1, Some(Ok(())));
    assert_eq!(client.poll(NOW), Step::Close, "the next request would be read as the rest of this one");
}

#[test]
fn a_good_answer_stays_good_whatever_comes_behind_it() {
    let mut client = asked(usize::MAX);
    assert_eq!(answer(&mut client, &[GOOD, "HTTP/1.1 "]).1, Some(Ok(())));
    assert_eq!(client.poll(NOW), Step::Close);

    let mut client = asked(usize::MAX);
    client.input(NOW, GOOD.as_bytes(), &mut |_| {});
    client.down(NOW, LinkError::Closed);
    let (intent, result) = client.take_outcome().unwrap();
    assert_eq!(intent, Some(Intent::ReadQueues(Menu::Tree)));
    assert!(result.is_ok());
}

#[test]
fn what_was_given_up_is_given_up_once() {
    let mut client = asked(usize::MAX);
    assert_eq!(answer(&mut client, &["SSH-", "2.0-", "ROSSSH"]).1, Some(Err(RouterError::UnexpectedBody)));
    assert_eq!(client.failures(), 1, "one failure, however many pieces it came in");
    assert_eq!(client.poll(NOW), Step::Close);
}

#[test]
fn behind_garbage_no_row_is_believed() {
    let row = r#"{".id":"*1","name":"q","max-limit":"1M"}"#;
    for garbage in ["<html>", r#"[{"name":"ether1"},"#] {
        let (whole, rest) = (format!("{garbage}{row}]"), format!("[{row}]"));
        let head = |body: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n");
        let mut client = asked(usize::MAX);
        let expected = (0, Some(Err(RouterError::UnexpectedBody)));
        assert_eq!(answer(&mut client, &[&head(whole.len()), &whole]), expected);
        let mut client = asked(usize::MAX);
        assert_eq!(answer(&mut client, &[&head(garbage.len() + rest.len()), garbage, &rest]), expected);
    }
}
