//! As whom sudo runs something, as it was typed: the name of an account, which grants are for, and the group where that is none of its own.

use crate::host::users;

/// The user that `sudo -u USER -g GROUP` of `invoker` turns into: `bob`, or `bob:ops` with a group that bob is not in. Without `-u`, that is root, or with a
/// group the invoker. No grant gives a group, and no user's name has a colon: with one, no grant covers it. The local accounts alone are asked, which
/// keep nobody waiting: what they do not know stays as it was typed.
pub(super) fn named(user: Option<&str>, group: Option<&str>, invoker: &str) -> String {
    let unsaid = if group.is_some() { invoker } else { "root" };
    let user_of = |uid: u32| users::local(2, &uid.to_string()).and_then(|line| line.into_iter().next());
    let user = by_id(user.unwrap_or(unsaid), user_of);
    match group.map(|group| by_id(group, users::local_group)) {
        Some(group) if !users::is_in_local_group(&user, &group) => format!("{user}:{group}"),
        _ => user,
    }
}

/// The name behind `#1002`, as sudo reads it, where `name_of` knows it.
fn by_id(typed: &str, name_of: impl Fn(u32) -> Option<String>) -> String {
    let id = typed.strip_prefix('#').and_then(|id| id.trim_start().parse().ok());
    id.and_then(name_of).unwrap_or_else(|| typed.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_accounts_that_have_them_and_a_group_of_others_is_named() {
        for (user, group, whom) in [
            (None, None, "root"),
            (Some("bob"), None, "bob"),
            (Some("#0"), None, "root"),
            (Some("#+00"), None, "root"),
            (Some("#4000000000"), None, "#4000000000"),
            (Some("#-1"), None, "#-1"),
            (Some("#"), None, "#"),
            (Some("root"), Some("#0"), "root"),
            (Some("#0"), Some("no-such-group"), "root:no-such-group"),
            (None, Some("#4000000000"), "nobody-of-this-name:#4000000000"),
        ] {
            assert_eq!(named(user, group, "nobody-of-this-name"), whom, "{user:?} {group:?}");
        }
        assert_eq!(named(None, Some("#0"), "root"), "root");
    }
}
