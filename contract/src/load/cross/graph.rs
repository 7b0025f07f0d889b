//! The bindings against what compute sees in the Grasshopper file.

use crate::bindings::{Access, Binding, Type};
use crate::definition::{Definition, Explanation, Input, InputKind};
use crate::fault::{self, Fault};
use crate::json::spans::escape;
use crate::load::Parts;
use crate::source::Source;

use super::both;

/// Adds the faults of names, types and access, of inputs that nothing is bound to, and of plug-ins not stated.
pub(super) fn check(parts: &Parts<'_>, faults: &mut Vec<Fault>) {
    let Some(definition) = &parts.definition else { return };
    if let Some((source, bindings)) = both(&parts.bindings) {
        let check = Check { source, definition };
        for binding in &bindings.inputs {
            faults.extend(check.input(binding));
        }
        for binding in &bindings.outputs {
            faults.extend(check.output(binding));
        }
        faults.extend(check.unbound(&bindings.inputs));
    }
    if let Some((source, plugins)) = both(&parts.plugins) {
        let stated = || plugins.plugins.iter().map(|plugin| plugin.name.as_str());
        for library in definition.libraries.iter().filter(|library| !library.bundled && !library.name.is_empty()) {
            if stated().any(|name| name.eq_ignore_ascii_case(&library.name)) {
                continue;
            }
            let version = library.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
            let message = format!("the definition uses the plug-in `{}`{version}, which is not listed", library.name);
            let help = fault::did_you_mean(&library.name, stated());
            faults.push(source.fault("plugin_undeclared", "/plugins", message).help(help));
        }
    }
}

struct Check<'c, 'f> {
    source: &'c Source<'f>,
    definition: &'c Definition,
}

// === impl Check ===

impl Check<'_, '_> {
    fn input(&self, binding: &Binding) -> Option<Fault> {
        let pointer = format!("/inputs/{}", escape(&binding.name));
        let Some(input) = self.definition.inputs.iter().find(|input| input.name == binding.gh) else {
            return Some(self.unseen(
                binding,
                &pointer,
                "input",
                self.definition.inputs.iter().map(|input| &*input.name),
            ));
        };
        let fitting = Type::fitting_input(&input.type_name);
        if !fitting.contains(&binding.kind) {
            let message =
                format!("`{}` is of type {} in Grasshopper, not {}", binding.gh, input.type_name, binding.kind.word());
            let help = match fitting {
                [] => format!("compute clears inputs of type {} and never fills them", input.type_name),
                fitting => format!("fitting: {}", fault::listed(fitting.iter().map(|kind| kind.word()))),
            };
            return Some(self.source.fault("binding_type", &format!("{pointer}/type"), message).help(help));
        }
        let problem = access_problem(binding.access, input)?;
        let message = format!("`{}` {problem}, but its access is {}", binding.gh, binding.access.word());
        Some(self.source.fault("binding_access", &format!("{pointer}/access"), message))
    }

    fn output(&self, binding: &Binding) -> Option<Fault> {
        let pointer = format!("/outputs/{}", escape(&binding.name));
        let Some(output) = self.definition.outputs.iter().find(|output| output.name == binding.gh) else {
            let names = self.definition.outputs.iter().map(|output| &*output.name);
            return Some(self.unseen(binding, &pointer, "output", names));
        };
        // A parameter of a plug-in has a type that the file does not tell.
        if output.type_name == "?" || binding.kind.fits_output(&output.type_name) {
            return None;
        }
        let message =
            format!("`{}` is of type {} in Grasshopper, not {}", binding.gh, output.type_name, binding.kind.word());
        Some(self.source.fault("binding_type", &format!("{pointer}/type"), message))
    }

    /// The fault of a name that compute does not know: it is not there, or it is and compute does not see it.
    fn unseen<'n>(
        &self,
        binding: &Binding,
        pointer: &str,
        noun: &str,
        names: impl Iterator<Item = &'n str> + Clone,
    ) -> Fault {
        let at = format!("{pointer}/gh");
        let gh = &binding.gh;
        match self.definition.explain(gh) {
            Explanation::NotSeen { because, fix, .. } => {
                let message = format!("compute will not see `{gh}`: {because}");
                self.source.fault("binding_invisible", &at, message).help(fix)
            }
            Explanation::Input(_) | Explanation::Output(_) => {
                let message = format!("`{gh}` is there, but it is no {noun}");
                self.source.fault("binding_unknown", &at, message)
            }
            Explanation::DidYouMean(_) | Explanation::NotThere => {
                let help = fault::did_you_mean(gh, names.clone());
                let help = help.unwrap_or_else(|| format!("the {noun}s of the definition: {}", fault::listed(names)));
                self.source.fault("binding_unknown", &at, format!("the definition has no {noun} `{gh}`")).help(help)
            }
        }
    }

    /// Inputs that no binding names: a solve would leave them with what the last caller sent.
    fn unbound(&self, bindings: &[Binding]) -> Vec<Fault> {
        let names = || self.definition.inputs.iter().map(|input| input.name.as_str());
        // A misspelt name is told as such, not once more as what it leaves unbound.
        let meant = |gh: &str| names().find(|name| *name == gh).or_else(|| fault::closest(gh, names()));
        let bound: Vec<_> = bindings.iter().filter_map(|binding| meant(&binding.gh)).collect();
        let unbound = |input: &&Input| !bound.contains(&input.name.as_str());
        let fault = |input: &Input| {
            let message = format!("nothing is bound to the input `{}` of the definition", input.name);
            self.source.fault("input_unbound", "/inputs", message)
        };
        self.definition.inputs.iter().filter(unbound).map(fault).collect()
    }
}

/// Why an input cannot be given what the access promises.
///
/// The parameter of a group takes whatever tree it is sent; a contextual one holds to its own limits.
fn access_problem(access: Access, input: &Input) -> Option<&'static str> {
    match (access, input.kind) {
        (Access::Item, _) if input.at_least > 1 => Some("needs more than one value"),
        (Access::List | Access::Tree, _) if input.at_most == 1 && !input.tree => Some("takes one value"),
        (Access::Tree, InputKind::Contextual) if !input.tree => Some("takes no tree"),
        (Access::Item | Access::List | Access::Tree, _) => None,
    }
}
