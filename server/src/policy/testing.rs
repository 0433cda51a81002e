//! Facts for tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::facts::{Asked, Asking, Channel, Host, Moment, Person, Request, Target};
use super::names::PersonName;
use super::{Policies, Source};
use curfew_protocol::grant::{LoginAccess, SudoAccess};
use std::collections::BTreeSet;
use std::time::Duration;

/// The policies of a text, which is right.
pub(super) fn policies(text: &str) -> Policies {
    match Policies::read(&[Source::new("a.cedar", text)]) {
        Ok(policies) => policies,
        Err(problems) => {
            panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        }
    }
}

/// A person with groups.
pub(super) fn person(name: &str, groups: &[&str]) -> Person {
    let groups = groups.iter().map(|group| group.parse().unwrap()).collect();
    Person { name: name.parse().unwrap(), groups, disabled: false, known: true }
}

/// A host with labels.
pub(super) fn host(name: &str, labels: &[(&str, &str)]) -> Host {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Host { name: name.into(), labels }
}

/// A login for an hour.
pub(super) fn asked(account: &str) -> Asked {
    Asked {
        account: account.parse().unwrap(),
        login: Some(LoginAccess::default()),
        sudo: None,
        length: Duration::from_secs(3600),
        starts_in: Duration::ZERO,
        extends: false,
        template: None,
        ticket: None,
    }
}

/// Sudo as root, for every command.
pub(super) fn root() -> Option<SudoAccess> {
    Some(serde_json::from_value(serde_json::json!({"commands": ["ALL"]})).unwrap())
}

/// A Saturday, late in the evening in UTC, over the web, without a passkey.
pub(super) fn saturday() -> Moment {
    Moment { now: "2026-11-28T23:30:00Z".parse().unwrap(), mfa_age: None, channel: Channel::Web }
}

/// Somebody asks for themselves.
pub(super) fn asking<'a>(person: &'a Person, hosts: &'a [Host], asked: &'a Asked) -> Asking<'a> {
    let target = Target::Hosts(hosts);
    Asking { person, filer: person, target, asked, overdue_reviews: 0, moment: saturday() }
}

/// Their request.
pub(super) fn request<'a>(asking: &Asking<'a>, owners: &'a BTreeSet<PersonName>) -> Request<'a> {
    let Asking { person: requester, filer, target, asked, .. } = *asking;
    Request { id: "r", requester, filer, owners, target, asked, break_glass: false }
}
