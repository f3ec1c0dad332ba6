//! What a worker is asked about its own connections.

use std::collections::BTreeMap;

use crate::command::ClientFilter;
use crate::engine::Engine;
use crate::error::ClientError;
use crate::limits::CLIENTS_PER_PART;
use crate::mail::{ClientPage, ClientPlace, PartialReply, RequestBody};
use crate::reply_queue::Presence;
use crate::reply_queues::ReplyQueueId;
use crate::session::Session;
use crate::setup::Host;
use crate::shard::Shard;
use crate::slow::{SlowPart, SlowQuestion};
use crate::stats::{DatabaseStats, WorkerStats};

impl Engine {
    pub(crate) fn answer_for_worker(&mut self, body: RequestBody, host: &dyn Host) -> PartialReply {
        match body {
            RequestBody::Clients { filter, start } => {
                PartialReply::Clients(self.list_clients(&filter, start, host.now_us()))
            }
            RequestBody::Kill { filter, me } => self.kill_clients(&filter, me),
            RequestBody::Stats => PartialReply::Stats(Box::new(self.count(host.now_us()))),
            RequestBody::Topics(body) => PartialReply::Topics(self.answer_topics(*body)),
            RequestBody::Slow(question) => PartialReply::Slow(Box::new(self.answer_slow(*question))),
            RequestBody::HasClient(client) => PartialReply::Count(u64::from(self.clients_by_id.contains_key(&client))),
            RequestBody::Unpause => {
                self.wake_paused();
                PartialReply::Done
            }
            RequestBody::ReleaseMemory => {
                host.release_memory();
                PartialReply::Done
            }
            RequestBody::ReviewUsers { me } => self.review_users(me),
            RequestBody::ResetStats => {
                self.reset_stats();
                PartialReply::Done
            }
            // Asks to a shard are answered by the shard.
            _ => PartialReply::Refused(ClientError::other_answer()),
        }
    }

    /// Something has come from the client that is no whole request yet.
    pub fn hear(&mut self, id: ReplyQueueId, host: &dyn Host) {
        self.reply_queues.get(id).session.last_us = host.now_us();
    }

    /// Closes clients that have said nothing since then, in microseconds of the host's clock, and are owed nothing; returns
    /// how many.
    pub fn close_idle(&mut self, since_us: u64) -> usize {
        let mut closed = 0;
        for (_, reply_queue) in self.reply_queues.served_from(0) {
            let waits = !reply_queue.is_empty() || reply_queue.is_blocked() || reply_queue.session.is_subscribed();
            if reply_queue.presence() == Presence::Here && !waits && reply_queue.session.last_us < since_us {
                reply_queue.set_presence(Presence::Killed);
                closed += 1;
            }
        }
        closed
    }

    fn list_clients(&mut self, filter: &ClientFilter, start: ClientPlace, now_us: u64) -> ClientPage {
        let mut page = ClientPage {
            lines: Vec::new(),
            departed: Vec::new(),
            next: None,
        };
        let describe = |session: &Session| {
            let mut text = String::new();
            session.describe(now_us, &mut text);
            (session.id, text)
        };
        let mut departed_from = 0;
        match start {
            ClientPlace::Departed(id) => departed_from = id,
            ClientPlace::Served(start) => {
                for (place, reply_queue) in self.reply_queues.served_from(start) {
                    if page.lines.len() == CLIENTS_PER_PART {
                        page.next = Some(ClientPlace::Served(place));
                        return page;
                    }
                    if reply_queue.session.is_meant(filter, 0) {
                        page.lines.push(describe(&reply_queue.session));
                    }
                }
            }
        }
        for session in self.migrations.departed_from(departed_from) {
            if page.lines.len() + page.departed.len() == CLIENTS_PER_PART {
                page.next = Some(ClientPlace::Departed(session.id));
                break;
            }
            if session.is_meant(filter, 0) {
                page.departed.push(describe(session));
            }
        }
        page
    }

    fn kill_clients(&mut self, filter: &ClientFilter, me: u64) -> PartialReply {
        let (mut count, has_marked) = self.migrations.kill_flag(filter, me);
        for (_, reply_queue) in self.reply_queues.served_from(0) {
            if !reply_queue.session.is_meant(filter, me) {
                continue;
            }
            count += u64::from(reply_queue.kill_flag.raise());
            // A client that kills itself still gets the reply.
            reply_queue.set_presence(if reply_queue.session.id == me {
                Presence::Leaving
            } else {
                Presence::Killed
            });
        }
        PartialReply::Killed { count, has_marked }
    }

    fn reset_stats(&mut self) {
        self.stats = self.stats.reset();
        let mesh = self.port.stats();
        self.forgotten = Forgotten {
            expired: self.expired(),
            expired_fields: self.expired_fields(),
            evicted: self.evicted(),
            sleeps: mesh.sleeps,
            requests_sent: mesh.requests_sent,
            bells_rung: mesh.bells_rung,
        };
        self.reader.forget_parts_read();
        self.recent.rates.restart();
        self.setup.live.connections_rejected.reset();
        self.shards.iter().for_each(|shard| shard.lookups().reset());
    }

    fn count(&mut self, now_us: u64) -> WorkerStats {
        let (mesh, forgotten) = (self.port.stats(), self.forgotten);
        WorkerStats {
            shards: self.shards.len(),
            vectors: self.shards.iter().map(|shard| shard.live() as u64).sum(),
            vector_keys: self
                .shards
                .iter()
                .map(|shard| shard.keyspace().vector_keys() as u64)
                .sum(),
            keys: self.shards.iter().map(|shard| shard.key_counts().keys).sum(),
            expiring: self.shards.iter().map(|shard| shard.key_counts().expiring).sum(),
            expired: self.expired() - forgotten.expired,
            expiring_hashes: self.shards.iter().map(|shard| shard.key_counts().expiring_hashes).sum(),
            expired_fields: self.expired_fields() - forgotten.expired_fields,
            databases: self.database_stats(self.unix_us(now_us) / 1000),
            lookups: self.shards.iter().map(|shard| shard.lookups().counts()).sum(),
            tracking_clients: self.tracking_clients as u64,
            tracked: self.tracked(),
            messages_dropped: self.news.dropped(),
            subscribed_clients: self.pubsub.subscribers() as u64,
            topics: self.pubsub.topic_counts(),
            watching_clients: self.shards.iter().map(Shard::watchers).sum(),
            watched_keys: self.shards.iter().map(Shard::watched_keys).sum(),
            per_second: self.recent.rates.per_second(now_us, self.stats.rated()),
            buffer_bytes_recent_max: [
                self.recent.input_bytes.get(self.clock_us),
                self.recent.output_bytes.get(self.clock_us),
            ],
            evicted: self.evicted() - forgotten.evicted,
            clients: (self.reply_queues.len() - self.background_tasks.len()) as u64,
            memory: self.shards.iter().map(|shard| shard.keyspace().memory_use()).sum(),
            client_bytes: self.ledger.held() as u64,
            queue_depth: self.queue_depth(),
            unanswered: self.port.peers().map(|peer| self.port.unanswered(peer) as u64).sum(),
            sleeps: mesh.sleeps - forgotten.sleeps,
            requests_sent: mesh.requests_sent - forgotten.requests_sent,
            bells_rung: mesh.bells_rung - forgotten.bells_rung,
            parts_read: self.reader.parts_read(),
            recall: self.recall(now_us),
            ..self.stats.clone()
        }
    }

    fn answer_slow(&mut self, question: SlowQuestion) -> SlowPart {
        let mut part = SlowPart::default();
        match question {
            SlowQuestion::Entries(count) => part.entries = self.slow.newest(count),
            SlowQuestion::Count => part.count = self.slow.count(),
            SlowQuestion::ForgetEntries => self.slow.forget(),
            SlowQuestion::Events => part.events = self.slow.events.clone(),
            SlowQuestion::ForgetEvents(names) => {
                part.events = self.slow.events.clone();
                self.slow.events.forget(&names);
            }
        }
        part
    }

    fn tracked(&self) -> [u64; 3] {
        let of_shards = self.shards.iter().map(Shard::tracked);
        of_shards.fold([0; 3], |sum, one| std::array::from_fn(|index| sum[index] + one[index]))
    }

    /// What each database holds on this worker's shards, without those that hold nothing.
    fn database_stats(&self, now_ms: u64) -> BTreeMap<u16, DatabaseStats> {
        let mut all: BTreeMap<u16, DatabaseStats> = BTreeMap::new();
        for shard in &self.shards {
            for database in shard.keyspace().used_databases() {
                let (keys, expiring) = shard.keyspace().counts_of(database);
                let table = shard.keyspace().keys().of(database);
                let (average_ms, of_average) = (table.time_left_ms(now_ms).unwrap_or(0), table.expiring() as u64);
                if keys > 0 {
                    let stats = all.entry(database.number()).or_default();
                    stats.keys += keys as u64;
                    stats.expiring += expiring as u64;
                    stats.expiring_hashes += table.expiring_hashes() as u64;
                    stats.time_left_ms.0 += u128::from(average_ms) * u128::from(of_average);
                    stats.time_left_ms.1 += of_average;
                }
            }
        }
        all
    }

    /// How many entries were evicted here.
    pub fn evicted(&self) -> u64 {
        self.shards.iter().map(|shard| shard.keyspace().evicted()).sum()
    }

    fn expired(&self) -> u64 {
        self.shards.iter().map(|shard| shard.key_counts().expired).sum()
    }

    fn expired_fields(&self) -> u64 {
        self.shards.iter().map(|shard| shard.key_counts().expired_fields).sum()
    }
}

/// What shards and the port had counted when a client last wanted it forgotten: they go on counting.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Forgotten {
    expired: u64,
    expired_fields: u64,
    evicted: u64,
    sleeps: u64,
    requests_sent: u64,
    bells_rung: u64,
}
