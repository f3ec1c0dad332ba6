//! What a worker is asked about its own connections.

use crate::command::ClientPage;
use crate::engine::Engine;
use crate::limits::CLIENTS_PER_PART;
use crate::line::Presence;
use crate::mail::{Ask, Part};
use crate::setup::Host;
use crate::stats::WorkerStats;

impl Engine {
    pub(crate) fn answer_for_worker(&mut self, ask: Ask, host: &dyn Host) -> Part {
        match ask {
            Ask::Clients { filter, start } => {
                let now_us = host.now_us();
                let mut page = ClientPage {
                    lines: Vec::new(),
                    next: None,
                };
                for (place, line) in self.lines.served_from(start) {
                    if page.lines.len() == CLIENTS_PER_PART {
                        page.next = Some(place);
                        break;
                    }
                    if line.session.is_meant(&filter, 0) {
                        let mut text = String::new();
                        line.session.describe(now_us, &mut text);
                        page.lines.push((line.session.id, text));
                    }
                }
                Part::Clients(page)
            }
            Ask::Kill { filter, me } => {
                let mut killed = 0;
                for (_, line) in self.lines.served_from(0) {
                    if !line.session.is_meant(&filter, me) {
                        continue;
                    }
                    killed += 1;
                    // Whoever kills itself still hears that it did.
                    line.set_presence(if line.session.id == me {
                        Presence::Leaving
                    } else {
                        Presence::Killed
                    });
                }
                Part::Count(killed)
            }
            Ask::Stats => Part::Stats(Box::new(self.count(host.now_us()))),
            Ask::ResetStats => {
                self.reset_stats();
                Part::Done
            }
            _ => unreachable!("asks to a shard are answered by the shard"),
        }
    }

    fn reset_stats(&mut self) {
        self.stats = self.stats.reset();
        let mesh = self.port.stats();
        self.forgotten = Forgotten {
            expired: self.expired(),
            sleeps: mesh.sleeps,
            requests_sent: mesh.requests_sent,
            bells_rung: mesh.bells_rung,
        };
    }

    fn count(&mut self, now_us: u64) -> WorkerStats {
        let (mesh, forgotten) = (self.port.stats(), self.forgotten);
        WorkerStats {
            shards: self.shards.len(),
            vectors: self.shards.iter().map(|shard| shard.live() as u64).sum(),
            keys: self.shards.iter().map(|shard| shard.key_counts().keys).sum(),
            expiring: self.shards.iter().map(|shard| shard.key_counts().expiring).sum(),
            expired: self.expired() - forgotten.expired,
            clients: (self.lines.len() - self.errands.len()) as u64,
            client_bytes: self.ledger.held() as u64,
            queue_depth: self.queue_depth(),
            unanswered: self.port.peers().map(|peer| self.port.unanswered(peer) as u64).sum(),
            sleeps: mesh.sleeps - forgotten.sleeps,
            requests_sent: mesh.requests_sent - forgotten.requests_sent,
            bells_rung: mesh.bells_rung - forgotten.bells_rung,
            recall: self.recall(now_us),
            ..self.stats.clone()
        }
    }

    fn expired(&self) -> u64 {
        self.shards.iter().map(|shard| shard.key_counts().expired).sum()
    }
}

/// What shards and the port had counted when a client last wanted it forgotten: they go on counting.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Forgotten {
    expired: u64,
    sleeps: u64,
    requests_sent: u64,
    bells_rung: u64,
}
