//! What the twin says about publishing. In the model no client subscribes: what subscribers are sent comes unasked, and is
//! held against Redis in `tests/differential/conversations.py`.

use super::{Answer, Expected, Twin, Words, quoted};
use crate::name::Name;
use crate::say::Say;

impl Twin {
    pub(super) fn reset(&mut self, id: u64) -> Answer {
        self.forget_transaction(id);
        let is_open = self.password.is_none();
        let session = self.session(id);
        session.protocol = kora_tests::reply::Protocol::Two;
        session.is_authenticated = is_open;
        session.database = 0;
        session.name = bytes::Bytes::new();
        Ok(Expected::Reply(Say::Simple("RESET")))
    }
}

pub(super) fn answer(name: Name, words: &Words<'_>) -> Answer {
    let reply = match name {
        Name::PubSubChannels | Name::PubSubShardChannels if words.count() > 3 => {
            let subcommand = quoted(&words.0[1]);
            return Say::error(format!(
                "ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try PUBSUB HELP."
            ));
        }
        Name::PubSubChannels | Name::PubSubShardChannels => Say::Array(Vec::new()),
        Name::PubSubNumSub | Name::PubSubShardNumSub => {
            let names = (2..words.count()).map(|index| Say::Bulk(words.owned(index)));
            Say::Array(names.flat_map(|name| [name, Say::Integer(0)]).collect())
        }
        Name::Publish | Name::SPublish | Name::PubSubNumPat => Say::Integer(0),
        name => unreachable!("{name:?} is not said with its words"),
    };
    Ok(Expected::Reply(reply))
}
