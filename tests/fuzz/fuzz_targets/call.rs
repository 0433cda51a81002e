//! A Varlink call, as both servers read it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use curfew::audit::query::Query;
use curfew::ipc::messages::{GrantOrder, Revoke, WhyQuestion};
use curfew::ipc::varlink::{RawCall, parameters};
use curfew_protocol::ipc::PamQuestion;

fuzz_target!(|bytes: &[u8]| {
    let Ok(call) = serde_json::from_slice::<RawCall>(bytes) else { return };
    let _ = parameters::<PamQuestion>(&call);
    let _ = parameters::<GrantOrder>(&call);
    let _ = parameters::<Revoke>(&call);
    let _ = parameters::<WhyQuestion>(&call);
    let _ = parameters::<Query>(&call);
});
