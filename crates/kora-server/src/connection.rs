//! A connection: bytes in, requests to the engine, replies out.
//!
//! Reading and writing go on side by side: a client may send a pipeline of any depth before it reads a single reply.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use kora_engine::command::table::{Access, Parsed};
use kora_engine::{Engine, ReplyQueueId, Session, Standing, Traffic};
use kora_resp::limits::TRUSTED_BYTES_MIN;
use kora_resp::{Reader, ReaderLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

use crate::acceptor::{Arrival, ArrivingClient};
use crate::host::Process;
use crate::output::Output;
use crate::persistence::LocalPersistence;
use crate::settings::Live;

/// One client's connection.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) engine: Rc<RefCell<Engine>>,
    pub(crate) host: Process,
    /// How long a turn executes that a connection's task gives the engine.
    pub(crate) turn_budget_us: u64,
    pub(crate) reply_queue: ReplyQueueId,
    pub(crate) id: u64,
    pub(crate) live: Arc<Live>,
    /// Where changes are handed over, if they are kept on disk.
    pub(crate) persistence: Option<LocalPersistence>,
    /// The client has said something that may write since its replies were last safe.
    pub(crate) may_have_written: bool,
    /// The client has said WAITAOF: what is sent next has to wait for the log.
    pub(crate) awaits_log: bool,
    /// The longest argument that `reader` takes.
    bulk_bytes_max: usize,
    pub(crate) reader: Reader,
    pub(crate) access: Access,
    /// Bytes that are no whole request yet.
    pub(crate) input: BytesMut,
    pub(crate) read_buffer: ReadBuffer,
    pub(crate) output: Output,
    /// What came and went since the engine was last told.
    pub(crate) traffic: Traffic,
    /// Commands that were read and not submitted yet. While there are any, nothing behind them is looked at.
    /// Invariant: at most [`AHEAD_MAX`](crate::decoding).
    pub(crate) ahead: VecDeque<Parsed>,
    /// The first of them was refused for now.
    pub(crate) is_waiting: bool,
    pub(crate) intake: Intake,
    /// The client has sent bytes that were not read yet.
    pub(crate) unheard: bool,
    /// Since when clients have held so much memory that this one is not read from.
    pub(crate) paused_since: Option<Instant>,
    /// How many commands had found memory then.
    pub(crate) rooms_given: u64,
    /// When the client last sent a part of a large request.
    pub(crate) heard_at: Option<Instant>,
    /// Since when the client has taken nothing of what waits for it, in microseconds of the host's clock.
    pub(crate) stalled_since_us: Option<u64>,
    /// How often it took more after a pause, counted no further than is looked at.
    pub(crate) resumed: u8,
    /// Bytes that its socket took.
    pub(crate) sent_bytes: u64,
    /// Since when more replies than the soft limit have waited for the client.
    pub(crate) over_soft_since: Option<Instant>,
    /// Where the connections of all workers arrive.
    pub(crate) peers: Arc<[mpsc::Sender<Arrival>]>,
    stopping: Rc<Cell<bool>>,
    pub(crate) shutdown: mpsc::Sender<()>,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// What the connections of a worker read into, one after the other. Most are idle, and an idle one holds no buffer.
pub(crate) type ReadBuffer = Rc<RefCell<BytesMut>>;

/// What the connections of one worker have in common.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) engine: Rc<RefCell<Engine>>,
    pub(crate) host: Process,
    /// How long a turn executes that a connection's task gives the engine.
    pub(crate) turn_budget_us: u64,
    pub(crate) live: Arc<Live>,
    pub(crate) persistence: Option<LocalPersistence>,
    pub(crate) read_buffer: ReadBuffer,
    /// Where the connections of all workers arrive, by the workers' numbers.
    pub(crate) peers: Arc<[mpsc::Sender<Arrival>]>,
    /// True when connections are to finish; they are woken then. Waiting for a channel of its own, each would stand in and
    /// leave that one's queue at every command.
    pub(crate) stopping: Rc<Cell<bool>>,
    /// Where SHUTDOWN is sent.
    pub(crate) shutdown: mpsc::Sender<()>,
}

/// Whether more is to come from the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Intake {
    /// It may send more.
    Open,
    /// It will send no more, or the server is stopping: what has been received is still done.
    Ended,
    /// Its bytes are not to be looked at any more: QUIT, or they are no requests.
    Deaf,
}

/// How a conversation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// All that was owed has been written.
    Finished,
    /// It was broken off.
    Cut,
    /// It goes on at the worker with this number.
    Moves(usize),
}

/// What the decoding of the input ended with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Decoded {
    /// All whole requests were taken, or one has to wait.
    All,
    /// It was enough for now.
    Burst,
    /// Clients held too much memory for more.
    Short,
}

impl Connection {
    pub(crate) fn new(arrival: Arrival, shared: Shared) -> io::Result<Connection> {
        let Arrival { stream, client, permit } = arrival;
        let Shared {
            engine,
            host,
            turn_budget_us,
            live,
            persistence,
            read_buffer,
            peers,
            stopping,
            shutdown,
        } = shared;
        let bulk_bytes_max = live.bulk_bytes_max();
        let stream = TcpStream::from_std(stream)?;
        let (id, reply_queue) = match client {
            ArrivingClient::New {
                id,
                address,
                local_address,
            } => {
                let since_us = kora_engine::Host::now_us(&host);
                let session = Session::new(id, address.to_string(), local_address.to_string(), since_us);
                (id, engine.borrow_mut().connect(session))
            }
            ArrivingClient::MigratingClient(migrating_client) => {
                (migrating_client.id(), engine.borrow_mut().take_in(migrating_client))
            }
        };
        let access = engine.borrow_mut().access(reply_queue);
        Ok(Connection {
            stream,
            engine,
            host,
            turn_budget_us,
            reply_queue,
            id,
            reader: Reader::new(reader_limits(access, bulk_bytes_max)),
            live,
            persistence,
            may_have_written: false,
            awaits_log: false,
            bulk_bytes_max,
            access,
            input: BytesMut::new(),
            read_buffer,
            output: Output::default(),
            traffic: Traffic::default(),
            ahead: VecDeque::new(),
            is_waiting: false,
            intake: Intake::Open,
            unheard: false,
            paused_since: None,
            rooms_given: 0,
            heard_at: None,
            stalled_since_us: None,
            resumed: 0,
            sent_bytes: 0,
            over_soft_since: None,
            peers,
            stopping,
            shutdown,
            permit,
        })
    }

    /// Serves the client until either side ends the connection.
    pub(crate) async fn serve(mut self) {
        let end = self.converse().await;
        if let Ok(End::Moves(worker)) = end {
            return self.go_to(worker).await;
        }
        {
            let mut engine = self.engine.borrow_mut();
            engine.count_traffic(std::mem::take(&mut self.traffic));
            engine.disconnect(self.reply_queue);
        }
        let parted = match end {
            Ok(End::Finished) => self.part().await,
            Ok(End::Cut | End::Moves(_)) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = parted {
            tracing::debug!(%error, "a connection broke");
        }
    }

    async fn converse(&mut self) -> io::Result<End> {
        if self.stopping.get() {
            self.read_what_came()?;
        }
        loop {
            self.read_as(self.access);
            let is_heard = !self.input.is_empty() || !self.ahead.is_empty();
            self.wait_for_log().await;
            let decoded = self.decode();
            self.hand_over();
            if !self.input.is_empty() {
                // A request that takes long to arrive is no silence.
                self.engine.borrow_mut().hear(self.reply_queue, &self.host);
            }
            if self.input.len() > READ_BYTES {
                let held = self.input_bytes_held();
                self.engine.borrow_mut().note_input(self.reply_queue, held);
            }
            if is_heard {
                after_others().await;
            }
            // A client that does not take what it was sent is not sent more: its replies share their values with the data
            // until they are spelled.
            let spelled_bytes_max = self.engine.borrow_mut().spelled_bytes_max(self.reply_queue);
            let confirmed = self.confirmed();
            let standing = match self.output.len() < spelled_bytes_max {
                true => self.engine.borrow_mut().drain(self.reply_queue, self.output.room()),
                false => self.engine.borrow_mut().standing(self.reply_queue),
            };
            if !self.make_output_safe(confirmed).await {
                tracing::warn!(
                    client = self.id,
                    "dropped: what its replies would tell of could not be made safe on disk"
                );
                return Ok(End::Cut);
            }
            self.write_output()?;
            let has_room = self.output.len() < spelled_bytes_max;
            if self.stopping.get() && self.is_stalled_for(STOPPING_STALL_US) {
                tracing::debug!(
                    client = self.id,
                    "let go: it takes nothing of its replies, and the server stops"
                );
                return Ok(End::Cut);
            }
            match standing {
                Standing::Killed => return Ok(End::Cut),
                Standing::Dropped { bytes } => {
                    tracing::warn!(
                        client = self.id,
                        bytes,
                        "dropped: clients were short of memory (maxmemory-clients), and it did not take its replies"
                    );
                    return Ok(End::Cut);
                }
                Standing::Finished if self.output.is_empty() => return Ok(End::Finished),
                _ => {}
            }
            if self.is_over_output_limit() {
                let bytes = self.unread_bytes();
                self.engine.borrow_mut().count_over_output_limit();
                tracing::warn!(
                    client = self.id,
                    bytes,
                    "dropped: it did not take its replies; see client-output-buffer-limit"
                );
                return Ok(End::Cut);
            }
            if let Some(worker) = self.migration_target() {
                return Ok(End::Moves(worker));
            }
            self.settle_account();
            let paused = self.paused_since.is_some();
            let is_ready = matches!(standing, Standing::Served { ready: true, .. });
            if (is_ready && has_room) || decoded == Decoded::Burst || (decoded == Decoded::Short && !paused) {
                yield_now().await;
                continue;
            }
            self.wait(has_room).await?;
        }
    }

    /// Reads from now on what this access and the settings allow now.
    pub(crate) fn read_as(&mut self, access: Access) {
        let bulk_bytes_max = self.live.bulk_bytes_max();
        if (access, bulk_bytes_max) != (self.access, self.bulk_bytes_max) {
            (self.access, self.bulk_bytes_max) = (access, bulk_bytes_max);
            self.reader.set_limits(reader_limits(access, bulk_bytes_max));
        }
    }

    /// Sleeps until something can be done, and reads if it is the client who did something.
    async fn wait(&mut self, has_room: bool) -> io::Result<()> {
        let paused = self.paused_since.is_some();
        let may_read = self.intake == Intake::Open && self.ahead.is_empty() && !paused;
        let is_waiting = self.is_waiting;
        let look = match paused || self.over_soft_since.is_some() {
            true => Some(PAUSE_LOOK),
            // It may be one that has to go for others, or has promised more than it sends.
            false if self.stalled_since_us.is_some() || self.missing() > READ_BURST_BYTES => Some(STALL_LOOK),
            false => None,
        };
        let stir = poll_fn(|context| {
            let mut engine = self.engine.borrow_mut();
            let ready =
                engine.poll_replies(self.reply_queue, context.waker()) && (has_room || engine.is_cut(self.reply_queue));
            let again = is_waiting && !engine.is_blocked(self.reply_queue);
            let burst_bytes = match engine.is_short_of_memory() {
                true => READ_BYTES,
                false => READ_BURST_BYTES,
            };
            drop(engine);
            let mut is_stirred = ready || again;
            if !self.output.is_empty()
                && let Poll::Ready(writable) = self.stream.poll_write_ready(context)
            {
                writable?;
                is_stirred = true;
            }
            let end = self.input.len() + burst_bytes;
            if may_read && self.input.is_empty() {
                self.input = self.read_buffer.take();
            }
            let target = self.input.len() + self.reader.wanted();
            while may_read && self.intake == Intake::Open && self.input.len() < end && self.make_room(target) {
                // A read that does not fill the buffer has emptied the socket: tokio knows that, so that no second one is
                // needed to be told.
                let buffer = &mut (&mut self.input).limit(burst_bytes);
                match pin!(self.stream.read_buf(buffer)).poll(context) {
                    Poll::Ready(Ok(0)) => self.intake = Intake::Ended,
                    Poll::Ready(read) => {
                        self.traffic.received_bytes += read? as u64;
                        self.traffic.reads += 1;
                        if self.reader.missing() > READ_BURST_BYTES {
                            self.heard_at = Some(Instant::now());
                        }
                    }
                    Poll::Pending => break,
                }
                is_stirred = true;
            }
            if self.stopping.get() && self.intake == Intake::Open {
                self.read_what_came()?;
                is_stirred = true;
            }
            if is_stirred {
                return Poll::Ready(Ok(()));
            }
            give_back(&mut self.input, &self.read_buffer);
            Poll::Pending
        });
        let Some(look) = look else {
            return stir.await;
        };
        tokio::select! {
            stirred = stir => stirred,
            // Memory that other clients give back wakes no task: it is checked again before a delay could be noticed.
            () = sleep(look) => Ok(()),
        }
    }

    /// Reads what has arrived, up to a bound.
    fn read(&mut self) -> io::Result<()> {
        let start = self.input.len();
        let target = start + self.reader.wanted();
        while self.intake == Intake::Open && self.input.len() - start < READ_BURST_BYTES && self.make_room(target) {
            match self.stream.try_read_buf(&mut (&mut self.input).limit(READ_BURST_BYTES)) {
                Ok(0) => self.intake = Intake::Ended,
                Ok(bytes) => {
                    self.traffic.received_bytes += bytes as u64;
                    self.traffic.reads += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes room for a read. For the rest of a large argument there is room at once, so that what has arrived is not moved;
    /// false when all of that is there, up to `target`: it is to be taken out first.
    fn make_room(&mut self, target: usize) -> bool {
        let wanted = self.reader.wanted();
        if wanted <= READ_BURST_BYTES && (wanted == 0 || self.input.len() < TRUSTED_BYTES_MIN) {
            self.input.reserve(wanted.max(READ_BYTES));
            return true;
        }
        let left = target.saturating_sub(self.input.len());
        if self.input.capacity() - self.input.len() < left.min(READ_BYTES) {
            self.input.reserve(left);
        }
        left > 0
    }

    /// The server is stopping: what has arrived by now is still done, then the connection ends.
    fn read_what_came(&mut self) -> io::Result<()> {
        if self.intake == Intake::Open {
            self.read()?;
            self.intake = Intake::Ended;
        }
        Ok(())
    }

    /// Closes the connection so that the last replies arrive.
    ///
    /// To close a socket that holds unread bytes is to reset it, and a reset takes along what the kernel has not delivered
    /// yet. So a client that is still sending is told that nothing more comes, and what it sends is taken and forgotten
    /// until it closes too.
    async fn part(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let forget = async {
            loop {
                self.input.clear();
                self.input.reserve(READ_BYTES);
                match self.stream.try_read_buf(&mut self.input) {
                    Ok(0) => return Ok(()),
                    Ok(_) => self.unheard = true,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.unheard => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.readable().await?,
                    Err(error) => return Err(error),
                }
                yield_now().await;
            }
        };
        // A client that goes on sending for longer does not read the error.
        timeout(PARTING_MAX, forget).await.unwrap_or(Ok(()))
    }
}

/// What may be read from a client.
fn reader_limits(access: Access, bulk_bytes_max: usize) -> ReaderLimits {
    let ordinary = ReaderLimits::default();
    match access {
        Access::Full => ReaderLimits {
            bulk_bytes_max,
            // One largest argument must fit into a request, with room for the others.
            request_bytes_max: ordinary
                .request_bytes_max
                .max(bulk_bytes_max + ordinary.inline_bytes_max),
            ..ordinary
        },
        Access::BeforeAuth => ReaderLimits::unauthenticated(),
    }
}

/// Ready when the tasks that are ready by now have had their turn.
///
/// So whoever has asked in the same moment is heard first, and then all are answered one after the other. A client that sleeps is
/// woken by its first reply, which costs as much as ten commands in a pipeline; answered between two others' requests, it had
/// read that and slept again before the next came (GET at depth 16, 50 connections, one worker: × 0.82 to 0.87).
async fn after_others() {
    let mut is_last = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_last, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Leaves a buffer that is no longer needed to the next connection, unless it has grown large. The beginning of a request
/// moves to a buffer of its own size: ten thousand clients that each have sent a few bytes hold just these.
pub(crate) fn give_back(input: &mut BytesMut, read_buffer: &RefCell<BytesMut>) {
    if !input.is_empty() && input.len() <= REMAINDER_BYTES_MAX && input.capacity() >= READ_BYTES {
        let remainder = BytesMut::from(&input[..]);
        let mut buffer = std::mem::replace(input, remainder);
        buffer.clear();
        buffer.reserve(READ_BYTES);
        if buffer.capacity() <= READ_BURST_BYTES {
            read_buffer.replace(buffer);
        }
        return;
    }
    if input.is_empty() && input.capacity() > 0 {
        let mut buffer = std::mem::take(input);
        // What was consumed at its front counts again.
        buffer.reserve(READ_BYTES);
        if buffer.capacity() <= READ_BURST_BYTES {
            read_buffer.replace(buffer);
        }
    }
}

/// Room for one read. Small requests fill little of it, large ones are read in several.
pub(crate) const READ_BYTES: usize = 16 * 1024;

/// Read at one go, before what was read is executed and others are served.
pub(crate) const READ_BURST_BYTES: usize = 256 * 1024;

/// The beginning of a request that is copied when its client makes a pause: it takes half a microsecond at most.
const REMAINDER_BYTES_MAX: usize = 2 * 1024;

/// How long a client that is still sending is given to read its last replies: many round trips on any network, and not
/// long for a server that is stopping.
const PARTING_MAX: Duration = Duration::from_secs(1);

/// How often a connection that is not read from looks whether it may be.
const PAUSE_LOOK: Duration = Duration::from_millis(20);

/// A client that takes nothing for so long, in microseconds, is not waited for when the server stops.
const STOPPING_STALL_US: u64 = 1_000_000;

/// How often a connection whose client takes nothing looks whether it has to go.
const STALL_LOOK: Duration = Duration::from_millis(500);
