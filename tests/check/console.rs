//! RouterOS console commands, carried out on the double over REST: what a page or a finding tells
//! people to type is tried, not believed.

use serde_json::{Map, Value};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use wanctl_hal::sim::{RouterServer, ServerSetup, SharedWorld};

/// The administrator at the router, whom no certificate stands in the way of.
pub struct Console {
    server: RouterServer,
    authorization: String,
    /// The menu a command without a path is in.
    menu: String,
}

/// A command in its parts.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    menu: String,
    verb: String,
    /// Which objects: by the members of `[find …]`, or by one name or id.
    find: Option<Vec<(String, String)>>,
    arguments: Vec<(String, String)>,
}

const VERBS: [&str; 8] = ["add", "set", "enable", "disable", "remove", "print", "sign", "export-certificate"];

impl Console {
    pub fn of(world: SharedWorld, user: &str, password: &str) -> Self {
        use base64::Engine as _;
        let server = RouterServer::start(&ServerSetup::local(None), world, None).unwrap();
        let authorization = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Self { server, authorization, menu: "/".to_owned() }
    }

    /// Carries out one line, which may hold several commands; the error is the router's.
    pub fn run(&mut self, text: &str) -> Result<(), String> {
        let mut quotes = 0;
        let ends = |c| {
            quotes += i32::from(c == '"');
            c == ';' && quotes % 2 == 0
        };
        for command in text.split(ends).map(str::trim).filter(|c| !c.is_empty()) {
            let line = parse(command, &self.menu).ok_or_else(|| format!("not understood: {command}"))?;
            self.menu.clone_from(&line.menu);
            self.carry_out(&line).map_err(|error| format!("{command}: {error}"))?;
        }
        Ok(())
    }

    fn carry_out(&self, line: &Line) -> Result<(), String> {
        let body: Map<String, Value> =
            line.arguments.iter().map(|(n, v)| (n.clone(), Value::String(v.clone()))).collect();
        let Line { menu, verb, .. } = line;
        if verb.is_empty() {
            return Ok(()); // only a change of the menu
        }
        if verb == "add" {
            return self.ask("PUT", menu, &body).map(drop);
        }
        let targets = self.targets(line)?;
        if targets.is_empty() && verb != "print" {
            return Err("finds nothing".to_owned());
        }
        for id in targets {
            let mut body = body.clone();
            match verb.as_str() {
                "print" => {}
                "set" => drop(self.ask("PATCH", &format!("{menu}/{id}"), &body)?),
                verb => {
                    body.insert(".id".into(), id.into());
                    self.ask("POST", &format!("{menu}/{verb}"), &body)?;
                }
            }
        }
        Ok(())
    }

    /// The ids of what the command is about.
    fn targets(&self, line: &Line) -> Result<Vec<String>, String> {
        let rows = self.ask("GET", &line.menu, &Map::new())?;
        let rows = rows.as_array().cloned().unwrap_or_default();
        let find = line.find.clone().unwrap_or_default();
        // Properties are compared as the console does it: yes is true.
        let plain = |v: &str| match v {
            "yes" => "true".to_owned(),
            "no" => "false".to_owned(),
            other => other.to_owned(),
        };
        let member = |row: &Value, name: &str| row.get(name).and_then(Value::as_str).map(plain);
        let matches = |row: &Value| {
            find.iter().all(|(name, value)| match name.strip_prefix('!') {
                Some(flag) => member(row, flag).as_deref() != Some("true"),
                None => member(row, name) == Some(plain(value)),
            })
        };
        let ids = rows.iter().filter(|row| matches(row)).filter_map(|row| row[".id"].as_str().map(str::to_owned));
        Ok(ids.collect())
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

/// Words as the console splits them; a quoted part may hold anything, brackets stay together.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut quoted, mut depth, mut escaped) = (false, 0, false);
    for c in text.chars() {
        match c {
            _ if escaped => {
                escaped = false;
                word.push(c);
            }
            '\\' if quoted => {
                escaped = true;
                if depth > 0 {
                    word.push(c);
                }
            }
            '"' => {
                quoted = !quoted;
                if depth > 0 {
                    word.push(c);
                }
            }
            '[' if !quoted => {
                depth += 1;
                word.push(c);
            }
            ']' if !quoted => {
                depth -= 1;
                word.push(c);
            }
            c if c.is_whitespace() && !quoted && depth == 0 => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// `name=value`, or `!flag`.
fn pair(word: &str) -> Option<(String, String)> {
    if word.starts_with('!') {
        return Some((word.to_owned(), String::new()));
    }
    word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
}

fn parse(command: &str, menu: &str) -> Option<Line> {
    let words = words(command);
    let mut words = words.iter().map(String::as_str).peekable();
    let mut path: Vec<&str> = Vec::new();
    if !command.starts_with('/') {
        path.push(menu.trim_start_matches('/'));
    }
    while let Some(word) = words.next_if(|w| !VERBS.contains(w) && !w.contains('=') && !w.starts_with('[')) {
        path.push(word.trim_start_matches('/'));
    }
    let verb = words.next().unwrap_or("").to_owned();
    let mut line = Line { menu: format!("/{}", path.join("/")), verb, find: None, arguments: Vec::new() };
    for word in words.filter(|w| !matches!(*w, "detail" | "where")) {
        if let Some(inner) = word.strip_prefix("[find").and_then(|w| w.strip_suffix(']')) {
            line.find = Some(self::words(inner).iter().map(|w| pair(w)).collect::<Option<_>>()?);
        } else if let Some(id) = word.strip_prefix('*') {
            line.find = Some(vec![(".id".to_owned(), format!("*{id}"))]);
        } else if let Some(pair) = pair(word) {
            if line.verb == "print" { line.find.get_or_insert_default().push(pair) } else { line.arguments.push(pair) }
        } else {
            line.find = Some(vec![("name".to_owned(), word.to_owned())]);
        }
    }
    Some(line)
}

#[test]
fn lines_are_understood() {
    let line = parse(r#"/queue tree set [find name="a \"b\" c" disabled=no] comment="x y" max-limit=1M"#, "/").unwrap();
    assert_eq!((line.menu.as_str(), line.verb.as_str()), ("/queue/tree", "set"));
    let pairs =
        |list: &[(&str, &str)]| list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
    assert_eq!(line.find.unwrap(), pairs(&[("name", "a \"b\" c"), ("disabled", "no")]));
    assert_eq!(line.arguments, pairs(&[("comment", "x y"), ("max-limit", "1M")]));
    let line = parse("sign ca-t name=ca", "/certificate").unwrap();
    assert_eq!((line.menu.as_str(), line.verb.as_str()), ("/certificate", "sign"));
    assert_eq!(line.find.unwrap(), pairs(&[("name", "ca-t")]));
    let line = parse("/queue tree set *7 name=x", "/").unwrap();
    assert_eq!(line.find.unwrap(), pairs(&[(".id", "*7")]));
}
