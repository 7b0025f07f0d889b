//! "Not there" and "there, but compute will not see it": each problem on a definition that has it and one that has not.

use contract::definition::archive::{Chunk, Format, Value};
use contract::definition::{Archive, Definition, Explanation, Limits, Problem, ReadError, Refusal, Severity};
use uuid::Uuid;

use crate::fixture::*;
use crate::support::item;

fn problems(canvas: &mut Canvas) -> Vec<Problem> {
    canvas.any_output();
    canvas.read().problems
}

fn only(canvas: &mut Canvas) -> Problem {
    let mut problems = problems(canvas);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

#[test]
fn a_definition_that_works_as_meant_has_no_problem() {
    let mut canvas = Canvas::new();
    let slider = canvas.slider("RH_IN:width", [0.0, 20.0, 7.0]);
    canvas.group("RH_IN:width", &[slider]);
    let getter = canvas.getter(GET_NUMBER, "Get Number", "depth", &[]);
    canvas.component(ADDITION, "Addition", &[("A", &[slider]), ("B", &[getter])], &["R"]);
    canvas.group("Rhino geometry", &[slider]);
    canvas.object(Uuid::from_u128(60), "Scribble", "RH_IN: what goes in", vec![]);
    assert_eq!(problems(&mut canvas), []);
}

#[test]
fn a_nickname_alone_makes_no_input() {
    let mut canvas = Canvas::new();
    let width = canvas.slider("RH_IN:width", [0.0, 20.0, 7.0]);
    canvas.getter(GET_NUMBER, "Get Number", "n", &[]);
    let problem = only(&mut canvas);
    assert_eq!((problem.code, problem.severity), ("not_in_group", Severity::Error));
    let spot = problem.spot.unwrap();
    assert_eq!((spot.object.as_str(), spot.nickname.as_str()), ("Number Slider", "RH_IN:width"));
    assert_eq!((spot.instance, spot.position), (width, Some([100.0, 0.0])));
    assert!(problem.fix.contains("RH_IN:width"), "{}", problem.fix);
}

#[test]
fn a_component_named_as_an_output_is_told() {
    let mut canvas = Canvas::new();
    canvas.getter(GET_NUMBER, "Get Number", "n", &[]);
    canvas.component(ADDITION, "RH_OUT:sum", &[("A", &[])], &["R"]);
    assert_eq!(only(&mut canvas).code, "not_in_group");
}

#[test]
fn a_group_whose_first_member_is_no_parameter_is_told() {
    let mut canvas = Canvas::new();
    canvas.getter(GET_NUMBER, "Get Number", "n", &[]);
    let number = canvas.parameter(NUMBER, "Number", "", &[]);
    let inner = canvas.group("inner", &[number]);
    canvas.group("RH_OUT:x", &[inner, number]);
    let problem = only(&mut canvas);
    assert_eq!(problem.code, "group_first_member");
    assert!(problem.message.contains("Group \"inner\""), "{}", problem.message);
}

#[test]
fn an_empty_group_is_told_and_so_is_one_whose_members_are_gone() {
    for (members, words) in [(vec![], "is empty"), (vec![Uuid::from_u128(500)], "were deleted")] {
        let mut canvas = Canvas::new();
        canvas.getter(GET_NUMBER, "Get Number", "n", &[]);
        canvas.group("RH_IN:x", &members);
        let problem = only(&mut canvas);
        assert_eq!((problem.code, problem.severity), ("group_empty", Severity::Warning));
        assert!(problem.message.contains(words), "{}", problem.message);
    }
}

#[test]
fn a_mark_in_another_spelling_is_told() {
    for (nickname, mark) in [("rh_in:a", "RH_IN"), ("RH-OUT b", "RH_OUT"), ("RHIN:c", "RH_IN"), ("RH IN d", "RH_IN")] {
        let mut canvas = Canvas::new();
        let getter = canvas.getter(GET_NUMBER, "Get Number", "n", &[]);
        canvas.group(nickname, &[getter]);
        let problem = only(&mut canvas);
        assert_eq!(problem.code, "group_misspelt", "{nickname}");
        assert!(problem.fix.contains(mark), "{nickname}: {}", problem.fix);
    }
}

#[test]
fn an_input_that_compute_never_fills_is_told() {
    for (class, name) in [(SUBD, "SubD"), (DATA, "Data"), (VALUE_LIST, "Value List"), (Uuid::from_u128(70), "Load")] {
        let mut canvas = Canvas::new();
        let parameter = canvas.parameter(class, name, "", &[]);
        canvas.group("RH_IN:x", &[parameter]);
        let problem = only(&mut canvas);
        assert_eq!(problem.code, "never_filled");
        assert_eq!(problem.message, format!("\"RH_IN:x\" is bound to a {name}, which compute clears and never fills"));
    }
    for class in [INTEGER, POINT, CURVE, MESH, SLIDER, PANEL, TOGGLE] {
        let mut canvas = Canvas::new();
        let parameter = canvas.parameter(class, "P", "", &[]);
        canvas.group("RH_IN:x", &[parameter]);
        assert_eq!(problems(&mut canvas), []);
    }
}

#[test]
fn an_input_without_a_name_is_told() {
    let mut canvas = Canvas::new();
    canvas.getter(GET_NUMBER, "Get Number", "", &[]);
    assert_eq!(only(&mut canvas).code, "empty_name");
}

#[test]
fn a_parameter_that_feeds_others_and_has_nothing_is_told() {
    let told = |build: &dyn Fn(&mut Canvas) -> Uuid| {
        let mut canvas = Canvas::new();
        canvas.getter(GET_NUMBER, "Get Number", "n", &[]);
        let parameter = build(&mut canvas);
        canvas.component(AREA, "Area", &[("G", &[parameter])], &["A"]);
        problems(&mut canvas).iter().map(|problem| problem.code).collect::<Vec<_>>()
    };
    assert_eq!(told(&|canvas| canvas.parameter(CURVE, "Curve", "outline", &[])), ["no_value"]);
    let with_value = |canvas: &mut Canvas| {
        let point = canvas.parameter(POINT, "Point", "", &[]);
        canvas.store(&[("{0}", vec![item("Coordinate", Value::Point3d([0.0; 3]))])]);
        point
    };
    assert_eq!(told(&with_value), [""; 0]);
    assert_eq!(told(&|canvas| canvas.slider("", [0.0, 1.0, 0.5])), [""; 0]);
}

#[test]
fn a_definition_without_outputs_or_inputs_is_told() {
    let mut canvas = Canvas::new();
    let slider = canvas.slider("width", [0.0, 20.0, 7.0]);
    let toggle = canvas.toggle(true);
    canvas.component(ADDITION, "Addition", &[("A", &[slider]), ("B", &[toggle])], &["R"]);
    let problems = canvas.read().problems;
    let told: Vec<_> = problems.iter().map(|problem| (problem.code, problem.severity)).collect();
    assert_eq!(told, [("no_outputs", Severity::Error), ("no_inputs", Severity::Warning)]);
    assert!(problems[0].message.contains("status 500 and an empty body"));
    assert!(problems[1].message.contains("Number Slider \"width\" at (100, 0) and 1 more"), "{}", problems[1].message);
}

fn nested(depth: usize) -> Vec<u8> {
    let mut inner = Canvas::new();
    if depth > 0 {
        inner.cluster("nest", nested(depth - 1));
    }
    inner.library(vec![item("Name", text(&format!("Deep{depth}"))), item("Id", Value::Guid(Uuid::from_u128(9)))]);
    inner.inside()
}

#[test]
fn a_cluster_is_not_entered_for_inputs_and_is_for_plugins_and_scripts() {
    let mut inner = Canvas::new();
    inner.getter(GET_NUMBER, "Get Number", "hidden", &[]);
    inner.object(
        Uuid::parse_str("410755b1-224a-4c1e-a407-bf32fb45ea7e").unwrap(),
        "GhPython Script",
        "py",
        vec![item("CodeInput", text("import wasp"))],
    );
    inner.library(vec![item("Name", text("Pufferfish")), item("Version", text("3.0")), item("Id", Value::Guid(POINT))]);
    let mut canvas = Canvas::new();
    canvas.getter(GET_NUMBER, "Get Number", "seen", &[]);
    canvas.cluster("tool", inner.inside());
    canvas.any_output();
    let definition = canvas.read();
    assert_eq!(definition.inputs.len(), 1);
    assert_eq!(definition.problems.len(), 1);
    assert_eq!(definition.problems[0].code, "inside_cluster");
    let message = "Get Number \"hidden\" at (100, 0) lies inside Cluster \"tool\" at (100, 10), \
                   and compute does not enter clusters";
    assert_eq!(definition.problems[0].message, message);
    let library = &definition.libraries[0];
    assert_eq!(
        (library.name.as_str(), library.version.as_deref(), library.in_cluster),
        ("Pufferfish", Some("3.0"), true)
    );
    assert_eq!(
        (definition.scripts[0].packages.as_slice(), definition.scripts[0].in_cluster),
        (&["wasp".to_owned()][..], true)
    );
}

#[test]
fn clusters_are_entered_to_a_depth_and_share_the_bounds_of_the_file() {
    let mut canvas = Canvas::new();
    canvas.getter(GET_NUMBER, "Get Number", "n", &[]);
    canvas.cluster("deep", nested(4));
    canvas.any_output();
    let bytes = canvas.archive().to_gh();
    let read = |limits: &Limits| Definition::read(&bytes, limits).unwrap();
    let all = read(&Limits::default());
    assert_eq!((all.libraries.len(), all.problems.len()), (5, 0));
    let shallow = read(&Limits { cluster_depth: 2, ..Limits::default() });
    assert_eq!((shallow.libraries.len(), shallow.problems[0].code), (2, "cluster_unreadable"));
    let whole = Archive::read(&bytes, &Limits::default()).unwrap();
    let outer = {
        // The least budget that admits the outer file admits no cluster besides.
        let admits = |items: &usize| Archive::read(&bytes, &Limits { items: *items, ..Limits::default() }).is_ok();
        (1..10_000).find(admits).unwrap()
    };
    assert!(whole.document().is_some());
    let poor = read(&Limits { items: outer, ..Limits::default() });
    assert_eq!((poor.libraries.len(), poor.problems[0].code), (0, "cluster_unreadable"));
}

#[test]
fn a_cluster_of_noise_is_told_and_harms_nothing() {
    let mut canvas = Canvas::new();
    canvas.getter(GET_NUMBER, "Get Number", "n", &[]);
    canvas.cluster("secret", vec![0x5a; 100]);
    assert_eq!(only(&mut canvas).code, "cluster_unreadable");
}

#[test]
fn an_archive_without_a_document_is_no_definition() {
    let archive = Archive { format: Format::Gh, root: Chunk::new("Root") };
    let error = Definition::read(&archive.to_gh(), &Limits::default()).unwrap_err();
    assert!(matches!(error, ReadError { refusal: Refusal::NoDefinitionObjects, .. }));
    assert_eq!(Definition::of(&archive).problems[0].code, "no_outputs");
}

#[test]
fn a_name_is_explained() {
    let mut canvas = Canvas::new();
    canvas.slider("site_width", [0.0, 20.0, 7.0]);
    canvas.slider("RH_IN:depth", [0.0, 20.0, 7.0]);
    let count = canvas.slider("", [0.0, 20.0, 7.0]);
    canvas.group("RH_IN:201:Count", &[count]);
    canvas.getter(GET_NUMBER, "Get Number", "length", &[]);
    canvas.any_output();
    let definition = canvas.read();
    let explain = |name| definition.explain(name);
    assert!(matches!(explain("RH_IN:201:Count"), Explanation::Input(input) if input.instance == count));
    assert!(matches!(explain("RH_OUT:result"), Explanation::Output(_)));
    assert_eq!(explain("Count"), Explanation::DidYouMean(vec!["RH_IN:201:Count"]));
    assert_eq!(explain("lenght"), Explanation::DidYouMean(vec!["length"]));
    let Explanation::NotSeen { spot, because, fix } = explain("RH_IN:depth") else { panic!("it is on the canvas") };
    assert_eq!(spot.nickname, "RH_IN:depth");
    assert!(because.contains("nickname of the object itself"), "{because}");
    assert!(fix.contains("RH_IN:depth"), "{fix}");
    let Explanation::NotSeen { because, fix, .. } = explain("site_width") else { panic!("it is on the canvas") };
    assert!(because.contains("Number Slider \"site_width\" at (100, 0)"), "{because}");
    assert!(fix.ends_with("RH_IN:site_width"), "{fix}");
    assert_eq!(explain("zzz"), Explanation::NotThere);
    assert_eq!(explain(""), Explanation::NotThere);
}
