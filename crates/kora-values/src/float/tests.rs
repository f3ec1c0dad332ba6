use proptest::prelude::*;

use super::*;
use crate::{StringValue, ValueError};

fn sum(one: &[u8], other: &[u8]) -> Result<String, ValueError> {
    StringValue::new(one).increment_float(other)
}

/// What Redis 8.2.3 on x86-64 answered to SET and INCRBYFLOAT.
#[test]
fn sums_are_those_that_redis_gave() {
    for (one, other, answer) in [
        ("10.5", "0.1", Ok("10.6")),
        ("0.1", "0.2", Ok("0.3")),
        ("3", "5e3", Ok("5003")),
        ("1e-17", "1e-17", Ok("0.00000000000000002")),
        ("5e-18", "0", Ok("0")),
        ("1.5e-17", "0", Ok("0.00000000000000002")),
        ("2.5e-17", "0", Ok("0.00000000000000002")),
        ("-0.0", "-0", Ok("0")),
        ("-1e-20", "0", Ok("0")),
        ("0", "1e-4000", Ok("0")),
        ("0", "1e-5000", Err(ValueError::NotAFloat)),
        ("0e-5000", "1", Ok("1")),
        ("0x10", ".5", Ok("16.5")),
        ("0x.8", "0X1P-3", Ok("0.625")),
        ("0xabcdefABCDEF012345678", "0", Ok("12981176339671076349935616")),
        ("5.", "+1", Ok("6")),
        ("1E+2", "1e-2", Ok("100.01")),
        (
            "123456789012345678901234567890",
            "0",
            Ok("123456789012345678899921813504"),
        ),
        ("9223372036854775807", "1", Ok("9223372036854775808")),
        ("18446744073709551615", "0.5", Ok("18446744073709551616")),
        ("18446744073709551616", "1", Ok("18446744073709551616")),
        ("18446744073709551617", "0", Ok("18446744073709551616")),
        ("1e22", "-1e22", Ok("0")),
        ("1e19", "0.3", Ok("10000000000000000000")),
        ("3.14159265358979323846264338327950288", "0", Ok("3.14159265358979324")),
        ("1e40", "1", Ok("9999999999999999999783686092270256259072")),
        ("inf", "1", Err(ValueError::FloatOverflow)),
        ("1", "-Infinity", Err(ValueError::FloatOverflow)),
        ("1.18973149535723176509e4932", "0", Err(ValueError::NotAFloat)),
        ("1e99999999999999999999", "0", Err(ValueError::NotAFloat)),
    ] {
        assert_eq!(
            sum(one.as_bytes(), other.as_bytes()),
            answer.map(str::to_owned),
            "{one} + {other}"
        );
    }
    // The largest there is, in all its digits.
    let largest = sum(b"1.18973149535723176502e4932", b"0").expect("it is finite");
    assert_eq!((largest.len(), &largest[..21]), (4933, "118973149535723176502"));
    assert!(largest.ends_with("6811989770240"), "{largest}");
}

#[test]
fn what_redis_calls_no_float_is_none() {
    let refused = [
        "",
        " ",
        "+",
        "-",
        ".",
        "e5",
        ".e5",
        " 1",
        "1 ",
        "1e",
        "1e+",
        "1e5.5",
        "0x",
        "0x.",
        "0x.p1",
        "0x1p",
        "0x1p+",
        "1p3",
        "1..2",
        "1.2.3",
        "--1",
        "+-1",
        "1_0",
        "1,5",
        "infinit",
        "infinity1",
        "nan",
        "-nan",
        "nan(1)",
        "1\0",
        "1f",
        "1L",
        "٣",
    ];
    for text in refused {
        assert_eq!(sum(text.as_bytes(), b"1"), Err(ValueError::NotAFloat), "{text:?}");
        assert_eq!(sum(b"1", text.as_bytes()), Err(ValueError::NotAFloat), "{text:?}");
    }
    assert_eq!(sum(b"\xff", b"1"), Err(ValueError::NotAFloat));
    let mut long = vec![b'0'; TEXT_BYTES_MAX];
    assert_eq!(sum(&long, b"1"), Ok("1".to_owned()));
    long.push(b'0');
    assert_eq!(sum(&long, b"1"), Err(ValueError::NotAFloat), "Redis has no room for it");
}

proptest! {
    /// Fractions of few binary digits are exact in 64 bits, and so are their sums: the twin adds whole numbers.
    #[test]
    fn exact_sums_are_printed_in_all_their_digits(one in -1_i64 << 44..1 << 44, other in -1_i64 << 44..1 << 44, bits in 0_u32..17) {
        let decimal = |number: i64| {
            let scaled = i128::from(number) * i128::from(FRACTION >> bits);
            let (sign, scaled) = (if scaled < 0 { "-" } else { "" }, scaled.unsigned_abs());
            let text = format!("{sign}{}.{:017}", scaled / u128::from(FRACTION), scaled % u128::from(FRACTION));
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        let found = sum(decimal(one).as_bytes(), decimal(other).as_bytes());
        prop_assert_eq!(found, Ok(decimal(one + other)));
    }

    #[test]
    fn no_text_makes_it_panic(one in "[-+0-9.exXpPinfa]{0,12}", other in "[0-9]{1,30}[.e][-+]?[0-9]{1,6}") {
        let _ = sum(one.as_bytes(), other.as_bytes());
    }
}
