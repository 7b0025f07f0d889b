//! `appserver explain`: what an error code or a rule means, and what to do; offline.

use super::{Exit, print, say};
use crate::explain;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An error code or a rule, such as `version_degraded` or `binding_unknown`; leave it out to see all.
    word: Option<String>,
    /// Print docs/rules.md.
    #[arg(long, conflicts_with = "word")]
    markdown: bool,
}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    if args.markdown {
        print(explain::markdown().trim_end());
        return Ok(Exit::Done);
    }
    let Some(word) = &args.word else {
        if json {
            print(serde_json::to_string_pretty(&explain::pages().collect::<Vec<_>>())?);
        } else {
            let width = explain::pages().map(|page| page.word.len()).max().unwrap_or_default();
            explain::pages().for_each(|page| print(format_args!("{:width$}  {}", page.word, page.title)));
        }
        return Ok(Exit::Done);
    };
    let Some(page) = explain::page(word) else {
        let near = explain::similar(word).map(|word| format!("; did you mean `{word}`?")).unwrap_or_default();
        say(format_args!("error: no error and no rule is called `{word}`{near}"));
        return Ok(Exit::NoSuchThing);
    };
    if json {
        print(serde_json::to_string_pretty(page)?);
    } else {
        print(page);
    }
    Ok(Exit::Done)
}
