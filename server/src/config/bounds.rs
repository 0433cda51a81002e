//! What a value may be. A slip of the pen, such as `12m` for twelve months, is told before it does harm.

use super::{Config, Wrong, check_origin, database};
use crate::duration::typed;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How much longer a set has to be fresh than a poll may wait: the time to fetch the next one.
const FRESH_BEYOND_WAIT: Duration = Duration::from_secs(30);

/// For how long a set may be fresh. One that goes stale before hosts have the next one is none; one that is fresh for long opens what was revoked
/// meanwhile on each host that is kept from fetching the next one.
const SET_LIFETIME: RangeInclusive<Duration> = Duration::from_secs(30)..=days(30);

/// How long a host without a fresh set may let people in.
const MAX_OFFLINE: RangeInclusive<Duration> = Duration::ZERO..=days(30);

/// How long a poll may be parked: with less, the whole fleet asks all the time.
const SHORTEST_WAIT: Duration = Duration::from_secs(10);

/// How long the audit is kept at least.
const SHORTEST_KEEP: Duration = days(1);

/// The fewest connections: some for strangers, some for hosts, and those that are kept for administrators.
const FEWEST_CONNECTIONS: usize = 64;

/// The most connections to a database.
const MOST_DATABASE_CONNECTIONS: u32 = 1000;

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 60 * 60)
}

/// Whether sets may be fresh for so long; a sentence about what they may, if not.
pub(crate) fn set_lifetime(lifetime: Duration) -> Result<Duration, String> {
    if SET_LIFETIME.contains(&lifetime) {
        return Ok(lifetime);
    }
    let (least, most) = (typed(*SET_LIFETIME.start()), typed(*SET_LIFETIME.end()));
    Err(format!("{}: a set is fresh for {least} to {most}{}", typed(lifetime), minutes(lifetime)))
}

/// Of a duration that may have been meant as months, that it is not.
fn minutes(duration: Duration) -> &'static str {
    let whole = duration.as_secs();
    if whole > 0 && whole.is_multiple_of(60) && whole < 60 * 60 { " (m is minutes)" } else { "" }
}

/// What is wrong with a configuration, if anything is.
pub(super) fn check(config: &Config) -> Result<(), Wrong> {
    for origin in &config.origins {
        check_origin(origin).map_err(|problem| Wrong::of("origins", format!("origins: {problem}")))?;
    }
    let known = ["sqlite:///", "postgres://", "postgresql://"];
    if !known.iter().any(|scheme| config.database.starts_with(scheme)) {
        let problem = format!(
            "database is {:?}; sqlite:///FILE, postgres://… or postgresql://… is expected",
            database::shown(&config.database)
        );
        return Err(Wrong::of("database", problem));
    }
    counts(config)?;
    durations(config)
}

fn counts(config: &Config) -> Result<(), Wrong> {
    let unknown = config.max_unknown_per_address;
    for (key, value, least) in [
        ("database_connections", u64::from(config.database_connections), 1),
        ("max_connections", config.max_connections as u64, FEWEST_CONNECTIONS as u64),
        ("max_unknown_per_address", unknown as u64, 1),
        ("audit_daily_mib", u64::from(config.audit_daily_mib), 1),
    ] {
        if value < least {
            return Err(Wrong::of(key, format!("{key} is {value}; at least {least}")));
        }
    }
    if config.database_connections > MOST_DATABASE_CONNECTIONS {
        let problem =
            format!("database_connections is {}; at most {MOST_DATABASE_CONNECTIONS}", config.database_connections);
        return Err(Wrong::of("database_connections", problem));
    }
    Ok(())
}

fn durations(config: &Config) -> Result<(), Wrong> {
    let of = |key: &'static str, problem: String| Wrong::of(key, format!("{key} is {problem}"));
    set_lifetime(config.set_lifetime).map_err(|problem| of("set_lifetime", problem))?;
    if !MAX_OFFLINE.contains(&config.max_offline) {
        let most = typed(*MAX_OFFLINE.end());
        return Err(of("max_offline", format!("{}; at most {most}", typed(config.max_offline))));
    }
    if config.longest_wait < SHORTEST_WAIT {
        let least = typed(SHORTEST_WAIT);
        return Err(of("longest_wait", format!("{}; at least {least}", typed(config.longest_wait))));
    }
    if config.audit_keep < SHORTEST_KEEP {
        let keep = config.audit_keep;
        let problem = format!(
            "{}{}, and the audit of all hosts that is older would be deleted; at least {}, such as 400d",
            typed(keep),
            minutes(keep),
            typed(SHORTEST_KEEP)
        );
        return Err(of("audit_keep", problem));
    }
    if config.set_lifetime < config.longest_wait.saturating_add(FRESH_BEYOND_WAIT) {
        let problem = format!(
            "set_lifetime is {} and longest_wait {}: sets would go stale while hosts wait; leave 30 s between",
            typed(config.set_lifetime),
            typed(config.longest_wait)
        );
        return Err(Wrong { keys: ["set_lifetime", "longest_wait"].into(), problem });
    }
    Ok(())
}
