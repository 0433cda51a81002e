//! The rooms of each crate and what each may import: the map of the house.
//!
//! A room is a folder of `src` with the file of the same name beside it. One line a room: its name, then the rooms that it may import; of one with `::`,
//! that file alone, and of one with a dot, the file beside its folder alone. The files of `base` are the ground that all stand on; they import nothing but
//! each other.

/// What one crate's rooms may import.
pub struct Rules {
    /// The crate's folder.
    pub name: &'static str,
    /// What its binaries call it.
    pub library: &'static str,
    /// The modules that together are the room `base`.
    pub base: &'static str,
    /// Room, colon, what it may import.
    pub rooms: &'static str,
}

pub const RULES: [Rules; 3] = [
    Rules {
        name: "agent",
        library: "curfew",
        base: "clock config descriptors digest durable human journal log settings trigger",
        rooms: "
            base:
            host:
            audit: base
            grant: base audit
            sessions: base host audit grant
            endpoint: base audit grant
            wiring: base host sessions
            residue: base host audit grant wiring
            enforce: base host audit grant sessions wiring residue
            ipc: base host audit grant sessions wiring endpoint enforce::status
            doctor: base host wiring ipc::messages
            cli: base host wiring doctor audit grant. endpoint::identity endpoint::tls ipc::messages ipc::client
            daemon: base host audit grant sessions endpoint wiring residue enforce ipc
            bin: base cli daemon
        ",
    },
    Rules {
        name: "server",
        library: "curfew_server",
        base: "actor config duration host_name labels owner secret",
        rooms: "
            base:
            store: base
            sets: base store
            identity: base store
            access: base store identity
            maintenance: base store sets
            policy:
            http: base store sets identity access
            init: base store sets
            cli: base store sets policy http init serve
            serve: base store sets identity access maintenance http init
            bin: base cli
        ",
    },
    Rules {
        name: "protocol",
        library: "curfew_protocol",
        base: "display human_time",
        rooms: "
            base:
            grant: base
            jws: base
            audit: base jws
            exempt: base
            ipc: base
            varlink: base
            grant_set: base grant jws
            host_api: base grant jws audit exempt ipc varlink grant_set
        ",
    },
];
