//! System accounts: services run under them, and nobody logs in as one.
//!
//! Asked of the host's own files, not of the user database, which may be far away: PAM waits for the answer.

use std::fs;

/// Where the host's accounts are (passwd(5)). An account that is only in a directory far away is a person's.
const ACCOUNTS: &str = "/etc/passwd";

/// Where the least id of a person is set (login.defs(5)).
const LOGIN_DEFS: &str = "/etc/login.defs";

/// The least id of a person where nothing is set.
const LEAST_OF_PEOPLE: u32 = 1000;

/// The id of `nobody`, whom no file calls a system account.
const NOBODY: u32 = 65534;

/// Whether `user` is a system account of this host. What can't be read makes nobody one.
pub fn is_system_account(user: &str) -> bool {
    let accounts = fs::read_to_string(ACCOUNTS).unwrap_or_default();
    let settings = fs::read_to_string(LOGIN_DEFS).unwrap_or_default();
    uid_of(&accounts, user).is_some_and(|uid| uid < least_of_people(&settings) || uid == NOBODY)
}

fn uid_of(accounts: &str, user: &str) -> Option<u32> {
    let mut fields = accounts.lines().map(|line| line.split(':'));
    fields.find_map(|mut fields| if fields.next() == Some(user) { fields.nth(1)?.parse().ok() } else { None })
}

fn least_of_people(settings: &str) -> u32 {
    let set = settings.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        if words.next() == Some("UID_MIN") { words.next()?.parse().ok() } else { None }
    });
    set.unwrap_or(LEAST_OF_PEOPLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts =
            "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/x\nalice:x:1001:1001::/home/alice:/bin/sh\n+:::\n";
        assert_eq!(uid_of(accounts, "www-data"), Some(33));
        assert_eq!(uid_of(accounts, "alice"), Some(1001));
        assert_eq!(uid_of(accounts, "www"), None);
        assert_eq!(uid_of(accounts, ""), None);
    }

    #[test]
    fn the_least_id_of_people_is_the_hosts() {
        assert_eq!(least_of_people("# UID_MIN 7\nUID_MIN\t\t500\n"), 500);
        assert_eq!(least_of_people("SYS_UID_MIN 100\n"), 1000);
    }
}
