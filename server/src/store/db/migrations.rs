//! The tables, from the first version on.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Every step, in order. A step that was released is never changed: the next one mends it.
const STEPS: [(i64, &str, &str); 1] = [(1, "start", include_str!("../../../migrations/0001_start.sql"))];

/// The steps, to be run on either database.
pub(super) fn all() -> Migrator {
    let steps = STEPS.map(|(number, name, sql)| {
        Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(steps.into())
}
