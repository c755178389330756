//! Files of one crate that import each other, directly or in a circle.
//!
//! A file imports another when its code, apart from tests, names a path into it (`crate::`,
//! `super::`, `self::`, or the name of a child module) or declares it with `mod`. A path to a name
//! that a file only re-exports leads to the file that defines it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use anyhow::Result;

use crate::source::{self, Token};

/// Every circle of files below `source`, as `a.rs -> b.rs -> a.rs`: the shortest circle of each
/// group of files that import each other.
pub(crate) fn find(source: &Path) -> Result<Vec<String>> {
    let mut files = BTreeMap::new();
    for path in source::rust_files(source)? {
        let name = path.strip_prefix(source)?.display().to_string();
        files.insert(name, std::fs::read_to_string(&path)?);
    }
    Ok(Crate::new(&files).circles())
}

/// A module's path from the root of the crate.
type ModulePath = Vec<String>;

struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

#[derive(Default)]
struct Module {
    file: String,
    /// Paths in the code, as absolute paths, and the name each import has here.
    paths: Vec<(ModulePath, Option<String>)>,
    /// Names that are defined here.
    items: BTreeSet<String>,
}

impl Crate {
    fn new(files: &BTreeMap<String, String>) -> Self {
        let mut modules = BTreeMap::new();
        let mut for_tests = BTreeSet::new();
        for (file, text) in files {
            let Some(path) = module_path(file) else { continue };
            let (tokens, test_modules) = source::read(text);
            for name in test_modules {
                for_tests.insert([path.as_slice(), &[name]].concat());
            }
            let mut module = Module { file: file.clone(), ..Module::default() };
            Parser { tokens: &tokens, at: 0, here: &path, inline: Vec::new() }.run(&mut module);
            modules.insert(path, module);
        }
        modules.retain(|path, _| !for_tests.iter().any(|test| path.starts_with(test)));
        Self { modules }
    }

    /// The file that defines what `path` names. `None` for another crate.
    fn resolve(&self, path: &[String], depth: usize) -> Option<&str> {
        let mut length = 0;
        while length < path.len() && self.modules.contains_key(&path[..=length]) {
            length += 1;
        }
        let module = self.modules.get(&path[..length])?;
        let Some(name) = path.get(length) else { return Some(&module.file) };
        if module.items.contains(name) || depth == 0 {
            return Some(&module.file);
        }
        let imported = module.paths.iter().find(|(_, known)| known.as_ref() == Some(name));
        if let Some((target, _)) = imported {
            return self.resolve(target, depth - 1);
        }
        let globs = module.paths.iter().filter(|(_, known)| known.as_deref() == Some("*"));
        for (target, _) in globs {
            let target = [target.as_slice(), &path[length..]].concat();
            if let Some(found) = self.modules.get(&target[..target.len() - 1])
                && found.items.contains(name)
            {
                return Some(&found.file);
            }
        }
        // The name of an external crate, or a macro.
        (length > 0).then_some(module.file.as_str())
    }

    /// Each file and the files that it imports.
    fn graph(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (path, module) in &self.modules {
            let imported = module.paths.iter().filter_map(|(path, _)| self.resolve(path, 8));
            let children = self
                .modules
                .iter()
                .filter(|(other, _)| other.len() == path.len() + 1 && other.starts_with(path));
            let targets = imported.chain(children.map(|(_, child)| child.file.as_str()));
            let edges = graph.entry(&module.file).or_default();
            edges.extend(targets.filter(|target| *target != module.file));
        }
        graph
    }

    fn circles(&self) -> Vec<String> {
        let graph = self.graph();
        let mut circles = Vec::new();
        let mut seen = BTreeSet::new();
        for start in graph.keys() {
            if seen.contains(start) {
                continue;
            }
            let reached = reach(&graph, start);
            let group: Vec<&str> =
                reached.into_iter().filter(|file| reach(&graph, file).contains(start)).collect();
            seen.extend(group.iter().copied());
            let shortest = group.iter().filter_map(|file| way(&graph, file, file));
            let Some(shortest) = shortest.min_by_key(Vec::len) else { continue };
            let mut text = shortest.join(" -> ");
            if group.len() > shortest.len() - 1 {
                text += &format!(" (of {} files that import each other)", group.len());
            }
            circles.push(text);
        }
        circles
    }
}

/// Every file that `start` imports, directly or through others.
fn reach<'a>(graph: &BTreeMap<&'a str, BTreeSet<&'a str>>, start: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = vec![start];
    while let Some(file) = open.pop() {
        for next in graph.get(file).into_iter().flatten() {
            if reached.insert(*next) {
                open.push(next);
            }
        }
    }
    reached
}

/// The shortest way from one file to another along imports.
fn way<'a>(
    graph: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    from: &'a str,
    to: &str,
) -> Option<Vec<&'a str>> {
    let mut seen = BTreeSet::new();
    let mut open = VecDeque::from([vec![from]]);
    while let Some(way) = open.pop_front() {
        for next in graph.get(way[way.len() - 1])? {
            let mut longer = way.clone();
            longer.push(next);
            if *next == to {
                return Some(longer);
            }
            if seen.insert(*next) {
                open.push_back(longer);
            }
        }
    }
    None
}

/// `lib.rs` is the root; `a/b.rs` and `a/b/mod.rs` are the module `a::b`. A `main.rs` beside a
/// `lib.rs` is a program that uses the library from outside.
fn module_path(file: &str) -> Option<ModulePath> {
    let file = file.strip_suffix(".rs")?;
    match file {
        "lib" => Some(Vec::new()),
        "main" => None,
        _ if file.starts_with("bin/") => None,
        _ => {
            let file = file.strip_suffix("/mod").unwrap_or(file);
            Some(file.split('/').map(str::to_owned).collect())
        }
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    /// The module of this file.
    here: &'a [String],
    /// For each open brace, whether it is the block of an inline module.
    inline: Vec<bool>,
}

impl Parser<'_> {
    fn run(&mut self, module: &mut Module) {
        while let Some(token) = self.tokens.get(self.at) {
            self.at += 1;
            match token {
                Token::Punctuation('{') => self.inline.push(self.is_inline_module()),
                Token::Punctuation('}') => drop(self.inline.pop()),
                Token::Word(word) if word == "use" => self.import(module),
                Token::Word(word) if self.begins_path(word) => {
                    self.at -= 1;
                    self.tree(&[], module, false);
                }
                Token::Word(word) if DEFINES.contains(&word.as_str()) => {
                    if let Some(Token::Word(name)) = self.tokens.get(self.at) {
                        module.items.insert(name.clone());
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether the brace just read opens `mod name {`.
    fn is_inline_module(&self) -> bool {
        let at = self.at - 1;
        at >= 2 && matches!(&self.tokens[at - 2], Token::Word(word) if word == "mod")
    }

    /// A path of this crate begins here: a keyword, or any name before `::` that does not itself
    /// follow one.
    fn begins_path(&self, word: &str) -> bool {
        let follows = self.at >= 2 && self.tokens[self.at - 2] == Token::PathSeparator;
        let leads = self.tokens.get(self.at) == Some(&Token::PathSeparator);
        let known =
            ["crate", "super", "self"].contains(&word) || word.starts_with(char::is_lowercase);
        !follows && leads && known
    }

    fn import(&mut self, module: &mut Module) {
        if self.tokens.get(self.at) == Some(&Token::PathSeparator) {
            return;
        }
        self.tree(&[], module, true);
    }

    /// Reads a path, or a tree of them, below `base`.
    fn tree(&mut self, base: &[String], module: &mut Module, is_import: bool) {
        let mut path = base.to_vec();
        loop {
            match self.tokens.get(self.at) {
                Some(Token::Word(word)) => {
                    path.push(word.clone());
                    self.at += 1;
                }
                Some(Token::Punctuation('*')) if is_import => {
                    self.at += 1;
                    self.keep(&path, Some("*".to_owned()), module);
                    return;
                }
                Some(Token::Punctuation('{')) if is_import => {
                    self.at += 1;
                    self.branches(&path, module);
                    return;
                }
                _ => return,
            }
            if self.tokens.get(self.at) != Some(&Token::PathSeparator) {
                break;
            }
            self.at += 1;
        }
        let mut name = path.last().cloned();
        if is_import
            && matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word == "as")
            && let Some(Token::Word(alias)) = self.tokens.get(self.at + 1)
        {
            name = Some(alias.clone());
            self.at += 2;
        }
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        self.keep(&path, if is_import { name } else { None }, module);
    }

    fn branches(&mut self, base: &[String], module: &mut Module) {
        loop {
            match self.tokens.get(self.at) {
                Some(Token::Punctuation(',')) => self.at += 1,
                Some(Token::Word(_) | Token::Punctuation('{' | '*')) => {
                    self.tree(base, module, true);
                }
                _ => {
                    self.at += 1;
                    return;
                }
            }
        }
    }

    /// Notes a path, made absolute. A path that begins with another name is one of a child module,
    /// or of another crate; the latter leads nowhere.
    fn keep(&self, path: &[String], name: Option<String>, module: &mut Module) {
        let Some((first, rest)) = path.split_first() else { return };
        let inline = self.inline.iter().filter(|inline| **inline).count();
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "super" => {
                // An inline module's parent is this file.
                let up = usize::from(inline == 0);
                self.here[..self.here.len().saturating_sub(up)].to_vec()
            }
            "self" => self.here.to_vec(),
            child => {
                let mut base = self.here.to_vec();
                base.push(child.to_owned());
                base
            }
        };
        let mut rest = rest;
        while let Some((_, deeper)) = rest.split_first().filter(|(next, _)| *next == "super") {
            base.pop();
            rest = deeper;
        }
        if base == self.here && rest.is_empty() {
            return;
        }
        base.extend_from_slice(rest);
        module.paths.push((base, name));
    }
}

/// What comes before a name that is defined.
const DEFINES: [&str; 8] = ["struct", "enum", "trait", "fn", "const", "static", "type", "union"];

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Crate::new(&files.iter().map(owned).collect()).circles()
    }

    #[test]
    fn a_planted_circle_is_found_and_shown() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "pub struct B; fn f() { crate::c::g() }"),
            ("c.rs", "use super::{a, d::D}; pub fn g() {}"),
            ("d.rs", "pub struct D;"),
        ]);
        assert_eq!(found, ["a.rs -> b.rs -> c.rs -> a.rs"]);
    }

    #[test]
    fn a_re_export_leads_to_the_file_that_defines_the_name() {
        let files = |a: &'static str| {
            [
                (
                    "lib.rs",
                    "mod a; mod error; pub use crate::error::Error; pub use a::*; pub fn here() {}",
                ),
                ("a.rs", a),
                ("error.rs", "pub enum Error {}"),
            ]
        };
        assert_eq!(circles(&files("use crate::Error;")), [""; 0]);
        assert_eq!(circles(&files("use crate::here;")), ["a.rs -> lib.rs -> a.rs"]);
    }

    #[test]
    fn a_child_must_not_use_what_its_parent_defines() {
        let parent = ("a.rs", "mod b; use crate::c::C; pub struct A;");
        let files = |child: &'static str| {
            [("lib.rs", "mod a; mod c;"), parent, ("a/b.rs", child), ("c.rs", "pub struct C;")]
        };
        assert_eq!(circles(&files("use super::A;")), ["a.rs -> a/b.rs -> a.rs"]);
        assert_eq!(circles(&files("use super::C;")), [""; 0]);
        assert_eq!(circles(&files("use super::super::c::C;")), [""; 0]);
    }

    #[test]
    fn tests_count_for_nothing() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b; #[cfg(test)] mod tests;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }"),
            ("tests.rs", "use crate::b::B; pub fn x() {}"),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn a_child_is_used_by_its_bare_name() {
        let found = circles(&[
            ("lib.rs", "mod a;"),
            ("a.rs", "mod b; fn f() { b::g() } pub struct A;"),
            ("a/b.rs", "pub fn g() { super::A; }"),
        ]);
        assert_eq!(found, ["a.rs -> a/b.rs -> a.rs"]);
    }

    #[test]
    fn the_largest_group_is_shown_by_its_shortest_circle() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::{a::A, c::C};"),
            ("c.rs", "use crate::a::A;"),
        ]);
        assert_eq!(found, ["a.rs -> b.rs -> a.rs (of 3 files that import each other)"]);
    }
}
