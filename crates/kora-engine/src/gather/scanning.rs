//! SCAN: one shard after the other, until as many keys were looked at as the client wants.

use std::sync::Arc;

use kora_resp::glob::Pattern;
use kora_resp::{Bulks, Reply};

use super::{Around, Gather, Next};
use crate::command::{ScanFilter, ScanRequest};
use crate::cursor::{Cursor, ScanPlace};
use crate::error::ClientError;
use crate::limits::{KEYS_REPLY_BYTES_MAX, SCAN_REPLY_BYTES_MAX};
use crate::mail::{Ask, ScanAsk, Scanned, Target};
use crate::router::ShardId;

/// A SCAN of which a part is missing.
pub(crate) struct Scanning {
    filter: Arc<ScanFilter>,
    /// Which shard was asked last.
    shard: ShardId,
    keys: Bulks,
    form: Form,
}

/// What is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// SCAN: a cursor, and some keys.
    Page,
    /// KEYS: all keys.
    List,
}

impl Scanning {
    pub(crate) fn start(request: ScanRequest, around: &Around<'_>) -> Next {
        let cursor = Cursor::of_number(request.cursor);
        let scanning = Scanning {
            filter: Arc::new(request.filter),
            shard: cursor.shard,
            keys: Bulks::default(),
            form: Form::Page,
        };
        scanning.ask(cursor.at, request.count, SCAN_REPLY_BYTES_MAX, around)
    }

    /// KEYS: a scan from the beginning to the end.
    pub(crate) fn list(pattern: Option<Pattern>, around: &Around<'_>) -> Next {
        let filter = ScanFilter {
            pattern,
            type_name: None,
        };
        let scanning = Scanning {
            filter: Arc::new(filter),
            shard: Cursor::START.shard,
            keys: Bulks::default(),
            form: Form::List,
        };
        scanning.ask(Cursor::START.at, usize::MAX, KEYS_REPLY_BYTES_MAX, around)
    }

    pub(crate) fn absorb(mut self, mut part: Scanned, around: &Around<'_>) -> Next {
        if let Some(error) = around.setup.too_large(self.keys.bytes_hint() + part.keys.bytes_hint()) {
            return Next::error(&error);
        }
        self.keys.append(&mut part.keys);
        if let Some(at) = part.next {
            let shard = self.shard;
            return self.reply(Cursor { shard, at });
        }
        self.shard = ShardId(self.shard.0 + 1);
        self.ask(ScanPlace::default(), part.left, part.room, around)
    }

    fn ask(self, at: ScanPlace, left: usize, room: usize, around: &Around<'_>) -> Next {
        let shard = self.shard;
        if shard.index() >= around.placement().shard_count() {
            return self.reply(Cursor::START);
        }
        if left == 0 {
            return self.reply(Cursor { shard, at });
        }
        let filter = Arc::clone(&self.filter);
        let ask = Ask::Scan(Box::new(ScanAsk { filter, at, left, room }));
        Next::Ask(Gather::Scanning(Box::new(self)), vec![(Target::Shard(shard), ask)])
    }

    fn reply(self, next: Cursor) -> Next {
        if self.form == Form::List {
            return match next {
                Cursor::START => Next::Reply(Reply::Bulks(Box::new(self.keys))),
                _ => Next::error(&ClientError::TooManyKeys),
            };
        }
        let cursor = Reply::Bulk(next.number().to_string().into());
        Next::Reply(Reply::Array(vec![cursor, Reply::Bulks(Box::new(self.keys))]))
    }
}
