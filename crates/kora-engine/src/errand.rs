//! What a worker does that no client has asked for but that takes several shards. It is gathered in a line like a command,
//! a line that belongs to nobody. One errand of each kind is under way at a time: to tidy up, and to sample.

use std::sync::Arc;

use kora_resp::Reply;

use crate::engine::{Engine, UNKNOWN};
use crate::gather::{Around, Dropping, Found, Leaving, Next, Reads, Recalling};
use crate::line::{Line, Presence, Taken};
use crate::lines::LineId;
use crate::mail::Ticket;
use crate::sampling::{Candidate, Draw};
use crate::session::Session;
use crate::setup::Host;
use crate::shard::Shard;
use crate::travel::Mark;
use kora_keyspace::catalog::Schema;

/// An errand under way.
pub(crate) struct Errand {
    line: LineId,
    purpose: Purpose,
}

enum Purpose {
    /// A collection may go that may have lost its last vector.
    Leaving(Arc<Schema>),
    /// A collection has expired, and every shard lets go of its part.
    Releasing,
    /// The recall of a collection is sampled.
    Sampling(Candidate),
}

impl Engine {
    /// True if there is something to tidy up, and that can be begun.
    pub(crate) fn has_errand(&self) -> bool {
        let has_errand = |shard: &Shard| shard.keyspace().has_emptied() || shard.keyspace().has_withdrawn();
        self.shards.iter().any(has_errand) && !self.is_tidying()
    }

    /// True while samples are being taken.
    pub(crate) fn is_sampling(&self) -> bool {
        self.errands
            .iter()
            .any(|errand| matches!(errand.purpose, Purpose::Sampling(_)))
    }

    fn is_tidying(&self) -> bool {
        self.errands
            .iter()
            .any(|errand| !matches!(errand.purpose, Purpose::Sampling(_)))
    }

    /// Begins an errand, if there is one and none of its kind is under way.
    pub(crate) fn begin_errand(&mut self, host: &dyn Host) -> bool {
        if self.has_errand() {
            return self.begin_to_tidy(host.now_us(), host);
        }
        self.wake_sampling();
        if self.next_sample_us().is_none() {
            return false;
        }
        let now_us = host.now_us();
        let Some(Draw { candidate, samples }) = self.draw(now_us) else {
            return false;
        };
        let schema = Arc::clone(&candidate.schema);
        let next = Recalling::sample(schema, samples, &self.around_at(now_us, host));
        self.set_out(next, Purpose::Sampling(candidate), now_us);
        true
    }

    fn begin_to_tidy(&mut self, now_us: u64, host: &dyn Host) -> bool {
        if let Some(schema) = self
            .shards
            .iter_mut()
            .find_map(|shard| shard.keyspace_mut().take_withdrawn())
        {
            let next = Dropping::release(&schema, &self.around_at(now_us, host));
            self.set_out(next, Purpose::Releasing, now_us);
            return true;
        }
        let emptied = self
            .shards
            .iter_mut()
            .find_map(|shard| shard.keyspace_mut().take_emptied());
        let Some(schema) = emptied else { return false };
        let around = self.around_at(now_us, host);
        // It may have been dropped since.
        if around.catalog().generation_of(&schema.name) == Some(schema.generation) {
            let next = Leaving::start(Arc::clone(&schema), &around);
            self.set_out(next, Purpose::Leaving(schema), now_us);
        }
        true
    }

    fn around_at<'a>(&'a self, now_us: u64, host: &'a dyn Host) -> Around<'a> {
        self.around(self.unix_us(now_us) / 1000, host, Reads::Never)
    }

    fn set_out(&mut self, next: Next, purpose: Purpose, now_us: u64) {
        let Next::Ask(gather, asks) = next else {
            unreachable!("it asks the parts of a collection");
        };
        let mut line = Line::new(
            Session::new(0, String::new(), String::new(), now_us),
            Mark::default(),
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
        self.errands.push(Errand { line, purpose });
        self.send(Ticket { line: line.0, sequence }, asks);
    }

    /// Takes in what has become of an errand; false if this is no errand's line. Where somebody came in between, it may be
    /// worth while to try again.
    pub(crate) fn end_errand(&mut self, line: LineId, reply: &Reply, now_us: u64) -> bool {
        let Some(place) = self.errands.iter().position(|errand| errand.line == line) else {
            return false;
        };
        match (self.errands.swap_remove(place).purpose, reply, self.shards.first_mut()) {
            (Purpose::Releasing, ..) => self.setup.catalog.mortals().subtract(),
            (Purpose::Leaving(schema), Reply::Integer(0), Some(shard)) => shard.keyspace_mut().note_emptied(&schema),
            (Purpose::Leaving(_), ..) => {}
            (Purpose::Sampling(candidate), reply, _) => {
                let unix_us = self.unix_us(now_us);
                self.sampling.note(&candidate, Found::of_numbers(reply), unix_us);
            }
        }
        true
    }
}
