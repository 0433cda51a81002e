//! What lets people log in or become root beside the services that are judged, from `access_paths`: told by kind, with what to do.

use super::{Check, Host, Occasion};
use crate::wiring::access_paths::{self, AccessPath, Kind, Standing};

/// At most so many of what is covered are told.
const MOST_TOLD: usize = 10;

pub(super) fn checks(host: &Host, occasion: Occasion) -> Vec<Check> {
    let paths = access_paths::survey(&host.config()).paths;
    Kind::ALL.into_iter().flat_map(|kind| of_kind(kind, &paths, occasion)).collect()
}

fn of_kind(kind: Kind, paths: &[AccessPath], occasion: Occasion) -> Vec<Check> {
    let these: Vec<&AccessPath> = paths.iter().filter(|path| path.kind == kind).collect();
    let bad: Vec<Check> = these.iter().filter_map(|path| bad(path, occasion)).collect();
    if !bad.is_empty() {
        return bad;
    }
    let covered: Vec<&str> = these.iter().map(|path| path.detail.as_str()).take(MOST_TOLD).collect();
    let detail = if covered.is_empty() { none(kind).to_owned() } else { covered.join("; ") };
    vec![Check::pass(kind.name(), detail)]
}

fn bad(path: &AccessPath, occasion: Occasion) -> Option<Check> {
    let (name, detail, fix) = (path.kind.name(), &path.detail, &path.fix);
    match path.standing {
        Standing::Covered => None,
        Standing::OpenToTheNetwork => Some(Check::fail(name, detail, fix)),
        // Whoever wires what nobody asks takes it for a lock.
        Standing::Unknown if path.kind == Kind::SshServers && occasion == Occasion::BeforeWiring => {
            Some(Check::fail(name, detail, fix))
        }
        Standing::OpenOnTheHost | Standing::Unknown => Some(Check::warn(name, detail, fix)),
    }
}

fn none(kind: Kind) -> &'static str {
    match kind {
        Kind::SshServers => "there is no sshd that is judged",
        Kind::LoginServers => "no other program that is known to log people in listens or is enabled",
        Kind::PamServices => "there is no PAM service",
        Kind::Polkit => "there is no polkit",
        Kind::Doas => "doas is not here, or has no rules",
    }
}
