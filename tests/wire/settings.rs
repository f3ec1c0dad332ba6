//! CONFIG while the server runs: what may change, what may not, and that what was changed is acted on.

use std::fs;
use std::thread;
use std::time::Duration;

use kora_server::config::Invocation;
use kora_server::config::{Config, parse_from};

use super::harness::{Client, Server, config, on_each_worker_count, request};

#[test]
fn all_of_a_config_set_happens_or_nothing() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        client.says("CONFIG SET timeout 500 Tcp-KeepAlive 60", "+OK\r\n");
        client.says(
            "CONFIG GET timeout tcp-keepalive",
            "*4\r\n$13\r\ntcp-keepalive\r\n$2\r\n60\r\n$7\r\ntimeout\r\n$3\r\n500\r\n",
        );
        let refusals = [
            (
                "CONFIG SET timeout 1 port 7",
                "-ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config\r\n",
            ),
            (
                "CONFIG SET timeout 1 maxclients many",
                "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - `many` is not a whole number from 1 to 1000000\r\n",
            ),
            (
                "CONFIG SET timeout 1 nothing 7",
                "-ERR Unknown option or number of arguments for CONFIG SET - 'nothing'\r\n",
            ),
            (
                "CONFIG SET timeout 1 TIMEOUT 2",
                "-ERR CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter\r\n",
            ),
            ("CONFIG SET timeout 1 port", "-ERR syntax error\r\n"),
            (
                "CONFIG SET timeout",
                "-ERR wrong number of arguments for 'config|set' command\r\n",
            ),
            ("CONFIG REWRITE", "-ERR The server is running without a config file\r\n"),
        ];
        for (line, refusal) in refusals {
            client.says(line, refusal);
        }
        client.says("CONFIG GET timeout", "*2\r\n$7\r\ntimeout\r\n$3\r\n500\r\n");
        // What can't be chosen may be set to what it is.
        client.asks(&[b"CONFIG", b"SET", b"save", b"", b"appendonly", b"no"], "+OK\r\n");
    });
}

#[test]
fn a_password_set_while_the_server_runs_is_asked_of_new_clients() {
    let server = Server::start(2);
    let mut clients = server.connect_to_each(2);
    // Taken in by their workers before there is a password.
    clients.iter_mut().for_each(|client| client.says("PING", "+PONG\r\n"));
    clients[0].says("CONFIG SET requirepass secret", "+OK\r\n");
    for client in &mut clients {
        client.says("PING", "+PONG\r\n");
    }
    for mut client in server.connect_to_each(2) {
        client.says("PING", "-NOAUTH Authentication required.\r\n");
        client.says("AUTH secret", "+OK\r\n");
        client.says("PING", "+PONG\r\n");
    }
    clients[1].asks(&[b"CONFIG", b"SET", b"requirepass", b""], "+OK\r\n");
    server.connect().says("PING", "+PONG\r\n");
}

#[test]
fn a_smaller_maxclients_refuses_new_clients_and_keeps_the_old() {
    let server = Server::start(2);
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    clients[2].says("CONFIG SET maxclients 2", "+OK\r\n");
    server.connect().expect_end("-ERR max number of clients reached\r\n");
    for client in &mut clients {
        client.says("PING", "+PONG\r\n");
    }
    clients[0].says("CONFIG SET maxclients 4", "+OK\r\n");
    server.connect().says("PING", "+PONG\r\n");
}

#[test]
fn a_larger_argument_is_taken_from_clients_that_are_connected() {
    let server = Server::with(&Config {
        proto_max_bulk_len: "1mb".parse().expect("an amount of memory"),
        ..config(2)
    });
    let mut clients = server.connect_to_each(2);
    for client in &mut clients {
        client.says("PING", "+PONG\r\n");
    }
    clients[0].says("CONFIG SET proto-max-bulk-len 4mb", "+OK\r\n");
    let value = vec![b'x'; 3 << 20];
    for client in &mut clients {
        client.send(request(&[b"SET".as_slice(), b"large", &value]));
        client.expect("+OK\r\n");
        client.says("APPEND large yy", ":3145730\r\n");
    }
}

#[test]
fn idle_clients_are_closed_once_there_is_a_timeout() {
    let server = Server::start(2);
    let mut clients = server.connect_to_each(4);
    let mut idle = clients.split_off(2);
    clients[0].says("CONFIG SET timeout 1", "+OK\r\n");
    for _ in 0..6 {
        thread::sleep(Duration::from_millis(500));
        for client in &mut clients {
            client.says("PING", "+PONG\r\n");
        }
    }
    for client in &mut idle {
        client.expect_end("");
    }
}

#[test]
fn config_rewrite_keeps_what_the_file_says_otherwise() {
    let path = std::env::temp_dir().join(format!("kora-wire-settings-{}.toml", std::process::id()));
    fs::write(&path, "# ours\nport = 0\nworkers = 2\nmaxclients = 50 # few\n").expect("it can be written");
    let line = format!("kora --config {}", path.display());
    let Ok(Invocation::Serve(config)) = parse_from(line.split(' ').map(Into::into)) else {
        panic!("the file is right");
    };
    let server = Server::with(&config);
    let mut client = server.connect();
    client.says("CONFIG SET maxclients 60 loglevel warning", "+OK\r\n");
    client.says("CONFIG REWRITE", "+OK\r\n");
    client.says("MULTI", "+OK\r\n");
    client.says("CONFIG REWRITE", "-ERR Command not allowed inside a transaction\r\n");
    let after = fs::read_to_string(&path).expect("it can be read");
    fs::remove_file(&path).expect("it is there");
    assert_eq!(
        after,
        "# ours\nport = 0\nworkers = 2\nmaxclients = 60 # few\nloglevel = \"warning\"\n"
    );
}
