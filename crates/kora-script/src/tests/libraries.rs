//! Libraries of functions, and what Redis 8.2.3 answers to them.

use super::*;

fn library(code: &str, id: u64) -> LibraryCode {
    LibraryCode::new(Bytes::copy_from_slice(code.as_bytes()), id).expect("its first line is sound")
}

impl Bench {
    /// What loading a library answers, and what it has registered.
    fn load(&mut self, body: &str) -> (String, Vec<crate::Registered>) {
        let reply = self.run_program(Program::Library(library(&format!("#!lua name=lib\n{body}"), 1)));
        (reply, self.interpreter.take_registered())
    }

    /// What a function of a library answers; `id` tells libraries apart.
    fn call(&mut self, body: &str, id: u64, name: &'static str) -> String {
        self.run_program(Program::Function {
            library: library(&format!("#!lua name=lib\n{body}"), id),
            name: Bytes::from_static(name.as_bytes()),
        })
    }
}

#[test]
fn functions_are_registered_in_both_forms() {
    let mut bench = Bench::new();
    let (reply, registered) = bench.load(
        "redis.register_function('one', function() return 1 end)
         redis.register_function{function_name='Two', callback=function() return 2 end, description='says 2',
                                 flags={'no-writes', 'ALLOW-STALE'}}",
    );
    assert_eq!(reply, "+OK\r\n");
    let [one, two] = &registered[..] else {
        panic!("{registered:?}");
    };
    assert_eq!(
        (one.name.as_str(), &one.description, one.flags.bits()),
        ("one", &None, 0)
    );
    assert_eq!(
        (two.name.as_str(), two.description.as_deref()),
        ("Two", Some(&b"says 2"[..]))
    );
    assert_eq!(two.flags.names().collect::<Vec<_>>(), ["no-writes", "allow-stale"]);
    let (_, none) = bench.load("redis.register_function('one', function() return 1 end) error('no')");
    assert!(none.is_empty(), "what a library that fails has registered is nothing");
}

#[test]
fn what_can_not_be_registered_is_refused() {
    let mut bench = Bench::new();
    for (body, reason) in [
        ("return 1", "No functions registered"),
        (
            "x = ",
            "Error compiling function: user_function:2: unexpected symbol near '<eof>'",
        ),
        ("return redis.call('ping')", "nonexistent global variable 'call'"),
        ("return math.random()", "nonexistent global variable 'math'"),
        ("return redis.setresp(3)", "nonexistent global variable 'setresp'"),
        ("x = 1", "Attempt to modify a readonly table"),
        ("redis.x = 1", "Attempt to modify a readonly table"),
        (
            "redis.register_function()",
            "wrong number of arguments to redis.register_function",
        ),
        ("redis.register_function('a')", "only applicable to Lua table"),
        (
            "redis.register_function({}, function() end)",
            "first argument to redis.register_function must be a string",
        ),
        (
            "redis.register_function('a', 'b')",
            "second argument to redis.register_function must be a function",
        ),
        (
            "redis.register_function('a b', function() end)",
            "names can only contain",
        ),
        (
            "redis.register_function{function_name='a'}",
            "must get a callback argument",
        ),
        (
            "redis.register_function{callback=function() end}",
            "must get a function name argument",
        ),
        (
            "redis.register_function{function_name='a', callback=1}",
            "callback argument given",
        ),
        (
            "redis.register_function{function_name='a', callback=function() end, flags={'x'}}",
            "unknown flag given",
        ),
        (
            "redis.register_function{function_name='a', callback=function() end, flags=1}",
            "flags argument to",
        ),
        (
            "redis.register_function{function_name='a', callback=function() end, x=1}",
            "unknown argument given",
        ),
        (
            "redis.register_function('a', function() end) redis.register_function('a', function() end)",
            "Function already exists in the library",
        ),
        (
            "local f = function() end local n = 'a' while true do redis.register_function(n, f) n = n .. 'a' end",
            "at most",
        ),
        (
            "error('why')",
            "Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'error'",
        ),
        (
            "redis.log(10, 'x')",
            "Error registering functions: ERR Invalid log level.",
        ),
    ] {
        let (reply, registered) = bench.load(body);
        assert!(reply.starts_with("-ERR ") && reply.contains(reason), "{body}: {reply}");
        assert!(registered.is_empty(), "{body}");
    }
    assert_eq!(bench.run("return type(redis.call)"), "$8\r\nfunction\r\n");
}

#[test]
fn functions_are_called_with_keys_and_arguments() {
    let mut bench = Bench::new();
    let body = "local function join(list) return table.concat(list, ',') end
                local calls = 0
                redis.register_function('join', function(keys, arguments) return {join(keys), join(arguments)} end)
                redis.register_function('count', function() calls = calls + 1 return calls end)
                redis.register_function('fail', function()
                  return redis.call('fail')
                end)
                redis.register_function('keys', function() return KEYS end)
                local api = redis
                redis.register_function('register', function() return api.register_function('x', function() end) end)";
    assert_eq!(bench.call(body, 1, "join"), "*2\r\n$3\r\nkey\r\n$3\r\na,b\r\n");
    assert_eq!(bench.call(body, 1, "count"), ":1\r\n");
    assert_eq!(bench.call(body, 1, "count"), ":2\r\n", "its variables stay");
    assert_eq!(bench.call(body, 2, "count"), ":1\r\n", "another library has its own");
    assert_eq!(
        bench.call(body, 2, "fail"),
        "-WRONGTYPE fails script: fail, on @user_function:7.\r\n"
    );
    assert!(
        bench
            .call(body, 2, "keys")
            .contains("nonexistent global variable 'KEYS'")
    );
    assert!(
        bench
            .call(body, 2, "register")
            .contains("can only be called on FUNCTION LOAD command")
    );
    assert_eq!(bench.call(body, 2, "other"), "-ERR Function not found\r\n");
}

#[test]
fn a_library_that_means_harm_ends_with_an_error_and_in_slices() {
    let mut bench = Bench::new();
    for body in [
        "local t = {} while true do t[#t + 1] = {} end",
        "return ('x'):rep(1e10)",
        "local f f = function() return 1 + f() end f()",
        "local t = {} for n = 1, 1e4 do t[n] = ('x'):rep(n) end redis.register_function(t)",
    ] {
        let (reply, registered) = bench.load(body);
        assert!(reply.starts_with("-ERR ") && registered.is_empty(), "{body}: {reply}");
    }
    for ending in [Ending::LoadTimeout, Ending::Dropped] {
        let endless = Program::Library(library("#!lua name=lib\nwhile true do end", 1));
        let mut running = bench.begin_program(endless, Version::Resp2);
        for _ in 0..3 {
            assert!(matches!(running.resume(Resume::GoOn), Progress::Slice));
        }
        if ending == Ending::LoadTimeout {
            let Progress::Ended(Reply::Error(text)) = running.resume(Resume::End(ending)) else {
                panic!("it goes on");
            };
            assert!(text.ends_with("FUNCTION LOAD timeout"), "{text}");
        }
        drop(running);
    }
    // What a library keeps is forgotten when others would have too little.
    let hoard = "local kept = {}
                 redis.register_function('keep', function() kept[#kept + 1] = ('x'):rep(1e6) return #kept end)";
    for _ in 0..40 {
        let reply = bench.call(hoard, 1, "keep");
        assert!(reply.starts_with(':'), "{reply}");
    }
    let (reply, registered) = bench.load("redis.register_function('a', function() end)");
    assert_eq!((reply.as_str(), registered.len()), ("+OK\r\n", 1));
}
