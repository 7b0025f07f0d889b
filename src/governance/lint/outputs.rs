//! Outputs that callers cannot use as they come.

use contract::bindings::Type;

use super::{At, Lint, View};
use crate::governance::Severity;

pub(super) fn lint(view: &View<'_>, lints: &mut Vec<Lint>) {
    let Some(bindings) = view.bindings else { return };
    let kinds = || bindings.outputs.iter().map(|binding| binding.kind);
    let is_smooth = |kind: Type| matches!(kind, Type::Brep | Type::Surface | Type::Subd);
    let is_drawn = |kind: Type| {
        let plain = [Type::Mesh, Type::Curve, Type::Line, Type::Circle, Type::Rectangle, Type::Box, Type::Point];
        plain.contains(&kind)
    };
    if kinds().any(is_smooth) && !kinds().any(is_drawn) {
        let message = "all geometry of the outputs is smooth surfaces, which no browser can mesh";
        let lint = Lint::new("output_brep_only", Severity::Warning, ("bindings.json", "/outputs"), At::Key, message);
        lints.push(lint.help("add an output of type mesh (Mesh Brep, with settings that fit the size)".to_owned()));
    }
}
