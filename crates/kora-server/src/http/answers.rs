//! HTTP responses, and what RESP replies become in them.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode, header};
use redis_protocol::resp2::types::OwnedFrame;
use serde_json::Value;

use crate::client::CallError;

pub(super) type Answer = Response<Full<Bytes>>;

/// A response of this type. No page of another origin may show it in a frame, load anything into it or guess its type.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, "text/plain; charset=utf-8", body)
}

pub(super) fn json(value: &Value) -> Answer {
    answer(StatusCode::OK, "application/json", value.to_string())
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request is wrong: why.
    Bad(String),
    /// The server did not answer, or refused.
    Call(CallError),
    /// The server answered something else than it should.
    Unexpected,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Failure {
        Failure::Call(error)
    }
}

impl Failure {
    pub(super) fn bad(reason: impl Into<String>) -> Failure {
        Failure::Bad(reason.into())
    }

    pub(super) fn to_answer(&self) -> Answer {
        let (status, reason) = match self {
            Failure::Bad(reason) => (StatusCode::BAD_REQUEST, reason.clone()),
            Failure::Call(CallError::Refused(error)) => (status_of(error), error.clone()),
            Failure::Call(error) => (StatusCode::BAD_GATEWAY, error.to_string()),
            Failure::Unexpected => (
                StatusCode::BAD_GATEWAY,
                "the server gave an unexpected answer".to_owned(),
            ),
        };
        let mut response = text(status, reason + "\n");
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"Kora\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// What an error of the server is in HTTP.
fn status_of(error: &str) -> StatusCode {
    match error.split(' ').next().unwrap_or_default() {
        "NOAUTH" | "WRONGPASS" => StatusCode::UNAUTHORIZED,
        "NOPERM" => StatusCode::FORBIDDEN,
        "LOADING" | "BUSY" | "OOM" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// A reply's bytes as text.
pub(super) fn text_of(frame: &OwnedFrame) -> Option<String> {
    match frame {
        OwnedFrame::SimpleString(bytes) | OwnedFrame::BulkString(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        OwnedFrame::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The elements of a reply that is an array.
pub(super) fn array_of(frame: OwnedFrame) -> Result<Vec<OwnedFrame>, Failure> {
    match frame {
        OwnedFrame::Array(frames) => Ok(frames),
        _ => Err(Failure::Unexpected),
    }
}

/// Scripts, styles and connections of this origin only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
