//! The stand-in as a process: ended with the test, however that ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

/// What the broker is to be like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) lock_ms: u32,
    pub(crate) deliveries_max: u32,
    /// 0: duplicates are not looked for.
    pub(crate) duplicates_ms: u32,
    /// 0: links may be idle.
    pub(crate) idle_ms: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { lock_ms: 60_000, deliveries_max: 10, duplicates_ms: 0, idle_ms: 0 }
    }
}

/// A broker that runs.
#[derive(Debug)]
pub(crate) struct Broker {
    child: Child,
    words: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    pub(crate) port: u16,
}

/// The folder with the module that the stand-in is made of, and the Python with Microsoft's client.
const NAMED: &str = "APPSERVER_TEST_SERVICEBUS";

fn installed() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os(NAMED) else {
        assert!(std::env::var_os("CI").is_none(), "CI must not pass without a stand-in of Service Bus");
        eprintln!("SKIPPED: {NAMED} names no folder with rhea, so the queue in Service Bus is not tried");
        return None;
    };
    Some(PathBuf::from(folder))
}

pub(crate) fn script(name: &str) -> PathBuf {
    // The programs' tests use it, too: at the root, and beside this crate.
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [manifest.join("jobs"), manifest.join("../jobs")];
    let jobs = folders.iter().find(|folder| folder.is_dir()).expect("a folder of jobs");
    jobs.join("tests/servicebus").join(name)
}

impl Broker {
    pub(crate) fn start(rules: Rules) -> Option<Self> {
        Self::start_at(0, rules)
    }

    /// At a port that was its own before.
    pub(crate) fn start_at(port: u16, rules: Rules) -> Option<Self> {
        let folder = installed()?;
        let mut child = Command::new("node")
            .arg(script("broker.cjs"))
            .env("RHEA", folder.join("node_modules/rhea"))
            .env("LOCK_MS", rules.lock_ms.to_string())
            .env("DELIVERIES_MAX", rules.deliveries_max.to_string())
            .env("DUPLICATES_MS", rules.duplicates_ms.to_string())
            .env("IDLE_MS", rules.idle_ms.to_string())
            .env("PORT", port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("listening ").unwrap().parse().unwrap();
        Some(Self { child, words: Mutex::new((input, output)), port })
    }

    /// What a program is told of it; the key that it takes is `c2VjcmV0`.
    pub(crate) fn connection(&self, key: &str) -> String {
        format!(
            "Endpoint=sb://127.0.0.1:{};SharedAccessKeyName=jobs;SharedAccessKey={key};UseDevelopmentEmulator=true;",
            self.port
        )
    }

    /// Says a word to it, and gives its queues' figures.
    pub(crate) fn say(&self, word: &str) -> Value {
        let mut words = self.words.lock().unwrap();
        writeln!(words.0, "{word}").unwrap();
        let mut line = String::new();
        words.1.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// One figure of a queue.
    pub(crate) fn figure(&self, queue: &str, name: &str) -> u64 {
        self.say("stats")[queue][name].as_u64().unwrap_or(0)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
