//! `appserver schema`: the JSON Schemas that the registry's files are checked by, for editors and for people.

use contract::schema;

use super::{Exit, print, say};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which file: leave it out to see the names.
    name: Option<String>,
}

pub(super) fn run(args: &Args) -> Exit {
    let Some(name) = &args.name else {
        print(schema::NAMES.join("\n"));
        return Exit::Done;
    };
    if let Some(text) = schema::embedded(name) {
        print(text.trim_end());
        return Exit::Done;
    }
    let help = contract::fault::did_you_mean(name, schema::NAMES);
    let help = help.unwrap_or_else(|| format!("there are {}", schema::NAMES.join(", ")));
    say(format_args!("error: no schema is named `{name}`; {help}"));
    Exit::NoSuchThing
}
