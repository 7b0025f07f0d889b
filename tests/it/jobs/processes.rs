//! The three programs as processes of their own, over a Postgres, as a deployment runs them: `appserver migrate` makes the schema,
//! each program logs in as itself, and a signal ends it.

use std::time::Duration;

use serde_json::{Value, json};

use super::deployment::{Deployment, Program};
use super::small;
use crate::support::WORKER_KEY;

#[tokio::test]
async fn three_programs_over_postgres_run_a_job_say_nothing_of_its_inputs_and_end_when_told_to() {
    let Some(deployment) = Deployment::new().await else { return };
    let mut gateway = deployment.gateway().await;
    let mut api = deployment.api(&gateway.url).await;
    let mut worker = deployment.worker(&gateway.url).await;
    let token = deployment.issuer.token("user-1", "studio", None, 600).unwrap();
    let run = async |body: &Value| {
        let request = deployment.client.post(format!("{}/sitefit/jobs/run", api.url)).bearer_auth(&token);
        let answer = request.header("idempotency-key", "canary-key").body(body.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    // Words and figures that are to be in no log.
    let mut body = small();
    body["inputs"]["site_width"] = json!("canary-text");
    assert_eq!(run(&body).await.0, 422);
    body["inputs"]["site_width"] = json!(31.415_926_535);
    let (status, job) = run(&body).await;
    assert_eq!(status, 202, "{job}");
    let status_url = job["status_url"].as_str().unwrap();
    let mut now = Value::Null;
    for _ in 0..1500 {
        now = deployment.get(status_url, &token).await.1;
        if ["succeeded", "failed", "dead"].iter().any(|ended| now["status"] == *ended) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(now["status"], "succeeded", "{now}\n{}", worker.said());
    let (status, result) = deployment.get(job["result_url"].as_str().unwrap(), &token).await;
    assert_eq!((status, result["outputs"].is_object()), (200, true), "{result}");
    let artifact = result["artifacts"][0]["url"].as_str().unwrap();
    let fetched = deployment.client.get(artifact).send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(fetched["outputs"], result["outputs"]);
    // Each is ready with all that it stands on, and has tidied up with its own rights.
    assert_eq!(deployment.get(&format!("{}/readyz", api.url), &token).await.0, 200);
    let figures = until_said(&deployment, &worker, "appserver_job_upkeep_total{what=\"swept\"}").await;
    assert!(!figures.contains("what=\"failed\""), "{figures}\n{}", worker.said());
    for program in [&mut worker, &mut api, &mut gateway] {
        program.signal("TERM");
        assert_eq!(program.exit_code(), Some(0), "{}", program.said());
    }
    for (program, own) in [(&gateway, "sitefit"), (&api, "jobs/run"), (&worker, "succeeded")] {
        let said = program.said();
        assert!(said.contains(own), "a log that is none shows nothing: {said}");
        for word in ["canary", "31.41592", WORKER_KEY, token.as_str()] {
            assert!(!said.contains(word), "{word} in {}: {said}", program.log.display());
        }
    }
    deployment.node.stop().await;
}

async fn until_said(deployment: &Deployment, program: &Program, wanted: &str) -> String {
    for _ in 0..1500 {
        let answer = deployment.client.get(format!("{}/metrics", program.url)).send().await.unwrap();
        let text = answer.text().await.unwrap();
        if text.contains(wanted) {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no {wanted} within 30 s: {}", program.said());
}
