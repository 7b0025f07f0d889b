//! compose.yaml brought up without an engine of containers: what it says of each service of ours, with what the Dockerfile says of its image, is
//! started as a process, in the order and after the conditions that it names. Names of hosts, addresses and mounts become those of this computer;
//! Postgres and Azurite are the tests' own. Not shown by it: images, networks, read-only roots, capabilities.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::jobs::deployment::{Program, beside, free};
use crate::support::{copy, repository};

/// What an image is by the Dockerfile.
#[derive(Debug, Default, Clone)]
struct Image {
    environment: Vec<(String, String)>,
    entrypoint: Vec<String>,
    command: Vec<String>,
    health: Vec<String>,
}

/// The platform as far as it is up.
struct Composed {
    document: Value,
    images: BTreeMap<String, Image>,
    folder: PathBuf,
    /// What is said for containers, and what it is here; longer ones first.
    words: Vec<(String, String)>,
    /// What whoever starts it gives.
    given: Vec<(&'static str, String)>,
    running: BTreeMap<String, Program>,
    /// Services in the order in which they were up or over.
    order: Vec<String>,
}

/// The stages of the Dockerfile that are images of ours.
fn images() -> BTreeMap<String, Image> {
    let (mut images, mut now) = (BTreeMap::<String, Image>::new(), None);
    let text = fs::read_to_string(repository().join("Dockerfile")).unwrap().replace("\\\n", " ");
    let list = |text: &str| -> Vec<String> { serde_json::from_str(text.trim()).unwrap() };
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "FROM" {
            now = rest.strip_prefix("base AS ").map(|name| name.trim().to_owned());
        }
        let Some(image) = now.as_ref().map(|name| images.entry(name.clone()).or_default()) else { continue };
        match word {
            "ENV" => image.environment.extend(
                rest.split_whitespace().map(|pair| pair.split_once('=').unwrap()).map(|(n, v)| (n.into(), v.into())),
            ),
            "ENTRYPOINT" => image.entrypoint = list(rest),
            "CMD" => image.command = list(rest),
            "HEALTHCHECK" => image.health = list(rest.split_once("CMD").unwrap().1),
            _ => {}
        }
    }
    assert_eq!(images.keys().collect::<Vec<_>>(), ["api", "appserver", "simnode", "worker"]);
    images
}

/// A path in another place, and what is below it; not where it is a part of another path.
fn moved(text: &str, from: &str, to: &str) -> String {
    let (mut whole, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(from) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        let path = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
        let inside = before.ends_with(path) || after.starts_with(|next: char| next != '/' && path(next));
        whole.push_str(before);
        whole.push_str(if inside { from } else { to });
        rest = after;
    }
    whole + rest
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
}

// === impl Composed ===

impl Composed {
    fn service(&self, name: &str) -> &Value {
        &self.document["services"][name]
    }

    /// Its image: by the Dockerfile where that is one of ours, else as it is known to be.
    fn image(&self, name: &str) -> Image {
        let image = self.service(name)["image"].as_str().unwrap();
        match image.strip_prefix("appserver/") {
            Some(ours) => self.images[ours].clone(),
            None if image.contains("/prometheus:") => {
                Image { entrypoint: vec!["prometheus".to_owned()], ..Image::default() }
            }
            None => Image::default(),
        }
    }

    /// As it is said for a container, in the words of this computer.
    fn here(&self, text: &str) -> String {
        let text = self.words.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        let mut whole = String::new();
        let mut rest = text.as_str();
        while let Some((before, variable)) = rest.split_once("${") {
            let (variable, after) = variable.split_once('}').unwrap();
            let (name, default) = variable.split_once([':', '-', '?']).unwrap();
            let given = self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str());
            let needed = default.starts_with('?');
            assert!(given.is_some() || !needed, "{variable}");
            whole.push_str(before);
            whole.push_str(given.unwrap_or(default.trim_start_matches('-')));
            rest = after;
        }
        whole + rest
    }

    /// What a service's mounts and secrets make of its paths: each of its own folder, as in a container.
    fn mounted(&self, name: &str, text: &str) -> String {
        let own = self.folder.join("mounts").join(name);
        let mut text = self.here(text).replace("/run/secrets", self.folder.join("secrets").to_str().unwrap());
        for volume in words(&self.service(name)["volumes"]) {
            let mut parts = volume.split(':');
            let (source, target) = (parts.next().unwrap(), parts.next().unwrap());
            let place = own.join(target.trim_start_matches('/'));
            // The mount itself, or the folder that mounts are in.
            let top = target[1..].split('/').next().unwrap();
            text = moved(&text, target, place.to_str().unwrap());
            if text == format!("/{top}") {
                text = own.join(top).into_os_string().into_string().unwrap();
            }
            if !place.exists() {
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                match source.strip_prefix("./").map(|source| self.folder.join(source)) {
                    None => fs::create_dir(&place).unwrap(),
                    // Copied: a registry takes nothing by links that lead out of it.
                    Some(source) if source.is_dir() => copy(&source, &place),
                    Some(source) => {
                        // There before its own paths are looked for.
                        fs::write(&place, "").unwrap();
                        let content = fs::read_to_string(source).unwrap();
                        fs::write(&place, self.mounted(name, &content)).unwrap();
                    }
                }
            }
        }
        text
    }

    /// The command of a service with all that it is told.
    fn command(&self, name: &str, line: &[String], image: &Image) -> Command {
        let program = Path::new(&line[0]).file_name().unwrap().to_str().unwrap();
        let ours = line[0].starts_with("/bin/");
        let mut command = Command::new(if ours { beside(program) } else { program.into() });
        command.args(line[1..].iter().map(|word| self.mounted(name, word)));
        // A container has what its image and the file say, and no more.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        let own = self.service(name)["environment"].as_object().into_iter().flatten();
        let own = own.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        for (variable, value) in image.environment.iter().cloned().chain(own) {
            command.env(variable, self.mounted(name, &value));
        }
        for secret in words(&self.service(name)["secrets"]) {
            assert!(self.folder.join("secrets").join(&secret).exists(), "{name}: prepare makes no {secret}");
        }
        command.current_dir(&self.folder);
        command
    }

    /// Brings a service up, or lets it end, after all that it waits for.
    async fn up(&mut self, name: &str) {
        if self.order.iter().any(|up| up == name) {
            return;
        }
        let needs = self.service(name)["depends_on"].as_object().cloned().unwrap_or_default();
        for (other, how) in needs {
            Box::pin(self.up(&other)).await;
            let over = how["condition"] == "service_completed_successfully";
            assert_eq!(over, self.service(&other)["restart"] == "no", "{name} waits for {other} in vain: {how}");
        }
        let log = self.folder.join(format!("{name}.log"));
        let service = self.service(name).clone();
        let image = self.image(name);
        let told = |value: &Value, usual: &[String]| if value.is_null() { usual.to_vec() } else { words(value) };
        let mut line = told(&service["entrypoint"], &image.entrypoint);
        line.extend(told(&service["command"], &image.command));
        if service["restart"] == "no" {
            let output = self.command(name, &line, &image).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name} does not end well: {line:?} {said}");
        } else {
            if name == "node" {
                // Its port is its own default.
                let (_, port) =
                    self.here("node:6500").rsplit_once(':').map(|(h, p)| (h.to_owned(), p.to_owned())).unwrap();
                line.extend(["--port".to_owned(), port]);
            }
            let mut program = Program::spawn(self.command(name, &line, &image), log, "");
            let health = words(&service["healthcheck"]["test"]);
            let health = if health.is_empty() { image.health.clone() } else { health[1..].to_vec() };
            // Debian's promtool is older than the image's, and cannot ask.
            let health = if health.first().is_some_and(|word| word == "promtool") { Vec::new() } else { health };
            self.until_healthy(name, &health, &image, &mut program).await;
            self.running.insert(name.to_owned(), program);
        }
        self.order.push(name.to_owned());
    }

    /// What its health check says, as an engine asks it: with all that the service is told.
    async fn until_healthy(&self, name: &str, health: &[String], image: &Image, program: &mut Program) {
        for _ in 0..300 {
            assert!(program.child.try_wait().unwrap().is_none(), "{name} ended: {}", program.said());
            if health.is_empty() {
                return;
            }
            if self.command(name, health, image).output().unwrap().status.success() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{name} does not become healthy by {health:?}: {}", program.said());
    }
}

mod slow {
    use serde_json::json;

    use super::*;
    use crate::auth::publish;
    use crate::azurite::{azurite, make_container};
    use crate::jobs::deployment::sql;
    use crate::monitoring::tool;

    /// The file as data, with its anchors put in.
    fn document(tools: &Path) -> Value {
        let read = "import json, sys\nfrom ruamel.yaml import YAML\njson.dump(YAML(typ='safe').load(open(sys.argv[1])), sys.stdout)";
        let mut python = Command::new(tools.join("bin/python"));
        let output = python.args(["-c", read]).arg(repository().join("compose.yaml")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Where everything is on this computer.
    struct Places {
        gateway: String,
        operators: String,
        api: String,
        watcher: String,
        words: Vec<(String, String)>,
    }

    /// A database, a container and free addresses in place of those of the file.
    async fn places(server: &str, azurite: String) -> Places {
        let database = format!("p_{}", uuid::Uuid::new_v4().simple());
        sql(server, "postgres", &format!("CREATE DATABASE {database}")).await;
        let container = format!("c{}", uuid::Uuid::new_v4().simple());
        make_container(&azurite, &container);
        let (host, port) = server.rsplit_once(':').unwrap();
        let [node, gateway, operators, api, worker, watcher] = [(); 6].map(|()| free());
        let words = [
            ("http://node:6500/", format!("http://{node}/")),
            ("node:6500", node),
            ("gateway:3000", gateway.clone()),
            ("0.0.0.0:3000", gateway.clone()),
            ("0.0.0.0:3001", api.clone()),
            ("localhost:3001", api.clone()),
            ("0.0.0.0:3002", worker.clone()),
            ("api:3001", api.clone()),
            ("worker:3002", worker),
            ("address=:9091", format!("address={watcher}")),
            ("localhost:9091", watcher.clone()),
            ("scrape_interval: 15s", "scrape_interval: 1s".to_owned()),
            ("127.0.0.1:9090", operators.clone()),
            ("azurite:10000", azurite),
            ("az://artifacts", format!("az://{container}")),
            ("@postgres/appserver", format!("@{server}/{database}")),
            ("host=postgres", format!("host={host}\nport={port}")),
            ("dbname=appserver", format!("dbname={database}")),
            ("0.0.0.0", "127.0.0.1".to_owned()),
            // Of `roles`, whose file of services has the rest.
            ("PGHOST", host.to_owned()),
            ("PGDATABASE", database),
        ];
        let words = words.into_iter().map(|(from, to)| (from.to_owned(), to)).collect();
        Places { gateway, operators, api, watcher, words }
    }

    /// The file's secrets as `prepare` makes them, in a copy of what it needs; then in the words of this computer.
    fn prepare(composed: &Composed) {
        let folder = &composed.folder;
        for part in ["registry", "infra"] {
            copy(&repository().join(part), &folder.join(part));
        }
        let mut prepare = Command::new(folder.join("infra/compose/prepare"));
        let prepared = prepare.env("APPSERVER", beside("appserver")).output().unwrap();
        assert!(prepared.status.success(), "{}", String::from_utf8_lossy(&prepared.stderr));
        fs::create_dir(folder.join("secrets")).unwrap();
        for secret in fs::read_dir(folder.join("infra/compose/secrets")).unwrap() {
            let secret = secret.unwrap();
            let text = composed.here(&fs::read_to_string(secret.path()).unwrap());
            fs::write(folder.join("secrets").join(secret.file_name()), text).unwrap();
        }
    }

    #[tokio::test]
    #[ignore = "slow: the whole of compose.yaml, with Postgres and Azurite"]
    async fn compose_brings_the_platform_up_in_its_order_with_what_it_tells_each_program() {
        let set = |name: &str| std::env::var_os(name).map(|value| value.into_string().unwrap());
        let (tools, postgres) = (set("APPSERVER_TEST_INFRA"), set("APPSERVER_TEST_POSTGRES"));
        let (Some(tools), Some(postgres), Some(azurite)) = (tools, postgres, azurite()) else {
            assert!(std::env::var_os("CI").is_none(), "CI must not pass without them");
            eprintln!("SKIPPED: it takes APPSERVER_TEST_INFRA, APPSERVER_TEST_POSTGRES and APPSERVER_TEST_AZURITE");
            return;
        };
        if tool(&["prometheus"]).is_none() {
            return;
        }
        let places = places(postgres.rsplit('@').next().unwrap(), azurite).await;
        let issuer = identity::Issuer::new("one", "https://id.example", "authenticated").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut composed = Composed {
            document: document(Path::new(&tools)),
            images: images(),
            folder: folder.path().to_owned(),
            words: places.words.clone(),
            given: vec![("JWT_JWKS_URL", publish(&issuer).await), ("JWT_ISSUER", "https://id.example".to_owned())],
            running: BTreeMap::new(),
            // Those that are the tests' own.
            order: ["postgres", "azurite", "container"].map(str::to_owned).into(),
        };
        prepare(&composed);
        for name in ["PGHOST", "PGDATABASE"] {
            composed.document["services"]["roles"]["environment"][name] = json!(name);
        }
        let names: Vec<String> = composed.document["services"].as_object().unwrap().keys().cloned().collect();
        for name in &names {
            composed.up(name).await;
        }
        println!("{} services in the order {:?}", names.len(), composed.order);
        let place = |name: &str| composed.order.iter().position(|up| up == name).unwrap();
        for (first, then) in [("node", "gateway"), ("gateway", "api"), ("migrate", "roles"), ("roles", "worker")] {
            assert!(place(first) < place(then), "{first} before {then}: {:?}", composed.order);
        }
        assert_eq!(composed.running.keys().collect::<Vec<_>>(), ["api", "gateway", "node", "prometheus", "worker"]);

        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        it_solves(&client, &places, &composed, &issuer.token("user-1", "studio", None, 600).unwrap()).await;
        it_is_watched(&client, &places, &composed).await;

        // An engine stops them by SIGTERM.
        for name in ["worker", "api", "gateway"] {
            let mut program = composed.running.remove(name).unwrap();
            program.signal("TERM");
            assert_eq!(program.exit_code(), Some(0), "{name}: {}", program.said());
        }
    }

    /// What docs/container.md tries first, and a job.
    async fn it_solves(client: &reqwest::Client, places: &Places, composed: &Composed, token: &str) {
        let key = fs::read_to_string(composed.folder.join("secrets/app_server_key")).unwrap();
        let solve = client.post(format!("http://{}/gh/sitefit:stable/solve", places.gateway)).bearer_auth(&key);
        let inputs = json!({ "inputs": { "site_width": 30, "site_depth": 40 } });
        let answer = solve.header("x-tenant-id", "studio").body(inputs.to_string()).send().await.unwrap();
        let (status, answer) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(status, 200, "{answer}");
        let body = json!({ "definition": "sitefit", "version": "stable", "inputs": inputs["inputs"] });
        let run = client.post(format!("http://{}/sitefit/jobs/run", places.api)).bearer_auth(token);
        let run = run.header("prefer", "wait=25").body(body.to_string()).send().await.unwrap();
        let job: Value = run.json().await.unwrap();
        let said = |name: &str| composed.running[name].said();
        assert_eq!(job["status"], "succeeded", "{job}\n{}\n{}", said("api"), said("worker"));
    }

    /// All three are scraped under the names that the rules go by, and the rules are those of infra/monitoring.
    async fn it_is_watched(client: &reqwest::Client, places: &Places, composed: &Composed) {
        let scraped = client.get(format!("http://{}/metrics", places.operators)).send().await.unwrap();
        assert!(scraped.text().await.unwrap().contains("appserver_requests_total{app_id=\"sitefit\""));
        let query = format!("http://{}/api/v1/query?query=up", places.watcher);
        let mut up = Vec::new();
        for _ in 0..120 {
            if let Ok(answer) = client.get(&query).send().await {
                let answer: Value = answer.json().await.unwrap();
                let word = |value: &Value| value.as_str().unwrap().to_owned();
                let jobs = answer["data"]["result"].as_array().unwrap().iter();
                up = jobs.map(|job| (word(&job["metric"]["job"]), word(&job["value"][1]))).collect();
                up.sort();
            }
            if up.len() == 3 && up.iter().all(|(_, up)| up == "1") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let all = ["appserver", "appserver-api", "appserver-worker"].map(|job| (job.to_owned(), "1".to_owned()));
        assert_eq!(up, all, "{}", composed.running["prometheus"].said());
        let rules = client.get(format!("http://{}/api/v1/rules", places.watcher)).send().await.unwrap();
        assert!(rules.text().await.unwrap().contains("AppBudgetBurnsFast"));
    }
}
