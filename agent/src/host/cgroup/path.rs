//! What the path of a control group tells of what is in it.

use super::group_of;
use crate::host::processes::ProcessId;

/// What the names of the groups begin with that are made for runs of sudo and su.
pub(super) const RUN: &str = "curfew-run-";

/// Where a process is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// In the session with this id.
    Session(String),
    /// Among the users' things, and in no session: a user's manager, or a unit beside it.
    User,
    /// Anywhere else: a system service, a container, a machine.
    System,
}

impl Place {
    /// Where the process `pid` is; none if it is gone.
    pub fn of_process(pid: i32) -> Option<Self> {
        Some(Self::of_group(&group_of(pid).ok()??))
    }

    fn of_group(group: &str) -> Self {
        match session_of(group) {
            Some((_, id)) => Self::Session(id),
            None if group == "/" || group.starts_with("/user.slice/") => Self::User,
            None => Self::System,
        }
    }
}

/// Where the group of a run belongs whose first process is in `group`.
pub(super) fn above_run(group: &str) -> &str {
    if let Some((scope, _)) = session_of(group) {
        return scope;
    }
    // A user's manager, and all below it, is the user's: they may move what is in one of its groups to another.
    if let Some((slice, _)) = group.split_once("/user@") {
        return slice;
    }
    group.split_once(RUN).map_or(group, |(above, _)| above)
}

/// The first process of the run whose group this is, or is above this one. Groups of runs are beside each other: what is deeper, somebody else made.
pub(super) fn first_of_run(group: &str) -> Option<ProcessId> {
    let name = group.split('/').find_map(|name| name.strip_prefix(RUN))?;
    let (pid, start) = name.split_once('-')?;
    Some(ProcessId { pid: pid.parse().ok()?, start: start.parse().ok()? })
}

/// The part of a control group's path up to the scope of a session, and the session's id.
pub(super) fn session_of(group: &str) -> Option<(&str, String)> {
    let mut end = 0;
    for part in group.split_inclusive('/') {
        end += part.len();
        let name = part.trim_end_matches('/');
        if let Some(id) = name.strip_prefix("session-").and_then(|rest| rest.strip_suffix(".scope")) {
            return Some((group.get(..end)?.trim_end_matches('/'), id.to_owned()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_in_the_path_of_its_scope_and_below() {
        let found = |group: &str| session_of(group).map(|(path, id)| (path.to_owned(), id));
        let scope = "/user.slice/user-1001.slice/session-c3.scope";
        assert_eq!(found(scope), Some((scope.into(), "c3".into())));
        assert_eq!(found(&format!("{scope}/child")), Some((scope.into(), "c3".into())));
        assert_eq!(found("/system.slice/ssh.service"), None);
        assert_eq!(found("/user.slice/user-1001.slice/user@1001.service/app.slice"), None);
    }

    #[test]
    fn the_run_that_a_process_is_in_is_told_by_its_group() {
        let scope = "/user.slice/user-1001.slice/session-c3.scope";
        let run = Some(ProcessId { pid: 7, start: 9 });
        assert_eq!(first_of_run(&format!("{scope}/curfew-run-7-9")), run);
        assert_eq!(first_of_run(&format!("{scope}/curfew-run-7-9/curfew-run-8-9")), run);
        for other in [scope.to_owned(), format!("{scope}/curfew-run-7"), format!("{scope}/curfew-run-a-9")] {
            assert_eq!(first_of_run(&other), None, "{other}");
        }
    }

    #[test]
    fn what_a_user_runs_is_told_from_what_the_system_runs() {
        let user = "/user.slice/user-1001.slice/";
        assert_eq!(Place::of_group(&format!("{user}session-7.scope")), Place::Session("7".into()));
        assert_eq!(Place::of_group(&format!("{user}user@1001.service/app.slice/a.service")), Place::User);
        assert_eq!(Place::of_group("/system.slice/cron.service"), Place::System);
        assert_eq!(Place::of_group("/machine.slice/guest/user.slice"), Place::System);
    }
}
