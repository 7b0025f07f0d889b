//! `--fix` mends what it can be sure of, shows it, and leaves the rest.

use super::{Bench, places};

fn four_slips() -> Bench {
    let bench = Bench::samples();
    bench.bridge("1.0.0");
    bench.edit("bridge/1.0.0/bindings.json", "\"RH_IN:bays\"", "\"RH_IN:bais\"");
    bench.edit("bridge/1.0.0/plugins.json", "{ \"name\": \"Beams\", \"version\": \"2.1.0.0\" }", "");
    bench.edit("bridge/1.0.0/inputs.schema.json", "\"$schema\": \"https://json-schema.org/draft/2020-12/schema\",", "");
    let hash = format!("\"rhino\": \"8\",\n  \"requires_plugins_hash\": \"sha256:{}\",", "0".repeat(64));
    bench.edit("sitefit/1.0.0/plugins.json", "\"rhino\": \"8\",", &hash);
    bench
}

#[test]
fn slips_with_one_remedy_are_mended_and_shown() {
    let bench = four_slips();
    assert_eq!(bench.check(&[]).0, 100);
    let ran = bench.run(&["check", "--fix"]);
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.talk);
    for line in [
        "-    \"bays\": { \"gh\": \"RH_IN:bais\", \"type\": \"integer\", \"access\": \"item\" },",
        "+    \"bays\": { \"gh\": \"RH_IN:bays\", \"type\": \"integer\", \"access\": \"item\" },",
        "+    { \"name\": \"Beams\", \"version\": \"2.1.0.0\" }",
        "+  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",",
        "4 repairs written",
    ] {
        assert!(ran.talk.contains(line), "{line}: {}", ran.talk);
    }
    let (code, findings) = bench.check(&[]);
    assert_eq!(code, 0, "{findings:#?}");
    // Again there is nothing to do, and nothing is done.
    let before = bench.read("bridge/1.0.0/bindings.json");
    let again = bench.run(&["check", "--fix"]);
    assert!(again.code == 0 && again.talk.contains("nothing could be repaired"), "{}", again.talk);
    assert_eq!(bench.read("bridge/1.0.0/bindings.json"), before);
}

#[test]
fn a_dry_run_writes_nothing() {
    let bench = four_slips();
    let before = bench.read("bridge/1.0.0/bindings.json");
    let ran = bench.run(&["check", "--fix", "--dry-run"]);
    assert!(ran.code == 100 && ran.talk.contains("none written"), "{}", ran.talk);
    assert_eq!(bench.read("bridge/1.0.0/bindings.json"), before);
}

#[test]
fn what_could_be_meant_in_two_ways_is_left() {
    let bench = Bench::samples();
    bench.bridge("1.0.0");
    bench.edit("bridge/1.0.0/bridge.ghx", ">RH_IN:span<", ">RH_IN:span1<");
    bench.edit("bridge/1.0.0/bridge.ghx", ">RH_IN:bays<", ">RH_IN:span2<");
    bench.edit("bridge/1.0.0/bindings.json", "\"RH_IN:bays\"", "\"RH_IN:span3\"");
    let before = bench.read("bridge/1.0.0/bindings.json");
    let ran = bench.run(&["check", "--fix", "bridge"]);
    assert_eq!(ran.code, 100, "{}", ran.talk);
    assert_eq!(bench.read("bridge/1.0.0/bindings.json"), before);
    assert!(!places(&bench.check(&["bridge"]).1, "binding_unknown").is_empty());
}
