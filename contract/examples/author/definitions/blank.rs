//! What a new app begins with that has no definition yet: a rectangle's area.

use super::{
    canvas::{Canvas, Feed, Slider, feeds},
    catalogue as c,
    kinds::Kind,
};

pub(super) fn first() -> Canvas {
    let mut canvas = Canvas::new("blank", "The area of a rectangle. Put your own definition in its place.");
    canvas.section("Size");
    let width = canvas.get_number("width", "Along the x axis, in metres", Slider::real(4.0, 0.1, 100.0));
    let depth = canvas.get_number("depth", "Along the y axis, in metres", Slider::real(3.0, 0.1, 100.0));
    canvas.section("Result");
    let area = canvas.place("area", c::multiplication(), feeds![width, depth]);
    canvas.output("area", Kind::Number, area);
    canvas
}
