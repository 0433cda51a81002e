//! Lists that anybody may have written, as the residue report reads them: no panic, nothing that is not printable.
#![no_main]

use curfew::residue::lines;
use curfew::residue::kind::Kind;
use curfew::residue::snapshot::Snapshot;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let mut snapshot = Snapshot::default();
    lines::keys(&mut snapshot, "/root/.ssh/authorized_keys", 0, text);
    lines::accounts(&mut snapshot, text);
    lines::passwords(&mut snapshot, text);
    lines::groups(&mut snapshot, text);
    assert!(lines::homes(text).all(|(home, _)| home.starts_with(b"/")));
    for kind in Kind::ALL {
        for (name, fingerprint) in snapshot.of(kind) {
            assert!(!name.chars().chain(fingerprint.shown.chars()).any(char::is_control));
        }
    }
});
