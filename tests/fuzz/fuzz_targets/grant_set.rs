//! Grant sets: what nobody signed is never taken, and what is signed is taken whole or refused, each grant of it held or refused.
#![no_main]

use std::sync::LazyLock;

use curfew_protocol::grant_set::{GrantSet, HostId};
use curfew_protocol::jws::{SigningKey, sign};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().expect("a key"));
static HOST: LazyLock<HostId> = LazyLock::new(|| "host".parse().expect("a good id"));

fuzz_target!(|bytes: &[u8]| {
    let pinned = [KEY.public()];
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(GrantSet::verify_stored(text, &pinned, &HOST).is_err());
    }
    let signed = sign(&KEY, "curfew-grants+jwt", bytes);
    let Ok(set) = GrantSet::verify_stored(&signed, &pinned, &HOST) else { return };
    let document: Value = serde_json::from_slice(bytes).expect("a set is JSON");
    assert_eq!(document["aud"], "host");
    assert_eq!(document["grants"].as_array().map(Vec::len), Some(set.grants.len() + set.refused.len()));
    assert!(set.fresh_until <= set.opens_until);
});
