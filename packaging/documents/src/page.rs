//! A manual page: its name, its section, its text, and what stands at its head and foot.

use crate::DocumentError;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use jiff::Timestamp;
use std::io::{self, Write};

/// What the foot of every page says: of when it is, and of which version.
#[derive(Debug)]
pub struct Edition {
    date: String,
}

impl Edition {
    /// That of `SOURCE_DATE_EPOCH`, so that the same sources give the same pages; without it, today's.
    pub fn now() -> Result<Self, DocumentError> {
        let time = match std::env::var_os("SOURCE_DATE_EPOCH") {
            None => Timestamp::now(),
            Some(seconds) => {
                let time = seconds.to_str().and_then(|seconds| Timestamp::from_second(seconds.parse().ok()?).ok());
                time.ok_or(DocumentError::Date(seconds))?
            }
        };
        Ok(Self { date: time.strftime("%Y-%m-%d").to_string() })
    }

    /// As `2026-11-22`.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// As `Curfew 0.1.0`.
    pub fn source() -> &'static str {
        concat!("Curfew ", env!("CARGO_PKG_VERSION"))
    }
}

/// A manual page.
#[derive(Debug)]
pub struct Page {
    /// As `curfew-grant`.
    pub name: String,
    /// As 1.
    pub section: u8,
    /// In the language of man(7).
    pub text: Vec<u8>,
}

impl Page {
    /// A page of `pages/`; its head names it.
    pub fn by_hand(text: &str, edition: &Edition) -> Self {
        let text = text.replace("@DATE@", edition.date()).replace("@SOURCE@", Edition::source());
        let head = text.lines().find_map(|line| line.strip_prefix(".TH ")).unwrap_or_default();
        let mut words = head.split_ascii_whitespace();
        let name = words.next().unwrap_or_default().to_lowercase();
        let section = words.next().and_then(|section| section.parse().ok()).unwrap_or_default();
        Self { name, section, text: text.into_bytes() }
    }

    /// As `curfew-grant.1`.
    pub fn file_name(&self) -> String {
        format!("{}.{}", self.name, self.section)
    }
}

/// The text of a page while it grows.
#[derive(Debug, Default)]
pub struct Writing {
    /// What [`clap_mangen`] and [`roff`](clap_mangen::roff) wrote, without the lines by which each of their parts begins.
    text: String,
}

/// The lines by which every part begins that [`Roff`] writes; a page has them once.
fn is_preamble(line: &str) -> bool {
    line.starts_with(r".ie \n(.g") || line.starts_with(".el .ds Aq")
}

impl Writing {
    /// Adds a section that [`clap_mangen`] writes.
    pub fn render(&mut self, man: &Man, section: fn(&Man, &mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut text = Vec::new();
        section(man, &mut text)?;
        self.part(&text);
        Ok(())
    }

    /// Adds a part of our own.
    pub fn add(&mut self, roff: &Roff) {
        self.part(roff.render().as_bytes());
    }

    fn part(&mut self, part: &[u8]) {
        let first = self.text.is_empty();
        for line in String::from_utf8_lossy(part).lines().map(str::trim_end) {
            // An empty line is a space of its own in man(7), which has no say beside its macros.
            let needless = line.is_empty() || (line == ".br" && self.text.ends_with(".br\n"));
            if !needless && (first || !is_preamble(line)) {
                self.text.push_str(&typed(line));
                self.text.push('\n');
            }
        }
    }

    /// The whole page.
    pub fn finish(self) -> Vec<u8> {
        self.text.into_bytes()
    }
}

/// A line of text, where what stands between backquotes is typed: that is bold.
fn typed(line: &str) -> String {
    let quotes = line.matches('`').count();
    if line.starts_with('.') || quotes % 2 == 1 {
        return line.to_owned();
    }
    let parts = line.split('`').enumerate();
    parts.map(|(place, part)| if place % 2 == 1 { format!("\\fB{part}\\fR") } else { part.to_owned() }).collect()
}

/// A section of terms, each with what it means.
pub fn terms<'a>(title: &str, terms: impl IntoIterator<Item = (&'a str, &'a str)>) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for (term, meaning) in terms {
        roff.control("TP", []).text([bold(term)]).text([roman(meaning)]);
    }
    roff
}

/// The section SEE ALSO: names with their sections, as `curfew(1)`.
pub fn see_also(names: &[String]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    for (place, name) in names.iter().enumerate() {
        let (name, section) = name.split_once('(').unwrap_or((name, ""));
        let comma = if place + 1 < names.len() { "," } else { "" };
        let section = if section.is_empty() { String::new() } else { format!("({section}") };
        roff.text([bold(name), roman(format!("{section}{comma}"))]);
    }
    roff
}
