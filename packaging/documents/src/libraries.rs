//! Whose code is in a program besides ours, by which licence, and the terms in their authors' own words, which go wherever the program goes.

use crate::DocumentError;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How the names of files begin in which authors put their terms.
const TERMS: &[&str] = &["licen", "copying", "copyright", "notice", "unlicense"];

/// Terms of authors who leave them out of what they publish, by how their crates' names begin, from the root of their repository and the head of each file.
/// The License itself comes with many others.
const LEFT_OUT: &[(&str, &str)] = &[(
    "cedar-policy",
    "Copyright Cedar Contributors\n\n\
     Licensed under the Apache License, Version 2.0 (the \"License\");\n\
     you may not use this file except in compliance with the License.\n\
     You may obtain a copy of the License at\n\n    https://www.apache.org/licenses/LICENSE-2.0\n\n\
     Unless required by applicable law or agreed to in writing, software\n\
     distributed under the License is distributed on an \"AS IS\" BASIS,\n\
     WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.\n\
     See the License for the specific language governing permissions and\n\
     limitations under the License.\n",
)];

/// A library.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
pub struct Library {
    /// As `serde`.
    pub name: String,
    version: String,
    /// As `MIT OR Apache-2.0`.
    license: Option<String>,
    repository: Option<String>,
    manifest_path: PathBuf,
    /// Where it comes from; nothing for a crate of this repository.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Library>,
}

/// The libraries that are linked into crates of this repository.
pub fn of(crates: &[&str]) -> Result<BTreeSet<Library>, DocumentError> {
    // What other systems take is not fetched for it.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = cargo(&["metadata", "--locked", "--format-version", "1", "--filter-platform", &platform])?;
    let Metadata { packages } =
        serde_json::from_slice(&metadata).map_err(|error| DocumentError::Cargo(error.to_string()))?;
    let packages: BTreeMap<(String, String), Library> =
        packages.into_iter().map(|it| ((it.name.clone(), format!("v{}", it.version)), it)).collect();
    let mut libraries = BTreeSet::new();
    for name in crates {
        let tree = [
            "tree",
            "--locked",
            "--package",
            name,
            "--edges",
            "normal,no-proc-macro",
            "--target",
            &platform,
            "--prefix",
            "none",
            "--no-dedupe",
        ];
        let tree = cargo(&tree)?;
        for line in String::from_utf8_lossy(&tree).lines() {
            let mut words = line.split(' ').map(str::to_owned);
            let named = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let library = packages
                .get(&named)
                .ok_or_else(|| DocumentError::Cargo(format!("{line} is linked, and is no package")))?;
            // The others are of this repository.
            if library.source.is_some() {
                libraries.insert(library.clone());
            }
        }
    }
    Ok(libraries)
}

/// The list: a line a library.
pub fn list(libraries: &BTreeSet<Library>) -> String {
    let lines = libraries.iter().map(|Library { name, version, license, repository, .. }| {
        let (license, repository) = (license.as_deref().unwrap_or("-"), repository.as_deref().unwrap_or("-"));
        format!("{:<40} {license:<55} {repository}\n", format!("{name} {version}"))
    });
    lines.collect()
}

/// The terms: each text once, with the libraries that come with it.
pub fn terms(libraries: &BTreeSet<Library>) -> Result<String, DocumentError> {
    let mut whose: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for library in libraries {
        for text in library.terms()? {
            whose.entry(text).or_default().push(format!("{} {}", library.name, library.version));
        }
    }
    let mut texts: Vec<_> = whose.into_iter().map(|(text, whose)| (whose, text)).collect();
    texts.sort();
    let rule = "=".repeat(100);
    Ok(texts
        .iter()
        .map(|(whose, text)| format!("{rule}\n{}\n{rule}\n\n{}\n\n", whose.join(", "), text.trim()))
        .collect())
}

impl Library {
    /// Its texts, wherever they lie in its source: it may have other people's inside.
    pub fn terms(&self) -> Result<BTreeSet<String>, DocumentError> {
        let mut folders = vec![self.manifest_path.parent().unwrap_or(Path::new("/")).to_owned()];
        let mut texts = BTreeSet::new();
        while let Some(folder) = folders.pop() {
            for path in files(&folder)? {
                if path.is_dir() {
                    folders.push(path);
                } else if is_terms(&path) {
                    let bytes = fs::read(&path).map_err(|source| DocumentError::File { path, source })?;
                    texts.insert(String::from_utf8_lossy(&bytes).into_owned());
                }
            }
        }
        if texts.is_empty() {
            let left_out = LEFT_OUT.iter().filter(|(begins, _)| self.name.starts_with(begins));
            texts.extend(left_out.map(|(_, text)| (*text).to_owned()));
        }
        Ok(texts)
    }
}

/// A file that says so by its name, or all in a folder that does.
fn is_terms(path: &Path) -> bool {
    let says = |name: &std::ffi::OsStr| {
        let name = name.to_string_lossy().to_ascii_lowercase();
        TERMS.iter().any(|begins| name.starts_with(begins)) && !name.ends_with(".rs") && !name.ends_with(".py")
    };
    path.file_name().is_some_and(says) || path.parent().and_then(Path::file_name).is_some_and(says)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, DocumentError> {
    let error = |source| DocumentError::File { path: folder.into(), source };
    let entries = fs::read_dir(folder).map_err(error)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(error)).collect()
}

/// What cargo says, in the folder that this is run in.
fn cargo(arguments: &[&str]) -> Result<Vec<u8>, DocumentError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .arg("--quiet")
        .args(arguments)
        .output()
        .map_err(|error| DocumentError::Cargo(error.to_string()))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(DocumentError::Cargo(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}
