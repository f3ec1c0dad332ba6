//! The server that gets the rows: what it can, and its collections.

use std::thread;

use crate::address::ServerAddress;
use crate::commands;
use crate::connection::Connection;
use crate::error::TransferError;
use crate::limits::RECONNECT_PAUSE;
use crate::reply::Reply;
use crate::row::{Content, Row, Schema, shown};

/// A connection for what must be decided before rows are written.
pub(crate) struct Target {
    address: ServerAddress,
    connection: Connection,
    /// Whether it has VADD.
    pub(crate) has_vector_sets: bool,
}

impl Target {
    pub(crate) fn open(address: &ServerAddress) -> Result<Self, TransferError> {
        let mut connection = Connection::open(address)?;
        let has_vector_sets = connection.knows("VADD")?;
        Ok(Self {
            address: address.clone(),
            connection,
            has_vector_sets,
        })
    }

    /// Creates a collection. One that exists is kept, if its vectors are of the same kind.
    ///
    /// # Errors
    /// If it exists with another dimension or metric, or the server refuses it.
    pub(crate) fn create(
        &mut self,
        name: &[u8],
        schema: &Schema,
        expires_at_ms: Option<u64>,
    ) -> Result<(), TransferError> {
        let row = Row {
            key: name.to_vec(),
            content: Content::Collection(schema.clone()),
            expires_at_ms,
        };
        let mut is_new = false;
        loop {
            match self.try_to_create(&row, schema) {
                // It may have been closed since it was used last.
                Err(TransferError::Socket { .. }) if !is_new => {
                    self.connection = Connection::open(&self.address)?;
                    is_new = true;
                }
                // It answers, so it will have loaded one day.
                Err(TransferError::Refused { text, .. }) if text.starts_with("LOADING") => {
                    thread::sleep(RECONNECT_PAUSE);
                }
                outcome => return outcome,
            }
        }
    }

    fn try_to_create(&mut self, row: &Row, schema: &Schema) -> Result<(), TransferError> {
        let mut requests = Vec::new();
        let replies = commands::write(row, &mut requests);
        self.connection.push_encoded(&requests);
        self.connection.flush()?;
        let mut errors = Vec::new();
        for _ in 0..replies {
            if let Reply::Error(text) = self.connection.reply()? {
                errors.push(text);
            }
        }
        match errors.pop() {
            None => Ok(()),
            Some(text) if text.ends_with("already exists") => self.compare(&row.key, schema),
            Some(text) => Err(self.connection.refused(text)),
        }
    }

    fn compare(&mut self, name: &[u8], schema: &Schema) -> Result<(), TransferError> {
        let info = self.connection.demand(&[b"VECINFO", name])?;
        let dimension = info.field("dimension").and_then(Reply::integer).unwrap_or(0);
        let metric = info.field("metric").and_then(Reply::text).unwrap_or_default();
        let is_same_metric = schema
            .metric
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(metric));
        if usize::try_from(dimension).ok() == Some(schema.dimension) && is_same_metric {
            return Ok(());
        }
        let text = format!(
            "the collection `{}` exists with {dimension} dimensions and {metric}, the import has {} and {}",
            shown(name),
            schema.dimension,
            schema.metric.as_deref().unwrap_or(metric),
        );
        Err(self.connection.refused(text))
    }
}
