//! Requests about strings, hashes and keys of any type.

use super::{Author, collection, key};
use crate::name::{Family, Name};

/// True for the commands that name keys.
pub(super) fn has(name: Name) -> bool {
    let is_family = matches!(
        name.family(),
        Family::String | Family::Hash | Family::Lifetime | Family::Key
    );
    (is_family || name == Name::Watch) && !matches!(name, Name::Scan | Name::Keys | Name::RandomKey)
}

pub(super) fn request(name: Name, author: &mut Author) -> String {
    let command = name.text().replace('|', " ");
    let key = match name {
        Name::ObjectEncoding | Name::ObjectFreq | Name::ObjectIdleTime | Name::ObjectRefCount | Name::MemoryUsage => {
            match author.random.below(3) {
                0 => key(author),
                1 => any_key(author),
                _ => (*author.random.pick(&["k1", "k2", "{t}k3"])).to_owned(),
            }
        }
        Name::Rename | Name::RenameNx | Name::Copy if author.random.percent(20) => {
            let sets = ["k1", "k2", "{t}k3", "s1", "{t}s2", "a"];
            let (from, to) = (
                author.random.pick(&sets).to_string(),
                author.random.pick(&sets).to_string(),
            );
            return format!("{command} {from} {to}");
        }
        // Vectors move, too, and mostly to where they can.
        Name::Move if author.random.percent(30) => key(author),
        Name::Rename | Name::RenameNx | Name::Copy if author.random.percent(50) => {
            let from = key(author);
            let to = key(author);
            let options = match name {
                Name::Copy => some(author, &["REPLACE"], 50) + &some(author, &["DB 0", "DB 1"], 15),
                _ => String::new(),
            };
            return format!("{command} {from} {to}{options}");
        }
        // A collection's time is rarely given, and mostly a while: it takes its vectors with it.
        _ if name.family() == Family::Lifetime && author.random.percent(20) => collection(author).to_owned(),
        _ => any_key(author),
    };
    let rest = match name.family() {
        Family::String => string_rest(name, author),
        Family::Hash => hash_rest(name, author),
        Family::Lifetime => lifetime_rest(name, author),
        _ => key_rest(name, author),
    };
    match name {
        // Numbers that are exact in binary stand under names of their own.
        Name::IncrByFloat => format!("{command} float{rest}"),
        Name::Get | Name::Del | Name::PTtl | Name::Expire if author.random.percent(20) => {
            format!("{command} float{rest}")
        }
        Name::MSetEx => {
            let options = [
                "NX", "xx", "KEEPTTL", "EX 1", "px 30", "PX 2000", "PXAT 1", "GET", "EX 0",
            ];
            let mut pairs = format!(" {key} {}", value(author));
            let more = author.random.below(3);
            for _ in 0..more {
                pairs.push_str(&format!(" {} {}", any_key(author), value(author)));
            }
            let count = (more + 1).to_string();
            let count = author
                .random
                .pick(&[count.as_str(), &count, &count, &count, &count, "0", "x", "9"])
                .to_owned();
            format!("{command} {count}{pairs}{}", some(author, &options, 15))
        }
        _ => format!("{command} {key}{rest}"),
    }
}

/// Mostly keys of strings and hashes, now and then a vector's or a collection's.
fn any_key(author: &mut Author) -> String {
    match author.random.below(20) {
        0 => key(author),
        1 => collection(author).to_owned(),
        2 => "a:7".to_owned(),
        number => (*author
            .random
            .pick(&["k1", "k2", "{t}k3", "{t}k4", "k5"][..1 + number % 5]))
        .to_owned(),
    }
}

fn value(author: &mut Author) -> String {
    let long = "x".repeat(100);
    let values = [
        "1",
        "42",
        "-7",
        "hello",
        "9223372036854775807",
        "007",
        "1.5",
        &long,
        "value",
    ];
    (*author.random.pick(&values)).to_owned()
}

fn number(author: &mut Author) -> &'static str {
    let numbers = [
        "1",
        "2",
        "-3",
        "10",
        "0",
        "9223372036854775807",
        "-9223372036854775808",
        "1x",
    ];
    numbers[author.random.below(numbers.len())]
}

fn some(author: &mut Author, options: &[&str], percent: usize) -> String {
    let mut text = String::new();
    for option in options {
        if author.random.percent(percent) {
            text.push(' ');
            text.push_str(option);
        }
    }
    text
}

fn string_rest(name: Name, author: &mut Author) -> String {
    match name {
        Name::Get | Name::GetDel | Name::MSetEx | Name::StrLen | Name::Incr | Name::Decr => String::new(),
        Name::Set => {
            let options = [
                "NX",
                "xx",
                "GET",
                "KEEPTTL",
                "EX 1",
                "px 30",
                "PX 2000",
                "PXAT 1",
                "EXAT 9999999999",
                "EX 0",
            ];
            format!(" {}{}", value(author), some(author, &options, 12))
        }
        Name::GetEx => some(author, &["PERSIST", "EX 1", "px 30", "PXAT 5", "EX -1", "EX x"], 20),
        Name::SetEx | Name::PSetEx => {
            format!(
                " {} {}",
                author.random.pick(&["1", "50", "0", "-1", "x"]),
                value(author)
            )
        }
        Name::IncrBy | Name::DecrBy => format!(" {}", number(author)),
        Name::IncrByFloat => format!(" {}", author.random.pick(&["0.5", "-1.25", "3", "1e2", "abc"])),
        Name::GetRange | Name::Substr => {
            let places = ["0", "1", "-1", "-3", "5", "100", "-200", "x"];
            format!(" {} {}", author.random.pick(&places), author.random.pick(&places))
        }
        Name::SetRange => format!(
            " {} {}",
            author.random.pick(&["0", "1", "5", "-1", "536870912"]),
            author.random.pick(&["", "abc", "z"])
        ),
        Name::MGet => several(author),
        Name::MSet | Name::MSetNx => {
            let mut text = format!(" {}", value(author));
            for _ in 0..author.random.below(3) {
                text.push_str(&format!(" {} {}", any_key(author), value(author)));
            }
            text
        }
        _ => format!(" {}", value(author)),
    }
}

fn field(author: &mut Author) -> &'static str {
    ["f0", "f1", "f2", "f3", "f4"][author.random.below(5)]
}

fn hash_rest(name: Name, author: &mut Author) -> String {
    match name {
        Name::HGetAll | Name::HKeys | Name::HLen | Name::HVals => String::new(),
        Name::HGet | Name::HExists | Name::HStrLen => format!(" {}", field(author)),
        Name::HGetDel => counted_fields(author),
        Name::HExpire | Name::HPExpire | Name::HExpireAt | Name::HPExpireAt => {
            let time = match name {
                Name::HExpire => author
                    .random
                    .pick(&["1", "1", "100", "0", "-1", "x", "99999999999999999"]),
                Name::HPExpire => author.random.pick(&["1", "30", "1000", "1000", "0", "70368744177664"]),
                Name::HExpireAt => author.random.pick(&["1780000001", "1780000100", "1", "9999999999"]),
                _ => author.random.pick(&["1780000000500", "1780000100000", "1"]),
            };
            let condition = *author.random.pick(&["", "", "", " NX", " xx", " GT", " LT", " EQ"]);
            format!(" {time}{condition}{}", counted_fields(author))
        }
        Name::HGetEx => {
            let options = [
                "",
                "",
                " EX 1",
                " px 30",
                " PX 2000",
                " PXAT 1",
                " EXAT 9999999999",
                " PERSIST",
                " EX x",
                " KEEPTTL",
            ];
            format!("{}{}", *author.random.pick(&options), counted_fields(author))
        }
        Name::HTtl | Name::HPTtl | Name::HExpireTime | Name::HPExpireTime | Name::HPersist => counted_fields(author),
        Name::HSetEx => {
            let options = [
                "FNX", "FXX", "EX 1", "px 30", "PX 2000", "PXAT 1", "KEEPTTL", "EX -1", "NX",
            ];
            let options = some(author, &options, 12);
            let count = author.random.between(1, 3);
            let mut pairs = String::new();
            for _ in 0..count {
                pairs.push_str(&format!(" {} {}", field(author), value(author)));
            }
            let count = *author.random.pick(&[count, count, count, count, 0, 9]);
            format!("{options} FIELDS {count}{pairs}")
        }
        Name::HMGet | Name::HDel => {
            let fields: Vec<&str> = (0..author.random.between(1, 4)).map(|_| field(author)).collect();
            format!(" {}", fields.join(" "))
        }
        Name::HSet | Name::HMSet => {
            let mut text = String::new();
            for _ in 0..author.random.between(1, 3) {
                text.push_str(&format!(" {} {}", field(author), value(author)));
            }
            text
        }
        Name::HSetNx => format!(" {} {}", field(author), value(author)),
        Name::HIncrBy => format!(" {} {}", field(author), number(author)),
        Name::HIncrByFloat => format!(" float {}", author.random.pick(&["0.5", "-1.25", "3", "abc"])),
        Name::HRandField => {
            let counts = [
                "",
                " 2",
                " -3",
                " 0",
                " 100",
                " 2 WITHVALUES",
                " -2 withvalues",
                " x",
                " 1 VALUES",
            ];
            (*author.random.pick(&counts)).to_owned()
        }
        _ => format!(
            " 0{}",
            some(author, &["COUNT 100", "MATCH f*", "NOVALUES", "COUNT 0", "COUNT"], 15)
        ),
    }
}

/// Mostly as many as it says.
fn counted_fields(author: &mut Author) -> String {
    let fields: Vec<&str> = (0..author.random.between(1, 4)).map(|_| field(author)).collect();
    let count = author
        .random
        .pick(&[fields.len(), fields.len(), fields.len(), fields.len(), 0, 9])
        .to_string();
    format!(" FIELDS {count} {}", fields.join(" "))
}

fn lifetime_rest(name: Name, author: &mut Author) -> String {
    let number = match name {
        Name::Expire => author.random.pick(&["1", "100", "-1", "0", "x", "9223372036854775807"]),
        Name::PExpire => author
            .random
            .pick(&["1", "30", "1000", "-9223372036854775808", "9223372036854775807"]),
        Name::ExpireAt => author.random.pick(&["1780000001", "1780000100", "1", "9999999999"]),
        Name::PExpireAt => author.random.pick(&["1780000000500", "1780000100000", "1"]),
        _ => return String::new(),
    };
    format!(" {number}{}", some(author, &["NX", "XX", "GT", "lt", "EQ"], 10))
}

fn key_rest(name: Name, author: &mut Author) -> String {
    match name {
        Name::Del | Name::Unlink | Name::Exists | Name::Touch | Name::Watch => several(author),
        Name::Rename | Name::RenameNx => format!(" {}", any_key(author)),
        Name::Move => format!(" {}", author.random.pick(&["0", "1", "2", "15", "16", "-1", "x"])),
        Name::Copy => format!(
            " {}{}",
            any_key(author),
            some(author, &["REPLACE", "DB 0", "DB 1", "DB 2", "DB 16", "DB"], 15)
        ),
        Name::MemoryUsage => some(author, &["SAMPLES 5", "SAMPLES"], 15),
        _ => String::new(),
    }
}

fn several(author: &mut Author) -> String {
    let keys: Vec<String> = (0..author.random.below(3))
        .map(|_| format!(" {}", any_key(author)))
        .collect();
    keys.concat()
}
