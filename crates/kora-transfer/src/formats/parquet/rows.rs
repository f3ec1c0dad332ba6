//! The rows of a Parquet file.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::TransferError;
use crate::formats::lines::open_at;
use crate::formats::{AttributeChoice, FileToRead, Naming, json_line};
use crate::row::{Content, Row, Vector, shown};
use crate::source::{Position, RowSource, Taken};

use super::COLLECTION_TEXT;
use super::cell::{self, Attributes, Fault};
use super::column::ColumnRows;
use super::footer::{Footer, Physical};
use super::schema::{self, Column, TopColumn};

/// Reads a file.
pub(in crate::formats) struct ParquetRows {
    path: PathBuf,
    file: Arc<File>,
    footer: Footer,
    naming: Naming,
    plan: Plan,
    /// The group of rows that is opened next.
    next_group: usize,
    /// Rows of the open group that are to come.
    left: u64,
    /// The columns of the plan, in its order.
    columns: Vec<ColumnRows>,
    position: Position,
    /// All rows of the file.
    rows: u64,
    /// The collection that an export told of.
    collection: Option<Row>,
}

/// What the columns of a file are to a row.
struct Plan {
    name: Column,
    /// Whether a name is a whole key, or names a vector in the collection of the command line.
    is_key: bool,
    vector: Column,
    /// JSON objects.
    attributes: Option<Column>,
    expires_at_ms: Option<Column>,
    /// They become members of the attributes.
    members: Vec<Column>,
}

impl ParquetRows {
    pub(in crate::formats) fn open(file: &FileToRead, from: Position) -> Result<Self, TransferError> {
        let (open, length) = open_at(&file.path, 0)?;
        let wrong = |what: String| TransferError::Format(format!("{}: {what}", file.path.display()));
        let footer = Footer::read(&open, length).map_err(wrong)?;
        let columns = schema::columns(&footer).map_err(wrong)?;
        let plan = Plan::new(columns, file).map_err(|what| {
            let name = file.path.display();
            TransferError::Options(format!("{name}: {what}"))
        })?;
        let told = footer.texts.iter().find(|(name, _)| name == COLLECTION_TEXT);
        let collection = told.and_then(|(_, text)| json_line::collection(text.as_bytes()));
        let mut rows = Self {
            path: file.path.clone(),
            file: Arc::new(open),
            naming: file.naming.clone(),
            next_group: 0,
            left: 0,
            columns: Vec::new(),
            position: Position::default(),
            rows: footer.groups.iter().map(|group| group.rows).sum(),
            collection: collection.filter(|_| plan.is_key && from == Position::default()),
            footer,
            plan,
        };
        rows.go_to(from.rows)?;
        Ok(rows)
    }

    /// Passes over whole groups, then over rows.
    fn go_to(&mut self, row: u64) -> Result<(), TransferError> {
        while let Some(group) = self.footer.groups.get(self.next_group)
            && self.position.rows + group.rows <= row
        {
            self.position.rows += group.rows;
            self.next_group += 1;
        }
        while self.position.rows < row && self.open_group()? {
            for index in 0..self.columns.len() {
                let read = self.columns[index].next_row(|_| {});
                read.map_err(|what| self.wrong(index, &what))?;
            }
            self.step()?;
        }
        Ok(())
    }

    /// Opens the next group of rows if the last one is at its end. False behind the last.
    fn open_group(&mut self) -> Result<bool, TransferError> {
        while self.left == 0 {
            let Some(group) = self.footer.groups.get(self.next_group) else {
                return Ok(false);
            };
            self.next_group += 1;
            self.left = group.rows;
            let columns: Vec<_> = self.plan.columns().cloned().collect();
            self.columns.clear();
            for (index, column) in columns.iter().enumerate() {
                let opened = ColumnRows::open(&self.file, column, &self.footer.groups[self.next_group - 1]);
                let opened = opened.map_err(|what| self.wrong(index, &what))?;
                self.columns.push(opened);
            }
        }
        Ok(true)
    }

    /// Notes that a row was read. Behind the last one of a group no column has more.
    fn step(&mut self) -> Result<(), TransferError> {
        self.position.rows += 1;
        self.left -= 1;
        if self.left == 0 {
            for index in 0..self.columns.len() {
                match self.columns[index].is_at_end() {
                    Ok(true) => {}
                    Ok(false) => return Err(self.wrong(index, "it has more rows than its group")),
                    Err(what) => return Err(self.wrong(index, &what)),
                }
            }
        }
        Ok(())
    }

    fn wrong(&self, index: usize, what: &str) -> TransferError {
        let column = self.plan.columns().nth(index);
        let name = column.map(|column| shown(column.name.as_bytes())).unwrap_or_default();
        let (path, row) = (self.path.display(), self.position.rows + 1);
        TransferError::Format(format!("{path}: row {row}, column `{name}`: {what}"))
    }

    /// The row that the columns have next. All of them are read even if one has a fault.
    fn take_row(&mut self) -> Result<Result<Row, String>, TransferError> {
        let plan = &self.plan;
        let mut columns = self.columns.iter_mut().enumerate();
        let mut bad = None;
        let mut damage = None;
        let mut name = None;
        let mut components = Vec::new();
        let mut text = None;
        let mut expires_at_ms = None;
        let mut attributes = Attributes::default();
        for (column, (index, rows)) in plan.columns().zip(&mut columns) {
            let read = match plan.role(index) {
                Role::Name => cell::name(column, rows).map(|found| name = found),
                Role::Vector => cell::vector(column, rows).map(|found| components = found),
                Role::Attributes => cell::name(column, rows).map(|found| text = found),
                Role::ExpiresAt => cell::time(column, rows).map(|found| expires_at_ms = found),
                Role::Member => attributes.add(column, rows),
            };
            match read {
                Ok(()) => {}
                Err(Fault::Row(what)) => bad = bad.or(Some(what)),
                Err(Fault::File(what)) => {
                    damage = Some((index, what));
                    break;
                }
            }
        }
        if let Some((index, what)) = damage {
            return Err(self.wrong(index, &what));
        }
        let members = attributes.into_text();
        let attributes = match text {
            Some(text) if !text.is_empty() && !members.is_empty() => {
                bad = bad.or(Some("both `attributes` and columns that become attributes".into()));
                text
            }
            Some(text) if !text.is_empty() => text,
            _ => members,
        };
        Ok(match bad {
            Some(what) => Err(what),
            None => self.plan.key(name, &self.naming).map(|key| Row {
                key,
                content: Content::Vector(Vector {
                    components,
                    attributes: Some(attributes),
                }),
                expires_at_ms,
            }),
        })
    }
}

impl RowSource for ParquetRows {
    fn next_row(&mut self) -> Result<Option<Taken>, TransferError> {
        let position = self.position;
        if let Some(collection) = self.collection.take() {
            let row = Ok(collection);
            return Ok(Some(Taken { position, row }));
        }
        if !self.open_group()? {
            return Ok(None);
        }
        let row = self.take_row()?;
        self.step()?;
        Ok(Some(Taken { position, row }))
    }

    fn done(&self) -> u64 {
        self.position.rows
    }

    fn length(&self) -> Option<u64> {
        Some(self.rows)
    }

    fn position(&self) -> Position {
        self.position
    }
}

/// What a column of the plan is.
#[derive(Clone, Copy)]
enum Role {
    Name,
    Vector,
    Attributes,
    ExpiresAt,
    Member,
}

impl Plan {
    fn new(columns: Vec<TopColumn>, file: &FileToRead) -> Result<Self, String> {
        let mut columns = Columns(columns);
        let (id, vector) = (file.members.id.as_str(), file.members.vector.as_str());
        let key = columns.take("key", Column::is_name)?;
        let is_key = key.is_some();
        let name = match key {
            Some(key) => key,
            None => columns
                .take(id, Column::is_name)?
                .ok_or_else(|| columns.lacks(&["key", id], "--id"))?,
        };
        if !is_key && file.naming.collection.is_none() {
            return Err("--collection names the collection of the vectors".into());
        }
        // A name that was given is the only one.
        let other = if vector == "vector" { "embedding" } else { vector };
        let vector = match columns.take(vector, Column::is_vector)? {
            Some(vector) => vector,
            None => columns
                .take(other, Column::is_vector)?
                .ok_or_else(|| columns.lacks(&[vector, other], "--vector"))?,
        };
        let is_text = |column: &Column| column.physical == Physical::Bytes && !column.levels.is_list;
        let is_time = |column: &Column| column.physical == Physical::Int64 && !column.levels.is_list;
        Ok(Self {
            name,
            is_key,
            vector,
            attributes: columns.take_if("attributes", is_text),
            expires_at_ms: columns.take_if("expires_at_ms", is_time),
            members: columns.chosen(&file.attributes)?,
        })
    }

    fn columns(&self) -> impl Iterator<Item = &Column> {
        [&self.name, &self.vector]
            .into_iter()
            .chain(&self.attributes)
            .chain(&self.expires_at_ms)
            .chain(&self.members)
    }

    fn role(&self, index: usize) -> Role {
        let optional = [
            self.attributes.as_ref().map(|_| Role::Attributes),
            self.expires_at_ms.as_ref().map(|_| Role::ExpiresAt),
        ];
        let roles = [Some(Role::Name), Some(Role::Vector)].into_iter().chain(optional);
        roles.flatten().nth(index).unwrap_or(Role::Member)
    }

    fn key(&self, name: Option<Vec<u8>>, naming: &Naming) -> Result<Vec<u8>, String> {
        let name = name.ok_or("the key is null")?;
        match self.is_key {
            true => Ok(name),
            false => naming.key(&name),
        }
    }
}

/// The columns that have no part yet.
struct Columns(Vec<TopColumn>);

impl Columns {
    /// The column with a name, which must fit.
    fn take(&mut self, name: &str, fits: impl Fn(&Column) -> bool) -> Result<Option<Column>, String> {
        let Some(index) = self.0.iter().position(|column| column.name() == name) else {
            return Ok(None);
        };
        match self.0.remove(index) {
            TopColumn::Readable(column) if fits(&column) => Ok(Some(column)),
            TopColumn::Readable(column) => {
                let (form, list) = (column.physical, if column.levels.is_list { "lists of " } else { "" });
                Err(format!(
                    "the column `{}` has {list}{form:?} values, which do not fit",
                    shown(name.as_bytes())
                ))
            }
            TopColumn::Unreadable(_, what) => Err(format!("the column `{}`: {what}", shown(name.as_bytes()))),
        }
    }

    /// The column with a name, if it fits.
    fn take_if(&mut self, name: &str, fits: impl Fn(&Column) -> bool) -> Option<Column> {
        let is_it = |column: &TopColumn| match column {
            TopColumn::Readable(column) => column.name == name && fits(column),
            TopColumn::Unreadable(..) => false,
        };
        let index = self.0.iter().position(is_it)?;
        match self.0.remove(index) {
            TopColumn::Readable(column) => Some(column),
            TopColumn::Unreadable(..) => None,
        }
    }

    /// Those that become attributes.
    fn chosen(self, choice: &AttributeChoice) -> Result<Vec<Column>, String> {
        let names = self.names();
        let readable = |column| match column {
            TopColumn::Readable(column) => Ok(column),
            TopColumn::Unreadable(name, what) => Err(format!(
                "the column `{}` can't become an attribute: {what}; --attributes names those that do",
                shown(name.as_bytes())
            )),
        };
        match choice {
            AttributeChoice::None => Ok(Vec::new()),
            AttributeChoice::Refuse if self.0.is_empty() => Ok(Vec::new()),
            AttributeChoice::Refuse => Err(format!(
                "the columns {names} are neither the key nor the vector; --attributes says which become attributes \
                 (all, none, or names)"
            )),
            AttributeChoice::All => self.0.into_iter().map(readable).collect(),
            AttributeChoice::These(chosen) => {
                if let Some(missing) = chosen
                    .iter()
                    .find(|name| !self.0.iter().any(|column| column.name() == *name))
                {
                    return Err(format!(
                        "there is no column `{missing}` for --attributes; there is {names}"
                    ));
                }
                let is_chosen = |column: &TopColumn| chosen.iter().any(|name| name == column.name());
                self.0.into_iter().filter(is_chosen).map(readable).collect()
            }
        }
    }

    fn lacks(&self, wanted: &[&str], option: &str) -> String {
        let mut wanted: Vec<_> = wanted.iter().map(|name| format!("`{name}`")).collect();
        wanted.dedup();
        format!(
            "there is no column {}; {option} names it; there is {}",
            wanted.join(" or "),
            self.names()
        )
    }

    fn names(&self) -> String {
        let mut names: Vec<String> = self.0.iter().map(|column| shown(column.name().as_bytes())).collect();
        let count = names.len();
        names.truncate(NAMES_SHOWN_MAX);
        let more = if count > NAMES_SHOWN_MAX { ", …" } else { "" };
        match names.is_empty() {
            true => "no other".into(),
            false => format!("`{}`{more}", names.join("`, `")),
        }
    }
}

/// Columns that a message names.
const NAMES_SHOWN_MAX: usize = 20;
