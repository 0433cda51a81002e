//! What the stand-in answers: sets of its own making, right or wrong.

use curfew_protocol::grant_set::Claims;
use curfew_protocol::host_api::{AuditBatch, AuditStored, Enrolled, Enrolment, KeyChange, Problem, ProblemKind};
use curfew_protocol::jws::SigningKey;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::exchange::Asked;
use super::{Fault, HOST_ID, ORIGIN, State, TOKEN, host_id};

/// A finished answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    /// More header lines, each with its end.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        Self { status, content_type: "application/json", head: String::new(), body }
    }

    fn problem(kind: ProblemKind, detail: &str) -> Self {
        let body = serde_json::to_vec(&Problem::new(kind, detail)).expect("a problem is JSON");
        Self { status: kind.status(), content_type: "application/problem+json", head: String::new(), body }
    }
}

/// Everything but the grants.
pub(super) fn other(state: &mut State, asked: &Asked) -> Answer {
    match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/v1/enroll") => enroll(state, asked),
        ("POST", path) if path == format!("/v1/hosts/{HOST_ID}/audit") => store(state, asked),
        ("POST", path) if path == format!("/v1/hosts/{HOST_ID}/key") => change_key(state, asked),
        _ => Answer::problem(ProblemKind::NotFound, "no such path"),
    }
}

fn enroll(state: &mut State, asked: &Asked) -> Answer {
    let text = String::from_utf8_lossy(&asked.body);
    match Enrolment::verify(&text) {
        Ok((enrolment, key)) if enrolment.token == TOKEN && enrolment.aud == ORIGIN => {
            state.host_key = Some(key);
            let answer = Enrolled { host: host_id(), issuer: ORIGIN.into(), keys: vec![state.key.public()] };
            Answer::json(200, &json!(answer))
        }
        Ok(_) => Answer::problem(ProblemKind::EnrolmentToken, "no such token"),
        Err(error) => Answer::problem(ProblemKind::BadRequest, &error.to_string()),
    }
}

fn store(state: &mut State, asked: &Asked) -> Answer {
    if let Some(refusal) = asked.refusal(state) {
        return refusal;
    }
    let Ok(batch) = serde_json::from_slice::<AuditBatch>(&asked.body) else {
        return Answer::problem(ProblemKind::BadRequest, "no batch");
    };
    for record in batch.records {
        let number = record["seq"].as_u64();
        if state.records.last().is_none_or(|last| last["seq"].as_u64() < number) {
            state.records.push(record);
        }
    }
    let stored_to = state.records.last().and_then(|last| last["seq"].as_u64()).unwrap_or(0);
    Answer::json(200, &json!(AuditStored { stored_to }))
}

fn change_key(state: &mut State, asked: &Asked) -> Answer {
    let text = String::from_utf8_lossy(&asked.body);
    let old = state.host_key.clone().expect("a host that is enrolled");
    match KeyChange::verify(&text, &old) {
        Ok((_, new)) => state.host_key = Some(new),
        Err(_) if KeyChange::new_key(&text).is_ok_and(|new| new == old) => {}
        Err(error) => return Answer::problem(ProblemKind::Unauthorized, &error.to_string()),
    }
    Answer { status: 204, content_type: "application/json", head: String::new(), body: Vec::new() }
}

/// The set, as the fault has it.
pub(super) fn grants(state: &State) -> Answer {
    let (status, mut head) = (200, format!("ETag: \"{}-{}\"\r\n", state.epoch, state.version));
    let mut answer = Answer { status, content_type: "application/jose", head: String::new(), body: Vec::new() };
    match &state.fault {
        Fault::Portal => {
            answer.content_type = "text/html";
            answer.body = b"<html><body>Please log in to the hotel's network.</body></html>".to_vec();
        }
        Fault::Status(status, retry_after) => {
            answer.status = *status;
            head = retry_after.map_or_else(String::new, |seconds| format!("Retry-After: {seconds}\r\n"));
        }
        Fault::Redirect => {
            answer.status = 302;
            head = format!("Location: {ORIGIN}/v1/elsewhere\r\n");
        }
        _ => answer.body = set(state).into_bytes(),
    }
    answer.head = head;
    answer
}

fn set(state: &State) -> String {
    let now = Timestamp::now().as_second();
    let grants = state.grants.iter().map(|grant| serde_json::value::to_raw_value(grant).expect("JSON"));
    let mut claims = Claims {
        iss: ORIGIN.into(),
        aud: host_id(),
        iat: now,
        exp: now + state.lifetime,
        epoch: state.epoch,
        ver: state.version,
        max_offline_s: state.max_offline.unsigned_abs(),
        keys: state.announced.clone(),
        grants: grants.collect(),
    };
    match state.fault {
        Fault::OtherHost => claims.aud = "another-host".parse().expect("a good id"),
        Fault::Older => claims.ver = 0,
        Fault::Future => (claims.iat, claims.exp) = (now + 86_400, now + 86_700),
        Fault::Expired => (claims.iat, claims.exp) = (now, now - 60),
        _ => {}
    }
    let stranger = SigningKey::generate().expect("a key");
    let key = if state.fault == Fault::UnknownKey { &stranger } else { &*state.key };
    let text = match state.fault {
        Fault::NoSet => curfew_protocol::jws::sign(key, "curfew-grants+jwt", b"{\"aud\":\"stand-in-host\"}"),
        _ => claims.sign(key).expect("claims are JSON"),
    };
    match state.fault {
        Fault::Truncated => text[..text.len() / 2].to_owned(),
        Fault::WrongSignature => {
            let last = text.len() - 10;
            let other = if &text[last..=last] == "A" { "B" } else { "A" };
            format!("{}{other}{}", &text[..last], &text[last + 1..])
        }
        _ => text,
    }
}
