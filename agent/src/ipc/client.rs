//! How the project's own programs ask the agent: root's over PAM's socket, which nobody else can reach, others' over the public one.

use curfew_protocol::ipc::{AGENT_SOCKET, PAM_SOCKET};
use curfew_protocol::varlink::{self, CallError};
use nix::unistd::geteuid;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;

/// Calls `method` once, and waits for its answer, `limit` at the longest.
///
/// # Errors
///
/// As [`varlink::call`].
pub fn call<P: Serialize, R: DeserializeOwned>(method: &str, parameters: &P, limit: Duration) -> Result<R, CallError> {
    by_own_way(|socket| varlink::call(socket, method, parameters, limit))
}

/// As [`call`], for what may be asked twice.
///
/// # Errors
///
/// As [`varlink::ask`].
pub fn ask<P: Serialize, R: DeserializeOwned>(method: &str, parameters: &P, limit: Duration) -> Result<R, CallError> {
    by_own_way(|socket| varlink::ask(socket, method, parameters, limit))
}

fn by_own_way<R>(exchange: impl Fn(&Path) -> Result<R, CallError>) -> Result<R, CallError> {
    if geteuid().is_root() {
        match exchange(Path::new(PAM_SOCKET)) {
            // An agent from before an upgrade answers PAM alone there, and a policy may shut it to some of root's programs: nothing was done.
            Err(CallError::Unreachable(_)) => {}
            Err(CallError::Refused { error, .. }) if error == "org.varlink.service.MethodNotFound" => {}
            answered => return answered,
        }
    }
    exchange(Path::new(AGENT_SOCKET))
}
