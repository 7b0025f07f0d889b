//! Policies and tenants against what the registry has: aliases, definitions, apps, closed lanes.

use contract::fault;
use contract::json::spans::escape;
use contract::policy::Policy;
use serde_json::Value;

use super::{At, Lint};
use crate::governance::Severity;
use crate::registry::{App, Snapshot};

const FILE: &str = "policy.json";

/// The lints of one app's policy; files are relative to the app's folder.
pub(in crate::governance) fn lint(app: &App, policy: &Policy, snapshot: &Snapshot) -> Vec<Lint> {
    let mut lints = Vec::new();
    for (alias, version) in &policy.aliases {
        let pointer = format!("/aliases/{}", escape(alias));
        match app.releases.get(version).map(|release| release.contract().is_some()) {
            Some(true) => {}
            Some(false) => {
                let message = format!("`{alias}` leads to {version}, whose contract has faults");
                lints.push(Lint::new("alias_refused", Severity::Error, (FILE, &pointer), At::Value, message));
            }
            None => {
                let message = format!("`{alias}` leads to {version}, which is not there");
                let known: Vec<String> = app.releases.keys().map(ToString::to_string).collect();
                let near = fault::did_you_mean(&version.to_string(), known.iter().map(String::as_str));
                let help = near.unwrap_or_else(|| format!("the versions of `{}`: {}", app.app_id, listed(&known)));
                let lint = Lint::new("alias_missing", Severity::Error, (FILE, &pointer), At::Value, message);
                lints.push(lint.label("no such version").help(help));
            }
        }
    }
    definitions(app, policy, snapshot, &mut lints);
    for (lane, seats) in [("preview", policy.preview_seats), ("batch", policy.batch_seats)] {
        if seats == 0 {
            let pointer = format!("/{lane}_seats");
            let message = format!("the {lane} lane has no seats: every solve in it is refused with `lane_closed`");
            lints.push(Lint::new("policy_lane_closed", Severity::Note, (FILE, &pointer), At::Value, message));
        }
    }
    lints
}

fn definitions(app: &App, policy: &Policy, snapshot: &Snapshot, lints: &mut Vec<Lint>) {
    let all: Vec<&str> = snapshot.releases().map(|release| release.definition()).collect();
    for (index, definition) in policy.allowed_definitions.iter().enumerate() {
        if all.contains(&definition.as_str()) {
            continue;
        }
        let pointer = format!("/allowed_definitions/{index}");
        let message = format!("no app has a definition `{definition}`");
        let lint = Lint::new("definition_not_had", Severity::Warning, (FILE, &pointer), At::Value, message);
        lints.push(lint.help(fault::did_you_mean(definition, all.iter().copied())));
    }
    let mut own: Vec<&str> =
        app.releases.values().filter_map(|release| release.contract().map(|_| release.definition())).collect();
    own.sort_unstable();
    own.dedup();
    for definition in own.into_iter().filter(|own| !policy.allowed_definitions.iter().any(|allowed| allowed == own)) {
        let message = format!("the app's own definition `{definition}` is not among those that it may use");
        let lint =
            Lint::new("definition_not_allowed", Severity::Warning, (FILE, "/allowed_definitions"), At::Value, message);
        lints.push(lint.help(format!("add \"{definition}\" to it")));
    }
}

/// Apps that tenants may use and that are not there; the file is relative to the registry.
pub(in crate::governance) fn tenants(tenants: &Value, snapshot: &Snapshot) -> Vec<Lint> {
    let mut lints = Vec::new();
    for (tenant, entry) in tenants.get("tenants").and_then(Value::as_object).into_iter().flatten() {
        let apps = entry.get("apps").and_then(Value::as_array).into_iter().flatten().enumerate();
        for (index, app_id) in apps.filter_map(|(index, app_id)| Some((index, app_id.as_str()?))) {
            if snapshot.apps.contains_key(app_id) {
                continue;
            }
            let pointer = format!("/tenants/{}/apps/{index}", escape(tenant));
            let message = format!("`{tenant}` may use the app `{app_id}`, which is not there");
            let lint =
                Lint::new("tenant_app_missing", Severity::Warning, ("tenants.json", &pointer), At::Value, message);
            lints.push(lint.help(fault::did_you_mean(app_id, snapshot.apps.keys().map(String::as_str))));
        }
    }
    lints
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
