//! `kora ping`: checks that a server answers. Docker's health check.

use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use redis_protocol::resp2::types::OwnedFrame;

use crate::client::{CallError, Client};
use crate::config::{Config, Number, Secret};

/// The options of `kora ping`.
#[derive(Clone, Debug, Args)]
pub struct PingOptions {
    /// Where the server is [default: 127.0.0.1]
    #[arg(long, default_value = "127.0.0.1", hide_default_value = true)]
    host: String,

    /// Its port, 1 to 65535 [default: the file's, else 6379]
    #[arg(long, env = "KORA_PORT")]
    port: Option<Number<u16, 1, 65_535>>,

    /// Its password [default: the file's, else none]
    #[arg(long, env = "KORA_REQUIREPASS", hide_env_values = true, value_name = "PASSWORD")]
    requirepass: Option<Secret>,

    /// Milliseconds to wait for a connection and for each answer, 1 to 600000 [default: 2000]
    #[arg(long, default_value = "2000", hide_default_value = true, value_name = "MILLISECONDS")]
    timeout_ms: Number<u64, 1, 600_000>,
}

impl PingOptions {
    /// Takes from the server's settings what was not said: a check beside the server needs no flags.
    pub(crate) fn or(self, server: &Config) -> Self {
        Self {
            port: self.port.or_else(|| Number::new(server.port.get())),
            requirepass: self.requirepass.or_else(|| Some(server.requirepass.clone())),
            ..self
        }
    }
}

/// Says `PONG` with status 0, or what is wrong with status 1.
pub fn run(options: &PingOptions) -> ExitCode {
    match ping(options) {
        Ok(()) => {
            println!("PONG");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("kora ping: {}: {error}", options.host);
            ExitCode::FAILURE
        }
    }
}

fn ping(options: &PingOptions) -> Result<(), PingError> {
    let port = options.port.map(Number::get).ok_or(PingError::NoPort)?;
    let addresses = (options.host.as_str(), port)
        .to_socket_addrs()
        .map_err(PingError::Unresolved)?;
    let mut last = PingError::NoAddress;
    for address in addresses {
        match Client::connect(address, Duration::from_millis(options.timeout_ms.get())) {
            Ok(client) => return ping_over(client, options.requirepass.as_ref().and_then(Secret::reveal)),
            Err(error) => last = PingError::Call(error),
        }
    }
    Err(last)
}

fn ping_over(mut client: Client, password: Option<&str>) -> Result<(), PingError> {
    client.authenticate(password)?;
    match client.call(&[b"PING"])? {
        OwnedFrame::SimpleString(text) if text == b"PONG" => Ok(()),
        _ => Err(PingError::NotPong),
    }
}

/// Why there was no PONG.
#[derive(Debug)]
enum PingError {
    NoPort,
    NoAddress,
    Unresolved(io::Error),
    Call(CallError),
    NotPong,
}

impl From<CallError> for PingError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl fmt::Display for PingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPort => f.write_str("the server takes any free port (0); say which with --port"),
            Self::NoAddress => f.write_str("the name has no address"),
            Self::Unresolved(error) => error.fmt(f),
            Self::Call(CallError::Refused(text)) if text.starts_with("NOAUTH") => {
                write!(f, "{text} (KORA_REQUIREPASS or --requirepass gives the password)")
            }
            Self::Call(error) => error.fmt(f),
            Self::NotPong => f.write_str("the answer is not PONG"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Options for a server that answers each of its requests with one of `answers`.
    fn server(answers: &'static [&'static str], password: &str) -> PingOptions {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                assert_ne!(stream.read(&mut [0; 512]).unwrap(), 0);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let secret = password.parse().unwrap();
        let (port, timeout_ms) = (Number::new(port), Number::constant(5_000));
        PingOptions {
            host: "127.0.0.1".to_owned(),
            port,
            requirepass: Some(secret),
            timeout_ms,
        }
    }

    fn failure(answers: &'static [&'static str], password: &str) -> String {
        ping(&server(answers, password)).unwrap_err().to_string()
    }

    #[test]
    fn a_server_that_says_pong_is_well() {
        ping(&server(&["+PONG\r\n"], "")).unwrap();
        ping(&server(&["+OK\r\n", "+PONG\r\n"], "secret")).unwrap();
    }

    #[test]
    fn everything_else_says_what_is_wrong() {
        let told = failure(&["-NOAUTH Authentication required.\r\n"], "");
        assert_eq!(
            told,
            "NOAUTH Authentication required. (KORA_REQUIREPASS or --requirepass gives the password)"
        );
        let told = failure(
            &["-WRONGPASS invalid username-password pair or user is disabled.\r\n"],
            "wrong",
        );
        assert!(told.starts_with("WRONGPASS"), "{told}");
        assert_eq!(failure(&["+OK\r\n"], ""), "the answer is not PONG");
        assert_eq!(failure(&[""], ""), "the server closed the connection");
    }

    #[test]
    fn what_was_not_said_is_the_servers_setting() {
        let options = PingOptions {
            port: None,
            requirepass: None,
            ..server(&[], "")
        };
        let config = Config {
            port: Number::constant(7000),
            requirepass: "p".parse().unwrap(),
            ..Config::default()
        };
        let filled = options.clone().or(&config);
        assert_eq!(
            (filled.port, filled.requirepass.unwrap().reveal()),
            (Number::new(7000), Some("p"))
        );
        let any_port = Config {
            port: Number::constant(0),
            ..Config::default()
        };
        assert!(matches!(ping(&options.or(&any_port)), Err(PingError::NoPort)));
    }
}
