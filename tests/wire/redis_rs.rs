//! redis-rs, the Rust client, as programs use it: blocking, and on tokio with a connection that comes back by itself.

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, Connection, ConnectionLike, ErrorKind, IntoConnectionInfo, ProtocolVersion, ServerErrorKind, Value, cmd,
    pipe,
};

use crate::harness::{Server, on_each_worker_count};

const PROTOCOLS: [ProtocolVersion; 2] = [ProtocolVersion::RESP2, ProtocolVersion::RESP3];

#[test]
fn the_handshake_says_who_it_is() {
    on_each_protocol(|server, protocol| {
        let mut connection = connect(server, protocol);
        let info: String = cmd("CLIENT").arg("INFO").query(&mut connection).expect("it is known");
        let version = if protocol == ProtocolVersion::RESP2 { 2 } else { 3 };
        assert!(info.contains(&format!(" resp={version} ")), "{info}");
        assert!(info.contains(" lib-name=redis-rs "), "{info}");
        let info: redis::InfoDict = cmd("INFO").query(&mut connection).expect("it is known");
        let release: String = info.get("redis_version").expect("libraries compare it");
        assert_eq!(release.split('.').count(), 3, "{release}");
    });
}

#[test]
fn vectors_go_in_and_come_out() {
    on_each_protocol(|server, protocol| {
        let mut connection = connect(server, protocol);
        let vector = [1.0_f32, -0.5, 1e-3];
        let set = cmd("VECSET").arg("rs:text").arg(3).arg(&vector).query(&mut connection);
        assert_eq!(set, Ok(Value::Okay));
        let bytes = blob(&vector);
        let set = cmd("VECSET")
            .arg("rs:bytes")
            .arg(3)
            .arg("FP32")
            .arg(&bytes)
            .query(&mut connection);
        assert_eq!(set, Ok(Value::Okay));
        for key in ["rs:text", "rs:bytes"] {
            let got = cmd("VECGET").arg(key).arg("FP32").query(&mut connection);
            assert_eq!(got, Ok(Value::BulkString(bytes.clone())));
            let got: Vec<f32> = cmd("VECGET").arg(key).query(&mut connection).expect("it was set");
            assert_eq!(got, vector);
        }
        // Both protocols read into pairs: redis-rs takes RESP2's flat array for them too.
        let query = |connection: &mut Connection| -> Vec<(String, f64)> {
            let asked = cmd("VECQUERY")
                .arg("rs")
                .arg(5)
                .arg("FP32")
                .arg(&bytes)
                .query(connection);
            asked.expect("it is well formed")
        };
        let pairs = [("rs:bytes".to_owned(), 0.0), ("rs:text".to_owned(), 0.0)];
        assert_eq!(query(&mut connection), pairs);
        let gone = cmd("VECDEL").arg(&["rs:text", "rs:nobody"]).query(&mut connection);
        assert_eq!(gone, Ok(1));
        let got: Option<Vec<u8>> = cmd("VECGET")
            .arg("rs:text")
            .query(&mut connection)
            .expect("null is a reply");
        assert_eq!(got, None);
        assert_eq!(query(&mut connection), pairs[..1]);
    });
}

#[test]
fn an_error_is_a_response_error_and_the_connection_lives() {
    on_each_protocol(|server, protocol| {
        let mut connection = connect(server, protocol);
        let id: i64 = cmd("CLIENT").arg("ID").query(&mut connection).expect("it is known");
        cmd("VECSET")
            .arg("e:a")
            .arg(2)
            .arg(&[1, 2])
            .exec(&mut connection)
            .expect("it is well formed");
        let refused = [
            (
                cmd("VECSET").arg("e:b").arg(3).arg(&[1, 2, 3]).to_owned(),
                "vector dimension mismatch - got 3",
            ),
            (cmd("VECQUERY").arg("e").arg(0).arg(&[1, 2]).to_owned(), "k"),
            (cmd("NOPE"), "unknown command 'NOPE'"),
        ];
        for (command, text) in refused {
            let error = command.exec(&mut connection).expect_err("it is refused");
            assert_eq!(
                error.kind(),
                ErrorKind::Server(ServerErrorKind::ResponseError),
                "{error}"
            );
            assert!(error.detail().is_some_and(|detail| detail.contains(text)), "{error}");
            assert!(
                !error.is_connection_dropped() && !error.is_unrecoverable_error(),
                "{error}"
            );
        }
        assert_eq!(cmd("CLIENT").arg("ID").query(&mut connection), Ok(id));
    });
}

#[test]
fn a_pipeline_is_answered_in_order_with_errors_in_their_places() {
    on_each_protocol(|server, protocol| {
        let mut connection = connect(server, protocol);
        let mut pipeline = pipe();
        pipeline.ignore_errors();
        for number in 0..1_000 {
            let dimension = if number % 10 == 7 { 3 } else { 2 };
            pipeline
                .cmd("VECSET")
                .arg(format!("deep:{number}"))
                .arg(dimension)
                .arg(number)
                .arg(1);
            pipeline.cmd("ECHO").arg(number);
        }
        let replies: Vec<Value> = pipeline
            .query(&mut connection)
            .expect("its errors are among its replies");
        for (number, pair) in replies.chunks(2).enumerate() {
            match number % 10 {
                7 => assert!(matches!(pair[0], Value::ServerError(_)), "{number}: {:?}", pair[0]),
                _ => assert_eq!(pair[0], Value::Okay),
            }
            assert_eq!(pair[1], Value::BulkString(number.to_string().into_bytes()));
        }
        assert_eq!(replies.len(), 2_000);
        assert_eq!(cmd("DBSIZE").query(&mut connection), Ok(900));
    });
}

#[test]
fn a_killed_connection_says_so_and_the_next_one_works() {
    on_each_protocol(|server, protocol| {
        let mut connection = connect(server, protocol);
        let id: i64 = cmd("CLIENT").arg("ID").query(&mut connection).expect("it is known");
        let mut other = connect(server, protocol);
        assert_eq!(cmd("CLIENT").arg(&["KILL", "ID"]).arg(id).query(&mut other), Ok(1));
        let error = cmd("PING").exec(&mut connection).expect_err("it is closed");
        assert!(error.is_connection_dropped(), "{error}");
        assert!(connect(server, protocol).check_connection());
    });
}

#[test]
fn a_killed_connection_comes_back_by_itself_on_tokio() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("it starts");
    on_each_protocol(|server, protocol| runtime.block_on(come_back(server, protocol)));
}

async fn come_back(server: &Server, protocol: ProtocolVersion) {
    let config = ConnectionManagerConfig::new();
    let mut manager = ConnectionManager::new_with_config(client(server, protocol), config)
        .await
        .expect("it listens");
    cmd("VECSET")
        .arg("m:a")
        .arg(2)
        .arg(&[3, 4])
        .exec_async(&mut manager)
        .await
        .expect("it is well formed");
    let id: i64 = cmd("CLIENT")
        .arg("ID")
        .query_async(&mut manager)
        .await
        .expect("it is known");
    let mut other = connect(server, protocol);
    assert_eq!(cmd("CLIENT").arg(&["KILL", "ID"]).arg(id).query(&mut other), Ok(1));
    // What is asked while the loss is noticed may fail, and only that way; what is asked behind it is answered.
    let vector: Vec<f32> = loop {
        match cmd("VECGET").arg("m:a").query_async(&mut manager).await {
            Ok(vector) => break vector,
            Err(error) => assert!(error.is_connection_dropped(), "{error}"),
        }
    };
    assert_eq!(vector, [3.0, 4.0]);
    let after: i64 = cmd("CLIENT")
        .arg("ID")
        .query_async(&mut manager)
        .await
        .expect("it is known");
    assert!(after > id, "{id}, then {after}");
}

fn on_each_protocol(test: impl Fn(&Server, ProtocolVersion)) {
    on_each_worker_count(|server| {
        for protocol in PROTOCOLS {
            cmd("FLUSHALL")
                .exec(&mut connect(server, protocol))
                .expect("it is known");
            test(server, protocol);
        }
    });
}

fn client(server: &Server, protocol: ProtocolVersion) -> Client {
    let address = (server.address.ip().to_string(), server.address.port());
    let info = address.into_connection_info().expect("it is an address");
    let settings = info.redis_settings().clone().set_protocol(protocol);
    Client::open(info.set_redis_settings(settings)).expect("it is an address")
}

fn connect(server: &Server, protocol: ProtocolVersion) -> Connection {
    client(server, protocol).get_connection().expect("the server listens")
}

fn blob(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|component| component.to_le_bytes()).collect()
}
