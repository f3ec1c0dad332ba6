//! What is at which path.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode, header};
use kora_mesh::Durability;

use super::answers::{Answer, Failure, answer, json, text, text_of};
use super::console::{Console, Credentials};
use super::info::Info;
use super::{metrics, neighbours};
use crate::client::{CallError, Client};
use crate::settings::Live;

/// The whole of the HTTP port.
pub(super) struct Site {
    pub(super) console: Console,
    pub(super) live: Arc<Live>,
    pub(super) durability: Arc<Durability>,
}

impl Site {
    /// Answers one request.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        if !self.is_ours(&request) {
            let reason = "The Host header names another server. Use an IP address or localhost, or set a password.\n";
            return text(StatusCode::MISDIRECTED_REQUEST, reason);
        }
        let path = request.uri().path().to_owned();
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let is_search = path == "/api/search" && request.method() == Method::POST;
        if !is_read && !is_search {
            return text(StatusCode::METHOD_NOT_ALLOWED, "Only GET is understood here.\n");
        }
        if let Some(file) = file(&path) {
            return file;
        }
        let call = Call {
            path,
            query: request.uri().query().unwrap_or_default().to_owned(),
            credentials: credentials(&request),
            body: match is_search {
                true => match Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await {
                    Ok(body) => body.to_bytes(),
                    Err(error) => return text(StatusCode::PAYLOAD_TOO_LARGE, format!("{error}\n")),
                },
                false => Bytes::new(),
            },
        };
        let answered = tokio::task::spawn_blocking(move || self.call(&call)).await;
        match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(failure)) => failure.to_answer(),
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the request was given up\n"),
        }
    }

    /// Answers what the server itself has to be asked for. It waits: not for an event loop.
    fn call(&self, call: &Call) -> Result<Answer, Failure> {
        match call.path.as_str() {
            "/healthz" => Ok(self.health()),
            "/readyz" => Ok(self.readiness()),
            "/metrics" => metrics::answer(&mut self.client(call)?),
            "/api/info" => Ok(json(&info(&mut self.client(call)?)?.to_json())),
            "/api/collections" => neighbours::collections(&mut self.client(call)?),
            "/api/slow" => neighbours::slow_commands(&mut self.client(call)?),
            "/api/neighbours" => neighbours::of_element(&mut self.client(call)?, &call.query),
            "/api/search" => neighbours::of_vector(&mut self.client(call)?, &call.body),
            _ => Ok(text(
                StatusCode::NOT_FOUND,
                "There is nothing at this path. Start at /\n",
            )),
        }
    }

    fn client(&self, call: &Call) -> Result<Client, Failure> {
        Ok(self.console.connect(call.credentials.as_ref())?)
    }

    /// Well if every worker answers anything.
    fn health(&self) -> Answer {
        for worker in 0..self.console.worker_count() {
            let answered = self
                .console
                .connect_to(worker)
                .and_then(|mut client| client.call(&[b"PING"]));
            match answered {
                Ok(_) | Err(CallError::Refused(_)) => {}
                Err(error) => {
                    let reason = format!("worker {worker} does not answer: {error}\n");
                    return text(StatusCode::SERVICE_UNAVAILABLE, reason);
                }
            }
        }
        text(StatusCode::OK, "ok\n")
    }

    /// Ready if it is well and has all its data.
    fn readiness(&self) -> Answer {
        if self.durability.phase().is_loading {
            let (done, all) = (self.durability.loaded_bytes.get(), self.durability.load_bytes.get());
            let reason = format!("loading: {done} of {all} bytes\n");
            return text(StatusCode::SERVICE_UNAVAILABLE, reason);
        }
        self.health()
    }

    /// Without a password, a page of another site could make its name mean this machine and read what is here: then only
    /// names are answered that no other site can have.
    fn is_ours(&self, request: &Request<Incoming>) -> bool {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        self.live.engine.access.need_login() || host.is_none_or(is_local_name)
    }
}

/// What is asked.
struct Call {
    path: String,
    query: String,
    credentials: Option<Credentials>,
    body: Bytes,
}

/// INFO with all of its sections.
pub(super) fn info(client: &mut Client) -> Result<Info, Failure> {
    let text = text_of(&client.call(&[b"INFO", b"everything"])?).ok_or(Failure::Unexpected)?;
    Ok(Info::parse(&text))
}

fn file(path: &str) -> Option<Answer> {
    let (content_type, body) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("page/index.html")),
        "/page.css" => ("text/css; charset=utf-8", include_str!("page/page.css")),
        "/page.js" => ("text/javascript; charset=utf-8", include_str!("page/page.js")),
        "/neighbourhood.js" => ("text/javascript; charset=utf-8", include_str!("page/neighbourhood.js")),
        _ => return None,
    };
    Some(answer(StatusCode::OK, content_type, body))
}

fn credentials(request: &Request<Incoming>) -> Option<Credentials> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    basic(value)
}

/// Reads `Basic <base64 of user:password>` (RFC 7617). Without a user it is Redis's user `default`.
fn basic(value: &str) -> Option<Credentials> {
    let (scheme, coded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(coded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    let user = if user.is_empty() { "default" } else { user };
    Some(Credentials {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

/// True of `localhost` and of IP addresses, with or without a port.
fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
}

/// The longest vector that is searched for: 65,536 components as text.
const BODY_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_no_site_can_take_are_local() {
        for local in [
            "localhost",
            "LOCALHOST:9121",
            "127.0.0.1:80",
            "10.1.2.3",
            "[::1]:80",
            "[fe80::1]",
        ] {
            assert!(is_local_name(local), "{local}");
        }
        for other in [
            "",
            "evil.example:80",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[evil]",
        ] {
            assert!(!is_local_name(other), "{other}");
        }
    }

    #[test]
    fn credentials_are_those_of_basic_authentication() {
        let read = |text: &str| basic(&format!("Basic {}", STANDARD.encode(text)));
        let of = |user: &str, password: &str| {
            Some(Credentials {
                user: user.to_owned(),
                password: password.to_owned(),
            })
        };
        assert_eq!(read("anna:a:b"), of("anna", "a:b"));
        assert_eq!(read(":p"), of("default", "p"));
        assert_eq!(read("no colon"), None);
        assert_eq!(basic("Bearer x"), None);
        assert_eq!(basic("Basic %%%"), None);
    }
}
