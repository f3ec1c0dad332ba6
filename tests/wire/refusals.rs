//! Bad input to the vector commands: each a clear error, nothing half-written.

use crate::harness::{Client, on_each_worker_count};

#[test]
fn a_bad_vector_is_refused_with_the_reason_and_nothing_is_written() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        client.says("VECSET v:1 3 1 2 3", "+OK\r\n");
        let refusals = [
            (
                "VECSET v:1 4 1 2 3 4",
                "ERR vector dimension mismatch - got 4 but collection 'v' has 3",
            ),
            (
                "VECSET v:2 2 1 2",
                "ERR vector dimension mismatch - got 2 but collection 'v' has 3",
            ),
            (
                "VECSET v:2 3 1 2",
                "ERR vector dimension mismatch - dim says 3 but 2 components follow",
            ),
            (
                "VECSET v:2 3 1 2 3 4",
                "ERR vector dimension mismatch - dim says 3 but 4 components follow",
            ),
            (
                "VECSET v:2 3 VALUES 1 2 3",
                "ERR invalid vector: component 1 is not a number: 'VALUES'",
            ),
            (
                "VECSET v:2 3 1 nan 3",
                "ERR invalid vector: component 2 is not a finite 32-bit float: 'nan'",
            ),
            (
                "VECSET v:2 3 inf 2 3",
                "ERR invalid vector: component 1 is not a finite 32-bit float: 'inf'",
            ),
            (
                "VECSET v:2 3 1 2 -Infinity",
                "ERR invalid vector: component 3 is not a finite 32-bit float: '-Infinity'",
            ),
            (
                "VECSET v:2 3 1 2 1e40",
                "ERR invalid vector: component 3 is not a finite 32-bit float: '1e40'",
            ),
            (
                "VECSET v:2 3 1 2 -3.5e38",
                "ERR invalid vector: component 3 is not a finite 32-bit float: '-3.5e38'",
            ),
            (
                "VECSET v:2 3 1 two 3",
                "ERR invalid vector: component 2 is not a number: 'two'",
            ),
            (
                "VECSET v:2 3 1 0x10 3",
                "ERR invalid vector: component 2 is not a number: '0x10'",
            ),
            (
                "VECSET v:2 3 1 2 3,5",
                "ERR invalid vector: component 3 is not a number: '3,5'",
            ),
            (
                "VECSET v:2 3 1 2 3f",
                "ERR invalid vector: component 3 is not a number: '3f'",
            ),
            (
                "VECSET v:2 3 1 2 .",
                "ERR invalid vector: component 3 is not a number: '.'",
            ),
            (
                "VECSET v:2 3 1 2 1e",
                "ERR invalid vector: component 3 is not a number: '1e'",
            ),
            ("VECSET v:2 0", "ERR wrong number of arguments for 'vecset' command"),
            (
                "VECSET v:2 0 1",
                "ERR dim must be a whole number between 1 and 65536, got '0'",
            ),
            (
                "VECSET v:2 -1 1",
                "ERR dim must be a whole number between 1 and 65536, got '-1'",
            ),
            (
                "VECSET v:2 65537 1",
                "ERR dim must be a whole number between 1 and 65536, got '65537'",
            ),
            (
                "VECSET v:2 1.5 1",
                "ERR dim must be a whole number between 1 and 65536, got '1.5'",
            ),
            (
                "VECSET v:2 +3 1 2 3",
                "ERR dim must be a whole number between 1 and 65536, got '+3'",
            ),
            (
                "VECSET v:2 03 1 2 3",
                "ERR dim must be a whole number between 1 and 65536, got '03'",
            ),
            (
                "VECSET v:2 x 1",
                "ERR dim must be a whole number between 1 and 65536, got 'x'",
            ),
            (
                "VECSET v:2 9223372036854775808 1",
                "ERR dim must be a whole number between 1 and 65536, got '9223372036854775808'",
            ),
            (
                "VECSET v:2 3 FP32 abcd",
                "ERR vector dimension mismatch - dim 3 takes a blob of 12 bytes but got 4",
            ),
            (
                "VECSET v:2 3 FP32",
                "ERR vector dimension mismatch - dim says 3 but 1 components follow",
            ),
            (
                "VECSET v:2 2 FP32 abcdefgh",
                "ERR vector dimension mismatch - got 2 but collection 'v' has 3",
            ),
            (
                "VECSET v:2 3 0 0 0",
                "ERR invalid vector: a zero vector has no direction, so it has no cosine distance",
            ),
            (
                "VECSET fresh:1 3 0 0 -0",
                "ERR invalid vector: a zero vector has no direction, so it has no cosine distance",
            ),
            (
                "VECSET fresh:1 2 1 nan",
                "ERR invalid vector: component 2 is not a finite 32-bit float: 'nan'",
            ),
            (
                "VECSET key 1 1",
                "ERR invalid key 'key': a vector's key is collection:element, and this one has no ':'",
            ),
            ("VECSET :key 1 1", "ERR the collection's name is empty"),
            (
                "VECGET key",
                "ERR invalid key 'key': a vector's key is collection:element, and this one has no ':'",
            ),
            ("VECGET v:1 FP64", "ERR syntax error"),
            (
                "VECDEL v:1 key",
                "ERR invalid key 'key': a vector's key is collection:element, and this one has no ':'",
            ),
            ("VECCREATE v DIM 3", "ERR collection 'v' already exists"),
            ("VECCREATE w METRIC L2", "ERR syntax error"),
            (
                "VECCREATE w DIM 0",
                "ERR DIM must be a whole number between 1 and 65536, got '0'",
            ),
            (
                "VECCREATE w DIM 3 METRIC HAMMING",
                "ERR unknown metric 'HAMMING': COSINE, L2 and IP are known",
            ),
            (
                "VECCREATE w DIM 3 M 1",
                "ERR M must be a whole number between 2 and 512, got '1'",
            ),
            (
                "VECCREATE w DIM 3 M 513",
                "ERR M must be a whole number between 2 and 512, got '513'",
            ),
            (
                "VECCREATE w DIM 3 EF_SEARCH 100001",
                "ERR EF_SEARCH must be a whole number between 1 and 100000, got '100001'",
            ),
            (
                "VECCREATE w DIM 3 EF_CONSTRUCTION 0",
                "ERR EF_CONSTRUCTION must be a whole number between 1 and 100000, got '0'",
            ),
            ("VECCREATE w DIM 3 M", "ERR syntax error"),
            (
                "VECCREATE w DIM",
                "ERR wrong number of arguments for 'veccreate' command",
            ),
            ("VECLIST x", "ERR syntax error"),
        ];
        for (line, error) in refusals {
            client.says(line, format!("-{error}\r\n"));
            nothing_else_is_there(&mut client);
        }
    });
}

#[test]
fn a_bad_query_is_refused_with_the_reason() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        client.says("VECSET v:1 3 1 2 3", "+OK\r\n");
        let refusals = [
            (
                "VECQUERY v 1 1 2",
                "ERR vector dimension mismatch - got 2 but collection 'v' has 3",
            ),
            (
                "VECQUERY v:* 1 1 2 3 4",
                "ERR vector dimension mismatch - got 4 but collection 'v' has 3",
            ),
            (
                "VECQUERY v:1 1 1 2",
                "ERR vector dimension mismatch - got 2 but collection 'v' has 3",
            ),
            (
                "VECQUERY v 1 1 2 nan",
                "ERR invalid vector: component 3 is not a finite 32-bit float: 'nan'",
            ),
            (
                "VECQUERY v 1 1 2 1e39",
                "ERR invalid vector: component 3 is not a finite 32-bit float: '1e39'",
            ),
            (
                "VECQUERY v 1 1 2 x",
                "ERR invalid vector: component 3 is not a number: 'x'",
            ),
            (
                "VECQUERY v 1 0 0 0",
                "ERR invalid vector: a zero vector has no direction, so it has no cosine distance",
            ),
            (
                "VECQUERY v 0 1 2 3",
                "ERR k must be a whole number between 1 and 100000, got '0'",
            ),
            (
                "VECQUERY v -1 1 2 3",
                "ERR k must be a whole number between 1 and 100000, got '-1'",
            ),
            (
                "VECQUERY v 100001 1 2 3",
                "ERR k must be a whole number between 1 and 100000, got '100001'",
            ),
            (
                "VECQUERY v 9223372036854775808 1 2 3",
                "ERR k must be a whole number between 1 and 100000, got '9223372036854775808'",
            ),
            (
                "VECQUERY v -9223372036854775808 1 2 3",
                "ERR k must be a whole number between 1 and 100000, got '-9223372036854775808'",
            ),
            (
                "VECQUERY v x 1 2 3",
                "ERR k must be a whole number between 1 and 100000, got 'x'",
            ),
            (
                "VECQUERY v 1 1 2 3 EF 0",
                "ERR EF must be a whole number between 1 and 100000, got '0'",
            ),
            (
                "VECQUERY v 1 1 2 3 EF 100001",
                "ERR EF must be a whole number between 1 and 100000, got '100001'",
            ),
            (
                "VECQUERY v 1 1 2 3 EF x",
                "ERR EF must be a whole number between 1 and 100000, got 'x'",
            ),
            ("VECQUERY v 1 1 2 3 EF", "ERR syntax error: EF needs a value"),
            (
                "VECQUERY v 1 1 2 3 EF 1 FLITER .a",
                "ERR syntax error: unknown option 'FLITER'",
            ),
            ("VECQUERY v 1 1 2 3 FILTER", "ERR syntax error: FILTER needs a value"),
            (
                "VECQUERY v 1 FP32 abc",
                "ERR invalid vector: a blob holds 4 bytes for each component, got 3 bytes",
            ),
            (
                "VECQUERY v 1 FP32 abcd",
                "ERR vector dimension mismatch - got 1 but collection 'v' has 3",
            ),
            ("VECQUERY v 1", "ERR wrong number of arguments for 'vecquery' command"),
        ];
        for (line, error) in refusals {
            client.says(line, format!("-{error}\r\n"));
        }
        nothing_else_is_there(&mut client);
        client.says("VECQUERY v 1 1 2 3", "*2\r\n$3\r\nv:1\r\n$1\r\n0\r\n");
    });
}

#[test]
fn a_blob_with_a_value_that_is_not_finite_is_refused() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        client.says("VECSET v:1 3 1 2 3", "+OK\r\n");
        for (value, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
            let blob: Vec<u8> = [1.0, value, 3.0]
                .iter()
                .flat_map(|value: &f32| value.to_le_bytes())
                .collect();
            let error = format!("-ERR invalid vector: component 2 is not a finite 32-bit float: '{shown}'\r\n");
            client.asks(&[b"VECSET", b"v:2", b"3", b"FP32", &blob], &error);
            client.asks(&[b"VECQUERY", b"v", b"1", b"FP32", &blob], &error);
        }
        client.asks(
            &[b"VECQUERY", b"v", b"1", b"FP32", b""],
            "-ERR invalid vector: a blob holds 4 bytes for each component, got 0 bytes\r\n",
        );
        nothing_else_is_there(&mut client);
    });
}

#[test]
fn keys_names_and_dimensions_are_refused_from_one_beyond_their_limit() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        let name = "n".repeat(512);
        let key = format!("{name}:{}", "e".repeat(64 * 1024 - 513));
        client.asks(&[b"VECSET", key.as_bytes(), b"1", b"1"], "+OK\r\n");
        client.asks(&[b"VECGET", key.as_bytes()], "*1\r\n$1\r\n1\r\n");
        let longer = format!("{key}e");
        for command in ["VECGET", "VECDEL"] {
            client.asks(
                &[command.as_bytes(), longer.as_bytes()],
                "-ERR the key has 65537 bytes, at most 65536 are allowed\r\n",
            );
        }
        client.asks(
            &[b"VECQUERY", longer.as_bytes(), b"1", b"1"],
            "-ERR the key has 65537 bytes, at most 65536 are allowed\r\n",
        );
        let longer = format!("n{name}");
        let refusal = "-ERR the collection's name has 513 bytes, at most 512 are allowed\r\n";
        client.asks(&[b"VECSET", format!("{longer}:e").as_bytes(), b"1", b"1"], refusal);
        client.asks(&[b"VECCREATE", longer.as_bytes(), b"DIM", b"1"], refusal);
        client.says("DBSIZE", ":1\r\n");

        let blob = 1f32.to_le_bytes().repeat(65_536);
        client.asks(&[b"VECSET", b"wide:1", b"65536", b"FP32", &blob], "+OK\r\n");
        client.asks(
            &[b"VECQUERY", b"wide", b"1", b"FP32", &blob],
            "*2\r\n$6\r\nwide:1\r\n$1\r\n0\r\n",
        );
        let text = vec!["1"; 65_537];
        let mut words = vec!["VECQUERY", "wide", "1"];
        words.extend(&text);
        client.send(crate::harness::request(&words));
        client.expect("-ERR the number of components must be a whole number between 1 and 65536, got '65537'\r\n");
        let mut words = vec!["VECSET", "wide:2", "65536"];
        words.extend(&text[1..]);
        client.send(crate::harness::request(&words));
        client.expect("+OK\r\n");
        client.says("DBSIZE", ":3\r\n");
    });
}

/// The vector `v:1` is as it was, and there is no other.
#[track_caller]
fn nothing_else_is_there(client: &mut Client) {
    client.says("VECGET v:1", "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n");
    client.says("VECGET v:2", "$-1\r\n");
    client.says("DBSIZE", ":1\r\n");
    client.says("VECLIST", "*1\r\n$1\r\nv\r\n");
}
