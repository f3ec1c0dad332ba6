//! Rules of users: any text, as a file and as the words of ACL SETUSER.
//!
//! The first byte says how many of the others are the file; the words of a rule are separated by zero bytes.

use bytes::Bytes;
use kora_access::{NewUsers, Users};
use kora_command::table;
use kora_resp::{Reader, ReaderLimits};

/// Panics if what is read is written otherwise than it is read again, or if the same rules then mean something else.
pub fn check(bytes: &[u8]) {
    let [choice, rest @ ..] = bytes else { return };
    let (file, words) = rest.split_at(usize::from(*choice).min(rest.len()));
    let new_users = NewUsers {
        have_all_channels: choice % 2 == 1,
    };
    let mut users = Users::default();
    if let Ok(read) = users.read(file, "users.acl", new_users) {
        users = read;
    }
    let rules: Vec<Bytes> = words.split(|byte| *byte == 0).map(Bytes::copy_from_slice).collect();
    if let Ok(changed) = users.with_rules(b"u", &rules, new_users) {
        assert!(changed.version() > users.version());
        users = changed;
    }
    let text = users.text();
    // A name or a rule in quotes is one word to a client and several in a file: only of those that are one, more is asked.
    let Ok(again) = Users::default().read(&text, "users.acl", new_users) else {
        panic!("what is written cannot be read: {}", String::from_utf8_lossy(&text));
    };
    assert_eq!(text, again.text());
    for request in REQUESTS {
        let mut reader = Reader::new(ReaderLimits::default());
        let request = reader.read(request).expect("sound").expect("whole");
        let words = request.words(0);
        let entry = table::find(request.argument(0)).expect("a command");
        for user in users.iter() {
            let same = again.get(&user.name).expect("it was written");
            let is_collection = |key: &[u8]| key == b"a";
            let outcome = user.check(entry, &words, &is_collection);
            assert_eq!(outcome, same.check(entry, &words, &is_collection));
            assert!(outcome.is_ok() || !user.is_unlimited());
        }
    }
}

const REQUESTS: [&[u8]; 7] = [
    b"GET a\r\n",
    b"SET b 1 GET\r\n",
    b"COPY a b\r\n",
    b"VECQUERY a:* 1 1\r\n",
    b"PSUBSCRIBE a b*\r\n",
    b"EVAL x 2 a b\r\n",
    b"SELECT 0\r\n",
];
