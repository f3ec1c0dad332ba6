//! CLIENT PAUSE: until when which commands wait.

use kora_mesh::Gauge;

use crate::command::Command;
use crate::command::table::{DataAccess, Parsed};

/// Until when commands wait, in milliseconds of Unix time. Every worker looks at it before it begins a command.
#[derive(Debug)]
pub struct Pause {
    /// Until when any command waits; 0 if none does.
    last_ms: Gauge,
    /// Until when all commands wait. Invariant: at most `last_ms`.
    all_ms: Gauge,
}

impl Default for Pause {
    fn default() -> Pause {
        Pause {
            last_ms: Gauge::new(0),
            all_ms: Gauge::new(0),
        }
    }
}

impl Pause {
    /// Lets commands wait for so long from now on, or those that may write. One that is under way is not shortened.
    pub(crate) fn begin(&self, now_ms: u64, ms: u64, writes_only: bool) {
        let end_ms = now_ms.saturating_add(ms);
        if !writes_only {
            self.all_ms.set(self.all_ms.get().max(end_ms));
        }
        self.last_ms.set(self.last_ms.get().max(end_ms));
    }

    /// Nothing waits any more.
    pub(crate) fn end(&self) {
        self.all_ms.set(0);
        self.last_ms.set(0);
    }

    /// Until when the command has to wait, if it has to.
    pub(crate) fn holds_back(&self, parsed: &Parsed, now_ms: u64) -> Option<u64> {
        let last_ms = self.last_ms.get();
        if last_ms <= now_ms || matches!(parsed.command, Command::ClientUnpause | Command::Shutdown(_)) {
            return None;
        }
        let end_ms = if may_write(parsed) { last_ms } else { self.all_ms.get() };
        Some(end_ms).filter(|end_ms| *end_ms > now_ms)
    }
}

fn may_write(parsed: &Parsed) -> bool {
    match &parsed.command {
        Command::Evaluate(evaluation) => !evaluation.is_read_only,
        Command::Exec | Command::Publish(_) => true,
        _ => parsed.entry.access == DataAccess::Write,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::{Access, parse};

    fn parsed(line: &str) -> Parsed {
        let mut bytes = bytes::BytesMut::from(format!("{line}\r\n").as_bytes());
        let mut reader = kora_resp::Reader::new(kora_resp::ReaderLimits::default());
        let bytes = bytes.split();
        let request = reader.read(&bytes).unwrap().unwrap();
        parse(&request, Access::Full)
    }

    #[test]
    fn a_pause_of_writes_lets_reads_pass_and_ends_by_itself() {
        let pause = Pause::default();
        pause.begin(1000, 500, true);
        for (line, end) in [
            ("GET a", None),
            ("SET a b", Some(1500)),
            ("EXEC", Some(1500)),
            ("PUBLISH a b", Some(1500)),
        ] {
            assert_eq!(pause.holds_back(&parsed(line), 1200), end, "{line}");
        }
        assert_eq!(pause.holds_back(&parsed("EVAL x 0"), 1200), Some(1500));
        assert_eq!(pause.holds_back(&parsed("EVAL_RO x 0"), 1200), None);
        assert_eq!(pause.holds_back(&parsed("SET a b"), 1500), None);
    }

    #[test]
    fn a_second_pause_shortens_nothing_and_unpause_is_never_held_back() {
        let pause = Pause::default();
        pause.begin(1000, 500, false);
        pause.begin(1000, 100, false);
        pause.begin(1000, 900, true);
        assert_eq!(pause.holds_back(&parsed("GET a"), 1200), Some(1500));
        assert_eq!(pause.holds_back(&parsed("SET a b"), 1600), Some(1900));
        assert_eq!(pause.holds_back(&parsed("CLIENT UNPAUSE"), 1200), None);
        pause.end();
        assert_eq!(pause.holds_back(&parsed("SET a b"), 1200), None);
    }
}
