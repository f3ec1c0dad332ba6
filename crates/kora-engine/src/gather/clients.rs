//! Commands about all workers' clients and counters.

use std::sync::Arc;

use bytes::Bytes;
use kora_resp::Reply;

use super::{Around, Gather, Next};
use crate::command::{ClientFilter, ClientPage};
use crate::info;
use crate::mail::{Ask, Target};
use crate::stats::WorkerStats;

/// CLIENT LIST: the lines of all workers, in order of the clients' ids.
pub(crate) struct ListingClients {
    filter: Arc<ClientFilter>,
    lines: Vec<(u64, String)>,
    missing: usize,
}

impl ListingClients {
    pub(crate) fn start(filter: ClientFilter, around: &Around<'_>) -> Next {
        let filter = Arc::new(filter);
        let asks = around.setup.workers().map(|worker| {
            (
                Target::Worker(worker),
                Ask::Clients {
                    filter: Arc::clone(&filter),
                    start: 0,
                },
            )
        });
        let asks: Vec<(Target, Ask)> = asks.collect();
        let listing = ListingClients {
            filter,
            lines: Vec::new(),
            missing: asks.len(),
        };
        Next::Ask(Gather::ListingClients(Box::new(listing)), asks)
    }

    pub(crate) fn absorb(mut self: Box<Self>, from: Target, page: ClientPage) -> Next {
        self.lines.extend(page.lines);
        if let Some(start) = page.next {
            let ask = Ask::Clients {
                filter: Arc::clone(&self.filter),
                start,
            };
            return Next::Ask(Gather::ListingClients(self), vec![(from, ask)]);
        }
        self.missing -= 1;
        if self.missing > 0 {
            return Next::Wait(Gather::ListingClients(self));
        }
        self.lines.sort_unstable_by_key(|(id, _)| *id);
        Next::Reply(Reply::Verbatim(self.lines.into_iter().map(|(_, line)| line).collect()))
    }
}

/// INFO: the counters of all workers.
pub(crate) struct Informing {
    sections: Vec<Bytes>,
    stats: Vec<WorkerStats>,
    missing: usize,
}

impl Informing {
    pub(crate) fn start(sections: Vec<Bytes>, around: &Around<'_>) -> Next {
        let asks: Vec<(Target, Ask)> = around
            .setup
            .workers()
            .map(|worker| (Target::Worker(worker), Ask::Stats))
            .collect();
        let informing = Informing {
            sections,
            stats: Vec::new(),
            missing: asks.len(),
        };
        Next::Ask(Gather::Informing(Box::new(informing)), asks)
    }

    pub(crate) fn absorb(mut self: Box<Self>, stats: WorkerStats, around: &Around<'_>) -> Next {
        self.stats.push(stats);
        self.missing -= 1;
        if self.missing > 0 {
            return Next::Wait(Gather::Informing(self));
        }
        self.stats.sort_unstable_by_key(|stats| stats.worker);
        Next::Reply(Reply::Verbatim(info::text(&self.sections, &self.stats, around)))
    }
}
