//! A PAM service file: wiring and unwiring restores every byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use curfew::wiring::{Kind, unwired, wired};

fuzz_target!(|text: &[u8]| {
    if let (Ok(plain), Ok(once)) = (unwired(text), wired(text, Kind::Login)) {
        assert_eq!(unwired(&once).expect("our marks come in pairs"), plain);
    }
});
