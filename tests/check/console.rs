//! RouterOS console commands, carried out on the double over REST: what a page or a finding tells
//! people to type is tried, not believed.

use super::script::{Condition, Script};
use serde_json::{Map, Value};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use wanctl_hal::sim::{RouterServer, ServerSetup, SharedWorld};

/// The administrator at the router, whom no certificate stands in the way of.
pub struct Console {
    server: RouterServer,
    authorization: String,
    /// The menu a command without a path is in.
    pub(super) menu: String,
}

impl Console {
    pub fn of(world: SharedWorld, user: &str, password: &str) -> Self {
        use base64::Engine as _;
        let server = RouterServer::start(&ServerSetup::local(None), world, None).unwrap();
        let authorization = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Self { server, authorization, menu: "/".to_owned() }
    }

    /// Carries out a line or a script; the error is the router's.
    pub fn run(&mut self, text: &str) -> Result<(), String> {
        Script::new(self).run(text).map(drop)
    }

    /// What a menu holds, without ids: those may change.
    pub fn rows(&self, menu: &str) -> Vec<Map<String, Value>> {
        let rows = self.ask("GET", menu, &Map::new()).unwrap();
        let mut rows: Vec<Map<String, Value>> =
            rows.as_array().unwrap().iter().map(|r| r.as_object().unwrap().clone()).collect();
        rows.iter_mut().for_each(|row| drop(row.remove(".id")));
        rows
    }

    /// The ids of the rows that meet all conditions.
    pub(super) fn find(&self, menu: &str, conditions: &[Condition]) -> Result<Vec<String>, String> {
        let rows = self.ask("GET", menu, &Map::new())?;
        let rows = rows.as_array().cloned().unwrap_or_default();
        // Properties are compared as the console does it: yes is true, and what is unset is empty.
        let plain = |v: &str| match v {
            "yes" => "true".to_owned(),
            "no" => "false".to_owned(),
            other => other.to_owned(),
        };
        let matches = |row: &Value| {
            conditions.iter().all(|(name, operator, value)| {
                let has = plain(row.get(name).and_then(Value::as_str).unwrap_or(""));
                match (operator, value.strip_prefix('^')) {
                    ('=', _) => has == plain(value),
                    ('!', _) => has != "true",
                    (_, Some(beginning)) => has.starts_with(beginning),
                    _ => has.contains(value),
                }
            })
        };
        Ok(rows.iter().filter(|row| matches(row)).filter_map(|row| row[".id"].as_str().map(str::to_owned)).collect())
    }

    /// Carries out a command that changes something.
    pub(super) fn act(
        &self,
        menu: &str,
        verb: &str,
        targets: Option<&[String]>,
        arguments: &[(String, String)],
    ) -> Result<(), String> {
        let body: Map<String, Value> = arguments.iter().map(|(n, v)| (n.clone(), Value::String(v.clone()))).collect();
        let Some(targets) = targets else {
            return if verb == "add" {
                self.ask("PUT", menu, &body).map(drop)
            } else {
                self.ask("POST", &format!("{menu}/{verb}"), &body).map(drop)
            };
        };
        // A set that is about nothing is a slip, on a page or in a script.
        if targets.is_empty() && verb != "remove" {
            return Err("finds nothing".to_owned());
        }
        for target in targets {
            for id in if target.starts_with('*') { vec![target.clone()] } else { self.named(menu, target)? } {
                let mut body = body.clone();
                if verb == "set" {
                    self.ask("PATCH", &format!("{menu}/{id}"), &body)?;
                } else {
                    body.insert(".id".into(), id.into());
                    self.ask("POST", &format!("{menu}/{verb}"), &body)?;
                }
            }
        }
        Ok(())
    }

    /// The ids of all rows of this name: of a service, live connections as well.
    fn named(&self, menu: &str, name: &str) -> Result<Vec<String>, String> {
        let ids = self.find(menu, &[("name".to_owned(), '=', name.to_owned())])?;
        if ids.is_empty() { Err("finds nothing".to_owned()) } else { Ok(ids) }
    }

    fn ask(&self, method: &str, menu: &str, body: &Map<String, Value>) -> Result<Value, String> {
        let body = if body.is_empty() { String::new() } else { Value::Object(body.clone()).to_string() };
        let path = format!("/rest{menu}");
        let answer = request(self.server.address(), method, &path, &self.authorization, &body);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let value = serde_json::from_str(body).unwrap_or(Value::Null);
        let status = head.split(' ').nth(1).unwrap();
        if status.starts_with('2') { Ok(value) } else { Err(format!("{status} {value}")) }
    }
}

fn request(to: SocketAddr, method: &str, path: &str, authorization: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: r\r\nAuthorization: Basic {authorization}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
