//! What live grants of sudo give, as the host's sudo itself lists it: other rules may come behind ours and win.

use super::{Check, Host};
use crate::host::sudo::SUDO;
use crate::host::sudo_list;
use curfew_protocol::grant::Grant;
use std::collections::BTreeMap;
use std::path::Path;

/// At most so many people are asked about.
const MOST_PEOPLE: usize = 32;

/// The check; none where nothing of a grant is in place.
pub(super) fn check(host: &Host) -> Option<Check> {
    let name = "sudo_grants";
    let status = host.status.as_ref().ok().filter(|status| status.in_force)?;
    let mut people: BTreeMap<&str, Vec<&Grant>> = BTreeMap::new();
    let live = status.grants.iter().filter(|shown| shown.is_live() && shown.grant.sudo.is_some());
    live.for_each(|shown| people.entry(shown.grant.user.as_str()).or_default().push(&shown.grant));
    if people.is_empty() || !Path::new(SUDO).exists() {
        return None;
    }
    let mut problems = Vec::new();
    for (user, grants) in people.iter().take(MOST_PEOPLE) {
        match sudo_list::problems_of(user, grants, host.config().sudo_password) {
            Ok(found) => problems.extend(found),
            Err(problem) => problems.push(format!("what sudo gives {user} can't be known: {problem}")),
        }
    }
    let asked = people.len().min(MOST_PEOPLE);
    Some(if problems.is_empty() {
        Check::pass(
            name,
            format!("sudo gives what is granted ({asked} of {} people with live grants asked about)", people.len()),
        )
    } else {
        Check::warn(name, problems.join("; "), "visudo, on the file that is named; then run curfew doctor again")
    })
}
