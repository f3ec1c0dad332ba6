//! Everything that a running server holds, Redis or Kōra: found by SCAN, read by the commands of its types.
//!
//! It is no picture of one moment: what is written meanwhile may travel or not. What was there throughout travels.

mod hashes;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use self::hashes::pairs;
use crate::address::ServerAddress;
use crate::connection::Connection;
use crate::error::TransferError;
use crate::limits::{FIELDS_MAX, SCAN_COUNT, VALUES_BYTES_MAX};
use crate::reply::Reply;
use crate::row::{Content, Row, Schema, Vector};
use crate::source::{Position, RowSource, Taken};
use crate::vector_sets::SetWalk;

/// What of a server travels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// One collection or vector set.
    pub(crate) collection: Option<String>,
    /// Keys that this glob pattern fits.
    pub(crate) pattern: Option<String>,
}

/// Reads a server.
pub(crate) struct ServerSource {
    connection: Connection,
    scope: Scope,
    /// Whether it has VEC commands.
    is_kora: bool,
    /// Whether it has PEXPIRETIME, as Redis from 7.0 on.
    tells_deadlines: bool,
    /// It knows HPEXPIRETIME: Redis does from 7.4 on.
    tells_field_deadlines: bool,
    /// Where SCAN goes on; `None` at the end.
    cursor: Option<u64>,
    /// The cursor whose keys are read now.
    batch: u64,
    rows: u64,
    waiting: VecDeque<Result<Row, String>>,
    /// Hashes and sets too large to be read with the other keys of their batch.
    walks: VecDeque<Walk>,
    /// Collections whose parameters have travelled.
    collections: HashSet<Vec<u8>>,
    keys_seen: u64,
    keys: u64,
    other_types: BTreeMap<String, u64>,
}

impl ServerSource {
    /// Connects and begins at a cursor.
    pub(crate) fn open(address: &ServerAddress, scope: Scope, from: Position) -> Result<Self, TransferError> {
        let mut connection = Connection::open(address)?;
        let is_kora = connection.knows("VECINFO")?;
        let tells_deadlines = connection.knows("PEXPIRETIME")?;
        let tells_field_deadlines = connection.knows("HPEXPIRETIME")?;
        let keys = connection
            .demand(&[b"DBSIZE"])?
            .integer()
            .and_then(|keys| u64::try_from(keys).ok());
        let mut source = Self {
            scope,
            is_kora,
            tells_deadlines,
            tells_field_deadlines,
            cursor: Some(from.offset),
            batch: from.offset,
            rows: from.rows,
            waiting: VecDeque::new(),
            walks: VecDeque::new(),
            collections: HashSet::new(),
            keys_seen: 0,
            keys: keys.unwrap_or(0),
            other_types: BTreeMap::new(),
            connection,
        };
        if let Some(name) = source.scope.collection.clone() {
            source.begin_with_collection(name.as_bytes())?;
        }
        Ok(source)
    }

    /// What tells this data from that of another server, and of the same after a restart: cursors belong to one run.
    pub(crate) fn identity(&mut self) -> Result<String, TransferError> {
        let info = self.connection.demand(&[b"INFO", b"server"])?;
        let text = info.text().unwrap_or_default();
        let run = text.lines().find_map(|line| line.strip_prefix("run_id:"));
        Ok(run.unwrap_or("unknown").trim().to_owned())
    }

    fn begin_with_collection(&mut self, name: &[u8]) -> Result<(), TransferError> {
        let kind = self.connection.demand(&[b"TYPE", name])?;
        if kind.text() != Some("vectorset") {
            let name = crate::row::shown(name);
            return Err(TransferError::Options(format!("there is no collection `{name}`")));
        }
        let deadline = self.deadlines(std::slice::from_ref(&name.to_vec()))?.pop().flatten();
        let walk = self.set_or_collection(name, deadline)?;
        // A vector set is one key, and needs no SCAN.
        if let Some(walk) = walk {
            self.walks.push_back(walk);
            self.cursor = None;
        }
        Ok(())
    }

    /// One step of SCAN.
    fn read_batch(&mut self, cursor: u64) -> Result<(), TransferError> {
        let keys = self.scan(cursor)?;
        self.batch = cursor;
        self.keys_seen += keys.len() as u64;
        for key in &keys {
            self.connection.push(&[b"TYPE", key]);
        }
        self.connection.flush()?;
        let mut kinds = Vec::with_capacity(keys.len());
        for _ in &keys {
            kinds.push(self.connection.answer()?.text().unwrap_or_default().to_owned());
        }
        let deadlines = self.deadlines(&keys)?;
        let mut strings = Vec::new();
        let mut vectors = Vec::new();
        let mut hashes = Vec::new();
        for ((key, kind), deadline) in keys.into_iter().zip(kinds).zip(deadlines) {
            let Some(expires_at_ms) = deadline else { continue };
            let key = Key { key, expires_at_ms };
            match kind.as_str() {
                "string" => strings.push(key),
                "hash" => hashes.push(key),
                "vector" => vectors.push(key),
                "vectorset" => {
                    let walk = self.set_or_collection(&key.key, Some(key.expires_at_ms))?;
                    self.walks.extend(walk);
                }
                "none" => {}
                other => *self.other_types.entry(other.to_owned()).or_default() += 1,
            }
        }
        self.read_strings(strings)?;
        self.read_hashes(hashes)?;
        self.read_vectors(vectors)
    }

    fn scan(&mut self, cursor: u64) -> Result<Vec<Vec<u8>>, TransferError> {
        let (cursor, count) = (cursor.to_string(), SCAN_COUNT.to_string());
        let pattern = match &self.scope.collection {
            Some(name) => Some(glob_of_vectors(name)),
            None => self.scope.pattern.clone(),
        };
        let mut words: Vec<&[u8]> = vec![b"SCAN", cursor.as_bytes(), b"COUNT", count.as_bytes()];
        if let Some(pattern) = &pattern {
            words.extend([b"MATCH".as_slice(), pattern.as_bytes()]);
        }
        if self.scope.collection.is_some() {
            words.extend([b"TYPE".as_slice(), b"vector"]);
        }
        let reply = self.connection.demand(&words)?;
        let parts: Option<[Reply; 2]> = reply.into_array().and_then(|parts| parts.try_into().ok());
        let wrong = "SCAN's reply is no cursor with keys";
        let [next, keys] = parts.ok_or_else(|| self.connection.unexpected(wrong))?;
        let next = next.text().and_then(|next| next.parse::<u64>().ok());
        let next = next.ok_or_else(|| self.connection.unexpected(wrong))?;
        self.cursor = (next != 0).then_some(next);
        let keys = keys.into_array().ok_or_else(|| self.connection.unexpected(wrong))?;
        let is_meant = |key: &Vec<u8>| match &self.scope.collection {
            Some(name) => collection_of(key) == Some(name.as_bytes()),
            None => true,
        };
        Ok(keys.into_iter().filter_map(Reply::into_bulk).filter(is_meant).collect())
    }

    /// The deadlines of keys: `None` for one that has gone, and within it none for one that stays.
    fn deadlines(&mut self, keys: &[Vec<u8>]) -> Result<Vec<Option<Option<u64>>>, TransferError> {
        let command: &[u8] = if self.tells_deadlines { b"PEXPIRETIME" } else { b"PTTL" };
        for key in keys {
            self.connection.push(&[command, key]);
        }
        self.connection.flush()?;
        let mut deadlines = Vec::with_capacity(keys.len());
        for _ in keys {
            let reply = self.connection.answer()?.integer();
            let wrong = "a deadline is no number";
            deadlines.push(match reply.ok_or_else(|| self.connection.unexpected(wrong))? {
                -2 => None,
                -1 => Some(None),
                left_ms if !self.tells_deadlines => Some(u64::try_from(left_ms).ok().map(|left_ms| now_ms() + left_ms)),
                at_ms => Some(u64::try_from(at_ms).ok()),
            });
        }
        Ok(deadlines)
    }

    fn read_strings(&mut self, keys: Vec<Key>) -> Result<(), TransferError> {
        let lengths = self.numbers(b"STRLEN", &keys)?;
        let mut group = Vec::new();
        let mut bytes = 0usize;
        for (key, length) in keys.into_iter().zip(lengths) {
            bytes = bytes.saturating_add(length);
            group.push(key);
            if bytes >= VALUES_BYTES_MAX {
                self.read_values(&std::mem::take(&mut group))?;
                bytes = 0;
            }
        }
        self.read_values(&group)
    }

    fn read_values(&mut self, keys: &[Key]) -> Result<(), TransferError> {
        for key in keys {
            self.connection.push(&[b"GET", &key.key]);
        }
        self.connection.flush()?;
        for key in keys {
            match self.connection.reply()? {
                Reply::Bulk(value) => self.waiting.push_back(Ok(key.row(Content::String(value)))),
                reply => self.note_odd(&key.key, reply),
            }
        }
        Ok(())
    }

    fn read_vectors(&mut self, keys: Vec<Key>) -> Result<(), TransferError> {
        for key in &keys {
            if let Some(name) = collection_of(&key.key)
                && !self.collections.contains(name)
            {
                let deadline = self.deadlines(std::slice::from_ref(&name.to_vec()))?.pop().flatten();
                self.set_or_collection(name, deadline)?;
            }
        }
        for key in &keys {
            self.connection.push(&[b"VECGET", &key.key, b"FP32"]);
            self.connection.push(&[b"VECGETATTR", &key.key]);
        }
        self.connection.flush()?;
        for key in &keys {
            let (blob, attributes) = (self.connection.reply()?, self.connection.reply()?);
            match blob {
                Reply::Bulk(blob) => {
                    let words = blob.chunks_exact(4).map(|word| word.try_into().unwrap_or_default());
                    let vector = Vector {
                        components: words.map(f32::from_le_bytes).collect(),
                        attributes: Some(attributes.into_bulk().unwrap_or_default()),
                    };
                    self.waiting.push_back(Ok(key.row(Content::Vector(vector))));
                }
                reply => self.note_odd(&key.key, reply),
            }
        }
        Ok(())
    }

    /// A name of type `vectorset`: a collection whose vectors are keys, which becomes a row, or a set that is one key, which is
    /// walked. `deadline` is `None` if it has gone.
    fn set_or_collection(&mut self, name: &[u8], deadline: Option<Option<u64>>) -> Result<Option<Walk>, TransferError> {
        let Some(expires_at_ms) = deadline else {
            return Ok(None);
        };
        let info = match self.is_kora {
            true => self.connection.demand(&[b"VECINFO", name])?,
            false => Reply::Null,
        };
        let text = |field: &str| info.field(field).and_then(Reply::text).map(str::to_owned);
        if !self.is_kora || text("made_by").as_deref() == Some("VADD") {
            let walk = SetWalk::begin(&mut self.connection, name, expires_at_ms)?;
            return Ok(walk.map(|walk| Walk::Set(Box::new(walk))));
        }
        let number = |field: &str| {
            info.field(field)
                .and_then(Reply::integer)
                .and_then(|number| u64::try_from(number).ok())
        };
        let dimension = number("dimension").and_then(|dimension| usize::try_from(dimension).ok());
        let Some(dimension) = dimension else {
            return Ok(None);
        };
        let schema = Schema {
            dimension,
            metric: text("metric"),
            quant: text("quant"),
            m: number("m"),
            ef_construction: number("ef_construction"),
            ef_search: number("ef_search"),
        };
        if self.collections.insert(name.to_vec()) {
            self.waiting.push_back(Ok(Row {
                key: name.to_vec(),
                content: Content::Collection(schema),
                expires_at_ms,
            }));
        }
        Ok(None)
    }

    /// A number for each key; one whose type has changed meanwhile has the number 0.
    fn numbers(&mut self, command: &[u8], keys: &[Key]) -> Result<Vec<usize>, TransferError> {
        for key in keys {
            self.connection.push(&[command, &key.key]);
        }
        self.connection.flush()?;
        let mut numbers = Vec::with_capacity(keys.len());
        for _ in keys {
            let number = self.connection.reply()?.integer();
            numbers.push(number.and_then(|number| usize::try_from(number).ok()).unwrap_or(0));
        }
        Ok(numbers)
    }

    /// A key that has gone meanwhile is no row; an error is one that is bad.
    fn note_odd(&mut self, key: &[u8], reply: Reply) {
        if let Reply::Error(text) = reply {
            self.waiting
                .push_back(Err(format!("`{}`: {text}", crate::row::shown(key))));
        }
    }

    /// The next rows of a large hash or of a set. False at its end.
    fn walk(&mut self, walk: &mut Walk) -> Result<bool, TransferError> {
        match walk {
            Walk::Set(set) => {
                let rows = set.next_rows(&mut self.connection)?;
                let is_more = rows.is_some();
                self.waiting.extend(rows.into_iter().flatten());
                Ok(is_more)
            }
            Walk::Hash { key, cursor, continues } => {
                let count = FIELDS_MAX.to_string();
                let words: [&[u8]; 5] = [b"HSCAN", &key.key, cursor.as_bytes(), b"COUNT", count.as_bytes()];
                let reply = self.connection.call(&words)?;
                if matches!(reply, Reply::Error(_)) {
                    let key = key.key.clone();
                    self.note_odd(&key, reply);
                    return Ok(false);
                }
                let parts: Option<[Reply; 2]> = reply.into_array().and_then(|parts| parts.try_into().ok());
                let parts =
                    parts.ok_or_else(|| self.connection.unexpected("HSCAN's reply is no cursor with fields"))?;
                let [next, items] = parts;
                *cursor = next.text().unwrap_or("0").to_owned();
                let mut read = [(&*key, pairs(items.into_array().unwrap_or_default()))];
                *continues |= self.push_hashes(&mut read, *continues)?;
                Ok(cursor != "0")
            }
        }
    }
}

impl RowSource for ServerSource {
    fn next_row(&mut self) -> Result<Option<Taken>, TransferError> {
        loop {
            if let Some(row) = self.waiting.pop_front() {
                let position = self.position();
                self.rows += 1;
                return Ok(Some(Taken { position, row }));
            }
            if let Some(mut walk) = self.walks.pop_front() {
                if self.walk(&mut walk)? {
                    self.walks.push_front(walk);
                }
            } else if let Some(cursor) = self.cursor {
                self.read_batch(cursor)?;
            } else {
                return Ok(None);
            }
        }
    }

    fn done(&self) -> u64 {
        self.keys_seen
    }

    fn length(&self) -> Option<u64> {
        match (&self.scope.collection, &self.scope.pattern) {
            (None, None) => Some(self.keys),
            _ => None,
        }
    }

    /// All rows of a batch begin at its cursor: it is read again as a whole.
    fn position(&self) -> Position {
        let is_done = self.waiting.is_empty() && self.walks.is_empty();
        Position {
            rows: self.rows,
            offset: self.cursor.filter(|_| is_done).unwrap_or(self.batch),
        }
    }

    fn left_out(&self) -> Vec<String> {
        let line = |(kind, count): (&String, &u64)| {
            format!("{count} keys of type {kind} were left out: there is no such type")
        };
        self.other_types.iter().map(line).collect()
    }
}

/// A key with its deadline.
#[derive(Debug)]
struct Key {
    key: Vec<u8>,
    expires_at_ms: Option<u64>,
}

impl Key {
    fn row(&self, content: Content) -> Row {
        Row {
            key: self.key.clone(),
            content,
            expires_at_ms: self.expires_at_ms,
        }
    }
}

/// A key that is read in several steps.
enum Walk {
    Hash {
        key: Key,
        cursor: String,
        /// Whether a part of it has travelled.
        continues: bool,
    },
    Set(Box<SetWalk>),
}

/// The collection of a vector's key: what stands before its last colon.
fn collection_of(key: &[u8]) -> Option<&[u8]> {
    let colon = key.iter().rposition(|byte| *byte == b':')?;
    Some(&key[..colon])
}

/// The pattern of the keys of a collection's vectors.
fn glob_of_vectors(name: &str) -> String {
    let mut pattern = String::new();
    for character in name.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push_str(":*");
    pattern
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
