//! The arguments of a log macro or a `debug_assert` do no work, because they are not evaluated if the level is off, or in
//! a release build.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Macros that may leave their arguments unevaluated.
const LAZY: [&str; 14] = [
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "event",
    "trace_span",
    "debug_span",
    "info_span",
    "warn_span",
    "error_span",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
];

/// Functions and methods that only read. Any other call belongs before the macro.
const PURE: [&str; 26] = [
    "all",
    "any",
    "as_micros",
    "as_millis",
    "as_ref",
    "as_secs_f64",
    "as_str",
    "code",
    "contains",
    "display",
    "elapsed",
    "get",
    "is_empty",
    "is_err",
    "is_finite",
    "is_none",
    "is_ok",
    "is_some",
    "iter",
    "len",
    "max",
    "message",
    "min",
    "name",
    "path",
    "runtime",
];

#[test]
fn the_arguments_of_log_macros_do_no_work() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut seen, mut wrong) = (0, Vec::new());
    for folder in ["src", "model-export/src"] {
        for file in sources(&root.join(folder)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let tokens: TokenStream = text.parse().unwrap();
            seen += check(tokens, &mut |name, work| {
                let file = file.strip_prefix(root).unwrap().display();
                wrong.push(format!("{file}: {name}!(…) contains {work}"));
            });
        }
    }
    assert!(
        wrong.is_empty(),
        "\n{}\nDo the work in a statement before, and log its result.",
        wrong.join("\n")
    );
    assert!(seen > 10, "{seen} macros");
}

#[test]
fn every_kind_of_work_is_found_wherever_the_macro_stands() {
    for (code, work) in [
        (
            "tracing::info!(signal = signals.next().await, \"x\")",
            "next()",
        ),
        ("info!(signal = signal.await)", ".await"),
        (
            "select! { _ = stop => { tracing::warn!(x = f.await) } }",
            ".await",
        ),
        ("debug!(size = read?)", "?"),
        ("debug!(size = (read?))", "?"),
        ("debug_assert!({ count += 1; true })", "+="),
        ("debug_assert!({ count = 1; true })", "="),
        ("debug_assert!(queue.pop().is_some())", "pop()"),
        ("debug_assert!(queue.pop::<T>().is_some())", "pop()"),
        ("debug_assert_eq!(take(&mut x), 1)", "take()"),
        ("trace!(\"{}\", format!(\"{}\", next()))", "next()"),
    ] {
        let mut found = Vec::new();
        let seen = check(code.parse().unwrap(), &mut |_, work| found.push(work));
        assert_eq!(seen, 1, "{code}");
        assert!(found.contains(&work.to_owned()), "{code}: {found:?}");
    }
    for code in [
        "tracing::info!(model = manifest.name, ready_ms = begun.elapsed().as_millis(), \"x\")",
        "tracing::warn!(?grace, %error, a.b = 1, \"x {y}\")",
        "debug_assert!(a == b && c >= d || e != f, \"{}\", if a { 1 } else { 2 })",
        "debug_assert!(x.iter().all(|x| x.is_finite()))",
        "info(signal.await?)",
    ] {
        let mut found = Vec::new();
        check(code.parse().unwrap(), &mut |_, work| found.push(work));
        assert!(found.is_empty(), "{code}: {found:?}");
    }
}

/// Calls `wrong` with the name of each lazy macro and the work in its arguments. Returns the number of such macros.
fn check(tokens: TokenStream, wrong: &mut impl FnMut(&str, String)) -> usize {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut seen = 0;
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else {
            continue;
        };
        match called(&tokens[..at]) {
            Some(name) if LAZY.contains(&&*name) => {
                seen += 1;
                find_work(group.stream(), true, &mut |work| wrong(&name, work));
            }
            _ => seen += check(group.stream(), wrong),
        }
    }
    seen
}

/// Returns the name of the macro that the tokens before its arguments call.
fn called(before: &[TokenTree]) -> Option<String> {
    match before {
        [.., TokenTree::Ident(name), TokenTree::Punct(mark)] if mark.as_char() == '!' => {
            Some(name.to_string())
        }
        _ => None,
    }
}

/// Finds work among tokens. If `fields` is true, `name = value` is a field of the macro.
fn find_work(tokens: TokenStream, fields: bool, found: &mut impl FnMut(String)) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let before = &tokens[..at];
        match token {
            TokenTree::Ident(name) if name == "await" => found(".await".into()),
            TokenTree::Punct(mark) if mark.as_char() == '?' => {
                // Before a value, it selects how the field is formatted.
                let behind_a_value = matches!(before.last(), Some(token) if is_value(token));
                if behind_a_value {
                    found("?".into());
                }
            }
            TokenTree::Punct(mark) if mark.as_char() == '=' => {
                let next = tokens.get(at + 1);
                let compares = mark.spacing() == Spacing::Joint
                    && matches!(next, Some(TokenTree::Punct(next)) if "=>".contains(next.as_char()));
                match before.last() {
                    Some(TokenTree::Punct(first)) if first.spacing() == Spacing::Joint => {
                        if "+-*/%&|^".contains(first.as_char()) {
                            found(format!("{}=", first.as_char()));
                        }
                    }
                    _ if compares || fields => {}
                    _ => found("=".into()),
                }
            }
            TokenTree::Group(group) => {
                if group.delimiter() == Delimiter::Parenthesis
                    && let Some(name) = function(before)
                    && !PURE.contains(&&*name)
                {
                    found(format!("{name}()"));
                }
                find_work(group.stream(), false, found);
            }
            _ => {}
        }
    }
}

fn is_value(token: &TokenTree) -> bool {
    match token {
        TokenTree::Punct(mark) => mark.as_char() == '>',
        TokenTree::Ident(_) | TokenTree::Literal(_) | TokenTree::Group(_) => true,
    }
}

/// Returns the name of the function or method that the tokens before its arguments call.
fn function(before: &[TokenTree]) -> Option<String> {
    match before {
        [.., TokenTree::Ident(name)] => {
            let name = name.to_string();
            // Keywords before a bracket, and patterns and values such as `Some(x)`, are no calls.
            let keyword = ["if", "match", "in", "return", "let", "as", "mut"].contains(&&*name);
            let constructs = name.starts_with(|letter: char| letter.is_uppercase());
            (!keyword && !constructs).then_some(name)
        }
        // `name::<T>(…)`.
        [.., TokenTree::Punct(last)] if last.as_char() == '>' => {
            let opened = before.iter().rposition(
                |token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == '<'),
            )?;
            match &before[..opened] {
                [
                    ..,
                    TokenTree::Ident(name),
                    TokenTree::Punct(_),
                    TokenTree::Punct(_),
                ] => Some(name.to_string()),
                _ => None,
            }
        }
        _ => None,
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.append(&mut sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    assert!(!files.is_empty(), "{}", folder.display());
    files
}
