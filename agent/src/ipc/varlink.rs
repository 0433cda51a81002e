//! Messages on both sockets: a call before anybody has looked at it, an error reply, and what goes over the wire.

pub mod framing;
pub mod service;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::time::Duration;

/// A Varlink call, before its method and parameters are looked at. Public for the fuzzer.
#[derive(Debug, Deserialize)]
pub struct RawCall {
    /// The method's full name.
    pub method: String,
    /// Its parameters.
    #[serde(default)]
    pub parameters: Option<Box<RawValue>>,
}

/// An error reply.
#[derive(Debug, Serialize)]
pub struct ErrorReply {
    error: &'static str,
    parameters: Value,
}

impl ErrorReply {
    /// No such method.
    pub fn unknown_method(method: &str) -> Self {
        Self {
            error: "org.varlink.service.MethodNotFound",
            parameters: json!({"method": method, "detail": format!("there is no method {method:?} here")}),
        }
    }

    /// A parameter is missing, unknown or holds a bad value.
    pub fn bad_parameter(parameter: &str, problem: &str) -> Self {
        Self {
            error: "org.varlink.service.InvalidParameter",
            parameters: json!({"parameter": parameter, "detail": format!("parameter `{parameter}`: {problem}")}),
        }
    }

    /// The message is no Varlink call.
    pub fn malformed(problem: &str) -> Self {
        Self {
            error: "io.curfew.Agent.MalformedMessage",
            parameters: json!({"detail": format!("the message is no call: {problem}")}),
        }
    }

    /// The caller may not do this.
    pub fn not_permitted(detail: &str) -> Self {
        Self { error: "io.curfew.Agent.NotPermitted", parameters: json!({"detail": detail}) }
    }

    /// The caller's own calls stand in each other's way.
    pub fn too_many_calls(again_after: Duration) -> Self {
        let detail = format!("too many calls of yours wait for an answer: try again in {} s", again_after.as_secs());
        let milliseconds = u64::try_from(again_after.as_millis()).unwrap_or(u64::MAX);
        Self {
            error: "io.curfew.Agent.TooManyCalls",
            parameters: json!({"detail": detail, "retry_after_ms": milliseconds}),
        }
    }

    /// It was tried, and failed.
    pub fn failed(detail: &str) -> Self {
        Self { error: "io.curfew.Agent.Failed", parameters: json!({"detail": detail}) }
    }
}

/// Takes the parameters of a call apart.
///
/// # Errors
///
/// The error reply, with the place and the value.
pub fn parameters<T: for<'de> Deserialize<'de>>(call: &RawCall) -> Result<T, ErrorReply> {
    let text = call.parameters.as_deref().map_or("{}", RawValue::get);
    if !text.starts_with('{') {
        return Err(ErrorReply::bad_parameter("parameters", "they are no JSON object"));
    }
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text))
        .map_err(|error| ErrorReply::bad_parameter(&error.path().to_string(), &error.inner().to_string()))
}

/// An answer as it goes over the wire, with its closing NUL; none for what is no JSON.
pub fn written<P: Serialize>(answer: &Result<P, ErrorReply>) -> Option<Vec<u8>> {
    #[derive(Serialize)]
    struct Reply<'a, P> {
        parameters: &'a P,
    }
    let mut message = match answer {
        Ok(parameters) => serde_json::to_vec(&Reply { parameters }),
        Err(error) => serde_json::to_vec(error),
    }
    .ok()?;
    message.push(0);
    Some(message)
}

/// No parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}
