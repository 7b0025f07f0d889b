//! `plugins.json` against what the Grasshopper file lists: versions, plug-ins that nothing uses, packages that scripts import.

use super::{At, Lint, View};
use crate::governance::Severity;

const FILE: &str = "plugins.json";

pub(super) fn lint(view: &View<'_>, lints: &mut Vec<Lint>) {
    let (Some(plugins), Some(definition), Some(manifest)) = (view.plugins, view.definition, view.manifest) else {
        return;
    };
    for (index, plugin) in plugins.plugins.iter().enumerate() {
        let mut listed = definition.libraries.iter().filter(|library| library.name.eq_ignore_ascii_case(&plugin.name));
        let versions: Vec<&str> = listed.by_ref().filter_map(|library| library.version.as_deref()).collect();
        let pointer = format!("/plugins/{index}");
        if definition.libraries.iter().all(|library| !library.name.eq_ignore_ascii_case(&plugin.name)) {
            let message = format!("`{}` is required, and the definition does not list it", plugin.name);
            let lint = Lint::new("plugin_unused", Severity::Note, (FILE, &pointer), At::Value, message);
            let help =
                "a plug-in of user objects is listed nowhere: keep it if the definition uses one, else take it out";
            lints.push(lint.help(help.to_owned()));
        } else if !versions.is_empty() && !versions.iter().any(|version| same(version, &plugin.version)) {
            let saved = versions.join(", ");
            let message =
                format!("{} {} is required, and the definition was saved with {saved}", plugin.name, plugin.version);
            let pointer = format!("{pointer}/version");
            let lint = Lint::new("plugin_version_differs", Severity::Warning, (FILE, &pointer), At::Value, message);
            lints.push(lint.help("a node must have exactly the version that is stated here".to_owned()));
        }
    }
    for script in &definition.scripts {
        if script.packages.is_empty() {
            continue;
        }
        let packages = script.packages.iter().map(|package| format!("`{package}`")).collect::<Vec<_>>().join(", ");
        let message = format!("{} imports {packages}, which come neither with Python nor with Rhino", script.spot);
        let at = At::Object(script.spot.instance);
        let lint = Lint::new("script_package", Severity::Warning, (&manifest.file, ""), at, message);
        lints.push(
            lint.label(script.spot.to_string())
                .help("each node must have them: no attestation asks for packages".to_owned()),
        );
    }
}

/// Assemblies pad their version with zeros, authors do not.
fn same(one: &str, other: &str) -> bool {
    let bare = |version: &str| {
        let mut parts: Vec<String> = version.split('.').map(str::to_owned).collect();
        while parts.len() > 1 && parts.last().is_some_and(|part| part == "0") {
            parts.pop();
        }
        parts
    };
    bare(one) == bare(other)
}
