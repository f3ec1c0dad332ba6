//! How an engine works: it takes replies, delivers requests, and executes what is asked of its shards.

use std::task::Waker;

use kora_mesh::{Armed, WorkerId};
use kora_resp::Reply;

use crate::budgets::{CPU_LOOK_US, DELIVERY_US, INLINE_BUDGET_US, TURN_DUE_US};
use crate::engine::{CpuLook, Engine, Progress};
use crate::gather::{Context, Gather, Next, ReadTiming, Shape};
use crate::limits::VICTIMS_PER_COMMAND;
use crate::mail::{Origin, PartialReply, ReplyId, Request, RequestBody, Response, Target};
use crate::maintenance::Leisure;
use crate::plan::Route;
use crate::reply_queues::ReplyQueueId;
use crate::setup::Host;
use crate::shard::{Shard, SharedReads};

impl Engine {
    /// One turn: takes replies, delivers what was staged, executes for about `budget_us`, delivers again.
    pub fn turn(&mut self, host: &dyn Host, budget_us: u64) -> Progress {
        self.port.disarm();
        self.sleeper = None;
        self.inline_us = 0;
        let start_us = host.now_us();
        self.look_at_phase();
        self.look_at_day(start_us, host);
        self.turn_start_us = start_us;
        self.look_at_memory_rules();
        self.look_at_load(start_us, host);
        self.start_cpu_look(start_us, host);
        self.reply_is_ready = false;
        let mut progress = self.take_replies(host);
        self.empty_outboxes();
        self.wake_credit_waiters();
        self.wake_room_waiters();
        self.wake_paused_if_due(self.unix_us(start_us) / 1000);
        self.wake_memory_waiters(start_us);
        // Before anything is executed here, so that the other shards of a query work at the same time as ours.
        self.port.flush();
        if self.execute_for(start_us, budget_us, host) == Progress::Worked {
            progress = Progress::Worked;
        }
        self.spread_news(host);
        self.port.flush();
        if !self.durable.is_loading {
            let now_ms = self.unix_us(start_us) / 1000;
            for shard in &mut self.shards {
                let has_news = progress == Progress::Worked && shard.keyspace().has_collections();
                if has_news || (shard.is_asked_for_claim() && shard.end_lease()) {
                    shard.tell_claim(now_ms);
                }
                shard.grant_lease();
            }
        }
        self.turned_us = start_us;
        if progress == Progress::Worked {
            self.turned_us = host.now_us();
            self.stats.turns += 1;
            self.recent.rates.note(self.turned_us, self.stats.rated());
            let depth = self.queue_depth();
            self.stats.queue_depth_max = self.stats.queue_depth_max.max(depth);
            self.stats.turn_us_max = self.stats.turn_us_max.max(self.turned_us.saturating_sub(start_us));
        }
        progress
    }

    /// A turn, if there was none for a while: for connections' tasks, many of which may run before the driver of the turns.
    /// None while he sleeps, for then there is nothing to do, and he has to be woken first.
    pub fn turn_if_due(&mut self, now_us: u64, host: &dyn Host, budget_us: u64) -> Progress {
        let is_due = now_us.saturating_sub(self.turned_us) >= TURN_DUE_US;
        match is_due && self.sleeper.is_none() {
            true => self.turn(host, budget_us),
            false => Progress::Idle,
        }
    }

    /// Before the driver of the turns sleeps: it is woken when there is something to do. `Stay` means there is already.
    /// `more` looks at everything else that may end the sleep, such as a stop flag.
    pub fn park(&mut self, waker: &Waker, more: impl FnOnce() -> bool) -> Armed {
        if self.port.has_staged() {
            self.port.flush();
        }
        // The last turn may have freed memory for which clients wait: a command of a client that has gone held it.
        self.wake_room_waiters();
        let work = self.has_work();
        let armed = self.port.arm(waker, || work || more());
        if armed == Armed::Park {
            self.sleeper = Some(waker.clone());
            self.alarm_ms = self.next_deadline_ms();
        }
        armed
    }

    /// True if every worker that the route leads to can be sent a request now.
    pub(crate) fn has_credit(&self, route: Route) -> bool {
        let ready = |worker: WorkerId| {
            worker == self.worker || (self.outboxes[worker.index()].is_empty() && self.port.credit(worker) > 0)
        };
        match route {
            Route::Here => true,
            Route::One(shard) => ready(self.setup.placement.worker_of(shard)),
            Route::All => self.setup.workers().all(ready),
        }
    }

    pub(crate) fn send(&mut self, reply_id: ReplyId, requests: Vec<(Target, RequestBody)>) {
        let at_ms = self.taken_ms(reply_id);
        let reply_queue = self.reply_queues.get(ReplyQueueId(reply_id.reply_queue));
        let touches_nothing = reply_queue.session.touches_nothing;
        let tracker = reply_queue.tracker_of(reply_id.sequence);
        for (target, body) in requests {
            let body = if touches_nothing { body.untouched() } else { body };
            let body = match &tracker {
                Some(tracker) => body.tracked(tracker),
                None => body,
            };
            let request = Request {
                reply_id,
                target,
                at_ms,
                body,
            };
            self.send_one(request);
        }
    }

    pub(crate) fn send_one(&mut self, request: Request) {
        let worker = match request.target {
            Target::Shard(shard) => self.setup.placement.worker_of(shard),
            Target::Worker(worker) => worker,
        };
        if worker == self.worker {
            self.accept(worker, request);
        } else if self.outboxes[worker.index()].is_empty() && self.port.credit(worker) > 0 {
            self.port.stage(worker, request);
        } else {
            self.outboxes[worker.index()].push_back(request);
        }
    }

    /// When the command of a slot was taken from its connection, in milliseconds of Unix time.
    fn taken_ms(&mut self, reply_id: ReplyId) -> u64 {
        let since_us = self
            .reply_queues
            .get(ReplyQueueId(reply_id.reply_queue))
            .since_us(reply_id.sequence);
        self.unix_us(since_us) / 1000
    }

    pub(crate) fn context<'a>(&'a self, at_ms: u64, host: &'a dyn Host, reads: ReadTiming) -> Context<'a> {
        let shared_reads = SharedReads {
            setup: &self.setup,
            reader: &self.reader,
            at_ms,
        };
        Context {
            setup: &self.setup,
            host,
            at_ms,
            shared_reads: Some(shared_reads),
            reads,
        }
    }

    /// Executes what this worker's own clients asked of it, outside of a turn: a lone command on the right worker then
    /// never leaves its connection's task. Where others are asked too, or time is up, the next turn does it.
    pub(crate) fn work_inline(&mut self, start_us: u64, host: &dyn Host) {
        let before_us = self.inline_us;
        while !self.port.has_staged() && self.inline_us < INLINE_BUDGET_US && self.execute_round(host) {
            self.spread_news(host);
            let now_us = host.now_us();
            self.look_at_cpu(now_us, host);
            self.inline_us = before_us + now_us.saturating_sub(start_us);
        }
        self.wake_for_work();
    }

    /// Wakes the driver of the turns if something is left to do: what was executed outside of a turn may have let
    /// something expire, dropped something large, or taken a collection's last vector.
    pub(crate) fn wake_for_work(&mut self) {
        if self.sleeper.is_none() {
            return;
        }
        let has_news = self.has_work() || self.port.has_staged() || self.may_sample_again();
        if has_news && let Some(sleeper) = self.sleeper.take() {
            sleeper.wake();
        }
        self.wake_for_expiry();
    }

    pub(crate) fn has_work(&self) -> bool {
        let has_phase_news = || self.setup.durability.phase() != self.setup.durability.seen_by(self.worker.index());
        !self.worker_requests.is_empty()
            || !self.unfinished.is_empty()
            || !self.memory_waiters.is_empty()
            || !self.discarded.is_empty()
            || self.epochs.has_news()
            || self.has_publications()
            || has_phase_news()
            || self.capture_rest_us(self.turn_start_us) == Some(0)
            || (self.has_background_task() && !self.durable.is_loading)
            || self.shards.iter().any(|shard| shard.has_requests() || shard.has_drops() || shard.keyspace().has_upkeep())
            // A client that was woken for the remaining credit may not have needed it.
            || (!self.credit_waiters.is_empty() && self.credit_left() > 0)
    }

    /// Asks that wait here for their turn.
    pub(crate) fn queue_depth(&self) -> u64 {
        let of_shards: usize = self.shards.iter().map(Shard::queue_depth).sum();
        (self.worker_requests.len() + self.unfinished.len() + of_shards) as u64
    }

    fn take_replies(&mut self, host: &dyn Host) -> Progress {
        let mut progress = Progress::Idle;
        for peer in self.port.peers() {
            while let Some(response) = self.port.take_reply(peer) {
                self.absorb(response, host);
                progress = Progress::Worked;
            }
        }
        progress
    }

    fn empty_outboxes(&mut self) {
        for worker in self.port.peers() {
            while self.port.credit(worker) > 0 {
                let Some(request) = self.outboxes[worker.index()].pop_front() else {
                    break;
                };
                self.port.stage(worker, request);
            }
        }
    }

    /// Lets as many connections try again as there is credit for.
    fn wake_credit_waiters(&mut self) {
        if self.credit_waiters.is_empty() {
            return;
        }
        let mut left = self.credit_left();
        while left > 0 {
            let Some(id) = self.credit_waiters.pop_front() else {
                break;
            };
            if let Some(reply_queue) = self.reply_queues.find(id) {
                reply_queue.queues_for_credit = false;
                reply_queue.unblock();
                left -= 1;
            }
        }
    }

    fn credit_left(&self) -> usize {
        self.port.peers().map(|peer| self.port.credit(peer)).sum()
    }

    /// Executes until no request is left or the time is up. What peers send meanwhile is taken in after each lap, and a lap
    /// is one round or one maintenance task, so that a newcomer's turn comes before a loader's next but one. A turn that has
    /// something to deliver ends early.
    fn execute_for(&mut self, start_us: u64, budget_us: u64, host: &dyn Host) -> Progress {
        let mut progress = Progress::Idle;
        loop {
            let mut worked = self.take_requests();
            let is_asked = self.do_owed_maintenance(host) || self.do_round(host);
            // Clients whose requests were not read yet wait for the end of the turn, and for nothing but a chore.
            let is_chore = !is_asked && self.do_maintenance(Leisure::Idle, host);
            worked |= is_asked || is_chore;
            worked |= !self.durable.is_loading && self.begin_background_task(host);
            if !worked {
                return progress;
            }
            progress = Progress::Worked;
            let now_us = host.now_us();
            self.look_at_cpu(now_us, host);
            let spent_us = now_us.saturating_sub(start_us);
            if spent_us >= budget_us || (spent_us >= DELIVERY_US && (is_chore || self.has_deliveries())) {
                return Progress::Worked;
            }
        }
    }

    /// Replies for own clients, answers and asks for peers.
    fn has_deliveries(&mut self) -> bool {
        std::mem::take(&mut self.reply_is_ready) || self.port.has_staged() || self.port.has_replies()
    }

    /// Reads the thread's CPU clock, if it has not been read for a while, and notes what was used since.
    pub(crate) fn look_at_cpu(&mut self, now_us: u64, host: &dyn Host) {
        if now_us.saturating_sub(self.cpu_look.wall_us) >= CPU_LOOK_US {
            let cpu_us = host.thread_cpu_us();
            self.stats.slice_us_max = self.stats.slice_us_max.max(cpu_us.saturating_sub(self.cpu_look.cpu_us));
            self.cpu_look = CpuLook {
                wall_us: now_us,
                cpu_us,
            };
        }
    }

    /// Starts to measure: time before this is not a slice of the engine's. Also for callers that parse requests and submit
    /// them: what that takes is part of a slice.
    pub fn start_cpu_look(&mut self, now_us: u64, host: &dyn Host) {
        if now_us.saturating_sub(self.cpu_look.wall_us) >= CPU_LOOK_US {
            self.cpu_look = CpuLook {
                wall_us: now_us,
                cpu_us: host.thread_cpu_us(),
            };
        }
    }

    /// Takes in all that peers ask, as much as their credit let them send.
    fn take_requests(&mut self) -> bool {
        let mut taken = false;
        for peer in self.port.peers() {
            while let Some(request) = self.port.take_request(peer) {
                self.accept(peer, request);
                taken = true;
            }
        }
        taken
    }

    /// Puts an ask to this worker where its turn will come.
    fn accept(&mut self, from: WorkerId, request: Request) {
        let Request {
            reply_id,
            target,
            at_ms,
            body,
        } = request;
        match target {
            Target::Worker(worker) => {
                assert_eq!(worker, self.worker, "a worker is asked what is its own");
                self.worker_requests.push_back((from, reply_id, body));
            }
            Target::Shard(id) => {
                let shard = &mut self.shards[id.index() / self.outboxes.len()];
                assert_eq!(shard.id(), id, "a shard is asked on the worker that owns it");
                let (worker, reply_queue) = (from, reply_id.reply_queue);
                shard.enqueue(Origin { worker, reply_queue }, reply_id, body, at_ms);
            }
        }
    }

    /// A round, for which a maintenance task is owed then.
    fn do_round(&mut self, host: &dyn Host) -> bool {
        let asked = self.execute_round(host);
        self.maintenance.note_round(asked);
        asked
    }

    /// One slice of each shard that is asked something, and one ask to this worker itself; false if there was none.
    fn execute_round(&mut self, host: &dyn Host) -> bool {
        let mut worked = false;
        let now_ms = self.unix_us(self.clock_us.max(self.turn_start_us)) / 1000;
        for index in 0..self.shards.len() {
            let shard = &mut self.shards[index];
            if shard.has_requests() && shard.end_lease() {
                worked = true;
                self.stats.slices += 1;
                let from = Target::Shard(shard.id());
                let answered = shard.slice();
                shard.settle_memory(now_ms, VICTIMS_PER_COMMAND);
                if let Some((origin, reply_id, part)) = answered {
                    self.answer(origin.worker, Response { reply_id, from, part }, host);
                }
            }
        }
        while let Some((worker, reply_id)) = self.epochs.take_done() {
            worked = true;
            let (from, part) = (Target::Worker(self.worker), PartialReply::Done);
            self.answer(worker, Response { reply_id, from, part }, host);
        }
        if let Some((worker, reply_id, body)) = self.worker_requests.pop_front() {
            worked = true;
            self.answer_worker_request(worker, reply_id, body, host);
        }
        worked |= self.publish_slice(host);
        if let Some(reply_id) = self.unfinished.pop_front() {
            worked = true;
            let at_ms = self.taken_ms(reply_id);
            let gather = self
                .reply_queues
                .get(ReplyQueueId(reply_id.reply_queue))
                .take_gather(reply_id.sequence);
            let reads = self
                .reply_queues
                .get(ReplyQueueId(reply_id.reply_queue))
                .reads_of_taken();
            let next = match gather {
                Gather::Preparing(preparing) => {
                    let id = ReplyQueueId(reply_id.reply_queue);
                    let since_us = self.reply_queues.get(id).since_us(reply_id.sequence);
                    self.prepare(id, preparing, since_us, host)
                }
                Gather::Watching(watching) => self.begin_watching(ReplyQueueId(reply_id.reply_queue), watching),
                gather => gather.go_on(&self.context(at_ms, host, reads)),
            };
            self.follow(reply_id, next, host);
            self.reply_queues.give_up_if_done(ReplyQueueId(reply_id.reply_queue));
        }
        worked
    }

    /// Answers what was asked of this worker itself, now or later.
    fn answer_worker_request(&mut self, worker: WorkerId, reply_id: ReplyId, body: RequestBody, host: &dyn Host) {
        let part = match body {
            RequestBody::Drain => return self.epochs.wait(worker, reply_id),
            RequestBody::Publish(message) => return self.accept_message(worker, reply_id, message),
            RequestBody::News(items) => return self.accept_news(worker, reply_id, items, host),
            RequestBody::SwitchTracking(options) => self.switch_tracking(reply_id.reply_queue, options),
            RequestBody::ChangeSubscriptions(subscribing) => match self.subscribe_slice(reply_id, *subscribing) {
                Ok(reply) => PartialReply::Reply(reply),
                Err(unfinished) => {
                    let body = RequestBody::ChangeSubscriptions(Box::new(unfinished));
                    return self.worker_requests.push_back((worker, reply_id, body));
                }
            },
            body => self.answer_for_worker(body, host),
        };
        let from = Target::Worker(self.worker);
        self.answer(worker, Response { reply_id, from, part }, host);
    }

    /// Wakes the driver of the turns if a key expires before its timer.
    fn wake_for_expiry(&mut self) {
        if self.sleeper.is_some()
            && let Some(next_ms) = self.next_deadline_ms()
            && self.alarm_ms.is_none_or(|alarm_ms| next_ms < alarm_ms)
            && let Some(sleeper) = self.sleeper.take()
        {
            sleeper.wake();
        }
    }

    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        self.shards.iter().filter_map(Shard::next_deadline_ms).min()
    }

    pub(crate) fn answer(&mut self, worker: WorkerId, response: Response, host: &dyn Host) {
        if worker == self.worker {
            self.absorb(response, host);
        } else {
            self.port.answer(worker, response);
        }
    }

    /// Brings one part of an answer to its slot, or several to theirs.
    pub(crate) fn absorb(&mut self, response: Response, host: &dyn Host) {
        let Response { reply_id, from, part } = response;
        let id = ReplyQueueId(reply_id.reply_queue);
        let PartialReply::Pipeline(replies, parts) = part else {
            let gather = self.reply_queues.get(id).take_gather(reply_id.sequence);
            self.absorb_into(gather, reply_id, (from, part), host);
            return self.reply_queues.give_up_if_done(id);
        };
        let now_us = host.now_us();
        for (sequence, reply) in replies {
            match self.reply_queues.get(id).take_gather(sequence) {
                Gather::One(Shape::Whole) => self.fill(id, sequence, reply, now_us),
                gather => self.absorb_into(
                    gather,
                    ReplyId { sequence, ..reply_id },
                    (from, PartialReply::Reply(reply)),
                    host,
                ),
            }
        }
        for (sequence, part) in parts {
            let gather = self.reply_queues.get(id).take_gather(sequence);
            self.absorb_into(gather, ReplyId { sequence, ..reply_id }, (from, part), host);
        }
        self.reply_queues.give_up_if_done(id);
    }

    fn absorb_into(
        &mut self,
        gather: Gather,
        reply_id: ReplyId,
        (from, part): (Target, PartialReply),
        host: &dyn Host,
    ) {
        let at_ms = self.taken_ms(reply_id);
        let next = gather.absorb(from, part, &self.context(at_ms, host, ReadTiming::Never));
        self.follow(reply_id, next, host);
    }

    /// Does what follows for a slot whose gather was taken out.
    fn follow(&mut self, reply_id: ReplyId, next: Next, host: &dyn Host) {
        let id = ReplyQueueId(reply_id.reply_queue);
        let reply_queue = self.reply_queues.get(id);
        let next = match next {
            Next::Again(gather) | Next::Request(gather, _) if reply_queue.is_abandoned && gather.only_reads() => {
                Next::Reply(Reply::Null)
            }
            next => next,
        };
        match next {
            Next::Again(gather) => {
                reply_queue.put_gather(reply_id.sequence, gather);
                self.unfinished.push_back(reply_id);
            }
            Next::Wait(gather) => reply_queue.put_gather(reply_id.sequence, gather),
            Next::Request(gather, requests) => {
                reply_queue.put_gather(reply_id.sequence, gather);
                self.send(reply_id, requests);
            }
            Next::Reply(reply) => self.fill(id, reply_id.sequence, reply, host.now_us()),
        }
    }

    /// Puts a reply into its slot, whose gather was taken out.
    fn fill(&mut self, id: ReplyQueueId, sequence: u32, reply: Reply, now_us: u64) {
        if !self.background_tasks.is_empty() && self.end_background_task(id, &reply, now_us) {
            self.reply_queues.get(id).fill(sequence, reply);
            return;
        }
        let reply_queue = self.reply_queues.get(id);
        let taken = reply_queue.taken(sequence);
        let latency_us = now_us.saturating_sub(taken.since_us);
        self.stats.note_reply(taken.counter, &reply, latency_us);
        self.note_latency(id, taken, latency_us, now_us);
        let reply_queue = self.reply_queues.get(id);
        let taken = reply_queue.fill(sequence, reply);
        taken.epoch.into_iter().for_each(|epoch| self.epochs.end(epoch));
        self.reply_is_ready |= reply_queue.has_ready();
    }
}
