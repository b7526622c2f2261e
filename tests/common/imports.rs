//! Finds which source file of a crate uses items of which other file.
//!
//! Paths are read from tokens: paths in macro calls count, paths in comments and strings do not. Items under
//! `#[cfg(test)]` and `main.rs` are left out. A path is followed through re-exports to the file that defines
//! the item. A file that declares a module (`mod x;`) and re-exports its items (`pub use x::Item;`) does not
//! use it, unless it also uses the re-exported name.

#![allow(dead_code, reason = "each test file mounts it and uses its part")]

mod source_items;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;

use source_items::{Module, read_module};

pub(crate) use source_items::Segments;

/// The sources of one crate, without its tests.
pub(crate) struct Crate {
    /// The modules of each file, by path relative to the source folder. The first is the file itself.
    files: BTreeMap<PathBuf, Vec<Module>>,
    /// File of each module, and its index in that file.
    modules: HashMap<Segments, (PathBuf, usize)>,
}

/// A use of one file by another: the using file, the used file, and the path in the source.
pub(crate) type Use = (PathBuf, PathBuf, String);

impl Crate {
    /// Reads every file below a source folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let mut found = Self {
            files: BTreeMap::new(),
            modules: HashMap::new(),
        };
        let root = Path::new("lib.rs");
        found.read_file(folder, root, &[]);
        found
    }

    /// Returns the number of files.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    fn read_file(&mut self, folder: &Path, file: &Path, path: &[String]) {
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
            self.read_file(folder, &file, &module);
        }
    }

    /// Returns every use of one file by another.
    pub(crate) fn uses(&self) -> BTreeSet<Use> {
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

    /// Returns the paths that a module uses, from the crate's root, each with its text.
    fn paths(&self, module: &Module) -> Vec<(Segments, String)> {
        let mut paths = Vec::new();
        for import in &module.imports {
            let only_exported = import.public && !module.names.contains(&import.name);
            if only_exported {
                continue;
            }
            if let Some(path) = self.absolute(module, &import.target) {
                // Importing a module uses nothing by itself; the paths through it do.
                let only_module = import.name != "*"
                    && self.modules.contains_key(&path)
                    && !self.names_item(&path);
                if !only_module {
                    paths.push((path, import.target.join("::")));
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

    /// Returns a path from the crate's root, if it leads into this crate.
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
                    // A path such as `Type::new` leads to the file of the type.
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

    /// Returns the files that define the target of a path; re-exports are followed.
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

    /// Returns the files that define an item of a module.
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
        // The item comes from a macro or from another crate.
        vec![file]
    }

    fn defines(&self, module: &[String], name: &str) -> bool {
        self.module(module).is_some_and(|module| {
            module.items.contains(name) || module.imports.iter().any(|i| i.name == name)
        })
    }
}
