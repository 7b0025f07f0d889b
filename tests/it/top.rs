//! `appserver top` in a terminal: rows appear, the window changes its size, the gateway goes and comes, and the screen is given back.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use appserver::config::{AdminListen, Config, Secrets};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::scaffold::appserver;
use crate::support::{Setup, TestGateway, repository, sitefit};

/// A terminal of its own, ended with this.
struct Terminal {
    folder: TempDir,
}

impl Terminal {
    /// None where there is no tmux.
    fn open(width: u16, height: u16) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            println!("SKIPPED: there is no tmux; ./test installs it where it may");
            return None;
        }
        let terminal = Self { folder: tempfile::tempdir().unwrap() };
        let (width, height) = (width.to_string(), height.to_string());
        let shell = "PS1='' exec sh";
        let ran = terminal.tmux(&["new-session", "-d", "-s", "t", "-x", &width, "-y", &height, shell]);
        assert!(ran.is_some(), "tmux does not start");
        Some(terminal)
    }

    fn tmux(&self, words: &[&str]) -> Option<String> {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.folder.path().join("socket")).args(["-f", "/dev/null"]).args(words);
        command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").current_dir(self.folder.path());
        let output = command.output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn keys(&self, words: &[&str]) {
        self.tmux(&[&["send-keys", "-t", "t"], words].concat()).unwrap();
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "t"]).unwrap()
    }

    /// Waits until the screen is as wanted.
    async fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "{what}: not on the screen\n{screen}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

fn operated(config: &mut Config) {
    config.admin.listen = AdminListen::At(([127, 0, 0, 1], 0).into());
}

async fn gateway() -> TestGateway {
    let setup = Setup { nodes: vec![simnode::Config::default()], config: Some(operated), ..Setup::default() };
    TestGateway::with(setup).await
}

/// Solves and failures, until it is aborted.
fn load(gateway: &TestGateway) -> JoinHandle<()> {
    let (client, base) = (gateway.client.clone(), gateway.base.clone());
    tokio::spawn(async move {
        let solve = format!("{base}/gh/sitefit:1.1.0/solve");
        loop {
            for body in [sitefit().to_string(), "{\"inputs\":{\"site_width\":-1}}".to_owned()] {
                let _ = client.post(&solve).body(body).send().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_appserver"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_rows_reorders_them_resizes_and_leaves_a_clean_screen() {
    let Some(terminal) = Terminal::open(110, 24) else { return };
    let gateway = gateway().await;
    let load = load(&gateway);
    let url = gateway.operators.clone().unwrap();
    terminal.keys(&["echo BEFORE", "Enter"]);
    let line = format!("{} top --interval 300ms --url {url}; echo LEFT $?", program().display());
    terminal.keys(&[&line, "Enter"]);
    let row = |screen: &str| screen.lines().find(|line| line.starts_with("sitefit ")).map(str::to_owned);
    let busy = |screen: &str| {
        let cells: Vec<String> =
            row(screen).map(|row| row.split_whitespace().map(str::to_owned).collect()).unwrap_or_default();
        cells.get(4).and_then(|rate| rate.parse::<f64>().ok()).is_some_and(|rate| rate > 0.5)
    };
    let screen = terminal.until("a row with a rate", busy).await;
    assert!(screen.contains("req/s↓") && screen.contains("p95") && screen.contains("parking"), "{screen}");
    assert!(screen.contains("node-1") && screen.contains("up") && screen.contains("invalid_inputs"), "{screen}");
    assert!(screen.contains("q quit") && !screen.contains("BEFORE"), "{screen}");
    terminal.keys(&["a"]);
    terminal.until("ordered by name", |screen| screen.contains("app↓")).await;

    terminal.tmux(&["resize-window", "-t", "t", "-x", "46", "-y", "14"]).unwrap();
    let narrow = terminal.until("fewer columns", |screen| row(screen).is_some() && !screen.contains("cache")).await;
    assert!(narrow.contains("queue") && narrow.lines().all(|line| line.chars().count() <= 46), "{narrow}");

    terminal.tmux(&["resize-window", "-t", "t", "-x", "110", "-y", "24"]).unwrap();
    terminal.until("all columns again", |screen| screen.contains("cache")).await;
    terminal.keys(&["q"]);
    let after = terminal.until("the shell", |screen| screen.contains("LEFT 0")).await;
    assert!(after.contains("BEFORE") && !after.contains("q quit") && !after.contains("p95"), "{after}");
    // The terminal takes whole lines and shows what is typed.
    terminal.keys(&["echo SANE", "Enter"]);
    terminal.until("a shell that works", |screen| screen.lines().any(|line| line == "SANE")).await;
    load.abort();
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_goes_is_told_and_ctrl_c_leaves() {
    let Some(terminal) = Terminal::open(100, 20) else { return };
    let gateway = gateway().await;
    let url = gateway.operators.clone().unwrap();
    let line = format!("NO_COLOR=1 {} top --interval 200ms --url {url}; echo LEFT $?", program().display());
    terminal.keys(&[&line, "Enter"]);
    terminal.until("a row", |screen| screen.contains("sitefit") && screen.contains("q quit")).await;
    gateway.stop().await;
    let gone = terminal.until("that it has gone", |screen| screen.contains("no answer for")).await;
    assert!(gone.contains("trying again") && gone.contains("sitefit"), "what was known last stays: {gone}");
    // Another one at the same address.
    let address: std::net::SocketAddr = url.trim_start_matches("http://").parse().unwrap();
    let mut config = Config::default();
    config.server.listen.set_port(0);
    config.admin.listen = AdminListen::At(address);
    config.registry.root = repository().join("registry");
    let app =
        appserver::app::App::build(&config, Secrets::default(), appserver::app::Consent::default()).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let served = tokio::spawn(app.run(stop.clone()));
    terminal.until("the new one", |screen| !screen.contains("no answer for") && screen.contains("sitefit")).await;
    terminal.keys(&["C-c"]);
    terminal.until("the shell", |screen| screen.contains("LEFT 130")).await;
    stop.cancel();
    assert!(served.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_it_prints_once_and_says_where_nobody_is() {
    let gateway = gateway().await;
    let load = load(&gateway);
    let url = gateway.operators.clone().unwrap();
    let callers = gateway.base.clone();
    let run = |url: String, interval: &'static str| {
        tokio::task::spawn_blocking(move || {
            appserver(std::path::Path::new("."), &["top", "--interval", interval, "--url", &url])
        })
    };
    let (code, out, talk) = run(url, "500ms").await.unwrap();
    assert_eq!(code, 0, "{talk}");
    assert!(out.contains("req/s") && out.contains("sitefit") && !out.contains('\x1b'), "{out}");
    let (code, _, talk) = run(callers, "100ms").await.unwrap();
    assert!(code == 6 && talk.contains("listener for operators"), "{code} {talk}");
    assert_eq!(run("http://127.0.0.1:9".to_owned(), "100ms").await.unwrap().0, 6);
    load.abort();
    gateway.stop().await;
}
