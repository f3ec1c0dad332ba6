use kora_command::acl::find_command;
use kora_resp::{Reader, ReaderLimits, Words};
use proptest::prelude::*;

use super::*;
use crate::commands::{CATEGORIES, category, index};
use crate::denials::Reason;

const NEW: NewUsers = NewUsers {
    have_all_channels: false,
};

fn words(text: &str) -> Words {
    let mut reader = Reader::new(ReaderLimits::default());
    let line = format!("{text}\r\n");
    let request = reader.read(line.as_bytes()).expect("sound").expect("whole");
    request.words(0)
}

fn rules(text: &str) -> Vec<Bytes> {
    let rule = |word: &str| Bytes::copy_from_slice(word.as_bytes());
    text.split(' ').map(rule).collect()
}

fn user(text: &str) -> Arc<User> {
    let users = Users::default()
        .with_rules(b"u", &rules(text), NEW)
        .expect("good rules");
    Arc::clone(users.get(b"u").expect("made"))
}

/// Why a user may not say that, if it may not. The collection `docs` exists.
fn denied(user: &User, text: &str) -> Option<Reason> {
    let words = words(text);
    let entry = find_command(&words).expect("a command");
    let is_collection = |key: &[u8]| key == b"docs";
    user.check(entry, &words, &is_collection)
        .err()
        .map(|denial| denial.reason)
}

fn error(text: &str) -> String {
    Users::default()
        .with_rules(b"u", &rules(text), NEW)
        .expect_err("a bad rule")
}

#[test]
fn rules_about_commands_apply_in_order() {
    let limited = user("+@all -@dangerous +keys -get ~*");
    assert!(!limited.is_unlimited());
    assert_eq!(denied(&limited, "KEYS *"), None);
    assert_eq!(denied(&limited, "FLUSHALL"), Some(Reason::Command));
    assert_eq!(denied(&limited, "GET a"), Some(Reason::Command));
    assert_eq!(denied(&limited, "SET a 1"), None);
    assert_eq!(denied(&user("+config|get"), "CONFIG GET x"), None);
    assert_eq!(denied(&user("+config|get"), "CONFIG SET x y"), Some(Reason::Command));
    assert_eq!(
        denied(&user("+config -config|set"), "CONFIG SET x y"),
        Some(Reason::Command)
    );
    let selecting = user("+select|0");
    assert_eq!(denied(&selecting, "SELECT 0"), None);
    assert_eq!(denied(&selecting, "SELECT 1"), Some(Reason::Command));
    assert_eq!(
        denied(&user("-@all"), "AUTH a b"),
        None,
        "a user who may do nothing may log in"
    );
}

#[test]
fn what_is_done_to_a_key_takes_a_pattern_that_allows_it() {
    let reader = user("+@all %R~in:* %W~out:* ~both:*");
    for (request, reason) in [
        ("GET in:1", None),
        ("SET in:1 x", Some(Reason::Key)),
        ("SET out:1 x", None),
        ("SET out:1 x GET", Some(Reason::Key)),
        ("INCR out:1", Some(Reason::Key)),
        ("INCR both:1", None),
        ("COPY in:1 out:1", None),
        ("COPY out:1 in:1", Some(Reason::Key)),
        ("RENAME in:1 out:1", Some(Reason::Key)),
        ("EXISTS out:1 in:1", None),
        ("EXISTS other", Some(Reason::Key)),
        ("MGET in:1 in:2 out:1", Some(Reason::Key)),
        ("EVAL x 1 both:1", None),
        ("EVAL x 1 in:1", Some(Reason::Key)),
        ("EVAL_RO x 1 in:1", None),
        ("EVAL x 0 other", None),
        ("KEYS other", None),
    ] {
        assert_eq!(denied(&reader, request), reason, "{request}");
    }
}

#[test]
fn a_whole_collection_takes_a_pattern_that_covers_it() {
    for (text, request, reason) in [
        ("~docs:*", "VECQUERY docs 1 1 2", None),
        ("~docs:*", "VECQUERY docs:* 1 1 2", None),
        ("~docs:*", "VECQUERY docs:7 1 1 2", None),
        ("~docs:*", "VECQUERY doc 1 1 2", Some(Reason::Key)),
        ("~docs:*", "VECQUERY docs 1 KEY other:1", Some(Reason::Key)),
        ("~docs:7", "VECQUERY docs:7 1 1 2", Some(Reason::Key)),
        ("~docs:1*", "VECQUERY docs 1 1 2", Some(Reason::Key)),
        ("~docs", "VECQUERY docs 1 1 2", Some(Reason::Key)),
        ("~do*", "VECQUERY docs 1 1 2", None),
        ("~do\\*", "VECQUERY do\\* 1 1 2", Some(Reason::Key)),
        ("~docs:?*", "VECQUERY docs 1 1 2", Some(Reason::Key)),
        ("%W~docs:*", "VECQUERY docs 1 1 2", Some(Reason::Key)),
        ("%R~docs:*", "VECDROP docs", Some(Reason::Key)),
        ("%W~docs:*", "VECDROP docs", None),
        ("%R~docs:*", "VECINFO docs", None),
        ("~docs", "DEL docs", Some(Reason::Key)),
        ("~docs ~docs:*", "DEL docs", None),
        ("~news", "DEL news", None),
        ("~docs:7", "VECGET docs:7", None),
        ("~docs:7", "VECSET docs:8 1 1", Some(Reason::Key)),
    ] {
        assert_eq!(
            denied(&user(&format!("+@all {text}")), request),
            reason,
            "{text}: {request}"
        );
    }
}

#[test]
fn channels_are_heard_and_spoken_to_by_pattern() {
    let hearer = user("+@all &news.*");
    assert_eq!(denied(&hearer, "SUBSCRIBE news.a news.b"), None);
    assert_eq!(denied(&hearer, "SUBSCRIBE news.a x"), Some(Reason::Channel));
    assert_eq!(denied(&hearer, "PUBLISH x y"), Some(Reason::Channel));
    assert_eq!(denied(&hearer, "PSUBSCRIBE news.*"), None);
    assert_eq!(denied(&hearer, "PSUBSCRIBE news.a*"), Some(Reason::Channel));
    assert_eq!(denied(&hearer, "UNSUBSCRIBE x"), None);
    assert!(hearer.may_hear(b"news.", false) && !hearer.may_hear(b"news", false));
}

#[test]
fn one_selector_must_allow_all_of_a_command() {
    let both = user("+get ~a* (+set ~b*)");
    assert_eq!(denied(&both, "GET a"), None);
    assert_eq!(denied(&both, "SET b 1"), None);
    assert_eq!(denied(&both, "SET a 1"), Some(Reason::Key), "the graver of two reasons");
    assert_eq!(denied(&both, "DEL a"), Some(Reason::Command));
    assert!(user("(+@all ~* &*)").is_unlimited());
}

#[test]
fn passwords_are_hashes_and_any_of_them_is_right() {
    let users = Users::default();
    let users = users.with_rules(b"u", &rules("on >a >b"), NEW).expect("good rules");
    assert!(users.authenticate(b"u", b"a").is_some() && users.authenticate(b"u", b"b").is_some());
    assert!(users.authenticate(b"u", b"c").is_none() && users.authenticate(b"v", b"a").is_none());
    let users = users.with_rules(b"u", &rules("<a"), NEW).expect("it is there");
    assert!(users.authenticate(b"u", b"a").is_none());
    let off = users.with_rules(b"u", &rules("off nopass"), NEW).expect("good rules");
    assert!(off.authenticate(b"u", b"b").is_none());
    assert!(users.authenticate(b"default", b"anything").is_some());
    let locked = users.with_password(Some("secret"));
    assert!(locked.need_login() && locked.authenticate(b"default", b"anything").is_none());
    assert!(locked.authenticate(b"default", b"secret").is_some());
    assert!(!locked.with_password(None).need_login());
}

#[test]
fn what_is_wrong_is_said_in_redis_s_words() {
    let modifier = |rule: &str, text: &str| format!("Error in ACL SETUSER modifier '{rule}': {text}");
    assert_eq!(error("foo"), modifier("foo", "Syntax error"));
    assert_eq!(
        error("on +nothing"),
        modifier("+nothing", "Unknown command or category name in ACL")
    );
    assert_eq!(
        error("+config|get|x"),
        modifier("+config|get|x", "Allowing first-arg of a subcommand is not supported")
    );
    assert_eq!(
        error("(+get"),
        "Unmatched parenthesis in acl selector starting at '(+get'."
    );
    assert_eq!(error("%RR~x"), modifier("%RR~x", "Syntax error"));
    assert!(Users::default().with_rules(b"a b", &[], NEW).is_err());
    let long = format!("~{}", "x".repeat(2_000));
    assert!(error(&long).ends_with("A pattern has at most 1024 bytes"));
}

#[test]
fn a_file_is_taken_whole_or_not_at_all() {
    let users = Users::default();
    let read = |text: &str| users.read(text.as_bytes(), "/f", NEW);
    let loaded = read("user a on nopass +get ~x\n\nuser b off\n").expect("a good file");
    let names: Vec<&[u8]> = loaded.iter().map(|user| &user.name[..]).collect();
    assert_eq!(names, [&b"a"[..], b"b", b"default"]);
    assert_eq!(
        read("user a on foo\nuser b +nix\nuse c\n").expect_err("three errors"),
        "/f:1: Syntax error. /f:2: Error in applying operation '+nix': Unknown command or category name in ACL. \
         /f:3 should start with user keyword followed by the username. WARNING: ACL errors detected, no change to the \
         previously active ACL rules was performed"
    );
    assert!(
        read("user a\nuser a\n")
            .expect_err("twice")
            .starts_with("WARNING: Duplicate user 'a' found on line 2. ")
    );
}

#[test]
fn users_of_one_name_are_the_same_until_one_is_deleted() {
    let first = Users::default().with_rules(b"u", &rules("on"), NEW).expect("good");
    let changed = first.with_rules(b"u", &rules("off"), NEW).expect("good");
    let loaded = changed.read(b"user u on\n", "/f", NEW).expect("good");
    let (gone, count) = loaded.without(&[Bytes::from_static(b"u")]).expect("not default");
    let again = gone.with_rules(b"u", &[], NEW).expect("good");
    let user = |users: &Users| Arc::clone(users.get(b"u").expect("there"));
    assert_eq!(count, 1);
    assert!(user(&first).is_same_user(&user(&changed)) && user(&first).is_same_user(&user(&loaded)));
    assert!(!user(&first).is_same_user(&user(&again)));
    assert!(first.version() < changed.version() && changed.version() < loaded.version());
    assert!(again.without(&[Bytes::from_static(b"default")]).is_err());
}

/// Rules that are drawn from. Few, so that they meet.
const RULES: &[&str] = &[
    "+@all",
    "-@all",
    "+@read",
    "-@read",
    "+@write",
    "-@write",
    "+@string",
    "-@string",
    "+@fast",
    "-@slow",
    "+@vector",
    "-@dangerous",
    "+get",
    "-get",
    "+set",
    "-set",
    "+mget",
    "+config",
    "-config",
    "+config|get",
    "-config|get",
    "+client|id",
    "-client",
    "+select|0",
    "+SELECT|x",
    "-select",
    "+vecquery",
    "-vecquery",
    "allkeys",
    "resetkeys",
    "~a*",
    "~b",
    "%R~a*",
    "%W~b*",
    "%RW~c",
    "~*",
    "~",
    "~docs:*",
    "~docs",
    "~?",
    "allchannels",
    "resetchannels",
    "&a*",
    "&b",
    "&*",
    "on",
    "off",
    "nopass",
    "resetpass",
    ">p",
    "<p",
    "reset",
    "clearselectors",
    "(+get ~a*)",
    "(+@read %R~b* &b)",
    "(+@all ~* &*)",
    "sanitize-payload",
    "skip-sanitize-payload",
];

const REQUESTS: &[&str] = &[
    "GET a",
    "GET b",
    "GET other",
    "SET a 1",
    "SET b 1 GET",
    "MGET a b",
    "MSET a 1 c 2",
    "COPY a b",
    "RENAME a b",
    "EXISTS a c",
    "DEL docs",
    "TTL docs",
    "CONFIG GET x",
    "CONFIG SET a b",
    "CLIENT ID",
    "SELECT 0",
    "SELECT 1",
    "VECQUERY docs 1 1 2",
    "VECDROP docs",
    "VECLIST",
    "PUBLISH a x",
    "SUBSCRIBE a b",
    "PSUBSCRIBE a*",
    "KEYS *",
    "PING",
    "FLUSHALL",
    "EVAL x 1 a",
    "AUTH a b",
    "ACL WHOAMI",
    "ACL LIST",
];

/// The same rules, read in the simplest way: everything is looked up in the list of rules each time.
struct Twin(Vec<&'static str>);

impl Twin {
    /// The rules of each selector, the user's own first.
    fn selectors(&self) -> Vec<Vec<&'static str>> {
        let mut selectors = vec![Vec::new()];
        for rule in &self.0 {
            match *rule {
                "reset" => selectors = vec![Vec::new()],
                "clearselectors" => selectors.truncate(1),
                rule if rule.starts_with('(') => {
                    selectors.push(rule.trim_matches(['(', ')']).split(' ').collect());
                }
                rule => selectors[0].push(rule),
            }
        }
        selectors
    }

    fn allows(&self, request: &str) -> bool {
        let words: Vec<&str> = request.split(' ').collect();
        let parsed = self::words(request);
        let entry = find_command(&parsed).expect("a command");
        self.selectors()
            .iter()
            .any(|rules| Twin::selector_allows(rules, entry, &parsed, &words))
    }

    fn selector_allows(
        rules: &[&str],
        entry: &'static kora_command::table::CommandEntry,
        parsed: &Words,
        words: &[&str],
    ) -> bool {
        use kora_command::names_used::Named;
        if !entry.before_auth && !Twin::allows_command(rules, entry.name, words.get(1).copied()) {
            return false;
        }
        let number = index().number(entry).expect("a command");
        let ranges = index().command(number).names.ranges(parsed.iter());
        ranges.iter().all(|range| {
            let mut named = (range.first..range.end).step_by(range.step).map(|place| words[place]);
            named.all(|name| match range.named {
                Named::Key(key_use) => {
                    let is_allowed = Twin::allows_key(rules, name, key_use.reads, key_use.writes, false);
                    let whole = || Twin::allows_key(rules, &format!("{name}:"), key_use.reads, key_use.writes, true);
                    is_allowed && (name != "docs" || whole())
                }
                Named::Element(key_use, collection) => {
                    let key = format!("{}:{name}", words[collection]);
                    Twin::allows_key(rules, &key, key_use.reads, key_use.writes, false)
                }
                Named::Collection(key_use) => {
                    Twin::allows_key(rules, &format!("{name}:"), key_use.reads, key_use.writes, true)
                }
                Named::Target => Twin::allows_key(rules, &format!("{name}:"), true, false, true),
                Named::Channel => Twin::allows_channel(rules, name, false),
                Named::ChannelPattern => Twin::allows_channel(rules, name, true),
            })
        })
    }

    /// The last rule about the command decides.
    fn allows_command(rules: &[&str], name: &str, first: Option<&str>) -> bool {
        let container = name.split('|').next().unwrap_or(name);
        let number = index().find(name.as_bytes()).expect("a command");
        let own = index().command(number).categories;
        let of_container = index().find(container.as_bytes()).expect("a command");
        let inherited = index().command(of_container).categories;
        let mut allowed = false;
        let mut first_arguments: Vec<String> = Vec::new();
        for rule in rules {
            let (sign, what) = rule.split_at(1);
            let is_allowed = match sign {
                "+" => true,
                "-" => false,
                _ => continue,
            };
            let what = what.to_lowercase();
            let is_meant = match what.strip_prefix('@') {
                Some("all") => true,
                Some(name) => {
                    let bit = category(name.as_bytes()).expect("known");
                    (own | inherited) >> bit & 1 == 1
                }
                None => what == name || what == container,
            };
            if is_meant {
                allowed = is_allowed;
                first_arguments.clear();
            } else if is_allowed
                && let Some((command, argument)) = what.split_once('|')
                && command == name
            {
                first_arguments.push(argument.to_owned());
            }
        }
        let is_first = |argument: &str| first_arguments.iter().any(|known| known.eq_ignore_ascii_case(argument));
        allowed || first.is_some_and(is_first)
    }

    /// Patterns since the last rule about all keys; what rules say of one pattern adds up.
    fn allows_key(rules: &[&str], name: &str, reads: bool, writes: bool, covers: bool) -> bool {
        let mut all = false;
        let mut patterns: BTreeMap<String, (bool, bool)> = BTreeMap::new();
        for rule in rules {
            match *rule {
                "allkeys" | "~*" => (all, patterns) = (true, BTreeMap::new()),
                "resetkeys" => (all, patterns) = (false, BTreeMap::new()),
                rule if rule.starts_with(['~', '%']) && !all => {
                    let (rights, pattern) = rule.split_once('~').expect("a pattern");
                    let may = |right: char| rights.is_empty() || rights.contains(right);
                    let known = patterns.entry(pattern.to_owned()).or_default();
                    *known = (known.0 || may('R'), known.1 || may('W'));
                }
                _ => {}
            }
        }
        let fits = |pattern: &str| matches(pattern, name) && (!covers || pattern.ends_with('*'));
        let mut patterns = patterns.iter();
        all || patterns.any(|(pattern, (r, w))| (*r || !reads) && (*w || !writes) && fits(pattern))
    }

    fn allows_channel(rules: &[&str], name: &str, is_pattern: bool) -> bool {
        let mut all = false;
        let mut patterns: Vec<&str> = Vec::new();
        for rule in rules {
            match *rule {
                "allchannels" | "&*" => (all, patterns) = (true, Vec::new()),
                "resetchannels" => (all, patterns) = (false, Vec::new()),
                rule if rule.starts_with('&') && !all => patterns.push(&rule[1..]),
                _ => {}
            }
        }
        let fits = |pattern: &&str| {
            if is_pattern {
                *pattern == name
            } else {
                matches(pattern, name)
            }
        };
        all || patterns.iter().any(fits)
    }
}

/// A glob of stars, question marks and letters.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.as_bytes() {
        [] => text.is_empty(),
        [b'*', ..] => (0..=text.len()).any(|skipped| matches(&pattern[1..], &text[skipped..])),
        [b'?', ..] => !text.is_empty() && matches(&pattern[1..], &text[1..]),
        [letter, ..] => text.as_bytes().first() == Some(letter) && matches(&pattern[1..], &text[1..]),
    }
}

proptest! {
    #[test]
    fn rules_mean_what_the_list_of_them_says(chosen in prop::collection::vec(prop::sample::select(RULES), 0..12)) {
        let mut users = Users::default();
        let mut twin = Twin(Vec::new());
        for rule in chosen {
            let rules = [Bytes::from_static(rule.as_bytes())];
            if let Ok(next) = users.with_rules(b"u", &rules, NEW) {
                users = next;
                twin.0.push(rule);
            }
        }
        let Some(user) = users.get(b"u").cloned() else { return Ok(()) };
        let read = Users::default().read(&users.text(), "/f", NEW).expect("what is written can be read");
        prop_assert_eq!(read.text(), users.text());
        let again = read.get(b"u").expect("it was written");
        for request in REQUESTS {
            let expected = twin.allows(request);
            prop_assert_eq!(denied(&user, request).is_none(), expected, "{} of {:?}", request, twin.0);
            prop_assert_eq!(denied(again, request), denied(&user, request));
        }
    }

    #[test]
    fn no_text_breaks_the_rules(text in prop::collection::vec(any::<u8>(), 0..80), rule in "[-+~%&#<>!()@|a-zA-Z* \"']{0,20}") {
        let users = Users::default();
        let _ = users.read(&text, "/f", NEW);
        let _ = users.read(rule.as_bytes(), "/f", NEW);
        let rules = [Bytes::from(text.clone()), Bytes::from(rule)];
        for part in [&rules[..1], &rules[1..], &rules[..]] {
            if let Ok(users) = users.with_rules(b"u", part, NEW) {
                let user = users.get(b"u").expect("made");
                prop_assert!(!user.describe().is_empty());
            }
        }
        let _ = users.with_rules(&text, &[], NEW);
    }
}

#[test]
fn every_category_has_a_number() {
    assert_eq!(category(b"READ"), Some(1));
    assert_eq!(CATEGORIES.len(), 22);
}
