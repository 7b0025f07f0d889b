//! Which log lines the job API and the worker write, changed by an operator while they run, as it is done at a gateway.

use std::process::Command;
use std::time::Duration;

use contract::Digest;
use serde_json::Value;

use super::deployment::{Deployment, Program, free};
use super::small;

const ADMIN_KEY: &str = "as_operators_key";

/// `appserver log-level …` with the operators' key: exit code, data, talk.
fn log_level(url: &str, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_appserver"));
    command.arg("log-level").args(words).args(["--url", url]).env("APPSERVER_ADMIN_KEY", ADMIN_KEY);
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().trim().to_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// The access lines that name this job.
fn lines(program: &Program, target: &str, job: &str) -> usize {
    let lines = program.said();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == target && line["job_id"] == job).count()
}

#[tokio::test]
async fn api_and_worker_write_other_lines_for_a_while_for_operators_on_their_computer_only() {
    let Some(mut deployment) = Deployment::new().await else { return };
    let (called, of_api, of_worker) = (free(), free(), free());
    deployment.more.push(("appserver-api", "API_ADMIN_LISTEN", of_api.clone()));
    for program in ["appserver-api", "appserver-worker"] {
        deployment.more.push((program, "RUST_LOG", "warn".to_owned()));
        deployment.more.push((program, "ADMIN_KEY_SHA256", Digest::of(ADMIN_KEY).to_string()));
    }
    let mut gateway = deployment.gateway().await;
    let api = deployment.api_at(&called, &gateway.url).await;
    let worker = deployment.worker_at(&of_worker, &gateway.url).await;
    let token = deployment.issuer.token("user-1", "studio", None, 600).unwrap();
    let programs = [(&api, "api::access", format!("http://{of_api}")), (&worker, "worker::access", worker.url.clone())];
    let job = async || {
        let (status, job) = deployment.run(&api, "sitefit", &small(), &token).await;
        assert_eq!(job["status"], "succeeded", "{status} {job}\n{}", worker.said());
        job["job_id"].as_str().unwrap().to_owned()
    };

    let unheard = job().await;
    for (_, _, url) in &programs {
        assert_eq!(log_level(url, &[]), (0, "warn".into(), String::new()), "{url}");
        assert_eq!(log_level(url, &["info", "--for", "1h"]).1, "info  (for 3600 s more, then warn)");
    }
    let heard = job().await;
    for (program, target, url) in &programs {
        for _ in 0..250 {
            if lines(program, target, &heard) > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(lines(program, target, &heard) > 0 && lines(program, target, &unheard) == 0, "{}", program.said());
        // A later change takes the place of the first; its time ends by itself, and the log has both.
        assert_eq!(log_level(url, &["info", "--for", "1s"]).0, 0);
    }
    for (program, target, url) in &programs {
        for _ in 0..100 {
            if log_level(url, &[]).1 == "warn" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(log_level(url, &[]).1, "warn", "the time is over");
        assert!(program.said().contains("by an operator, for 3600 s"), "{target}: {}", program.said());
        let (code, _, talk) = log_level(url, &["inof"]);
        assert!(code == 1 && talk.starts_with("error: `inof` is no level"), "{code} {talk}");
        assert_eq!(log_level(url, &["off"]).1, "off  (until the next change or restart; started with warn)");
        assert_eq!(log_level(url, &["--reset"]).1, "warn");

        // Whoever has no key, and a page in a browser on this computer that has one.
        let level = format!("{url}/admin/log-level");
        let status = async |request: reqwest::RequestBuilder| {
            request.body(r#"{"filter":"trace"}"#).send().await.unwrap().status().as_u16()
        };
        assert_eq!(status(deployment.client.put(&level)).await, 401);
        assert_eq!(status(deployment.client.get(&level).bearer_auth("as_other")).await, 401);
        let page = deployment.client.put(&level).bearer_auth(ADMIN_KEY).header("origin", url);
        assert_eq!(status(page).await, 403);
        let named = deployment.client.put(&level).bearer_auth(ADMIN_KEY).header("host", "rebound.example");
        assert_eq!(status(named).await, 403);
        assert_eq!(log_level(url, &[]).1, "warn");
        assert!(!program.said().contains(ADMIN_KEY));
    }

    // The callers' listener has no such address; the operators' has the figures, too.
    let asked = deployment.client.get(format!("http://{called}/admin/log-level")).bearer_auth(ADMIN_KEY).send().await;
    assert_eq!(asked.unwrap().status(), 404);
    let figures = deployment.client.get(format!("http://{of_api}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(figures.contains("appserver_api_requests_total{"), "{figures}");
    gateway.signal("TERM");
    assert_eq!(gateway.exit_code(), Some(0));
    deployment.node.stop().await;
}

#[tokio::test]
async fn an_api_has_no_operators_listener_that_others_could_reach() {
    let api = |settings: &[(&str, &str)]| {
        let mut command = Command::new(super::deployment::beside("appserver-api"));
        let needed =
            [("JWT_JWKS_URL", "http://127.0.0.1:1/"), ("JWT_ISSUER", "x"), ("DATABASE_URL", "sqlite::memory:")];
        command.env_remove("PORT").envs(needed).env("API_LISTEN", "127.0.0.1:0").envs(settings.iter().copied());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = api(&[("API_ADMIN_LISTEN", "0.0.0.0:0")]);
    assert!(code == Some(1) && said.contains("must be a loopback address"), "{said}");
    let (code, said) = api(&[("ADMIN_KEY_SHA256", "as_operators_key")]);
    assert!(code == Some(2) && said.contains("`sha256:` and 64 lower-case hex digits"), "{said}");
}
