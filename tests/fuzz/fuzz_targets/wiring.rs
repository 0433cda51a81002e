//! A PAM service file: wiring and unwiring restores every byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use curfew::wiring::kind::Kind;
use curfew::wiring::marks::{unwired, wired};

fuzz_target!(|text: &[u8]| {
    let plain = unwired(text);
    let once = wired(text, Kind::Login);
    assert_eq!(unwired(&once), plain);
    assert_eq!(wired(&once, Kind::Login), once);
});
