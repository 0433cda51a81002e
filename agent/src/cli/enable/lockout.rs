//! Who gets in once Curfew is in force: the exempt, and whoever is granted access by somebody who is in.

use super::ask;
use crate::doctor::{Check, ssh, way_in};
use crate::host::processes::login_uid;
use crate::ipc::messages::Status;
use curfew_protocol::exempt;
use nix::unistd::{Uid, User};
use serde_json::json;
use std::path::Path;

/// The exempt users that this host has.
pub(super) fn exempt_users() -> Vec<String> {
    let names = exempt::names(Path::new(exempt::EXEMPT_LIST)).unwrap_or_default();
    names.into_iter().filter(|name| User::from_name(name).ok().flatten().is_some()).collect()
}

/// That nobody might get in, or grant anything, once it is in force: nobody on the exempt list but root can log in, and root does not seem to here. Where it is
/// in force already, that shuts nobody out who gets in now.
pub(super) fn nobody_left() -> Option<Check> {
    let status: Option<Status> = ask("Status", json!({})).ok();
    let knows_a_way = status.is_some_and(|status| status.set.is_some() || status.in_force);
    if knows_a_way {
        return None;
    }
    let exempt = exempt_users();
    let is_root_exempt = exempt.iter().any(|name| name == "root");
    let mut shut_out = Vec::new();
    for name in exempt.into_iter().filter(|name| name != "root") {
        // One way in is enough.
        let why = way_in::shut_out(&name)?;
        shut_out.push(format!("{name} can't log in: {why}"));
    }
    let why = match caller() {
        _ if !is_root_exempt => "root is not exempt".into(),
        Some(me) if me != "root" => format!("you are {me}"),
        None if !ssh::lets_root_in() => "sshd lets no root in".into(),
        _ => return None,
    };
    let who = match shut_out.as_slice() {
        [] => "root alone is exempt".to_owned(),
        whys => format!("nobody else who is exempt than root gets in ({})", whys.join("; ")),
    };
    let detail = format!("{who}, no endpoint grants anything, and {why}: once it is in force, nobody might get in");
    let mend = format!(
        "echo NAME >>{}, or have it undone unless somebody confirms it: --confirm 5m; if root can get in: --no-confirm",
        exempt::EXEMPT_LIST
    );
    Some(Check::fail("way_in", detail, mend))
}

/// Who is logged in where this runs; none for what the machine itself runs.
fn caller() -> Option<String> {
    let uid = i32::try_from(std::process::id()).ok().and_then(login_uid)?;
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

/// A word to somebody who could not come in again.
pub(super) fn whose_shell(exempt: &[String]) -> Option<String> {
    let me = caller().filter(|me| !exempt.contains(me))?;
    Some(format!(
        "You are {me}, who is not exempt: this session stays, and your next login and your next sudo need a grant, or a line in {}.\n",
        exempt::EXEMPT_LIST
    ))
}
