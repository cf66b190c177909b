//! The part of RouterOS's script language that our scripts and pages use, carried out on a console.
//!
//! Read while it is carried out, as text: a block is a text that is run later. Scopes as there: a
//! local ends with its block, and code made by `:parse` sees none of those around it.

use super::console::Console;
use std::collections::HashMap;

/// What an expression gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Nothing,
    Text(String),
    Number(i64),
    Flag(bool),
    List(Vec<(String, Value)>),
    Code(String),
}

impl Value {
    /// As it is put into a text.
    pub fn text(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Text(text) | Self::Code(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::List(items) => items.iter().map(|(_, v)| v.text()).collect::<Vec<_>>().join(";"),
        }
    }

    fn is_true(&self) -> bool {
        matches!(self, Self::Flag(true)) || matches!(self, Self::Text(t) if t == "true" || t == "yes")
    }

    /// Ids and names that a command is about.
    fn targets(&self) -> Vec<String> {
        match self {
            Self::List(items) => items.iter().map(|(_, v)| v.text()).collect(),
            Self::Nothing => Vec::new(),
            one => one.text().split(',').map(str::to_owned).collect(),
        }
    }
}

/// A condition of `find`: property, operator (`!` for a flag that is not set), value.
pub type Condition = (String, char, String);

type Result<T> = std::result::Result<T, String>;

/// A script being read.
pub struct Script<'a> {
    console: &'a mut Console,
    scopes: Vec<HashMap<String, Value>>,
}

const VERBS: [&str; 13] = [
    "move",
    "add",
    "set",
    "enable",
    "disable",
    "remove",
    "print",
    "sign",
    "export-certificate",
    "find",
    "start",
    "stop",
    "update",
];

/// A text and a place in it.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    const fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        self.at += if found { what.len() } else { 0 };
        found
    }

    /// Blanks and continued lines; inside of brackets other lines and their comments as well.
    fn blanks(&mut self, lines: bool) {
        loop {
            if self.take("\\\n") || (lines && self.take("\n")) {
            } else if lines && self.peek() == Some('#') {
                self.while_in(|c| c != '\n');
            } else if matches!(self.peek(), Some(' ' | '\t' | '\r')) {
                self.next();
            } else {
                return;
            }
        }
    }

    fn while_in(&mut self, accept: impl Fn(char) -> bool) -> &'t str {
        let start = self.at;
        while self.peek().is_some_and(&accept) {
            self.next();
        }
        &self.text[start..self.at]
    }

    fn at_end(&self) -> bool {
        matches!(self.peek(), None | Some(';' | '\n' | ']' | '}' | ')'))
    }

    /// A block up to its closing brace, unread.
    fn block(&mut self) -> Result<&'t str> {
        let start = self.at;
        if !self.take("{") {
            return Err(format!("a block must begin with a brace: {:.40}", self.rest()));
        }
        let (mut depth, mut quoted) = (1, false);
        while let Some(c) = self.next() {
            match c {
                '\\' => drop(self.next()),
                '"' => quoted = !quoted,
                '#' if !quoted && self.text[..self.at - 1].trim_end_matches([' ', '\t']).ends_with('\n') => {
                    self.while_in(|c| c != '\n');
                }
                '{' if !quoted => depth += 1,
                '}' if !quoted => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(&self.text[start + 1..self.at - 1]);
            }
        }
        Err("a block without an end".to_owned())
    }
}

/// What follows the name of a command.
#[derive(Default)]
struct Arguments<'t> {
    plain: Vec<Value>,
    named: Vec<(String, Value)>,
    blocks: HashMap<String, &'t str>,
}

impl Arguments<'_> {
    fn named(&self, name: &str) -> Option<&Value> {
        self.named.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }
}

impl<'a> Script<'a> {
    pub fn new(console: &'a mut Console) -> Self {
        Self { console, scopes: Vec::new() }
    }

    /// Carries out a text; the value is that of its last command.
    pub fn run(&mut self, text: &str) -> Result<Value> {
        self.scopes.push(HashMap::new());
        let result = self.statements(text);
        self.scopes.pop();
        result
    }

    fn statements(&mut self, text: &str) -> Result<Value> {
        let mut reader = Reader::new(text);
        let mut last = Value::Nothing;
        loop {
            while matches!(reader.peek(), Some(c) if c.is_whitespace() || c == ';') {
                reader.next();
            }
            match reader.peek() {
                None => return Ok(last),
                Some('#') => drop(reader.while_in(|c| c != '\n')),
                Some(_) => {
                    let start = reader.at;
                    let told = |e, r: &Reader| format!("{}: {e}", r.text[start..r.at].trim().replace('\n', " "));
                    last = self.command(&mut reader).map_err(|e| told(e, &reader))?;
                    reader.blanks(false);
                    if !matches!(reader.peek(), None | Some(';' | '\n')) {
                        return Err(format!("expected end of command: {:.40}", reader.rest()));
                    }
                }
            }
        }
    }

    fn command(&mut self, reader: &mut Reader) -> Result<Value> {
        match reader.peek() {
            Some(':') => {
                reader.next();
                let name = reader.while_in(|c| c.is_ascii_alphanumeric()).to_owned();
                self.colon(&name, reader)
            }
            Some('$') => match self.value(reader)? {
                Value::Code(code) => self.call(&code),
                other => Err(format!("{other:?} is nothing that can be run")),
            },
            _ => self.menu(reader),
        }
    }

    /// Runs code made by `:parse`: it sees no locals.
    fn call(&mut self, code: &str) -> Result<Value> {
        let around = std::mem::take(&mut self.scopes);
        let result = self.run(code);
        self.scopes = around;
        result
    }

    fn colon(&mut self, name: &str, reader: &mut Reader) -> Result<Value> {
        if matches!(name, "local" | "set") {
            reader.blanks(false);
            let variable = reader.while_in(|c| c.is_ascii_alphanumeric()).to_owned();
            let arguments = self.arguments(reader)?;
            let value = arguments.plain.into_iter().next().unwrap_or(Value::Nothing);
            let scope = match name {
                "local" => self.scopes.last_mut(),
                _ => self.scopes.iter_mut().rev().find(|s| s.contains_key(&variable)),
            };
            scope.ok_or_else(|| format!("no variable {variable}"))?.insert(variable, value);
            return Ok(Value::Nothing);
        }
        let variable = if name == "foreach" {
            reader.blanks(false);
            reader.while_in(|c| c.is_ascii_alphanumeric()).to_owned()
        } else {
            String::new()
        };
        let condition = reader.at;
        let arguments = self.arguments(reader)?;
        let block = |name: &str| arguments.blocks.get(name).copied().unwrap_or("");
        let first = || arguments.plain.first().cloned().unwrap_or(Value::Nothing);
        match name {
            "if" => self.run(block(if first().is_true() { "do" } else { "else" })),
            "while" => {
                while self.arguments(&mut Reader { text: reader.text, at: condition })?.plain[0].is_true() {
                    self.run(block("do"))?;
                }
                Ok(Value::Nothing)
            }
            "do" => {
                let result = self.run(arguments.blocks.get("").copied().unwrap_or(""));
                if result.is_err() && arguments.blocks.contains_key("on-error") {
                    return self.run(block("on-error"));
                }
                result
            }
            "foreach" => {
                let Some(Value::List(items)) = arguments.named("in") else { return Err("in= is no list".into()) };
                for (_, item) in items.clone() {
                    self.scopes.push(HashMap::from([(variable.clone(), item)]));
                    let result = self.run(block("do"));
                    self.scopes.pop();
                    result?;
                }
                Ok(Value::Nothing)
            }
            _ => function(name, &arguments.plain),
        }
    }

    fn arguments<'t>(&mut self, reader: &mut Reader<'t>) -> Result<Arguments<'t>> {
        let mut arguments = Arguments::default();
        loop {
            reader.blanks(false);
            if reader.at_end() {
                return Ok(arguments);
            }
            let start = reader.at;
            let name = reader.while_in(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
            if !name.is_empty() && reader.take("=") {
                if matches!(name, "do" | "else" | "on-error") {
                    arguments.blocks.insert(name.to_owned(), reader.block()?);
                } else {
                    let value = self.value(reader)?;
                    arguments.named.push((name.to_owned(), value));
                }
                continue;
            }
            reader.at = start;
            // `:do { … }`; elsewhere a brace begins a list.
            if reader.peek() == Some('{') && reader.text[..start].trim_end().ends_with(":do") {
                arguments.blocks.insert(String::new(), reader.block()?);
            } else {
                let value = self.value(reader)?;
                arguments.plain.push(value);
            }
        }
    }

    /// One value, as it stands between blanks.
    fn value(&mut self, reader: &mut Reader) -> Result<Value> {
        match reader.peek() {
            Some('"') => self.quoted(reader),
            Some('$') => {
                reader.next();
                self.variable(reader)
            }
            Some('[') => {
                reader.next();
                reader.blanks(true);
                let value = self.command(reader)?;
                reader.blanks(true);
                if reader.take("]") {
                    Ok(value)
                } else {
                    Err(format!("a bracket without an end: {:.40}", reader.rest()))
                }
            }
            Some('(') => {
                reader.next();
                let value = self.expression(reader, 0)?;
                reader.blanks(true);
                if reader.take(")") {
                    Ok(value)
                } else {
                    Err(format!("a parenthesis without an end: {:.40}", reader.rest()))
                }
            }
            Some('{') => self.list(reader),
            _ => {
                let word = reader.while_in(|c| !c.is_whitespace() && !matches!(c, ';' | ']' | '}' | ')' | '"' | '['));
                if word.is_empty() {
                    return Err(format!("a value is missing: {:.40}", reader.rest()));
                }
                Ok(match word {
                    "true" | "yes" => Value::Flag(true),
                    "false" | "no" => Value::Flag(false),
                    word => word.parse().map_or_else(|_| Value::Text(word.to_owned()), Value::Number),
                })
            }
        }
    }

    fn variable(&mut self, reader: &mut Reader) -> Result<Value> {
        let name = reader.while_in(|c| c.is_ascii_alphanumeric());
        let found = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        found.cloned().ok_or_else(|| format!("no variable {name}"))
    }

    fn quoted(&mut self, reader: &mut Reader) -> Result<Value> {
        reader.next();
        let mut text = String::new();
        loop {
            match reader.next() {
                None => return Err("a text without an end".to_owned()),
                Some('"') => return Ok(Value::Text(text)),
                Some('\\') => match reader.next() {
                    Some('n') => text.push('\n'),
                    Some(c @ ('"' | '\\' | '$' | '?')) => text.push(c),
                    other => return Err(format!("a backslash before {other:?}")),
                },
                Some('$') => {
                    let value = if matches!(reader.peek(), Some('(' | '[')) {
                        self.value(reader)
                    } else {
                        self.variable(reader)
                    };
                    text.push_str(&value?.text());
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn list(&mut self, reader: &mut Reader) -> Result<Value> {
        reader.next();
        let mut items = Vec::new();
        loop {
            reader.blanks(true);
            if reader.take("}") {
                return Ok(Value::List(items));
            }
            let first = self.value(reader)?;
            let item = if reader.take("=") { (first.text(), self.value(reader)?) } else { (String::new(), first) };
            items.push(item);
            reader.blanks(true);
            if !reader.take(";") && reader.peek() != Some('}') {
                return Err(format!("a list goes on oddly: {:.40}", reader.rest()));
            }
        }
    }

    /// Operators from the loosest to the tightest, level by level.
    fn expression(&mut self, reader: &mut Reader, level: usize) -> Result<Value> {
        const LEVELS: [&[&str]; 5] = [&["||"], &["&&"], &["!=", "<=", ">=", "=", "<", ">"], &[".", "+", "-"], &["->"]];
        reader.blanks(true);
        let Some(operators) = LEVELS.get(level) else {
            let negated = reader.take("!");
            let value = self.value(reader)?;
            return Ok(if negated { Value::Flag(!value.is_true()) } else { value });
        };
        let mut left = self.expression(reader, level + 1)?;
        loop {
            reader.blanks(true);
            // An arrow is no minus.
            let arrow = level != 4 && reader.rest().starts_with("->");
            let Some(operator) = operators.iter().find(|o| !arrow && reader.take(o)) else { return Ok(left) };
            let right = self.expression(reader, level + 1)?;
            left = operate(operator, &left, &right)?;
        }
    }

    /// A command of a menu.
    fn menu(&mut self, reader: &mut Reader) -> Result<Value> {
        let mut path = if reader.peek() == Some('/') { String::new() } else { self.console.menu.clone() };
        let verb = loop {
            reader.blanks(false);
            if reader.at_end() {
                break "";
            }
            let word = reader.while_in(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '/'));
            if VERBS.contains(&word) {
                break word;
            }
            if word.is_empty() {
                return Err(format!("neither menu nor command: {:.40}", reader.rest()));
            }
            path.push('/');
            path.push_str(word.trim_matches('/'));
        };
        let (path, verb) = (path.replace("//", "/"), verb.to_owned());
        if verb.is_empty() {
            self.console.menu = path;
            return Ok(Value::Nothing);
        }
        // Brackets among the arguments are in the same menu.
        let around = std::mem::replace(&mut self.console.menu, path.clone());
        let result = self.carry_out(reader, &path, &verb);
        self.console.menu = around;
        result
    }

    fn carry_out(&mut self, reader: &mut Reader, path: &str, verb: &str) -> Result<Value> {
        if verb == "find" || verb == "print" {
            let conditions = self.conditions(reader)?;
            let ids = self.console.find(path, &conditions)?;
            return Ok(Value::List(ids.into_iter().map(|id| (String::new(), Value::Text(id))).collect()));
        }
        let Arguments { plain, named, .. } = self.arguments(reader)?;
        let mut given: Vec<(String, String)> = named.into_iter().map(|(n, v)| (n, v.text())).collect();
        let mut plain = plain.into_iter();
        let targets = if verb == "add" { None } else { plain.next().map(|v| v.targets()) };
        // A property that is there or not, such as `fib` of a routing table.
        given.extend(plain.map(|v| (v.text(), String::new())));
        self.console.act(path, verb, targets.as_deref(), &given)?;
        Ok(Value::Nothing)
    }

    fn conditions(&mut self, reader: &mut Reader) -> Result<Vec<Condition>> {
        let mut conditions = Vec::new();
        loop {
            reader.blanks(false);
            if reader.at_end() {
                return Ok(conditions);
            }
            let negated = reader.take("!");
            let name = reader.while_in(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).to_owned();
            if negated {
                conditions.push((name, '!', String::new()));
                continue;
            }
            match reader.peek() {
                Some(operator @ ('=' | '~')) => {
                    reader.next();
                    let value = self.value(reader)?.text();
                    conditions.push((name, operator, value));
                }
                _ if matches!(name.as_str(), "where" | "detail") => {}
                _ => return Err(format!("a condition of find: {name}{:.40}", reader.rest())),
            }
        }
    }
}

fn operate(operator: &str, left: &Value, right: &Value) -> Result<Value> {
    let numbers = || match (left.text().parse::<i64>(), right.text().parse::<i64>()) {
        (Ok(left), Ok(right)) => Ok((left, right)),
        _ => Err(format!("{left:?} {operator} {right:?}")),
    };
    Ok(match operator {
        "||" => Value::Flag(left.is_true() || right.is_true()),
        "&&" => Value::Flag(left.is_true() && right.is_true()),
        "=" => Value::Flag(left.text() == right.text()),
        "!=" => Value::Flag(left.text() != right.text()),
        "<" => numbers().map(|(l, r)| Value::Flag(l < r))?,
        ">" => numbers().map(|(l, r)| Value::Flag(l > r))?,
        "<=" => numbers().map(|(l, r)| Value::Flag(l <= r))?,
        ">=" => numbers().map(|(l, r)| Value::Flag(l >= r))?,
        "." => Value::Text(left.text() + &right.text()),
        "+" => numbers().map(|(l, r)| Value::Number(l + r))?,
        "-" => numbers().map(|(l, r)| Value::Number(l - r))?,
        _ => match left {
            Value::List(items) => {
                items.iter().find(|(name, _)| *name == right.text()).map_or(Value::Nothing, |(_, v)| v.clone())
            }
            other => return Err(format!("{other:?} is no list")),
        },
    })
}

/// The commands that only make a value.
fn function(name: &str, plain: &[Value]) -> Result<Value> {
    let text = |i: usize| plain.get(i).map(Value::text).unwrap_or_default();
    let number = |i: usize| text(i).parse::<usize>().map_err(|_| format!(":{name} {}", text(i)));
    Ok(match (name, plain.first()) {
        ("put" | "delay" | "log", _) => Value::Nothing,
        ("error", _) => return Err(text(0)),
        ("parse", _) => Value::Code(text(0)),
        ("len", Some(Value::List(items))) => Value::Number(i64::try_from(items.len()).unwrap()),
        ("len", _) => Value::Number(i64::try_from(text(0).len()).unwrap()),
        ("find", _) => text(0).find(&text(1)).map_or(Value::Nothing, |at| Value::Number(i64::try_from(at).unwrap())),
        ("pick", Some(Value::List(items))) => items.get(number(1)?).map_or(Value::Nothing, |(_, v)| v.clone()),
        ("pick", _) => Value::Text(text(0).chars().take(number(2)?).skip(number(1)?).collect()),
        _ => return Err(format!("no command :{name}")),
    })
}
