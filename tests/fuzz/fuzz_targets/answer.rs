//! The agent's answer, as the PAM module reads it: only a whole permit is a permit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use curfew_protocol::ipc::{PamAnswer, Verdict};
use curfew_protocol::varlink::read_answer;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(PamAnswer { verdict: Verdict::Permit, .. }) = read_answer(bytes) {
        let whole: serde_json::Value = serde_json::from_slice(bytes).expect("a permit is JSON");
        assert!(whole.get("error").is_none_or(serde_json::Value::is_null));
    }
});
