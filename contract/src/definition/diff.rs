//! What changed between two Grasshopper files, in meaning: objects, wires, values and code, not positions and layout.
//!
//! An object is the same one where its instance GUID is; where GUIDs were made anew, by its component and nickname, if that is
//! the only such pair. So a file that was saved under other GUIDs has no difference.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use uuid::Uuid;

use super::archive::{Archive, Chunk, Value};
use super::canvas::{self, Canvas, Object};
use super::guids;
use super::model::Spot;
use super::{Definition, Library};

/// All that changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Difference {
    pub added: Vec<Spot>,
    pub removed: Vec<Spot>,
    /// Objects that have another nickname.
    pub renamed: Vec<Changed>,
    /// Inputs whose wires come from elsewhere.
    pub rewired: Vec<Changed>,
    /// Sliders with another value, least or greatest.
    pub sliders: Vec<Changed>,
    /// Panels, toggles, value lists and stored data with another content.
    pub values: Vec<Changed>,
    /// Components with other code, by its SHA-256.
    pub scripts: Vec<Changed>,
    /// Plug-ins that the files state, those that come with Rhino left out.
    pub libraries: Vec<Word>,
}

/// A thing of one object that changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changed {
    /// The object in the new file.
    #[serde(flatten)]
    pub spot: Spot,
    #[serde(flatten)]
    pub word: Word,
}

/// What changed: from what, to what. An empty text is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Word {
    pub what: String,
    pub was: String,
    pub is: String,
}

// === impl Difference ===

impl Difference {
    /// Compares two archives that were read or built.
    pub fn of(old: &Archive, new: &Archive) -> Self {
        let [before, after] = [old, new].map(|archive| archive.document().unwrap_or(&archive.root));
        let [before, after] = [before, after].map(Canvas::new);
        let same = pairs(&before, &after);
        let mut difference = Self::default();
        let kept: HashMap<Uuid, Uuid> =
            same.iter().map(|(was, is)| (before.objects[*was].instance, after.objects[*is].instance)).collect();
        for (at, object) in before.objects.iter().enumerate() {
            if !same.iter().any(|(was, _)| *was == at) && is_meant(object) {
                difference.removed.push(object.spot());
            }
        }
        for (at, object) in after.objects.iter().enumerate() {
            if !same.iter().any(|(_, is)| *is == at) && is_meant(object) {
                difference.added.push(object.spot());
            }
        }
        for (was, is) in same {
            difference.object(&before, &before.objects[was], &after, &after.objects[is], &kept);
        }
        let [before, after] = [old, new].map(Definition::of);
        difference.scripts(&before, &after, &kept);
        difference.libraries(&before.libraries, &after.libraries);
        difference
    }

    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.libraries.is_empty()
            && self.sections().iter().all(|(_, changed)| changed.is_empty())
    }

    /// What changed of objects that both files have, by what a person would call it.
    pub fn sections(&self) -> [(&'static str, &[Changed]); 5] {
        [
            ("renamed", &self.renamed),
            ("rewired", &self.rewired),
            ("slider", &self.sliders),
            ("value", &self.values),
            ("script", &self.scripts),
        ]
    }

    fn object(
        &mut self,
        before: &Canvas<'_>,
        was: &Object<'_>,
        after: &Canvas<'_>,
        is: &Object<'_>,
        kept: &HashMap<Uuid, Uuid>,
    ) {
        let changed = |what: &str, was: String, is_now: String| {
            let word = Word { what: what.to_owned(), was, is: is_now };
            (word.was != word.is).then(|| Changed { spot: is.spot(), word })
        };
        if was.component != guids::GROUP {
            self.renamed.extend(changed("nickname", was.nickname.to_owned(), is.nickname.to_owned()));
        }
        let [old_inputs, new_inputs] =
            [(before, was, Some(kept)), (after, is, None)].map(|(canvas, object, kept)| wires(canvas, object, kept));
        for name in old_inputs.keys().chain(new_inputs.keys().filter(|name| !old_inputs.contains_key(*name))) {
            let of = |wires: &BTreeMap<String, Vec<Wire>>| wires.get(name).cloned().unwrap_or_default();
            let (was, is_now) = (of(&old_inputs), of(&new_inputs));
            if !was.iter().map(|wire| wire.id).eq(is_now.iter().map(|wire| wire.id)) {
                let told = |wires: Vec<Wire>| wires.into_iter().map(|wire| wire.told).collect::<Vec<_>>().join(", ");
                let word = Word { what: name.clone(), was: told(was), is: told(is_now) };
                self.rewired.push(Changed { spot: is.spot(), word });
            }
        }
        if is.component == guids::SLIDER {
            let [old, new] = [was, is].map(|object| slider(object.container));
            for ((what, was), (_, is_now)) in old.into_iter().zip(new) {
                self.sliders.extend(changed(what, was, is_now));
            }
        } else {
            self.values.extend(changed("content", content(was), content(is)));
        }
    }

    fn scripts(&mut self, before: &Definition, after: &Definition, kept: &HashMap<Uuid, Uuid>) {
        for script in &after.scripts {
            let same = |was: &&super::Script| {
                was.spot.instance == script.spot.instance || kept.get(&was.spot.instance) == Some(&script.spot.instance)
            };
            let Some(was) = before.scripts.iter().find(same) else { continue };
            let told = |script: &super::Script| {
                let digest = script.sha256.as_deref().unwrap_or("no code in the file");
                format!("{} {digest}", script.language)
            };
            let word = Word { what: "code".to_owned(), was: told(was), is: told(script) };
            if word.was != word.is {
                self.scripts.push(Changed { spot: script.spot.clone(), word });
            }
        }
    }

    fn libraries(&mut self, before: &[Library], after: &[Library]) {
        let versions = |libraries: &[Library]| {
            let own = libraries.iter().filter(|library| !library.bundled);
            own.map(|library| (library.name.clone(), library.version.clone().unwrap_or_else(|| "any".to_owned())))
                .collect::<BTreeMap<_, _>>()
        };
        let [was, is] = [before, after].map(versions);
        for name in was.keys().chain(is.keys().filter(|name| !was.contains_key(*name))) {
            let of = |versions: &BTreeMap<String, String>| versions.get(name).cloned().unwrap_or_default();
            let word = Word { what: name.clone(), was: of(&was), is: of(&is) };
            if word.was != word.is {
                self.libraries.push(word);
            }
        }
    }
}

/// Groups, scribbles and the like say something to people only, unless a group makes an input or output of its member.
fn is_meant(object: &Object<'_>) -> bool {
    object.is_parameter()
        || object.is_component()
        || (object.component == guids::GROUP && object.nickname.contains("RH_"))
}

/// Indices of objects that are the same one.
fn pairs(before: &Canvas<'_>, after: &Canvas<'_>) -> Vec<(usize, usize)> {
    let by_instance: HashMap<(Uuid, Uuid), usize> =
        after.objects.iter().enumerate().map(|(at, object)| ((object.instance, object.component), at)).collect();
    let mut pairs: Vec<(usize, usize)> = before
        .objects
        .iter()
        .enumerate()
        .filter_map(|(at, object)| Some((at, *by_instance.get(&(object.instance, object.component))?)))
        .collect();
    let left = |canvas: &Canvas<'_>, taken: &dyn Fn(usize) -> bool| {
        let mut left: BTreeMap<(Uuid, String), Vec<usize>> = BTreeMap::new();
        for (at, object) in canvas.objects.iter().enumerate().filter(|(at, _)| !taken(*at)) {
            left.entry((object.component, object.nickname.to_owned())).or_default().push(at);
        }
        left
    };
    let (taken_before, taken_after): (Vec<usize>, Vec<usize>) = pairs.iter().copied().unzip();
    let was = left(before, &|at| taken_before.binary_search(&at).is_ok());
    let mut sorted = taken_after;
    sorted.sort_unstable();
    let is = left(after, &|at| sorted.binary_search(&at).is_ok());
    for (key, was) in was {
        // Several of one name stand in the order of the file.
        if let Some(is) = is.get(&key).filter(|is| is.len() == was.len()) {
            pairs.extend(was.into_iter().zip(is.iter().copied()));
        }
    }
    pairs
}

/// Where a wire comes from.
#[derive(Debug, Clone)]
struct Wire {
    /// The object, by its GUID in the new file where it has one, and the number of its output.
    id: (Uuid, usize),
    told: String,
}

/// The wires of each input, by the input's name; a parameter has one input.
fn wires(canvas: &Canvas<'_>, object: &Object<'_>, kept: Option<&HashMap<Uuid, Uuid>>) -> BTreeMap<String, Vec<Wire>> {
    let inputs = object.inputs();
    let named = inputs.iter().enumerate().map(|(at, input)| {
        let name = input.text("Name").or_else(|| input.text("NickName")).unwrap_or("?");
        (if at == 0 { name.to_owned() } else { format!("{name} #{at}") }, *input)
    });
    let own = object.is_parameter().then(|| ("its input".to_owned(), object.container));
    named.chain(own).map(|(name, parameter)| (name, of(canvas, parameter, kept))).collect()
}

fn of(canvas: &Canvas<'_>, parameter: &Chunk, kept: Option<&HashMap<Uuid, Uuid>>) -> Vec<Wire> {
    let wires = canvas::sources(parameter).filter_map(|id| canvas.source(id));
    wires
        .map(|(object, output)| {
            let id = kept.and_then(|kept| kept.get(&object.instance)).unwrap_or(&object.instance);
            let output_name = object.outputs().get(output).and_then(|output| output.text("Name"));
            let told = output_name.map_or_else(String::new, |name| format!(" {name}"));
            let name = if object.nickname.is_empty() { object.name } else { object.nickname };
            // Many objects have one name, so the place tells which it is.
            let at = object.position().map_or_else(String::new, |[x, y]| format!(" at ({x:.0}, {y:.0})"));
            Wire { id: (*id, output), told: format!("{name}{told}{at}") }
        })
        .collect()
}

/// What a slider is set to.
fn slider(container: &Chunk) -> [(&'static str, String); 3] {
    let slider = container.chunk("Slider");
    let number = |name| slider.and_then(|slider| slider.double(name)).map(|number| number.to_string());
    [("Min", "minimum"), ("Max", "maximum"), ("Value", "value")]
        .map(|(name, what)| (what, number(name).unwrap_or_default()))
}

/// What a person typed, switched or chose, in short.
fn content(object: &Object<'_>) -> String {
    const SHOWN: usize = 120;
    let container = object.container;
    let text = match object.component {
        guids::PANEL => container.text("UserText").unwrap_or_default().to_owned(),
        guids::TOGGLE => container.bool("ToggleValue").map(|truth| truth.to_string()).unwrap_or_default(),
        guids::VALUE_LIST => {
            let item = |item: &Chunk| {
                let chosen = if item.bool("Selected") == Some(true) { "*" } else { "" };
                format!(
                    "{chosen}{}={}",
                    item.text("Name").unwrap_or_default(),
                    item.text("Expression").unwrap_or_default()
                )
            };
            container.chunks_named("ListItem").map(item).collect::<Vec<_>>().join("; ")
        }
        _ => container.chunk("PersistentData").map(stored).unwrap_or_default(),
    };
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain("…".chars()).collect() }
}

/// Stored data, each item by what it holds.
fn stored(chunk: &Chunk) -> String {
    let mut words = Vec::new();
    gather(chunk, &mut words, 0);
    words.join(" ")
}

#[expect(clippy::wildcard_enum_match_arm, reason = "every other kind of value is told by its debug form")]
fn gather(chunk: &Chunk, words: &mut Vec<String>, depth: usize) {
    const DEPTH: usize = 16;
    const WORDS: usize = 64;
    for item in &chunk.items {
        let word = match &item.value {
            Value::Bool(truth) => truth.to_string(),
            Value::Int32(number) => number.to_string(),
            Value::Double(number) => number.to_string(),
            Value::Text(text) => text.clone(),
            Value::Point3d(point) => format!("{point:?}"),
            other => format!("{other:?}").chars().take(80).collect(),
        };
        if words.len() < WORDS && !["Count", "TypeName"].iter().any(|name| item.name.eq_ignore_ascii_case(name)) {
            words.push(word);
        }
    }
    if depth < DEPTH {
        chunk.chunks.iter().for_each(|chunk| gather(chunk, words, depth + 1));
    }
}
