//! What stands on the canvas and will not do what its author thinks, with its place in the file where that is text.

use contract::definition::Severity as Bad;

use super::{At, Lint, View};
use crate::governance::Severity;

pub(super) fn lint(view: &View<'_>, lints: &mut Vec<Lint>) {
    let (Some(definition), Some(manifest)) = (view.definition, view.manifest) else { return };
    for problem in &definition.problems {
        let severity = match problem.severity {
            Bad::Error => Severity::Error,
            Bad::Warning => Severity::Warning,
        };
        let at = problem.spot.as_ref().map_or(At::Value, |spot| At::Object(spot.instance));
        let mut lint = Lint::new(problem.code, severity, (&manifest.file, ""), at, &problem.message);
        if let Some(spot) = &problem.spot {
            lint.finding = lint.finding.data("object", spot.object.clone()).data("guid", spot.instance.to_string());
            lint = lint.label(spot.to_string());
        }
        lints.push(lint.help(problem.fix.clone()));
    }
    let Some(bindings) = view.bindings else { return };
    for output in &definition.outputs {
        if bindings.outputs.iter().any(|binding| binding.gh == output.name) {
            continue;
        }
        let message = format!("the definition gives `{}`, and nothing is bound to it", output.name);
        let lint = Lint::new("output_unbound", Severity::Note, ("bindings.json", "/outputs"), At::Key, message);
        lints.push(lint.help("each solve works it out for nobody: bind it, or take it out of its group".to_owned()));
    }
}
