//! A shell script of one call: `curl`, with an example's inputs, and the others named beside it.

use std::fmt::Write as _;

use serde_json::json;

use super::Shape;

pub(super) fn write(shape: &Shape) -> String {
    let (definition, version, title) = (&shape.definition, &shape.version, &shape.title);
    let mut text = format!(
        "#!/bin/sh\n# {title}: a call of {definition} {version}. Written by `appserver client curl --app {definition}:{version}`.\n#\n\
         # BASE is the gateway's address, KEY a service key. Inputs:\n"
    );
    for field in &shape.inputs {
        let required = if field.required { ", required" } else { "" };
        let _ = writeln!(
            text,
            "#   {} ({}, {}{required}): {}",
            field.name,
            field.kind.word(),
            field.access.word(),
            field.docs
        );
    }
    // In single quotes a shell changes nothing but the quote itself.
    let body = json!({ "inputs": shape.example }).to_string().replace('\'', r"'\''");
    let _ = write!(
        text,
        "set -eu\n\ncurl --silent --show-error --fail-with-body \\\n  ${{KEY:+-H \"Authorization: Bearer $KEY\"}} \\\n  \
         -H 'Content-Type: application/json' \\\n  \"${{BASE:-http://127.0.0.1:3000}}{}\" \\\n  --data '{body}'\n",
        shape.path()
    );
    text
}
