//! REST over the objects: which verb does what, and the answers RouterOS gives.

use super::http::{Request, Response, reason};
use super::objects::{Objects, Row, Table};
use super::schema::{CERTIFICATE, SCHEMAS, SERVICE, Schema};
use super::site::{self, CONTAINER};
use serde_json::{Map, Value};

/// What the user's group allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// For `ping` and its like.
    pub(crate) test: bool,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Name of the object.
    pub(crate) name: String,
    /// Its `max-limit`, if the request named it.
    pub(crate) max_limit: Option<String>,
    /// It costs the flash a sector: what has a timeout lives in memory.
    pub(crate) kept: bool,
}

/// Why a request is refused: the status, and a detail where RouterOS gives one.
pub(crate) type Refusal = (u16, Option<String>);

pub(crate) type Given = Vec<(String, String)>;

fn detail(text: impl Into<String>) -> Refusal {
    (400, Some(text.into()))
}

const NOT_FOUND: Refusal = (404, None);

/// Answers one request, and tells what it changed.
pub(crate) fn answer(objects: &mut Objects, policy: Policy, request: &Request) -> (Response, Vec<Change>) {
    objects.settle();
    let mut call = Call { objects, policy, changes: Vec::new() };
    let response = match call.dispatch(request) {
        Ok(response) => response,
        Err((status, text)) => error(status, text.as_deref()),
    };
    (response, call.changes)
}

/// An error as RouterOS writes it.
pub(crate) fn error(status: u16, detail: Option<&str>) -> Response {
    let mut body = Map::new();
    body.insert("error".into(), status.into());
    body.insert("message".into(), reason(status).into());
    if let Some(text) = detail {
        body.insert("detail".into(), text.into());
    }
    Response::json(status, Value::Object(body).to_string())
}

struct Call<'a> {
    objects: &'a mut Objects,
    policy: Policy,
    changes: Vec<Change>,
}

impl Call<'_> {
    fn dispatch(&mut self, request: &Request) -> Result<Response, Refusal> {
        let path: Vec<&str> = request.path.iter().skip(1).map(String::as_str).collect();
        let table = SCHEMAS
            .iter()
            .enumerate()
            .filter(|(_, schema)| path.starts_with(schema.path))
            .max_by_key(|(_, schema)| schema.path.len())
            .map(|(table, _)| table)
            .ok_or_else(|| detail("no such command prefix"))?;
        let schema = &SCHEMAS[table];
        let rest = &path[schema.path.len()..];
        match (request.method.as_str(), rest) {
            ("GET", []) => self.list(table, request),
            ("GET", [key]) if !schema.single => {
                self.may_read()?;
                let row = self.objects.find(table, key).ok_or(NOT_FOUND)?;
                Ok(Response::json(200, self.show(table, row, &query_proplist(request)).to_string()))
            }
            ("PUT", []) if schema.growing => {
                let row = self.add(table, &given(request)?)?;
                Ok(Response::json(201, self.show(table, row, &[]).to_string()))
            }
            ("PATCH", [key]) if !schema.single => {
                self.may_write()?;
                let row = self.objects.find(table, key).ok_or(NOT_FOUND)?;
                self.change(table, row, &given(request)?)?;
                Ok(Response::json(200, self.show(table, row, &[]).to_string()))
            }
            ("DELETE", [key]) if schema.growing => {
                self.may_write()?;
                let row = self.objects.find(table, key).ok_or(NOT_FOUND)?;
                self.remove(table, row)?;
                Ok(Response::json(204, ""))
            }
            ("POST", [command]) => self.command(table, command, request),
            _ => Err(detail("no such command")),
        }
    }

    fn command(&mut self, table: usize, command: &str, request: &Request) -> Result<Response, Refusal> {
        let schema = &SCHEMAS[table];
        let done = Ok(Response::json(200, "[]"));
        match command {
            "print" => self.print(table, request),
            "set" if schema.single => {
                self.may_write()?;
                self.change(table, 0, &given(request)?)?;
                done
            }
            "set" => {
                let (targets, values) = self.targets(table, given(request)?)?;
                targets.into_iter().try_for_each(|row| self.change(table, row, &values))?;
                done
            }
            "enable" | "disable" if schema.property("disabled").is_some() => {
                let (targets, _) = self.targets(table, given(request)?)?;
                let value = [("disabled".to_owned(), (command == "disable").to_string())];
                targets.into_iter().try_for_each(|row| self.change(table, row, &value))?;
                done
            }
            // Signing a template makes it a certificate, under another name if one is given.
            "sign" if table == CERTIFICATE => {
                let (targets, values) = self.targets(table, given(request)?)?;
                let (ca, values): (Given, Given) = values.into_iter().partition(|(name, _)| name == "ca");
                if ca.iter().any(|(_, name)| self.objects.find(table, name).is_none()) {
                    return Err(detail("input does not match any value of ca"));
                }
                for row in targets {
                    self.change(table, row, &values)?;
                    self.objects.sign(row);
                }
                done
            }
            "start" | "stop" if table == CONTAINER => {
                let (targets, _) = self.targets(table, given(request)?)?;
                let status = if command == "start" { "running" } else { "stopped" };
                for row in targets {
                    self.objects.tables[table].rows[row].values.insert("status", status.to_owned());
                }
                done
            }
            // Writes a file, and the double has none.
            "export-certificate" if table == CERTIFICATE => {
                let (targets, _) = self.targets(table, given(request)?)?;
                targets.into_iter().next().map_or(Err(NOT_FOUND), |_| done)
            }
            // To the end of the list, or before another row.
            "move" if schema.required == Some("chain") => {
                let (targets, values) = self.targets(table, given(request)?)?;
                let before = values.iter().find(|(name, _)| name == "destination").map(|(_, id)| id.as_str());
                let [row] = targets[..] else { return Err(detail("one row at a time")) };
                let rows = &mut self.objects.tables[table].rows;
                let moved = rows.remove(row);
                let place = before.and_then(|id| rows.iter().position(|r| r.id() == id)).unwrap_or(rows.len());
                rows.insert(place, moved);
                done
            }
            "add" if schema.growing => {
                let row = self.add(table, &given(request)?)?;
                let id = self.objects.tables[table].rows[row].id();
                Ok(Response::json(200, format!("{{\"ret\":\"{id}\"}}")))
            }
            "remove" if schema.growing => {
                let (mut targets, _) = self.targets(table, given(request)?)?;
                targets.sort_unstable();
                targets.dedup();
                let runs = |row: &usize| self.objects.tables[table].rows[*row].get("status") == "running";
                if table == CONTAINER && targets.iter().any(runs) {
                    return Err(detail("failure: container is running"));
                }
                targets.into_iter().rev().try_for_each(|row| self.remove(table, row))?;
                done
            }
            _ => Err(detail("no such command")),
        }
    }

    /// The rows a command is about, by `.id` or `numbers`, and its other arguments.
    fn targets(&self, table: usize, given: Given) -> Result<(Vec<usize>, Given), Refusal> {
        self.may_write()?;
        let (keys, values): (Given, Given) =
            given.into_iter().partition(|(name, _)| name == ".id" || name == "numbers");
        let (_, keys) = keys.first().ok_or_else(|| detail("missing =.id="))?;
        let find = |key| self.objects.find(table, key).ok_or_else(|| detail("no such item"));
        Ok((keys.split(',').map(find).collect::<Result<_, _>>()?, values))
    }

    fn add(&mut self, table: usize, given: &Given) -> Result<usize, Refusal> {
        self.may_write()?;
        let row = self.objects.add(table, given).map_err(detail)?;
        self.note(table, row, given);
        Ok(row)
    }

    fn change(&mut self, table: usize, row: usize, given: &[(String, String)]) -> Result<(), Refusal> {
        self.own(table, row)?;
        self.objects.change(table, row, given).map_err(detail)?;
        self.note(table, row, given);
        Ok(())
    }

    fn remove(&mut self, table: usize, row: usize) -> Result<(), Refusal> {
        // What goes by itself may be sent away sooner.
        if !site::is_list(table) {
            self.own(table, row)?;
        }
        let row = self.objects.tables[table].rows.remove(row);
        let kept = !site::is_list(table);
        self.changes.push(Change { name: row.get("name").to_owned(), max_limit: None, kept });
        Ok(())
    }

    /// What RouterOS made itself, nobody else changes.
    fn own(&self, table: usize, row: usize) -> Result<(), Refusal> {
        if self.objects.tables[table].rows[row].get("dynamic") != "true" {
            return Ok(());
        }
        let service = table == SERVICE;
        Err(detail(if service { "failure: this is configured elsewhere" } else { "failure: can not change dynamic" }))
    }

    fn note(&mut self, table: usize, row: usize, given: &[(String, String)]) {
        let row = &self.objects.tables[table].rows[row];
        let named = given.iter().any(|(name, _)| name == "max-limit");
        let max_limit = named.then(|| row.get("max-limit").to_owned());
        let kept = row.get("timeout").is_empty();
        self.changes.push(Change { name: row.get("name").to_owned(), max_limit, kept });
    }

    fn list(&self, table: usize, request: &Request) -> Result<Response, Refusal> {
        self.may_read()?;
        let table = &self.objects.tables[table];
        let proplist = query_proplist(request);
        if table.schema.single {
            let object = table.rows.first().map_or(Value::Null, |row| show(table, row, &proplist));
            return Ok(Response::json(200, object.to_string()));
        }
        let filters: Vec<_> = request.query.iter().filter(|(name, _)| name != ".proplist").collect();
        let matches = |row: &Row| filters.iter().all(|(name, value)| filter_matches(table.schema, row, name, value));
        let rows: Vec<Value> = table.rows.iter().filter(|r| matches(r)).map(|r| show(table, r, &proplist)).collect();
        Ok(Response::json(200, Value::Array(rows).to_string()))
    }

    fn print(&self, table: usize, request: &Request) -> Result<Response, Refusal> {
        self.may_read()?;
        let table = &self.objects.tables[table];
        let (mut proplist, mut query) = (Vec::new(), Vec::new());
        for (name, value) in body(request)? {
            match name.as_str() {
                ".proplist" => proplist = words(&value),
                ".query" => query = words(&value),
                _ => return Err(detail(format!("unknown parameter {name}"))),
            }
        }
        let rows: Vec<Value> = table
            .rows
            .iter()
            .filter(|row| query_matches(table.schema, row, &query))
            .map(|row| show(table, row, &proplist))
            .collect();
        Ok(Response::json(200, Value::Array(rows).to_string()))
    }

    fn show(&self, table: usize, row: usize, proplist: &[String]) -> Value {
        let table = &self.objects.tables[table];
        show(table, &table.rows[row], proplist)
    }

    fn may_read(&self) -> Result<(), Refusal> {
        if self.policy.read { Ok(()) } else { Err((500, Some("not enough permissions (9)".to_owned()))) }
    }

    fn may_write(&self) -> Result<(), Refusal> {
        if self.policy.write { Ok(()) } else { Err((500, Some("not enough permissions (9)".to_owned()))) }
    }
}

fn show(table: &Table, row: &Row, proplist: &[String]) -> Value {
    let wanted = |name: &str| proplist.is_empty() || proplist.iter().any(|p| p == name);
    let members = row.members(table.schema);
    Value::Object(
        members
            .into_iter()
            .filter(|(name, _)| wanted(name))
            .map(|(name, value)| (name.to_owned(), Value::String(value.into_owned())))
            .collect(),
    )
}

fn query_proplist(request: &Request) -> Vec<String> {
    let list = request.query.iter().find(|(name, _)| name == ".proplist").map_or("", |(_, value)| value);
    list.split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect()
}

/// Equality, as `GET ?name=value` asks for it. A comment with a colon or a space never matches:
/// that is how RouterOS behaves.
fn filter_matches(schema: &Schema, row: &Row, name: &str, value: &str) -> bool {
    if name == "comment" && value.contains([':', ' ']) {
        return false;
    }
    row.members(schema).iter().any(|(n, v)| *n == name && v == value)
}

/// Evaluates the query words of `print` on a stack; what is left on it must all be true.
fn query_matches(schema: &Schema, row: &Row, query: &[String]) -> bool {
    let members = row.members(schema);
    let find = |name: &str| members.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_ref());
    let compare = |pair: &str, wanted: core::cmp::Ordering| {
        let (name, bound) = pair.split_once('=').unwrap_or((pair, ""));
        find(name).is_some_and(|value| order(value, bound) == wanted)
    };
    let mut stack: Vec<bool> = Vec::new();
    for word in query {
        if let Some(operators) = word.strip_prefix('#') {
            for operator in operators.chars() {
                let top = stack.pop().unwrap_or(true);
                let result = match operator {
                    '!' => !top,
                    '&' => stack.pop().unwrap_or(true) && top,
                    '|' => stack.pop().unwrap_or(false) || top,
                    _ => top,
                };
                stack.push(result);
            }
            continue;
        }
        stack.push(match word.as_bytes().first() {
            Some(b'>') => compare(&word[1..], core::cmp::Ordering::Greater),
            Some(b'<') => compare(&word[1..], core::cmp::Ordering::Less),
            Some(b'-') => find(&word[1..]).is_none(),
            _ => match word.strip_prefix('=').unwrap_or(word).split_once('=') {
                Some((name, value)) => find(name) == Some(value),
                None => find(word).is_some(),
            },
        });
    }
    stack.into_iter().all(|result| result)
}

/// Numbers by size, everything else by its bytes.
fn order(a: &str, b: &str) -> core::cmp::Ordering {
    match (a.parse::<i64>(), b.parse::<i64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

/// The members of the body; an empty body has none.
fn body(request: &Request) -> Result<Map<String, Value>, Refusal> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err((400, None)),
    }
}

/// The members of the body as texts.
pub(crate) fn given(request: &Request) -> Result<Given, Refusal> {
    Ok(body(request)?.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// Any JSON value as the console's text; null clears.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        Value::Array(items) => items.into_iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A list given as an array, or as one comma-separated text.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().cloned().map(text).collect(),
        other => text(other.clone()).split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect(),
    }
}
