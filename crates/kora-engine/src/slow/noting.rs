//! How a slow command is noted.

use bytes::Bytes;

use super::SlowEntry;
use crate::command::table;
use crate::engine::Engine;
use crate::plan::Route;
use crate::reply_queue::Taken;
use crate::reply_queues::ReplyQueueId;

impl Engine {
    /// A command has been answered after so many microseconds: notes it if that is long.
    #[inline]
    pub(crate) fn note_latency(&mut self, id: ReplyQueueId, taken: Taken, latency_us: u64, now_us: u64) {
        if latency_us >= self.setup.live.slow.noted_us() {
            self.note_slow(id, taken, latency_us, now_us);
        }
    }

    #[cold]
    fn note_slow(&mut self, id: ReplyQueueId, taken: Taken, took_us: u64, now_us: u64) {
        let setup = std::sync::Arc::clone(&self.setup);
        let live = &setup.live.slow;
        let (at_s, name) = (
            self.unix_us(now_us) / 1_000_000,
            self.stats.by_command.name(taken.counter),
        );
        if took_us >= live.event_us() {
            let is_fast = table::find(name.as_bytes()).is_some_and(|entry| entry.is_fast);
            self.slow.events.note(is_fast, at_s, took_us / 1000);
        }
        if took_us < live.slower_us.get() {
            return;
        }
        let session = &self.reply_queues.get(id).session;
        let words = self.slow.trail.recall(taken.trail);
        let entry = SlowEntry {
            id: live.ids.next(),
            at_s,
            took_us,
            words: words.unwrap_or_else(|| {
                name.split('|')
                    .map(|word| Bytes::from_static(word.as_bytes()))
                    .collect()
            }),
            address: session.address.clone(),
            name: session.name.clone().unwrap_or_default(),
            place: place(taken.route, self.worker.index()),
        };
        let entries_max = usize::try_from(live.entries_max.get()).unwrap_or(usize::MAX);
        self.slow.keep(entry, entries_max);
    }
}

fn place(route: Route, worker: usize) -> String {
    match route {
        Route::Here => format!("worker={worker}"),
        Route::One(shard) => format!("worker={worker} shard={}", shard.0),
        Route::All => format!("worker={worker} shards=all"),
    }
}
