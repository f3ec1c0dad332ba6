//! Scripts and what Redis 8.2.3 answers them, and scripts that mean harm.

mod libraries;

use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kora_resp::{Reply, Version, write_reply};

use crate::{Ending, Interpreter, LibraryCode, Program, Progress, Resume, Run, Script};

struct Bench {
    interpreter: Rc<Interpreter>,
    slices: usize,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            interpreter: Interpreter::new(),
            slices: 0,
        }
    }

    fn begin(&self, text: &str, version: Version) -> crate::Running {
        let script = Script::new(Bytes::copy_from_slice(text.as_bytes())).expect("it is a script");
        self.begin_program(Program::Script(Arc::new(script)), version)
    }

    fn begin_program(&self, program: Program, version: Version) -> crate::Running {
        self.interpreter.begin(Run {
            program,
            keys: vec![Bytes::from_static(b"key")],
            arguments: vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")],
            version,
        })
    }

    /// What a script answers, where every command answers its own words.
    fn run_in(&mut self, text: &str, version: Version) -> String {
        let running = self.begin(text, version);
        self.finish(running, version)
    }

    fn run_program(&mut self, program: Program) -> String {
        let running = self.begin_program(program, Version::Resp2);
        self.finish(running, Version::Resp2)
    }

    fn finish(&mut self, mut running: crate::Running, version: Version) -> String {
        let mut resume = Resume::GoOn;
        loop {
            resume = match running.resume(resume) {
                Progress::Slice => {
                    self.slices += 1;
                    Resume::GoOn
                }
                Progress::Call(call) => Resume::Reply(echo(&call.request)),
                Progress::Ended(reply) => return shown(reply, version),
            };
        }
    }

    fn run(&mut self, text: &str) -> String {
        self.run_in(text, Version::Resp2)
    }
}

fn echo(request: &[u8]) -> Reply {
    match request.windows(4).any(|part| part == b"fail") {
        true => Reply::Error("WRONGTYPE fails".to_owned()),
        false => Reply::Bulk(Bytes::copy_from_slice(request)),
    }
}

fn shown(reply: Reply, version: Version) -> String {
    let mut out = BytesMut::new();
    write_reply(reply, version, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn values_become_replies_as_in_redis() {
    let mut bench = Bench::new();
    for (script, reply) in [
        ("return 3.99", ":3\r\n"),
        ("return 'x'", "$1\r\nx\r\n"),
        (
            "return {1,2,{3,'a'},nil,4}",
            "*3\r\n:1\r\n:2\r\n*2\r\n:3\r\n$1\r\na\r\n",
        ),
        ("return {ok='fine\\r\\nx'}", "+fine  x\r\n"),
        ("return {err='abc'}", "-abc\r\n"),
        ("return redis.error_reply('abc')", "-ERR abc\r\n"),
        ("return redis.error_reply('-ABC d')", "-ABC d\r\n"),
        ("return {double=3.5}", "$3\r\n3.5\r\n"),
        ("return true", ":1\r\n"),
        ("return false", "$-1\r\n"),
        ("return nil", "$-1\r\n"),
        (
            "return {KEYS[1], ARGV[1], ARGV[2], #ARGV}",
            "*4\r\n$3\r\nkey\r\n$1\r\na\r\n$1\r\nb\r\n:2\r\n",
        ),
        (
            "return redis.sha1hex('')",
            "$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n",
        ),
        (
            "return redis.call('set', 'n', 1.5)",
            "$29\r\n*3\r\n$3\r\nset\r\n$1\r\nn\r\n$3\r\n1.5\r\n\r\n",
        ),
        ("return tostring(cjson.null)", "$15\r\nuserdata: (nil)\r\n"),
    ] {
        let got = bench.run(script);
        // A null pointer is printed as the C library likes.
        assert_eq!(
            got.replace("userdata: NULL", "userdata: (nil)")
                .replace("$14\r\nuserdata", "$15\r\nuserdata"),
            reply,
            "{script}"
        );
    }
    let mut in_resp3 = |script| bench.run_in(script, Version::Resp3);
    assert_eq!(
        in_resp3("redis.setresp(3) return {map={a=true}}"),
        "%1\r\n$1\r\na\r\n#t\r\n"
    );
    assert_eq!(in_resp3("return {set={x=true}}"), "~1\r\n$1\r\nx\r\n");
    assert_eq!(in_resp3("return {double=3.5}"), ",3.5\r\n");
    assert_eq!(in_resp3("return {big_number='123'}"), "(123\r\n");
    assert_eq!(
        in_resp3("return {verbatim_string={format='txt', string='hi'}}"),
        "=6\r\ntxt:hi\r\n"
    );
    assert_eq!(in_resp3("return nil"), "_\r\n");
}

#[test]
fn errors_say_what_redis_says() {
    let mut bench = Bench::new();
    for (script, reply) in [
        (
            "error('x')",
            "-ERR user_script:1: x script: 9851144f39f03a0d597a980c5aa79c80cb696891, on @user_script:1.\r\n",
        ),
        (
            "error({err='My Err'})",
            "-My Err script: a059ab708ad4709a4f1c6aa12b1122498ee51704, on @user_script:1.\r\n",
        ),
        (
            "x = ",
            "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'\r\n",
        ),
        (
            "foo=1",
            "-ERR user_script:1: Attempt to modify a readonly table script: 5bddd8336e5f711bfa499383fc73c17560c6250b, on @user_script:1.\r\n",
        ),
        (
            "return foo",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'foo' script: 47e30a5d10d5694f99208f9adc4fe3bf2450edbd, on @user_script:1.\r\n",
        ),
        (
            "return redis.call()",
            "-ERR Please specify at least one argument for this redis lib call script: 0a907e1429221a4d85516cab7fd219a82a9439d8, on @user_script:1.\r\n",
        ),
        (
            "return cjson.encode({[1]=1,[20]=2})",
            "-ERR user_script:1: Cannot serialise table: excessively sparse array script: 17303987ac6a57263cac31c74212431dce49e99c, on @user_script:1.\r\n",
        ),
        (
            "return cjson.decode('[1,2,]')",
            "-ERR user_script:1: Expected value but found T_ARR_END at character 6 script: 5e998f1076d76e7e5dc88c7525ea826761ed427d, on @user_script:1.\r\n",
        ),
        ("setmetatable(_G, {})", ""),
        ("rawset(_G,'foo',1)", ""),
        ("table.insert(redis, 1)", ""),
        ("string.rep = 1", ""),
    ] {
        let got = bench.run(script);
        assert!(
            got == reply || (reply.is_empty() && got.starts_with("-ERR")),
            "{script}: {got}"
        );
    }
    let script = "local ok, e = pcall(redis.call, 'fail') return {tostring(ok), e, type(redis.pcall('fail'))}";
    assert_eq!(
        bench.run(script),
        "*3\r\n$5\r\nfalse\r\n$15\r\nWRONGTYPE fails\r\n$5\r\ntable\r\n"
    );
    let got = bench.run("return redis.call('fail')");
    assert!(
        got.starts_with("-WRONGTYPE fails script: ") && got.ends_with(", on @user_script:1.\r\n"),
        "{got}"
    );
    let got = bench.run("\n\nlocal f = function() return redis.call('fail') end\nf()");
    assert!(got.ends_with(", on @user_script:3.\r\n"), "{got}");
}

#[test]
fn libraries_do_what_they_do_in_redis() {
    let mut bench = Bench::new();
    let mut text = |script: &str| {
        let got = bench.run(&format!("return tostring({script})"));
        got.split_once("\r\n")
            .map_or(got.clone(), |(_, text)| text.trim_end().to_owned())
    };
    for (script, result) in [
        (
            "cjson.encode({1,2,{a=1},{},1.5,true,cjson.null,'a/b'})",
            r#"[1,2,{"a":1},{},1.5,true,null,"a\/b"]"#,
        ),
        (
            "cjson.encode(cjson.decode('{\"a\": [1, 2.5e1, \"\\\\u00e9\"]}'))",
            r#"{"a":[1,25,"é"]}"#,
        ),
        (
            "cjson.encode({cmsgpack.unpack(cmsgpack.pack(1, -1, 300, 1.5, 'x', {1,2}, {a=true}, -40000))})",
            r#"[1,-1,300,1.5,"x",[1,2],{"a":true},-40000]"#,
        ),
        (
            "cjson.encode({struct.unpack('>I2hbs', struct.pack('>I2hbs', 500, -3, -1, 'hi'))})",
            r#"[500,-3,-1,"hi",9]"#,
        ),
        ("struct.size('!8bi4d')", "16"),
        (
            "bit.band(0xff, 0x0f) .. ' ' .. bit.bxor(1, 3) .. ' ' .. bit.tohex(-1) .. ' ' .. bit.lshift(1, 31)",
            "15 2 ffffffff -2147483648",
        ),
        ("cjson.encode({string.find('hello world', 'o w')})", "[5,7]"),
        ("cjson.encode({string.find('hello', 'l+')})", "[3,4]"),
        (
            "cjson.encode({string.match('key=value', '(%w+)=(%w+)')})",
            r#"["key","value"]"#,
        ),
        (
            "cjson.encode({string.gsub('hello world', 'o', '0')})",
            r#"["hell0 w0rld",2]"#,
        ),
        ("cjson.encode({string.gsub('abc', '', '-')})", r#"["-a-b-c-",4]"#),
        (
            "cjson.encode({string.gsub('hello', '(l)(l)', '%2%1')})",
            r#"["hello",1]"#,
        ),
        ("cjson.encode({string.gsub('abc', '%w', {a='1', b=true})})", ""),
        (
            "cjson.encode({string.gsub('abc', '%w', function(c) return c:upper() end, 2)})",
            r#"["ABc",2]"#,
        ),
        ("string.rep('ab', 3)", "ababab"),
        ("string.format('%5.1f|%s|%q', 3.14159, 'x', 'a')", "  3.1|x|\"a\""),
        (
            "(function() local t = {} for w in string.gmatch('a,b,,c', '([^,]*)') do t[#t+1] = '<' .. w .. '>' end return table.concat(t) end)()",
            "<a><><b><><><c><>",
        ),
        (
            "(function() local t = {5,2,8,1,9,3} table.sort(t) local u = {1,2,3} table.sort(u, function(a, b) return a > b end) return table.concat(t) .. table.concat(u) end)()",
            "123589321",
        ),
        ("table.concat({loadstring('return 1, 2')()}, ',')", "1,2"),
        ("select(2, loadstring('\\27Lua'))", "attempt to load a binary chunk"),
        (
            "(function() local c = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return c(1) + c(10) end)()",
            "22",
        ),
        ("('x'):rep(3)", "xxx"),
    ] {
        let got = text(script);
        assert!(got == result || result.is_empty(), "{script}: {got}");
    }
}

#[test]
fn nothing_of_a_script_is_there_for_the_next_one() {
    let mut bench = Bench::new();
    bench.run("local t = getmetatable('').__index; pcall(function() t.rep = 1 end); KEYS = 1");
    assert_eq!(bench.run("return ('x'):rep(2) .. KEYS[1]"), "$5\r\nxxkey\r\n");
    bench.run("redis.setresp(3)");
    let drawn = bench.run("return {true, math.random(100), math.random(100)}");
    assert!(drawn.starts_with("*3\r\n:1\r\n"), "{drawn}");
    assert_eq!(bench.run("return {true, math.random(100), math.random(100)}"), drawn);
}

#[test]
fn a_script_that_means_harm_ends_with_an_error_and_in_slices() {
    let mut bench = Bench::new();
    for script in [
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "return string.rep('x', 1e10)",
        "return string.rep('x', 1e7):rep(1e7)",
        "local function f() return 1 + f() end return f()",
        "local t = {} for i = 1, 1e5 do t[i] = ('x'):rep(1000) end return table.concat(t)",
        "return string.format(('%s'):rep(200), unpack((function() local t = {} for i = 1, 200 do t[i] = ('x'):rep(1e6) end return t end)()))",
        "local t = {} t[1] = t return t",
        "local t = {} t.x = t return cjson.encode(t)",
        "return cjson.decode(('['):rep(1e5))",
        "return cjson.decode('[' .. ('[],'):rep(2e6) .. '1]')",
        "return cmsgpack.unpack('\\221\\255\\255\\255\\255')",
        "return ('a?'):rep(1e5) and string.find(('a'):rep(1e5), ('a?'):rep(1e5))",
        "return string.gsub(('x'):rep(1e4), '.', ('y'):rep(1e5))",
        "return setmetatable({}, {__index = function(t, k) return t[k] end}).x",
        "return {('x'):rep(1e7), ('x'):rep(1e7), ('x'):rep(1e7), ('x'):rep(1e7)}",
        "local c c = coroutine.wrap(function() return coroutine.wrap(c)() end) return c()",
        "return pcall(string.rep) or string.dump(string.rep)",
    ] {
        let got = bench.run(script);
        assert!(got.starts_with('-'), "{script}: {}", &got[..got.len().min(100)]);
        assert_eq!(bench.run("return 1"), ":1\r\n", "after {script}");
    }
    assert!(bench.slices > 10);
    // The cycle that is under way may have passed what became garbage since.
    for _ in 0..2 {
        while !bench.interpreter.collect() {}
    }
    assert!(
        bench.interpreter.used_bytes() < 2_000_000,
        "{}",
        bench.interpreter.used_bytes()
    );
}

#[test]
fn a_script_that_never_ends_can_be_killed_in_whatever_it_does() {
    let bench = Bench::new();
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() while true do pcall(f) end end f()",
        "while true do xpcall(function() error('x') end, function() while true do end end) end",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "while true do coroutine.wrap(function() pcall(error) end)() end",
        "table.sort({3,2,1,4,5,6}, function() while true do end end)",
        "return string.find(('a'):rep(1e5), ('a*'):rep(100) .. 'b')",
        "string.gsub('x', '.', function() while true do end end)",
        "local t = setmetatable({}, {__index = function() while true do end end}) return t.x",
        "while true do redis.pcall('fail') end",
    ] {
        for ending in [Ending::Killed, Ending::Dropped] {
            let mut running = bench.begin(script, Version::Resp2);
            let (mut resume, mut slices) = (Resume::GoOn, 0);
            while slices < 5 {
                resume = match running.resume(resume) {
                    Progress::Slice => Resume::GoOn,
                    Progress::Call(_) => Resume::Reply(Reply::ok()),
                    Progress::Ended(reply) => panic!("{script}: {reply:?}"),
                };
                slices += 1;
            }
            if ending == Ending::Killed {
                let Progress::Ended(Reply::Error(text)) = running.resume(Resume::End(ending)) else {
                    panic!("{script} goes on");
                };
                assert!(
                    text.contains("Script killed by user with SCRIPT KILL."),
                    "{script}: {text}"
                );
            }
            drop(running);
        }
    }
}
