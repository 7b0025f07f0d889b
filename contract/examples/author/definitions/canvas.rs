//! The language: place sliders, getters and components, feed one into the other, name what goes in and out.
//!
//! Every object has a name of its own, from which its ids follow; [`super::layout`] finds the positions.

use super::{
    catalogue,
    kinds::{Component, Kind, Literal},
};

/// A definition under construction.
pub(super) struct Canvas {
    /// The public name; ids hang on it, so all versions of a definition share it.
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) sections: Vec<&'static str>,
    pub(super) objects: Vec<Object>,
    /// Groups around one object that make it an input or an output.
    pub(super) exposures: Vec<Exposure>,
}

pub(super) struct Object {
    /// Unique on the canvas; the ids of the object follow from it.
    pub(super) name: String,
    /// The index of the section that frames it.
    pub(super) section: usize,
    pub(super) body: Body,
}

pub(super) enum Body {
    Slider(Slider),
    /// A panel that holds one text.
    Panel(&'static str),
    Toggle(bool),
    Getter(Getter),
    Parameter(Parameter),
    Component(Box<Component>, Vec<Feed>),
}

/// A number slider; one without digits holds whole numbers.
#[derive(Clone, Copy)]
pub(super) struct Slider {
    pub(super) value: f64,
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) digits: i32,
}

/// A contextual parameter: asks the caller for one value, and takes its source's where none is given.
pub(super) struct Getter {
    pub(super) asks: Asks,
    pub(super) prompt: &'static str,
    pub(super) source: Wire,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Number,
    Integer,
    Boolean,
    Text,
    Point,
}

/// A floating parameter.
pub(super) struct Parameter {
    pub(super) kind: Kind,
    pub(super) feed: Feed,
}

pub(super) struct Exposure {
    /// The nickname of the group, `RH_IN:` or `RH_OUT:` included.
    pub(super) name: String,
    pub(super) member: usize,
}

/// A component on the canvas.
#[derive(Clone, Copy)]
pub(super) struct Node(usize);

/// Where data comes from: a floating object, or an output of a component.
#[derive(Clone, Copy)]
pub(super) struct Wire {
    pub(super) object: usize,
    pub(super) output: Option<usize>,
}

/// What an input gets.
#[derive(Clone)]
pub(super) struct Feed {
    pub(super) source: Source,
    pub(super) mapping: Mapping,
}

#[derive(Clone)]
pub(super) enum Source {
    Wire(Wire),
    Held(Literal),
    /// What the component comes with.
    Untouched,
}

/// What a parameter does to its tree; the numbers are those of the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mapping {
    None = 0,
    Flatten = 1,
    Graft = 2,
}

/// The inputs of a component, in order; [`Feed`] has to be in scope.
macro_rules! feeds {
    ($($feed:expr),+ $(,)?) => { [$(Feed::from($feed)),+] };
}
pub(super) use feeds;

// === impl Canvas ===

impl Canvas {
    pub(super) fn new(name: &'static str, description: &'static str) -> Self {
        Self { name, description, sections: Vec::new(), objects: Vec::new(), exposures: Vec::new() }
    }

    /// Opens a section: a titled frame around all that is placed until the next one.
    pub(super) fn section(&mut self, title: &'static str) {
        self.sections.push(title);
    }

    pub(super) fn place<const N: usize>(&mut self, name: &str, component: Component, feeds: [Feed; N]) -> Node {
        assert_eq!(component.inputs.len(), N, "{name}: one feed for each input of {}", component.name);
        Node(self.add(name, Body::Component(Box::new(component), feeds.into())))
    }

    // === Inputs ===

    /// An input by group: the slider itself, framed by `RH_IN:name`.
    pub(super) fn slider_input(&mut self, name: &'static str, slider: Slider) -> Wire {
        let object = self.add(name, Body::Slider(slider));
        self.expose("RH_IN", name, object)
    }

    /// An input by group: a panel that holds a text.
    pub(super) fn panel_input(&mut self, name: &'static str, text: &'static str) -> Wire {
        let object = self.add(name, Body::Panel(text));
        self.expose("RH_IN", name, object)
    }

    /// An input by group: a floating parameter that holds a value.
    pub(super) fn parameter_input(&mut self, name: &'static str, kind: Kind, value: Literal) -> Wire {
        let feed = Feed { source: Source::Held(value), mapping: Mapping::None };
        let object = self.add(name, Body::Parameter(Parameter { kind, feed }));
        self.expose("RH_IN", name, object)
    }

    pub(super) fn get_number(&mut self, name: &'static str, prompt: &'static str, slider: Slider) -> Wire {
        self.getter(name, prompt, Asks::Number, Body::Slider(slider))
    }

    pub(super) fn get_integer(&mut self, name: &'static str, prompt: &'static str, slider: Slider) -> Wire {
        self.getter(name, prompt, Asks::Integer, Body::Slider(slider))
    }

    pub(super) fn get_boolean(&mut self, name: &'static str, prompt: &'static str, value: bool) -> Wire {
        self.getter(name, prompt, Asks::Boolean, Body::Toggle(value))
    }

    pub(super) fn get_text(&mut self, name: &'static str, prompt: &'static str, text: &'static str) -> Wire {
        self.getter(name, prompt, Asks::Text, Body::Panel(text))
    }

    pub(super) fn get_point(&mut self, name: &'static str, prompt: &'static str, value: [f64; 3]) -> Wire {
        let feed = Feed { source: Source::Held(Literal::Point(value)), mapping: Mapping::None };
        self.getter(name, prompt, Asks::Point, Body::Parameter(Parameter { kind: Kind::Point, feed }))
    }

    fn getter(&mut self, name: &'static str, prompt: &'static str, asks: Asks, default: Body) -> Wire {
        let source = Wire { object: self.add(&format!("default of {name}"), default), output: None };
        Wire { object: self.add(name, Body::Getter(Getter { asks, prompt, source })), output: None }
    }

    // === Outputs ===

    /// An output by group: a floating parameter of a set type, framed by `RH_OUT:name`.
    pub(super) fn output(&mut self, name: &'static str, kind: Kind, feed: impl Into<Feed>) {
        let body = Body::Parameter(Parameter { kind, feed: feed.into() });
        let object = self.add(&format!("output {name}"), body);
        self.expose("RH_OUT", name, object);
    }

    /// An output by Context Bake.
    pub(super) fn bake(&mut self, name: &'static str, feed: impl Into<Feed>) {
        self.place(&format!("output {name}"), catalogue::context_bake(name), [feed.into()]);
    }

    /// An output by Context Print.
    pub(super) fn print(&mut self, name: &'static str, feed: impl Into<Feed>) {
        self.place(&format!("output {name}"), catalogue::context_print(name), [feed.into()]);
    }

    /// Whether an object gives data to the caller.
    pub(super) fn returns(&self, object: usize) -> bool {
        let framed = |exposure: &Exposure| exposure.member == object && exposure.name.starts_with("RH_OUT");
        matches!(&self.objects[object].body, Body::Component(component, _) if component.outputs.is_empty())
            || self.exposures.iter().any(framed)
    }

    // === Bookkeeping ===

    fn add(&mut self, name: &str, body: Body) -> usize {
        let section = self.sections.len().checked_sub(1).expect("a section is opened first");
        assert!(self.objects.iter().all(|object| object.name != name), "{}: two objects called {name}", self.name);
        self.objects.push(Object { name: name.to_owned(), section, body });
        self.objects.len() - 1
    }

    fn expose(&mut self, prefix: &str, name: &str, member: usize) -> Wire {
        self.exposures.push(Exposure { name: format!("{prefix}:{name}"), member });
        Wire { object: member, output: None }
    }
}

// === impl Slider ===

impl Slider {
    /// A slider of real numbers, two digits after the point.
    pub(super) const fn real(value: f64, from: f64, to: f64) -> Self {
        Self { value, from, to, digits: 2 }
    }

    /// A slider of real numbers, three digits after the point.
    pub(super) const fn fine(value: f64, from: f64, to: f64) -> Self {
        Self { value, from, to, digits: 3 }
    }

    /// A slider of whole numbers.
    pub(super) const fn whole(value: f64, from: f64, to: f64) -> Self {
        Self { value, from, to, digits: 0 }
    }
}

// === impl Node, Wire, Feed ===

impl Node {
    /// The output of this position.
    pub(super) fn out(self, output: usize) -> Wire {
        Wire { object: self.0, output: Some(output) }
    }

    pub(super) fn flattened(self) -> Feed {
        self.out(0).flattened()
    }
}

impl Wire {
    /// Into an input that makes one list of all branches.
    pub(super) fn flattened(self) -> Feed {
        Feed { source: Source::Wire(self), mapping: Mapping::Flatten }
    }

    /// Into an input that makes a branch of every value.
    pub(super) fn grafted(self) -> Feed {
        Feed { source: Source::Wire(self), mapping: Mapping::Graft }
    }
}

impl From<Source> for Feed {
    fn from(source: Source) -> Self {
        Self { source, mapping: Mapping::None }
    }
}

impl From<Wire> for Feed {
    fn from(wire: Wire) -> Self {
        Source::Wire(wire).into()
    }
}

impl From<Node> for Feed {
    fn from(node: Node) -> Self {
        node.out(0).into()
    }
}

impl From<f64> for Feed {
    fn from(value: f64) -> Self {
        Source::Held(Literal::Number(value)).into()
    }
}

impl From<&'static str> for Feed {
    fn from(value: &'static str) -> Self {
        Source::Held(Literal::Text(value)).into()
    }
}

/// Leaves an input as it comes.
impl From<()> for Feed {
    fn from((): ()) -> Self {
        Source::Untouched.into()
    }
}
