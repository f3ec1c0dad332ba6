//! Bytes that no client should send, and clients that do what no client should do. After each of them the same
//! connection or a new one works.

use crate::harness::{Client, Server, on_each_worker_count, request, words};

const TOO_MANY_ARGUMENTS: &str = "invalid multibulk length: at most 1048576 arguments are allowed";
const TOO_LONG_BULK: &str = "invalid bulk length: proto-max-bulk-len allows at most 67108864 bytes";
const TOO_BIG_INLINE: &str = "too big inline request: at most 65536 bytes are allowed";

#[test]
fn an_inline_request_of_the_longest_kind_is_taken_whatever_ends_it() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        let echoed = "a".repeat(65_536 - "ECHO ".len());
        for end in ["\n", "\r\n"] {
            client.send(format!("ECHO {echoed}{end}"));
            client.expect(format!("${}\r\n{echoed}\r\n", echoed.len()));
        }
    });
}

#[test]
fn bytes_after_which_the_stream_cannot_be_trusted_are_named_and_the_connection_closed() {
    on_each_worker_count(|server| {
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (b"*1\r\n".repeat(8_000), "expected '$', got '*'"),
            (b"*1\r\n".repeat(200_000), "expected '$', got '*'"),
            (b"*1000000000\r\n".to_vec(), TOO_MANY_ARGUMENTS),
            (b"*1048577\r\n".to_vec(), TOO_MANY_ARGUMENTS),
            (b"*9223372036854775807\r\n".to_vec(), TOO_MANY_ARGUMENTS),
            (b"*9223372036854775808\r\n".to_vec(), "invalid multibulk length"),
            (b"*-9223372036854775809\r\n".to_vec(), "invalid multibulk length"),
            (b"*abc\r\n".to_vec(), "invalid multibulk length"),
            (b"*\r\n".to_vec(), "invalid multibulk length"),
            (b"*+1\r\n".to_vec(), "invalid multibulk length"),
            (b"* 1\r\n".to_vec(), "invalid multibulk length"),
            (b"*1 \r\n".to_vec(), "invalid multibulk length"),
            (b"*01\r\n".to_vec(), "invalid multibulk length"),
            (b"*-0\r\n".to_vec(), "invalid multibulk length"),
            (b"*1.0\r\n".to_vec(), "invalid multibulk length"),
            (b"*0x1\r\n".to_vec(), "invalid multibulk length"),
            (b"*1\0\r\n".to_vec(), "invalid multibulk length"),
            (b"*1\rPING".to_vec(), "invalid multibulk length"),
            (
                b"*1\n$4\nPING\n*1\n$4\nPING\n*1\n$4\nPING\n".to_vec(),
                "too big mbulk count string",
            ),
            (
                b"*1111111111111111111111111111111111111111".to_vec(),
                "too big mbulk count string",
            ),
            (
                b"*1\r\n$1111111111111111111111111111111111111".to_vec(),
                "too big bulk count string",
            ),
            (b"*1\r\n$1000000000\r\n".to_vec(), TOO_LONG_BULK),
            (b"*1\r\n$67108865\r\n".to_vec(), TOO_LONG_BULK),
            (b"*1\r\n$9223372036854775807\r\n".to_vec(), TOO_LONG_BULK),
            (b"*1\r\n$99999999999999999999\r\n".to_vec(), "invalid bulk length"),
            (b"*1\r\n$-1\r\n".to_vec(), "invalid bulk length"),
            (b"*2\r\n$4\r\nPING\r\n$-1\r\n".to_vec(), "invalid bulk length"),
            (b"*1\r\n$-0\r\n".to_vec(), "invalid bulk length"),
            (b"*1\r\n$\r\n".to_vec(), "invalid bulk length"),
            (b"*1\r\n$04\r\nPING\r\n".to_vec(), "invalid bulk length"),
            (b"*1\r\n$ 4\r\nPING\r\n".to_vec(), "invalid bulk length"),
            (b"*1\r\n$4\rXPING\r\n".to_vec(), "invalid bulk length"),
            (b"*1\r\n$4\r\nPINGXY".to_vec(), "expected CRLF after a bulk"),
            (b"*1\r\n$4\r\nPING\rY".to_vec(), "expected CRLF after a bulk"),
            (b"*1\r\n$4\r\nPING\n\n".to_vec(), "expected CRLF after a bulk"),
            (b"*1\r\n$3\r\nPING\r\n".to_vec(), "expected CRLF after a bulk"),
            (b"*1\r\n\0".to_vec(), r"expected '$', got '\x00'"),
            (b"*1\r\n\r\n".to_vec(), r"expected '$', got '\x0d'"),
            (b"*2\r\n$4\r\nECHO\r\nhello\r\n".to_vec(), "expected '$', got 'h'"),
            (b"*1\r\n+PING\r\n".to_vec(), "expected '$', got '+'"),
            (b"*1\r\n:1\r\n".to_vec(), "expected '$', got ':'"),
            (b"*1\r\n_\r\n".to_vec(), "expected '$', got '_'"),
            (b"*1\r\n,1.5\r\n".to_vec(), "expected '$', got ','"),
            (b"*1\r\n#t\r\n".to_vec(), "expected '$', got '#'"),
            (b"*1\r\n(123\r\n".to_vec(), "expected '$', got '('"),
            (b"*1\r\n=8\r\ntxt:PING\r\n".to_vec(), "expected '$', got '='"),
            (b"*1\r\n!4\r\nPING\r\n".to_vec(), "expected '$', got '!'"),
            (b"*1\r\n%1\r\n".to_vec(), "expected '$', got '%'"),
            (b"*1\r\n~1\r\n".to_vec(), "expected '$', got '~'"),
            (b"*1\r\n>1\r\n".to_vec(), "expected '$', got '>'"),
            (b"*1\r\n|1\r\n".to_vec(), "expected '$', got '|'"),
            (b"*1\r\n*-1\r\n".to_vec(), "expected '$', got '*'"),
            ([&[b'a'; 65_537][..], b"\r\n"].concat(), TOO_BIG_INLINE),
            (vec![b'a'; 65_537], TOO_BIG_INLINE),
            (vec![b'a'; 3_000_000], TOO_BIG_INLINE),
            (vec![0; 100_000], TOO_BIG_INLINE),
            (b"ECHO \"a\r\n".to_vec(), "unbalanced quotes in request"),
            (b"ECHO 'a\r\n".to_vec(), "unbalanced quotes in request"),
            (b"ECHO \"a\"b\r\n".to_vec(), "unbalanced quotes in request"),
        ];
        for (bytes, error) in cases {
            let mut client = server.connect();
            println!("> {}", crate::harness::shown(&bytes[..bytes.len().min(60)]));
            // What stands before and behind: the one is answered, the other not looked at.
            client.send("ECHO before\r\n");
            client.send_what_is_taken(&bytes);
            client.send_what_is_taken(b"PING\r\n");
            client.expect_end(format!("$6\r\nbefore\r\n-ERR Protocol error: {error}\r\n"));
        }
        still_works(server);
    });
}

#[test]
fn odd_bytes_that_are_requests_are_answered_and_the_connection_lives() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        let unknown = |name: &str| format!("-ERR unknown command '{name}', with args beginning with: \r\n");
        let cases: Vec<(Vec<u8>, String)> = vec![
            (
                b"*0\r\n*-1\r\n*-9223372036854775808\r\n\r\n\n \t\r\nPING\r\n".to_vec(),
                "+PONG\r\n".into(),
            ),
            (b"*0\r\n".repeat(10_000), String::new()),
            (b"\r\n".repeat(10_000), String::new()),
            (b"$4\r\nPING\r\n".to_vec(), unknown("$4") + "+PONG\r\n"),
            (
                b"+PING\r\n:1\r\n_\r\n,1.5\r\n".to_vec(),
                ["+PING", ":1", "_", ",1.5"].map(unknown).concat(),
            ),
            (
                b"%1\r\n~1\r\n>1\r\n|1\r\n".to_vec(),
                ["%1", "~1", ">1", "|1"].map(unknown).concat(),
            ),
            (b"\0\r\n".to_vec(), unknown("")),
            (b"\0PING\r\n".to_vec(), unknown("")),
            (b"PI\0NG\r\n".to_vec(), unknown("PI")),
            (b"\xff\xfe\r\n".to_vec(), unknown("\u{fffd}\u{fffd}")),
            (b"PING\n".to_vec(), "+PONG\r\n".into()),
            (b"  PING\t\r\n".to_vec(), "+PONG\r\n".into()),
            (b"PING 'a b'\r\n".to_vec(), "$3\r\na b\r\n".into()),
            (b"ECHO \"\\x00\\xfF\\n\\\"\"\r\n".to_vec(), "$4\r\n".into()),
            (b"*1\r\n$0\r\n\r\n".to_vec(), unknown("")),
            (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n".to_vec(), "$0\r\n\r\n".into()),
            (b"*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\n".to_vec(), "$2\r\n\r\n\r\n".into()),
            (
                b"GET / HTTP/1.1\r\nAccept: x\r\n\r\n".to_vec(),
                "-ERR wrong number of arguments for 'get' command\r\n\
                 -ERR unknown command 'Accept:', with args beginning with: 'x' \r\n"
                    .into(),
            ),
            (
                [b"ECHO ".as_slice(), &[b'a'; 65_000], b"\r\n"].concat(),
                format!("$65000\r\n{}\r\n", "a".repeat(65_000)),
            ),
        ];
        for (bytes, expected) in cases {
            println!("> {}", crate::harness::shown(&bytes[..bytes.len().min(60)]));
            client.send(&bytes);
            client.expect(&expected);
            if expected == "$4\r\n" {
                client.expect(b"\0\xff\n\"\r\n");
            }
            client.says("PING", "+PONG\r\n");
        }
    });
}

#[test]
fn a_request_of_as_many_arguments_as_there_may_be_is_answered() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        let most = |name: &str, argument: &str| {
            let mut words = vec![argument; 1_048_576];
            words[0] = name;
            request(&words)
        };
        client.send(most("ECHO", ""));
        client.expect("-ERR wrong number of arguments for 'echo' command\r\n");
        client.send(most("VECGET", "a:b"));
        client.expect("-ERR syntax error\r\n");
        let mut keys = vec!["a:b"; 100_000];
        keys[0] = "VECDEL";
        client.send(request(&keys));
        client.expect(":0\r\n");
        client.says("PING", "+PONG\r\n");
    });
}

#[test]
fn resets_in_the_middle_of_anything_harm_nobody() {
    on_each_worker_count(|server| {
        let mut other = server.connect();
        other.says("VECSET r:1 2 1 2", "+OK\r\n");
        let query = words("VECQUERY r 10 1 2");
        let beginnings: [&[u8]; 6] = [
            b"*",
            b"*3\r\n$6\r\nVECSET\r\n$3\r\nr:2",
            b"*2\r\n$4\r\nECHO\r\n$60000000\r\nxxx",
            b"PIN",
            &query.repeat(5_000),
            &words("VECSET new:1 2 1 2").repeat(100),
        ];
        for beginning in beginnings {
            for _ in 0..10 {
                let mut client = server.connect();
                client.send(beginning);
                client.reset();
                other.says("PING", "+PONG\r\n");
            }
        }
        other.says("VECGET r:1", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
        other.says("VECGET r:2", "$-1\r\n");
        still_works(server);
    });
}

#[test]
fn a_promise_is_not_waited_for_by_anybody_else() {
    on_each_worker_count(|server| {
        let mut waiting: Vec<Client> = Vec::new();
        for promise in [
            "*1048576\r\n",
            "*1\r\n$67108864\r\n",
            "*2\r\n$4\r\nPING\r\n",
            "PING",
            "*",
            "*1\r\n$",
        ] {
            for _ in 0..4 {
                let mut client = server.connect();
                client.send(promise);
                waiting.push(client);
            }
        }
        still_works(server);
        for client in &mut waiting {
            client.close_sending();
            client.expect_end("");
        }
    });
}

fn still_works(server: &Server) {
    for mut client in server.connect_to_each(4) {
        client.says("PING", "+PONG\r\n");
        client.says("VECSET works:1 2 1 2", "+OK\r\n");
        client.says("VECQUERY works 1 1 2", "*2\r\n$7\r\nworks:1\r\n$1\r\n0\r\n");
        client.says("VECDROP works", ":1\r\n");
    }
}
