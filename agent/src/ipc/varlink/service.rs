//! What every Varlink service says of itself (org.varlink.service).

use super::{ErrorReply, RawCall, parameters};
use serde::Deserialize;
use serde_json::{Value, json};

/// The description that varlinkctl(1) shows.
const INTERFACE: &str = include_str!("../io.curfew.Agent.varlink");

#[derive(Deserialize)]
struct Described {
    interface: String,
}

/// Answers such a call; none for any other.
pub fn answer(call: &RawCall) -> Option<Result<Value, ErrorReply>> {
    match call.method.as_str() {
        "org.varlink.service.GetInfo" => Some(Ok(json!({
            "vendor": "Curfew", "product": "curfewd", "version": env!("CARGO_PKG_VERSION"), "url": env!("CARGO_PKG_REPOSITORY"),
            "interfaces": ["org.varlink.service", "io.curfew.Agent"],
        }))),
        "org.varlink.service.GetInterfaceDescription" => Some(parameters(call).and_then(describe)),
        _ => None,
    }
}

fn describe(Described { interface }: Described) -> Result<Value, ErrorReply> {
    match interface.as_str() {
        "io.curfew.Agent" => Ok(json!({"description": INTERFACE})),
        other => Err(ErrorReply::bad_parameter("interface", &format!("there is no interface {other:?} here"))),
    }
}
