//! Lines of text to words, quotes removed.

use std::ops::Range;

use crate::config::report::Mark;

/// Columns of a tab, as the router's own editor counts them.
const TAB: usize = 8;

/// One line that says something.
#[derive(Debug)]
pub struct Statement {
    /// Line, from 1.
    pub line: usize,
    /// Columns of white space before it.
    pub indent: usize,
    /// The line without white space around it.
    pub text: String,
    /// At least one.
    pub words: Vec<Word>,
}

/// One word or quoted text.
#[derive(Debug)]
pub struct Word {
    pub text: String,
    /// Where it is in the whole text, quotes included.
    pub span: Range<usize>,
}

impl Statement {
    /// Whether the line begins with that word.
    pub fn is(&self, word: &str) -> bool {
        self.words[0].text == word
    }
}

/// Every line that is neither empty nor a comment.
pub fn split(text: &str, marks: &mut Vec<Mark>) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut offset = 0;
    for (index, whole_line) in text.split('\n').enumerate() {
        let trimmed = whole_line.trim();
        if !trimmed.is_empty() && !trimmed.starts_with('#') {
            let start = whole_line.len() - whole_line.trim_start().len();
            let indent = whole_line[..start].chars().map(|c| if c == '\t' { TAB } else { 1 }).sum();
            let words = words(trimmed, offset + start, marks);
            statements.push(Statement { line: index + 1, indent, text: trimmed.to_owned(), words });
        }
        offset += whole_line.len() + 1;
    }
    statements
}

fn words(line: &str, offset: usize, marks: &mut Vec<Mark>) -> Vec<Word> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(start) = line[at..].find(|c: char| !c.is_whitespace()).map(|skip| at + skip) {
        let (text, length) = match line[start..].strip_prefix('"') {
            Some(inside) => match quoted(inside) {
                Some((text, length)) => (text, length + 2),
                None => {
                    let span = offset + start..offset + line.len();
                    marks.push(Mark { span, message: "this quote is not closed".into(), related: None });
                    (inside.to_owned(), line.len() - start)
                }
            },
            None => {
                let word = line[start..].split(char::is_whitespace).next().unwrap_or_default();
                (word.to_owned(), word.len())
            }
        };
        words.push(Word { text, span: offset + start..offset + start + length });
        at = start + length;
    }
    words
}

/// The text up to the closing quote and how many bytes it took.
fn quoted(inside: &str) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut characters = inside.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((text, at)),
            '\\' => text.push(characters.next()?.1),
            _ => text.push(character),
        }
    }
    None
}
