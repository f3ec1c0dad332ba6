//! Requests of any words, read as commands.
//!
//! The first byte says whether the connection has authenticated; the rest is what it sent. What must hold:
//!
//! 1. Every request is a command or refused in one printable line, which quotes no more than a little of it.
//! 2. The name may be written in any case of letters.
//! 3. Before the password only what leads to it is read.
//! 4. What is set, asked for or created is within the limits: finite components, as many as were said, names that fit.

use kora_command::limits::{
    CENTER_KEYS_MAX, COLLECTION_NAME_BYTES_MAX, EF_MAX, K_MAX, KEY_BYTES_MAX, MANY_NEIGHBOURS_MAX, QUERIES_MAX,
};
use kora_command::table::{self, Access, Parsed};
use kora_command::{Center, Command, Element};
use kora_engine::Cursor;
use kora_resp::limits::PATTERN_BYTES_MAX;
use kora_resp::{Reader, ReaderLimits, Request};
use kora_vector::limits::DIMENSION_MAX;

/// Panics if one of the four does not hold.
pub fn check(bytes: &[u8]) {
    let [choice, stream @ ..] = bytes else { return };
    let access = match choice % 4 {
        0 => Access::BeforeAuth,
        _ => Access::Full,
    };
    let mut reader = Reader::new(ReaderLimits::default());
    let mut unread = stream;
    while let Ok(Some(request)) = reader.read(unread) {
        let consumed = request.consumed();
        if request.arguments().next().is_some() {
            check_request(&request, access);
        }
        unread = &unread[consumed..];
    }
}

fn check_request(request: &Request<'_>, access: Access) {
    let parsed = table::parse(request, access);
    check_command(&parsed.command);
    let name = parsed.entry.name;
    assert_eq!(table::find(name.as_bytes()).is_some(), name != table::UNKNOWN.name);
    if access == Access::BeforeAuth && !matches!(parsed.command, Command::Refused(_)) {
        assert!(parsed.entry.before_auth, "{name} before AUTH");
    }
    assert_eq!(name, in_capitals(request, access).entry.name);
}

/// The same with the first two words in capitals: the name and the subcommand, if it has one.
fn in_capitals(request: &Request<'_>, access: Access) -> Parsed {
    let words: Vec<Vec<u8>> = request.arguments().map(<[u8]>::to_vec).collect();
    let mut spelled = format!("*{}\r\n", words.len()).into_bytes();
    for (place, word) in words.iter().enumerate() {
        spelled.extend(format!("${}\r\n", word.len()).into_bytes());
        spelled.extend(if place < 2 {
            word.to_ascii_uppercase()
        } else {
            word.clone()
        });
        spelled.extend(b"\r\n");
    }
    let mut reader = Reader::new(ReaderLimits::default());
    let request = reader.read(&spelled).expect("it was a request").expect("it is whole");
    table::parse(&request, access)
}

fn check_command(command: &Command) {
    match command {
        Command::Refused(error) => {
            let text = error.to_string();
            assert!(text.len() <= ERROR_BYTES_MAX, "{} bytes: {text}", text.len());
            assert!(!text.contains(['\r', '\n']), "{text:?}");
            let code = text.split(' ').next().unwrap_or_default();
            assert!(
                !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase()),
                "{text}"
            );
        }
        Command::VectorSet(element, vector, _) => {
            check_element(element);
            check_vector(vector);
        }
        Command::VectorGet(element, _) => check_element(element),
        Command::VectorDelete(elements) => {
            assert!(!elements.is_empty());
            for (collection, name) in elements.iter() {
                assert!(collection.len() <= COLLECTION_NAME_BYTES_MAX + PREFIX_BYTES);
                assert!(collection.len() + 1 + name.len() <= KEY_BYTES_MAX + PREFIX_BYTES);
            }
        }
        Command::VectorQuery(query) => {
            match &query.center {
                Center::Given(vector) => check_vector(vector),
                Center::Stored(element) => check_element(element),
                Center::Mean(elements) => {
                    assert!((1..=CENTER_KEYS_MAX).contains(&elements.len()));
                    for (element, weight) in elements {
                        check_element(element);
                        assert!(weight.is_finite());
                    }
                }
            }
            assert!((1..=K_MAX).contains(&query.wish.k));
            assert!(query.wish.ef.is_none_or(|ef| (1..=EF_MAX).contains(&ef)));
            assert!(query.wish.radius.is_none_or(f32::is_finite));
            assert!(query.target.len() <= KEY_BYTES_MAX + PREFIX_BYTES);
        }
        Command::VectorQueryMany(query) => {
            assert!((1..=QUERIES_MAX).contains(&query.vectors.len()));
            query.vectors.iter().for_each(|vector| check_vector(vector));
            assert!((1..=MANY_NEIGHBOURS_MAX).contains(&(query.vectors.len() * query.wish.nearest())));
            assert!(query.target.len() <= KEY_BYTES_MAX);
        }
        Command::Scan(request) => {
            assert!(request.count >= 1);
            // What was given is some place, and a place that is given out again is the same.
            let cursor = Cursor::of_number(request.cursor);
            if usize::from(cursor.shard.0) < SHARDS_MAX {
                assert_eq!(Cursor::of_number(cursor.number()), cursor);
            }
            let pattern = request.filter.pattern.as_ref();
            assert!(pattern.is_none_or(|pattern| pattern.bytes() <= 257 * 8 * (PATTERN_BYTES_MAX / 64 + 1)));
        }
        Command::VectorCreate(creation) => {
            assert!((1..=DIMENSION_MAX).contains(&creation.dimension));
            assert!((1..=COLLECTION_NAME_BYTES_MAX + PREFIX_BYTES).contains(&creation.collection.len()));
        }
        _ => (),
    }
}

fn check_element(element: &Element) {
    assert!((1..=COLLECTION_NAME_BYTES_MAX + PREFIX_BYTES).contains(&element.collection.len()));
    assert!(element.collection.len() + 1 + element.name.len() <= KEY_BYTES_MAX + PREFIX_BYTES);
}

fn check_vector(vector: &[f32]) {
    assert!((1..=DIMENSION_MAX).contains(&vector.len()));
    assert!(vector.iter().all(|component| component.is_finite()));
}

/// What says the database of a stored name, which these bytes may look like.
const PREFIX_BYTES: usize = 3;

/// As many shards as the settings allow, and as a cursor can tell.
const SHARDS_MAX: usize = 256;

/// Every error in words, with what it quotes escaped.
const ERROR_BYTES_MAX: usize = 1024;
