//! The database's URL: its file, and what of it may be shown.

use std::path::Path;

/// The file of an SQLite database, whatever characters its name has.
pub(crate) fn sqlite_file(database: &str) -> Option<&Path> {
    database.strip_prefix("sqlite://").map(Path::new)
}

/// A database's URL without its password.
pub(crate) fn shown(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://…@{place}"),
        _ => url.to_owned(),
    }
}
