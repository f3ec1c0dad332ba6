use proptest::prelude::*;

use super::*;
use crate::json;

/// What a program of our own can say, and what not, with the same attributes.
const ATTRIBUTES: &str =
    r#"{"i":5,"s":"abc","n":null,"t":true,"e":"","l":[1,"a",[2]],"o":{"x":{"y":7}},"q":"a\"b\nc"}"#;

fn passes(expression: &str, dialect: Dialect) -> bool {
    let filter = Filter::compile(expression.as_bytes(), dialect);
    filter
        .unwrap_or_else(|error| panic!("{expression}: {error}"))
        .matches(ATTRIBUTES.as_bytes())
}

#[test]
fn expressions_mean_what_they_mean_in_redis() {
    let both = [
        ("1", true),
        ("0", false),
        ("''", false),
        ("'x'", true),
        ("[]", true),
        ("0/0", true),
        (".i == 5", true),
        (".i==5&&.s=='abc'", true),
        (".i > 4 and .i < 6", true),
        ("not(.i)", false),
        ("!.t == 0", true),
        (".n == 0", false),
        (".e == 0", true),
        (".s == 0", true),
        ("'5' == 5", true),
        (".s > 'a'", false),
        ("1 or .zzz", false),
        ("not .zzz", false),
        (".i and .zzz", false),
        (".o", false),
        (".o or 1", false),
        ("2 ** 3 ** 2 == 512", true),
        ("-2 ** 2 == 4", true),
        ("7 % -4 == 3", true),
        ("3 > 2 > 1", false),
        ("1 - -1 == 2", true),
        ("1 2 + == 3", true),
        ("5 in [1, 5]", true),
        ("5 in ['5']", true),
        ("'a' in .l", true),
        ("2 in .l", false),
        (".i in [1, 2, ]", false),
        (".i-1 == 4", false),
        (".i - 1 == 4", true),
        ("1e400 == 2e400", true),
    ];
    for (expression, expected) in both {
        for dialect in [Dialect::Redis, Dialect::Kora] {
            assert_eq!(passes(expression, dialect), expected, "{expression} {dialect:?}");
        }
    }
}

#[test]
fn our_own_dialect_says_more() {
    for (expression, expected) in [
        (".t == true", true),
        (".o.x.y == 7", true),
        (".o.x.z == 7", false),
        (".l[0] == 1 and .l[2][0] == 2", true),
        (".i in 5..7 and .i in -1..5 and not (.i in 6..7)", true),
        ("'5' in 1..9", false),
        (".s starts 'ab'", true),
        (".s starts 'b'", false),
        ("exists .o and not exists .zzz", true),
        ("exists .o.x.y or .zzz", false),
        ("not not .i", true),
        ("!!.i", true),
        (r#".q == "a\"b\nc""#, true),
        (".n in [null, true]", true),
    ] {
        assert_eq!(passes(expression, Dialect::Kora), expected, "{expression}");
    }
    for expression in [
        "true",
        ".o.x",
        ".l[0] == 1",
        "1 in 1..2",
        ".s starts 'a'",
        "exists .o",
        "!!1",
        "not not 1",
    ] {
        assert!(
            Filter::compile(expression.as_bytes(), Dialect::Redis).is_err(),
            "{expression}"
        );
    }
}

#[test]
fn a_wrong_expression_says_where() {
    for (expression, near) in [
        (".n in [1 2]", "2]"),
        (".n = 2", " 2"),
        (".n >", ".n >"),
        ("", ""),
        ("(.a", "(.a"),
        (".a)", ".a)"),
        ("1 2", "1 2"),
        ("'abc", "'abc"),
        ("1e", "1e"),
        ("1.2.3 > 4", " > 4"),
        (".a.b == 1", ".a.b == 1"),
        ("- 1", "- 1"),
        ("#", "#"),
        (".a AND .b", " .b"),
    ] {
        let error = Filter::compile(expression.as_bytes(), Dialect::Redis).unwrap_err();
        assert_eq!(
            String::from_utf8_lossy(error.near(expression.as_bytes())),
            near,
            "{expression}"
        );
    }
}

#[test]
fn too_long_an_expression_is_refused() {
    let long = "1+".repeat(EXPRESSION_BYTES_MAX / 2) + "1";
    assert!(Filter::compile(long.as_bytes(), Dialect::Kora).is_err_and(|error| error.is_too_long()));
    let nested = "(".repeat(EXPRESSION_BYTES_MAX / 2) + &")".repeat(EXPRESSION_BYTES_MAX / 2);
    assert!(Filter::compile(nested.as_bytes(), Dialect::Kora).is_err());
    let many = "1+".repeat(EXPRESSION_BYTES_MAX / 2 - 1) + "1";
    assert!(Filter::compile(many.as_bytes(), Dialect::Kora).is_ok_and(|filter| filter.matches(b"{}")));
}

proptest! {
    /// Whatever is said about whatever, it is answered.
    #[test]
    fn nothing_panics(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..12),
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..12),
        is_ours in any::<bool>(),
    ) {
        let dialect = if is_ours { Dialect::Kora } else { Dialect::Redis };
        let (expression, attributes) = (words.concat(), pieces.concat());
        match Filter::compile(expression.as_bytes(), dialect) {
            Ok(filter) => {
                filter.matches(attributes.as_bytes());
                filter.matches(ATTRIBUTES.as_bytes());
            }
            Err(error) => {
                let near = String::from_utf8_lossy(error.near(expression.as_bytes()));
                prop_assert!(expression.contains(&*near));
            }
        }
        let _ = json::check(attributes.as_bytes());
    }

    /// A conjunction is true if its parts are.
    #[test]
    fn parts_of_a_conjunction_are_looked_at_one_by_one(numbers in prop::collection::vec(0u8..3, 1..6), nested in any::<bool>()) {
        let words: Vec<String> = numbers.iter().map(u8::to_string).collect();
        let expression = match nested {
            true => words.iter().rev().fold("1".to_owned(), |right, word| format!("{word} and ({right})")),
            false => words.join(" and "),
        };
        let filter = Filter::compile(expression.as_bytes(), Dialect::Redis).unwrap();
        prop_assert_eq!(filter.matches(b"{}"), numbers.iter().all(|number| *number > 0));
    }
}

const WORDS: &[&str] = &[
    " ", "1", "-2", ".i", ".s", ".", "..", "[", "]", "(", ")", ",", "'", "\"", "\\", "and", " or ", "not ", "in", "**",
    "<", "=", "==", "null", "true", "exists ", "starts", "1..2", ".o.x", ".l[0]", "e", "\0", "é",
];

const PIECES: &[&str] = &[
    "{", "}", "[", "]", "\"", "\"i\"", "\"s\":", ":", ",", "1", "-", "null", "true", "fals", "\\", "\\u00", " ",
    "\"l\":[", "\"o\":{",
];
