//! `curfew-server audit`.

use super::client::{Client, query};
use super::{CliError, Global, output};
use crate::admin_api::audit::{AuditItem, AuditList, Source};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use reqwest::Method;

/// Who did what, where and when: on all hosts, and at this endpoint.
#[derive(Args, Debug)]
pub(super) struct Audit {
    /// On this host, by id or name; a host that was removed, by its id.
    #[arg(long)]
    host: Option<String>,
    /// About this user.
    #[arg(long)]
    user: Option<String>,
    /// Under this grant.
    #[arg(long, value_name = "ID")]
    grant: Option<String>,
    /// This event, such as login.permitted.
    #[arg(long)]
    event: Option<String>,
    /// By this one's word: endpoint or host. A host may call what it says as it likes; SOURCE tells who says it.
    #[arg(long, value_parser = source)]
    source: Option<Source>,
    /// From this time on: 2026-11-21T20:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// The first so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// How to print it; --json is --format json, one record a line.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

const COLUMNS: [&str; 9] = ["TIME", "SOURCE", "HOST", "EVENT", "USER", "GRANT", "BY", "SEQ", "WHAT"];

fn source(text: &str) -> Result<Source, String> {
    match text {
        "endpoint" => Ok(Source::Endpoint),
        "host" => Ok(Source::Host),
        _ => Err(format!("{text:?} is no source: endpoint or host")),
    }
}

fn source_name(source: Source) -> String {
    match source {
        Source::Endpoint => "endpoint",
        Source::Host => "host",
    }
    .into()
}

impl Audit {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let client = Client::new(global)?;
        let format = if global.json { Format::Json } else { self.format };
        let most = self.limit.unwrap_or(usize::MAX);
        let (mut after, mut printed) = (None, 0);
        let mut first = true;
        while printed < most {
            let parameters = [
                ("host", self.host.clone()),
                ("user", self.user.clone()),
                ("grant", self.grant.clone()),
                ("event", self.event.clone()),
                ("source", self.source.map(source_name)),
                ("since", self.since.map(|time| time.to_string())),
                ("until", self.until.map(|time| time.to_string())),
                ("after", after),
                ("limit", Some((most - printed).min(1000).to_string())),
            ];
            let page: AuditList = client.ask(Method::GET, &format!("/v1/admin/audit{}", query(&parameters))).await?;
            // A page at a time: the whole may be long.
            output::text(&print(format, &page.records, first)?)?;
            printed += page.records.len();
            first = false;
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        Ok(())
    }
}

fn print(format: Format, items: &[AuditItem], first: bool) -> Result<String, CliError> {
    match format {
        Format::Table => {
            let text = output::table(COLUMNS, items.iter().map(shown));
            Ok(if first { text } else { text.split_once('\n').map_or(String::new(), |(_, rows)| rows.into()) })
        }
        Format::Csv => {
            let head = if first { COLUMNS.map(str::to_lowercase).join(",") + "\n" } else { String::new() };
            let lines =
                items.iter().map(|item| cells(item, item.time.to_string()).map(|cell| quoted(&cell)).join(",") + "\n");
            Ok(head + &lines.collect::<String>())
        }
        Format::Json => items.iter().map(|item| output::encoded(item).map(|line| line + "\n")).collect(),
    }
}

/// The cells for people: the times of a line are in one zone.
fn shown(item: &AuditItem) -> [String; 9] {
    let [time, source, host, event, user, grant, by, seq, what] = cells(item, output::time(item.time));
    [time, source, host, event, user, grant, by, seq, output::localized(&what)]
}

fn cells(item: &AuditItem, time: String) -> [String; 9] {
    let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    // What a host says in a sentence; of what an administrator did, everything.
    let record: Option<serde_json::Value> = serde_json::from_str(item.record.get()).ok();
    let message = record.as_ref().and_then(|record| record.get("message")?.as_str());
    let what = message.map_or_else(|| item.record.get().to_owned(), Into::into);
    let host = or(&item.host_name.clone().or_else(|| item.host.clone()));
    let source = source_name(item.source);
    let (user, grant, admin) = (or(&item.user), or(&item.grant), or(&item.admin));
    [time, source, host, item.event.clone(), user, grant, admin, item.seq.to_string(), what]
}

/// A cell of a CSV file (RFC 4180). One that a spreadsheet would take for a formula gets an apostrophe.
fn quoted(cell: &str) -> String {
    let cell = output::printable(cell);
    let formula = cell.starts_with(['=', '+', '@']) || (cell.len() > 1 && cell.starts_with('-'));
    format!("\"{}{}\"", if formula { "'" } else { "" }, cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_neither_a_formula_nor_two_cells() {
        assert_eq!(quoted("a\"b,c"), "\"a\"\"b,c\"");
        assert_eq!(quoted("=cmd()"), "\"'=cmd()\"");
        assert_eq!(quoted("-"), "\"-\"");
    }
}
