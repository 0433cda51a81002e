//! The local store: what is refused is kept, and nothing is both held and refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use curfew::grant::local::parse;

fuzz_target!(|bytes: &[u8]| {
    let Ok((held, refused)) = parse(bytes) else { return };
    let document: serde_json::Value = serde_json::from_slice(bytes).expect("a store is JSON");
    assert_eq!(document["grants"].as_array().map(Vec::len), Some(held.len() + refused.len()));
});
