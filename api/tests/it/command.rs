//! The command as an operator starts it: what it cannot serve with, it says, and ends.

use std::process::{Command, Output};

/// Runs `appserver-api` to its end with these settings and no others.
fn run(settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_appserver-api"));
    command.env_clear().env("API_LISTEN", "127.0.0.1:0");
    command.env("JWT_JWKS_URL", "http://127.0.0.1:9/jwks").env("JWT_ISSUER", "https://id.example");
    command.envs(settings.iter().copied()).output().unwrap()
}

#[test]
fn a_setting_that_is_missing_is_a_usage_error_that_names_it() {
    let ended = run(&[]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8(ended.stderr).unwrap().contains("DATABASE_URL"));
}

#[test]
fn what_cannot_be_served_with_is_told_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}", folder.path().join("jobs.sqlite").display());
    let artifacts = folder.path().join("artifacts").display().to_string();
    let cases: [(&str, &[(&str, &str)]); 5] = [
        ("DATABASE_URL", &[("DATABASE_URL", "mysql://me:hunter2@127.0.0.1/x")]),
        ("DATABASE_URL", &[("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:9/x")]),
        ("LINK_KEY", &[("DATABASE_URL", &sqlite), ("LINK_KEY", "hunter2")]),
        ("APP_ID", &[("DATABASE_URL", &sqlite), ("APP_ID", "no app!")]),
        (
            "ARTIFACTS_URL",
            &[
                ("DATABASE_URL", &sqlite),
                ("ARTIFACTS_URL", "https://x.example/y"),
                ("AZURE_STORAGE_ACCOUNT_KEY", "hunter2"),
            ],
        ),
    ];
    for (name, settings) in cases {
        let settings: Vec<_> = settings.iter().copied().chain([("ARTIFACTS_DIR", artifacts.as_str())]).collect();
        let ended = run(&settings);
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(name), "{name}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
