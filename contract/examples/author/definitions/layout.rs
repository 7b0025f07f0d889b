//! Positions on the canvas: a band for each section, in it a row for each input and output and a column for each step.
//!
//! Rhino.Compute lists inputs and outputs by their height on the canvas, so the order of the source is the order there.

use super::canvas::{Body, Canvas, Feed, Object, Source};

/// Where an object lies, in canvas pixels, y downwards.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// x, y, width, height.
    pub(super) bounds: [f32; 4],
    pub(super) pivot: [f32; 2],
}

/// What an object is for, which decides its column.
enum Role {
    /// Holds the default of a getter, and lies left of it in the same row.
    Default,
    /// Takes a value from the caller.
    Input,
    /// So many steps from the inputs, counted from 0.
    Step(usize),
    /// Gives a value to the caller, right of all steps.
    Output,
}

const MARGIN: f32 = 40.0;
const ROW: f32 = 56.0;
const GAP: f32 = 20.0;
const BAND_GAP: f32 = 60.0;
const PORT: f32 = 20.0;
const GETTERS: f32 = MARGIN + 300.0;
const STEPS: f32 = GETTERS + 180.0;
/// Room for the wires between two columns.
const WIRES: f32 = 70.0;

/// One place for each object, in their order.
pub(super) fn places(canvas: &Canvas) -> Vec<Place> {
    let roles = roles(canvas);
    let lefts = lefts(canvas, &roles);
    let right_of_steps = lefts.last().copied().unwrap_or(STEPS);
    let mut places: Vec<Option<Place>> = vec![None; canvas.objects.len()];
    let mut top = MARGIN;
    for section in 0..canvas.sections.len() {
        // The next free y of the input rows, the output rows, and each column of steps.
        let mut row = top;
        let mut output_row = top;
        let mut columns = vec![top; canvas.objects.len()];
        let members = canvas.objects.iter().enumerate().filter(|(_, object)| object.section == section);
        for (index, object) in members {
            let [width, height] = size(object);
            let left_of_steps = if matches!(object.body, Body::Getter(_)) { GETTERS } else { MARGIN };
            let (x, y) = match roles[index] {
                Role::Default => (left_of_steps, row),
                Role::Input => (left_of_steps, advance(&mut row, ROW)),
                Role::Step(step) => (lefts[step], advance(&mut columns[step], height + GAP)),
                Role::Output => (right_of_steps, advance(&mut output_row, ROW)),
            };
            let bounds = [x, y, width, height];
            places[index] = Some(Place { bounds, pivot: pivot(object, bounds) });
        }
        top = columns.into_iter().fold(row.max(output_row), f32::max) + BAND_GAP;
    }
    places.into_iter().map(|place| place.expect("every object is in a section")).collect()
}

/// The place of a parameter inside a component: inputs fill its left side, outputs its right one.
pub(super) fn port(component: Place, index: usize, count: usize, output: bool) -> Place {
    let [x, y, width, height] = component.bounds;
    let share = (height - 4.0) / small(count);
    let half = (width - 4.0) / 2.0 - 6.0;
    let left = if output { x + width - 2.0 - half } else { x + 2.0 };
    let bounds = [left, y + 2.0 + share * small(index), half, share];
    Place { bounds, pivot: [left + half / 2.0, bounds[1] + share / 2.0] }
}

fn advance(free: &mut f32, by: f32) -> f32 {
    let here = *free;
    *free += by;
    here
}

fn roles(canvas: &Canvas) -> Vec<Role> {
    let default_of_getter = |index| {
        let from = |object: &Object| matches!(&object.body, Body::Getter(getter) if getter.source.object == index);
        canvas.objects.iter().any(from)
    };
    let mut roles: Vec<Role> = Vec::with_capacity(canvas.objects.len());
    for (index, object) in canvas.objects.iter().enumerate() {
        // A wire leads to an object placed before, so its role is known.
        let step_after = |feed: &Feed| match &feed.source {
            Source::Wire(wire) if let Role::Step(step) = roles[wire.object] => Some(step + 1),
            Source::Wire(_) => Some(0),
            Source::Held(_) | Source::Untouched => None,
        };
        let role = match &object.body {
            _ if default_of_getter(index) => Role::Default,
            _ if canvas.returns(index) => Role::Output,
            Body::Slider(_) | Body::Panel(_) | Body::Toggle(_) | Body::Getter(_) => Role::Input,
            Body::Parameter(parameter) => step_after(&parameter.feed).map_or(Role::Input, Role::Step),
            Body::Component(_, feeds) => Role::Step(feeds.iter().filter_map(step_after).max().unwrap_or(0)),
        };
        roles.push(role);
    }
    roles
}

/// Where the column of each step starts: right of the widest object of the step before.
fn lefts(canvas: &Canvas, roles: &[Role]) -> Vec<f32> {
    let mut widths = vec![0.0_f32; canvas.objects.len()];
    for (object, role) in canvas.objects.iter().zip(roles) {
        if let Role::Step(step) = role {
            widths[*step] = widths[*step].max(size(object)[0] + WIRES);
        }
    }
    let mut free = STEPS;
    widths.into_iter().map(|width| advance(&mut free, width)).collect()
}

fn size(object: &Object) -> [f32; 2] {
    match &object.body {
        Body::Slider(_) => [260.0, 20.0],
        Body::Panel(_) => [200.0, 30.0],
        Body::Toggle(_) => [104.0, 22.0],
        Body::Getter(_) => [113.0, 26.0],
        Body::Parameter(_) => [20.0 + 7.0 * small(object.name.chars().count()), 20.0],
        Body::Component(component, _) => {
            let rows = component.inputs.len().max(component.outputs.len()).max(1);
            // An Expression shows its formula between its inputs and its output.
            let middle = component.formula.map_or(26.0, |formula| 7.0 * small(formula.chars().count()));
            let longest = component.inputs.iter().map(|input| input.nickname.chars().count()).max().unwrap_or(1);
            [2.0 * (12.0 + 7.0 * small(longest)) + middle, 4.0 + PORT * small(rows)]
        }
    }
}

/// Free inputs are anchored near their upper left corner, all else in the middle.
fn pivot(object: &Object, [x, y, width, height]: [f32; 4]) -> [f32; 2] {
    match &object.body {
        Body::Slider(_) | Body::Panel(_) | Body::Toggle(_) => [x, y],
        Body::Getter(_) => [x + 25.0, y + 1.0],
        Body::Parameter(_) | Body::Component(..) => [x + width / 2.0, y + height / 2.0],
    }
}

fn small(count: usize) -> f32 {
    f32::from(u16::try_from(count).expect("a sample has far fewer than 65536 parts"))
}
