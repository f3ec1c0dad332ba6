//! SLOWLOG and LATENCY: what all workers know of slow commands.

use bytes::Bytes;
use kora_resp::Reply;

use crate::command::{LatencyRequest, SlowlogRequest};
use crate::counts::integer;
use crate::mail::{RequestBody, Target};
use crate::setup::Setup;
use crate::slow::{EventHistory, Events, Sample, SlowEntry, SlowPart, SlowQuestion};
use crate::stats::{CommandStats, WorkerStats};

/// A question about slow commands of which a part is missing.
pub(crate) struct AskingSlow {
    report: SlowReport,
    found: SlowPart,
    missing: usize,
}

/// What is made of the answers.
enum SlowReport {
    /// The newest so many.
    Entries(usize),
    Count,
    Ok,
    Latency(LatencyRequest),
}

/// The question, and what is sent to workers.
pub(crate) type Asked = (Box<AskingSlow>, Vec<(Target, RequestBody)>);

impl AskingSlow {
    pub(crate) fn slowlog(request: SlowlogRequest, setup: &Setup) -> Asked {
        let entries_max = entries_max(setup);
        match request {
            SlowlogRequest::Entries(count) => {
                let count = count.unwrap_or(usize::MAX).min(entries_max);
                Self::start(SlowReport::Entries(count), &SlowQuestion::Entries(count), setup)
            }
            SlowlogRequest::Count => Self::start(SlowReport::Count, &SlowQuestion::Count, setup),
            SlowlogRequest::Reset => Self::start(SlowReport::Ok, &SlowQuestion::ForgetEntries, setup),
        }
    }

    /// For all but the histogram, which is made of the counters of commands.
    pub(crate) fn latency(request: LatencyRequest, setup: &Setup) -> Asked {
        let question = match &request {
            LatencyRequest::Reset(names) => SlowQuestion::ForgetEvents(names.clone()),
            _ => SlowQuestion::Events,
        };
        Self::start(SlowReport::Latency(request), &question, setup)
    }

    fn start(report: SlowReport, question: &SlowQuestion, setup: &Setup) -> Asked {
        let body = |worker| (Target::Worker(worker), RequestBody::Slow(Box::new(question.clone())));
        let requests: Vec<_> = setup.workers().map(body).collect();
        let asking = AskingSlow {
            report,
            found: SlowPart::default(),
            missing: requests.len(),
        };
        (Box::new(asking), requests)
    }

    /// The reply, once all parts are there.
    pub(crate) fn absorb(mut self: Box<Self>, part: SlowPart, setup: &Setup) -> Result<Reply, Box<AskingSlow>> {
        let entries_max = entries_max(setup);
        self.found.entries.extend(part.entries);
        self.found.count += part.count;
        self.found.events.merge(&part.events);
        self.missing -= 1;
        if self.missing > 0 {
            return Err(self);
        }
        let AskingSlow { report, mut found, .. } = *self;
        Ok(match report {
            SlowReport::Ok => Reply::ok(),
            SlowReport::Count => Reply::Integer(integer(found.count.min(entries_max) as u64)),
            SlowReport::Entries(count) => {
                found.entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
                Reply::Array(found.entries.into_iter().take(count).map(shown).collect())
            }
            SlowReport::Latency(request) => latency(&request, &found.events, setup),
        })
    }
}

fn entries_max(setup: &Setup) -> usize {
    usize::try_from(setup.live.slow.entries_max.get()).unwrap_or(usize::MAX)
}

fn shown(entry: SlowEntry) -> Reply {
    let number = |number: u64| Reply::Integer(integer(number));
    Reply::Array(vec![
        number(entry.id),
        number(entry.at_s),
        number(entry.took_us),
        Reply::Array(entry.words.into_iter().map(Reply::Bulk).collect()),
        Reply::Text(entry.address),
        Reply::Bulk(entry.name),
        Reply::Text(entry.place),
    ])
}

fn latency(request: &LatencyRequest, events: &Events, setup: &Setup) -> Reply {
    let number = |number: u64| Reply::Integer(integer(number));
    match request {
        LatencyRequest::Latest => {
            let line = |(name, history): (&'static str, &EventHistory)| {
                let last = history
                    .samples
                    .back()
                    .copied()
                    .unwrap_or(Sample { at_s: 0, took_ms: 0 });
                let name = Reply::Bulk(Bytes::from_static(name.as_bytes()));
                Reply::Array(vec![
                    name,
                    number(last.at_s),
                    number(last.took_ms),
                    number(history.max_ms),
                ])
            };
            Reply::Array(events.happened().map(line).collect())
        }
        LatencyRequest::History(name) => {
            let samples = events.find(name).into_iter().flat_map(|history| &history.samples);
            let pair = |sample: &Sample| Reply::Array(vec![number(sample.at_s), number(sample.took_ms)]);
            Reply::Array(samples.map(pair).collect())
        }
        LatencyRequest::Reset(names) => {
            let is_named = |name: &str| names.is_empty() || names.iter().any(|named| named == name);
            number(events.happened().filter(|(name, _)| is_named(name)).count() as u64)
        }
        LatencyRequest::Doctor => Reply::Verbatim(diagnosis(events, setup)),
        LatencyRequest::Histogram(_) => unreachable!("it is made of other counters"),
    }
}

fn diagnosis(events: &Events, setup: &Setup) -> String {
    let threshold_ms = setup.live.slow.event_ms();
    if threshold_ms == 0 {
        return "Latencies are not watched. CONFIG SET latency-monitor-threshold <milliseconds> notes commands that take as long. \
                INFO latencystats and LATENCY HISTOGRAM show the latencies of all commands.\n"
            .to_owned();
    }
    let mut text = String::new();
    for (name, history) in events.happened() {
        let sum: u64 = history.samples.iter().map(|sample| sample.took_ms).sum();
        let count = history.samples.len() as u64;
        let what = match name {
            "command" => "Commands that may take long",
            _ => "Commands that take constant or logarithmic time",
        };
        text += &format!(
            "{what} took {threshold_ms} ms or more in {count} seconds ({name}): {} ms on average of each second's longest, {} ms \
             at most.\n",
            sum / count.max(1),
            history.max_ms
        );
    }
    match text.is_empty() {
        true => format!("No command has taken {threshold_ms} ms or more.\n"),
        false => {
            text + "SLOWLOG GET shows which commands these were. INFO workers shows whether a worker has more to do than others.\n"
        }
    }
}

/// The reply to LATENCY HISTOGRAM: commands that were called, of these names or all.
pub(crate) fn histogram(names: &[Bytes], stats: &[WorkerStats]) -> Reply {
    let mut all = CommandStats::default();
    stats.iter().for_each(|stats| all.merge(&stats.by_command));
    let is_meant = |command: &str| {
        let container = command.split('|').next().unwrap_or(command);
        let is = |name: &Bytes| {
            [command, container]
                .iter()
                .any(|one| name.eq_ignore_ascii_case(one.as_bytes()))
        };
        names.is_empty() || names.iter().any(is)
    };
    let called = all
        .sorted()
        .into_iter()
        .filter(|counter| counter.calls > 0 && is_meant(counter.name));
    let name = |text: &'static str| Reply::Bulk(Bytes::from_static(text.as_bytes()));
    let number = |number: u64| Reply::Integer(integer(number));
    let pair = |counter: &crate::stats::CommandCounter| {
        let steps = counter
            .latency
            .cumulative()
            .into_iter()
            .map(|(us, count)| (number(us), number(count)));
        let fields = vec![
            (name("calls"), number(counter.calls)),
            (name("histogram_usec"), Reply::Map(steps.collect())),
        ];
        (name(counter.name), Reply::Map(fields))
    };
    Reply::Map(called.map(pair).collect())
}
