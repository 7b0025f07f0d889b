//! Twelve faults of twelve kinds in one registry: all are found in one run, each at its place.

use super::{Bench, places};

const LFS: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";

/// A registry with one fault of each kind.
pub(super) fn twelve() -> Bench {
    let bench = Bench::samples();
    for version in ["1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0"] {
        bench.bridge(version);
    }
    let first = |file: &str| format!("bridge/1.0.0/{file}");
    bench.edit(&first("bindings.json"), "\"RH_IN:name\"", "\"RH_IN:height\"");
    bench.edit(&first("bindings.json"), "\"RH_IN:bays\"", "\"RH_IN:bais\"");
    bench.write(
        &first("examples/invalid/long.json"),
        "{\n  \"inputs\": { \"span\": 12 },\n  \"violations\": [\"/span\"]\n}\n",
    );
    bench.edit(&first("plugins.json"), "{ \"name\": \"Beams\", \"version\": \"2.1.0.0\" }", "");
    bench.edit(
        "bridge/1.1.0/plugins.json",
        "\"rhino\": \"8\",",
        &format!("\"rhino\": \"8\",\n  \"requires_plugins_hash\": \"sha256:{}\",", "0".repeat(64)),
    );
    bench.edit("bridge/1.2.0/inputs.schema.json", "\"#/$defs/point\"", "\"https://example.org/point.json\"");
    bench.edit("bridge/1.2.0/inputs.schema.json", "\"maxLength\": 40", "\"pattern\": \"^(?=b)\"");
    bench.edit("bridge/1.3.0/bridge.ghx", ">RH_IN:bays<", ">RH_IN:span<");
    bench.edit("bridge/1.4.0/manifest.json", "\"1.4.0\"", "\"1.4\"");
    bench.write("bridge/1.5.0/bridge.ghx", LFS);
    bench.edit("bridge/policy.json", "\"aliases\": {}", "\"aliases\": { \"stable\": \"9.9.9\" }");
    bench.edit("sitefit/1.0.0/inputs.schema.json", "\"maximum\": 200", "\"maximum\": 300");
    bench
}

#[test]
fn twelve_faults_of_twelve_kinds_are_found_in_one_run_each_at_its_place() {
    let bench = twelve();
    let (code, findings) = bench.check(&[]);
    assert_eq!(code, 100);
    let expected = [
        ("binding_invisible", "bridge/1.0.0/bindings.json", "\"RH_IN:height\""),
        ("binding_unknown", "bridge/1.0.0/bindings.json", "\"RH_IN:bais\""),
        ("example_accepted", "bridge/1.0.0/examples/invalid/long.json", "\"/span\""),
        ("plugin_undeclared", "bridge/1.0.0/plugins.json", "["),
        ("plugins_hash_wrong", "bridge/1.1.0/plugins.json", "\"sha256:0000"),
        ("schema_ref", "bridge/1.2.0/inputs.schema.json", "\"https://example.org"),
        ("schema_pattern", "bridge/1.2.0/inputs.schema.json", "\"^(?=b)\""),
        ("version_syntax", "bridge/1.4.0/manifest.json", "\"1.4\""),
        ("definition_lfs_pointer", "bridge/1.5.0/bridge.ghx", "version https"),
        ("alias_missing", "bridge/policy.json", "\"9.9.9\""),
        ("range_beyond_definition", "sitefit/1.0.0/inputs.schema.json", "300"),
    ];
    for (rule, file, needle) in expected {
        let (line, column) = bench.find(file, needle);
        let found = places(&findings, rule);
        assert!(found.contains(&(file, line, column)), "{rule} at {file}:{line}:{column}: {found:?}");
    }
    // The twelfth points into the definition itself: at the group that has a name for the second time.
    let file = "bridge/1.3.0/bridge.ghx";
    let text = bench.read(file);
    let second = text.match_indices(">RH_IN:span<").nth(1).unwrap().0;
    let object = text[..second].rfind("InstanceGuid").unwrap();
    let line = text[..object].matches('\n').count() as u64 + 1;
    let found = places(&findings, "duplicate_input");
    assert!(matches!(found[..], [(at, found, _)] if at == file && found == line), "{found:?}, not {line}");
    let named = findings.iter().find(|finding| finding["rule"] == "binding_unknown").unwrap();
    assert_eq!(named["help"], "did you mean `RH_IN:bays`?");
}

#[test]
fn what_is_right_beside_the_faults_is_not_blamed() {
    let (_, findings) = twelve().check(&[]);
    for finding in &findings {
        let file = finding["file"].as_str().unwrap();
        assert!(file.contains("/bridge/") || file.contains("/sitefit/1.0.0/"), "{finding}");
    }
    // A fault may show in a second place, such as the input that a misspelt name leaves unbound; never in a third.
    let errors: Vec<_> = findings.iter().filter(|finding| finding["severity"] == "error").collect();
    assert!((11..=18).contains(&errors.len()), "{} errors for twelve faults: {errors:#?}", errors.len());
}
