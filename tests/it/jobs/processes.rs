//! The three programs as processes of their own, over a Postgres, as a deployment runs them: `appserver migrate` makes the schema,
//! each program logs in as itself, and a signal ends it.

use std::time::Duration;

use serde_json::{Value, json};

use super::deployment::{Deployment, Program};
use super::small;
use crate::azurite::KEY;
use crate::broker::{Broker, Rules};
use crate::support::WORKER_KEY;

#[tokio::test]
async fn three_programs_over_postgres_run_a_job_say_nothing_of_its_inputs_and_end_when_told_to() {
    if let Some(deployment) = Deployment::new().await {
        run_a_job(deployment).await;
    }
}

/// The same with Service Bus, by one setting.
#[tokio::test]
async fn three_programs_over_service_bus_run_a_job_and_the_log_does_not_know_its_key() {
    let (Some(mut deployment), Some(broker)) = (Deployment::new().await, Broker::start(Rules::default())) else {
        return;
    };
    for program in ["appserver-api", "appserver-worker"] {
        deployment.more.push((program, "SERVICEBUS_CONN", broker.connection("c2VjcmV0")));
    }
    run_a_job(deployment).await;
    let figure = |name| broker.figure("jobs-sitefit", name);
    assert_eq!((figure("accepted"), figure("completed"), figure("ready"), figure("locked")), (1, 1, 0, 0));
}

async fn run_a_job(deployment: Deployment) {
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
        for word in ["canary", "31.41592", WORKER_KEY, token.as_str(), "c2VjcmV0", "SharedAccessSignature", KEY] {
            assert!(!said.contains(word), "{word} in {}: {said}", program.log.display());
        }
    }
    deployment.node.stop().await;
}

mod slow {
    use std::collections::{BTreeMap, BTreeSet};

    use sqlx::{Connection as _, PgConnection};

    use super::*;
    use crate::azurite::{ACCOUNT, azurite, make_container};
    use crate::jobs::deployment::free;

    /// The same with artifacts in Azure's blob store, whose links the API signs.
    #[tokio::test]
    #[ignore = "slow: needs Azurite"]
    async fn three_programs_with_artifacts_in_azure_run_a_job_and_link_its_result() {
        let (Some(mut deployment), Some(address)) = (Deployment::new().await, azurite()) else { return };
        let container = format!("api-{}", uuid::Uuid::new_v4());
        make_container(&address, &container);
        for program in ["appserver-api", "appserver-worker"] {
            let settings = [
                ("ARTIFACTS_URL", format!("az://{container}")),
                ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.to_owned()),
                ("AZURE_STORAGE_ACCOUNT_KEY", KEY.to_owned()),
                ("AZURE_STORAGE_ENDPOINT", format!("http://{address}/{ACCOUNT}")),
                ("AZURE_ALLOW_HTTP", "true".to_owned()),
            ];
            deployment.more.extend(settings.map(|(name, value)| (program, name, value)));
        }
        run_a_job(deployment).await;
    }

    const CLIENTS: u32 = 8;
    const KEYS: u32 = 125;
    const KILLS: u64 = 20;

    /// J1 for the API: it is killed while callers submit, who ask again with the same key until they have an answer.
    #[tokio::test]
    #[ignore = "slow: an API that is killed twenty times, and 1,000 jobs"]
    async fn j1_kills_of_the_api_lose_no_job_that_was_answered_and_double_none() {
        let Some(deployment) = Deployment::new().await else { return };
        let gateway = deployment.gateway().await;
        let worker = deployment.worker(&gateway.url).await;
        let listen = free();
        let mut api = deployment.api_at(&listen, &gateway.url).await;
        let token = deployment.issuer.token("user-1", "studio", None, 3_600).unwrap();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (http, token, url) = (deployment.client.clone(), token.clone(), api.url.clone());
                tokio::spawn(async move {
                    let mut answered = BTreeMap::new();
                    for key in (0..KEYS).map(|key| format!("{client}-{key}")) {
                        // Twice: the second time it is a replay.
                        for _ in 0..2 {
                            let id = submit(&http, &url, &token, &key).await;
                            let before = answered.insert(key.clone(), id.clone());
                            assert!(before.is_none_or(|before| before == id), "{key} is two jobs");
                        }
                        // So that there is somebody at each kill.
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    answered
                })
            })
            .collect();
        for kill in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(150 + 41 * (kill % 5))).await;
            // What was there is killed when it is let go of.
            drop(api);
            api = deployment.api_at(&listen, &gateway.url).await;
        }
        let mut answered = BTreeSet::new();
        for client in clients {
            answered.extend(client.await.unwrap().into_values());
        }
        assert_eq!(answered.len(), (CLIENTS * KEYS) as usize);
        let query = |sql: &'static str| {
            let address = format!("postgres://postgres@{}/{}", deployment.server, deployment.database);
            async move {
                let mut raw = PgConnection::connect(&address).await.unwrap();
                sqlx::query_scalar::<_, String>(sql).fetch_all(&mut raw).await.unwrap()
            }
        };
        let made: BTreeSet<String> = query("SELECT id::text FROM appserver.job").await.into_iter().collect();
        assert_eq!(made, answered, "every job that is there was answered, and the other way round");
        let ends = "SELECT job_id::text FROM appserver.job_event WHERE kind = 'succeeded'";
        for _ in 0..1_800 {
            if query(ends).await.len() >= answered.len() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let ended = query(ends).await;
        assert_eq!((ended.len(), ended.into_iter().collect::<BTreeSet<_>>()), (answered.len(), answered));
        drop((api, worker, gateway));
        deployment.node.stop().await;
    }

    async fn submit(http: &reqwest::Client, url: &str, token: &str, key: &str) -> String {
        for _ in 0..3000 {
            let request =
                http.post(format!("{url}/sitefit/jobs/run")).bearer_auth(token).header("idempotency-key", key);
            if let Ok(answer) = request.body(small().to_string()).send().await
                && answer.status() == 202
                && let Ok(job) = answer.json::<Value>().await
            {
                return job["job_id"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{key} is never answered");
    }
}

pub(super) async fn until_said(deployment: &Deployment, program: &Program, wanted: &str) -> String {
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
