//! The decision: a request, the grants, a time in; a verdict out. No clock, no file, no socket.
//!
//! Access is the union of the live grants. Anything that is not covered is a denial, and the denial says which grant
//! came nearest.

use crate::grant::{Bars, HeldGrant, State};
use curfew_protocol::grant::{Command, LoginAccess, SudoAccess};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request<'a> {
    /// To log in.
    Login {
        /// Who.
        user: &'a str,
        /// The PAM service.
        service: &'a str,
        /// The address that it comes from; none on a console.
        from: Option<&'a str>,
    },
    /// To stay, having logged in from where nobody knows any more: a live login grant covers it, whatever its sources.
    Stay {
        /// Who.
        user: &'a str,
        /// The PAM service.
        service: &'a str,
    },
    /// To run what was left for later: any live grant of the person covers it.
    Background {
        /// Whose job it is.
        user: &'a str,
    },
    /// To run something as somebody else.
    Elevation {
        /// Who invokes it.
        user: &'a str,
        /// What, as far as it is known.
        scope: Elevation<'a>,
    },
}

impl<'a> Request<'a> {
    /// Who asks.
    pub fn user(&self) -> &'a str {
        match self {
            Self::Login { user, .. }
            | Self::Stay { user, .. }
            | Self::Background { user }
            | Self::Elevation { user, .. } => user,
        }
    }
}

/// What an elevation asks for. sudo enforces commands itself; a grant must cover what is known of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Elevation<'a> {
    /// Whom it turns into, where that is known.
    pub run_as: Option<&'a str>,
    /// What it runs.
    pub command: WantedCommand<'a>,
}

/// What an elevation runs, as far as it is known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum WantedCommand<'a> {
    /// Not known: sudo itself will judge.
    #[default]
    Unknown,
    /// A shell or anything: only a grant of `ALL` covers it.
    Any,
    /// This program with these arguments.
    Program {
        /// The ways to write its path, or the name that was typed; none where it is not known which program it is.
        paths: &'a [String],
        /// The arguments, parted by single spaces.
        arguments: &'a str,
    },
}

/// Why a request is refused (contract of the reason codes).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// No grant for this person and this kind of access.
    NoGrant,
    /// A grant whose window has not opened.
    NotYet,
    /// A grant whose window is over.
    Ended,
    /// A grant that was revoked.
    Revoked,
    /// A live grant for another service, or for other commands.
    WrongService,
    /// A live grant for another source address.
    WrongSource,
    /// A live grant of the endpoint, which was not heard of for too long.
    Stale,
    /// A live grant, and a clock that stands before a time that is known to have passed.
    ClockUnproven,
    /// A live grant for the account that the name stood for before.
    AccountChanged,
}

impl ReasonCode {
    /// Its name in answers and in the audit.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoGrant => "no_grant",
            Self::NotYet => "not_yet",
            Self::Ended => "ended",
            Self::Revoked => "revoked",
            Self::WrongService => "wrong_service",
            Self::WrongSource => "wrong_source",
            Self::Stale => "stale",
            Self::ClockUnproven => "clock_unproven",
            Self::AccountChanged => "account_changed",
        }
    }
}

/// The answer to a [`Request`].
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict<'g> {
    /// Covered.
    Permit {
        /// The live grant that covers it longest.
        grant: &'g HeldGrant,
        /// The first instant at which no grant that is held now covers it any more.
        until: Timestamp,
    },
    /// Not covered.
    Deny {
        /// Why.
        reason: ReasonCode,
        /// The grant that came nearest.
        nearest: Option<&'g HeldGrant>,
        /// When a grant that is held now would cover it.
        opens: Option<Timestamp>,
    },
}

/// Judges `request` by `grants` at `now`.
pub fn decide<'g>(request: &Request<'_>, grants: &'g [HeldGrant], now: Timestamp) -> Verdict<'g> {
    let covering = |at: Timestamp| {
        grants.iter().filter(move |held| held.state(at) == State::Live && misfit(request, held).is_none())
    };
    match covering(now).max_by_key(|held| held.end()) {
        Some(grant) => Verdict::Permit { grant, until: covered_until(request, grants, grant.end()) },
        None => deny(request, grants, now),
    }
}

/// Judges whether `request` may open something new by `grants` at `now`: as [`decide`], but for what is barred.
pub fn admit<'g>(request: &Request<'_>, grants: &'g [HeldGrant], now: Timestamp, bars: Bars) -> Verdict<'g> {
    let window_is_open = |held: &&HeldGrant| {
        // A window that has opened stays open where the clock was set back.
        let begun = held.reached == Some(State::Live) || held.grant.window.not_before() <= now;
        held.state(now) != State::Ended && begun && misfit(request, held).is_none()
    };
    let is_barred = |held: &&HeldGrant| bars.bar(held.source) || !held.holder.may_open();
    let (barred, free): (Vec<_>, Vec<_>) = grants.iter().filter(window_is_open).partition(is_barred);
    let longest = |open: Vec<&'g HeldGrant>| open.into_iter().max_by_key(|held| held.end());
    match (longest(free), longest(barred)) {
        (Some(grant), _) if grant.state(now) == State::Live => {
            Verdict::Permit { grant, until: covered_until(request, grants, grant.end()) }
        }
        (None, Some(nearest)) => {
            let reason = match nearest {
                _ if bars.clock_unproven => ReasonCode::ClockUnproven,
                nearest if !nearest.holder.may_open() => ReasonCode::AccountChanged,
                _ => ReasonCode::Stale,
            };
            Verdict::Deny { reason, nearest: Some(nearest), opens: None }
        }
        _ => decide(request, grants, now),
    }
}

/// When the last access that `request` had by `grants` ended; `now` where it never had any.
pub fn lapsed(request: &Request<'_>, grants: &[HeldGrant], now: Timestamp) -> (Timestamp, Option<ReasonCode>) {
    match last_lapsed(request, grants, now) {
        Some(last) => (last.end(), Some(end_reason(last))),
        None => (now, None),
    }
}

/// The last of the grants that covered `request` and have ended.
pub fn last_lapsed<'g>(request: &Request<'_>, grants: &'g [HeldGrant], now: Timestamp) -> Option<&'g HeldGrant> {
    let over = grants.iter().filter(|held| held.state(now) == State::Ended && misfit(request, held).is_none());
    over.filter(|held| held.end() <= now).max_by_key(|held| held.end())
}

/// Why a grant that has ended does not hold any more.
pub fn end_reason(ended: &HeldGrant) -> ReasonCode {
    if ended.revoked.is_some() { ReasonCode::Revoked } else { ReasonCode::Ended }
}

/// Follows the union from `end` on, over grants that open before it closes.
fn covered_until(request: &Request<'_>, grants: &[HeldGrant], mut end: Timestamp) -> Timestamp {
    let fitting = || grants.iter().filter(|held| held.revoked.is_none() && misfit(request, held).is_none());
    loop {
        let further = fitting()
            .filter(|held| held.grant.window.not_before() <= end && held.end() > end)
            .map(HeldGrant::end)
            .max();
        match further {
            Some(further) => end = further,
            None => return end,
        }
    }
}

fn deny<'g>(request: &Request<'_>, grants: &'g [HeldGrant], now: Timestamp) -> Verdict<'g> {
    let opens = grants
        .iter()
        .filter(|held| held.state(now) == State::Coming && misfit(request, held).is_none())
        .map(|held| held.grant.window.not_before())
        .min();
    let nearest = grants.iter().filter_map(|held| near_miss(request, held, now).map(|reason| (reason, held)));
    // The nearest miss: live but for another source, live but for another service, still to come, over.
    match nearest.min_by_key(|(reason, held)| (rank(*reason), distance(held, now))) {
        Some((reason, held)) => Verdict::Deny { reason, nearest: Some(held), opens },
        None => Verdict::Deny { reason: ReasonCode::NoGrant, nearest: None, opens },
    }
}

fn near_miss(request: &Request<'_>, held: &HeldGrant, now: Timestamp) -> Option<ReasonCode> {
    match (misfit(request, held), held.state(now)) {
        (None, State::Live) | (Some(Misfit::Person), _) => None,
        (Some(Misfit::Source), State::Live) => Some(ReasonCode::WrongSource),
        (Some(Misfit::Service), State::Live) => Some(ReasonCode::WrongService),
        (Some(Misfit::Account), State::Live) => Some(ReasonCode::AccountChanged),
        (Some(Misfit::Service | Misfit::Source | Misfit::Account), State::Coming | State::Ended) => None,
        (None, State::Coming) => Some(ReasonCode::NotYet),
        (None, State::Ended) if held.revoked.is_some() => Some(ReasonCode::Revoked),
        (None, State::Ended) => Some(ReasonCode::Ended),
    }
}

fn rank(reason: ReasonCode) -> u8 {
    match reason {
        ReasonCode::WrongSource => 0,
        ReasonCode::WrongService | ReasonCode::AccountChanged => 1,
        ReasonCode::NotYet => 2,
        ReasonCode::Revoked | ReasonCode::Ended => 3,
        // Said of grants that cover the request; `admit` alone says them.
        ReasonCode::Stale | ReasonCode::ClockUnproven => 0,
        ReasonCode::NoGrant => 4,
    }
}

fn distance(held: &HeldGrant, now: Timestamp) -> jiff::SignedDuration {
    match held.state(now) {
        State::Coming => held.grant.window.not_before().duration_since(now),
        State::Live => jiff::SignedDuration::ZERO,
        State::Ended => now.duration_since(held.end()).abs(),
    }
}

/// What keeps a grant from covering a request at any time.
enum Misfit {
    /// Another person's, or of another kind.
    Person,
    Service,
    Source,
    /// Of the account that the name stood for before.
    Account,
}

fn misfit(request: &Request<'_>, held: &HeldGrant) -> Option<Misfit> {
    let grant = &held.grant;
    if !is_of(request, held) {
        return Some(Misfit::Person);
    }
    if held.holder.is_gone() {
        return Some(Misfit::Account);
    }
    match (request, &grant.login, &grant.sudo) {
        (Request::Login { service, from, .. }, Some(login), _) => login_misfit(login, service, *from),
        (Request::Stay { service, .. }, Some(login), _) => service_misfit(login, service),
        (Request::Background { .. }, ..) => None,
        (Request::Elevation { scope, .. }, _, Some(sudo)) => elevation_misfit(sudo, scope),
        (Request::Login { .. } | Request::Stay { .. }, None, _) | (Request::Elevation { .. }, _, None) => {
            Some(Misfit::Person)
        }
    }
}

/// Whether the grant is for whoever asks: for the account, and where sudo asks, for the user id.
fn is_of(request: &Request<'_>, held: &HeldGrant) -> bool {
    match request {
        Request::Login { user, .. } | Request::Stay { user, .. } | Request::Background { user } => held.is_of(user),
        Request::Elevation { user, .. } => held.is_of_uid_of(user),
    }
}

fn login_misfit(login: &LoginAccess, service: &str, from: Option<&str>) -> Option<Misfit> {
    if let Some(misfit) = service_misfit(login, service) {
        return Some(misfit);
    }
    // A host name instead of an address, or none at all, lies in no network.
    let address: Option<IpAddr> = from.and_then(|from| from.split('%').next()).and_then(|from| from.parse().ok());
    let inside = |address| login.from.iter().any(|network| network.contains(address));
    if !login.from.is_empty() && !address.is_some_and(inside) { Some(Misfit::Source) } else { None }
}

fn service_misfit(login: &LoginAccess, service: &str) -> Option<Misfit> {
    let granted = login.services.is_empty() || login.services.iter().any(|granted| granted.as_str() == service);
    if granted { None } else { Some(Misfit::Service) }
}

fn elevation_misfit(sudo: &SudoAccess, scope: &Elevation<'_>) -> Option<Misfit> {
    let commands = scope.run_as.map_or(sudo.commands.as_slice(), |run_as| sudo.commands_as(run_as));
    let covers = match &scope.command {
        WantedCommand::Unknown => !commands.is_empty(),
        WantedCommand::Any => commands.contains(&Command::All),
        WantedCommand::Program { paths, arguments } => commands
            .iter()
            .any(|granted| *granted == Command::All || paths.iter().any(|path| granted.covers(path, arguments))),
    };
    if covers { None } else { Some(Misfit::Service) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::grant::account::{Account, Doubt, Holder};
    use crate::grant::{Revocation, Source};
    use curfew_protocol::grant::Grant;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn held(id: &str, window: (i64, i64), access: Value) -> HeldGrant {
        let mut document = json!({
            "id": id, "user": "alice", "not_before": at(window.0).to_string(), "not_after": at(window.1).to_string(),
            "reason": "INC-1", "requested_by": "alice", "approved_by": ["bob"]
        });
        document.as_object_mut().unwrap().extend(access.as_object().unwrap().clone());
        HeldGrant::new(Grant::from_value(&document).unwrap(), crate::grant::Source::Local)
    }

    const ALICE: Request<'static> = Request::Login { user: "alice", service: "sshd", from: Some("10.1.2.3") };

    fn sudo<'a>(run_as: Option<&'a str>, command: WantedCommand<'a>) -> Request<'a> {
        Request::Elevation { user: "alice", scope: Elevation { run_as, command } }
    }

    fn reason(request: &Request<'_>, grants: &[HeldGrant], now: i64) -> Option<ReasonCode> {
        match decide(request, grants, at(now)) {
            Verdict::Permit { .. } => None,
            Verdict::Deny { reason, .. } => Some(reason),
        }
    }

    #[test]
    fn a_grant_for_another_account_of_the_name_covers_nothing_and_one_in_doubt_opens_nothing() {
        let account = Account { uid: 1001, name: "alice".into(), owner: "alice".into() };
        let mut grant = held("g", (0, 100), json!({"login": {}, "sudo": {"commands": ["ALL"]}}));
        let requests = [ALICE, sudo(None, WantedCommand::Unknown)];
        let opens = |grant: &HeldGrant, request: &Request<'_>| match admit(
            request,
            std::slice::from_ref(grant),
            at(50),
            Bars::default(),
        ) {
            Verdict::Permit { .. } => None,
            Verdict::Deny { reason, .. } => Some(reason),
        };
        let changed = Some(ReasonCode::AccountChanged);
        for request in &requests {
            grant.holder = Holder::InDoubt { account: account.clone(), why: Doubt::NotFound };
            assert_eq!((opens(&grant, request), reason(request, std::slice::from_ref(&grant), 50)), (changed, None));
            grant.holder = Holder::Gone { account: account.clone(), now: Some(7) };
            assert_eq!((opens(&grant, request), reason(request, std::slice::from_ref(&grant), 50)), (changed, changed));
            grant.holder = Holder::Is(account.clone());
            assert_eq!((opens(&grant, request), reason(request, std::slice::from_ref(&grant), 50)), (None, None));
        }
    }

    #[test]
    fn what_is_barred_admits_nobody_and_says_why() {
        let stale = Bars { set_stale: true, ..Bars::default() };
        let unproven = Bars { clock_unproven: true, ..stale };
        let from_endpoint = HeldGrant { source: Source::Endpoint, ..held("e", (10, 300), json!({"login": {}})) };
        let barred = HeldGrant { barred: true, ..from_endpoint.clone() };
        let local = held("l", (10, 200), json!({"login": {}}));
        let both = [from_endpoint.clone(), local.clone()];
        let refused = |grants: &[HeldGrant], bars| match admit(&ALICE, grants, at(50), bars) {
            Verdict::Permit { grant, .. } => Err(grant.grant.id.to_string()),
            Verdict::Deny { reason, .. } => Ok(reason),
        };
        assert_eq!(refused(&both, Bars::default()), Err("e".into()));
        assert_eq!(refused(&both, stale), Err("l".into()));
        assert_eq!(refused(&both, unproven), Ok(ReasonCode::ClockUnproven));
        assert_eq!(refused(&[from_endpoint], stale), Ok(ReasonCode::Stale));
        assert_eq!(refused(&[barred], stale), Ok(ReasonCode::Stale));
        assert_eq!(refused(&[], unproven), Ok(ReasonCode::NoGrant));
        // A clock that stands before its window opens it to nobody who is not in.
        let begun = HeldGrant { reached: Some(State::Live), ..held("l", (100, 200), json!({"login": {}})) };
        assert_eq!(refused(&[begun], unproven), Ok(ReasonCode::ClockUnproven));
        // What is open already stays covered.
        assert!(matches!(decide(&ALICE, &both, at(50)), Verdict::Permit { .. }));
    }

    #[test]
    fn a_denial_names_the_nearest_miss() {
        let login = json!({"login": {}});
        let ended = held("ended", (10, 20), login.clone());
        let coming = held("coming", (200, 300), login);
        let elsewhere = held("elsewhere", (10, 300), json!({"login": {"from": ["192.168.0.0/16"]}}));
        let console = held("console", (10, 300), json!({"login": {"services": ["login"]}}));
        let elevated = held("sudo", (10, 300), json!({"sudo": {"commands": ["ALL"]}}));
        let mut revoked = held("revoked", (10, 300), json!({"login": {}}));
        revoked.revoked = Some(Revocation { at: at(50), reason: None, by: None });
        for (grants, expected) in [
            (vec![], ReasonCode::NoGrant),
            (vec![elevated.clone()], ReasonCode::NoGrant),
            (vec![ended.clone()], ReasonCode::Ended),
            (vec![ended.clone(), revoked.clone()], ReasonCode::Revoked),
            (vec![ended.clone(), revoked, coming.clone()], ReasonCode::NotYet),
            (vec![ended.clone(), coming.clone(), console.clone()], ReasonCode::WrongService),
            (vec![ended, coming, console, elsewhere], ReasonCode::WrongSource),
        ] {
            assert_eq!(reason(&ALICE, &grants, 100), Some(expected));
        }
    }

    #[test]
    fn who_came_from_nobody_knows_where_stays_by_a_login_grant_and_by_no_other() {
        let stay = Request::Stay { user: "alice", service: "sshd" };
        let from = held("from", (10, 300), json!({"login": {"from": ["192.168.0.0/16"]}}));
        let console = held("console", (10, 300), json!({"login": {"services": ["login"]}}));
        let elevated = held("sudo", (10, 300), json!({"sudo": {"commands": ["ALL"]}}));
        assert_eq!(reason(&stay, &[from], 100), None);
        assert_eq!(reason(&stay, &[console], 100), Some(ReasonCode::WrongService));
        assert_eq!(reason(&stay, std::slice::from_ref(&elevated), 100), Some(ReasonCode::NoGrant));
        assert_eq!(reason(&Request::Background { user: "alice" }, &[elevated], 100), None);
    }

    #[test]
    fn another_persons_grant_is_no_grant() {
        let grants = [held("a", (10, 300), json!({"login": {}, "sudo": {"commands": ["ALL"]}}))];
        let bob = Request::Login { user: "bob", service: "sshd", from: None };
        assert_eq!(reason(&bob, &grants, 100), Some(ReasonCode::NoGrant));
        let bob = Request::Elevation { user: "bob", scope: Elevation::default() };
        assert_eq!(reason(&bob, &grants, 100), Some(ReasonCode::NoGrant));
    }

    #[test]
    fn a_source_that_is_no_address_lies_in_no_network() {
        let grants = [held("a", (10, 300), json!({"login": {"from": ["0.0.0.0/0", "::/0"]}}))];
        for (from, expected) in [
            (Some("10.1.2.3"), None),
            (Some("fe80::1%eth0"), None),
            (Some("host.example"), Some(ReasonCode::WrongSource)),
            (None, Some(ReasonCode::WrongSource)),
        ] {
            assert_eq!(reason(&Request::Login { user: "alice", service: "sshd", from }, &grants, 100), expected);
        }
    }

    #[test]
    fn an_elevation_is_covered_by_run_as_and_command_together() {
        let grants = [
            held("web", (10, 300), json!({"sudo": {"commands": ["/usr/bin/systemctl restart nginx"]}})),
            held("db", (10, 300), json!({"sudo": {"run_as": ["postgres"], "commands": ["ALL"]}})),
        ];
        let paths = ["/usr/bin/systemctl".to_owned()];
        let restart = WantedCommand::Program { paths: &paths, arguments: "restart nginx" };
        let stop = WantedCommand::Program { paths: &paths, arguments: "stop nginx" };
        let elsewhere = ["/tmp/systemctl".to_owned()];
        let other = WantedCommand::Program { paths: &elsewhere, arguments: "restart nginx" };
        let unknown = WantedCommand::Program { paths: &[], arguments: "restart nginx" };
        for (request, permitted) in [
            (sudo(None, WantedCommand::Unknown), true),
            (sudo(Some("root"), restart), true),
            (sudo(Some("root"), stop.clone()), false),
            (sudo(Some("root"), other), false),
            (sudo(Some("root"), unknown.clone()), false),
            (sudo(Some("postgres"), unknown), true),
            (sudo(Some("postgres"), stop), true),
            (sudo(Some("postgres"), WantedCommand::Any), true),
            (sudo(Some("root"), WantedCommand::Any), false),
            (sudo(Some("mail"), WantedCommand::Unknown), false),
        ] {
            assert_eq!(reason(&request, &grants, 100).is_none(), permitted, "{request:?}");
        }
    }

    #[test]
    fn the_end_is_the_end_of_the_union() {
        let login = || json!({"login": {}});
        let grants = [
            held("a", (0, 100), login()),
            held("b", (50, 150), login()),
            held("c", (150, 200), login()),
            held("gap", (201, 300), login()),
            held("other", (0, 900), json!({"sudo": {"commands": ["ALL"]}})),
        ];
        match decide(&ALICE, &grants, at(60)) {
            Verdict::Permit { grant, until } => {
                assert_eq!(grant.grant.id.as_str(), "b");
                assert_eq!(until, at(200));
            }
            deny => panic!("{deny:?}"),
        }
    }

    fn any_grants() -> impl Strategy<Value = Vec<HeldGrant>> {
        let one = (0_i64..100, 1_i64..50, prop::option::of(0_i64..150));
        prop::collection::vec(one, 0..6).prop_map(|parts| {
            let grants = parts.into_iter().enumerate().map(|(number, (begin, length, revoked))| {
                let mut held = held(&format!("g{number}"), (begin, begin + length), json!({"login": {}}));
                held.revoked = revoked.map(|second| Revocation { at: at(second), reason: None, by: None });
                held
            });
            grants.collect()
        })
    }

    proptest! {
        #[test]
        fn access_is_the_union_of_the_live_grants(grants in any_grants(), now in 0_i64..160) {
            let live = grants.iter().any(|held| held.state(at(now)) == State::Live);
            prop_assert_eq!(reason(&ALICE, &grants, now).is_none(), live);
        }

        #[test]
        fn access_holds_until_the_end_that_was_told_and_not_at_it(grants in any_grants(), now in 0_i64..160) {
            if let Verdict::Permit { until, .. } = decide(&ALICE, &grants, at(now)) {
                for second in now..until.as_second() {
                    prop_assert_eq!(reason(&ALICE, &grants, second), None);
                }
                prop_assert!(reason(&ALICE, &grants, until.as_second()).is_some());
            }
        }

        #[test]
        fn one_more_grant_never_takes_access_away(grants in any_grants(), now in 0_i64..160, gone in 0_usize..6) {
            let mut fewer = grants.clone();
            if gone < fewer.len() {
                fewer.remove(gone);
            }
            if reason(&ALICE, &fewer, now).is_none() {
                prop_assert_eq!(reason(&ALICE, &grants, now), None);
            }
        }

        #[test]
        fn a_denial_that_says_when_is_right(grants in any_grants(), now in 0_i64..160) {
            if let Verdict::Deny { opens: Some(opens), .. } = decide(&ALICE, &grants, at(now)) {
                prop_assert!(opens > at(now));
                prop_assert_eq!(reason(&ALICE, &grants, opens.as_second()), None);
            }
        }
    }
}
