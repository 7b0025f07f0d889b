//! Hostile input at the whole gateway: what it costs in memory, and what of it gets on to a node or out of the registry.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use appserver::config::{Auth, AuthMode, Config};
use appserver::rhino::protocol::{Prepared, Source};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Setup, TestGateway, copy, repository, set_rates, sitefit};

/// A gateway that is a process of its own, so that its memory is its own.
struct Process {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Over the sample registry, with bodies of 1 MiB and nobody's rate in the way.
    fn start(node: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&repository().join("registry"), folder.path());
        set_rates(folder.path(), 100_000.0);
        let manifest = folder.path().join("contracts/sitefit/1.0.0/manifest.json");
        let mut value: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
        value["limits"]["request_bytes"] = json!(1 << 20);
        std::fs::write(manifest, value.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_appserver"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--registry"]).arg(folder.path());
        for name in ["PORT", "APPSERVER_CONFIG", "RHINO_COMPUTE_KEY"] {
            command.env_remove(name);
        }
        command.env("RHINO_COMPUTE_URL", node).env("APPSERVER_LOG_FORMAT", "json").env("APPSERVER_AUTH_MODE", "open");
        command.env("APPSERVER_WARM_ENABLED", "false").env("APPSERVER_SERVER_CONNECTIONS_PER_IP_MAX", "1000");
        command.env("APPSERVER_ADDRESS_REQUESTS_PER_SEC_MAX", "1000000").env("APPSERVER_ADDRESS_BURST", "1000000");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("it serves").unwrap();
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(address) = line["address"].as_str() {
                break address.parse().unwrap();
            }
        };
        // The rest is read, so that the log never blocks it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, _folder: folder }
    }

    /// The most memory that it ever had, in bytes.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    }

    /// Sends these bytes on as many connections at once, and gives the statuses that came back.
    async fn send(&self, count: usize, bytes: &[u8]) -> Vec<u16> {
        let one = async || {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            // What was refused early may be closed while the rest is on its way.
            let _ = stream.write_all(bytes).await;
            let mut answer = vec![0; 64];
            let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut answer)).await;
            let count = read.map_or(0, |read| read.unwrap_or(0));
            String::from_utf8_lossy(&answer[..count]).split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
        };
        futures_util::future::join_all((0..count).map(|_| one())).await
    }

    async fn solve(&self, count: usize, body: &[u8]) -> Vec<u16> {
        let head = format!(
            "POST /gh/sitefit:1.0.0/solve HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.send(count, &[head.as_bytes(), body].concat()).await
    }
}

/// A body of about `bytes` in which `item` is repeated, between two ends.
fn repeated(begin: &str, item: &str, end: &str, bytes: usize) -> Vec<u8> {
    let count = (bytes - begin.len() - end.len()) / (item.len() + 1);
    format!("{begin}{}{end}", vec![item; count].join(",")).into_bytes()
}

/// Texts of about a size that are small to send and large to hold, by name.
fn bombs(bytes: usize) -> Vec<(&'static str, Vec<u8>)> {
    let (begin, end) = (r#"{"inputs":{"site_width":["#, "]}}");
    let keys: Vec<String> = (0..bytes / 10).map(|number| format!("\"{number:x}\":1")).collect();
    let small: Vec<String> = (0..900).map(|number| format!("\"{number}\":[{}0]", "0,".repeat(bytes / 2_000))).collect();
    vec![
        ("objects with one member", repeated(begin, r#"{"":0}"#, end, bytes)),
        ("zeros", repeated(begin, "0", end, bytes)),
        ("points", repeated(begin, "[1.234,5.678,0]", end, bytes)),
        ("lists of a zero", repeated(begin, "[0]", end, bytes)),
        ("empty lists", repeated(begin, "[]", end, bytes)),
        ("empty texts", repeated(begin, r#""""#, end, bytes)),
        ("a hundred thousand levels", vec![b'['; bytes]),
        ("a hundred thousand keys", format!("{{{}}}", keys.join(",")).into_bytes()),
        ("unknown inputs", format!("{{\"inputs\":{{{}}}}}", small.join(",")).into_bytes()),
        ("one text", format!("{{\"inputs\":{{\"site_width\":\"{}\"}}}}", "x".repeat(bytes - 64)).into_bytes()),
        ("a number out of range", br#"{"inputs":{"site_width":1e400,"site_depth":40}}"#.to_vec()),
        ("half a character", br#"{"inputs":{"site_width":"\ud800","site_depth":40}}"#.to_vec()),
        ("a byte order mark", b"\xEF\xBB\xBF{\"inputs\":{\"site_width\":30,\"site_depth\":40}}".to_vec()),
        ("a comment", br#"{"inputs":{"site_width":30,"site_depth":40}/* */}"#.to_vec()),
        ("something behind it", br#"{"inputs":{"site_width":30,"site_depth":40}} {}"#.to_vec()),
        ("a key twice", br#"{"inputs":{"site_width":30,"site\u005fwidth":31,"site_depth":40}}"#.to_vec()),
    ]
}

/// The members of a compute request, all of them the gateway's, after the definition or its pointer.
const WRITTEN: [&str; 7] =
    ["values", "absolutetolerance", "angletolerance", "modelunits", "dataversion", "cachesolve", "recursionlevel"];

#[tokio::test(flavor = "multi_thread")]
async fn c6_bombs_are_refused_and_the_gateway_goes_on() {
    let gateway = TestGateway::start().await;
    for (name, bomb) in bombs(60_000) {
        let answer = gateway.post("/gh/sitefit:1.0.0/solve", bomb).await;
        assert!([400, 413, 422].contains(&answer.status), "{name}: {} {}", answer.status, answer.text);
    }
    assert!(gateway.nodes[0].log().iter().all(|entry| entry.path != "/grasshopper"), "none reached the node");
    assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 200);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c8_the_node_sees_what_the_gateway_writes_and_nothing_else_whatever_is_sent() {
    let gateway = TestGateway::start().await;
    // Each a member that would steer a node, at every level that a caller can write at, in spellings that some reader folds.
    let spellings = [
        "pointer",
        "Pointer",
        "POINTER",
        "p\\u006finter",
        "algo",
        "ALGO",
        "recursionlevel",
        "cachesolve",
        "values",
        "dataversion",
    ];
    let around = |level: usize, word: &str| match level {
        0 => format!(r#"{{"{word}":"x","inputs":{{"site_width":30,"site_depth":40}}}}"#),
        1 => format!(r#"{{"inputs":{{"{word}":"x","site_width":30,"site_depth":40}}}}"#),
        2 => format!(r#"{{"inputs":{{"site_width":{{"{word}":"x"}},"site_depth":40}}}}"#),
        // A second one of a known name: the first counts for one reader, the last for another.
        _ => format!(r#"{{"inputs":{{"site_width":30,"site_depth":40}},"{word}":1,"{word}":2}}"#),
    };
    for level in 0..4 {
        for word in spellings {
            let answer = gateway.post("/gh/sitefit:1.0.0/solve", around(level, word)).await;
            assert!([400, 422].contains(&answer.status), "{level} {word}: {}", answer.text);
        }
    }
    assert!(gateway.nodes[0].log().iter().all(|entry| entry.path != "/grasshopper"));
    for number in 0..100 {
        let body = format!(r#"{{"inputs":{{"site\u005fwidth":{}, "site_depth": {}e1}}}}"#, 20 + number, 3 + number % 7);
        assert_eq!(gateway.post("/gh/sitefit:1.0.0/solve", body).await.status, 200);
    }
    let log = gateway.nodes[0].log();
    let solves: Vec<_> = log.iter().filter(|entry| entry.path == "/grasshopper").collect();
    assert_eq!(solves.len(), 100);
    for entry in &solves {
        let (first, rest) = entry.members.split_first().unwrap();
        assert!(first == "algo" || first == "pointer", "{:?}", entry.members);
        assert_eq!(rest, WRITTEN);
        let body = entry.body.as_ref().unwrap();
        assert_eq!((&body["cachesolve"], &body["recursionlevel"]), (&json!(false), &json!(0)));
    }
    gateway.stop().await;
}

/// Replaces a file in a version's folder.
fn overwrite(root: &Path, file: &str, content: &str) {
    std::fs::write(root.join("contracts/sitefit/1.0.0").join(file), content).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn g11_g12_what_points_out_of_the_registry_is_refused_with_its_place_and_nothing_connects() {
    let tempting = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let trap = format!("http://{}/trap", tempting.local_addr().unwrap());
    let deep = format!("{}{{}}{}", r#"{"allOf":["#.repeat(60), "]}".repeat(60));
    let wide =
        |schema: &str| format!("{{\n \"type\": \"object\",\n \"properties\": {{ \"site_width\": {schema} }}\n}}");
    let laughs: String = (1..10).fold("<!ENTITY l0 'ha'>".to_owned(), |text, level| {
        format!("{text}<!ENTITY l{level} '{}'>", format!("&l{};", level - 1).repeat(10))
    });
    let attributes: Vec<_> = (0..100_000).map(|number| format!(" a{number}='1'")).collect();
    let attributes = attributes.concat();
    let cases = [
        ("a reference to the web", "inputs.schema.json", wide(&format!("{{ \"$ref\": \"{trap}\" }}"))),
        ("a reference to a file", "inputs.schema.json", wide(r#"{ "$ref": "file:///etc/passwd" }"#)),
        ("references in a circle", "inputs.schema.json", {
            r##"{"type":"object","properties":{"site_width":{"$ref":"#/$defs/a"}},"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}"##
                .to_owned()
        }),
        ("schemas in schemas", "inputs.schema.json", wide(&deep)),
        (
            "an identity elsewhere",
            "outputs.schema.json",
            format!(r#"{{"$id":"{trap}","type":"object","properties":{{"a":{{"$ref":"other"}}}}}}"#),
        ),
        ("entities in entities", "sitefit.ghx", format!("<!DOCTYPE a [{laughs}]><Archive>&l9;</Archive>")),
        ("an entity from the web", "sitefit.ghx", format!("<!DOCTYPE a SYSTEM \"{trap}\"><Archive/>")),
        (
            "an entity from a file",
            "sitefit.ghx",
            "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><Archive>&x;</Archive>".to_owned(),
        ),
        ("attributes by the hundred thousand", "sitefit.ghx", format!("<Archive{attributes}/>")),
    ];
    for (name, file, content) in cases {
        let root = tempfile::tempdir().unwrap();
        copy(&repository().join("registry"), root.path());
        overwrite(root.path(), file, &content);
        let begin = std::time::Instant::now();
        let mut config = Config { auth: Auth { mode: AuthMode::Open, ..Auth::default() }, ..Config::default() };
        config.server.listen.set_port(0);
        root.path().clone_into(&mut config.registry.root);
        let setup = Setup { nodes: vec![simnode::Config::default()], ..Setup::default() };
        let gateway = TestGateway::over(config, setup, root).await;
        let health = serde_json::to_value(gateway.admin.health()).unwrap();
        let versions = health["apps"].as_array().unwrap().iter().find(|app| app["app_id"] == "sitefit").unwrap();
        let refused = versions["versions"].as_array().unwrap().iter().find(|version| version["version"] == "1.0.0");
        let reason = &refused.unwrap()["reason"];
        assert_eq!(refused.unwrap()["status"], "refused", "{name}");
        assert!(reason["file"].as_str().is_some_and(|path| path.ends_with(file)), "{name}: {reason}");
        assert!(reason["line"].as_u64() >= Some(1), "{name}: {reason}");
        assert!(!reason.to_string().contains("root:"), "{name}: a file was read");
        // Its neighbour in the same app is served.
        assert_eq!(gateway.solve("sitefit:1.1.0", &sitefit()).await.status, 200, "{name}");
        assert!(begin.elapsed() < Duration::from_secs(30), "{name} took {:?}", begin.elapsed());
        gateway.stop().await;
    }
    let came = tokio::time::timeout(Duration::from_millis(100), tempting.accept()).await;
    assert!(came.is_err(), "something connected");
}

mod slow {
    use super::*;

    /// Of memory per byte of a text that is refused.
    const TEXT_TIMES_MAX: u64 = 8;
    /// Of memory per byte that was sent, whatever it is: a value of a list takes 16 times the two bytes of the shortest one.
    const TIMES_MAX: u64 = 20;
    /// What threads, connections and the allocator's own granularity take, whatever is sent.
    const FLOOR: u64 = 6 << 20;

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "starts a gateway for each of its texts"]
    async fn c6_the_memory_that_a_text_costs_is_a_small_multiple_of_it() {
        let node = simnode::Node::start(simnode::Config::default()).await.unwrap();
        for (name, bomb) in bombs(1_000_000) {
            let gateway = Process::start(&node.url());
            // The paths are warm, so that what comes is the text's.
            gateway.solve(4, br#"{"inputs":{}}"#).await;
            let before = gateway.peak();
            let statuses = gateway.solve(1, &bomb).await;
            let grown = gateway.peak().saturating_sub(before);
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            let times = grown as f64 / bomb.len() as f64;
            println!("{name}: {} KB of text, {} KB of memory, {times:.1} times", bomb.len() / 1000, grown / 1000);
            assert!(statuses.iter().all(|status| [400, 413, 422].contains(status)), "{name}: {statuses:?}");
            let most = TEXT_TIMES_MAX * bomb.len() as u64 + FLOOR;
            assert!(grown < most, "{name}: {grown} bytes for {}", bomb.len());
        }
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "starts a gateway for each endpoint"]
    async fn b1_the_memory_that_an_endpoint_takes_is_bounded_by_what_is_sent_to_it() {
        let node = simnode::Node::start(simnode::Config::default()).await.unwrap();
        let get =
            |path: &str, lines: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n");
        let many: Vec<_> = (0..60).map(|number| format!("X-{number}: {}\r\n", "y".repeat(200))).collect();
        let many = many.concat();
        let long = format!("/gh/{}", "a".repeat(4_000));
        let unfinished = "GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: ".to_owned() + &"z".repeat(16_000);
        let mut cases: Vec<(String, usize, Vec<u8>)> = vec![
            ("a description".into(), 200, get("/gh/sitefit:1.0.0", "").into_bytes()),
            ("health".into(), 200, get("/health/registry?format=json", "").into_bytes()),
            ("many headers".into(), 200, get("/livez", &many).into_bytes()),
            ("a long address".into(), 200, get(&long, "").into_bytes()),
            ("a head without an end".into(), 200, unfinished.into_bytes()),
        ];
        for (name, body) in bombs(1_000_000) {
            let head = format!(
                "POST /gh/sitefit:1.0.0/solve HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            cases.push((format!("16 solves with {name}"), 16, [head.as_bytes(), &body].concat()));
        }
        for (name, count, bytes) in cases {
            let gateway = Process::start(&node.url());
            gateway.solve(4, br#"{"inputs":{}}"#).await;
            let before = gateway.peak();
            gateway.send(count, &bytes).await;
            let (grown, sent) = (gateway.peak().saturating_sub(before), (count * bytes.len()) as u64);
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            let times = grown as f64 / sent as f64;
            println!("{name}: {} KB sent, {} KB of memory, {times:.1} times", sent / 1000, grown / 1000);
            // What is small in all costs its connections' buffers, of which the number is bounded: 64 KiB each.
            let most = TIMES_MAX * sent + FLOOR + 64 * 1024 * count as u64;
            assert!(grown < most, "{name}: {grown} bytes for {sent}");
        }
        node.stop().await;
    }

    /// Numbers that look random and are the same each time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, most: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from((self.0 >> 33) % most as u64).unwrap()
        }

        fn of<T: Copy>(&mut self, all: &[T]) -> T {
            all[self.below(all.len())]
        }
    }

    /// A body of known and unknown members, in spellings that some reader folds, some of them twice.
    fn body(dice: &mut Dice) -> String {
        const NAMES: [&str; 12] = [
            "pointer",
            "Pointer",
            "algo",
            "values",
            "cachesolve",
            "recursionlevel",
            "site_width",
            "site_depth",
            "Site_Width",
            "site\\u005fwidth",
            "floors",
            "setback",
        ];
        const VALUES: [&str; 8] = ["30", "4e1", "2", "true", "\"x\"", "[30]", "{\"pointer\":\"x\"}", "null"];
        let mut members = vec!["\"site_width\":30".to_owned(), "\"site_depth\":40".to_owned()];
        for _ in 0..dice.below(3) {
            members.push(format!("\"{}\":{}", dice.of(&NAMES), dice.of(&VALUES)));
        }
        let at = dice.below(members.len());
        members.rotate_left(at);
        format!("{{{}}}", members.join(","))
    }

    #[test]
    #[ignore = "a million bodies, a tenth of them in a build that is not optimised"]
    fn c8_nothing_but_what_is_declared_is_in_any_of_a_million_requests() {
        let contract = contract::Contract::load(&repository().join("registry/contracts/sitefit/1.0.0")).unwrap();
        let prepared = Prepared::of(&contract);
        let declared: Vec<&str> = contract.bindings.inputs.iter().map(|binding| binding.gh.as_str()).collect();
        let (mut dice, mut accepted) = (Dice(1), 0);
        let count = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
        for _ in 0..count {
            let text = body(&mut dice);
            let Ok(parsed) = contract::json::parse(text.as_bytes(), &contract::json::Limits::default()) else {
                continue;
            };
            let Ok(inputs) = contract.take_inputs(parsed) else { continue };
            accepted += 1;
            let request = prepared.request(&inputs.values, Source::Pointer).unwrap();
            let request: Value = serde_json::from_slice(&request).unwrap();
            let members: std::collections::BTreeSet<&str> =
                request.as_object().unwrap().keys().map(String::as_str).collect();
            let expected = WRITTEN.into_iter().chain(["pointer"]).collect();
            assert_eq!(members, expected, "{text}");
            let trees = request["values"].as_array().unwrap();
            let names: Vec<&str> = trees.iter().map(|tree| tree["ParamName"].as_str().unwrap()).collect();
            assert_eq!(names, declared, "{text}");
            assert!(trees.iter().all(|tree| tree.as_object().unwrap().len() == 2), "{text}");
        }
        println!("{accepted} of {count} were accepted");
        assert!(accepted > count / 10 && accepted < count, "{accepted}");
    }
}
