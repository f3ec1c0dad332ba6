//! How a command begins: whether it may now, and which way it takes.

use kora_resp::Reply;

use crate::aliases::put_back;
use crate::answer::{Effect, answer};
use crate::budgets::INLINE_BUDGET_US;
use crate::command::table::{DataAccess, Parsed};
use crate::command::{Action, Command};
use crate::engine::{Admission, Engine};
use crate::error::ClientError;
use crate::eviction::Room;
use crate::gather::{Gather, Next, ReadTiming, Shape};
use crate::limits::{ACTS_MAX, FEW_KEYS_MAX, VICTIMS_PER_COMMAND};
use crate::mail::{KeyOperation, MultiKeyRequest, PartialReply, ReplyId, Request, RequestBody, Response, Step, Target};
use crate::plan::{self, First, Order, Plan, Route};
use crate::reply_estimate::reply_bytes_expected;
use crate::reply_queue::{Presence, Taken};
use crate::reply_queues::ReplyQueueId;
use crate::router::ShardId;
use crate::setup::Host;
use crate::shard::Begun;
use crate::transaction::Intercepted;

impl Engine {
    /// Looks for the keys of commands that will be submitted in a moment, where they lie on this worker. One of several
    /// shards finds them in their turn: to sort them would take as long.
    pub fn prefetch_keys<'c>(&self, commands: impl Iterator<Item = &'c Parsed>) {
        let [shard] = &self.shards[..] else {
            return;
        };
        let placement = self.setup.placement;
        shard.prefetch_keys(commands.flat_map(|parsed| {
            let (one, multi_key) = match &parsed.command {
                Command::OnKey(key, _) if plan::home_of(parsed, key, placement) == shard.id() => {
                    (Some(key.as_ref()), None)
                }
                Command::MultiKey(multi_key) => {
                    (None, Some(multi_key.keys()).filter(|keys| keys.len() <= FEW_KEYS_MAX))
                }
                _ => (None, None),
            };
            let multi_key = multi_key.into_iter().flatten();
            one.into_iter()
                .chain(multi_key.filter(|key| placement.shard_of(key) == shard.id()))
        }));
    }

    /// Starts a command that was taken from its connection at `since_us`, or says that it must wait.
    ///
    /// That time is the caller's, who takes many commands at one time: it is not before the last of a command's bytes came,
    /// and not before that of the command before it, nor before [`Engine::clock_us`].
    pub fn submit(&mut self, id: ReplyQueueId, mut parsed: Parsed, since_us: u64, host: &dyn Host) -> Admission {
        debug_assert!(since_us >= self.clock_us, "time goes on");
        self.look_at_day(since_us, host);
        if parsed.database != self.reply_queues.get(id).database() {
            self.parse_again(id, &mut parsed);
        }
        let own_words = self.give_own_names(id, &mut parsed, since_us);
        self.check_rights(id, &mut parsed, own_words.as_ref(), since_us);
        self.look_at_memory_rules();
        self.gate(&mut parsed);
        if self.reply_queues.get(id).is_closed() {
            self.reply_queues.get(id).block();
            return later(parsed);
        }
        let mut parsed = match self.reply_queues.get(id).session.is_restricted() {
            true => restricted(parsed),
            false => parsed,
        };
        let at_ms = self.unix_us(since_us) / 1000;
        let mut plan = plan::plan(&parsed, self.setup.placement, self.setup.catalog.at(at_ms));
        if self.is_paused(id, &parsed, at_ms) {
            self.reply_queues.get(id).block();
            return later(parsed);
        }
        if let Some(busy) = self.kept_out(&parsed, plan.route, at_ms) {
            parsed.command = Command::Refused(ClientError::Said(busy));
            plan = plan::plan(&parsed, self.setup.placement, self.setup.catalog.at(at_ms));
        }
        let Plan { order, route, first } = plan;
        let reply_queue = self.reply_queues.get(id);
        let in_order = match order {
            Order::Any => true,
            Order::AfterQueries => !reply_queue.is_read_only(),
            Order::AfterAll => !reply_queue.is_waiting(),
        };
        if let Command::Evaluate(evaluation) = &mut parsed.command {
            evaluation.version = reply_queue.session.version;
        }
        if !reply_queue.has_room() || !in_order {
            reply_queue.block();
            return later(parsed);
        }
        if !self.has_credit(route) {
            self.queue_for_credit(id);
            return later(parsed);
        }
        let reserved = match self.room_for_data(id, &parsed, since_us, at_ms) {
            Room::Found(reserved) => reserved,
            Room::Awaited(needed) => {
                self.queue_for_memory(id, needed);
                return later(parsed);
            }
            Room::Refused => {
                self.refuse_for_data(id, &parsed, since_us, host);
                return Admission::Taken;
            }
        };
        let expected = reply_bytes_expected(&parsed.command, &self.setup, self.reply_queues.len(), &self.shards);
        if std::mem::take(&mut self.reply_queues.get(id).is_refused_memory) {
            self.refuse_for_now(id, parsed.entry.name, since_us);
            return Admission::Taken;
        }
        if !self.finds_room(id, expected) {
            return later(parsed);
        }
        let acts_on = match (route, first) {
            (Route::One(shard), First::Key) => Some(shard),
            _ => None,
        };
        let acts_on = acts_on.filter(|_| !self.reply_queues.get(id).session.is_read_apart());
        let operates_at_once = acts_on.and_then(|shard| self.shard_at_once(id, shard));
        self.stats.commands += 1;
        self.tell_monitors(id, &parsed, since_us, host);
        let name = parsed.entry.name;
        self.clock_us = since_us;
        self.look_at_cpu(since_us, host);
        // A query goes nowhere if it reads in place.
        if !matches!(parsed.command, Command::VectorQuery(_)) {
            self.note_way(id, route);
        }
        let counter = self.stats.by_command.counter(name);
        let bytes = parsed.command.bytes_held();
        let refused = matches!(parsed.command, Command::Refused(_));
        let may_set = matches!(
            parsed.command,
            Command::VectorSet(..)
                | Command::VectorSetMany(_)
                | Command::Transfer(_)
                | Command::Exec
                | Command::Evaluate(_)
        );
        let epoch = may_set.then(|| self.epochs.current());
        let reply_queue = self.reply_queues.get(id);
        reply_queue.reserved = reserved;
        reply_queue.session.last_us = since_us;
        reply_queue.session.last_command = name;
        let taken = Taken {
            counter,
            since_us,
            bytes,
            expected,
            epoch,
            trail: parsed.trail,
            route,
        };
        let is_queueing = reply_queue.transaction.is_some() && !matches!(parsed.command, Command::Exec);
        let tracking = reply_queue.session.tracking.as_mut();
        reply_queue.next_tracker = tracking.and_then(|tracking| tracking.tracker_of_next(name, is_queueing));
        let parsed = match reply_queue.is_transacting(&parsed.command) {
            false => parsed,
            true => match self.intercept(id, parsed, taken, self.here(), host) {
                Intercepted::Answered(reply) => {
                    self.put_answer(id, Some(reply), taken, host);
                    return Admission::Taken;
                }
                Intercepted::Begun(next, taken) => {
                    self.take_slot(id, next, taken, host);
                    self.work_inline(since_us, host);
                    return Admission::Taken;
                }
                Intercepted::No(parsed) => parsed,
            },
        };
        let command = match (acts_on, parsed.command) {
            (Some(shard), Command::OnKey(key, action)) => {
                match operates_at_once {
                    Some(place) => self.operate_at_once(id, place, (&key, action), taken, host),
                    None => self.send_key_operation(id, shard, KeyOperation { key, action }, taken, host),
                }
                return Admission::Taken;
            }
            (_, command) => command,
        };
        let unix_us = self.unix_us(since_us);
        let reply_queue = self.reply_queues.get(id);
        match answer(command, &mut reply_queue.session, &self.setup, since_us, unix_us) {
            Ok((Some(reply), _)) if refused => {
                self.stats.note_refusal(counter, &reply);
                reply_queue.put_reply(reply, taken);
            }
            Ok((reply, effect)) => {
                self.note_access(id);
                self.put_answer(id, reply, taken, host);
                self.take_effect(id, effect);
            }
            Err(command) => {
                if let Command::Save(wish) = command {
                    self.durable.wish = Some(wish);
                }
                let me = reply_queue.session.id;
                let reads = match reply_queue.reads_of_new() {
                    ReadTiming::Now if self.inline_us >= INLINE_BUDGET_US => ReadTiming::Later,
                    reads => reads,
                };
                let next = plan::start(command, first, me, self.here(), &self.context(at_ms, host, reads));
                self.take_slot(id, next, taken, host);
                self.inline_us += self.clock_us.saturating_sub(since_us);
                self.work_inline(self.clock_us, host);
            }
        }
        Admission::Taken
    }

    /// What is said if a script has had a shard to itself for so long that others are told.
    fn kept_out(&self, parsed: &Parsed, route: Route, at_ms: u64) -> Option<&'static str> {
        let (scripts, live) = (&self.setup.scripts, &self.setup.live);
        match route {
            Route::Here => None,
            Route::One(shard) => scripts.busy(shard, at_ms, live.busy_reply_ms.get()),
            Route::All => {
                let is_for_data = parsed.entry.access != DataAccess::None
                    || matches!(
                        parsed.command,
                        Command::Evaluate(_) | Command::Function(_) | Command::Exec
                    );
                is_for_data
                    .then(|| scripts.any_busy(at_ms, live.busy_reply_ms.get()))
                    .flatten()
            }
        }
    }

    fn queue_for_credit(&mut self, id: ReplyQueueId) {
        self.stats.credit_waits += 1;
        let reply_queue = self.reply_queues.get(id);
        reply_queue.block();
        if !std::mem::replace(&mut reply_queue.queues_for_credit, true) {
            self.credit_waiters.push_back(id);
        }
    }

    /// The place of the shard, if it is of this worker and may do at once what this client asks.
    fn shard_at_once(&mut self, id: ReplyQueueId, shard: ShardId) -> Option<usize> {
        if self.setup.placement.worker_of(shard) != self.worker || self.inline_us >= INLINE_BUDGET_US {
            return None;
        }
        let place = shard.index() / self.outboxes.len();
        let origin = self.origin(id);
        let shard = &mut self.shards[place];
        (shard.is_open_to(origin) && shard.end_lease()).then_some(place)
    }

    /// Does something to a key of this worker, without a way through the queue: what most commands of a cache are.
    fn operate_at_once(
        &mut self,
        id: ReplyQueueId,
        shard: usize,
        (key, action): (&[u8], Action),
        taken: Taken,
        host: &dyn Host,
    ) {
        self.stats.slices += 1;
        let at_ms = self.unix_us(taken.since_us) / 1000;
        let origin = self.origin(id);
        let mut work = self.shards[shard].slice_work();
        self.shards[shard].set_changer(Some(origin));
        let begun = self.shards[shard].operate(key, action, at_ms, &mut work);
        self.shards[shard].settle_memory(at_ms, VICTIMS_PER_COMMAND);
        self.shards[shard].set_changer(None);
        match begun.or_unfinished(PartialReply::Reply) {
            Ok(reply) => {
                self.put_answer(id, Some(reply), taken, host);
                self.inline_us += self.clock_us.saturating_sub(taken.since_us);
                if self.shards[shard].has_news() {
                    self.spread_news(host);
                }
                self.wake_for_work();
            }
            Err(task) => {
                let sequence = self.reply_queues.get(id).take_slot(Gather::One(Shape::Whole), taken);
                let (origin, reply_id) = (
                    self.origin(id),
                    ReplyId {
                        reply_queue: id.0,
                        sequence,
                    },
                );
                self.shards[shard].suspend(origin, reply_id, task);
                self.work_inline(taken.since_us, host);
            }
        }
    }

    /// Asks a shard to do something to a key, for the reply queue's next slot. The caller has checked the credit.
    pub(crate) fn send_key_operation(
        &mut self,
        id: ReplyQueueId,
        shard: ShardId,
        operation: KeyOperation,
        taken: Taken,
        host: &dyn Host,
    ) {
        let sequence = self.reply_queues.get(id).take_slot(Gather::One(Shape::Whole), taken);
        self.send_step(
            ReplyId {
                reply_queue: id.0,
                sequence,
            },
            shard,
            Step::KeyOperation(operation),
            taken,
        );
        self.work_inline(taken.since_us, host);
    }

    /// Neighbours in a pipeline travel to another worker as one message.
    fn send_step(&mut self, reply_id: ReplyId, shard: ShardId, step: Step, taken: Taken) {
        let (target, at_ms) = (Target::Shard(shard), self.unix_us(taken.since_us) / 1000);
        let worker = self.setup.placement.worker_of(shard);
        let is_own = worker == self.worker;
        if !is_own
            && self.outboxes[worker.index()].is_empty()
            && let Some(last) = self.port.staged_last_mut(worker)
            && (last.reply_id.reply_queue, last.target, last.at_ms) == (reply_id.reply_queue, target, at_ms)
            && let RequestBody::Pipeline(steps) = &mut last.body
            && steps.len() < ACTS_MAX
        {
            steps.push((reply_id.sequence, step));
            return;
        }
        let mut steps = Vec::with_capacity(if is_own { 1 } else { ACTS_USUAL });
        steps.push((reply_id.sequence, step));
        self.send_one(Request {
            reply_id,
            target,
            at_ms,
            body: RequestBody::Pipeline(steps),
        });
    }

    /// Asks for what a command needs first. What is to be done to few keys travels with its neighbours in the pipeline, or is
    /// done at once where they are this worker's own. Many get a message of their own, so that no other reply waits for them.
    fn send_first(&mut self, reply_id: ReplyId, requests: Vec<(Target, RequestBody)>, taken: Taken, host: &dyn Host) {
        let at_ms = self.unix_us(taken.since_us) / 1000;
        if self
            .reply_queues
            .get(ReplyQueueId(reply_id.reply_queue))
            .session
            .is_read_apart()
        {
            return self.send(reply_id, requests);
        }
        let keys = requests.iter().map(|(_, body)| match body {
            RequestBody::MultiKey(multi_key) => multi_key.keys().len(),
            _ => 0,
        });
        let are_few = keys.sum::<usize>() <= FEW_KEYS_MAX;
        for (target, body) in requests {
            match (target, body) {
                (Target::Shard(shard), RequestBody::MultiKey(multi_key)) if are_few => {
                    match self.shard_at_once(ReplyQueueId(reply_id.reply_queue), shard) {
                        Some(place) => self.do_multi_key_at_once(reply_id, place, multi_key, taken, host),
                        None => self.send_step(reply_id, shard, Step::MultiKey(multi_key), taken),
                    }
                }
                (target, body) => self.send_one(Request {
                    reply_id,
                    target,
                    at_ms,
                    body,
                }),
            }
        }
    }

    /// Does this worker's part of a command on several keys, without a way through the queue.
    fn do_multi_key_at_once(
        &mut self,
        reply_id: ReplyId,
        place: usize,
        body: MultiKeyRequest,
        taken: Taken,
        host: &dyn Host,
    ) {
        self.stats.slices += 1;
        let at_ms = self.unix_us(taken.since_us) / 1000;
        let origin = self.origin(ReplyQueueId(reply_id.reply_queue));
        let shard = &mut self.shards[place];
        let from = Target::Shard(shard.id());
        let mut work = shard.slice_work();
        shard.set_changer(Some(origin));
        let begun = shard.begin_multi_key(body, at_ms, FEW_KEYS_MAX, &mut work);
        shard.settle_memory(at_ms, VICTIMS_PER_COMMAND);
        shard.set_changer(None);
        match begun {
            Begun::Done(part) => self.absorb(Response { reply_id, from, part }, host),
            Begun::More(task) => self.shards[place].suspend(origin, reply_id, task),
        }
        if self.shards[place].has_news() {
            self.spread_news(host);
        }
        self.clock_us = host.now_us();
        self.look_at_cpu(self.clock_us, host);
    }

    pub(crate) fn take_slot(&mut self, id: ReplyQueueId, next: Next, taken: Taken, host: &dyn Host) {
        match next {
            Next::Reply(reply) => self.put_answer(id, Some(reply), taken, host),
            // A command waits for what it asked.
            Next::Wait(_) => self.put_answer(
                id,
                Some(Reply::Error(ClientError::other_answer().to_string())),
                taken,
                host,
            ),
            Next::Request(gather, requests) => {
                let sequence = self.reply_queues.get(id).take_slot(gather, taken);
                taken.epoch.into_iter().for_each(|epoch| self.epochs.begin(epoch));
                self.send_first(
                    ReplyId {
                        reply_queue: id.0,
                        sequence,
                    },
                    requests,
                    taken,
                    host,
                );
            }
            Next::Again(gather) => {
                let sequence = self.reply_queues.get(id).take_slot(gather, taken);
                taken.epoch.into_iter().for_each(|epoch| self.epochs.begin(epoch));
                self.unfinished.push_back(ReplyId {
                    reply_queue: id.0,
                    sequence,
                });
            }
        }
    }

    pub(crate) fn put_answer(&mut self, id: ReplyQueueId, reply: Option<Reply>, taken: Taken, host: &dyn Host) {
        let Some(reply) = reply else { return };
        self.clock_us = host.now_us();
        self.look_at_cpu(self.clock_us, host);
        let latency_us = self.clock_us.saturating_sub(taken.since_us);
        self.stats.note_reply(taken.counter, &reply, latency_us);
        self.note_latency(id, taken, latency_us, self.clock_us);
        self.reply_queues.get(id).put_reply(reply, taken);
    }

    fn take_effect(&mut self, id: ReplyQueueId, effect: Effect) {
        match effect {
            Effect::None => return,
            Effect::Save(wish) => {
                self.durable.wish = Some(wish);
                return;
            }
            Effect::Monitor => return self.begin_monitoring(id),
            Effect::Leave => {}
            Effect::Shutdown(wish) => {
                self.shutdown = true;
                self.durable.last_save_wish = wish;
            }
        }
        self.reply_queues.get(id).set_presence(Presence::Leaving);
    }
}

/// What a client of RESP2 may say that subscribes to something; anything else is refused.
fn restricted(parsed: Parsed) -> Parsed {
    let is_allowed = matches!(
        parsed.command,
        Command::ChangeSubscriptions(_) | Command::Ping(_) | Command::Quit | Command::Reset
    );
    // A command that does not exist, or not with so many words, is refused for that; one that it may say, for what is wrong.
    let is_refused = match &parsed.command {
        Command::Refused(error) => error.is_about_the_words() || SUBSCRIBER_COMMANDS.contains(&parsed.entry.name),
        _ => false,
    };
    if is_allowed || is_refused {
        return parsed;
    }
    let command = parsed.entry.name.to_owned();
    Parsed {
        command: Command::Refused(ClientError::Subscribed { command }),
        slot: None,
        ..parsed
    }
}

/// What a client of RESP2 may say that subscribes to something.
const SUBSCRIBER_COMMANDS: [&str; 9] = [
    "subscribe",
    "unsubscribe",
    "psubscribe",
    "punsubscribe",
    "ssubscribe",
    "sunsubscribe",
    "ping",
    "quit",
    "reset",
];

/// What a command has to wait for has not come. What an alias means is looked up when the command begins.
fn later(mut parsed: Parsed) -> Admission {
    put_back(&mut parsed);
    Admission::Later(Box::new(parsed))
}

/// Room for so many is made at first: half of a pipeline of sixteen.
const ACTS_USUAL: usize = 8;
