//! What is wrong with a configuration text and where: file, line, column, the offending text
//! underlined. Values of secrets are masked, because these reports end up in logs.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Secret;

/// Keys whose values are masked in reports.
const SECRET_KEYS: [&str; 3] = ["password", "token", "pin"];

/// A configuration that cannot be used. `Display` gives the whole report.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct ConfigError {
    /// Every fault found, in the order of the report.
    pub faults: Vec<Fault>,
    report: String,
}

/// One fault and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// One broken rule: the object that breaks it and what to do.
#[derive(Debug)]
pub(super) struct Problem {
    pub path: Vec<Step>,
    pub message: String,
    /// Another place that belongs to the matter, with what it is.
    pub related: Option<(Vec<Step>, &'static str)>,
}

/// One step from a table or list to what is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(&'static str),
    Index(usize),
}

/// Something to underline.
pub(super) struct Mark {
    pub span: Range<usize>,
    pub message: String,
    pub related: Option<(Range<usize>, &'static str)>,
}

impl ConfigError {
    pub(super) fn from_toml(text: &str, file_name: &str, error: &toml::de::Error) -> Self {
        let span = narrow(text, error.span().unwrap_or(0..0), error.message());
        Self::from_marks(
            text,
            file_name,
            vec![Mark { span, message: error.message().trim().to_owned(), related: None }],
        )
    }

    pub(super) fn from_problems(text: &str, file_name: &str, problems: &[Problem]) -> Self {
        let document = DeTable::parse(text).ok();
        let locate = |path: &[Step]| document.as_ref().map_or(0..0, |table| locate(table, path));
        let marks = problems
            .iter()
            .map(|problem| Mark {
                span: locate(&problem.path),
                message: problem.message.clone(),
                related: problem.related.as_ref().map(|(path, label)| (locate(path), *label)),
            })
            .collect();
        Self::from_marks(text, file_name, marks)
    }

    pub(super) fn from_marks(text: &str, file_name: &str, mut marks: Vec<Mark>) -> Self {
        marks.sort_by_key(|mark| mark.span.start);
        let shown = mask_secrets(text);
        let report = marks.iter().map(|mark| render(&shown, file_name, mark)).collect::<Vec<_>>().join("\n");
        let faults = marks
            .into_iter()
            .map(|mark| {
                let (line, column) = line_and_column(text, mark.span.start);
                Fault { line, column, message: mark.message }
            })
            .collect();
        Self { faults, report }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}

/// One text of a list, where the message quotes it and the span is the list.
fn narrow(text: &str, span: Range<usize>, message: &str) -> Range<usize> {
    let quoted = message.strip_prefix('`').and_then(|rest| rest.split_once('`')).map(|(quoted, _)| quoted);
    let place = quoted.filter(|_| text.get(span.clone()).is_some_and(|list| list.starts_with('['))).and_then(
        |quoted| {
            let quoted = format!("\"{quoted}\"");
            text[span.clone()].find(&quoted).map(|at| span.start + at..span.start + at + quoted.len())
        },
    );
    place.unwrap_or(span)
}

fn render(shown: &str, file_name: &str, mark: &Mark) -> String {
    let span = first_line(shown, &mark.span);
    let mut snippet =
        Snippet::source(shown).path(file_name).annotation(AnnotationKind::Primary.span(span).label(""));
    if let Some((related, label)) = &mark.related {
        let related = first_line(shown, related);
        snippet = snippet.annotation(AnnotationKind::Context.span(related).label(*label));
    }
    Renderer::plain().render(&[Level::ERROR.primary_title(&*mark.message).element(snippet)])
}

/// The part of `span` on its first line, on character boundaries.
fn first_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = floor(text, span.start);
    let end = floor(text, span.end).max(start);
    let line = &text[start..end];
    start..start + line.find('\n').unwrap_or(line.len())
}

/// The character boundary at or before `offset`.
fn floor(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..floor(text, offset)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Where `path` is in the document, or as far along it as the document goes.
fn locate(document: &Spanned<DeTable<'_>>, path: &[Step]) -> Range<usize> {
    let Some((Step::Key(key), rest)) = path.split_first() else { return 0..0 };
    let Some(mut value) = document.get_ref().get(*key) else { return 0..0 };
    for step in rest {
        let inside = match (value.get_ref(), step) {
            (DeValue::Table(table), Step::Key(key)) => table.get(*key),
            (DeValue::Array(array), Step::Index(index)) => array.get(*index),
            _ => None,
        };
        match inside {
            Some(inside) => value = inside,
            None => break,
        }
    }
    value.span()
}

/// The text with each character of a secret replaced by a sign of as many bytes, so that every offset
/// and every column stays. Works on text that is not TOML, too.
fn mask_secrets(text: &str) -> String {
    let secrets: Vec<_> = SECRET_KEYS
        .iter()
        .flat_map(|key| text.match_indices(key).map(|(at, key)| at + key.len()))
        .filter_map(|after_key| secret_after(text, after_key))
        .collect();
    let sign = |character: char| match character.len_utf8() {
        1 => '*',
        2 => '×',
        3 => '•',
        _ => '🞄',
    };
    text.char_indices()
        .map(|(at, c)| if c != '\n' && secrets.iter().any(|s| s.contains(&at)) { sign(c) } else { c })
        .collect()
}

/// Where the TOML value is that follows a key, without its quotes.
fn secret_after(text: &str, after_key: usize) -> Option<Range<usize>> {
    let value = text[after_key..].trim_start_matches(['"', '\'', ' ', '\t']).strip_prefix('=')?.trim_start();
    let start = text.len() - value.len();
    for quote in ["\"\"\"", "'''", "\"", "'"] {
        let Some(inside) = value.strip_prefix(quote) else { continue };
        let start = start + quote.len();
        let line_end = if quote.len() == 1 { inside.find('\n') } else { None };
        let limit = line_end.unwrap_or(inside.len());
        let mut escaped = false;
        for (at, character) in inside[..limit].char_indices() {
            if !escaped && inside[at..].starts_with(quote) {
                return Some(start..start + at);
            }
            escaped = !escaped && character == '\\' && quote.starts_with('"');
        }
        return Some(start..start + limit);
    }
    Some(start..start + value.find([',', '}', ' ', '\n', '#']).unwrap_or(value.len()))
}

/// Whether somebody copied the printed form of a secret into a file.
pub(super) fn is_hidden(secret: &Secret) -> bool {
    secret.reveal() == Secret::HIDDEN
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_masked_in_place() {
        let text = "password = \"pä\\\"ss\", password-file = \"/etc/x\"\npin=1234 # x\ntoken = '''a\nb''' x";
        let masked = mask_secrets(text);
        assert_eq!(
            masked,
            "password = \"*×****\", password-file = \"/etc/x\"\npin=**** # x\ntoken = '''*\n*''' x"
        );
        assert_eq!(masked.len(), text.len());
    }

    proptest! {
        #[test]
        fn masking_keeps_every_offset(text in "(password ?= ?|pin=|\"|'|\\\\|é|\n|,|a){0,40}") {
            let masked = mask_secrets(&text);
            prop_assert_eq!(masked.len(), text.len());
            prop_assert_eq!(masked.chars().count(), text.chars().count());
            prop_assert_eq!(masked.matches('\n').count(), text.matches('\n').count());
        }

        #[test]
        fn any_span_renders(text in "\\PC{0,20}\n\\PC{0,20}", start in 0usize..60, length in 0usize..60) {
            let mark = Mark { span: start..start + length, message: "wrong".into(), related: None };
            ConfigError::from_marks(&text, "x.toml", vec![mark]);
        }
    }
}
