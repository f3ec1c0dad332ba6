//! What a worker does that no client has asked for but that takes several shards. It is gathered in a line like a command,
//! a line that belongs to nobody; one errand at a time.

use std::sync::Arc;

use kora_resp::Reply;

use crate::catalog::Schema;
use crate::engine::{Engine, UNKNOWN};
use crate::gather::{Around, Leaving, Next};
use crate::line::{Line, Presence, Taken};
use crate::lines::LineId;
use crate::mail::Ticket;
use crate::session::Session;
use crate::setup::Host;
use crate::shard::Shard;

/// An errand under way.
pub(crate) struct Errand {
    pub(crate) line: LineId,
    schema: Arc<Schema>,
}

impl Engine {
    /// True if there is an errand to begin.
    pub(crate) fn has_errand(&self) -> bool {
        self.errand.is_none() && self.shards.iter().any(Shard::has_emptied)
    }

    /// Begins an errand, if there is one and none is under way.
    pub(crate) fn begin_errand(&mut self, host: &dyn Host) -> bool {
        if !self.has_errand() {
            return false;
        }
        let emptied = self.shards.iter_mut().find_map(Shard::take_emptied);
        let Some(schema) = emptied else { return false };
        // It may have been dropped since.
        if self.setup.catalog.generation_of(&schema.name) != Some(schema.generation) {
            return true;
        }
        let (now_us, setup) = (host.now_us(), &self.setup);
        let Next::Ask(gather, asks) = Leaving::start(Arc::clone(&schema), &Around { setup, host }) else {
            unreachable!("it asks the parts of a collection");
        };
        let mut line = Line::new(
            Session::new(0, String::new(), String::new(), now_us),
            self.ledger.open(),
        );
        line.set_presence(Presence::Gone);
        let taken = Taken {
            counter: self.stats.by_command.counter(UNKNOWN),
            since_us: now_us,
            bytes: 0,
            expected: 0,
            era: None,
        };
        let sequence = line.take_seat(gather, taken);
        let line = self.lines.add(line);
        self.errand = Some(Errand { line, schema });
        self.send(Ticket { line: line.0, sequence }, asks);
        true
    }

    /// The errand is done. Where somebody came in between, it may be worth while to try again.
    pub(crate) fn end_errand(&mut self, reply: &Reply) {
        let errand = self.errand.take().expect("it was under way");
        if let (Reply::Integer(0), Some(shard)) = (reply, self.shards.first_mut()) {
            shard.note_emptied(&errand.schema);
        }
    }
}
