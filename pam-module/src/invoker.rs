//! Who invokes an elevation where PAM's items do not say so.
//!
//! polkit's helper sets `PAM_RUSER` to whoever proves who they are: alice, who knows root's password, would be root. pkexec, which opens the session,
//! sets none. Both still have the real user id of the person then (measured: polkit 126).
//!
//! sudo sets none with `Defaults !pam_ruser`. It keeps the real user id of whoever invoked it, which the kernel gave it, from the first question to the
//! last (measured: sudo 1.9.13 and 1.9.16, sudo-rs 0.2.5, su of util-linux 2.38 and 2.41). A program that has become root altogether shows nobody: it
//! is taken for root's only if nothing tells of anybody else behind it.

use crate::behind::Behind;
use nix::unistd::{Uid, User, getuid};

/// polkit's PAM service.
const POLKIT: &str = "polkit-1";

/// The invoker of `service`, where PAM says `ruser`. None where nobody can be told, or the user id has no name: nobody is let through then.
pub fn of(service: &str, ruser: Option<String>, is_exempt: impl Fn(&str) -> bool) -> Option<String> {
    let uid = getuid();
    match service {
        // A helper that runs as root altogether does not show who invoked it.
        POLKIT if !uid.is_root() => name_of(uid.as_raw()),
        POLKIT => ruser.or_else(|| Some("root".into())),
        _ if ruser.is_some() => ruser,
        _ if !uid.is_root() => name_of(uid.as_raw()),
        _ => behind_root(&Behind::this_process()?, name_of, is_exempt),
    }
}

fn name_of(uid: u32) -> Option<String> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

/// Who is behind a process of root's: whoever is neither root nor exempt, if it is one alone, whatever else is there. Only where it is nobody, it is
/// whoever started it.
fn behind_root(
    behind: &Behind,
    name_of: impl Fn(u32) -> Option<String>,
    is_exempt: impl Fn(&str) -> bool,
) -> Option<String> {
    let mut others: Vec<String> = Vec::new();
    for uid in behind.everybody().filter(|&uid| uid != 0) {
        let name = name_of(uid)?;
        if !is_exempt(&name) && !others.contains(&name) {
            others.push(name);
        }
    }
    match others.as_slice() {
        [] if behind.parent() == 0 => Some("root".into()),
        [] => name_of(behind.parent()),
        [other] => Some(other.clone()),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_invoker_is_told_by_the_user_id_where_pam_does_not_say_it() {
        let me = User::from_uid(getuid()).unwrap().map(|user| user.name);
        assert_eq!(of("sudo", Some("alice".into()), |_| false).as_deref(), Some("alice"));
        assert_eq!(of(POLKIT, None, |_| false), me);
        if !getuid().is_root() {
            assert_eq!(of("sudo", None, |_| true), me);
            assert_eq!(of("su", None, |_| true), me);
        }
    }

    #[test]
    fn a_process_of_roots_is_taken_for_roots_only_if_nobody_else_is_behind_it() {
        let names = |uid| match uid {
            1001 => Some("alice".to_owned()),
            1002 => Some("bob".to_owned()),
            1005 => Some("ops".to_owned()),
            _ => None,
        };
        let invoker = |ancestors: &[u32], login: Option<u32>, slice: Option<u32>| {
            let behind = Behind { ancestors: ancestors.to_vec(), login, slice };
            behind_root(&behind, names, |name| name == "ops")
        };
        // root's own: a service, cron, a login of root's, and the shell of an exempt user who became root.
        assert_eq!(invoker(&[0, 0], None, None).as_deref(), Some("root"));
        assert_eq!(invoker(&[0], Some(0), Some(0)).as_deref(), Some("root"));
        assert_eq!(invoker(&[0, 1005, 0], Some(1005), Some(1005)).as_deref(), Some("root"));
        assert_eq!(invoker(&[1005, 0], Some(1005), None).as_deref(), Some("ops"));
        // Whatever tells of alice outweighs all that tells of root or of somebody exempt.
        assert_eq!(invoker(&[1001, 0], Some(1001), Some(1001)).as_deref(), Some("alice"));
        assert_eq!(invoker(&[0], Some(1001), None).as_deref(), Some("alice"), "an orphan of her login");
        assert_eq!(invoker(&[0], None, Some(1001)).as_deref(), Some("alice"), "an orphan in her slice");
        assert_eq!(invoker(&[0, 0, 1001, 0], None, None).as_deref(), Some("alice"), "root in her own run of sudo");
        assert_eq!(invoker(&[0, 1001, 0], Some(1005), Some(1005)).as_deref(), Some("alice"));
        assert_eq!(invoker(&[1005, 0], Some(1001), Some(1005)).as_deref(), Some("alice"));
        // Two people, or one without a name, are nobody that can be told.
        assert_eq!(invoker(&[1001, 0], Some(1002), None), None);
        assert_eq!(invoker(&[4000, 0], None, None), None);
        assert_eq!(invoker(&[0], Some(4000), None), None);
    }
}
