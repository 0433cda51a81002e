//! Section 1: a page for each command, from the command line itself.

use crate::examples;
use crate::page::{Edition, Page, Writing, see_also, terms};
use crate::programs::Program;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;

/// The pages of a program and of all its commands.
pub fn pages(program: &Program, edition: &Edition) -> io::Result<Vec<Page>> {
    let command = built(program);
    let mut pages = Vec::new();
    add(&command, None, program, edition, &mut pages)?;
    Ok(pages)
}

/// The command line with all that clap works out.
pub fn built(program: &Program) -> Command {
    let mut command = program.command.clone().disable_help_subcommand(true);
    command.build();
    command
}

fn add(
    command: &Command,
    above: Option<&Command>,
    program: &Program,
    edition: &Edition,
    pages: &mut Vec<Page>,
) -> io::Result<()> {
    pages.push(page(command, above, program, edition)?);
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        add(below, Some(command), program, edition, pages)?;
    }
    Ok(())
}

fn page(command: &Command, above: Option<&Command>, program: &Program, edition: &Edition) -> io::Result<Page> {
    let name = name(command);
    let man = Man::new(command.clone()).title(name.to_uppercase()).date(edition.date());
    let man = man.source(Edition::source()).manual("Curfew");
    let mut page = Writing::default();
    page.render(&man, Man::render_title)?;
    page.render(&man, Man::render_name_section)?;
    page.add(&synopsis(command));
    page.render(&man, Man::render_description_section)?;
    page.render(&man, Man::render_options_section)?;
    if command.has_subcommands() {
        page.render(&man, Man::render_subcommands_section)?;
    }
    page.add(&terms("EXIT STATUS", program.exits.iter().copied()));
    if !program.environment.is_empty() {
        page.add(&terms("ENVIRONMENT", program.environment.iter().copied()));
    }
    if above.is_none() {
        page.add(&terms("FILES", program.files.iter().copied()));
    }
    let shown: Vec<_> = examples::of(&name).map(|example| (example.line, example.meaning)).collect();
    if !shown.is_empty() {
        page.add(&terms("EXAMPLES", shown));
    }
    let above = above.map(|above| format!("{}(1)", self::name(above)));
    let below =
        command.get_subcommands().filter(|below| !below.is_hide_set()).map(|it| format!("{}(1)", self::name(it)));
    let others = program.see_also.iter().map(|&other| other.to_owned());
    page.add(&see_also(&above.into_iter().chain(below).chain(others).collect::<Vec<_>>()));
    Ok(Page { name, section: 1, text: page.finish() })
}

/// As clap prints it: with the values that options take, which `clap_mangen` leaves out.
fn synopsis(command: &Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).text([bold(name), roman(usage.strip_prefix(name).unwrap_or_default())]);
    roff
}

/// As `curfew-grant`.
fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}
