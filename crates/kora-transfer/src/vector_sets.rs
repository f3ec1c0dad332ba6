//! Vector sets that are one key: read element by element, and written to servers that have none.

use std::collections::VecDeque;

use crate::connection::Connection;
use crate::error::TransferError;
use crate::formats::Naming;
use crate::limits::{DIMENSION_MAX, ELEMENTS_COUNT};
use crate::reply::Reply;
use crate::row::{Content, Row, Schema, SetForm, SetQuant, Vector};

/// A set that is being read.
pub(crate) struct SetWalk {
    key: Vec<u8>,
    form: SetForm,
    names: Names,
    /// The deadline of the whole set, which travels behind its elements.
    deadline: Option<u64>,
}

/// How the elements' names are found.
enum Names {
    /// By VRANGE (Redis 8.4, Kōra): the last name seen.
    Range(Option<Vec<u8>>),
    /// All of them at once, by VRANDMEMBER.
    All(VecDeque<Vec<u8>>),
}

impl SetWalk {
    /// Asks what the set is. None if it has gone.
    pub(crate) fn begin(
        connection: &mut Connection,
        key: &[u8],
        deadline: Option<u64>,
    ) -> Result<Option<Self>, TransferError> {
        let info = match connection.call(&[b"VINFO", key])? {
            Reply::Error(text) => return Err(connection.refused(text)),
            Reply::Null => return Ok(None),
            info => info,
        };
        let quant = info
            .field("quant-type")
            .and_then(Reply::text)
            .and_then(SetQuant::from_name);
        let m = info
            .field("hnsw-m")
            .and_then(Reply::integer)
            .and_then(|m| u64::try_from(m).ok());
        let (Some(quant), Some(m)) = (quant, m) else {
            return Err(connection.unexpected("VINFO tells no quant-type or hnsw-m"));
        };
        let names = match connection.knows("VRANGE")? {
            true => Names::Range(None),
            false => {
                let count = connection.demand(&[b"VCARD", key])?.integer().unwrap_or(0);
                let names = connection.demand(&[b"VRANDMEMBER", key, count.to_string().as_bytes()])?;
                Names::All(
                    names
                        .into_array()
                        .unwrap_or_default()
                        .into_iter()
                        .filter_map(Reply::into_bulk)
                        .collect(),
                )
            }
        };
        Ok(Some(Self {
            key: key.to_vec(),
            form: SetForm { quant, m },
            names,
            deadline,
        }))
    }

    /// The next elements; behind them the set's deadline, if it has one; then none.
    pub(crate) fn next_rows(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Option<Vec<Result<Row, String>>>, TransferError> {
        let names = self.next_names(connection)?;
        if names.is_empty() {
            let deadline = self.deadline.take();
            return Ok(deadline.map(|at_ms| {
                vec![Ok(Row {
                    key: self.key.clone(),
                    content: Content::SetDeadline,
                    expires_at_ms: Some(at_ms),
                })]
            }));
        }
        for name in &names {
            connection.push(&[b"VEMB", &self.key, name]);
            connection.push(&[b"VGETATTR", &self.key, name]);
        }
        connection.flush()?;
        let mut rows = Vec::with_capacity(names.len());
        for element in names {
            let (components, attributes) = (connection.reply()?, connection.reply()?);
            let Some(components) = components_of(components) else {
                // Gone meanwhile.
                continue;
            };
            let vector = Vector {
                components,
                attributes: Some(attributes.into_bulk().unwrap_or_default()),
            };
            rows.push(Ok(Row {
                key: self.key.clone(),
                content: Content::Element {
                    element,
                    vector,
                    form: self.form,
                },
                expires_at_ms: None,
            }));
        }
        Ok(Some(rows))
    }

    fn next_names(&mut self, connection: &mut Connection) -> Result<Vec<Vec<u8>>, TransferError> {
        match &mut self.names {
            Names::All(names) => Ok(names.drain(..names.len().min(ELEMENTS_COUNT)).collect()),
            Names::Range(last) => {
                let start = match last {
                    Some(last) => [b"(", last.as_slice()].concat(),
                    None => b"-".to_vec(),
                };
                let count = ELEMENTS_COUNT.to_string();
                let reply = connection.demand(&[b"VRANGE", &self.key, &start, b"+", count.as_bytes()])?;
                let names = reply
                    .into_array()
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(Reply::into_bulk);
                let names: Vec<Vec<u8>> = names.collect();
                if let Some(name) = names.last() {
                    *last = Some(name.clone());
                }
                Ok(names)
            }
        }
    }
}

/// VEMB's reply.
fn components_of(reply: Reply) -> Option<Vec<f32>> {
    let items = reply.into_array()?;
    let component = |item: &Reply| fast_float2::parse::<f32, _>(item.text()?).ok();
    items.iter().map(component).collect()
}

/// What a vector set becomes on a server without VADD: a collection whose vectors are keys.
#[derive(Default)]
pub(crate) struct AsCollections {
    naming: Naming,
    /// The set whose collection was created last: the elements of a set come one after the other.
    created: Option<Vec<u8>>,
}

impl AsCollections {
    pub(crate) fn new(colon: Option<String>) -> Self {
        Self {
            naming: Naming {
                collection: None,
                colon,
            },
            created: None,
        }
    }

    /// The rows that stand for this one.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) fn rows(&mut self, row: Row) -> Result<Vec<Row>, String> {
        let Content::Element { element, vector, form } = row.content else {
            return Ok(vec![row]);
        };
        let name = String::from_utf8(row.key).map_err(|_| "the name of the set is no UTF-8")?;
        let mut rows = Vec::new();
        if self.created.as_deref() != Some(name.as_bytes()) {
            let dimension = Some(vector.components.len()).filter(|count| (1..=DIMENSION_MAX).contains(count));
            rows.push(Row {
                key: name.clone().into_bytes(),
                content: Content::Collection(Schema {
                    dimension: dimension.ok_or("the vector has no possible dimension")?,
                    metric: Some("COSINE".to_owned()),
                    quant: Some(if form.quant == SetQuant::F32 { "F32" } else { "Q8" }.to_owned()),
                    m: Some(form.m.clamp(M_MIN, M_MAX)),
                    ..Schema::default()
                }),
                expires_at_ms: None,
            });
            self.created = Some(name.clone().into_bytes());
        }
        self.naming.collection = Some(name);
        rows.push(Row {
            key: self.naming.key(&element)?,
            content: Content::Vector(vector),
            expires_at_ms: None,
        });
        Ok(rows)
    }
}

/// What VECCREATE takes for M.
const M_MIN: u64 = 2;
const M_MAX: u64 = 512;
