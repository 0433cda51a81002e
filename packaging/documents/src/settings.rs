//! Section 5: the page of a configuration file, from the comments of the file that the package ships.
//!
//! The file is blocks between empty lines: one about the whole, then one for each key, some lines of comment and the key at its
//! default, commented out. Keys that belong together share a comment.

use crate::DocumentError;
use crate::page::{Edition, Page, Writing, see_also};
use clap_mangen::roff::{Roff, bold, roman};

/// A configuration file.
#[derive(Debug)]
pub struct File {
    /// As `agent.toml`.
    pub name: &'static str,
    /// Where it is on a host.
    pub path: &'static str,
    /// What it is, for the line of its name.
    pub about: &'static str,
    /// As it is shipped.
    pub shipped: &'static str,
    /// What else there is to read.
    pub see_also: &'static [&'static str],
}

/// A key, or some that belong together, each with its default, and what they mean.
#[derive(Debug, Eq, PartialEq)]
struct Setting {
    keys: Vec<(String, String)>,
    meaning: String,
}

/// The page of a configuration file.
pub fn page(file: &File, edition: &Edition) -> Result<Page, DocumentError> {
    let (about, settings) = parse(file)?;
    let mut roff = Roff::new();
    let title = file.name.to_uppercase();
    roff.control("TH", [title.as_str(), "5", edition.date(), Edition::source(), "Curfew"]);
    roff.control("SH", ["NAME"]).text([roman(format!("{} - {}", file.name, file.about))]);
    roff.control("SH", ["SYNOPSIS"]).text([bold(file.path)]);
    roff.control("SH", ["DESCRIPTION"]).text([roman(about)]);
    roff.control("PP", []);
    roff.text([roman("The file is TOML: `key = value`, one a line. A text stands in double quotes, a list in square brackets; `#` begins a comment.")]);
    roff.control("SH", ["SETTINGS"]);
    for Setting { keys, meaning } in &settings {
        for (place, (key, default)) in keys.iter().enumerate() {
            let tag = if place == 0 { "TP" } else { "TQ" };
            roff.control(tag, []).text([bold(key.as_str()), roman(format!(" = {default}"))]);
        }
        roff.text([roman(meaning.as_str())]);
    }
    let mut page = Writing::default();
    page.add(&roff);
    page.add(&see_also(&file.see_also.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()));
    Ok(Page { name: file.name.into(), section: 5, text: page.finish() })
}

/// What the file says of itself, and its settings.
fn parse(file: &File) -> Result<(String, Vec<Setting>), DocumentError> {
    let wrong = |line: usize, problem| DocumentError::Settings { file: file.name, line: line + 1, problem };
    let (mut about, mut settings, mut comment) = (None, Vec::<Setting>::new(), Vec::new());
    let mut after_a_key = false;
    let lines = file.shipped.lines().chain([""]);
    for (number, line) in lines.enumerate() {
        if let Some(text) = line.strip_prefix("# ") {
            comment.push(text);
        } else if let Some(setting) = line.strip_prefix('#') {
            let (key, default) =
                setting.split_once(" = ").ok_or_else(|| wrong(number, "neither a comment nor a key"))?;
            let key = (key.to_owned(), default.to_owned());
            match settings.last_mut() {
                Some(last) if comment.is_empty() && after_a_key => last.keys.push(key),
                _ if comment.is_empty() => return Err(wrong(number, "a key that no comment explains")),
                _ => {
                    let meaning = std::mem::take(&mut comment).join(" ");
                    settings.push(Setting { keys: vec![key], meaning });
                }
            }
        } else if !line.is_empty() {
            return Err(wrong(number, "a key is not commented out"));
        } else if !comment.is_empty() {
            if about.is_some() {
                return Err(wrong(number, "a comment without a key"));
            }
            about = Some(std::mem::take(&mut comment).join(" "));
        }
        after_a_key = line.starts_with('#') && comment.is_empty();
    }
    Ok((about.ok_or_else(|| wrong(0, "no comment about the whole"))?, settings))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(shipped: &'static str) -> Result<(String, Vec<Setting>), String> {
        let file = File { name: "a.toml", path: "/etc/a.toml", about: "a", shipped, see_also: &[] };
        parse(&file).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_has_the_comment_before_it_and_the_first_comment_is_about_the_whole() {
        let (about, settings) = parsed("# All of\n# it.\n\n# How long.\n#wait = \"5s\"\n#more = 1\n").unwrap();
        assert_eq!(about, "All of it.");
        let keys = vec![("wait".into(), "\"5s\"".into()), ("more".into(), "1".into())];
        assert_eq!(settings, [Setting { keys, meaning: "How long.".into() }]);
    }

    #[test]
    fn what_the_page_could_not_say_is_refused_with_its_line() {
        assert_eq!(parsed("# It.\n\n#wait = 1\n").unwrap_err(), "a.toml, line 3: a key that no comment explains");
        assert_eq!(parsed("# It.\n\nwait = 1\n").unwrap_err(), "a.toml, line 3: a key is not commented out");
        assert_eq!(
            parsed("# It.\n\n# Lost.\n\n# B.\n#b = 1\n").unwrap_err(),
            "a.toml, line 4: a comment without a key"
        );
    }
}
