//! JSON and schemas that were written to hurt.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use contract::json::{ErrorKind, Limits, SMALL, parse};
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
    let limits = Limits { string_bytes: 1 << 20, ..Limits::default() };
    let refused = |text: String| parse(text.as_bytes(), &limits).expect_err("a bomb").kind;
    let wide = |item: &str, count: usize| format!("[{}{item}]", format!("{item},").repeat(count));
    assert_eq!(refused(wide(r#"{"":0}"#, 300_000)), ErrorKind::TooMuchMemory(limits.growth * (7 * 300_000 + 8)));
    assert_eq!(refused(wide(r#"{"":0}"#, 20_000)), ErrorKind::TooMuchMemory(SMALL));
    assert_eq!(refused(wide("[]", 1_100_000)), ErrorKind::TooManyValues(limits.nodes));
    assert_eq!(refused("[".repeat(100_000)), ErrorKind::TooDeep(limits.depth));
    assert_eq!(refused("{\"a\":".repeat(100_000)), ErrorKind::TooDeep(limits.depth));
    let keys: Vec<_> = (0..2_000).map(|key| format!("\"{key}\":0")).collect();
    assert_eq!(refused(format!("{{{}}}", keys.join(","))), ErrorKind::TooManyKeys(limits.keys_per_object));
    let long = "x".repeat(2 << 20);
    assert_eq!(refused(format!("\"{long}\"")), ErrorKind::LongString(long.len(), limits.string_bytes));
    assert_eq!(refused(format!("{{\"{long}\":0}}")), ErrorKind::LongString(long.len(), limits.string_bytes));
    let deeper = Limits { depth: 10_000, ..limits };
    assert_eq!(parse("[".repeat(10_000).as_bytes(), &deeper).expect_err("a bomb").kind, ErrorKind::TooDeep(127));
    assert_eq!(kind(&vec![b' '; 2 << 20]), Err(ErrorKind::Syntax("EOF while parsing a value".to_owned())));
    let short = Limits { bytes: 1 << 20, ..limits };
    let error = parse(&vec![b' '; 2 << 20], &short).expect_err("too long");
    assert_eq!(error.kind, ErrorKind::TooLong(2 << 20, 1 << 20));
}

#[test]
fn no_list_takes_more_memory_than_it_may_however_long_it_is() {
    for (item, count) in [
        ("0", 900_000),
        ("[]", 300_000),
        ("\"\"", 900_000),
        ("[0]", 400_000),
        ("[[0]]", 300_000),
        ("[1.234,5.678,0]", 100_000),
    ] {
        let text = format!("[{}{item}]", format!("{item},").repeat(count - 1));
        let value = kind(text.as_bytes()).unwrap_or_else(|kind| panic!("{item}: {kind}"));
        assert_eq!(value.as_array().map(Vec::len), Some(count));
        // Each list has the room that it needs, and no more.
        let lists = [value.as_array(), value[0].as_array()].into_iter().flatten();
        assert!(lists.clone().all(|list| list.capacity() == list.len()), "{item}");
    }
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

/// The least time that this takes: a machine that does something else now and then does not lengthen it.
fn least_time<R>(work: impl Fn() -> R) -> Duration {
    let once = |_| {
        let begin = Instant::now();
        std::hint::black_box(work());
        begin.elapsed()
    };
    (0..7).map(once).min().expect("there are seven")
}

#[test]
fn c10_a_mebibyte_against_a_pattern_costs_in_proportion_to_its_length() {
    for pattern in ["^(a+)+$", "^(a|aa)+$", "^(.*a){12}$", "^[a-z]+( [a-z]+)*$", r"^\p{L}{1,60}$"] {
        let schema = compile(json!({ "pattern": pattern })).expect(pattern);
        let [short, long] = [64 << 10, 1 << 20].map(|length: usize| {
            let text = json!("a".repeat(length - 1) + "!");
            least_time(|| assert_eq!(schema.check(&text).len(), 1, "{pattern}"))
        });
        // Sixteen times the text; a square would be 256 times the time.
        assert!(long < 64 * short + Duration::from_millis(50), "{pattern}: {short:?}, then {long:?}");
    }
}

/// The hash that a keyed one is not: what collides in it can be written down.
fn fnv(state: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(state, |state, byte| (state ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Six letters for a number. Many of them are made, in a build that is not optimised.
fn block(number: u32) -> [u8; 6] {
    std::array::from_fn(|place| b"0123456789abcdef"[(number >> (4 * place)) as usize & 15])
}

/// As many keys of one length and one FNV-1a: blocks of which two lead to the same state follow each other.
fn colliding(count: usize) -> Vec<String> {
    let (mut keys, mut state) = (vec![String::new()], 0x811c_9dc5);
    while keys.len() < count {
        let mut seen = HashMap::new();
        let (one, other) = (0..)
            .find_map(|number: u32| {
                let before = seen.insert(fnv(state, &block(number)), number);
                before.map(|before| {
                    [before, number].map(|number| String::from_utf8(block(number).to_vec()).expect("ASCII"))
                })
            })
            .map(|[one, other]| (one, other))
            .expect("a state of 32 bits comes again");
        state = fnv(state, one.as_bytes());
        keys = keys.iter().flat_map(|key| [&one, &other].map(|block| format!("{key}{block}"))).collect();
    }
    keys.truncate(count);
    let hashes: HashSet<u32> = keys.iter().map(|key| fnv(0x811c_9dc5, key.as_bytes())).collect();
    assert_eq!((keys.len(), hashes.len()), (count, 1));
    keys
}

#[test]
fn c7_keys_that_collide_cost_what_other_keys_cost() {
    let keys_max = Limits::default().keys_per_object;
    let bad = colliding(keys_max);
    // Of the same lengths, and as alike at their beginnings.
    let plain: Vec<String> = (0..keys_max).map(|number| format!("{:0>width$}", number, width = bad[0].len())).collect();
    let text = |keys: &[String]| {
        let members: Vec<String> = keys.iter().map(|key| format!("\"{key}\":0")).collect();
        format!("[{}]", vec![format!("{{{}}}", members.join(",")); 100].join(","))
    };
    // A hundred thousand keys each.
    let [bad, plain] = [text(&bad), text(&plain)].map(|text| least_time(|| kind(text.as_bytes()).unwrap()));
    // Quadratic would be 500 times as long.
    assert!(bad < 3 * plain + Duration::from_millis(50), "{bad:?}, and others {plain:?}");
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
