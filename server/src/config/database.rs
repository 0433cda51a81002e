//! The database's URL: its file, and what of it may be shown.

use std::path::Path;

/// What may be shown of a URL's query. Whatever else is there may be a secret, or part of one.
const SHOWN: [&str; 8] = ["host", "hostaddr", "port", "dbname", "user", "sslmode", "sslrootcert", "application_name"];

/// The file of an SQLite database, whatever characters its name has.
pub(crate) fn sqlite_file(database: &str) -> Option<&Path> {
    database.strip_prefix("sqlite://").map(Path::new)
}

/// A database's URL without its passwords: what stands before `@`, and what of the query is not known to be none.
pub(crate) fn shown(url: &str) -> String {
    if sqlite_file(url).is_some() {
        return url.to_owned();
    }
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let place = match place.rsplit_once('@') {
        Some((_, place)) => format!("…@{place}"),
        // A `?` in a password that is not written as %3F.
        None if query.is_some_and(|query| query.contains('@')) => "…".into(),
        None => place.to_owned(),
    };
    let query = query.map(|query| query.split('&').map(parameter).collect::<Vec<_>>().join("&"));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    format!("{scheme}{place}{query}")
}

fn parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, value)) if SHOWN.contains(&name) && !value.contains('@') => parameter.to_owned(),
        Some((name, _)) if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => format!("{name}=…"),
        _ => "…".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_shown_nowhere() {
        for (url, expected) in [
            ("sqlite:///var/a?b@c.db", "sqlite:///var/a?b@c.db"),
            ("postgres://db/x", "postgres://db/x"),
            ("postgres://me:hunter2@db/x", "postgres://…@db/x"),
            ("postgres://me:hunter2@x@db/x?sslmode=require", "postgres://…@db/x?sslmode=require"),
            ("postgres:///db?host=/run/pg&password=hunter2&user=me", "postgres:///db?host=/run/pg&password=…&user=me"),
            ("postgres:///db?password=a@hunter2", "postgres://…?password=…"),
            ("postgres:///db?password=a&hunter2", "postgres:///db?password=…&…"),
            ("postgres:///db?PassWord=hunter2&sslpassword=hunter2", "postgres:///db?PassWord=…&sslpassword=…"),
            ("postgres://me:hun?ter2@db/x", "postgres://…?…"),
            ("postgres:///db?user=a@hunter2", "postgres://…?user=…"),
            ("mysql:me:hunter2@db", "…@db"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
