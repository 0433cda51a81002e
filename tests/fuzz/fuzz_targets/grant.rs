//! A grant: whatever is accepted is written again as it was, and its commands are one line of sudoers each.
#![no_main]

use libfuzzer_sys::fuzz_target;
use curfew_protocol::grant::Grant;

fuzz_target!(|bytes: &[u8]| {
    let Ok(grant) = Grant::from_json(bytes) else { return };
    let again = serde_json::to_vec(&grant).expect("a grant can be written");
    assert_eq!(Grant::from_json(&again).expect("a grant that was written can be read"), grant);
    for command in grant.sudo.iter().flat_map(|sudo| &sudo.commands) {
        assert!(!command.to_sudoers().contains(['\n', '*', '?', '!', '"', '#']));
    }
});
