//! Each lint, seeded alone into a sound registry, is found at its place; the sound registry has none of them.

use std::fs;

use super::{Bench, places};

/// Rule, file with the fault, the file that is told, the text that is replaced and by what, and the text at the place.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    ("default_differs", "sitefit/1.1.0/inputs.schema.json", "\"default\": 4", "\"default\": 5", "5"),
    ("step_differs", "sitefit/1.1.0/bindings.json", "\"step\": 0.01", "\"step\": 0.005", "0.005"),
    ("range_beyond_definition", "sitefit/1.1.0/inputs.schema.json", "\"minimum\": 10", "\"minimum\": 9", "9"),
    ("plugin_version_differs", "daylight/0.1.0/plugins.json", "\"1.2.0\"", "\"1.3.0\"", "\"1.3.0\""),
    (
        "plugin_unused",
        "sitefit/1.1.0/plugins.json",
        "\"plugins\": []",
        "\"plugins\": [{ \"name\": \"Pufferfish\", \"version\": \"3.0.0.0\" }]",
        "{ \"name\"",
    ),
    (
        "description_missing",
        "sitefit/1.1.0/inputs.schema.json",
        "\"title\": \"Site width\",\n      \"description\": \"Along the street.\",",
        "",
        "\"site_width\"",
    ),
    ("unit_model", "sitefit/1.1.0/inputs.schema.json", "\"x-unit\": \"m\"", "\"x-unit\": \"mm\"", "\"mm\""),
    (
        "schema_undeclared",
        "sitefit/1.1.0/inputs.schema.json",
        "\"$schema\": \"https://json-schema.org/draft/2020-12/schema\",",
        "",
        "{",
    ),
    ("alias_missing", "sitefit/policy.json", "\"stable\": \"1.1.0\"", "\"stable\": \"1.1.1\"", "\"1.1.1\""),
    ("definition_not_had", "sitefit/policy.json", "[\"sitefit\"]", "[\"sitefit\", \"parkin\"]", "\"parkin\""),
    ("definition_not_allowed", "sitefit/policy.json", "[\"sitefit\"]", "[\"parking\"]", "[\"parking\"]"),
    (
        "policy_lane_closed",
        "sitefit/policy.json",
        "\"max_concurrency\": 2,\n  \"preview_seats\": 1",
        "\"max_concurrency\": 1,\n  \"preview_seats\": 0",
        "0",
    ),
];

#[test]
fn each_lint_is_found_at_its_place() {
    for &(rule, file, old, new, needle) in CASES {
        let bench = Bench::samples();
        bench.edit(file, old, new);
        let (_, findings) = bench.check(&[]);
        // The first needle after the edit: a short one may stand elsewhere before.
        let text = bench.read(file);
        let from = text.find(new).unwrap_or_default();
        let from = if new.is_empty() { 0 } else { from };
        let at = from + text[from..].find(needle).unwrap();
        let line = text[..at].matches('\n').count() as u64 + 1;
        let column = text[..at].rsplit('\n').next().unwrap().chars().count() as u64 + 1;
        let found = places(&findings, rule);
        assert!(found.contains(&(file, line, column)), "{rule} at {file}:{line}:{column}: {findings:#?}");
    }
}

#[test]
fn aliases_to_refused_versions_and_tenants_of_no_app_are_told() {
    let bench = Bench::samples();
    bench.edit("sitefit/1.1.0/bindings.json", "\"RH_IN:setback\"", "\"RH_IN:setbak\"");
    fs::write(bench.path("registry/tenants.json"), r#"{"tenants": {"studio": {"apps": ["sitefti"]}}}"#).unwrap();
    let (code, findings) = bench.check(&[]);
    assert_eq!(code, 100);
    assert_eq!(places(&findings, "alias_refused").len(), 1);
    let tenant = findings.iter().find(|finding| finding["rule"] == "tenant_app_missing").unwrap();
    assert_eq!((&tenant["line"], &tenant["column"]), (&1.into(), &34.into()));
    assert_eq!(tenant["help"], "did you mean `sitefit`?");
}

#[test]
fn a_name_that_belongs_to_another_app_is_told_at_the_name() {
    let bench = Bench::samples();
    bench.edit("yieldcheck/1.0.0/manifest.json", "\"definition\": \"yieldcheck\"", "\"definition\": \"sitefit\"");
    let (_, findings) = bench.check(&[]);
    let (line, _) = bench.find("yieldcheck/1.0.0/manifest.json", "\"definition\"");
    let found = places(&findings, "definition_taken");
    assert!(matches!(found[..], [(_, at, column)] if at == line && column > 1), "{findings:#?}");
}

#[test]
fn faulty_tenants_hide_nothing_else() {
    let bench = Bench::samples();
    fs::write(bench.path("registry/tenants.json"), "{").unwrap();
    bench.edit("sitefit/1.1.0/bindings.json", "\"RH_IN:setback\"", "\"RH_IN:setbak\"");
    let (code, findings) = bench.check(&[]);
    assert_eq!(code, 100);
    assert_eq!(places(&findings, "json_syntax"), [("registry/tenants.json", 1, 1)]);
    assert_eq!(places(&findings, "binding_unknown").len(), 1);
}

#[test]
fn warnings_fail_a_check_only_where_they_are_denied() {
    let bench = Bench::samples();
    bench.edit("sitefit/1.1.0/inputs.schema.json", "\"default\": 4", "\"default\": 5");
    // The examples still hold; the default is another than the slider's.
    let (code, findings) = bench.check(&["sitefit:1.1.0"]);
    assert_eq!((code, findings.len()), (0, 1), "{findings:#?}");
    assert_eq!(bench.check(&["sitefit:1.1.0", "--deny-warnings"]).0, 100);
}
