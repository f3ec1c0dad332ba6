//! How a connection's request becomes a command: with the names of the database that its client has selected.

use kora_resp::{KeptRequest, PrefixedRequest, Request};

use crate::command::Command;
use crate::command::secrets::Secrets;
use crate::command::table::{self, Parsed};
use crate::databases::{parse, place_in, prefixed_places};
use crate::engine::Engine;
use crate::error::ClientError;
use crate::reply_queues::ReplyQueueId;

impl Engine {
    /// Reads a request as a command.
    pub fn parse(&mut self, id: ReplyQueueId, request: &Request<'_>) -> Parsed {
        let reply_queue = self.reply_queues.get(id);
        let (access, database) = (reply_queue.session.access, reply_queue.database());
        let mut parsed = parse(request, access, database, self.setup.databases, &mut self.prefixed);
        self.complete(id, &mut parsed, request);
        parsed
    }

    /// The same of a large request in memory of its own.
    pub fn parse_kept(&mut self, id: ReplyQueueId, kept: KeptRequest) -> Parsed {
        let (access, database) = (self.access(id), self.reply_queues.get(id).database());
        let Some(places) = prefixed_places(&kept.request(), database) else {
            return self.parse(id, &kept.request());
        };
        let (sent, prefixed) = kept.with_prefix(&database.prefix(), places.into_iter());
        let mut parsed = table::parse(&prefixed.request(), access);
        place_in(&mut parsed, database, self.setup.databases);
        self.complete(id, &mut parsed, &sent.request());
        parsed
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
        let mut again = parse(
            &sent.request(),
            access,
            database,
            self.setup.databases,
            &mut self.prefixed,
        );
        self.complete(id, &mut again, &sent.request());
        again.trail = parsed.trail;
        *parsed = again;
    }

    /// Notes what else is wanted of a request.
    fn complete(&mut self, id: ReplyQueueId, parsed: &mut Parsed, request: &Request<'_>) {
        if self.setup.live.slow.is_logging() {
            parsed.trail = self.slow.trail.remember(request, Secrets::of(parsed.entry));
        }
        if let Command::OnKey(key, _) = &parsed.command {
            parsed.slot = self.setup.placement.slot_of(key);
        }
        if self.keeps_words(id) {
            parsed.words = Some(request.words(0));
        }
    }
}
