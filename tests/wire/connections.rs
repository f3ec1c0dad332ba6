//! Who one is, who else is there, and who may say what.

use kora_server::config::{Config, Number};

use crate::harness::{Client, Server, WORKER_COUNTS, config, on_each_worker_count, shown};

#[test]
fn nothing_is_answered_before_the_password_but_what_leads_to_it() {
    for workers in WORKER_COUNTS {
        let server = Server::with(&with_password(workers));
        let mut client = server.connect();
        for line in [
            "PING",
            "VECLIST",
            "VECSET a:b 1 1",
            "CLIENT ID",
            "SHUTDOWN",
            "INFO",
            "COMMAND",
            "CONFIG GET *",
        ] {
            client.says(line, "-NOAUTH Authentication required.\r\n");
        }
        client.says("FOO", "-ERR unknown command 'FOO', with args beginning with: \r\n");
        client.says("ECHO", "-ERR wrong number of arguments for 'echo' command\r\n");
        let hello = "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
                     <user> <pass> option can be used to authenticate the client and select the RESP protocol version \
                     at the same time\r\n";
        client.says("HELLO", hello);
        client.says("HELLO 3", hello);
        let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
        for line in [
            "AUTH wrong",
            "AUTH secret1",
            "AUTH secre",
            "AUTH other secret",
            "AUTH default wrong",
            "HELLO 3 AUTH default wrong",
            "HELLO 3 AUTH other secret SETNAME me",
        ] {
            client.says(line, wrong);
        }
        client.says("AUTH a b c", "-ERR syntax error\r\n");
        client.says("PING", "-NOAUTH Authentication required.\r\n");
        client.says("AUTH secret", "+OK\r\n");
        client.says("PING", "+PONG\r\n");
        client.says("CLIENT GETNAME", "$-1\r\n");
        client.says("AUTH wrong", wrong);
        client.says("PING", "+PONG\r\n");

        let mut client = server.connect();
        client.says("AUTH default secret", "+OK\r\n");
        client.says("VECLIST", "*0\r\n");
        let mut client = server.connect();
        let greeting = shown(&client.hears("HELLO 3 AUTH default secret SETNAME me"));
        assert!(greeting.starts_with("%7"), "{greeting}");
        client.says("CLIENT GETNAME", "$2\r\nme\r\n");
        let mut client = server.connect();
        client.send("QUIT\r\n");
        client.expect_end("+OK\r\n");
    }
}

#[test]
fn before_the_password_requests_are_small_and_behind_it_they_may_be_large() {
    for workers in WORKER_COUNTS {
        let server = Server::with(&with_password(workers));
        let refused: [(&[u8], &str); 3] = [
            (b"*11\r\n", "unauthenticated multibulk length"),
            (b"*2\r\n$4\r\nAUTH\r\n$16385\r\n", "unauthenticated bulk length"),
            (
                &[b'a'; 16_386],
                "too big inline request: at most 16384 bytes are allowed",
            ),
        ];
        for (bytes, error) in refused {
            let mut client = server.connect();
            client.send(bytes);
            client.expect_end(format!("-ERR Protocol error: {error}\r\n"));
        }
        let mut client = server.connect();
        let large = "x".repeat(20_000);
        client.send(format!("AUTH secret\r\n*2\r\n$4\r\nECHO\r\n$20000\r\n{large}\r\n"));
        client.expect(format!("+OK\r\n$20000\r\n{large}\r\n"));
    }
}

#[test]
fn auth_without_a_password_configured_says_so() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        client.says(
            "AUTH x",
            "-ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?\r\n",
        );
        client.says("AUTH default anything", "+OK\r\n");
        client.says(
            "AUTH other x",
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        );
        client.says("PING", "+PONG\r\n");
    });
}

#[test]
fn clients_of_all_workers_are_listed_in_the_order_they_came() {
    for workers in WORKER_COUNTS {
        let server = Server::start(workers);
        let mut clients = server.connect_to_each(2 * workers);
        let mut ids = Vec::new();
        for (place, client) in clients.iter_mut().enumerate() {
            client.says(&format!("CLIENT SETNAME client-{place}"), "+OK\r\n");
            ids.push(id_of(client));
        }
        assert!(ids.is_sorted(), "{ids:?}");
        clients[0].says("CLIENT SETINFO LIB-NAME kora-test", "+OK\r\n");
        clients[0].says("CLIENT SETINFO LIB-VER 1.2.3", "+OK\r\n");
        for asking in 0..clients.len() {
            let list = text_of(&clients[asking].hears("CLIENT LIST"));
            let lines: Vec<&str> = list.lines().collect();
            assert_eq!(lines.len(), clients.len(), "{list}");
            for (place, line) in lines.iter().enumerate() {
                let address = clients[place].stream.local_addr().expect("it is connected");
                let head = format!(
                    "id={} addr={address} laddr={} name=client-{place} age=",
                    ids[place], server.address
                );
                assert!(line.starts_with(&head), "{line} does not start with {head}");
                let library = if place == 0 {
                    "lib-name=kora-test lib-ver=1.2.3"
                } else {
                    "lib-name= lib-ver="
                };
                assert!(line.ends_with(library), "{line}");
            }
            assert!(
                lines[asking].contains(" cmd=client|list user=default resp=2 "),
                "{}",
                lines[asking]
            );
        }
        let chosen = format!("CLIENT LIST ID {} {} 999999", ids[1], ids[0]);
        let list = text_of(&clients[0].hears(&chosen));
        assert_eq!(list.lines().count(), 2, "{list}");
        assert!(list.starts_with(&format!("id={} ", ids[0])), "{list}");
        clients[0].says("CLIENT LIST TYPE replica", "$0\r\n\r\n");
        clients[0].says("CLIENT LIST TYPE nothing", "-ERR syntax error\r\n");
        clients[0].says("CLIENT LIST ID", "-ERR syntax error\r\n");
        clients[0].says("CLIENT LIST ID 0", "-ERR client-id should be greater than 0\r\n");
        clients[0].says("CLIENT LIST ID x", "-ERR client-id should be greater than 0\r\n");
        let info = text_of(&clients[1].hears("CLIENT INFO"));
        assert!(
            info.starts_with(&format!("id={} ", ids[1])) && info.ends_with("lib-name= lib-ver=\n"),
            "{info}"
        );
        // One of them goes, and is gone from the list of the others.
        let gone = clients.pop().expect("there are two at least");
        drop(gone);
        await_clients(&mut clients[0], 2 * workers - 1);
    }
}

#[test]
fn a_client_is_killed_on_whatever_worker_it_is() {
    for workers in WORKER_COUNTS {
        let server = Server::start(workers);
        let mut killer = server.connect();
        for victim in 0..2 * workers {
            let mut client = server.connect();
            let id = id_of(&mut client);
            let address = client.stream.local_addr().expect("it is connected");
            match victim % 3 {
                0 => killer.says(&format!("CLIENT KILL ID {id}"), ":1\r\n"),
                1 => killer.says(&format!("CLIENT KILL {address}"), "+OK\r\n"),
                _ => killer.says(
                    &format!("CLIENT KILL ADDR {address} TYPE normal USER default"),
                    ":1\r\n",
                ),
            }
            client.expect_end("");
        }
        killer.says("CLIENT KILL ID 999999", ":0\r\n");
        killer.says("CLIENT KILL 127.0.0.1:1", "-ERR No such client\r\n");
        killer.says("CLIENT KILL USER nobody", ":0\r\n");
        killer.says("CLIENT KILL TYPE replica", ":0\r\n");
        killer.says(
            "CLIENT KILL ID 0 SKIPME no",
            "-ERR client-id should be greater than 0\r\n",
        );
        killer.says("CLIENT KILL ID", "-ERR No such client\r\n");
        killer.says("CLIENT KILL ID 1 ADDR", "-ERR syntax error\r\n");
        killer.says("CLIENT KILL NOTHING 1", "-ERR syntax error\r\n");
        killer.says("CLIENT KILL SKIPME perhaps", "-ERR syntax error\r\n");

        let mut others = server.connect_to_each(2 * workers);
        for other in &mut others {
            other.says("PING", "+PONG\r\n");
        }
        killer.says("CLIENT KILL TYPE normal", format!(":{}\r\n", others.len()));
        for other in &mut others {
            other.expect_end("");
        }
        killer.says("PING", "+PONG\r\n");
        let me = id_of(&mut killer);
        killer.says(&format!("CLIENT KILL ID {me} SKIPME yes"), ":0\r\n");
        killer.send(format!("CLIENT KILL ID {me} SKIPME no\r\n"));
        killer.expect_end(":1\r\n");
        server.connect().says("PING", "+PONG\r\n");
    }
}

#[test]
fn whoever_kills_itself_is_answered_that_and_nothing_behind_it() {
    on_each_worker_count(|server| {
        for _ in 0..20 {
            let mut client = server.connect();
            let id = id_of(&mut client);
            client.send(format!("CLIENT KILL ID {id} SKIPME no\r\nPING\r\nPING\r\n"));
            client.expect_end(":1\r\n");
        }
    });
}

#[test]
fn names_and_libraries_hold_no_blanks_or_line_ends() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        let name = "-ERR Client names cannot contain spaces, newlines or special characters.\r\n";
        for bad in [b"a b".as_slice(), b"a\nb", b"\xc5\x8d", b"\0"] {
            client.asks(&[b"CLIENT", b"SETNAME", bad], name);
            client.asks(&[b"HELLO", b"3", b"SETNAME", bad], name);
            client.asks(
                &[b"CLIENT", b"SETINFO", b"LIB-NAME", bad],
                "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n",
            );
            client.asks(
                &[b"CLIENT", b"SETINFO", b"LIB-VER", bad],
                "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n",
            );
        }
        client.says("CLIENT SETINFO LIB-X y", "-ERR Unrecognized option 'LIB-X'\r\n");
        client.says("CLIENT GETNAME", "$-1\r\n");
        client.says("CLIENT SETNAME me", "+OK\r\n");
        client.asks(&[b"CLIENT", b"SETNAME", b""], "+OK\r\n");
        client.says("CLIENT GETNAME", "$-1\r\n");
    });
}

#[test]
fn one_client_too_many_is_told_so_and_closed() {
    for workers in WORKER_COUNTS {
        let server = Server::with(&Config {
            maxclients: Number::new(3).expect("in range"),
            ..config(workers)
        });
        let mut clients = server.connect_to_each(3);
        for client in &mut clients {
            client.says("PING", "+PONG\r\n");
        }
        for _ in 0..5 {
            server.connect().expect_end("-ERR max number of clients reached\r\n");
        }
        drop(clients.pop());
        await_clients(&mut clients[0], 2);
        // The place is free a moment after the client is off the list.
        let welcomed = (0..1000).any(|_| {
            let mut client = server.connect();
            client.close_sending();
            client.rest().is_empty()
        });
        assert!(welcomed, "the place of a client that left is given to another");
    }
}

/// Waits until so many clients are listed: a client that went is noticed a little later.
#[track_caller]
fn await_clients(client: &mut Client, count: usize) {
    for _ in 0..10_000 {
        if text_of(&client.hears("CLIENT LIST")).lines().count() == count {
            return;
        }
    }
    panic!("still not {count} clients: {}", text_of(&client.hears("CLIENT LIST")));
}

fn id_of(client: &mut Client) -> u64 {
    let reply = client.hears("CLIENT ID");
    let digits = &reply[1..reply.len() - 2];
    str::from_utf8(digits).expect("digits").parse().expect("a number")
}

/// The text of a bulk.
fn text_of(bulk: &[u8]) -> String {
    let start = bulk.iter().position(|byte| *byte == b'\n').expect("it has a header") + 1;
    String::from_utf8(bulk[start..bulk.len() - 2].to_vec()).expect("text")
}

fn with_password(workers: usize) -> Config {
    Config {
        bind: "127.0.0.1".parse().expect("an address"),
        requirepass: "secret".parse().expect("every text is a password"),
        ..config(workers)
    }
}
