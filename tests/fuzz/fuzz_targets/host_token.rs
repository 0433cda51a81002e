//! What a host shows the endpoint: a token, an enrolment or a change of its key that is not signed is never good.
#![no_main]

use std::sync::LazyLock;

use curfew_protocol::host_api::{Enrolment, HostToken, KeyChange};
use curfew_protocol::jws::{SigningKey, sign, sign_with_key_inside};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().expect("a key"));

fuzz_target!(|bytes: &[u8]| {
    let (key, origins) = (KEY.public(), ["https://curfew.example".to_owned()]);
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(HostToken::verify(text, &key, &origins, Timestamp::UNIX_EPOCH, b"").is_err());
        assert!(KeyChange::verify(text, &key).is_err());
        let _whose = HostToken::claimed_host(text);
        let _enrolment = Enrolment::verify(text);
    }
    let token = sign(&KEY, "curfew-host+jwt", bytes);
    if let Ok(token) = HostToken::verify(&token, &key, &origins, Timestamp::UNIX_EPOCH, b"") {
        assert!(origins.contains(&token.aud) && token.exp - token.iat <= 60);
    }
    let _enrolment = Enrolment::verify(&sign_with_key_inside(&KEY, "curfew-enroll+jwt", bytes));
    let inner = sign(&KEY, "curfew-key+jwt", bytes);
    let _change = KeyChange::verify(&sign_with_key_inside(&KEY, "curfew-key-change+jwt", inner.as_bytes()), &key);
});
