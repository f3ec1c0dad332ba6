//! MULTI and what belongs to it, as a connection sees it. How a transaction is executed stands in `gather/executing.rs`.

use std::mem::take;
use std::sync::Arc;

use kora_resp::{Reply, Words};
use kora_values::Database;
use kora_vector::Work;

use crate::access::refusal_at_exec;
use crate::aliases::OwnNames;
use crate::answer::answer;
use crate::budgets::{WATCHED_BYTE_WORK, WATCHED_KEY_WORK};
use crate::command::acl::AclRequest;
use crate::command::table::Parsed;
use crate::command::{Command, MultiKeyCommand, Only};
use crate::engine::Engine;
use crate::error::ClientError;
use crate::gather::{Executing, Gather, Next, Preparing, QueuedCommand, ReadTiming};
use crate::limits::{QUEUED_PER_SLICE, TRANSACTION_COMMANDS_MAX, WATCHED_KEYS_MAX};
use crate::mail::{ReplyId, RequestBody, Target};
use crate::reply_estimate::reply_bytes_expected;
use crate::reply_queue::{ReplyQueue, Taken};
use crate::reply_queues::ReplyQueueId;
use crate::router::{ShardId, slot};
use crate::setup::Host;
use crate::stats::CounterId;

/// What a connection has queued since MULTI.
#[derive(Default)]
pub(crate) struct Transaction {
    /// In pieces of [`QUEUED_PER_SLICE`], so that many are not moved when there is no room for one more.
    queued: Vec<Vec<Parsed>>,
    count: usize,
    /// Bytes that they hold. In the connection's account.
    bytes: usize,
    /// What their replies are expected to take.
    expected: usize,
    /// One was refused: EXEC does nothing.
    is_spoiled: bool,
    /// The database of the commands that follow, if one of those before selects one.
    pub(crate) selected: Option<Database>,
}

/// A WATCH of which not all keys have been looked at.
pub(crate) struct Watching {
    keys: Words,
    unchecked: Words,
}

/// What a connection watches: keys of one slot.
#[derive(Clone, Copy)]
pub(crate) struct Watched {
    slot: u16,
    shard: ShardId,
    keys: usize,
    /// What they take. In the connection's account.
    bytes: usize,
}

/// What a reply queue does with a command before it is looked at otherwise.
pub(crate) enum Intercepted {
    /// It is answered.
    Answered(Reply),
    /// It begins like this.
    Begun(Next, Taken),
    /// It has nothing to do with transactions.
    No(Parsed),
}

impl Engine {
    /// Queues a command in the connection's transaction, or does what MULTI, EXEC and their like do.
    pub(crate) fn intercept(
        &mut self,
        id: ReplyQueueId,
        parsed: Parsed,
        taken: Taken,
        here: Target,
        host: &dyn Host,
    ) -> Intercepted {
        let setup = &self.setup;
        let expected = reply_bytes_expected(&parsed.command, setup, self.reply_queues.len(), &self.shards);
        let reply_queue = self.reply_queues.get(id);
        let Parsed {
            command,
            entry,
            trail,
            database,
            slot,
            said,
            words,
        } = parsed;
        let parsed = |command| Parsed {
            command,
            entry,
            trail,
            database,
            slot,
            said,
            words,
        };
        let reply = match (command, &mut reply_queue.transaction) {
            (Command::Exec, Some(_)) => {
                return self.execute(id, taken, here, host);
            }
            // It ends the transaction all the same.
            (Command::Refused(ClientError::WrongArity { command }), _) if command == "exec" => {
                self.forget_transaction(id);
                return self.unwatch(id, refuse(ClientError::ExecArity), taken);
            }
            (Command::Refused(error @ ClientError::ExecDenied(_)), _) => {
                self.forget_transaction(id);
                return self.unwatch(id, refuse(error), taken);
            }
            (Command::Reset, _) => {
                self.tracking_clients -= usize::from(reply_queue.session.end_tracking());
                reply_queue.session.reset(&setup.live.access.users());
                self.end_monitoring(id);
                self.forget_transaction(id);
                self.forget_subscriptions(id);
                return self.unwatch(id, Reply::Simple("RESET"), taken);
            }
            (Command::Exec, None) => refuse(ClientError::ExecWithoutMulti),
            (Command::Discard, None) => refuse(ClientError::DiscardWithoutMulti),
            (Command::Discard, Some(_)) => {
                self.forget_transaction(id);
                return self.unwatch(id, Reply::ok(), taken);
            }
            (Command::Multi, Some(_)) => refuse(ClientError::NestedMulti),
            (Command::Multi, transaction @ None) => {
                *transaction = Some(Transaction::default());
                Reply::ok()
            }
            (Command::Watch(_), Some(_)) => refuse(ClientError::WatchInMulti),
            (Command::Watch(keys), None) => {
                let unchecked = keys.clone();
                let watching = Box::new(Watching { keys, unchecked });
                return Intercepted::Begun(self.begin_watching(id, watching), taken);
            }
            (Command::Unwatch, None) => return self.unwatch(id, Reply::ok(), taken),
            (command @ (Command::Quit | Command::Refused(_)), Some(transaction)) => match command {
                // What can be seen without looking at the arguments' meaning is refused at once, as in Redis.
                Command::Refused(error) if error.is_about_the_words() => {
                    transaction.is_spoiled = true;
                    refuse(error)
                }
                Command::Quit => {
                    return Intercepted::No(parsed(Command::Quit));
                }
                command => reply_queue.queue(parsed(command), expected),
            },
            (command, Some(_)) => reply_queue.queue(parsed(command), expected),
            (command, None) => return Intercepted::No(parsed(command)),
        };
        Intercepted::Answered(reply)
    }

    /// The client has gone: what it watches is forgotten on its shard.
    pub(crate) fn forget_watched(&mut self, id: ReplyQueueId, counter: CounterId) {
        self.forget_transaction(id);
        let reply_queue = self.reply_queues.get(id);
        let Some(watched) = reply_queue.take_watched() else {
            return;
        };
        let sequence = reply_queue.take_last_slot(Gather::Replying(Reply::Null), Taken::of_nothing(counter, 0));
        let reply_id = ReplyId {
            reply_queue: id.0,
            sequence,
        };
        self.send(reply_id, vec![(Target::Shard(watched.shard), RequestBody::Unwatch)]);
    }

    fn execute(&mut self, id: ReplyQueueId, mut taken: Taken, here: Target, host: &dyn Host) -> Intercepted {
        let reply_queue = self.reply_queues.get(id);
        let transaction = take(&mut reply_queue.transaction).expect("looked at a moment ago");
        reply_queue.account.remove(transaction.bytes);
        if transaction.is_spoiled {
            self.discard(transaction.queued);
            return self.unwatch(id, refuse(ClientError::ExecAborted), taken);
        }
        self.reply_queues.get(id).session.selecting = transaction.selected;
        taken.bytes += transaction.bytes;
        taken.expected += transaction.expected;
        let preparing = Box::new(Preparing {
            places: Vec::with_capacity(transaction.count),
            queued: transaction.queued.into_iter(),
            watched: self.reply_queues.get(id).take_watched().map(|watched| watched.shard),
            here,
            aliases: self.setup.catalog.aliases().now(),
        });
        Intercepted::Begun(self.prepare(id, preparing, taken.since_us, host), taken)
    }

    /// Looks whether keys have one slot, for a slice; then their shard is asked to watch them.
    pub(crate) fn begin_watching(&mut self, id: ReplyQueueId, mut watching: Box<Watching>) -> Next {
        let reply_queue = self.reply_queues.get(id);
        let first = watching.keys.first().expect("the arity asks for one");
        let slot_before = reply_queue
            .watched
            .map_or_else(|| slot(&[first]), |watched| watched.slot);
        let mut work = Work::new(self.setup.slice_work);
        while !work.is_spent() {
            let Some(key) = watching.unchecked.take_next() else {
                let shard = self.setup.placement.shard_of_slot(slot_before);
                return match reply_queue.watch(&watching.keys, slot_before, shard) {
                    Ok(()) => {
                        let requests = vec![(Target::Shard(shard), RequestBody::Watch(watching.keys))];
                        Next::Request(Gather::Replying(Reply::ok()), requests)
                    }
                    Err(error) => Next::error(&error),
                };
            };
            work.spend(WATCHED_KEY_WORK + WATCHED_BYTE_WORK * key.len() as u64);
            if slot(&[key]) != slot_before {
                return Next::error(&ClientError::CrossSlot);
            }
        }
        Next::Again(Gather::Watching(watching))
    }

    /// Answers what needs no data, for a slice: nothing else of the transaction can change it. When all was looked at, the
    /// rest is executed.
    pub(crate) fn prepare(
        &mut self,
        id: ReplyQueueId,
        mut preparing: Box<Preparing>,
        now_us: u64,
        host: &dyn Host,
    ) -> Next {
        let unix_us = self.unix_us(now_us);
        let reply_queue = self.reply_queues.get(id);
        let (times, aliases) = ((now_us, unix_us / 1000), Arc::clone(&preparing.aliases));
        let own_names = OwnNames::new(&aliases, self.setup.catalog.at(times.1));
        for mut parsed in preparing.queued.next().unwrap_or_default() {
            let words = parsed.words.as_ref();
            let own_words = words.and_then(|words| own_names.words(parsed.entry, words, parsed.database));
            own_names.give_to(&mut parsed);
            let said = (&parsed, own_words.as_ref());
            if let Some(refusal) = refusal_at_exec(&reply_queue.session, said, &self.setup, times) {
                preparing.places.push(QueuedCommand::Done(refusal));
                continue;
            }
            let Parsed {
                command,
                entry,
                trail,
                slot,
                database,
                ..
            } = parsed;
            if let Command::Select(_) = command {
                // It holds once EXEC is answered.
                preparing.places.push(QueuedCommand::Done(Reply::ok()));
                continue;
            }
            let answered = match &command {
                // What is told of libraries is told after those commands of the transaction that change them.
                Command::Function(_) => Err(command),
                _ => answer(command, &mut reply_queue.session, &self.setup, now_us, unix_us),
            };
            let place = match answered {
                Ok((reply, _)) => QueuedCommand::Done(reply.unwrap_or_else(Reply::ok)),
                Err(Command::Unwatch) => QueuedCommand::Done(Reply::ok()),
                Err(command) => QueuedCommand::Queued(Parsed {
                    command,
                    entry,
                    trail,
                    database,
                    slot,
                    said: None,
                    words: None,
                }),
            };
            preparing.places.push(place);
        }
        if !preparing.queued.as_slice().is_empty() {
            return Next::Again(Gather::Preparing(preparing));
        }
        let Preparing {
            places, watched, here, ..
        } = *preparing;
        let asker = (reply_queue.session.id, here);
        let context = self.context(unix_us / 1000, host, ReadTiming::Never);
        Executing::start(places, watched, asker, &context)
    }

    /// A client's transaction is not to be: its commands are freed in slices.
    fn forget_transaction(&mut self, id: ReplyQueueId) {
        let reply_queue = self.reply_queues.get(id);
        if let Some(transaction) = take(&mut reply_queue.transaction) {
            reply_queue.account.remove(transaction.bytes);
            self.discard(transaction.queued);
        }
    }

    fn discard(&mut self, commands: Vec<Vec<Parsed>>) {
        self.discarded.extend(commands);
    }

    /// Frees some commands of transactions that were given up; false if there are none.
    pub(crate) fn free_discarded(&mut self) -> bool {
        self.discarded.pop_front().is_some()
    }

    /// Answers when the shard has forgotten what the client watches, or at once if it watches nothing.
    fn unwatch(&mut self, id: ReplyQueueId, reply: Reply, taken: Taken) -> Intercepted {
        match self.reply_queues.get(id).take_watched() {
            None => Intercepted::Answered(reply),
            Some(watched) => {
                let requests = vec![(Target::Shard(watched.shard), RequestBody::Unwatch)];
                Intercepted::Begun(Next::Request(Gather::Replying(reply), requests), taken)
            }
        }
    }
}

impl Engine {
    /// Ends a transaction that can't be executed.
    pub(crate) fn abort_transaction(&mut self, id: ReplyQueueId, reply: Reply, taken: Taken) -> Intercepted {
        self.forget_transaction(id);
        self.unwatch(id, reply, taken)
    }
}

impl ReplyQueue {
    /// Bytes of the commands of a transaction of which one may need memory.
    pub(crate) fn queued_bytes(&self) -> Option<usize> {
        let transaction = self.transaction.as_ref()?;
        let adds_memory = transaction
            .queued
            .iter()
            .flatten()
            .any(|parsed| parsed.entry.adds_memory);
        adds_memory.then_some(transaction.bytes)
    }

    /// Puts a command behind those that wait for EXEC.
    fn queue(&mut self, parsed: Parsed, expected: usize) -> Reply {
        let transaction = self.transaction.as_mut().expect("looked at a moment ago");
        let refusal = match &parsed.command {
            // The file is written by a thread, for which a transaction does not wait.
            // WAITAOF waits where the connection sends its replies.
            // What names mean to the commands behind it would depend on it.
            Command::ChangeAlias(_)
            | Command::Shutdown(_)
            | Command::WaitLog { .. }
            | Command::ClientTracking(_)
            | Command::Monitor
            | Command::ConfigRewrite
            | Command::ChangeSubscriptions(_)
            | Command::Save(_) => Some(ClientError::NotInTransaction),
            Command::Acl(request) if matches!(**request, AclRequest::Load | AclRequest::Save) => {
                Some(ClientError::NotInTransaction)
            }
            command if spreads(command) => Some(ClientError::CrossSlot),
            _ if transaction.count >= TRANSACTION_COMMANDS_MAX => Some(ClientError::TransactionTooLong),
            _ => None,
        };
        if let Some(error) = refusal {
            transaction.is_spoiled = true;
            return refuse(error);
        }
        // A spoiled transaction does nothing, so that nothing more of it need be kept.
        if !transaction.is_spoiled {
            if let Command::Select(database) = parsed.command {
                transaction.selected = Some(database);
            }
            let bytes = parsed.command.bytes_held() + parsed.words.as_ref().map_or(0, Words::bytes_held);
            transaction.bytes += bytes;
            transaction.expected += expected;
            transaction.count += 1;
            match transaction.queued.last_mut() {
                Some(last) if last.len() < QUEUED_PER_SLICE => last.push(parsed),
                _ => transaction.queued.push(vec![parsed]),
            }
            self.account.add(bytes);
        }
        Reply::Simple("QUEUED")
    }

    /// What it watches, which it watches no longer.
    fn take_watched(&mut self) -> Option<Watched> {
        let watched = take(&mut self.watched)?;
        self.account.remove(watched.bytes);
        Some(watched)
    }

    /// A command between MULTI and EXEC was refused: EXEC does nothing.
    pub(crate) fn spoil_transaction(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.is_spoiled = true;
        }
    }

    /// Notes that keys of this slot are watched.
    fn watch(&mut self, keys: &Words, slot: u16, shard: ShardId) -> Result<(), ClientError> {
        let (keys_before, bytes_before) = self.watched.map_or((0, 0), |before| (before.keys, before.bytes));
        let bytes: usize = keys.iter().map(|key| key.len() + WATCHED_BYTES).sum();
        let keys = keys_before + keys.len();
        if keys > WATCHED_KEYS_MAX {
            return Err(ClientError::TooManyWatched);
        }
        self.account.add(bytes);
        let bytes = bytes_before + bytes;
        self.watched = Some(Watched {
            slot,
            shard,
            keys,
            bytes,
        });
        Ok(())
    }
}

/// What the shard holds of a key that is watched, beside the key.
const WATCHED_BYTES: usize = 96;

/// True if the command is all or nothing and its keys have several slots: a transaction does not promise that.
fn spreads(command: &Command) -> bool {
    match command {
        Command::Transfer(transfer) => slot(&[&transfer.from]) != slot(&[&transfer.to]),
        Command::MultiKey(multi_key @ MultiKeyCommand::SetStrings(setting)) if setting.only != Only::Always => {
            let mut slots = multi_key.keys().map(|key| slot(&[key]));
            let first = slots.next();
            slots.any(|slot| Some(slot) != first)
        }
        _ => false,
    }
}

fn refuse(error: ClientError) -> Reply {
    Reply::Error(error.to_string())
}
