//! How a connection's request becomes a command: with the names of the database that its client has selected.

use kora_resp::{KeptRequest, PrefixedRequest, Request};

use crate::command::Command;
use crate::command::secrets::Secrets;
use crate::command::table::{self, Parsed};
use crate::databases::{parse, placed_in, prefixed_places};
use crate::engine::Engine;
use crate::error::ClientError;
use crate::reply_queues::ReplyQueueId;

impl Engine {
    /// Reads a request as a command.
    pub fn parse(&mut self, id: ReplyQueueId, request: &Request<'_>) -> Parsed {
        let (access, database) = (self.access(id), self.reply_queues.get(id).database());
        let parsed = parse(request, access, database, self.setup.databases, &mut self.prefixed);
        self.complete(id, parsed, request)
    }

    /// The same of a large request in memory of its own.
    pub fn parse_kept(&mut self, id: ReplyQueueId, kept: KeptRequest) -> Parsed {
        let (access, database) = (self.access(id), self.reply_queues.get(id).database());
        let Some(places) = prefixed_places(&kept.request(), database) else {
            return self.parse(id, &kept.request());
        };
        let (sent, prefixed) = kept.with_prefix(&database.prefix(), places.into_iter());
        let parsed = table::parse(&prefixed.request(), access);
        let parsed = placed_in(parsed, database, self.setup.databases);
        self.complete(id, parsed, &sent.request())
    }

    /// A request that was read when its client was to have another database selected by now: a transaction that selects one
    /// was discarded.
    pub(crate) fn parse_again(&mut self, id: ReplyQueueId, parsed: &mut Parsed) {
        let (access, database) = (self.access(id), self.reply_queues.get(id).database());
        let Some(words) = &parsed.words else {
            parsed.database = database;
            parsed.command = Command::Refused(ClientError::other_answer());
            return;
        };
        let mut sent = PrefixedRequest::default();
        sent.fill(words.iter().map(|word| (word, false)), &[]);
        let again = parse(
            &sent.request(),
            access,
            database,
            self.setup.databases,
            &mut self.prefixed,
        );
        let trail = parsed.trail;
        *parsed = self.complete(id, again, &sent.request());
        parsed.trail = trail;
    }

    /// Notes what else is wanted of a request.
    fn complete(&mut self, id: ReplyQueueId, mut parsed: Parsed, request: &Request<'_>) -> Parsed {
        if self.setup.live.slow.is_logging() {
            parsed.trail = self.slow.trail.remember(request, Secrets::of(parsed.entry));
        }
        if let Command::OnKey(key, _) = &parsed.command {
            parsed.slot = self.setup.placement.slot_of(key);
        }
        if self.keeps_words(id) {
            parsed.words = Some(request.words(0));
        }
        parsed
    }
}
