//! A host that is not there, and those whose names are nearly so.

use super::super::ChangeError;
use super::super::db::Row;

/// Among these is the name that may have been meant: as many as are quickly compared.
pub(super) const NAMES: &str = "SELECT name FROM hosts WHERE removed_at IS NULL ORDER BY name LIMIT 5000";

/// How many letters of a name may be wrong for it to be near.
const FAR: usize = 2;

/// How many near names are told.
const NEAR: usize = 3;

/// That there is no host of this name, with those of the others that are nearly so.
pub(super) fn no_host(name: &str, others: &[Row]) -> ChangeError {
    let (asked, mut near) = (name.to_lowercase(), Vec::new());
    for other in others.iter().filter_map(|row| row.text("name").ok()) {
        let known = other.to_lowercase();
        // As typed, or with what usually follows a name: a number or a domain.
        let first = known.split(['.', '-']).next().unwrap_or(&known);
        let distance = [known.as_str(), first].map(|known| strsim::osa_distance(&asked, known)).into_iter().min();
        if distance.is_some_and(|distance| distance <= FAR.min(asked.chars().count() / 2)) {
            near.push((distance, other));
        }
    }
    near.sort();
    let near = near.into_iter().take(NEAR).map(|(_, name)| name).collect();
    ChangeError::NoHost { name: name.into(), near }
}
