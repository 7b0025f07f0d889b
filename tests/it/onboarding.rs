//! `docs/onboarding.md`, run command by command as a reader would, each against the output that the page prints.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::repository;

/// A `console` block: the command behind `$`, and what it prints.
struct Block {
    command: String,
    printed: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let parts = page.split("```console\n$ ").skip(1);
    let block = |part: &str| {
        let (text, _) = part.split_once("\n```").expect("the block ends");
        let (command, printed) = text.split_once('\n').unwrap_or((text, ""));
        Block { command: command.to_owned(), printed: printed.to_owned() }
    };
    parts.map(block).collect()
}

/// Whether `text` is what the page prints: `…` stands for anything, on its own line for any lines.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces: VecDeque<&str> = pattern.trim_end().split('…').collect();
    let (text, first) = (text.trim_end(), pieces.pop_front().unwrap_or_default());
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = pieces.pop_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// Ends the gateway, also where the test fails.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(folder: &Path, line: &str) -> Command {
    // The page says `appserver`; here it is the one that was just built.
    let line = line.replacen("appserver", "\"$APPSERVER\"", usize::from(line.starts_with("appserver")));
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec {line}")]).current_dir(folder).stdin(Stdio::null());
    command.env("APPSERVER", env!("CARGO_BIN_EXE_appserver")).env("USER", "reader");
    for name in
        ["PORT", "RHINO_COMPUTE_URL", "RHINO_COMPUTE_KEY", "APPSERVER_CONFIG", "APPSERVER_URL", "APPSERVER_ADMIN_URL"]
    {
        command.env_remove(name);
    }
    command
}

/// Starts what does not end by itself, and reads until it has said all that the page prints.
fn serve(folder: &Path, block: &Block, port: u16) -> (Served, String) {
    let mut child =
        command(folder, &block.command).env("PORT", port.to_string()).stdout(Stdio::piped()).spawn().unwrap();
    let output = child.stdout.take().unwrap();
    let served = Served(child);
    let mut said = String::new();
    for line in BufReader::new(output).lines() {
        let line = line.unwrap();
        said.push_str(&line);
        said.push('\n');
        if line.starts_with("Ctrl-C") {
            break;
        }
    }
    (served, said)
}

#[test]
fn every_command_of_the_page_prints_what_the_page_prints() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(repository().join("src/governance/scaffold/blank.ghx"), folder.path().join("room.ghx")).unwrap();
    let page = fs::read_to_string(repository().join("docs/onboarding.md")).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut gateway = None;
    let blocks = blocks(&page);
    assert_eq!(blocks.len(), 10, "the page lost or gained a command");
    for block in blocks {
        let said = if block.command.starts_with("appserver dev") {
            let (served, said) = serve(folder.path(), &block, port);
            gateway = Some(served);
            said
        } else {
            let line = block.command.replace("localhost:3000", &format!("localhost:{port}"));
            let output = command(folder.path(), &line).output().unwrap();
            assert!(output.status.success(), "$ {}\n{}", block.command, String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(
            fits(&block.printed, &said),
            "$ {}\n--- the page\n{}\n--- the command\n{said}",
            block.command,
            block.printed
        );
    }
    assert!(gateway.is_some());
}

#[test]
fn a_pattern_fits_what_it_says_and_nothing_else() {
    for (pattern, text, fit) in [
        ("a …c", "a b c\n", true),
        ("a\n…\nd", "a\nb\nc\nd", true),
        ("a …c", "a b", false),
        ("a", "a b", false),
        ("a … b … c", "a 1 b 2 c", true),
        ("a … b … c", "a 1 2 c", false),
    ] {
        assert_eq!(fits(pattern, text), fit, "{pattern:?} {text:?}");
    }
}
