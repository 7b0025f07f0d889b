//! JSON and schemas that were written to hurt.

use contract::json::{ErrorKind, Limits, parse};
use contract::schema::{self, Schema, Subject};
use serde_json::{Value, json};

fn kind(text: &[u8]) -> Result<Value, ErrorKind> {
    parse(text, &Limits::default()).map_err(|error| error.kind)
}

fn place(text: &str) -> (u32, u32, usize) {
    let error = parse(text.as_bytes(), &Limits::default()).expect_err(text);
    (error.line, error.column, error.byte)
}

#[test]
fn a_key_is_a_duplicate_however_it_is_spelled() {
    for text in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":[{"a":1,"b":{},"a":2}]}"#] {
        assert_eq!(kind(text.as_bytes()), Err(ErrorKind::DuplicateKey("a".to_owned())), "{text}");
    }
    // Another case is another key: it is for the contract not to know it.
    assert!(kind(br#"{"pointer":1,"Pointer":2}"#).is_ok());
}

#[test]
fn bombs_are_refused_before_they_are_trees() {
    let limits = Limits { bytes: usize::MAX, ..Limits::default() };
    let refused = |text: String| parse(text.as_bytes(), &limits).expect_err("a bomb").kind;
    let wide = |item: &str, count: usize| format!("[{}{item}]", format!("{item},").repeat(count));
    assert_eq!(refused(wide(r#"{"":0}"#, 300_000)), ErrorKind::TooManyValues(limits.nodes));
    assert_eq!(refused(wide(r#"{"":0}"#, 20_000)), ErrorKind::TooManyValues(limits.nodes));
    assert_eq!(refused(wide("[]", 300_000)), ErrorKind::TooManyValues(limits.nodes));
    assert_eq!(refused("[".repeat(100_000)), ErrorKind::TooDeep(limits.depth));
    assert_eq!(refused("{\"a\":".repeat(100_000)), ErrorKind::TooDeep(limits.depth));
    let keys: Vec<_> = (0..2_000).map(|key| format!("\"{key}\":0")).collect();
    assert_eq!(refused(format!("{{{}}}", keys.join(","))), ErrorKind::TooManyKeys(limits.keys_per_object));
    let long = "x".repeat(2 << 20);
    assert_eq!(refused(format!("\"{long}\"")), ErrorKind::LongString(long.len(), limits.string_bytes));
    assert_eq!(refused(format!("{{\"{long}\":0}}")), ErrorKind::LongString(long.len(), limits.string_bytes));
    let deeper = Limits { depth: 10_000, ..limits };
    assert_eq!(parse("[".repeat(10_000).as_bytes(), &deeper).expect_err("a bomb").kind, ErrorKind::TooDeep(127));
    assert_eq!(kind(&vec![b' '; 2 << 20]), Err(ErrorKind::TooLong(2 << 20, 1 << 20)));
}

#[test]
fn what_is_not_json_is_refused() {
    for (text, syntax) in [
        (&b"\xEF\xBB\xBF{}"[..], ErrorKind::ByteOrderMark),
        (b"\xFF\xFE{\0}\0", ErrorKind::ByteOrderMark),
        (b"\"\xC3\x28\"", ErrorKind::NotUtf8),
        (b"{} {}", ErrorKind::Trailing),
        (b"1 2", ErrorKind::Trailing),
    ] {
        assert_eq!(kind(text), Err(syntax));
    }
    for text in [
        "",
        "{",
        "// x\n1",
        "/* */ {}",
        "[1,]",
        "{a:1}",
        "'a'",
        "NaN",
        "Infinity",
        "-",
        "01",
        "1.",
        "1e400",
        "-1e400",
        r#""\ud800""#,
        r#""\x""#,
        "\"a\nb\"",
        "\"\u{1}\"",
    ] {
        assert!(matches!(kind(text.as_bytes()), Err(ErrorKind::Syntax(_))), "{text}");
    }
}

#[test]
fn an_error_tells_its_place() {
    assert_eq!(place("{\"a\":1,\n \"ü\":2, \"a\" : 3}"), (2, 9, 17));
    assert_eq!(place("{\"a\":1,\n \"\\u0061\\\"\": 1, \"a\\\"\": 3}"), (2, 17, 24));
    assert_eq!(place("{\n  \"a\": tru\n}").0, 2);
    assert_eq!(place("{} x"), (1, 4, 3));
}

fn compile(document: Value) -> Result<Schema, Vec<(&'static str, String)>> {
    Schema::compile(document, Subject::Inputs)
        .map_err(|found| found.into_iter().map(|violation| (violation.rule, violation.pointer)).collect())
}

#[test]
fn a_schema_reaches_nothing_outside_itself() {
    for target in [
        "https://example.com/s",
        "http://169.254.169.254/",
        "file:///etc/passwd",
        "other.json",
        "/etc/passwd",
        "//h/x",
        "urn:x",
    ] {
        let document = json!({ "properties": { "a": { "$ref": target } } });
        assert_eq!(compile(document).expect_err(target), [("schema_ref", "/properties/a/$ref".to_owned())]);
    }
    for keyword in ["$dynamicRef", "$recursiveRef", "dependencies", "additionalItems", "maximun", "nullable"] {
        let document = json!({ "properties": { "a": { keyword: "#x" } } });
        assert_eq!(compile(document).expect_err(keyword)[0].0, "schema_keyword", "{keyword}");
    }
    let moved = json!({ "properties": { "a": { "$id": "http://example.com/", "$ref": "#/x" } } });
    assert!(compile(moved).expect_err("moved").contains(&("schema_keyword", "/properties/a/$id".to_owned())));
    // The validator would decode this and find itself.
    let escaped = json!({ "$defs": { "%61": {} }, "$ref": "#/$defs/%61" });
    assert_eq!(compile(escaped).expect_err("escaped")[0].0, "schema_ref");
    // A name that looks like a keyword is a name.
    assert!(compile(json!({ "properties": { "$ref": { "const": { "$ref": "http://example.com" } } } })).is_ok());
}

#[test]
fn a_schema_that_is_endless_or_explodes_is_refused() {
    let rule = |document: Value| compile(document).map_or_else(|found| found[0].0, |_| "none");
    assert_eq!(rule(json!({ "$ref": "#" })), "schema_recursive");
    assert_eq!(
        rule(json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } })),
        "schema_recursive"
    );
    assert_eq!(rule(json!({ "properties": { "n": { "anyOf": [{ "$ref": "#" }, {}] } } })), "schema_recursive");
    let doubling: serde_json::Map<String, Value> = (0..30)
        .map(|level| {
            let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
            (format!("d{level}"), json!({ "allOf": [next, next] }))
        })
        .chain([("d30".to_owned(), json!({}))])
        .collect();
    assert_eq!(rule(json!({ "$ref": "#/$defs/d0", "$defs": doubling })), "schema_cost");
    let chain: serde_json::Map<String, Value> = (0..5_000)
        .map(|link| (format!("c{link}"), json!({ "$ref": format!("#/$defs/c{}", link + 1) })))
        .chain([("c5000".to_owned(), json!({}))])
        .collect();
    assert_eq!(rule(json!({ "$ref": "#/$defs/c0", "$defs": chain })), "schema_cost");
    let nested = (0..60).fold(json!({}), |inner, _| json!({ "allOf": [inner] }));
    assert_eq!(rule(nested), "schema_depth");
}

#[test]
fn a_pattern_is_matched_in_linear_time_or_not_at_all() {
    for pattern in ["(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", r"(a)\1", r"\w{1000}{1000}", "(", "(?<n>a)\\k<n>"] {
        let found = compile(json!({ "properties": { "a": { "pattern": pattern } } })).expect_err(pattern);
        assert_eq!(found, [("schema_pattern", "/properties/a/pattern".to_owned())], "{pattern}");
        let found = compile(json!({ "patternProperties": { pattern: {} } })).expect_err(pattern);
        assert_eq!(found[0].0, "schema_pattern");
    }
    // A backtracking engine runs out of steps on these and says so; ours has no steps to run out of, so it answers.
    for pattern in ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "^(.*a){12}$", "^([a-z]+)*$"] {
        let schema = compile(json!({ "pattern": pattern })).expect(pattern);
        let text = "a".repeat(100_000) + "!";
        let violations = schema.check(&json!(text));
        assert_eq!(violations.len(), 1, "{pattern}");
        assert!(violations[0].message.contains("does not match the pattern"), "{}", violations[0].message);
        assert!(violations[0].message.len() < 200);
    }
}

#[test]
fn every_embedded_schema_compiles_and_describes_itself() {
    for name in schema::NAMES {
        let text = schema::embedded(name).unwrap();
        let document: Value = serde_json::from_str(text).unwrap();
        assert!(document["description"].is_string() && document["additionalProperties"] == json!(false), "{name}");
        assert_eq!(compile(document).map(drop), Ok(()), "{name}");
    }
    assert_eq!(schema::embedded("nonsense"), None);
}
