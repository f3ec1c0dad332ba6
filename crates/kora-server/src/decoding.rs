//! From bytes to commands: requests are read some at a time and submitted in order.
//!
//! Some are read before the first of them is submitted, so that the engine can look for all their keys at once: memory
//! answers many questions in the time of one, and its answers are what small commands wait for.

use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};
use kora_engine::budgets::DECODE_US;
use kora_engine::command::Command;
use kora_engine::command::table::{Access, DataAccess};
use kora_engine::{Admission, Engine, Host as _, Progress};
use kora_resp::limits::KEPT_BYTES_MIN;
use kora_resp::{ProtocolError, Request};

use crate::connection::{Connection, Decoded, Intake, give_back};

impl Connection {
    /// Submits whole requests until one has to wait, the bytes are used up, or it was enough for now.
    pub(crate) fn decode(&mut self) -> Decoded {
        let engine = Rc::clone(&self.engine);
        let mut engine = engine.borrow_mut();
        let mut start_us = self.host.now_us();
        if engine.turn_if_due(start_us, &self.host, self.turn_budget_us) == Progress::Worked {
            start_us = self.host.now_us();
        }
        engine.start_cpu_look(start_us, &self.host);
        let mut now_us = start_us;
        let mut consumed = 0;
        let mut decoded = Decoded::All;
        for count in 0.. {
            if self.intake == Intake::Deaf {
                break;
            }
            if !engine.is_served(self.reply_queue) {
                self.intake = Intake::Deaf;
                break;
            }
            if !self.is_waiting && !engine.may_begin(self.reply_queue) {
                // If it has got on, it looks again when its replies are sent.
                decoded = if count > 0 { Decoded::Burst } else { Decoded::Short };
                break;
            }
            now_us = now_us.max(engine.clock_us());
            if count == DECODE_BURST || now_us.saturating_sub(start_us) > DECODE_US {
                decoded = Decoded::Burst;
                break;
            }
            if self.ahead.is_empty() {
                if self.read_ahead(&mut engine, &mut consumed) == Read::All {
                    break;
                }
                if count > 0 {
                    now_us = self.host.now_us();
                }
            }
            if !self.submit_next(now_us, &mut engine) {
                break;
            }
            // A request has begun: the next one waits anew.
            self.paused_since = None;
        }
        if engine.take_shutdown() {
            // If there is no space, it was sent before.
            let _ = self.shutdown.try_send(());
        }
        self.let_go(consumed);
        decoded
    }

    /// Reads some requests, unless what comes next is none.
    fn read_ahead(&mut self, engine: &mut Engine, consumed: &mut usize) -> Read {
        let start = *consumed;
        // Who authenticates may say more behind it.
        let requests_max = match self.access {
            Access::Full => AHEAD_MAX,
            Access::BeforeAuth => 1,
        };
        for _ in 0..requests_max {
            let request = match self.reader.read(&self.input[*consumed..]) {
                Ok(Some(request)) => request,
                // What is wrong is said when its turn comes: the reader says it again.
                Ok(None) | Err(_) if !self.ahead.is_empty() => break,
                Ok(None) if *consumed > start => break,
                Ok(None) => {
                    if self.intake == Intake::Ended {
                        engine.finish(self.reply_queue);
                        self.intake = Intake::Deaf;
                    }
                    return Read::All;
                }
                Err(error) => {
                    self.refuse(engine, &error);
                    return Read::All;
                }
            };
            let bytes = request.consumed();
            if bytes > KEPT_BYTES_MIN {
                let whole = self.take_out(std::mem::take(consumed), bytes);
                let kept = self.reader.keep(whole);
                self.ahead.push_back(engine.parse_kept(self.reply_queue, kept));
                break;
            }
            *consumed += bytes;
            if is_of_browser(&request) {
                tracing::warn!(
                    client = self.id,
                    "possible attack: a web page sent POST or Host: to this server; the connection is closed"
                );
                engine.cut(self.reply_queue);
                self.intake = Intake::Deaf;
                return Read::All;
            }
            if !request.is_empty() {
                let parsed = engine.parse(self.reply_queue, &request);
                let may_change_rights = parsed.entry.may_change_rights();
                self.ahead.push_back(parsed);
                if may_change_rights {
                    break;
                }
            }
            if *consumed - start > AHEAD_BYTES_MAX {
                break;
            }
        }
        engine.prefetch_keys(self.ahead.iter());
        Read::Some
    }

    /// Takes a large request out of the input, with the memory that it lies in.
    fn take_out(&mut self, start: usize, bytes: usize) -> Bytes {
        self.input.advance(start);
        let whole = self.input.split_to(bytes).freeze();
        // What has come behind it must not hold that memory any longer than the request does.
        self.input = BytesMut::from(&self.input[..]);
        whole
    }

    /// Submits the next of the requests that were read; false if it has to wait.
    fn submit_next(&mut self, now_us: u64, engine: &mut Engine) -> bool {
        let Some(parsed) = self.ahead.pop_front() else {
            return true;
        };
        let awaits_log = matches!(parsed.command, Command::WaitLog { local: true });
        let may_write = parsed.entry.access == DataAccess::Write || matches!(parsed.entry.name, "exec" | "waitaof");
        self.may_have_written |= may_write && !engine.refuses_writes();
        let admission = engine.submit(self.reply_queue, parsed, now_us, &self.host);
        self.is_waiting = matches!(admission, Admission::Later(_));
        if let Admission::Later(parsed) = admission {
            self.ahead.push_front(*parsed);
            return false;
        }
        self.awaits_log |= awaits_log;
        if self.access == Access::BeforeAuth && engine.access(self.reply_queue) == Access::Full {
            self.read_as(Access::Full);
        }
        true
    }

    fn refuse(&mut self, engine: &mut Engine, error: &ProtocolError) {
        engine.refuse(self.reply_queue, error);
        self.intake = Intake::Deaf;
    }

    /// Forgets the bytes that were read, and if the client is not served any more, those behind them.
    fn let_go(&mut self, consumed: usize) {
        if consumed < self.input.len() {
            self.input.advance(consumed);
        } else {
            // Unlike advancing to the end, this leaves a capacity by which the buffer is known to be there.
            self.input.clear();
        }
        if self.intake == Intake::Deaf {
            self.unheard |= !self.input.is_empty() || !self.ahead.is_empty();
            self.input.clear();
            self.ahead.clear();
            self.is_waiting = false;
        }
        give_back(&mut self.input, &self.read_buffer);
    }
}

/// True for what a browser sends and no client does. A web page can make the browser that shows it send any bytes
/// behind the head of a request to a server on the same machine.
fn is_of_browser(request: &Request<'_>) -> bool {
    let is = |name: &[u8]| request.argument(0).eq_ignore_ascii_case(name);
    !request.is_empty() && (is(b"POST") || is(b"Host:"))
}

/// How far reading came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Read {
    /// Something was read.
    Some,
    /// There is nothing more to read.
    All,
}

/// Requests that are read before the first of them is submitted. With more, what was looked for first would be forgotten
/// again before its turn.
const AHEAD_MAX: usize = 16;

/// Bytes of requests after which no more are read ahead.
const AHEAD_BYTES_MAX: usize = 16 * 1024;

/// Requests decoded at one go: some tens of microseconds if they are small and queue elsewhere.
const DECODE_BURST: usize = 256;
