//! The tables, from the first version on.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Every step, in order. A step that was released is never changed: the next one mends it.
const STEPS: &[(i64, &str, &str)] = &[
    (1, "start", include_str!("../../../migrations/0001_start.sql")),
    (2, "tried writing", include_str!("../../../migrations/0002_tried_writing.sql")),
    (3, "revocations", include_str!("../../../migrations/0003_revocations.sql")),
    (4, "audit gaps", include_str!("../../../migrations/0004_audit_gaps.sql")),
    (5, "audit usage", include_str!("../../../migrations/0005_audit_usage.sql")),
    (6, "read once", include_str!("../../../migrations/0006_read_once.sql")),
];

/// The steps, to be run on either database.
pub(super) fn all() -> Migrator {
    let steps = STEPS.iter().map(|&(number, name, sql)| {
        Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(steps.collect())
}
