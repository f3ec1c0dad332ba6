//! MONITOR: clients that are told of every command.
//!
//! The worker that takes a command spells it as a line and sends it to all workers, over the lanes that carry what shards have to
//! tell. Each worker's commands are told in the order in which it took them.

use bytes::{BufMut as _, Bytes, BytesMut};
use kora_resp::Words;
use kora_values::Database;

use crate::command::Command;
use crate::command::secrets::{REDACTED, Secrets};
use crate::command::table::Parsed;
use crate::engine::Engine;
use crate::limits::{MONITOR_LINE_BYTES_MAX, MONITOR_WORD_BYTES_MAX};
use crate::reply_queues::ReplyQueueId;
use crate::setup::Host;
use crate::tracking::NewsItem;

impl Engine {
    /// Tells monitors of a command that begins. Costs one look at a counter if there are none.
    #[inline]
    pub(crate) fn tell_monitors(&mut self, id: ReplyQueueId, parsed: &Parsed, since_us: u64, host: &dyn Host) {
        if self.setup.live.monitors.get() > 0 {
            self.spell_for_monitors(id, parsed, since_us, host);
        }
    }

    /// As in Redis, they are told nothing of commands of category `@admin`, nor of what is refused.
    #[cold]
    fn spell_for_monitors(&mut self, id: ReplyQueueId, parsed: &Parsed, since_us: u64, host: &dyn Host) {
        let Some(words) = &parsed.words else { return };
        if parsed.entry.is_admin || matches!(parsed.command, Command::Refused(_)) {
            return;
        }
        let unix_us = self.unix_us(since_us);
        let address = &self.reply_queues.get(id).session.address;
        let line = line(unix_us, (parsed.database, address), words, Secrets::of(parsed.entry));
        self.news.push(NewsItem::Line(line));
        self.spread_news(host);
    }

    /// A client of this worker wants to hear of all commands.
    pub(crate) fn begin_monitoring(&mut self, id: ReplyQueueId) {
        let session = &mut self.reply_queues.get(id).session;
        if !std::mem::replace(&mut session.is_monitor, true) {
            self.monitors.push(id);
            self.setup.live.monitors.add();
        }
    }

    /// It wants to hear no more, or has gone.
    pub(crate) fn end_monitoring(&mut self, id: ReplyQueueId) {
        let session = &mut self.reply_queues.get(id).session;
        if std::mem::take(&mut session.is_monitor) {
            self.monitors.retain(|monitor| *monitor != id);
            self.setup.live.monitors.subtract();
        }
    }

    /// Sends a line to the monitors of this worker.
    pub(crate) fn deliver_line(&mut self, line: &Bytes) {
        for id in &self.monitors {
            if let Some(reply_queue) = self.reply_queues.find(*id) {
                reply_queue.push(std::slice::from_ref(line), None);
                self.reply_is_ready = true;
            }
        }
    }
}

/// The command as Redis spells it.
fn line(unix_us: u64, (database, address): (Database, &str), words: &Words, secrets: Secrets) -> Bytes {
    let all: Vec<&[u8]> = words.iter().collect();
    let mut line = BytesMut::new();
    let (seconds, us, number) = (unix_us / 1_000_000, unix_us % 1_000_000, database.number());
    line.put_slice(format!("+{seconds}.{us:06} [{number} {address}]").as_bytes());
    for (index, word) in all.iter().enumerate() {
        if line.len() > MONITOR_LINE_BYTES_MAX {
            line.put_slice(format!(" \"... ({} more arguments)\"", all.len() - index).as_bytes());
            break;
        }
        line.put_slice(b" \"");
        match secrets.hide(index, all.len(), |index| all[index]) {
            true => line.put_slice(REDACTED),
            false => spell(word, &mut line),
        }
        line.put_u8(b'"');
    }
    line.put_slice(b"\r\n");
    line.freeze()
}

/// As `sdscatrepr` of Redis.
fn spell(word: &[u8], line: &mut BytesMut) {
    let shown = &word[..word.len().min(MONITOR_WORD_BYTES_MAX)];
    for byte in shown {
        match byte {
            b'\\' | b'"' => line.put_slice(&[b'\\', *byte]),
            b'\n' => line.put_slice(b"\\n"),
            b'\r' => line.put_slice(b"\\r"),
            b'\t' => line.put_slice(b"\\t"),
            0x07 => line.put_slice(b"\\a"),
            0x08 => line.put_slice(b"\\b"),
            b' '..=b'~' => line.put_u8(*byte),
            byte => line.put_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    if shown.len() < word.len() {
        line.put_slice(format!("... ({} more bytes)", word.len() - shown.len()).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use kora_resp::{Reader, ReaderLimits};

    use super::*;

    fn words(words: &[&[u8]]) -> Words {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        let mut reader = Reader::new(ReaderLimits::default());
        reader.read(&bytes).unwrap().unwrap().words(0)
    }

    #[test]
    fn a_line_is_spelled_as_by_redis() {
        let spelled = line(
            5_000_042,
            (Database::new(3).unwrap(), "1.2.3.4:5"),
            &words(&[b"SET", b"a\"\\", b"\n\x00\xff b"]),
            Secrets::None,
        );
        assert_eq!(
            spelled,
            "+5.000042 [3 1.2.3.4:5] \"SET\" \"a\\\"\\\\\" \"\\n\\x00\\xff b\"\r\n"
        );
        let spelled = line(0, (Database::ZERO, "a"), &words(&[b"AUTH", b"word"]), Secrets::Auth);
        assert_eq!(spelled, "+0.000000 [0 a] \"AUTH\" \"(redacted)\"\r\n");
    }

    #[test]
    fn a_line_is_bounded() {
        let word = [0; 2 * MONITOR_WORD_BYTES_MAX];
        let many: Vec<&[u8]> = vec![&word; 1000];
        let spelled = line(0, (Database::ZERO, "a"), &words(&many), Secrets::None);
        assert!(
            spelled.len() < MONITOR_LINE_BYTES_MAX + 5 * MONITOR_WORD_BYTES_MAX,
            "{}",
            spelled.len()
        );
        assert!(spelled.ends_with(b" more arguments)\"\r\n"));
    }
}
