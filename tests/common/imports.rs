//! Reads the sources of a crate and finds which file uses items of which other file.
//!
//! Paths are read from tokens, so comments and strings do not count, and paths in macro calls do. Left out:
//! modules and items under `#[cfg(test)]`, and `main.rs`. A path is followed through re-exports to the file
//! that defines the item. Declaring a module (`mod x;`) and re-exporting its items (`pub use x::Item;`) is
//! no use of it, unless the file also uses the re-exported name.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path to a module or an item, from the crate's root.
type Segments = Vec<String>;

/// The sources of one crate, without its tests.
pub struct Crate {
    /// Files, relative to the source folder, and the modules that they define: the first is the file's own.
    files: BTreeMap<PathBuf, Vec<Module>>,
    /// File of each module.
    modules: HashMap<Segments, (PathBuf, usize)>,
}

/// A module: a file's own, or one written inside a file.
#[derive(Debug, Default)]
struct Module {
    path: Segments,
    items: HashSet<String>,
    imports: Vec<Import>,
    /// Other paths of two segments or more.
    paths: Vec<Segments>,
    /// Every identifier outside `use` and `mod`.
    names: HashSet<String>,
}

/// One name of a `use`.
#[derive(Clone, Debug)]
struct Import {
    /// The name that it gets; `*` for all.
    name: String,
    target: Segments,
    public: bool,
}

/// A use of one file by another: the files and the path as it is written.
pub type Use = (PathBuf, PathBuf, String);

impl Crate {
    /// Reads every file below a source folder.
    pub fn read(folder: &Path) -> Self {
        let mut found = Self {
            files: BTreeMap::new(),
            modules: HashMap::new(),
        };
        let root = Path::new("lib.rs");
        found.read_file(folder, root, Vec::new());
        found
    }

    /// How many files the crate has.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    fn read_file(&mut self, folder: &Path, file: &Path, path: Segments) {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let tokens: TokenStream = text.parse().unwrap();
        let mut modules = Vec::new();
        let mut declared = Vec::new();
        read_module(tokens, path, &mut modules, &mut declared);
        for (index, module) in modules.iter().enumerate() {
            self.modules
                .insert(module.path.clone(), (file.to_owned(), index));
        }
        self.files.insert(file.to_owned(), modules);
        for module in declared {
            let place: PathBuf = module.iter().collect();
            let candidates = [place.with_extension("rs"), place.join("mod.rs")];
            let file = candidates.into_iter().find(|f| folder.join(f).is_file());
            let file = file.unwrap_or_else(|| panic!("no file for module {}", module.join("::")));
            self.read_file(folder, &file, module);
        }
    }

    /// Every use of one file by another.
    pub fn uses(&self) -> BTreeSet<Use> {
        let mut uses = BTreeSet::new();
        for (file, modules) in &self.files {
            for module in modules {
                for (path, written) in self.paths(module) {
                    for used in self.files_of(&path, 0) {
                        if used != *file {
                            uses.insert((file.clone(), used, written.clone()));
                        }
                    }
                }
            }
        }
        uses
    }

    /// The paths that a module uses, from the crate's root, each with its text.
    fn paths(&self, module: &Module) -> Vec<(Segments, String)> {
        let mut paths = Vec::new();
        for import in &module.imports {
            let only_exported = import.public && !module.names.contains(&import.name);
            if only_exported {
                continue;
            }
            if let Some(path) = self.absolute(module, &import.target) {
                // The import of a module alone uses nothing: the paths through it do.
                if import.name == "*" || !self.modules.contains_key(&path) {
                    paths.push((path.clone(), import.target.join("::")));
                } else if self.names_item(&path) {
                    paths.push((path.clone(), import.target.join("::")));
                }
            }
        }
        for path in &module.paths {
            if let Some(absolute) = self.absolute(module, path) {
                paths.push((absolute, path.join("::")));
            }
        }
        paths
    }

    /// Whether a module's path is also that of an item, such as a function of the same name.
    fn names_item(&self, path: &Segments) -> bool {
        let Some((name, parent)) = path.split_last() else {
            return false;
        };
        self.module(parent).is_some_and(|parent| {
            parent.items.contains(name)
                || parent
                    .imports
                    .iter()
                    .any(|i| i.name == *name && i.target.len() > 1)
        })
    }

    fn module(&self, path: &[String]) -> Option<&Module> {
        let (file, index) = self.modules.get(path)?;
        self.files.get(file)?.get(*index)
    }

    /// A path from the crate's root, if it leads into this crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Segments> {
        let (first, rest) = path.split_first()?;
        let mut absolute = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.path.clone(),
            "super" => module.path[..module.path.len().checked_sub(1)?].to_vec(),
            name => {
                let child = [module.path.as_slice(), &[name.to_owned()]].concat();
                if self.modules.contains_key(&child) {
                    child
                } else {
                    let import = module.imports.iter().find(|i| i.name == name)?;
                    if import.target == path {
                        return None;
                    }
                    // A type's own paths, `Type::new`, lead to where the type is.
                    self.absolute(module, &import.target)?
                }
            }
        };
        let mut rest = rest;
        while let Some((first, others)) = rest.split_first()
            && first == "super"
        {
            absolute.pop();
            rest = others;
        }
        absolute.extend_from_slice(rest);
        Some(absolute)
    }

    /// The files that define what a path leads to; re-exports are followed.
    fn files_of(&self, path: &[String], depth: usize) -> Vec<PathBuf> {
        assert!(depth < 20, "a circle of re-exports at {}", path.join("::"));
        let inside = (0..=path.len())
            .rev()
            .find(|&length| self.modules.contains_key(&path[..length]));
        let Some(length) = inside else {
            return Vec::new();
        };
        let (module, rest) = path.split_at(length);
        let file = self.modules[module].0.clone();
        let Some(name) = rest.first() else {
            // The path ends at a module, or at an item of the same name.
            return match path.split_last() {
                Some((name, parent)) if self.names_item(&path.to_vec()) => {
                    self.item(parent, name, depth)
                }
                _ => vec![file],
            };
        };
        if name == "*" {
            return vec![file];
        }
        self.item(module, name, depth)
    }

    /// The files that define an item of a module.
    fn item(&self, module: &[String], name: &str, depth: usize) -> Vec<PathBuf> {
        let file = self.modules[module].0.clone();
        let Some(inside) = self.module(module) else {
            return vec![file];
        };
        if inside.items.contains(name) {
            return vec![file];
        }
        let named = inside.imports.iter().find(|import| import.name == name);
        let globs = inside.imports.iter().filter(|import| import.name == "*");
        for import in named.into_iter().chain(globs) {
            let Some(mut target) = self.absolute(inside, &import.target) else {
                continue;
            };
            if import.name == "*" {
                target.pop();
                if !self.defines(&target, name) {
                    continue;
                }
                target.push(name.to_owned());
            }
            return self.files_of(&target, depth + 1);
        }
        // What a macro made, or an import from another crate.
        vec![file]
    }

    fn defines(&self, module: &[String], name: &str) -> bool {
        self.module(module).is_some_and(|module| {
            module.items.contains(name) || module.imports.iter().any(|i| i.name == name)
        })
    }
}

/// Finds circles among files: for each group of files that reach each other, one shortest circle.
pub fn circles(uses: &BTreeSet<Use>) -> Vec<Vec<Use>> {
    let mut next: BTreeMap<&Path, BTreeMap<&Path, &str>> = BTreeMap::new();
    for (from, to, path) in uses {
        next.entry(from).or_default().entry(to).or_insert(path);
    }
    let mut circles = Vec::new();
    let mut grouped: BTreeSet<&Path> = BTreeSet::new();
    for &start in next.keys() {
        if grouped.contains(start) {
            continue;
        }
        let Some(circle) = shortest_circle(&next, start) else {
            continue;
        };
        grouped.insert(start);
        let others = next.keys().filter(|&&file| {
            file != start && reaches(&next, start, file) && reaches(&next, file, start)
        });
        grouped.extend(others);
        circles.push(circle);
    }
    circles
}

type Graph<'a> = BTreeMap<&'a Path, BTreeMap<&'a Path, &'a str>>;

fn reaches(next: &Graph<'_>, from: &Path, to: &Path) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for &other in next.get(file).into_iter().flat_map(BTreeMap::keys) {
            if other == to {
                return true;
            }
            if seen.insert(other) {
                open.push(other);
            }
        }
    }
    false
}

/// The shortest way from a file back to itself.
fn shortest_circle(next: &Graph<'_>, start: &Path) -> Option<Vec<Use>> {
    let mut before: BTreeMap<&Path, Use> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(file) = open.pop_front() {
        for (&other, path) in next.get(file).into_iter().flatten() {
            if before.contains_key(other) {
                continue;
            }
            let step = (file.to_owned(), other.to_owned(), (*path).to_owned());
            before.insert(other, step);
            open.push_back(other);
            if other == start {
                let mut circle = Vec::new();
                let mut at = start.to_owned();
                loop {
                    let step = before.get(at.as_path())?.clone();
                    at.clone_from(&step.0);
                    circle.insert(0, step);
                    if at == start {
                        return Some(circle);
                    }
                }
            }
        }
    }
    None
}

/// Reads a module's tokens; the modules that it declares elsewhere go to `declared`.
fn read_module(
    tokens: TokenStream,
    path: Segments,
    modules: &mut Vec<Module>,
    declared: &mut Vec<Segments>,
) {
    let place = modules.len();
    modules.push(Module {
        path: path.clone(),
        ..Module::default()
    });
    let mut module = std::mem::take(&mut modules[place]);
    for item in items(tokens) {
        if is_test(&item.tokens) {
            continue;
        }
        let keyword = item.keyword();
        match (keyword.as_str(), item.body()) {
            ("use", _) => module.imports.extend(imports(&item)),
            ("mod", Some(body)) => {
                let inner = [path.as_slice(), &[item.name()]].concat();
                read_module(body, inner, modules, declared);
            }
            ("mod", None) => declared.push([path.as_slice(), &[item.name()]].concat()),
            _ => {
                if !item.name().is_empty() {
                    module.items.insert(item.name());
                }
                read_paths(item.tokens, &mut module);
            }
        }
    }
    modules[place] = module;
}

/// One item of a module, attributes included.
struct Item {
    tokens: Vec<TokenTree>,
    /// Where its first keyword stands.
    start: usize,
    public: bool,
}

const KEYWORDS: [&str; 10] = [
    "use", "mod", "fn", "struct", "enum", "union", "trait", "type", "const", "static",
];

impl Item {
    fn keyword(&self) -> String {
        self.tokens
            .get(self.start)
            .map_or(String::new(), ToString::to_string)
    }

    /// The name behind the keyword; empty for `impl` and the like.
    fn name(&self) -> String {
        match self.keyword().as_str() {
            "impl" | "extern" | "use" => String::new(),
            _ => self.tokens[self.start + 1..]
                .iter()
                .find_map(|token| match token {
                    TokenTree::Ident(name)
                        if !["fn", "mut", "unsafe"].contains(&&*name.to_string()) =>
                    {
                        Some(name.to_string())
                    }
                    _ => None,
                })
                .unwrap_or_default(),
        }
    }

    /// The braces at the end.
    fn body(&self) -> Option<TokenStream> {
        match self.tokens.last() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                Some(group.stream())
            }
            _ => None,
        }
    }
}

/// Cuts a module's tokens into items.
fn items(tokens: TokenStream) -> Vec<Item> {
    let mut items = Vec::new();
    let mut current: Vec<TokenTree> = Vec::new();
    let mut start = None;
    let mut public = false;
    for token in tokens {
        let ends = match &token {
            TokenTree::Punct(mark) => mark.as_char() == ';',
            TokenTree::Group(group) => {
                let assigned = current
                    .iter()
                    .any(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == '='));
                let used = start.is_some_and(|at: usize| current[at].to_string() == "use");
                group.delimiter() == Delimiter::Brace
                    && !used
                    && (!assigned || is_generic(&current, start))
            }
            _ => false,
        };
        if let TokenTree::Ident(word) = &token {
            let word = word.to_string();
            if start.is_none() && word == "pub" {
                public = true;
            } else if start.is_none()
                && (KEYWORDS.contains(&&*word)
                    || ["impl", "extern"].contains(&&*word)
                    || !["unsafe", "async", "default"].contains(&&*word))
            {
                start = Some(current.len());
            }
        }
        current.push(token);
        if ends {
            items.push(Item {
                tokens: std::mem::take(&mut current),
                start: start.take().unwrap_or(0),
                public: std::mem::take(&mut public),
            });
        }
    }
    items
}

/// Whether an `=` stands in generics or bounds (`impl<T: Iterator<Item = u8>>`), not before a value.
fn is_generic(tokens: &[TokenTree], start: Option<usize>) -> bool {
    start.is_some_and(|at| {
        ["impl", "fn", "struct", "enum", "trait", "union", "mod"]
            .contains(&&*tokens[at].to_string())
            || (tokens[at].to_string() == "const"
                && matches!(tokens.get(at + 1), Some(TokenTree::Ident(next)) if next == "fn"))
    })
}

/// Whether an item stands in tests alone.
fn is_test(tokens: &[TokenTree]) -> bool {
    tokens.windows(2).any(|pair| match pair {
        [TokenTree::Punct(mark), TokenTree::Group(group)] => {
            mark.as_char() == '#'
                && group.delimiter() == Delimiter::Bracket
                && ["cfg(test)", "cfg(all(test"].iter().any(|start| {
                    let text = group.stream().to_string().replace(' ', "");
                    text.starts_with(start)
                })
        }
        _ => false,
    })
}

/// The names of a `use`.
fn imports(item: &Item) -> Vec<Import> {
    let tokens = &item.tokens[item.start + 1..];
    let mut found = Vec::new();
    tree(tokens, &[], item.public, &mut found);
    found
}

fn tree(tokens: &[TokenTree], before: &[String], public: bool, found: &mut Vec<Import>) {
    for branch in tokens.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ',')) {
        let mut target = before.to_vec();
        let mut alias = None;
        let mut nested = false;
        let mut tokens = branch.iter();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(word) if word == "as" => {
                    alias = tokens.next().map(ToString::to_string);
                }
                TokenTree::Ident(word) if word == "self" && !target.is_empty() => {}
                TokenTree::Ident(word) => target.push(word.to_string()),
                TokenTree::Punct(mark) if mark.as_char() == '*' => target.push("*".into()),
                TokenTree::Group(group) => {
                    nested = true;
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    tree(&inner, &target, public, found);
                }
                _ => {}
            }
        }
        if !nested && target.len() > before.len().min(1) && !branch.is_empty() {
            let last = target.last().cloned().unwrap_or_default();
            found.push(Import {
                name: alias.unwrap_or(last),
                target,
                public,
            });
        }
    }
}

/// Collects identifiers and paths, whatever they stand in; `use` inside a function counts too.
fn read_paths(tokens: Vec<TokenTree>, module: &mut Module) {
    let mut path: Segments = Vec::new();
    let mut colons = 0;
    let mut used: Option<Vec<TokenTree>> = None;
    for token in tokens {
        if let Some(inside) = &mut used {
            if matches!(&token, TokenTree::Punct(mark) if mark.as_char() == ';') {
                let mut found = Vec::new();
                tree(inside, &[], false, &mut found);
                module.imports.append(&mut found);
                used = None;
            } else {
                inside.push(token);
            }
            continue;
        }
        match token {
            TokenTree::Ident(word) if word == "use" => used = Some(Vec::new()),
            TokenTree::Ident(word) => {
                let word = word.to_string();
                module.names.insert(word.clone());
                if colons != 2 {
                    flush(&mut path, module);
                }
                path.push(word);
                colons = 0;
            }
            TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
            other => {
                flush(&mut path, module);
                colons = 0;
                if let TokenTree::Group(group) = other {
                    read_paths(group.stream().into_iter().collect(), module);
                }
            }
        }
    }
    flush(&mut path, module);
}

fn flush(path: &mut Segments, module: &mut Module) {
    let path = std::mem::take(path);
    if path.len() > 1 {
        module.paths.push(path);
    }
}
