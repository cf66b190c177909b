//! What becomes of a request: who may ask, what is done, and how the answer travels.

use super::commands;
use super::fault::{Cut, Fault};
use super::http::{Request, Response, basic};
use super::rest::{self, Policy};
use super::router::{Output, Pending, RouterDouble, Write};
use super::schema::{RESOURCE, USER};
use crate::units::{Duration, Instant, WallClock};

impl RouterDouble {
    /// Carries out a request and sends its answer on its way.
    pub(super) fn serve(&mut self, pending: Pending) {
        let now = pending.due;
        self.requests_total += u64::from(pending.request.is_ok());
        // Faults of connecting and asking are not for answers.
        let early = matches!(self.faults.front(), Some(Fault::Cut { at: Cut::Accepted | Cut::Asking, .. }));
        let fault = if early { None } else { self.next_fault() };
        let close = pending.request.as_ref().map_or(true, |request| request.close);
        let mut response = match (pending.request, fault) {
            (_, Some(Fault::Status { status: 401, .. })) => unauthorized(),
            (_, Some(Fault::Status { status, .. })) => rest::error(status, None),
            (Err(status), _) => Response::html(status, ""),
            (Ok(request), _) => self.answer(now, &request),
        };
        // Whoever has gone does no further harm.
        let waits = self.sessions.get(&pending.session).is_some_and(|session| !session.ended);
        if waits && now < self.damaged_until {
            if self.rng.chance(0.5) {
                self.end_all(&Output::Reset);
                return;
            }
            // What was done was done, but the status is that of another request.
            response = if self.rng.chance(0.5) { unauthorized() } else { session_closed() };
        }
        let wall = WallClock(self.setup.wall.0.saturating_add(now.as_nanos()));
        let Some(session) = self.sessions.get_mut(&pending.session).filter(|s| !s.ended) else { return };
        let from = session.later.back().map_or(now, |(at, _)| (*at).max(now));
        if let Some(pieces) = deliver(fault, response, wall, close) {
            session.waiting = session.waiting.saturating_sub(1);
            session.later.extend(pieces.into_iter().map(|(after, output)| (from + after, output)));
        }
    }

    fn answer(&mut self, now: Instant, request: &Request) -> Response {
        if request.method == "POST" && request.path.first().is_some_and(|p| p == "webhook") {
            self.told.push(request.body.clone());
            return Response::html(200, "thanks");
        }
        if request.path.first().is_none_or(|p| p != "rest") {
            let found = request.path.is_empty() && request.method == "GET";
            return if found { Response::html(200, "<html>RouterOS</html>") } else { Response::html(404, "") };
        }
        let Some(user) = self.user(request).filter(|user| self.objects.grants(user, "rest-api")) else {
            return unauthorized();
        };
        if request.path.get(1).is_some_and(|p| p == "system") {
            self.refresh_resource(now);
        }
        let confused = self.booted.is_some_and(|at| now < at + self.setup.boot_confusion);
        let other = confused.then(|| other_menu(request));
        let request = other.as_ref().unwrap_or(request);
        let may = |policy| self.objects.grants(&user, policy);
        let policy = Policy { read: may("read"), write: may("write"), test: may("test") };
        if commands::time(request) >= commands::LONGEST {
            return session_closed();
        }
        if let Some(response) = commands::answer(&self.objects, policy, request) {
            return response;
        }
        self.objects.advance(now);
        let (response, changes) = rest::answer(&mut self.objects, policy, request);
        for change in changes {
            self.revision += 1;
            self.sectors += u64::from(change.kept);
            self.writes_total += 1;
            self.writes.push_back(Write { at: now, object: change.name, max_limit: change.max_limit });
            if self.writes.len() > self.writes_kept {
                self.writes.pop_front();
            }
        }
        response
    }

    /// Whose credentials these are. An empty password is one like any other.
    fn user(&self, request: &Request) -> Option<String> {
        let given = request.authorization.as_deref()?;
        let users = self.objects.tables[USER].rows.iter().filter(|row| row.get("disabled") != "true");
        let mut fitting = users.filter(|row| basic(row.get("name"), row.get("password")) == given);
        fitting.next().map(|row| row.get("name").to_owned())
    }

    fn refresh_resource(&mut self, now: Instant) {
        let uptime = uptime_text(self.uptime(now));
        let (sectors, version) = (self.sectors.to_string(), self.setup.version.clone());
        if let Some(row) = self.objects.tables[RESOURCE].rows.first_mut() {
            row.values.insert("uptime", uptime);
            row.values.insert("write-sect-since-reboot", sectors);
            row.values.insert("version", version);
        }
    }
}

/// How an answer travels: what comes out how long after it was ready. `None`: it never does.
fn deliver(
    fault: Option<Fault>,
    mut response: Response,
    wall: WallClock,
    close: bool,
) -> Option<Vec<(Duration, Output)>> {
    const AT_ONCE: Duration = Duration::ZERO;
    let chunk = match fault {
        Some(Fault::Garbage { .. }) => {
            response.body = b"\x00\xff[{\"name\":\"wan1".to_vec();
            None
        }
        Some(Fault::Padded { bytes, chunked, .. }) => {
            response.body.resize(bytes.max(response.body.len()), b' ');
            chunked.then_some(65_536)
        }
        Some(Fault::Chunked { .. }) => Some(7),
        _ => None,
    };
    let mut bytes = response.render(wall, close, chunk);
    let mut pieces = match fault {
        Some(Fault::DropResponse { .. }) => return None,
        Some(Fault::Cut { at, .. }) => {
            bytes.truncate(match at {
                Cut::Accepted | Cut::Asking | Cut::Served => 0,
                Cut::Head => 20,
                Cut::Middle => bytes.len() / 2,
                Cut::LastByte => bytes.len() - 1,
            });
            let sent = (!bytes.is_empty()).then_some((AT_ONCE, Output::Bytes(bytes)));
            // The reset comes behind the bytes, and does not overtake them on the way.
            return Some(sent.into_iter().chain([(Duration::from_millis(1), Output::Reset)]).collect());
        }
        Some(Fault::Drip { pause, .. }) => {
            let after = (0_u32..).map(|n| pause * n);
            after.zip(bytes).map(|(after, byte)| (after, Output::Bytes(vec![byte]))).collect()
        }
        Some(Fault::Pause { time, .. }) => {
            let rest = bytes.split_off(bytes.len() / 2);
            vec![(AT_ONCE, Output::Bytes(bytes)), (time, Output::Bytes(rest))]
        }
        Some(Fault::Continue { .. }) => {
            let interim = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
            vec![(AT_ONCE, Output::Bytes(interim)), (AT_ONCE, Output::Bytes(bytes))]
        }
        _ => vec![(AT_ONCE, Output::Bytes(bytes))],
    };
    if close && let Some((last, _)) = pieces.last() {
        pieces.push((*last, Output::Close));
    }
    Some(pieces)
}

/// Wrong credentials: no JSON.
fn unauthorized() -> Response {
    Response::html(401, "")
}

/// What ends a command that has worked for too long.
fn session_closed() -> Response {
    rest::error(400, Some("Session closed"))
}

/// The same request for another menu.
fn other_menu(request: &Request) -> Request {
    let queues = request.path.get(1).is_some_and(|p| p == "queue");
    let path: &[&str] = if queues { &["rest", "interface"] } else { &["rest", "system", "identity"] };
    let path = path.iter().map(|&p| p.to_owned()).collect();
    Request { method: "GET".to_owned(), path, query: Vec::new(), body: Vec::new(), ..request.clone() }
}

/// A duration as RouterOS writes it: `7w6d9h34m50s`.
fn uptime_text(uptime: Duration) -> String {
    let seconds = uptime.as_secs();
    let parts = [
        (seconds / 604_800, 'w'),
        (seconds / 86_400 % 7, 'd'),
        (seconds / 3_600 % 24, 'h'),
        (seconds / 60 % 60, 'm'),
        (seconds % 60, 's'),
    ];
    let text: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
