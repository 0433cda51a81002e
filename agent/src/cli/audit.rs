//! `curfew audit`: who, what, when, why, and by whose leave.

use super::{CliError, Outcome, ask, encoded, is_root};
use crate::audit::{self, query::Query};
use crate::human;
use crate::ipc::messages::AuditPage;
use clap::{Args, ValueEnum};
use curfew_protocol::audit::{Event, Field, Record};
use curfew_protocol::human_time::parse_past;
use jiff::Timestamp;
use std::io::Write;
use std::path::Path;

/// Show the audit of this host. For root and members of systemd-journal or adm.
#[derive(Args, Debug)]
pub struct Audit {
    /// From this time on: 2026-11-21, 2026-11-21T20:30:00, an RFC 3339 time, or an age such as 2h or 1d.
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    since: Option<Timestamp>,
    /// Until this time, written the same way.
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    until: Option<Timestamp>,
    /// Of this user.
    #[arg(long)]
    user: Option<String>,
    /// Of this grant.
    #[arg(long, value_name = "ID")]
    grant: Option<String>,
    /// Of this event, such as login.denied.
    #[arg(long, value_parser = parse_event)]
    event: Option<Event>,
    /// How to print it; --json is the same as --format json.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Columns for people.
    Table,
    /// One JSON object a line.
    Json,
    /// Comma-separated values (RFC 4180), with a head.
    Csv,
}

impl Audit {
    pub(super) fn run(self, json: bool) -> Result<Outcome, CliError> {
        let format = if json { Format::Json } else { self.format };
        let Self { since, until, user, grant, event, .. } = self;
        let records = read(Query { since, until, user, grant, event, after_seq: 0 })?;
        let mut out = std::io::stdout().lock();
        match format {
            Format::Table => write!(out, "{}", table(&records))?,
            Format::Json => {
                for record in &records {
                    writeln!(out, "{}", encoded(record)?)?;
                }
            }
            Format::Csv => write!(out, "{}", csv(&records))?,
        }
        out.flush()?;
        Ok(Outcome::Yes)
    }
}

/// Root reads the files, with the agent dead, too; others ask the agent.
fn read(mut query: Query) -> Result<Vec<Record>, CliError> {
    if is_root() {
        let failed = |(path, error): (std::path::PathBuf, std::io::Error)| {
            CliError::Failed(format!("the audit can't be read: {}: {error}", path.display()))
        };
        return audit::query::run(Path::new(audit::FOLDER), &query, usize::MAX).map_err(failed);
    }
    let mut records = Vec::new();
    loop {
        let page: AuditPage = ask("Audit", &query)?;
        query.after_seq = page.records.last().map_or(query.after_seq, |record| record.seq);
        records.extend(page.records);
        if !page.more {
            return Ok(records);
        }
    }
}

fn table(records: &[Record]) -> String {
    let row = |record: &Record| {
        let text = |field| record.entry.text(field).unwrap_or_default();
        vec![
            record.seq.to_string(),
            human::time(record.time),
            record.entry.event.name().to_owned(),
            text(Field::User),
            text(Field::Grant),
            approved_by(record),
            text(Field::Actor),
            human::localized(&record.message),
        ]
    };
    let rows: Vec<Vec<String>> = records.iter().map(row).collect();
    human::table(&["SEQ", "TIME", "EVENT", "USER", "GRANT", "APPROVED BY", "DONE BY", "WHAT"], &rows)
}

/// Who approved what happened. Whoever approved a grant has no part in its revocation.
fn approved_by(record: &Record) -> String {
    let approved = record.entry.event != Event::LocalRevoked;
    record.entry.text(Field::ApprovedBy).filter(|_| approved).unwrap_or_default()
}

fn csv(records: &[Record]) -> String {
    let fields = Field::ALL.iter().map(|field| field.name());
    let mut csv = line(["seq", "time", "event"].into_iter().chain(fields).chain(["message"]).map(str::to_owned));
    for record in records {
        let head = [record.seq.to_string(), record.time.to_string(), record.entry.event.name().to_owned()];
        let fields = Field::ALL.iter().map(|&field| record.entry.text(field).unwrap_or_default());
        csv += &line(head.into_iter().chain(fields).chain([record.message.clone()]));
    }
    csv
}

fn line(cells: impl Iterator<Item = String>) -> String {
    cells.map(|cell| quoted(&cell)).collect::<Vec<_>>().join(",") + "\r\n"
}

/// Quoted where RFC 4180 wants it. A spreadsheet would run what begins like a formula, so that gets an apostrophe.
fn quoted(cell: &str) -> String {
    let cell = human::printable(cell);
    let cell = if cell.starts_with(['=', '+', '-', '@']) { format!("'{cell}") } else { cell };
    if cell.contains([',', '"', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

fn parse_event(name: &str) -> Result<Event, String> {
    let found = Event::ALL.iter().find(|event| event.name() == name);
    let names = || Event::ALL.iter().map(|event| event.name()).collect::<Vec<_>>().join(" ");
    found.copied().ok_or_else(|| format!("there is no event {name:?}; these are: {}", names()))
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    parse_past(text, Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_protocol::audit::Entry;

    #[test]
    fn the_table_says_who_revoked_and_not_who_had_approved() {
        let entry = |event| Entry::new(event).with(Field::User, "alice").with(Field::ApprovedBy, vec!["bob"]);
        let revoked = entry(Event::LocalRevoked).with(Field::Actor, "carol").into_record(1, Timestamp::UNIX_EPOCH);
        let table = table(&[revoked]);
        assert!(table.contains("DONE BY") && table.contains("carol") && !table.contains("bob"), "{table}");
        assert_eq!(approved_by(&entry(Event::GrantStarted).into_record(1, Timestamp::UNIX_EPOCH)), "bob");
    }

    #[test]
    fn a_cell_is_one_cell_and_no_formula() {
        assert_eq!(quoted("a,b \"c\""), "\"a,b \"\"c\"\"\"");
        assert_eq!(quoted("=cmd()"), "'=cmd()");
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("ali\u{200b}ce\u{1b}"), "ali?ce?");
    }
}
