//! What a version asks of its nodes and promises as a whole: manifest and plug-ins.

use std::collections::BTreeMap;

use super::rules::{self, Rule};
use super::{Change, Side};
use crate::plugins::Plugin;

const MANIFEST: &str = "manifest.json";
const PLUGINS: &str = "plugins.json";

/// Adds what changed in `manifest.json` and `plugins.json`, and that the definition did.
pub(super) fn compare(old: &Side<'_>, new: &Side<'_>, changes: &mut Vec<Change>) {
    let mut terms = Terms { old, new, changes };
    terms.names();
    terms.budgets();
    terms.results();
    terms.rhino();
    terms.plugins();
}

struct Terms<'t, 'f> {
    old: &'t Side<'f>,
    new: &'t Side<'f>,
    changes: &'t mut Vec<Change>,
}

// === impl Terms ===

impl Terms<'_, '_> {
    fn push(&mut self, rule: &'static Rule, file: &str, pointer: &str, message: String) {
        self.changes.push(Change::at_files(rule, (self.old, self.new), file, pointer, message));
    }

    fn names(&mut self) {
        let [was, is] = [self.old, self.new].map(|side| &side.contract.manifest);
        if was.app_id != is.app_id {
            let message = format!("the app was `{}` and is `{}`", was.app_id, is.app_id);
            self.push(&rules::APP_CHANGED, MANIFEST, "/app_id", message);
        }
        if was.definition != is.definition {
            let message = format!("the definition was named `{}` and is `{}`", was.definition, is.definition);
            self.push(&rules::DEFINITION_RENAMED, MANIFEST, "/definition", message);
        }
        if self.old.contract.definition_digest != self.new.contract.definition_digest {
            self.push(&rules::DEFINITION_CHANGED, MANIFEST, "/file", format!("`{}` is another file", is.file));
        }
    }

    fn budgets(&mut self) {
        let [was, is] = [self.old, self.new].map(|side| &side.contract.manifest);
        let message = format!("the timeout was {} s and is {} s", was.timeout_sec, is.timeout_sec);
        match is.timeout_sec.cmp(&was.timeout_sec) {
            std::cmp::Ordering::Less => self.push(&rules::TIMEOUT_LOWERED, MANIFEST, "/timeout_sec", message),
            std::cmp::Ordering::Greater => self.push(&rules::TIMEOUT_RAISED, MANIFEST, "/timeout_sec", message),
            std::cmp::Ordering::Equal => {}
        }
        for (name, rule, was, is) in [
            ("request_bytes", &rules::REQUEST_LIMIT_LOWERED, was.limits.request_bytes, is.limits.request_bytes),
            ("response_bytes", &rules::RESPONSE_LIMIT_LOWERED, was.limits.response_bytes, is.limits.response_bytes),
        ] {
            // A version without a limit of its own has the gateway's, which is above all of these.
            let [most, now] = [was, is].map(|limit| limit.unwrap_or(u64::MAX));
            let rule = if now < most { rule } else { &rules::LIMIT_RAISED };
            if now != most {
                let [was, is] =
                    [was, is].map(|limit| limit.map_or_else(|| "not stated".to_owned(), |limit| limit.to_string()));
                let message = format!("{name} was {was} and is {is}");
                self.push(rule, MANIFEST, &format!("/limits/{name}"), message);
            }
        }
    }

    fn results(&mut self) {
        let [was, is] = [self.old, self.new].map(|side| &side.contract.manifest);
        if was.model_units != is.model_units {
            let message = format!("the model was in {} and is in {}", was.model_units, is.model_units);
            self.push(&rules::MODEL_UNITS_CHANGED, MANIFEST, "/model_units", message);
        }
        for (name, was, is) in [
            ("absolute_tolerance", was.absolute_tolerance, is.absolute_tolerance),
            ("angle_tolerance_degrees", was.angle_tolerance_degrees, is.angle_tolerance_degrees),
        ] {
            if was.total_cmp(&is).is_ne() {
                let message = format!("{name} was {was} and is {is}");
                self.push(&rules::TOLERANCE_CHANGED, MANIFEST, &format!("/{name}"), message);
            }
        }
        match (was.deterministic, is.deterministic) {
            (true, false) => {
                let message = "equal inputs gave equal results, and no longer do".to_owned();
                self.push(&rules::NOT_DETERMINISTIC, MANIFEST, "/deterministic", message);
            }
            (false, true) => {
                let message = "equal inputs now give equal results".to_owned();
                self.push(&rules::DETERMINISTIC, MANIFEST, "/deterministic", message);
            }
            (true, true) | (false, false) => {}
        }
    }

    fn rhino(&mut self) {
        let [was, is] = [self.old, self.new].map(|side| &side.contract.plugins.rhino);
        if was != is {
            let major = |version: &str| version.split('.').next().map(str::to_owned);
            let rule = if major(was) == major(is) { &rules::RHINO_UPDATED } else { &rules::RHINO_CHANGED };
            self.push(rule, PLUGINS, "/rhino", format!("Rhino was {was} and is {is}"));
        }
    }

    fn plugins(&mut self) {
        let by_name = |side: &Side<'_>| {
            let plugins = side.contract.plugins.plugins.iter().enumerate();
            plugins.map(|(index, plugin)| (plugin.name.clone(), (index, plugin.clone()))).collect::<BTreeMap<_, _>>()
        };
        let [was, is] = [self.old, self.new].map(by_name);
        for (name, (index, plugin)) in &is {
            let Some((index_before, before)) = was.get(name) else {
                let message = format!("the plug-in `{name}` {} is now needed", plugin.version);
                self.push(&rules::PLUGIN_ADDED, PLUGINS, &format!("/plugins/{index}"), message);
                continue;
            };
            if let Some(message) = difference(before, plugin) {
                self.push(&rules::PLUGIN_CHANGED, PLUGINS, &format!("/plugins/{index}"), message);
                // The plug-ins may stand in another order in the old file.
                let old = self.old.place(PLUGINS, &format!("/plugins/{index_before}"));
                self.changes.last_mut().into_iter().for_each(|change| change.old = old.clone());
            }
        }
        for (name, (index, _)) in was.iter().filter(|(name, _)| !is.contains_key(*name)) {
            let message = format!("the plug-in `{name}` is no longer needed");
            self.push(&rules::PLUGIN_REMOVED, PLUGINS, &format!("/plugins/{index}"), message);
            let new = self.new.place(PLUGINS, "/plugins");
            self.changes.last_mut().into_iter().for_each(|change| change.new = new.clone());
        }
    }
}

fn difference(was: &Plugin, is: &Plugin) -> Option<String> {
    if was.version != is.version {
        return Some(format!("the plug-in `{}` was {} and is {}", was.name, was.version, is.version));
    }
    (was.sha256 != is.sha256).then(|| format!("the plug-in `{}` {} must be another file", was.name, was.version))
}
