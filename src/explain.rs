//! What each error code and each rule means, why it comes up, and what to do: one source for `appserver explain`, the pages below
//! `/problems/`, docs/errors.md and docs/rules.md.
//!
//! Invariant: every code that the gateway answers with, and every rule that a finding can have, has a page; tests hold it.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::LazyLock;

use serde::Serialize;

/// What there is to say of one word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    /// The code or the rule.
    pub word: &'static str,
    pub kind: Kind,
    pub title: &'static str,
    pub cause: &'static str,
    pub fix: &'static str,
    pub example: &'static str,
}

/// Where a word comes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// In the gateway's answers.
    Error,
    /// In what `check` and loading find in files.
    Rule,
    /// A keyword of JSON Schema that a value breaks, in answers and in files.
    Keyword,
}

/// The texts. A page begins with `# word`; each of its other lines is one part of it.
const TEXTS: [(Kind, &str); 3] = [
    (Kind::Error, include_str!("explain/errors.txt")),
    (Kind::Rule, include_str!("explain/rules.txt")),
    (Kind::Keyword, include_str!("explain/keywords.txt")),
];

static PAGES: LazyLock<BTreeMap<&'static str, Page>> = LazyLock::new(|| {
    let pages = TEXTS.into_iter().flat_map(|(kind, text)| text.split("\n# ").map(move |block| Page::read(kind, block)));
    pages.map(|page| (page.word, page)).collect()
});

/// The page of a word.
pub fn page(word: &str) -> Option<&'static Page> {
    PAGES.get(word)
}

/// All pages, by word.
pub fn pages() -> impl Iterator<Item = &'static Page> {
    PAGES.values()
}

/// The word that was probably meant.
pub fn similar(word: &str) -> Option<&'static str> {
    contract::fault::closest(word, PAGES.keys().copied())
}

/// docs/rules.md.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Rules\n\n\
         What `appserver check` and the loading of a registry find in files. `appserver explain <rule>` shows one of them.\n\
         This page is written by `appserver explain --markdown`; its source is `src/explain/`.\n",
    );
    for (kind, heading) in [(Kind::Rule, "Files of a registry"), (Kind::Keyword, "Values against a schema")] {
        let _ = write!(
            text,
            "\n## {heading}\n\n| rule | what it is | why, and what to do | example |\n| --- | --- | --- | --- |\n"
        );
        for page in pages().filter(|page| page.kind == kind) {
            let cell = |text: &str| text.replace('|', "\\|");
            let (title, why) = (cell(page.title), cell(&format!("{} {}", page.cause, page.fix)));
            let _ = writeln!(text, "| `{}` | {title} | {why} | `{}` |", page.word, cell(page.example));
        }
    }
    text
}

// === impl Page ===

impl Page {
    /// Parts that a block lacks are empty, which a test refuses.
    fn read(kind: Kind, block: &'static str) -> Self {
        let (word, rest) = block.split_once('\n').unwrap_or((block, ""));
        let part = |name: &str| {
            let mut lines = rest.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
        };
        let word = word.trim_start_matches("# ").trim();
        Self { word, kind, title: part("title"), cause: part("cause"), fix: part("fix"), example: part("example") }
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { word, title, cause, fix, example, .. } = self;
        write!(f, "{word}: {title}\n\nCause:    {cause}\nFix:      {fix}\nExample:  {example}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_complete_and_no_word_has_two() {
        for page in pages() {
            for (name, part) in
                [("title", page.title), ("cause", page.cause), ("fix", page.fix), ("example", page.example)]
            {
                assert!(!part.is_empty(), "`{}` has no {name}", page.word);
            }
            assert!(
                !page.title.ends_with('.') && page.cause.ends_with('.') && page.fix.ends_with('.'),
                "{}",
                page.word
            );
        }
        let blocks: usize = TEXTS.iter().map(|(_, text)| text.split("\n# ").count()).sum();
        assert_eq!(blocks, pages().count());
    }

    #[test]
    fn a_slip_of_the_pen_finds_the_page() {
        assert_eq!(similar("binding_unkown"), Some("binding_unknown"));
        assert_eq!(similar("weather"), None);
    }
}
