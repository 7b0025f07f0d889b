//! Moves on a folder of its own: a policy with its formatting, and versions that are only names.

use std::fs;

use super::*;

const POLICY: &str = r#"{
  "app_id": "demo", "allowed_definitions": ["demo"],
  "max_concurrency":   2,
  "preview_seats": 1, "batch_seats": 1,
  "rate_limits": { "preview_rps": 10, "batch_jobs_per_min": 30 }
}
"#;

struct Demo {
    _root: tempfile::TempDir,
    app: PathBuf,
}

fn demo() -> Demo {
    let root = tempfile::tempdir().unwrap();
    let app = root.path().join("demo");
    for version in ["1.0.0", "1.1.0", "2.0.0"] {
        fs::create_dir_all(app.join(version)).unwrap();
    }
    fs::write(app.join("policy.json"), POLICY).unwrap();
    Demo { _root: root, app }
}

impl Demo {
    fn wanted(&self, wanted: Wanted<'_>, based_on: Option<&str>) -> Result<Moved, Error> {
        let change = Change { alias: "stable", wanted, based_on, reason: "it is time", by: "me" };
        super::change(
            &self.app,
            change,
            |version| {
                if version.major == 2 { Err("no node has it".to_owned()) } else { Ok(()) }
            },
        )
    }

    fn set(&self, version: &str) -> Result<Moved, Error> {
        self.wanted(Wanted::To(&version.parse().unwrap()), None)
    }

    fn undo(&self) -> Result<Moved, Error> {
        self.wanted(Wanted::Back, None)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.app.join("policy.json")).unwrap()
    }

    fn stable(&self) -> Option<String> {
        read(&self.app).unwrap().aliases.get("stable").map(ToString::to_string)
    }
}

#[test]
fn a_move_keeps_every_byte_of_the_policy_but_its_own() {
    let demo = demo();
    demo.set("1.0.0").unwrap();
    let with = POLICY.replace(" 30 }\n", " 30 },\n  \"aliases\": { \"stable\": \"1.0.0\" }\n");
    assert_eq!(demo.text(), with);
    demo.set("1.1.0").unwrap();
    assert_eq!(demo.text(), with.replace("1.0.0", "1.1.0"));
}

#[test]
fn an_undo_goes_back_and_another_one_further_back() {
    let demo = demo();
    demo.set("1.0.0").unwrap();
    demo.set("1.1.0").unwrap();
    demo.undo().unwrap();
    assert_eq!(demo.stable().as_deref(), Some("1.0.0"));
    let last = demo.undo().unwrap();
    assert_eq!((demo.stable(), last.to), (None, None));
    assert!(matches!(demo.undo(), Err(Error::NothingToUndo(_))));
    demo.set("1.1.0").unwrap();
    let kinds: Vec<_> = history(&demo.app).unwrap().into_iter().map(|entry| (entry.kind, entry.reason)).collect();
    let why = || "it is time".to_owned();
    let expected = [Kind::Set, Kind::Set, Kind::Undo, Kind::Undo, Kind::Set].map(|kind| (kind, why()));
    assert_eq!(kinds, expected);
    fs::write(demo.app.join("policy.json"), demo.text().replace("1.1.0", "1.0.0")).unwrap();
    assert!(matches!(demo.undo(), Err(Error::EditedByHand { .. })));
}

#[test]
fn it_leads_to_ready_versions_only() {
    let demo = demo();
    assert!(matches!(demo.set("2.0.0"), Err(Error::NotReady { .. })));
    let Err(Error::NoSuchVersion { similar, .. }) = demo.set("1.1.1") else { panic!("1.1.1 is not there") };
    assert!(similar.is_some());
    assert_eq!(demo.text(), POLICY);
    assert!(matches!(read(Path::new("/nowhere/app")), Err(Error::NoSuchApp(_))));
}

#[test]
fn of_many_who_saw_the_same_policy_one_moves_it() {
    let demo = demo();
    let seen = read(&demo.app).unwrap().etag;
    let won: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|number| {
                let (demo, seen) = (&demo, seen.as_str());
                let version = Version::new(1, number % 2, 0);
                scope.spawn(move || demo.wanted(Wanted::To(&version), Some(seen)).is_ok())
            })
            .collect();
        tries.into_iter().map(|task| usize::from(task.join().unwrap())).sum()
    });
    assert_eq!((won, history(&demo.app).unwrap().len()), (1, 1));
}

#[test]
fn the_history_is_bounded_and_survives_a_torn_line() {
    let demo = demo();
    let file = demo.app.join(".alias-history.jsonl");
    demo.set("1.0.0").unwrap();
    let line = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{}{{\"time\": \n", line.repeat(205))).unwrap();
    demo.set("1.1.0").unwrap();
    let kept = history(&demo.app).unwrap();
    assert_eq!((kept.len(), kept[199].to.as_ref().map(ToString::to_string).as_deref()), (200, Some("1.1.0")));
    demo.undo().unwrap();
}
