//! The log: what the server says on its standard error.
//!
//! The reader of the log may stop reading, and then a write waits for ever. So the lines go through a bounded queue to a
//! thread that writes them; a line for which there is no room is counted and forgotten. Of many lines of one kind in a
//! second, some are written and the others counted.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use kora_mesh::SharedCounter;
use tracing::Metadata;
use tracing::callsite::Identifier;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

use crate::config::{LogFormat, LogLevel};

/// Begins to log at this level in this form; RUST_LOG overrides the level. Once for a process.
///
/// # Errors
/// If there is no thread for it.
pub fn start(level: &str, format: LogFormat) -> io::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let (filter, handle) = reload::Layer::new(filter);
    let (queue, lines) = sync_channel(LINES_MAX);
    let lost = Arc::new(SharedCounter::new());
    let mut writer = Writer {
        kinds: HashMap::new(),
        lost: Arc::clone(&lost),
        lost_told: 0,
        format,
    };
    thread::Builder::new()
        .name("kora-log".to_owned())
        .spawn(move || writer.run(&lines, io::stderr()))?;
    let queued = Queue {
        lines: queue.clone(),
        lost,
        format,
    };
    // See no-color.org.
    let may_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let layer = fmt::layer()
        .with_writer(queued)
        .with_target(false)
        .with_ansi(may_colour && io::stderr().is_terminal())
        .log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry.with(layer).init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).init(),
    }
    // Set twice is a program that would have ended one line above.
    let _ = LOG.set(Log { filter: handle, queue });
    Ok(())
}

/// Logs at this level from now on. Nothing happens in a process that does not log, such as a test.
pub(crate) fn set_level(level: LogLevel) {
    if let Some(log) = LOG.get() {
        // It fails if the subscriber is gone, and then nothing is logged at any level.
        let _ = log.filter.reload(EnvFilter::new(level.tracing_name()));
    }
}

/// Waits until what was logged is written, for a moment at most: the process is about to end.
pub fn finish() {
    let Some(log) = LOG.get() else { return };
    let (written, all) = sync_channel(1);
    // If there is no room, the log is not read.
    if log.queue.try_send(Message::Finish(written)).is_ok() {
        let _ = all.recv_timeout(FINISH_MAX);
    }
}

static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    filter: Handle<EnvFilter, Registry>,
    queue: SyncSender<Message>,
}

enum Message {
    /// A line, and where in the program it was said.
    Line(Identifier, Vec<u8>),
    /// Say when all before is written.
    Finish(SyncSender<()>),
}

/// Where the lines of all threads go.
struct Queue {
    lines: SyncSender<Message>,
    /// Lines for which there was no room.
    lost: Arc<SharedCounter>,
    format: LogFormat,
}

/// One line that is being made; it is sent when it is whole.
struct Line<'q> {
    queue: &'q Queue,
    kind: Option<Identifier>,
    text: Vec<u8>,
}

impl<'q> MakeWriter<'q> for Queue {
    type Writer = Line<'q>;

    fn make_writer(&'q self) -> Line<'q> {
        Line {
            queue: self,
            kind: None,
            text: Vec::new(),
        }
    }

    fn make_writer_for(&'q self, metadata: &Metadata<'_>) -> Line<'q> {
        Line {
            queue: self,
            kind: Some(metadata.callsite()),
            text: Vec::new(),
        }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LINE_BYTES_MAX.saturating_sub(self.text.len());
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let Some(kind) = self.kind.take() else { return };
        let mut text = std::mem::take(&mut self.text);
        if self.queue.format == LogFormat::Json && text.last() != Some(&b'\n') {
            // Half an object is none.
            text = own_line(LogFormat::Json, "a line was too long and is left out").into_bytes();
        }
        let message = Message::Line(kind, text);
        if self.queue.lines.try_send(message).is_err() {
            self.queue.lost.add();
        }
    }
}

/// What the thread that writes remembers.
struct Writer {
    /// Of each kind of line: since when, how many in that second, and how many of them were not written.
    kinds: HashMap<Identifier, (Option<Instant>, u32, u32)>,
    lost: Arc<SharedCounter>,
    /// Of the lost lines, how many the log has told of.
    lost_told: u64,
    format: LogFormat,
}

impl Writer {
    fn run(&mut self, lines: &Receiver<Message>, mut out: impl Write) {
        loop {
            let message = match lines.recv_timeout(SECOND) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) if self.has_folded() => None,
                // Nothing is owed: it sleeps until something is said.
                Err(RecvTimeoutError::Timeout) => match lines.recv() {
                    Ok(message) => Some(message),
                    Err(_) => return,
                },
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let now = Instant::now();
            self.tell_folded(now, &mut out);
            match message {
                Some(Message::Line(kind, text)) if self.may_write(kind.clone(), now) => write(&mut out, &text),
                Some(Message::Finish(written)) => {
                    self.tell_folded(now + SECOND, &mut out);
                    // The caller may have stopped waiting.
                    let _ = written.try_send(());
                }
                Some(Message::Line(..)) | None => {}
            }
            self.tell_lost(&mut out);
        }
    }

    fn may_write(&mut self, kind: Identifier, now: Instant) -> bool {
        let (since, count, folded) = self.kinds.entry(kind).or_default();
        if since.is_none_or(|since| now.saturating_duration_since(since) >= SECOND) {
            (*since, *count) = (Some(now), 0);
        }
        *count += 1;
        if *count > LINES_A_SECOND {
            *folded += 1;
        }
        *count <= LINES_A_SECOND
    }

    fn has_folded(&self) -> bool {
        self.kinds.values().any(|(_, _, folded)| *folded > 0)
    }

    /// Says how many lines were left out, of the kinds whose second is over.
    fn tell_folded(&mut self, now: Instant, out: &mut impl Write) {
        for (kind, (since, _, folded)) in &mut self.kinds {
            let is_over = since.is_some_and(|since| now.saturating_duration_since(since) >= SECOND);
            if *folded > 0 && is_over {
                let name = kind_name(kind);
                let text = format!("{name}: {folded} more such lines");
                write(out, own_line(self.format, &text).as_bytes());
                *folded = 0;
            }
        }
    }

    fn tell_lost(&mut self, out: &mut impl Write) {
        let lost = self.lost.get();
        if lost > self.lost_told {
            let count = lost - self.lost_told;
            self.lost_told = lost;
            let text = format!("{count} lines were lost: the log is read too slowly");
            write(out, own_line(self.format, &text).as_bytes());
        }
    }
}

/// What the log says of itself.
fn own_line(format: LogFormat, text: &str) -> String {
    match format {
        LogFormat::Text => format!("{text}\n"),
        LogFormat::Json => format!("{}\n", serde_json::json!({"level": "WARN", "message": text})),
    }
}

fn kind_name(kind: &Identifier) -> String {
    let metadata = kind.0.metadata();
    let file = metadata.file().and_then(|path| path.rsplit('/').next());
    format!("{}:{}", file.unwrap_or(metadata.target()), metadata.line().unwrap_or(0))
}

fn write(out: &mut impl Write, text: &[u8]) {
    // The reader of the log may have gone. That is no reason to stop, and there is nowhere to complain.
    let _ = out.write_all(text).and_then(|()| out.flush());
}

/// Lines that wait to be written: a second's worth of a busy server at `debug`.
const LINES_MAX: usize = 1024;

/// Bytes of one line; what is beyond is cut off.
const LINE_BYTES_MAX: usize = 16 << 10;

/// Lines of one kind that are written in a second.
const LINES_A_SECOND: u32 = 10;

const SECOND: Duration = Duration::from_secs(1);

/// How long the end of the process waits for the last lines.
const FINISH_MAX: Duration = Duration::from_secs(1);
