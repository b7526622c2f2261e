//! The items, imports and paths of a source file, read from its tokens.

use std::collections::HashSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path to a module or an item.
pub(crate) type Segments = Vec<String>;

/// A module: a file, or a module inside a file.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// From the crate's root.
    pub(crate) path: Segments,
    /// Names of the items that it defines.
    pub(crate) items: HashSet<String>,
    /// The names of its `use` declarations.
    pub(crate) imports: Vec<Import>,
    /// Paths of two segments or more outside `use`.
    pub(crate) paths: Vec<Segments>,
    /// Every identifier outside `use` and `mod`.
    pub(crate) names: HashSet<String>,
}

/// One name of a `use`.
#[derive(Clone, Debug)]
pub(crate) struct Import {
    /// The imported name; `*` for all names.
    pub(crate) name: String,
    /// The path as it is written.
    pub(crate) target: Segments,
    /// Whether it is a re-export.
    pub(crate) public: bool,
}

/// Reads a module's tokens into `modules`; modules in other files go to `declared`.
pub(crate) fn read_module(
    tokens: TokenStream,
    path: &[String],
    modules: &mut Vec<Module>,
    declared: &mut Vec<Segments>,
) {
    let place = modules.len();
    modules.push(Module {
        path: path.to_vec(),
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
                let inner = [path, &[item.name()]].concat();
                read_module(body, &inner, modules, declared);
            }
            ("mod", None) => declared.push([path, &[item.name()]].concat()),
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
    /// Index of its first keyword.
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

    /// Returns the name after the keyword; empty for items without a name, such as `impl`.
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

    /// Returns the tokens in the braces at the end.
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

/// Whether an `=` in this item can only be in generics or bounds, as in `impl<T: Iterator<Item = u8>>`.
fn is_generic(tokens: &[TokenTree], start: Option<usize>) -> bool {
    start.is_some_and(|at| {
        ["impl", "fn", "struct", "enum", "trait", "union", "mod"]
            .contains(&&*tokens[at].to_string())
            || (tokens[at].to_string() == "const"
                && matches!(tokens.get(at + 1), Some(TokenTree::Ident(next)) if next == "fn"))
    })
}

/// Whether an item is compiled only for tests.
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

/// Returns the names of a `use` declaration.
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

/// Collects identifiers and paths at any depth, and `use` declarations inside functions.
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
