//! What a record can say happened: one table.

use serde::{Deserialize, Serialize};

macro_rules! events {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal $id:literal)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
        pub enum Event {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Event {
            /// Every event.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name, `CURFEW_EVENT`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its `MESSAGE_ID` (systemd.journal-fields(7)), the key into the catalog.
            pub fn message_id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }
        }
    };
}

events! {
    /// The agent began to enforce grants.
    AgentStarted "agent.started" "8eaec81f91cd4a6b85ebeef6354450ed"
    /// The agent stopped in an orderly way.
    AgentStopped "agent.stopped" "45837b67696642369bb594a124c94ca9"
    /// Which services PAM asks Curfew in changed, or what it does there.
    WiringChanged "wiring.changed" "a3c4f0b7d6a84f4f9c52a2ed6f1f0e83"
    /// `curfew enable` tried the wiring; the fields say with whom, and what was wrong.
    WiringRehearsed "wiring.rehearsed" "5c1f0a7be3d94d1c8f27b8a4d2c6e915"
    /// A grant of the endpoint reached this host.
    GrantReceived "grant.received" "b27d220610d64d02b719ef61e99d4f94"
    /// A grant was malformed and is not held.
    GrantRefused "grant.refused" "9781e3ca187647dd9b9ba33f4be11581"
    /// A grant's window opened.
    GrantStarted "grant.started" "6e78c08362974158841efdac38fb9756"
    /// Whose a grant is changed: its user's name stands for another account, or for none.
    AccountChanged "account.changed" "732f74168dd240bc87eccca8beeb24a4"
    /// A grant no longer holds; `CURFEW_END` says why.
    GrantEnded "grant.ended" "de0beaedc1794c11885c4123eb17c6a1"
    /// A login was permitted.
    LoginPermitted "login.permitted" "e6070e848bbd45f5bfe0696394864fcd"
    /// A login was refused, or would have been.
    LoginDenied "login.denied" "ce95be23213a4237ae06c239ad03e1d7"
    /// A session opened under a grant.
    SessionOpened "session.opened" "165b4860db244f69928034c8644a320b"
    /// A session under a grant ended by itself.
    SessionClosed "session.closed" "b9cda4990ee3430b9bc51e74283108c3"
    /// A session was ended because no grant covers it any more.
    SessionTerminated "session.terminated" "052290eb1b924dc09004944b52af9e80"
    /// An elevation was permitted.
    SudoPermitted "sudo.permitted" "3da4650c27a24c90bacfe91cfa4916ac"
    /// An elevation was refused, or would have been.
    SudoDenied "sudo.denied" "f3efbfc0e1be4f6e99b674a6c9dc781d"
    /// Elevated processes were ended because no grant covers them any more.
    SudoTerminated "sudo.terminated" "c1333c77163d42fa98c05caaf3cdaa4d"
    /// A drop-in for sudo was put in place.
    SudoersWritten "sudoers.written" "2dddd63bb13047b0bbcdae037dd120b1"
    /// A drop-in for sudo was removed.
    SudoersRemoved "sudoers.removed" "64f5e080cef448a2b0913b53fc3d733d"
    /// Somebody on the exempt list logged in or elevated.
    ExemptUsed "exempt.used" "287e7e345ab64c1e9a52114d4844d98f"
    /// A set of grants from the endpoint was verified, stored and put in force.
    SetApplied "set.applied" "66f59d811e6046b7af624853992f4d15"
    /// A store or set of grants could not be used and was set aside.
    SetRefused "set.refused" "1351d16460de4500b6d531add19f4b49"
    /// Root made a local grant.
    LocalGranted "local.granted" "4aabcdd79f0f4ba6b51305fd228ee2f1"
    /// Root revoked a local grant.
    LocalRevoked "local.revoked" "c87bbe0b1928468da5413d59eb0ad989"
    /// The endpoint could not be followed; the last good set stays in force.
    SyncFailed "sync.failed" "4d0a2cc7e5ef4ccca5fa01fadf10ac9d"
    /// The endpoint can be followed again.
    SyncRecovered "sync.recovered" "0f0167358f44487084fd854403ecad40"
    /// The wall clock was set, or what was believed of it changed.
    ClockStepped "clock.stepped" "f2c4fe47a7b54712b0169360df8c1fca"
    /// The host was not as before when sudo by a grant ended.
    ResidueFound "residue.found" "33b5e0c5aaf1f3bda004aa70e527797e"
    /// Records of this audit are gone; the fields say which, how many and why.
    AuditDropped "audit.dropped" "b21ce25c87004069b91267db348279cb"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn message_ids_are_unique_and_128_bits_of_hex() {
        let ids: HashSet<_> = Event::ALL.iter().map(|event| event.message_id()).collect();
        assert_eq!(ids.len(), Event::ALL.len());
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }

    #[test]
    fn the_catalog_explains_every_event() {
        let catalog = include_str!("../../../systemd/curfew.catalog");
        for event in Event::ALL {
            assert!(catalog.contains(&format!("-- {}\n", event.message_id())), "{} is not in it", event.name());
        }
        assert_eq!(catalog.matches("\n-- ").count(), Event::ALL.len());
    }
}
