//! Who invokes an elevation where PAM's items do not say so.
//!
//! polkit's helper sets `PAM_RUSER` to whoever proves who they are: alice, who knows root's password, would be root. pkexec, which opens the session,
//! sets none. Both still have the real user id of the person then (measured: polkit 126).

use nix::unistd::{User, getuid};

/// polkit's PAM service.
const POLKIT: &str = "polkit-1";

/// The invoker of `service`, where PAM says `ruser`. None where the user id has no name: nobody is let through then.
pub fn of(service: &str, ruser: Option<String>) -> Option<String> {
    let uid = getuid();
    match service {
        // A helper that runs as root altogether does not show who invoked it.
        POLKIT if !uid.is_root() => User::from_uid(uid).ok().flatten().map(|user| user.name),
        POLKIT => ruser.or_else(|| Some("root".into())),
        _ => ruser,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_invoker_is_told_by_the_user_id_for_polkit_alone() {
        let me = User::from_uid(getuid()).unwrap().map(|user| user.name);
        assert_eq!(of("sudo", Some("alice".into())).as_deref(), Some("alice"));
        assert_eq!(of("sudo", None), None);
        assert_eq!(of(POLKIT, None), me);
    }
}
