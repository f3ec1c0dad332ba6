//! Commands about all workers' clients and counters.

use std::sync::Arc;

use bytes::Bytes;
use kora_resp::Reply;

use super::{Context, Gather, Next, histogram};
use crate::command::{ClientFilter, KillReply};
use crate::counts::integer;
use crate::error::ClientError;
use crate::info;
use crate::mail::{ClientPage, ClientPlace, RequestBody, Target};
use crate::memory_report::MemoryReport;
use crate::stats::WorkerStats;

/// CLIENT LIST: the lines of all workers, in order of the clients' ids.
pub(crate) struct ListingClients {
    filter: Arc<ClientFilter>,
    lines: Vec<(u64, String)>,
    /// Of clients that went from one worker to another: they count if they are at none.
    departed: Vec<(u64, String)>,
    missing: usize,
}

impl ListingClients {
    pub(crate) fn start(filter: ClientFilter, context: &Context<'_>) -> Next {
        let filter = Arc::new(filter);
        let requests = context.setup.workers().map(|worker| {
            (
                Target::Worker(worker),
                RequestBody::Clients {
                    filter: Arc::clone(&filter),
                    start: ClientPlace::Served(0),
                },
            )
        });
        let requests: Vec<(Target, RequestBody)> = requests.collect();
        let listing = ListingClients {
            filter,
            lines: Vec::new(),
            departed: Vec::new(),
            missing: requests.len(),
        };
        Next::Request(Gather::ListingClients(Box::new(listing)), requests)
    }

    pub(crate) fn absorb(mut self: Box<Self>, from: Target, page: ClientPage) -> Next {
        self.lines.extend(page.lines);
        self.departed.extend(page.departed);
        if let Some(start) = page.next {
            let body = RequestBody::Clients {
                filter: Arc::clone(&self.filter),
                start,
            };
            return Next::Request(Gather::ListingClients(self), vec![(from, body)]);
        }
        self.missing -= 1;
        if self.missing > 0 {
            return Next::Wait(Gather::ListingClients(self));
        }
        // A stable order: who is listed where it is comes before what others remember of it.
        self.lines.append(&mut self.departed);
        self.lines.sort_by_key(|(id, _)| *id);
        self.lines.dedup_by_key(|(id, _)| *id);
        Next::Reply(Reply::Verbatim(self.lines.into_iter().map(|(_, line)| line).collect()))
    }
}

/// CLIENT KILL: how many are closed on all workers.
///
/// A client that migrates meanwhile may be searched for on workers that it has not reached or has left. Its old worker has
/// raised its kill flag then. If it has not arrived by now, it will be closed when it does; if it has, it is found when all
/// workers are asked for the second time.
pub(crate) struct KillingClients {
    filter: Arc<ClientFilter>,
    me: u64,
    reply: KillReply,
    total: u64,
    missing: usize,
    has_marked: bool,
    is_second_time: bool,
}

impl KillingClients {
    pub(crate) fn start(filter: ClientFilter, me: u64, reply: KillReply, context: &Context<'_>) -> Next {
        let killing = KillingClients {
            filter: Arc::new(filter),
            me,
            reply,
            total: 0,
            missing: 0,
            has_marked: false,
            is_second_time: false,
        };
        Box::new(killing).ask_all(context)
    }

    pub(crate) fn absorb(mut self: Box<Self>, count: u64, has_marked: bool, context: &Context<'_>) -> Next {
        self.total += count;
        self.has_marked |= has_marked;
        self.missing -= 1;
        if self.missing > 0 {
            return Next::Wait(Gather::KillingClients(self));
        }
        if self.has_marked && !self.is_second_time {
            self.is_second_time = true;
            return self.ask_all(context);
        }
        match self.reply {
            KillReply::Count => Next::Reply(Reply::Integer(integer(self.total))),
            KillReply::Ok if self.total > 0 => Next::Reply(Reply::ok()),
            KillReply::Ok => Next::error(&ClientError::NoSuchClient),
        }
    }

    fn ask_all(mut self: Box<Self>, context: &Context<'_>) -> Next {
        let body = |worker| {
            let (filter, me) = (Arc::clone(&self.filter), self.me);
            (Target::Worker(worker), RequestBody::Kill { filter, me })
        };
        let requests: Vec<(Target, RequestBody)> = context.setup.workers().map(body).collect();
        self.missing = requests.len();
        Next::Request(Gather::KillingClients(self), requests)
    }
}

/// INFO and the like: the counters of all workers.
pub(crate) struct Informing {
    report: Report,
    stats: Vec<WorkerStats>,
    missing: usize,
}

/// What is made of the counters.
pub(crate) enum Report {
    /// INFO, of these sections.
    Info(Vec<Bytes>),
    /// MEMORY STATS
    MemoryStats,
    /// MEMORY DOCTOR
    MemoryDoctor,
    /// LATENCY HISTOGRAM, of these commands.
    Histogram(Vec<Bytes>),
}

impl Informing {
    pub(crate) fn start(report: Report, context: &Context<'_>) -> Next {
        let requests: Vec<(Target, RequestBody)> = context
            .setup
            .workers()
            .map(|worker| (Target::Worker(worker), RequestBody::Stats))
            .collect();
        let informing = Informing {
            report,
            stats: Vec::new(),
            missing: requests.len(),
        };
        Next::Request(Gather::Informing(Box::new(informing)), requests)
    }

    pub(crate) fn absorb(mut self: Box<Self>, stats: WorkerStats, context: &Context<'_>) -> Next {
        self.stats.push(stats);
        self.missing -= 1;
        if self.missing > 0 {
            return Next::Wait(Gather::Informing(self));
        }
        self.stats.sort_unstable_by_key(|stats| stats.worker);
        Next::Reply(match self.report {
            Report::Info(sections) => Reply::Verbatim(info::text(&sections, &self.stats, context)),
            Report::Histogram(names) => histogram(&names, &self.stats),
            Report::MemoryStats => MemoryReport::of(&self.stats, context).stats(),
            Report::MemoryDoctor => Reply::Verbatim(MemoryReport::of(&self.stats, context).diagnosis()),
        })
    }
}
