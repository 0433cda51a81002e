//! `curfew-server audit`.

mod follow;

use super::client::{Client, query};
use super::{CliError, Global, output};
use crate::duration;
use crate::http::admin_api::audit::{AuditItem, AuditList, Source};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use reqwest::Method;

/// Who did what, where and when: on all hosts, and at this endpoint, the oldest first.
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
    /// From this time on: 2026-11-21, 2026-11-21T20:30:00, an RFC 3339 time, or an age such as 2h or 1d.
    #[arg(long, value_name = "TIME", value_parser = duration::past)]
    since: Option<Timestamp>,
    /// Before this time, written the same way.
    #[arg(long, value_name = "TIME", value_parser = duration::past)]
    until: Option<Timestamp>,
    /// The first so many.
    #[arg(long, value_name = "N", conflicts_with = "last", value_parser = some)]
    limit: Option<usize>,
    /// The last so many. With --follow, 10 unless given.
    #[arg(long, value_name = "N", value_parser = some)]
    last: Option<usize>,
    /// Print the last ones, and then what comes, in the order of its coming, until it is interrupted; over restarts of the server, too.
    #[arg(long, conflicts_with_all = ["until", "limit"])]
    follow: bool,
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

/// How many: none would be none of anything.
fn some(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("a number is expected, at least 1".into()),
    }
}

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
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            let (since, until) = (output::time(since), output::time(until));
            return Err(CliError::Usage(format!("--since {since} is not before --until {until}")));
        }
        let client = Client::new(global)?;
        let format = if global.json { Format::Json } else { self.format };
        if self.follow {
            return follow::run(&self, &client, format).await;
        }
        if let Some(last) = self.last {
            let items = self.last(&client, last).await?;
            output::text(&print(format, &items, true)?)?;
            note_none(format, items.len());
            return Ok(());
        }
        let most = self.limit.unwrap_or(usize::MAX);
        let (mut after, mut printed, mut first) = (None, 0, true);
        while printed < most {
            let page = self.page(&client, [("after", after), ("limit", Some(at_once(most - printed)))]).await?;
            // A page at a time: the whole may be long.
            output::text(&print(format, &page.records, first)?)?;
            printed += page.records.len();
            first = false;
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        note_none(format, printed);
        Ok(())
    }

    /// The last so many, the oldest of them first.
    async fn last(&self, client: &Client, most: usize) -> Result<Vec<AuditItem>, CliError> {
        let (mut items, mut after) = (Vec::new(), None);
        while items.len() < most {
            let parameters =
                [("order", Some("newest".into())), ("after", after), ("limit", Some(at_once(most - items.len())))];
            let page = self.page(client, parameters).await?;
            items.extend(page.records);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        items.reverse();
        Ok(items)
    }

    /// A page of what is asked for.
    async fn page<const N: usize>(
        &self,
        client: &Client,
        which: [(&str, Option<String>); N],
    ) -> Result<AuditList, CliError> {
        let mut parameters = vec![
            ("host", self.host.clone()),
            ("user", self.user.clone()),
            ("grant", self.grant.clone()),
            ("event", self.event.clone()),
            ("source", self.source.map(source_name)),
        ];
        let named = |name: &str| which.iter().any(|(other, _)| *other == name);
        let times = [("since", self.since), ("until", self.until)];
        let times = times.into_iter().filter(|(name, _)| !named(name));
        parameters.extend(times.map(|(name, time)| (name, time.map(|time| time.to_string()))));
        parameters.extend(which);
        client.ask(Method::GET, &format!("/v1/admin/audit{}", query(&parameters))).await
    }
}

/// Says to people that an empty table is no mistake.
fn note_none(format: Format, records: usize) {
    if format == Format::Table && records == 0 {
        eprintln!("curfew-server: no records");
    }
}

/// How many are asked for at once.
fn at_once(most: usize) -> String {
    most.min(1000).to_string()
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
