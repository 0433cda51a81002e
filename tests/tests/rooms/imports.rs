//! What the files of a crate import of each other, outside its test code: read from their tokens, so that an inline path and one inside a macro
//! count like a `use`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module's place in its crate, from the crate's root on.
pub type Module = Vec<String>;

/// One crate: each module's file, and what it imports.
pub struct Crate {
    files: BTreeMap<Module, PathBuf>,
    /// Importing module → imported module → one of the paths that say so, as written out from the crate's root.
    pub imports: BTreeMap<Module, BTreeMap<Module, String>>,
}

impl Crate {
    /// Reads the crate in the folder `name` of `repository`, which its binaries know as `library`.
    pub fn read(repository: &Path, name: &str, library: &str) -> Self {
        let mut texts = BTreeMap::new();
        read_folder(repository, &Path::new(name).join("src"), &mut texts);
        Self::parse(name, library, &texts)
    }

    /// The same of files by their paths in the repository.
    pub fn parse(name: &str, library: &str, texts: &BTreeMap<PathBuf, String>) -> Self {
        let root = Path::new(name).join("src");
        let mut files = BTreeMap::new();
        let mut found = Vec::new();
        let mut tests = BTreeSet::new();
        for (path, text) in texts {
            let module = module_of(
                path.strip_prefix(&root)
                    .unwrap_or_else(|_| panic!("{} is not below {}", path.display(), root.display())),
            );
            let tokens = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let mut reader = Reader { library, module: module.clone(), paths: Vec::new(), tests: Vec::new() };
            reader.tokens(tokens);
            tests.extend(reader.tests);
            found.push((module.clone(), reader.paths));
            files.insert(module, path.clone());
        }
        files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        let mut imports: BTreeMap<Module, BTreeMap<Module, String>> = BTreeMap::new();
        for (module, paths) in found.into_iter().filter(|(module, _)| files.contains_key(module)) {
            let targets = imports.entry(module.clone()).or_default();
            for path in paths {
                // A parent that names what is below it hands out what it consists of.
                if let Some(target) = resolve(&files, &path).filter(|target| !target.starts_with(&module)) {
                    targets.entry(target).or_insert_with(|| format!("crate::{}", path.join("::")));
                }
            }
        }
        Self { files, imports }
    }

    /// The file of `module`, in the repository.
    pub fn file(&self, module: &Module) -> String {
        self.files.get(module).map_or_else(|| module.join("::"), |file| file.display().to_string())
    }

    /// The groups of files each of which imports all others of its group, if not at once then by way of them.
    pub fn circles(&self) -> Vec<Vec<String>> {
        let reach: BTreeMap<&Module, BTreeSet<&Module>> =
            self.imports.keys().map(|module| (module, self.reachable(module))).collect();
        let mut seen = BTreeSet::new();
        let mut circles = Vec::new();
        for (module, reached) in &reach {
            if !reached.contains(*module) || !seen.insert(*module) {
                continue;
            }
            let circle: Vec<&Module> = reached
                .iter()
                .copied()
                .filter(|other| reach.get(other).is_some_and(|back| back.contains(*module)))
                .collect();
            seen.extend(circle.iter().copied());
            circles.push(circle.into_iter().map(|module| self.file(module)).collect());
        }
        circles
    }

    fn reachable<'a>(&'a self, from: &Module) -> BTreeSet<&'a Module> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&Module> = self.imports.get(from).into_iter().flat_map(BTreeMap::keys).collect();
        while let Some(module) = next.pop() {
            if reached.insert(module) {
                next.extend(self.imports.get(module).into_iter().flat_map(BTreeMap::keys));
            }
        }
        reached
    }
}

/// Adds the Rust files below `folder`, by their paths in the repository.
pub fn read_folder(repository: &Path, folder: &Path, texts: &mut BTreeMap<PathBuf, String>) {
    let entries =
        std::fs::read_dir(repository.join(folder)).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.expect("a folder's entry is readable");
        let path = folder.join(entry.file_name());
        if entry.file_type().expect("an entry has a type").is_dir() {
            read_folder(repository, &path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.insert(
                path.clone(),
                std::fs::read_to_string(entry.path()).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            );
        }
    }
}

fn module_of(file: &Path) -> Module {
    let module: Module = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    match module.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["lib"] => Module::new(),
        ["main"] => vec!["bin".to_owned(), "main".to_owned()],
        _ => module,
    }
}

/// The file that a path from the crate's root leads into.
fn resolve(files: &BTreeMap<Module, PathBuf>, path: &[String]) -> Option<Module> {
    (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|module| files.contains_key(module))
}

/// Collects the paths of one file, outside its test code.
struct Reader<'a> {
    library: &'a str,
    /// The module that it is in now.
    module: Module,
    paths: Vec<Vec<String>>,
    /// The modules in files of their own that are test code.
    tests: Vec<Module>,
}

impl Reader<'_> {
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at = match token {
                TokenTree::Punct(punct) if punct.as_char() == '#' && is_for_tests(tokens.get(at + 1)) => {
                    self.skip_item(&tokens, at + 2)
                }
                TokenTree::Ident(word) if word == "mod" => self.inline_module(&tokens, at),
                TokenTree::Ident(_) => self.path_from(&tokens, at),
                TokenTree::Group(group) => {
                    self.tokens(group.stream());
                    at + 1
                }
                _ => at + 1,
            };
        }
    }

    /// Passes over one item, and notes the file that it declares.
    fn skip_item(&mut self, tokens: &[TokenTree], mut at: usize) -> usize {
        let mut is_use = false;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Ident(word) if word == "use" => is_use = true,
                TokenTree::Ident(word) if word == "mod" => {
                    let name = tokens.get(at).map(ToString::to_string).unwrap_or_default();
                    self.tests.push(self.module.iter().cloned().chain([name]).collect());
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => break,
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && !is_use => break,
                _ => {}
            }
        }
        at
    }

    fn inline_module(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) = (tokens.get(at + 1), tokens.get(at + 2))
        else {
            return at + 1;
        };
        self.module.push(name.to_string());
        self.tokens(body.stream());
        self.module.pop();
        at + 3
    }

    /// Notes the path or the tree of paths that begins with the word at `at`, if it begins at a module of this crate.
    fn path_from(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let word = tokens[at].to_string();
        let mut head = match word.as_str() {
            "crate" => Module::new(),
            "self" => self.module.clone(),
            "super" => self.module.split_last().map(|(_, parent)| parent.to_vec()).unwrap_or_default(),
            _ if word == self.library => Module::new(),
            _ => return at + 1,
        };
        let mut next = at + 1;
        while is_path_separator(tokens, next)
            && matches!(tokens.get(next + 2), Some(TokenTree::Ident(word)) if word == "super")
        {
            head.pop();
            next += 3;
        }
        if !is_path_separator(tokens, next) {
            return next;
        }
        self.tree(tokens, next + 2, head)
    }

    fn tree(&mut self, tokens: &[TokenTree], at: usize, mut path: Vec<String>) -> usize {
        match tokens.get(at) {
            Some(TokenTree::Ident(word)) => {
                if word != "self" {
                    path.push(word.to_string());
                }
                if is_path_separator(tokens, at + 1) {
                    return self.tree(tokens, at + 3, path);
                }
                self.paths.push(path);
                at + 1
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let branches: Vec<TokenTree> = group.stream().into_iter().collect();
                for branch in branches.split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ','))
                {
                    self.tree(branch, 0, path.clone());
                }
                at + 1
            }
            _ => {
                self.paths.push(path);
                at
            }
        }
    }
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    [at, at + 1].into_iter().all(|at| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':'))
}

/// `[cfg(test)]`, also with more conditions.
fn is_for_tests(attribute: Option<&TokenTree>) -> bool {
    let Some(TokenTree::Group(attribute)) = attribute else { return false };
    let words: Vec<String> = words(attribute.stream());
    words.first().is_some_and(|word| word == "cfg")
        && words.iter().any(|word| word == "test")
        && !words.iter().any(|word| word == "not")
}

fn words(tokens: TokenStream) -> Vec<String> {
    let words_of = |token| match token {
        TokenTree::Ident(word) => vec![word.to_string()],
        TokenTree::Group(group) => words(group.stream()),
        _ => Vec::new(),
    };
    tokens.into_iter().flat_map(words_of).collect()
}
