use proptest::prelude::*;

use super::*;

fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    Pattern::new(pattern, case).matches(text)
}

#[track_caller]
fn assert_matches(pattern: &[u8], text: &[u8], expected: bool) {
    for case in [Case::Sensitive, Case::Insensitive] {
        let context = format!(
            "{:?} on {:?}, {case:?}",
            pattern.escape_ascii().to_string(),
            text.escape_ascii().to_string()
        );
        assert_eq!(matches(pattern, text, case), expected, "{context}");
        assert_eq!(naive(pattern, text, case), expected, "naive: {context}");
    }
}

#[test]
fn each_element_matches_what_redis_says() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("a", "", false),
        ("abc", "abc", true),
        ("abc", "abcd", false),
        ("*", "", true),
        ("*", "anything", true),
        ("**", "", true),
        ("a*", "a", true),
        ("a*c", "abbbc", true),
        ("a*c", "abbbcd", false),
        ("*:doc?", "embedding:doc1", true),
        ("?", "", false),
        ("h[ae]llo", "hallo", true),
        ("h[ae]llo", "hillo", false),
        ("h[^e]llo", "hallo", true),
        ("h[^e]llo", "hello", false),
        ("h[a-b]llo", "hbllo", true),
        ("h[b-a]llo", "hallo", true),
        ("h[a-b]llo", "hcllo", false),
        ("[a-", "-", true),
        ("[a-]", "]", true),
        ("[a-]", "`", true),
        ("[]a", "a", false),
        ("[^]a", "xa", true),
        ("[abc", "b", true),
        ("[", "[", false),
        ("[^", "x", true),
        ("[\\]]", "]", true),
        ("[\\]]", "\\", false),
        ("[a\\-z]", "-", true),
        ("[a\\-z]", "b", false),
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("a\\", "a\\", true),
        ("\\\\", "\\", true),
        ("[\\", "\\", true),
        ("maxmemory*", "maxmemory-policy", true),
    ] {
        assert_matches(pattern.as_bytes(), text.as_bytes(), expected);
    }
    assert_matches(b"\xff[\x80-\xfe]\0", b"\xff\x90\0", true);
}

#[test]
fn case_matters_only_if_asked_for() {
    for (pattern, text) in [
        ("PoRt", "pOrT"),
        ("[a-c]x", "BX"),
        ("[A-C]x", "bX"),
        ("\\A", "a"),
        ("[\\A]", "a"),
        ("*B", "ab"),
    ] {
        assert!(
            matches(pattern.as_bytes(), text.as_bytes(), Case::Insensitive),
            "{pattern} on {text}"
        );
        assert!(
            !matches(pattern.as_bytes(), text.as_bytes(), Case::Sensitive),
            "{pattern} on {text}"
        );
    }
}

/// Exponential for whoever tries all ways to share the text among the stars: this would not return.
#[test]
fn many_stars_take_no_longer_than_one() {
    let pattern = [&b"*a".repeat(500)[..], b"*b"].concat();
    assert!(!matches(&pattern, &b"a".repeat(10_000), Case::Sensitive));
    assert!(matches(
        &pattern,
        &[&b"a".repeat(10_000)[..], b"b"].concat(),
        Case::Sensitive
    ));
}

/// Elements on both sides of a word's end, with stars before and behind it.
#[test]
fn a_pattern_may_be_longer_than_a_word() {
    for length in [62, 63, 64, 65, 127, 128, 129, 1000] {
        let text: Vec<u8> = (0..length).map(|index| b'a' + (index % 23) as u8).collect();
        for star in [0, 1, length / 2, length - 1, length] {
            let pattern = [&text[..star], b"*", &text[star..]].concat();
            assert!(matches(&pattern, &text, Case::Sensitive), "{length} {star}");
            let longer = [&text[..star], b"zzz", &text[star..]].concat();
            assert!(matches(&pattern, &longer, Case::Sensitive), "{length} {star}");
            assert!(!matches(&pattern, &text[1..], Case::Sensitive), "{length} {star}");
            assert!(!matches(&text, &longer, Case::Sensitive), "{length} {star}");
        }
    }
}

/// What a star means, said directly: some number of bytes, then the rest.
fn naive(pattern: &[u8], text: &[u8], case: Case) -> bool {
    match (pattern, text) {
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|taken| naive(rest, &text[taken..], case)),
        ([], _) => text.is_empty(),
        (_, []) => false,
        (_, [byte, after @ ..]) => {
            let (set, rest) = element(pattern, case);
            set.holds(fold(*byte, case)) && naive(rest, after, case)
        }
    }
}

fn bytes_of(alphabet: &'static [u8], length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(alphabet), length)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn a_match_is_one_of_all_ways_to_share_a_text_among_the_stars(
        pattern in bytes_of(b"***aabbA?[]^-\\", 0..10),
        text in bytes_of(b"aabbA]-", 0..10),
    ) {
        for case in [Case::Sensitive, Case::Insensitive] {
            prop_assert_eq!(matches(&pattern, &text, case), naive(&pattern, &text, case));
        }
    }

    #[test]
    fn an_escaped_text_matches_itself_alone(text in bytes_of(b"ab*?[]\\^-", 0..8), other in bytes_of(b"ab*?[]\\^-", 0..8)) {
        let pattern: Vec<u8> = text.iter().flat_map(|&byte| [b'\\', byte]).collect();
        prop_assert!(matches(&pattern, &text, Case::Sensitive));
        prop_assert_eq!(matches(&pattern, &other, Case::Sensitive), text == other);
    }
}
