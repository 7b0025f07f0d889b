//! Daylight in a side-lit room, by a plug-in that only a full installation has.

use super::{
    canvas::{Canvas, Feed, Slider, feeds},
    catalogue as c,
    kinds::Kind,
};

pub(super) fn v0_1_0() -> Canvas {
    let mut canvas = Canvas::new("daylight", "Daylight on the floor of a side-lit room, by the plug-in LadybugX.");
    canvas.section("Room");
    let width = canvas.get_number("room_width", "Along the window, in metres", Slider::real(4.0, 2.0, 30.0));
    let depth = canvas.get_number("room_depth", "Away from the window, in metres", Slider::real(5.0, 2.0, 30.0));
    let height = canvas.slider_input("room_height", Slider::real(2.7, 2.2, 8.0));
    canvas.section("Window");
    let glazing_width = canvas.slider_input("window_width", Slider::real(3.0, 0.3, 30.0));
    let glazing_height = canvas.slider_input("window_height", Slider::real(1.5, 0.3, 8.0));
    canvas.section("Place and target");
    let latitude = canvas.slider_input("latitude", Slider::real(48.0, -66.0, 66.0));
    let target = canvas.get_number("target_lux", "Illuminance to reach, in lux", Slider::whole(300.0, 50.0, 2000.0));

    canvas.section("Geometry");
    let x = canvas.place("extent along x", c::construct_domain(), feeds![(), width]);
    let y = canvas.place("extent along y", c::construct_domain(), feeds![(), depth]);
    let z = canvas.place("extent along z", c::construct_domain(), feeds![(), height]);
    let room = canvas.place("room", c::domain_box(), feeds![(), x, y, z]);
    let glazing = canvas.place("glazing", c::multiplication(), feeds![glazing_width, glazing_height]);
    let floor = canvas.place("floor", c::multiplication(), feeds![width, depth]);
    let ratio = canvas.place("window to floor ratio", c::division(), feeds![glazing, floor]);
    canvas.output("window_floor_ratio", Kind::Number, ratio);

    canvas.section("Daylight");
    let daylight = canvas.place("daylight", c::room_daylight(), feeds![room, glazing, latitude, target]);
    canvas.output("daylit_share", Kind::Number, daylight.out(0));
    canvas.output("mean_illuminance", Kind::Number, daylight.out(1));
    canvas
}
