//! The credential of a call, and that its connection is one of somebody who has one.

use crate::http::error::{Refusal, refuse};
use crate::http::listener::{ConnectionSlot, Who};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use curfew_protocol::host_api::ProblemKind;
use std::net::IpAddr;
use std::sync::Arc;

/// The longest token, in bytes.
const LONGEST: usize = 4096;

/// The bearer token of a call.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let header = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let token = header.and_then(|header| {
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("Bearer").then_some(token.trim())
    });
    match token {
        Some(token) if token.len() <= LONGEST => Ok(token),
        _ => refuse(ProblemKind::Unauthorized, "Authorization: Bearer with a token is expected"),
    }
}

/// Where a call comes from, as far as addresses are told apart.
pub(crate) fn from(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<Arc<ConnectionSlot>>().map(|slot| slot.address())
}

/// Notes that the connection of a call is one of somebody with a credential.
pub(crate) fn known(parts: &Parts, who: Who) -> Result<(), Refusal> {
    match parts.extensions.get::<Arc<ConnectionSlot>>() {
        Some(slot) if !slot.is_known_as(who) => {
            refuse(ProblemKind::TooMany, "the server has as many connections as max_connections lets it have")
        }
        _ => Ok(()),
    }
}
