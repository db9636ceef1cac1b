//! JSON that is no request. jsonrpsee calls all of it a parse error; the specification keeps that for what is no
//! JSON, and calls the rest an invalid request.

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::response::Response;
use http::header::CONTENT_LENGTH;
use jsonrpsee::types::{ErrorCode, Id, Response as Answer, ResponsePayload};
use serde::de::IgnoredAny;

/// The answer to `request`: as it is, unless it calls JSON a parse error.
pub(super) async fn told(answer: Response, request: &Bytes) -> Response {
    let parse_error = text(ErrorCode::ParseError);
    if answer.body().size_hint().exact() != Some(parse_error.len() as u64) {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    // It is in memory already, and as long as the text above.
    let Ok(said) = to_bytes(body, parse_error.len()).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let is_json = || serde_json::from_slice::<IgnoredAny>(request).is_ok();
    if said != parse_error || !is_json() {
        return Response::from_parts(parts, Body::from(said));
    }
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(text(ErrorCode::InvalidRequest)))
}

/// What jsonrpsee answers where it finds no request.
fn text(code: ErrorCode) -> String {
    let answer = Answer::new(ResponsePayload::<()>::error(code), Id::Null);
    serde_json::to_string(&answer).expect("three plain members")
}
