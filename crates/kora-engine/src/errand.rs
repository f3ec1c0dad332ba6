//! What a worker does that no client has asked for but that takes several shards. It is gathered in a line like a command,
//! a line that belongs to nobody; one errand at a time.

use std::sync::Arc;

use kora_resp::Reply;

use crate::catalog::Schema;
use crate::engine::{Engine, UNKNOWN};
use crate::gather::{Around, Dropping, Leaving, Next};
use crate::line::{Line, Presence, Taken};
use crate::lines::LineId;
use crate::mail::Ticket;
use crate::session::Session;
use crate::setup::Host;
use crate::shard::Shard;

/// An errand under way.
pub(crate) struct Errand {
    pub(crate) line: LineId,
    purpose: Purpose,
}

enum Purpose {
    /// A collection may go that may have lost its last vector.
    Leaving(Arc<Schema>),
    /// A collection has expired, and every shard lets go of its part.
    Releasing,
}

impl Engine {
    /// True if there is an errand to begin.
    pub(crate) fn has_errand(&self) -> bool {
        let has_errand = |shard: &Shard| shard.has_emptied() || shard.has_withdrawn();
        self.errand.is_none() && self.shards.iter().any(has_errand)
    }

    /// Begins an errand, if there is one and none is under way.
    pub(crate) fn begin_errand(&mut self, host: &dyn Host) -> bool {
        if !self.has_errand() {
            return false;
        }
        let (now_us, setup) = (host.now_us(), &self.setup);
        let at_ms = self.unix_us(now_us) / 1000;
        let around = Around { setup, host, at_ms };
        let withdrawn = self.shards.iter_mut().find_map(Shard::take_withdrawn);
        let (next, purpose) = if let Some(schema) = withdrawn {
            (Dropping::release(&schema, &around), Purpose::Releasing)
        } else if let Some(schema) = self.shards.iter_mut().find_map(Shard::take_emptied) {
            // It may have been dropped since.
            if around.catalog().generation_of(&schema.name) != Some(schema.generation) {
                return true;
            }
            (Leaving::start(Arc::clone(&schema), &around), Purpose::Leaving(schema))
        } else {
            return false;
        };
        let Next::Ask(gather, asks) = next else {
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
        self.errand = Some(Errand { line, purpose });
        self.send(Ticket { line: line.0, sequence }, asks);
        true
    }

    /// The errand is done. Where somebody came in between, it may be worth while to try again.
    pub(crate) fn end_errand(&mut self, reply: &Reply) {
        let errand = self.errand.take().expect("it was under way");
        match (errand.purpose, reply, self.shards.first_mut()) {
            (Purpose::Releasing, ..) => self.setup.catalog.mortals().subtract(),
            (Purpose::Leaving(schema), Reply::Integer(0), Some(shard)) => shard.note_emptied(&schema),
            (Purpose::Leaving(_), ..) => {}
        }
    }
}
