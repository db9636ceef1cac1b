//! JSON that is no request. jsonrpsee calls all of it a parse error; the specification keeps that for what is no
//! JSON, and calls the rest an invalid request.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jsonrpsee::types::{ErrorCode, Id, Response as Answer, ResponsePayload};
use serde::de::IgnoredAny;

/// What to answer in place of a parse error, if the body is JSON after all.
pub(super) fn instead(status: StatusCode, body: &Bytes) -> Option<Response> {
    let is_json = || serde_json::from_slice::<IgnoredAny>(body).is_ok();
    if status != StatusCode::BAD_REQUEST || !is_json() {
        return None;
    }
    let payload = ResponsePayload::<()>::error(ErrorCode::InvalidRequest);
    let answer = serde_json::to_string(&Answer::new(payload, Id::Null)).ok()?;
    Some(
        (
            status,
            [(CONTENT_TYPE, "application/json; charset=utf-8")],
            answer,
        )
            .into_response(),
    )
}
