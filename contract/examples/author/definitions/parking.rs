//! A lot of perpendicular stalls: double rows along aisles, a single row more where the rest of the lot allows it.

use super::{
    canvas::{Canvas, Feed, Node, Slider, Wire, feeds},
    catalogue as c,
    kinds::{Kind, Literal},
};

/// What the caller gives, and the corner of the lot taken apart.
struct Lot {
    length: Wire,
    width: Wire,
    stall_width: Wire,
    stall_depth: Wire,
    aisle_width: Wire,
    levels: Wire,
    corner: Node,
}

/// The counts that decide the layout of one level.
struct Counts {
    /// Depth of two rows and the aisle between them.
    bay: Node,
    rows: Node,
    aisles: Node,
    stalls_in_row: Wire,
}

pub(super) fn v1_0_0() -> Canvas {
    let mut canvas = Canvas::new("parking", "Stalls, rows and aisles of a car park, level by level.");
    let lot = ask(&mut canvas);
    let counts = count(&mut canvas, &lot);
    stalls(&mut canvas, &lot, &counts);
    aisles(&mut canvas, &lot, &counts);
    canvas
}

fn ask(canvas: &mut Canvas) -> Lot {
    canvas.section("Lot");
    let origin = canvas.get_point("origin", "Corner of the lot, on the lowest level", [0.0; 3]);
    let length = canvas.get_number("lot_length", "Length of the rows in metres", Slider::real(50.0, 10.0, 200.0));
    let width = canvas.get_number("lot_width", "Across the rows, in metres", Slider::real(34.0, 20.0, 200.0));
    let levels = canvas.parameter_input("level_elevations", Kind::Number, Literal::Number(0.0));
    canvas.section("Stalls");
    let stall_width = canvas.slider_input("stall_width", Slider::real(2.5, 2.2, 4.0));
    let stall_depth = canvas.slider_input("stall_depth", Slider::real(5.0, 4.5, 5.5));
    let aisle_width = canvas.slider_input("aisle_width", Slider::real(6.0, 3.5, 7.5));
    canvas.section("Corner");
    let corner = canvas.place("corner", c::deconstruct(), feeds![origin]);
    Lot { length, width, stall_width, stall_depth, aisle_width, levels, corner }
}

fn count(canvas: &mut Canvas, lot: &Lot) -> Counts {
    canvas.section("Rows");
    let formula = c::expression("2 * d + a", &["d", "a"]);
    let bay = canvas.place("bay", formula, feeds![lot.stall_depth, lot.aisle_width]);
    let bays_exactly = canvas.place("bays exactly", c::division(), feeds![lot.width, bay]);
    let bays = canvas.place("bays", c::round(), feeds![bays_exactly]);
    let single = canvas.place(
        "single row",
        c::expression("If(w - n * b >= d + a, 1, 0)", &["w", "n", "b", "d", "a"]),
        feeds![lot.width, bays.out(1), bay, lot.stall_depth, lot.aisle_width],
    );
    let rows = canvas.place("rows", c::expression("2 * n + s", &["n", "s"]), feeds![bays.out(1), single]);
    canvas.output("row_count", Kind::Integer, rows);
    let aisles = canvas.place("aisles", c::addition(), feeds![bays.out(1), single]);
    let in_row_exactly = canvas.place("stalls in a row exactly", c::division(), feeds![lot.length, lot.stall_width]);
    let in_row = canvas.place("stalls in a row", c::round(), feeds![in_row_exactly]);
    let share = canvas.place(
        "utilisation",
        c::expression("r * n * w * d / (x * y)", &["r", "n", "w", "d", "x", "y"]),
        feeds![rows, in_row.out(1), lot.stall_width, lot.stall_depth, lot.length, lot.width],
    );
    canvas.output("utilisation", Kind::Number, share);
    Counts { bay, rows, aisles, stalls_in_row: in_row.out(1) }
}

fn stalls(canvas: &mut Canvas, lot: &Lot, counts: &Counts) {
    canvas.section("Stalls of a level");
    let first = canvas.place(
        "first stall",
        c::expression("x + w / 2", &["x", "w"]),
        feeds![lot.corner.out(0), lot.stall_width],
    );
    let xs = canvas.place("along the row", c::series(), feeds![first, lot.stall_width, counts.stalls_in_row]);
    let row = canvas.place("row numbers", c::series(), feeds![(), (), counts.rows]);
    // Rows lie in pairs, one at each side of an aisle.
    let ys = canvas.place(
        "across the rows",
        c::expression("y + Floor(r / 2) * b + (r - 2 * Floor(r / 2)) * (d + a) + d / 2", &["r", "y", "b", "d", "a"]),
        feeds![row, lot.corner.out(1), counts.bay, lot.stall_depth, lot.aisle_width],
    );
    let by_row = canvas.place("a branch for each row", c::graft_tree(), feeds![ys.flattened()]);
    let centres =
        canvas.place("stall centres", c::construct_point(), feeds![xs.flattened(), by_row, lot.corner.out(2)]);
    canvas.output("stall_rows", Kind::Point, centres);

    canvas.section("Stalls of all levels");
    let lifts = canvas.place("lifts", c::unit_z(), feeds![lot.levels]);
    let lifted = canvas.place("lifted stalls", c::move_geometry(), feeds![centres.flattened(), lifts.out(0).grafted()]);
    canvas.output("stall_points", Kind::Point, lifted.flattened());
    let number = canvas.place("number of stalls", c::list_length(), feeds![lifted.flattened()]);
    canvas.output("stall_count", Kind::Integer, number);
}

fn aisles(canvas: &mut Canvas, lot: &Lot, counts: &Counts) {
    canvas.section("Aisles");
    let aisle = canvas.place("aisle numbers", c::series(), feeds![(), (), counts.aisles]);
    let ys = canvas.place(
        "middle of the aisles",
        c::expression("y + n * b + d + a / 2", &["n", "y", "b", "d", "a"]),
        feeds![aisle, lot.corner.out(1), counts.bay, lot.stall_depth, lot.aisle_width],
    );
    let far_end = canvas.place("far end", c::addition(), feeds![lot.corner.out(0), lot.length]);
    let [x, z] = [lot.corner.out(0), lot.corner.out(2)];
    let start = canvas.place("aisle starts", c::construct_point(), feeds![x, ys.flattened(), z]);
    let end = canvas.place("aisle ends", c::construct_point(), feeds![far_end, ys.flattened(), z]);
    let lines = canvas.place("aisle lines", c::line(), feeds![start, end]);
    canvas.output("aisle_lines", Kind::Line, lines.flattened());
}
