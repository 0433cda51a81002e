//! Writes what people read on a host: the manual pages and the completions of `curfew` and `curfew-server`, and whose code is in them.
//!
//! Nothing is said twice. The pages of section 1 and the completions come from the command lines themselves, those of section 5 from the
//! configuration files that the packages ship; `pages/` has those that are written by hand.
//!
//! `documents FOLDER` writes `man`, `completions`, `libraries` and `libraries.terms` into `FOLDER/PACKAGE`.

mod commands;
mod completions;
mod examples;
mod libraries;
mod page;
mod programs;
mod settings;

use page::{Edition, Page};
use programs::Program;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

/// Why nothing was written, or not all.
#[derive(Debug, thiserror::Error)]
enum DocumentError {
    /// It was used wrongly.
    #[error("usage: documents FOLDER")]
    Usage,
    /// No file.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A configuration file is not laid out as the pages need it.
    #[error("{file}, line {line}: {problem}")]
    Settings {
        /// The file.
        file: &'static str,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A page could not be made.
    #[error("a page can't be made: {0}")]
    Page(#[from] io::Error),
    /// cargo does not say what the programs are made of.
    #[error("cargo: {0}")]
    Cargo(String),
    /// No date for the pages.
    #[error("SOURCE_DATE_EPOCH is no time: {0:?}")]
    Date(OsString),
}

fn main() -> ExitCode {
    match write_all(std::env::args_os().nth(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("documents: {error}");
            ExitCode::from(if matches!(error, DocumentError::Usage) { 2 } else { 1 })
        }
    }
}

fn write_all(folder: Option<OsString>) -> Result<(), DocumentError> {
    let folder = PathBuf::from(folder.ok_or(DocumentError::Usage)?);
    let edition = Edition::now()?;
    for program in programs::all() {
        let folder = folder.join(program.name);
        for page in pages(&program, &edition)? {
            write(&folder.join("man").join(page.file_name()), &page.text)?;
        }
        for (name, script) in completions::of(&program) {
            write(&folder.join("completions").join(name), &script)?;
        }
        let libraries = libraries::of(program.crates)?;
        write(&folder.join("libraries"), libraries::list(&libraries).as_bytes())?;
        write(&folder.join("libraries.terms"), libraries::terms(&libraries)?.as_bytes())?;
    }
    Ok(())
}

/// Every page of a package.
fn pages(program: &Program, edition: &Edition) -> Result<Vec<Page>, DocumentError> {
    let mut pages = commands::pages(program, edition)?;
    pages.push(settings::page(program.settings, edition)?);
    pages.extend(program.by_hand.iter().map(|text| Page::by_hand(text, edition)));
    Ok(pages)
}

fn write(path: &Path, text: &[u8]) -> Result<(), DocumentError> {
    let file = |source| DocumentError::File { path: path.into(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(file)?;
    }
    fs::write(path, text).map_err(file)
}

#[cfg(test)]
mod tests;
