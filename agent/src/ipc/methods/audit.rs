//! Reads the audit for whoever may.

use crate::audit::{self, query};
use crate::ipc::answer::Answer;
use crate::ipc::messages::AuditPage;
use crate::ipc::varlink::ErrorReply;
use std::path::Path;

/// How many records of the audit one answer carries.
const RECORDS_A_PAGE: usize = 500;

/// Reads a page of the audit: as many of its files as that takes, so never on the agent's thread.
///
/// # Errors
///
/// The error reply.
pub fn audit_page(query: &query::Query) -> Result<Answer, ErrorReply> {
    let mut records = query::run(Path::new(audit::FOLDER), query, RECORDS_A_PAGE + 1).map_err(|(path, error)| {
        ErrorReply::failed(&format!("the audit can't be read: {}: {error}", path.display()))
    })?;
    let more = records.len() > RECORDS_A_PAGE;
    records.truncate(RECORDS_A_PAGE);
    Ok(Answer::Audit(AuditPage { records, more }))
}
