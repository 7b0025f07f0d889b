//! Every error code and every rule is explained, the same way at the prompt, in the docs, and by a running gateway.

use std::collections::BTreeSet;
use std::fs;

use appserver::explain::{self, Kind};
use serde_json::Value;

use crate::check::Bench;
use crate::support::{Setup, TestGateway, repository};
use crate::tidy;

/// What begins a call whose first plain word in quotes is a rule.
const MAKERS: [&str; 15] = [
    "Check::good(",
    "Check::poor(",
    "Check::bad(",
    "fault(",
    "key_fault(",
    "Fault::new(",
    "Fault::of_file(",
    "of_file(",
    "Lint::new(",
    "Finding::new(",
    "Violation::new(",
    "refuse(",
    "let rule =",
    "code:",
    "error(",
];

fn is_word(text: &str) -> bool {
    let lower = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    lower && text.contains('_') && !text.starts_with('_') && !text.ends_with('_')
}

/// The words that stand first in the calls that make faults and findings.
fn rules() -> BTreeSet<String> {
    let mut rules = BTreeSet::new();
    let places = ["contract/src/", "src/registry", "src/governance", "src/nodes/warm"];
    for (name, text) in tidy::product_sources() {
        if !places.iter().any(|place| name.starts_with(place)) || name.contains("/tests") {
            continue;
        }
        for maker in MAKERS {
            for (at, _) in text.match_indices(maker) {
                let call: String = text[at + maker.len()..].chars().take(240).collect();
                let call = call.split(';').next().unwrap_or_default();
                // Every second piece stands in quotes.
                let first =
                    call.split('"').skip(1).step_by(2).find(|quoted| !quoted.is_empty() && !quoted.starts_with('/'));
                rules.extend(first.filter(|word| is_word(word)).map(str::to_owned));
            }
        }
    }
    rules
}

#[test]
fn every_rule_that_is_made_somewhere_has_a_page() {
    let rules = rules();
    assert!(rules.len() > 60, "the scan found {} rules only: {rules:?}", rules.len());
    // Names of files, keys and members that the scan takes for rules.
    let others = ["model_units"];
    let silent: Vec<_> =
        rules.iter().filter(|rule| explain::page(rule).is_none() && !others.contains(&rule.as_str())).collect();
    assert!(silent.is_empty(), "without a page in src/explain/: {silent:?}");
}

#[test]
fn every_rule_of_compatibility_has_its_own_page() {
    for rule in contract::compat::RULES {
        let page = explain::page(rule.word).unwrap();
        assert_eq!((page.kind, page.cause, page.example), (Kind::Change, rule.says, rule.example), "{}", rule.word);
        let says_how = page.fix.contains(&rule.needs.to_string()) || rule.help.contains("version");
        assert!(says_how && !page.fix.contains("version, or publish"), "{}: {}", rule.word, page.fix);
    }
}

#[test]
fn every_page_of_a_rule_is_of_a_rule_that_there_is() {
    let sources: String = tidy::product_sources()
        .into_iter()
        .filter(|(name, _)| name.starts_with("contract/src/") || name.starts_with("src/"))
        .map(|(_, text)| text)
        .collect();
    for page in explain::pages().filter(|page| page.kind != Kind::Error) {
        assert!(sources.contains(&format!("\"{}\"", page.word)), "nothing makes `{}`", page.word);
    }
}

#[test]
fn every_code_of_the_gateway_has_a_page_with_its_title() {
    let table = fs::read_to_string(repository().join("src/gateway/error.rs")).unwrap();
    let mut codes = BTreeSet::new();
    for call in table.split("say(").skip(1) {
        let quoted: Vec<&str> = call.split('"').skip(1).step_by(2).take(2).collect();
        let [code, title] = quoted[..] else { continue };
        if !call.trim_start().starts_with(|first: char| first.is_ascii_digit()) {
            continue;
        }
        let page = explain::page(code).unwrap_or_else(|| panic!("`{code}` has no page in src/explain/errors.txt"));
        assert_eq!((&*page.title, page.kind), (title, Kind::Error), "{code}");
        codes.insert(code);
    }
    let pages: BTreeSet<&str> =
        explain::pages().filter(|page| page.kind == Kind::Error).map(|page| page.word).collect();
    assert_eq!(codes, pages);
}

#[test]
fn the_docs_say_what_the_pages_say() {
    let errors = fs::read_to_string(repository().join("docs/errors.md")).unwrap();
    for page in explain::pages().filter(|page| page.kind == Kind::Error) {
        let row = errors.lines().find(|line| line.starts_with(&format!("| `{}` |", page.word)));
        let end = format!("| {} {} |", page.cause, page.fix);
        assert!(
            row.is_some_and(|row| row.ends_with(&end)),
            "the row of `{}` in docs/errors.md must end in {end}",
            page.word
        );
    }
    let rules = fs::read_to_string(repository().join("docs/rules.md")).unwrap();
    assert!(rules == explain::markdown(), "docs/rules.md: run `appserver explain --markdown > docs/rules.md`");
}

#[test]
fn the_prompt_explains_a_word_and_answers_a_near_miss() {
    let bench = Bench::empty();
    let ran = bench.run(&["explain", "binding_invisible"]);
    assert_eq!(ran.code, 0);
    for part in ["binding_invisible: ", "\nCause: ", "\nFix: ", "\nExample: ", "RH_IN"] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let page: Value = serde_json::from_str(&bench.run(&["explain", "app_busy", "--json"]).out).unwrap();
    assert_eq!((&page["word"], &page["kind"]), (&"app_busy".into(), &"error".into()));
    let all: Value = serde_json::from_str(&bench.run(&["explain", "--json"]).out).unwrap();
    assert_eq!(all.as_array().unwrap().len(), explain::pages().count());
    let miss = bench.run(&["explain", "binding_unkown"]);
    assert_eq!(miss.code, 4);
    assert!(miss.talk.contains("did you mean `binding_unknown`?"), "{}", miss.talk);
}

#[test]
fn shells_and_manual_readers_are_served() {
    let bench = Bench::empty();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = bench.run(&["completions", shell]);
        assert!(ran.code == 0 && ran.out.contains("deny-warnings"), "{shell}: {}", ran.talk);
    }
    let script = bench.run(&["completions", "bash"]).out;
    fs::write(bench.path("complete.bash"), script).unwrap();
    let typed = "source complete.bash; COMP_WORDS=(appserver expl); COMP_CWORD=1; _appserver appserver expl appserver; \
                 echo \"${COMPREPLY[@]}\"";
    let output = std::process::Command::new("bash").current_dir(bench.path("")).args(["-c", typed]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "explain",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let page = bench.run(&["man"]).out;
    assert!(page.contains(".TH appserver 1") && page.contains("Exit codes"), "{page}");
    assert_eq!(bench.run(&["man", "--out", "pages"]).code, 0);
    let check = fs::read_to_string(bench.path("pages/appserver-check.1")).unwrap();
    assert!(check.contains("\\-\\-deny\\-warnings"), "{check}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_serves_the_page_of_each_code_as_text_and_as_html() {
    let gateway = TestGateway::with(Setup::default()).await;
    let ask = |path: &str, accept: &'static str| {
        let request = gateway.client.get(format!("{}{path}", gateway.base)).header("accept", accept);
        async { crate::support::Answered::of(request.send().await.unwrap()).await }
    };
    let text = ask("/problems/unknown_version", "*/*").await;
    assert_eq!(
        (text.status, text.text.trim_end()),
        (200, explain::page("unknown_version").unwrap().to_string().as_str())
    );
    let html = ask("/problems/unknown_route", "text/html,application/xhtml+xml,*/*;q=0.8").await;
    assert_eq!((html.status, &html.headers["content-type"]), (200, &"text/html; charset=utf-8".parse().unwrap()));
    assert!(html.text.contains("POST /gh/&lt;definition&gt;:&lt;version&gt;/solve"), "{}", html.text);
    for page in explain::pages() {
        assert_eq!(ask(&format!("/problems/{}", page.word), "text/plain").await.status, 200, "{}", page.word);
    }
    assert!(ask("/problems/", "text/html").await.text.contains("binding_invisible"));
    assert!(ask("/problems", "text/plain").await.text.contains("rate_limited: "));
    let miss = ask("/problems/rate_limitted", "text/html").await;
    assert!(miss.status == 404 && miss.text.contains("/problems/rate_limited?"), "{}", miss.text);
    let post = gateway.client.post(format!("{}/problems/rate_limited", gateway.base)).send().await.unwrap();
    assert_eq!(post.status(), 405);
    gateway.stop().await;
}
