//! SCAN: one shard after the other, until as many keys were looked at as the client wants.

use std::sync::Arc;

use kora_resp::glob::Pattern;
use kora_resp::{Bulks, Reply};
use kora_values::Database;

use super::{Context, Gather, Next};
use crate::command::{ScanFilter, ScanRequest};
use crate::cursor::{Cursor, ScanPlace};
use crate::error::ClientError;
use crate::limits::{KEYS_REPLY_BYTES_MAX, SCAN_REPLY_BYTES_MAX};
use crate::mail::{RequestBody, ScanPart, Scanned, Target};
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
    pub(crate) fn start(request: ScanRequest, context: &Context<'_>) -> Next {
        let cursor = Cursor::of_number(request.cursor);
        let scanning = Scanning {
            filter: Arc::new(request.filter),
            shard: cursor.shard,
            keys: Bulks::default(),
            form: Form::Page,
        };
        scanning.request(cursor.at, request.count, SCAN_REPLY_BYTES_MAX, context)
    }

    /// KEYS: a scan from the beginning to the end.
    pub(crate) fn list(pattern: Option<Pattern>, database: Database, context: &Context<'_>) -> Next {
        let filter = ScanFilter {
            pattern,
            type_name: None,
            database,
        };
        let scanning = Scanning {
            filter: Arc::new(filter),
            shard: Cursor::START.shard,
            keys: Bulks::default(),
            form: Form::List,
        };
        scanning.request(Cursor::START.at, usize::MAX, KEYS_REPLY_BYTES_MAX, context)
    }

    pub(crate) fn absorb(mut self, mut part: Scanned, context: &Context<'_>) -> Next {
        if let Some(error) = context.setup.too_large(self.keys.bytes_hint() + part.keys.bytes_hint()) {
            return Next::error(&error);
        }
        self.keys.append(&mut part.keys);
        if let Some(at) = part.next {
            let shard = self.shard;
            return self.reply(Cursor { shard, at });
        }
        self.shard = ShardId(self.shard.0 + 1);
        self.request(ScanPlace::default(), part.left, part.bytes_left, context)
    }

    fn request(self, at: ScanPlace, left: usize, bytes_left: usize, context: &Context<'_>) -> Next {
        let shard = self.shard;
        if shard.index() >= context.placement().shard_count() {
            return self.reply(Cursor::START);
        }
        if left == 0 {
            return self.reply(Cursor { shard, at });
        }
        let filter = Arc::clone(&self.filter);
        let body = RequestBody::Scan(Box::new(ScanPart {
            filter,
            at,
            left,
            bytes_left,
        }));
        Next::Request(Gather::Scanning(Box::new(self)), vec![(Target::Shard(shard), body)])
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
