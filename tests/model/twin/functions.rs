//! What the twin says about functions. It runs none: it knows the libraries that programs load.

use bytes::Bytes;

use super::{Answer, Expected, Twin, Words};
use crate::name::Name;
use crate::say::Say;

/// A library that programs load: its name, its code, and what its one function is called.
pub(crate) struct Known {
    name: &'static str,
    code: &'static str,
    function: &'static str,
    /// The function returns its keys and arguments, and promises to write nothing.
    is_read_only: bool,
}

/// Two that can be there at once, and one that has a function of the first.
pub(crate) const KNOWN: [Known; 3] = [
    Known {
        name: "la",
        code: "#!lua\tname=la\nredis.register_function('fa',function()return(1)end)",
        function: "fa",
        is_read_only: false,
    },
    Known {
        name: "lb",
        code: "#!lua\tname=lb\nredis.register_function{function_name='FB',flags={'no-writes'},callback=function(k,a)return{k[1],a[1]}end}",
        function: "FB",
        is_read_only: true,
    },
    Known {
        name: "lc",
        code: "#!lua\tname=lc\nredis.register_function('fa',function()return(1)end)",
        function: "fa",
        is_read_only: false,
    },
];

impl Twin {
    pub(super) fn function_command(&mut self, name: Name, words: &Words<'_>) -> Answer {
        let reply = match name {
            Name::FCall | Name::FCallRo => return self.call_function(name, words),
            Name::FunctionDelete => {
                let known = self.library(|known| known.name.as_bytes() == words.0[2]);
                let Some(known) = known else {
                    return Say::error("ERR Library not found");
                };
                self.libraries.remove(known.name);
                Say::ok()
            }
            Name::FunctionDump => Say::Bulk(self.dump()),
            Name::FunctionFlush if words.count() > 3 => {
                let subcommand = String::from_utf8_lossy(&words.0[1]);
                return Say::error(format!(
                    "ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try FUNCTION HELP."
                ));
            }
            Name::FunctionFlush if words.count() == 3 && !(words.is(2, "SYNC") || words.is(2, "ASYNC")) => {
                return Say::error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
            }
            Name::FunctionFlush => {
                self.libraries.clear();
                Say::ok()
            }
            Name::FunctionKill => return Say::error("NOTBUSY No scripts in execution right now."),
            Name::FunctionList => return self.list_libraries(words),
            Name::FunctionLoad => return self.load_library(words),
            Name::FunctionRestore => return Say::error("ERR DUMP payload version or checksum are wrong"),
            Name::FunctionStats => {
                let count = || Say::count(self.libraries.len());
                let counts = Say::Map(vec![
                    (Say::bulk("libraries_count"), count()),
                    (Say::bulk("functions_count"), count()),
                ]);
                Say::Map(vec![
                    (Say::bulk("running_script"), Say::Null),
                    (Say::bulk("engines"), Say::Map(vec![(Say::bulk("LUA"), counts)])),
                ])
            }
            name => unreachable!("{name:?} is no command of functions"),
        };
        Ok(Expected::Reply(reply))
    }

    /// One that is there.
    fn library(&self, is_meant: impl Fn(&Known) -> bool) -> Option<&'static Known> {
        KNOWN
            .iter()
            .find(|known| self.libraries.contains(known.name) && is_meant(known))
    }

    fn load_library(&mut self, words: &Words<'_>) -> Answer {
        let code = words.0.last().expect("the arity asks for it");
        let Some(known) = KNOWN.iter().find(|known| known.code.as_bytes() == code) else {
            return Say::error("ERR Missing library metadata");
        };
        let replaces = words.count() == 4;
        if self.libraries.contains(known.name) && !replaces {
            return Say::error(format!("ERR Library '{}' already exists", known.name));
        }
        let other = |other: &Known| other.function == known.function && other.name != known.name;
        if self.library(other).is_some() {
            return Say::error(format!("ERR Function {} already exists", known.function));
        }
        self.libraries.insert(known.name);
        Ok(Expected::Reply(Say::bulk(known.name)))
    }

    fn list_libraries(&self, words: &Words<'_>) -> Answer {
        let (mut only, mut with_code) = (None, false);
        match words.count() {
            2 => {}
            3 if words.is(2, "WITHCODE") => with_code = true,
            3 if words.is(2, "LIBRARYNAME") => return Say::error("ERR library name argument was not given"),
            4 if words.is(2, "LIBRARYNAME") => only = Some(words.0[3].to_ascii_lowercase()),
            _ => return Say::error("ERR Unknown argument nothing"),
        }
        let listed = KNOWN.iter().filter(|known| {
            let is_meant = only.as_ref().is_none_or(|only| only == known.name.as_bytes());
            self.libraries.contains(known.name) && is_meant
        });
        let described = listed.map(|known| {
            let flags = match known.is_read_only {
                true => vec![Say::Simple("no-writes")],
                false => Vec::new(),
            };
            let function = Say::Map(vec![
                (Say::bulk("name"), Say::bulk(known.function)),
                (Say::bulk("description"), Say::Null),
                (Say::bulk("flags"), Say::Set(flags)),
            ]);
            let mut fields = vec![
                (Say::bulk("library_name"), Say::bulk(known.name)),
                (Say::bulk("engine"), Say::bulk("LUA")),
                (Say::bulk("functions"), Say::Array(vec![function])),
            ];
            if with_code {
                fields.push((Say::bulk("library_code"), Say::bulk(known.code)));
            }
            Say::Map(fields)
        });
        Ok(Expected::Reply(Say::Array(described.collect())))
    }

    fn call_function(&self, name: Name, words: &Words<'_>) -> Answer {
        let called = |known: &Known| known.function.as_bytes().eq_ignore_ascii_case(&words.0[1]);
        let Some(known) = self.library(called) else {
            return Say::error("ERR Function not found");
        };
        // Redis takes a number in the one way only in which it would print it.
        let text = std::str::from_utf8(&words.0[2]).unwrap_or_default();
        let count: i64 = match text.parse::<i64>() {
            Ok(count) if count.to_string() == text => count,
            _ => return Say::error("ERR Bad number of keys provided"),
        };
        let given = words.count() - 3;
        let count = match usize::try_from(count) {
            Err(_) => return Say::error("ERR Number of keys can't be negative"),
            Ok(count) if count > given => return Say::error("ERR Number of keys can't be greater than number of args"),
            Ok(count) => count,
        };
        if name == Name::FCallRo && !known.is_read_only {
            return Say::error("ERR Can not execute a script with write flag using *_ro command.");
        }
        if count == 2 {
            return Say::error("CROSSSLOT Keys in request don't hash to the same slot");
        }
        if !known.is_read_only {
            return Ok(Expected::Reply(Say::Integer(1)));
        }
        // A table ends before its first nil.
        let key = (count > 0).then(|| Say::Bulk(words.owned(3)));
        let argument = (given > count).then(|| Say::Bulk(words.owned(3 + count)));
        let items = match (key, argument) {
            (None, _) => Vec::new(),
            (Some(key), None) => vec![key],
            (Some(key), Some(argument)) => vec![key, argument],
        };
        Ok(Expected::Reply(Say::Array(items)))
    }

    /// In the form of Redis's files.
    fn dump(&self) -> Bytes {
        let mut payload = Vec::new();
        for known in KNOWN.iter().filter(|known| self.libraries.contains(known.name)) {
            let length = u32::try_from(known.code.len()).expect("it is short");
            payload.extend([245, 0x80]);
            payload.extend(length.to_be_bytes());
            payload.extend(known.code.as_bytes());
        }
        payload.extend([10, 0]);
        let checksum = payload.iter().fold(0_u64, |crc, byte| {
            (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
                let folded = if crc & 1 == 1 { 0x95AC_9329_AC4B_C9B5 } else { 0 };
                crc >> 1 ^ folded
            })
        });
        payload.extend(checksum.to_le_bytes());
        payload.into()
    }
}
