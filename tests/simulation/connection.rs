//! One client and the server's side of its connection, moved by the scheduler one step at a time.
//!
//! The server's side does what `kora-server/src/connection.rs` does: it reads what has arrived, holds a command that
//! must wait, writes what is ready, and then sleeps until something wakes it. It sleeps truly: a step happens only if
//! the client did something or the waker that the engine was given has fired. So a wake-up that is lost shows as a world
//! in which nobody can go on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use bytes::{Buf, BytesMut};
use kora_engine::command::table::Parsed;
use kora_engine::{Admission, Buffers, Engine, Host, MigratingClient, ReplyQueueId, Session, Standing};
use kora_resp::{Reader, ReaderLimits};
use kora_tests::random::Random;
use kora_tests::reply::{Protocol, Value, take};
use kora_tests::request::encode;

use crate::command::Command;
use crate::history::{History, Names, TakenCommand};
use crate::replies;
use crate::scenario::Scenario;

/// A client with its connection.
pub(crate) struct Connection {
    /// Its number in the history, which is its session's id too.
    pub(crate) client: usize,
    pub(crate) worker: usize,
    reply_queue: ReplyQueueId,
    reader: Reader,
    /// Sent by the client and not yet read by the server.
    wire: BytesMut,
    /// Read by the server and not yet decoded.
    input: BytesMut,
    /// Written by the server and not yet read by the client.
    output: BytesMut,
    held: Option<Parsed>,
    /// Sent and not yet taken by the engine. Invariant: a held one is the first.
    sent: VecDeque<Command>,
    /// Events that are owed a reply.
    owed: VecDeque<usize>,
    protocol: Protocol,
    intake: Intake,
    standing: Standing,
    woken: Arc<Woken>,
    /// The last look found something to do, or the client did something.
    again: bool,
    /// A reply said that this connection is closed.
    pub(crate) was_killed: bool,
    /// It is on its way to `worker`, and with none.
    migrating_client: Option<MigratingClient>,
    /// Replies that have left the engine and tell of what may not be safe on disk. They are sent when everything up to this stamp
    /// is; until then the connection does nothing else.
    unsafe_until: Option<(u64, BytesMut)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Intake {
    Open,
    /// The client has closed its side.
    Ended,
    /// Nothing is read any more.
    Deaf,
}

/// A waker that remembers.
#[derive(Default)]
pub(crate) struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Woken {
    pub(crate) fn is_up(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// What a connection works with while it has its step.
pub(crate) struct Surroundings<'a> {
    pub(crate) engine: &'a mut Engine,
    pub(crate) host: &'a dyn Host,
    pub(crate) scenario: &'a Scenario,
    pub(crate) history: &'a mut History,
    pub(crate) random: &'a mut Random,
    pub(crate) names: &'a dyn Fn() -> Names,
    /// The true time of day, in microseconds of Unix time.
    pub(crate) unix_us: &'a dyn Fn() -> u64,
    /// The stamp of the last change, in a world with a disk.
    pub(crate) last_stamp: Option<&'a dyn Fn() -> u64>,
}

/// Whether a connection is still there after its step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    Goes,
    Ends,
}

impl Connection {
    pub(crate) fn new(client: usize, worker: usize, engine: &mut Engine, now_us: u64) -> Connection {
        let address = format!("10.0.0.1:{client}");
        let session = Session::new(client as u64, address, "10.0.0.2:6379".to_owned(), now_us);
        Connection {
            client,
            worker,
            reply_queue: engine.connect(session),
            reader: Reader::new(ReaderLimits::default()),
            wire: BytesMut::new(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            held: None,
            sent: VecDeque::new(),
            owed: VecDeque::new(),
            protocol: Protocol::Two,
            intake: Intake::Open,
            standing: Standing::Served {
                owed: false,
                ready: false,
            },
            woken: Arc::new(Woken::default()),
            again: false,
            was_killed: false,
            migrating_client: None,
            unsafe_until: None,
        }
    }

    /// Commands sent and not answered yet.
    pub(crate) fn ahead(&self) -> usize {
        self.sent.len() + self.owed.len()
    }

    /// True if every command was answered and every reply was read.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.ahead() == 0 && self.output.is_empty() && self.unsafe_until.is_none()
    }

    pub(crate) fn send(&mut self, command: Command, scenario: &Scenario) {
        if self.intake == Intake::Open {
            self.wire.extend_from_slice(&encode(&command.words(scenario)));
            self.sent.push_back(command);
        }
    }

    /// The client closes its side; it still reads.
    pub(crate) fn end(&mut self) {
        if self.intake == Intake::Open && self.wire.is_empty() {
            self.intake = Intake::Ended;
            self.again = true;
        }
    }

    pub(crate) fn is_migrating(&self) -> bool {
        self.migrating_client.is_some()
    }

    /// True if the server's side may send it to another worker.
    pub(crate) fn may_depart(&self, engine: &mut Engine) -> bool {
        !self.is_migrating()
            && self.unsafe_until.is_none()
            && self.intake == Intake::Open
            && self.input.is_empty()
            && self.held.is_none()
            && engine.may_depart(self.reply_queue)
    }

    /// Sets out for another worker.
    pub(crate) fn depart(&mut self, engine: &mut Engine, to: usize) {
        self.migrating_client = Some(engine.depart(self.reply_queue));
        self.worker = to;
        self.again = false;
        self.woken = Arc::default();
    }

    /// Comes to where it was sent.
    pub(crate) fn arrive(&mut self, engine: &mut Engine) {
        let migrating_client = self.migrating_client.take().expect("only travellers arrive");
        self.reply_queue = engine.take_in(migrating_client);
        self.again = true;
    }

    pub(crate) fn can_read_input(&self) -> bool {
        self.is_free() && self.intake == Intake::Open && self.held.is_none() && !self.wire.is_empty()
    }

    pub(crate) fn can_wake(&self) -> bool {
        self.is_free() && (self.again || self.woken.is_up())
    }

    pub(crate) fn can_read_output(&self) -> bool {
        self.is_free() && !self.output.is_empty()
    }

    /// True if replies wait for the disk that has everything up to this stamp safe.
    pub(crate) fn can_confirm(&self, durable: u64) -> bool {
        self.unsafe_until.as_ref().is_some_and(|(until, _)| *until <= durable)
    }

    /// What the replies tell of is safe: they leave.
    pub(crate) fn confirm(&mut self, surroundings: &mut Surroundings<'_>) -> Life {
        let (_, replies) = self.unsafe_until.take().expect("some wait");
        self.take_replies(&replies, surroundings);
        self.go_on(false, surroundings)
    }

    /// It is with a worker, and waits for nothing but what wakes it.
    fn is_free(&self) -> bool {
        !self.is_migrating() && self.unsafe_until.is_none()
    }

    /// The server reads a part of what the client has sent.
    pub(crate) fn read_input(&mut self, surroundings: &mut Surroundings<'_>) -> Life {
        let length = match surroundings.random.below(3) {
            0 => surroundings.random.between(1, self.wire.len().min(40)),
            _ => self.wire.len(),
        };
        self.input.unsplit(self.wire.split_to(length));
        self.lap(surroundings)
    }

    /// The client reads a part of what the server has written, and so there is room for more.
    pub(crate) fn read_output(&mut self, surroundings: &mut Surroundings<'_>) -> Life {
        let length = surroundings.random.between(1, self.output.len());
        self.output.advance(length);
        self.lap(surroundings)
    }

    /// The waker has fired, or something was left to do.
    pub(crate) fn wake(&mut self, surroundings: &mut Surroundings<'_>) -> Life {
        self.woken.take();
        if self.again || self.has_something(surroundings) {
            return self.lap(surroundings);
        }
        Life::Goes
    }

    /// The client has gone; or the connection is closed.
    pub(crate) fn leave(self, engine: &mut Engine) {
        engine.disconnect(self.reply_queue);
    }

    /// Tells the engine what its buffers hold, as a connection that is paused does from time to time.
    pub(crate) fn look_for_memory(&self, engine: &mut Engine, now_us: u64) {
        let _ = engine.account(self.reply_queue, Buffers::default(), now_us);
    }

    /// What somebody who looks for the reason of a hang wants to know.
    pub(crate) fn show(&self) -> String {
        format!(
            "client {} on worker {}: {} owed, {} sent, held {}, {} bytes on the wire, {} read, {} written, {:?} {:?}",
            self.client,
            self.worker,
            self.owed.len(),
            self.sent.len(),
            self.held.is_some(),
            self.wire.len(),
            self.input.len(),
            self.output.len(),
            self.intake,
            self.standing,
        )
    }

    /// Once round the loop of the server's connection: decode, write, look whether to sleep.
    fn lap(&mut self, surroundings: &mut Surroundings<'_>) -> Life {
        self.again = false;
        let burst = self.decode(surroundings);
        self.drain(surroundings);
        match self.unsafe_until {
            Some(_) => {
                self.again = burst;
                Life::Goes
            }
            None => self.go_on(burst, surroundings),
        }
    }

    /// The rest of the loop, when the replies have been written.
    fn go_on(&mut self, burst: bool, surroundings: &mut Surroundings<'_>) -> Life {
        match self.standing {
            Standing::Killed | Standing::Dropped { .. } => return Life::Ends,
            Standing::Finished if self.output.is_empty() => {
                assert!(
                    self.owed.is_empty(),
                    "a connection is finished when all was answered: {}",
                    self.show()
                );
                return Life::Ends;
            }
            _ => {}
        }
        self.again |= burst || self.has_something(surroundings);
        Life::Goes
    }

    /// The look before the connection sleeps.
    fn has_something(&self, surroundings: &mut Surroundings<'_>) -> bool {
        let waker = Waker::from(Arc::clone(&self.woken));
        surroundings.engine.poll_replies(self.reply_queue, &waker)
            || (self.held.is_some() && !surroundings.engine.is_blocked(self.reply_queue))
    }

    /// Submits whole requests until one has to wait; true if it stopped because it was enough for now.
    fn decode(&mut self, surroundings: &mut Surroundings<'_>) -> bool {
        let budget_us = *surroundings.random.pick(&[0, 5, 500]);
        let _ = surroundings
            .engine
            .turn_if_due(surroundings.host.now_us(), surroundings.host, budget_us);
        if let Some(parsed) = self.held.take()
            && surroundings.engine.is_served(self.reply_queue)
        {
            self.submit(parsed, surroundings);
        }
        let burst = *surroundings.random.pick(&[1, 4, 256]);
        let mut consumed = 0;
        let mut count = 0;
        while self.held.is_none() && self.intake != Intake::Deaf {
            if !surroundings.engine.is_served(self.reply_queue) {
                self.intake = Intake::Deaf;
                break;
            }
            if count == burst {
                self.input.advance(consumed);
                return true;
            }
            count += 1;
            let request = match self.reader.read(&self.input[consumed..]) {
                Ok(Some(request)) => request,
                Ok(None) => {
                    if self.intake == Intake::Ended {
                        surroundings.engine.finish(self.reply_queue);
                        self.intake = Intake::Deaf;
                    }
                    break;
                }
                Err(error) => panic!("what clients send is RESP: {error}"),
            };
            consumed += request.consumed();
            let parsed = surroundings.engine.parse(self.reply_queue, &request);
            self.submit(parsed, surroundings);
        }
        self.input.advance(consumed);
        if self.intake == Intake::Deaf {
            // What was sent behind the end is never looked at.
            self.input.clear();
            self.wire.clear();
            self.sent.clear();
        }
        false
    }

    fn submit(&mut self, parsed: Parsed, surroundings: &mut Surroundings<'_>) {
        let (before, before_us) = ((surroundings.names)(), (surroundings.unix_us)());
        match surroundings
            .engine
            .submit(self.reply_queue, parsed, surroundings.host.now_us(), surroundings.host)
        {
            Admission::Later(parsed) => self.held = Some(*parsed),
            Admission::Taken => {
                let command = self.sent.pop_front().expect("only what was sent is taken");
                if let Command::Hello(protocol) = command {
                    self.protocol = protocol;
                }
                let has_reply = command != Command::Shutdown;
                let event = surroundings.history.begin(TakenCommand {
                    client: self.client,
                    command,
                    protocol: self.protocol,
                    taken_us: (before_us, (surroundings.unix_us)()),
                    before,
                });
                if has_reply {
                    self.owed.push_back(event);
                }
            }
        }
        if surroundings.engine.take_shutdown() {
            // A server would stop; this world goes on, without that client.
            assert!(
                matches!(surroundings.history.events.last(), Some(event) if event.command == Command::Shutdown),
                "only SHUTDOWN shuts down"
            );
        }
    }

    /// Takes the ready replies, and holds each against the command that is owed one.
    fn drain(&mut self, surroundings: &mut Surroundings<'_>) {
        let length = self.output.len();
        self.standing = surroundings.engine.drain(self.reply_queue, &mut self.output);
        // A server lets others have their turn before it takes the rest of a large reply.
        while let Standing::Served { ready: true, .. } = self.standing {
            self.standing = surroundings.engine.drain(self.reply_queue, &mut self.output);
        }
        let new = self.output.split_off(length);
        match surroundings.last_stamp {
            // A reply tells at most of what was written down by now.
            Some(last_stamp) if !new.is_empty() => self.unsafe_until = Some((last_stamp(), new)),
            _ => self.take_replies(&new, surroundings),
        }
    }

    /// Sends replies to the client, and holds each against its command.
    fn take_replies(&mut self, replies: &[u8], surroundings: &mut Surroundings<'_>) {
        self.output.extend_from_slice(replies);
        let mut new = BytesMut::from(replies);
        while !new.is_empty() {
            let event = *self.owed.front().unwrap_or_else(|| panic!("nobody is owed {new:?}"));
            self.owed.pop_front();
            let protocol = surroundings.history.events[event].protocol;
            let reply = take(&mut new, protocol).expect("replies are written whole");
            if surroundings.history.events[event].command
                == Command::Kill(self.client as u64, crate::command::Victim::Myself)
                && reply == Value::Integer(1)
            {
                self.was_killed = true;
            }
            let event = surroundings
                .history
                .end(event, reply, (surroundings.unix_us)(), (surroundings.names)());
            replies::check(event, surroundings.scenario, self.client as u64);
        }
        if let Standing::Served { owed, .. } = self.standing {
            assert_eq!(owed, !self.owed.is_empty(), "both sides count alike: {}", self.show());
        }
    }
}
