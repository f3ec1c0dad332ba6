//! Every command's replies, byte for byte, in RESP2 and RESP3.

use crate::harness::{Client, Server, on_each_worker_count, request, shown};

/// What one says, and what is answered in RESP2 and RESP3.
type Exchange<'a> = (&'a str, &'a str, &'a str);

#[test]
fn commands_without_data_answer_in_both_versions() {
    on_each_worker_count(|server| {
        in_both_versions(
            server,
            &[
                ("PING", "+PONG\r\n", "+PONG\r\n"),
                ("ping hello", "$5\r\nhello\r\n", "$5\r\nhello\r\n"),
                ("ECHO hi", "$2\r\nhi\r\n", "$2\r\nhi\r\n"),
                ("SELECT 0", "+OK\r\n", "+OK\r\n"),
                ("DBSIZE", ":0\r\n", ":0\r\n"),
                ("VECLIST", "*0\r\n", "*0\r\n"),
                ("FLUSHALL", "+OK\r\n", "+OK\r\n"),
                ("FLUSHDB ASYNC", "+OK\r\n", "+OK\r\n"),
                (
                    "COMMAND LIST FILTERBY PATTERN vecse?",
                    "*1\r\n$6\r\nvecset\r\n",
                    "*1\r\n$6\r\nvecset\r\n",
                ),
                ("COMMAND DOCS nothing", "*0\r\n", "%0\r\n"),
                ("COMMAND INFO nothing", "*1\r\n*-1\r\n", "*1\r\n_\r\n"),
                (
                    "CONFIG GET maxclients",
                    "*2\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n",
                    "%1\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n",
                ),
                ("CONFIG GET nothing*", "*0\r\n", "%0\r\n"),
                ("CLIENT GETNAME", "$-1\r\n", "_\r\n"),
                ("CLIENT SETNAME me", "+OK\r\n", "+OK\r\n"),
                ("CLIENT GETNAME", "$2\r\nme\r\n", "$2\r\nme\r\n"),
                ("CLIENT SETINFO LIB-NAME kora-test", "+OK\r\n", "+OK\r\n"),
                ("CLIENT SETINFO lib-ver 1.0", "+OK\r\n", "+OK\r\n"),
            ],
        );
    });
}

#[test]
fn vectors_are_set_queried_read_and_deleted() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        client.says(
            "VECCREATE l DIM 2 METRIC L2 M 8 EF_CONSTRUCTION 50 EF_SEARCH 20",
            "+OK\r\n",
        );
        for line in [
            "VECSET l:a 2 0 0",
            "VECSET l:b 2 3 4",
            "VECSET l:c 2 1 0",
            "VECSET l:d 2 0.5 0",
        ] {
            client.says(line, "+OK\r\n");
        }
        in_both_versions(
            server,
            &[
                (
                    "VECQUERY l 10 0 0",
                    "*8\r\n$3\r\nl:a\r\n$1\r\n0\r\n$3\r\nl:d\r\n$3\r\n0.5\r\n$3\r\nl:c\r\n$1\r\n1\r\n$3\r\nl:b\r\n$1\r\n5\r\n",
                    "*4\r\n*2\r\n$3\r\nl:a\r\n,0\r\n*2\r\n$3\r\nl:d\r\n,0.5\r\n*2\r\n$3\r\nl:c\r\n,1\r\n*2\r\n$3\r\nl:b\r\n,5\r\n",
                ),
                (
                    "VECQUERY l 1 3 4 EF 100000",
                    "*2\r\n$3\r\nl:b\r\n$1\r\n0\r\n",
                    "*1\r\n*2\r\n$3\r\nl:b\r\n,0\r\n",
                ),
                (
                    "VECQUERY l:* 1 3 4 EF 1",
                    "*2\r\n$3\r\nl:b\r\n$1\r\n0\r\n",
                    "*1\r\n*2\r\n$3\r\nl:b\r\n,0\r\n",
                ),
                (
                    "VECQUERY l:d 1 1 0",
                    "*2\r\n$3\r\nl:c\r\n$1\r\n0\r\n",
                    "*1\r\n*2\r\n$3\r\nl:c\r\n,0\r\n",
                ),
                ("VECQUERY l:nothing 1 1 0", "*0\r\n", "*0\r\n"),
                ("VECQUERY nothing 1 1 0", "*0\r\n", "*0\r\n"),
                ("VECQUERY nothing:* 1 1 0", "*0\r\n", "*0\r\n"),
                ("VECGET l:d", "*2\r\n$3\r\n0.5\r\n$1\r\n0\r\n", "*2\r\n,0.5\r\n,0\r\n"),
                ("VECGET l:nothing", "$-1\r\n", "_\r\n"),
                ("VECGET l:nothing FP32", "$-1\r\n", "_\r\n"),
                ("VECLIST", "*1\r\n$1\r\nl\r\n", "*1\r\n$1\r\nl\r\n"),
                ("DBSIZE", ":4\r\n", ":4\r\n"),
                ("VECINFO nothing", "$-1\r\n", "_\r\n"),
                ("VECRECALL nothing", "$-1\r\n", "_\r\n"),
                ("VECDEL l:nothing other:thing", ":0\r\n", ":0\r\n"),
            ],
        );
        client.says("VECSET l:a 2 3 4", "+OK\r\n");
        client.says(
            "VECQUERY l 2 3 4",
            "*4\r\n$3\r\nl:a\r\n$1\r\n0\r\n$3\r\nl:b\r\n$1\r\n0\r\n",
        );
        client.says("VECDEL l:a l:b l:a l:x", ":2\r\n");
        client.says(
            "VECQUERY l 2 3 4 EF 5",
            "*4\r\n$3\r\nl:c\r\n$8\r\n4.472136\r\n$3\r\nl:d\r\n$9\r\n4.7169905\r\n",
        );
        client.says("VECDROP l", ":1\r\n");
        client.says("VECDROP l", ":0\r\n");
        client.says("VECQUERY l 2 3 4", "*0\r\n");
        client.says("VECGET l:c", "$-1\r\n");
        client.says("DBSIZE", ":0\r\n");
    });
}

#[test]
fn each_metric_measures_as_it_is_documented() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        // The first VECSET creates a collection with the default metric, which is cosine.
        for line in [
            "VECSET cos:same 2 1 0",
            "VECSET cos:across 2 0 2",
            "VECSET cos:against 2 -3 0",
        ] {
            client.says(line, "+OK\r\n");
        }
        client.says(
            "VECQUERY cos 3 7 0",
            "*6\r\n$8\r\ncos:same\r\n$1\r\n0\r\n$10\r\ncos:across\r\n$1\r\n1\r\n$11\r\ncos:against\r\n$1\r\n2\r\n",
        );
        client.says("VECCREATE ip DIM 2 METRIC ip", "+OK\r\n");
        for line in [
            "VECSET ip:a 2 1 0",
            "VECSET ip:b 2 2.5 0",
            "VECSET ip:c 2 -1 0",
            "VECSET ip:z 2 0 0",
        ] {
            client.says(line, "+OK\r\n");
        }
        client.says(
            "VECQUERY ip 4 2 0",
            "*8\r\n$4\r\nip:b\r\n$2\r\n-5\r\n$4\r\nip:a\r\n$2\r\n-2\r\n$4\r\nip:z\r\n$1\r\n0\r\n$4\r\nip:c\r\n$1\r\n2\r\n",
        );
        // Norms of finite inputs do not overflow, and a vector is at distance exactly 0 of itself.
        client.says("VECSET cos:huge 2 3e38 3e38", "+OK\r\n");
        client.says("VECSET cos:tiny 2 1e-40 -1e-40", "+OK\r\n");
        client.says("VECQUERY cos 1 3e38 3e38", "*2\r\n$8\r\ncos:huge\r\n$1\r\n0\r\n");
        client.says("VECQUERY cos 1 1e-40 -1e-40", "*2\r\n$8\r\ncos:tiny\r\n$1\r\n0\r\n");
        client.says("VECCREATE far DIM 1 METRIC L2", "+OK\r\n");
        client.says("VECSET far:a 1 3e38", "+OK\r\n");
        client.says("VECQUERY far 1 0", "*2\r\n$5\r\nfar:a\r\n$5\r\n3e+38\r\n");
        client.says("VECQUERY far 1 3e38", "*2\r\n$5\r\nfar:a\r\n$1\r\n0\r\n");
    });
}

#[test]
fn any_vector_is_at_distance_zero_of_itself() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        for metric in ["COSINE", "L2"] {
            client.says(&format!("VECCREATE {metric} DIM 37 METRIC {metric}"), "+OK\r\n");
            let mut seed = 0x2545_f491_4f6c_dd1d_u64;
            for number in 0..50 {
                let blob: Vec<u8> = (0..37).flat_map(|_| next_component(&mut seed).to_le_bytes()).collect();
                let key = format!("{metric}:{number}");
                client.asks(&[b"VECSET", key.as_bytes(), b"37", b"FP32", &blob], "+OK\r\n");
                let expected = format!("*2\r\n${}\r\n{key}\r\n$1\r\n0\r\n", key.len());
                client.asks(&[b"VECQUERY", metric.as_bytes(), b"1", b"FP32", &blob], expected);
                let mut expected = format!("${}\r\n", blob.len()).into_bytes();
                expected.extend_from_slice(&blob);
                expected.extend_from_slice(b"\r\n");
                client.asks(&[b"VECGET", key.as_bytes(), b"FP32"], expected);
            }
        }
    });
}

#[test]
fn ties_are_broken_by_key_whatever_shard_answers_first() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        client.says("VECCREATE t DIM 2 METRIC L2", "+OK\r\n");
        let mut keys: Vec<String> = (0..40).map(|number| format!("t:{number}")).collect();
        for key in &keys {
            client.says(&format!("VECSET {key} 2 1 1"), "+OK\r\n");
        }
        keys.sort();
        for k in [1, 2, 7, 40, 100] {
            let nearest: Vec<&String> = keys.iter().take(k).collect();
            let mut expected = format!("*{}\r\n", nearest.len() * 2);
            for key in nearest {
                expected += &format!("${}\r\n{key}\r\n$1\r\n0\r\n", key.len());
            }
            for _ in 0..5 {
                client.says(&format!("VECQUERY t {k} 1 1"), &expected);
            }
        }
    });
}

#[test]
fn the_exact_bytes_of_a_vector_come_back() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        let components: [f32; 8] = [
            -0.0,
            1.0,
            f32::MIN_POSITIVE,
            f32::from_bits(1),
            -1e-45,
            f32::MAX,
            f32::MIN,
            0.1,
        ];
        let blob: Vec<u8> = components
            .iter()
            .flat_map(|component| component.to_le_bytes())
            .collect();
        client.asks(&[b"VECSET", b"v:1", b"8", b"FP32", &blob], "+OK\r\n");
        client.asks(
            &[b"VECGET", b"v:1", b"fp32"],
            [b"$32\r\n".as_slice(), &blob, b"\r\n"].concat(),
        );
        client.says(
            "VECGET v:1",
            "*8\r\n$2\r\n-0\r\n$1\r\n1\r\n$13\r\n1.1754944e-38\r\n$5\r\n1e-45\r\n$6\r\n-1e-45\r\n$13\r\n3.4028235e+38\r\n\
             $14\r\n-3.4028235e+38\r\n$3\r\n0.1\r\n",
        );
        // Text that reads back to the same floats.
        client.says(
            "VECSET v:2 8 -0 1.0 1.1754944e-38 1e-45 -1e-45 3.4028235e38 -3.4028235e+38 .1",
            "+OK\r\n",
        );
        client.asks(
            &[b"VECGET", b"v:2", b"FP32"],
            [b"$32\r\n".as_slice(), &blob, b"\r\n"].concat(),
        );
    });
}

#[test]
fn a_key_may_be_any_bytes_with_a_colon() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        let every_byte: Vec<u8> = (0..=255).collect();
        let keys: [&[u8]; 9] = [
            &[b"all:".as_slice(), &every_byte].concat(),
            b"\0:\0",
            b"a b:c d",
            b"line\r\n:$3\r\n",
            b"tenant1:docs:42",
            b"x:",
            b"::",
            "kōra:ōne".as_bytes(),
            b"{tag}:\xff\xfe",
        ];
        for key in keys {
            client.asks(&[b"VECSET", key, b"1", b"5"], "+OK\r\n");
            client.asks(&[b"VECGET", key], "*1\r\n$1\r\n5\r\n");
            let colon = key.iter().rposition(|byte| *byte == b':').expect("each has one");
            let mut expected = format!("*2\r\n${}\r\n", key.len()).into_bytes();
            expected.extend_from_slice(key);
            expected.extend_from_slice(b"\r\n$1\r\n0\r\n");
            client.asks(&[b"VECQUERY", &key[..colon], b"1", b"5"], &expected);
            client.asks(&[b"VECQUERY", key, b"1", b"5"], &expected);
        }
        client.says("DBSIZE", ":9\r\n");
        let mut names: Vec<&[u8]> = keys
            .iter()
            .map(|key| &key[..key.iter().rposition(|byte| *byte == b':').expect("each has one")])
            .collect();
        names.sort();
        client.says("VECLIST", request(&names));
        for key in keys {
            client.asks(&[b"VECDEL", key], ":1\r\n");
        }
        client.says("DBSIZE", ":0\r\n");
    });
}

#[test]
fn a_collection_is_described_field_by_field() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        client.says(
            "VECCREATE {one}c DIM 3 METRIC IP QUANT q16 M 5 EF_CONSTRUCTION 6 EF_SEARCH 7",
            "+OK\r\n",
        );
        client.says("VECSET {one}c:a 3 1 2 3", "+OK\r\n");
        client.says("VECSET {one}c:b 3 1 2 3", "+OK\r\n");
        client.says("VECDEL {one}c:a", ":1\r\n");
        let head = "$10\r\ncollection\r\n$6\r\n{one}c\r\n$9\r\ndimension\r\n:3\r\n$6\r\nmetric\r\n$2\r\nIP\r\n\
                    $5\r\nquant\r\n$3\r\nQ16\r\n$1\r\nm\r\n:5\r\n$15\r\nef_construction\r\n:6\r\n$9\r\nef_search\r\n:7\r\n$7\r\nmade_by\r\n$9\r\nVECCREATE\r\n$7\r\nvectors\r\n:1\r\n$7\r\ndeleted\r\n:";
        let info = client.hears("VECINFO {one}c");
        let expected = format!("*44\r\n{head}");
        assert_eq!(shown(&info[..expected.len()]), shown(expected.as_bytes()));
        client.hears("HELLO 3");
        let info = client.hears("VECINFO {one}c");
        let expected = format!("%22\r\n{head}");
        assert_eq!(shown(&info[..expected.len()]), shown(expected.as_bytes()));
        let text = shown(&info);
        assert!(
            text.contains(r"$6\r\nshards\r\n*1\r\n%14\r\n$5\r\nshard\r\n:"),
            "{text}"
        );
    });
}

#[test]
fn msetex_answers_what_redis_8_4_documents() {
    let error = |text: &str| format!("-ERR {text}\r\n");
    let (numkeys, pairs, syntax) = (
        error("invalid numkeys value"),
        error("wrong number of key-value pairs"),
        error("syntax error"),
    );
    let arity = error("wrong number of arguments for 'msetex' command");
    let expiry = error("invalid expire time in 'msetex' command");
    let (one, zero) = (":1\r\n", ":0\r\n");
    on_each_worker_count(|server| {
        let mut client = server.connect();
        for (request, reply) in [
            ("MSETEX", arity.as_str()),
            ("MSETEX key1 val1 ex 10", &numkeys),
            ("MSETEX 0 a 1", &numkeys),
            ("MSETEX 2147483648 key1 val1 ex 10", &numkeys),
            ("MSETEX 2147483647 key1 val1 ex 10", &pairs),
            ("MSETEX 2 key1 val1 key2", &pairs),
            ("MSETEX 1 key1 val1 invalid_flag", &syntax),
            ("MSETEX 1 key1 val1 GET", &syntax),
            ("MSETEX 2 key1 val1 key2 val2 nx xx ex 10", &syntax),
            ("MSETEX 2 key1 val1 key2 val2 ex 10 px 5000", &syntax),
            ("MSETEX 2 key1 val1 key2 val2 keepttl ex 10", &syntax),
            ("MSETEX 1 key1 val1 EX 0", &expiry),
            ("EXISTS key1 key2", zero),
            ("MSETEX 2 new val1 new2 val2 nx ex 100", one),
            ("TTL new2", ":100\r\n"),
            ("MSETEX 2 other 1 new 2 nx ex 10", zero),
            ("EXISTS other", zero),
            ("MSETEX 3 new 1 missing 2 new2 3 xx", zero),
            ("GET new", "$4\r\nval1\r\n"),
            ("MSETEX 3 new 1 new2 2 new 3 KEEPTTL XX", one),
            ("MGET new new2 missing", "*3\r\n$1\r\n3\r\n$1\r\n2\r\n$-1\r\n"),
            ("TTL new", ":100\r\n"),
            ("MSETEX 2 new a new2 b", one),
            ("TTL new", ":-1\r\n"),
            ("MSETEX 2 new a third c PXAT 1", one),
            ("EXISTS new new2 third", one),
            ("VECCREATE named DIM 2", "+OK\r\n"),
            ("MSETEX 2 free 1 named 2 NX", zero),
            ("EXISTS free", zero),
        ] {
            client.says(request, reply);
        }
    });
}

#[test]
fn hello_changes_the_version_from_its_own_reply_on() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        let id = String::from_utf8(client.hears("CLIENT ID")).expect("a number");
        let fields = |proto: u8| {
            format!(
                "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n8.2.3\r\n$5\r\nproto\r\n:{proto}\r\n$2\r\nid\r\n{id}\
                 $4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
            )
        };
        client.says("HELLO", format!("*14\r\n{}", fields(2)));
        client.says("HELLO 3 SETNAME three", format!("%7\r\n{}", fields(3)));
        client.says("HELLO", format!("%7\r\n{}", fields(3)));
        client.says("CLIENT GETNAME", "$5\r\nthree\r\n");
        client.says("HELLO 2", format!("*14\r\n{}", fields(2)));
        client.says("HELLO 4", "-NOPROTO unsupported protocol version\r\n");
        client.says("HELLO 1", "-NOPROTO unsupported protocol version\r\n");
        client.says("HELLO x", "-ERR Protocol version is not an integer or out of range\r\n");
        client.says("HELLO 3 NOTHING", "-ERR Syntax error in HELLO option 'NOTHING'\r\n");
        client.says("HELLO 3 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'\r\n");
        client.says("HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'\r\n");
        client.says("VECGET a:b", "$-1\r\n");
        // A pipeline: each reply is spelled in the version spoken when its request came.
        client.send("VECGET a:b\r\nHELLO 3\r\nVECGET a:b\r\nHELLO 2\r\nVECGET a:b\r\n");
        client.expect(format!("$-1\r\n%7\r\n{}_\r\n*14\r\n{}$-1\r\n", fields(3), fields(2)));
    });
}

#[test]
fn info_and_command_describe_the_server() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        let info = shown(&client.hears("INFO server"));
        assert!(
            info.contains(r"# Server\r\nredis_version:8.2.3\r\nkora_version:"),
            "{info}"
        );
        assert!(!info.contains("# Clients"), "{info}");
        let info = shown(&client.hears("INFO clients keyspace"));
        assert!(info.contains(r"# Clients\r\nconnected_clients:1\r\n"), "{info}");
        assert!(info.contains(r"# Keyspace\r\n"), "{info}");
        let count = client.hears("COMMAND COUNT");
        let list = client.hears("COMMAND LIST");
        let (count, list) = (shown(&count), shown(&list));
        assert_eq!(count[1..], list[1..count.len()], "{list}");
        client.says(
            "COMMAND INFO vecget",
            "*1\r\n*10\r\n$6\r\nvecget\r\n:-2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n*3\r\n+@read\r\n+@slow\r\n+@vector\r\n\
             *0\r\n*0\r\n*0\r\n",
        );
        let documentation = shown(&client.hears("COMMAND DOCS vecget"));
        assert!(documentation.starts_with(r"*2\r\n$6\r\nvecget\r\n*"), "{documentation}");
        client.hears("HELLO 3");
        let info = client.hears("INFO server");
        assert_eq!(info[0], b'=', "verbatim text in RESP3: {}", shown(&info));
        for container in ["CLIENT", "COMMAND", "CONFIG"] {
            let help = shown(&client.hears(&format!("{container} HELP")));
            assert!(help.contains(&format!("+{container} <subcommand>")), "{help}");
        }
        assert_eq!(client.hears("COMMAND")[..3], client.hears("COMMAND INFO")[..3]);
    });
}

#[test]
fn unknown_commands_answer_in_redis_words_and_keep_the_connection() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        client.says(
            "FOO a b",
            "-ERR unknown command 'FOO', with args beginning with: 'a' 'b' \r\n",
        );
        client.says("FOO", "-ERR unknown command 'FOO', with args beginning with: \r\n");
        client.says("CLIENT FOO", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n");
        client.says("CONFIG FOO a b", "-ERR unknown subcommand 'FOO'. Try CONFIG HELP.\r\n");
        client.says("COMMAND FOO", "-ERR unknown subcommand 'FOO'. Try COMMAND HELP.\r\n");
        client.says("CLIENT", "-ERR wrong number of arguments for 'client' command\r\n");
        client.says(
            "CLIENT ID x",
            "-ERR wrong number of arguments for 'client|id' command\r\n",
        );
        client.says("ECHO", "-ERR wrong number of arguments for 'echo' command\r\n");
        client.says("PING a b", "-ERR wrong number of arguments for 'ping' command\r\n");
        client.says("SELECT 16", "-ERR DB index is out of range\r\n");
        client.says("SELECT x", "-ERR value is not an integer or out of range\r\n");
        client.asks(
            &[b"\r\n+OK\0\xff", b"x\ny"],
            "-ERR unknown command '  +OK', with args beginning with: 'x y' \r\n",
        );
        client.says("PING", "+PONG\r\n");
    });
}

fn in_both_versions(server: &Server, exchanges: &[Exchange<'_>]) {
    let (mut two, mut three) = (server.connect(), speaking_resp3(server));
    for (line, resp2, _) in exchanges {
        two.says(line, resp2);
    }
    for (line, _, resp3) in exchanges {
        three.says(line, resp3);
    }
}

fn speaking_resp3(server: &Server) -> Client {
    let mut client = server.connect();
    client.hears("HELLO 3");
    client
}

/// xorshift64*, mapped to [-1, 1).
fn next_component(seed: &mut u64) -> f32 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 40) as f32 / (1 << 23) as f32 - 1.0
}
