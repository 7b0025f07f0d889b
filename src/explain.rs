//! What each error code and each rule means, why it comes up, and what to do: one source for `appserver explain`, the pages below
//! `/problems/`, docs/errors.md and docs/rules.md.
//!
//! Invariant: every code that the gateway answers with, and every rule that a finding can have, has a page; tests hold it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::LazyLock;

use contract::compat;
use serde::Serialize;

/// What there is to say of one word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    /// The code or the rule.
    pub word: &'static str,
    pub kind: Kind,
    pub title: Cow<'static, str>,
    pub cause: &'static str,
    pub fix: Cow<'static, str>,
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
    /// In what `breaking` finds between two versions.
    Change,
    /// A keyword of JSON Schema that a value breaks, in answers and in files.
    Keyword,
}

/// The texts. A page begins with `# word`; each of its other lines is one part of it. What `breaking` finds is told by its own rules.
const TEXTS: [(Kind, &str); 3] = [
    (Kind::Error, include_str!("explain/errors.txt")),
    (Kind::Rule, include_str!("explain/rules.txt")),
    (Kind::Keyword, include_str!("explain/keywords.txt")),
];

static PAGES: LazyLock<BTreeMap<&'static str, Page>> = LazyLock::new(|| {
    let pages = TEXTS.into_iter().flat_map(|(kind, text)| text.split("\n# ").map(move |block| Page::read(kind, block)));
    pages.chain(compat::RULES.iter().map(Page::of)).map(|page| (page.word, page)).collect()
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
         What `appserver check` and the loading of a registry find in files, and `appserver breaking` between two versions.\n\
         `appserver explain <rule>` shows one of them. This page is written by `appserver explain --markdown`; its sources are\n\
         `src/explain/` and `contract/src/compat/rules.rs`.\n",
    );
    let headings = [
        (Kind::Rule, "Files of a registry"),
        (Kind::Change, "From one version to another"),
        (Kind::Keyword, "Values against a schema"),
    ];
    for (kind, heading) in headings {
        let _ = write!(
            text,
            "\n## {heading}\n\n| rule | what it is | why, and what to do | example |\n| --- | --- | --- | --- |\n"
        );
        for page in pages().filter(|page| page.kind == kind) {
            let cell = |text: &str| text.replace('|', "\\|");
            let (title, why) = (cell(&page.title), cell(&format!("{} {}", page.cause, page.fix)));
            let _ = writeln!(text, "| `{}` | {title} | {why} | `{}` |", page.word, cell(page.example));
        }
    }
    text
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
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
        let (title, fix) = (part("title").into(), part("fix").into());
        Self { word, kind, title, cause: part("cause"), fix, example: part("example") }
    }

    /// A rule of compatibility has all parts but its title, which is its word.
    fn of(rule: &'static compat::Rule) -> Self {
        let fix = match rule.help {
            "" => format!("Publish it as a {} version or a greater step.", rule.needs),
            help if help.contains("version") => format!("{}.", capital(help)),
            help => format!("{}, or publish it as a {} version.", capital(help), rule.needs),
        };
        Self {
            word: rule.word,
            kind: Kind::Change,
            title: capital(&rule.word.replace('_', " ")).into(),
            cause: rule.says,
            fix: fix.into(),
            example: rule.example,
        }
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
                [("title", &*page.title), ("cause", page.cause), ("fix", &*page.fix), ("example", page.example)]
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
        assert_eq!(blocks + compat::RULES.len(), pages().count());
    }

    #[test]
    fn a_slip_of_the_pen_finds_the_page() {
        assert_eq!(similar("binding_unkown"), Some("binding_unknown"));
        assert_eq!(similar("weather"), None);
    }
}
