//! How much building fits a site: setbacks and a depth limit give the footprint, floors stack on it, rules judge it.

use super::{
    canvas::{Canvas, Feed, Node, Slider, Wire, feeds},
    catalogue as c,
    kinds::Kind,
};

/// What every version asks for.
struct Asked {
    project_name: Wire,
    site_width: Wire,
    site_depth: Wire,
    setback: Wire,
    floors: Wire,
    floor_height: Wire,
    building_depth_max: Wire,
    active_ground_floor: Wire,
    far_max: Wire,
    height_max: Wire,
}

pub(super) fn v1_0_0() -> Canvas {
    let mut canvas =
        Canvas::new("sitefit", "How much building fits a site: footprint, floor area, height and massing.");
    let asked = ask(&mut canvas);
    canvas.section("Footprint");
    let width = buildable_width(&mut canvas, &asked);
    let depth = limited_depth(&mut canvas, &asked);
    areas(&mut canvas, &asked, width, depth);
    canvas
}

/// Adds a limit on the covered share of the site, 1 (no limit) unless the caller says otherwise, and names the rule
/// that decided the depth of the building.
pub(super) fn v1_1_0() -> Canvas {
    let mut canvas =
        Canvas::new("sitefit", "How much building fits a site: footprint, floor area, height and massing.");
    let asked = ask(&mut canvas);
    let coverage_max = canvas.slider_input("coverage_max", Slider::real(1.0, 0.1, 1.0));
    canvas.section("Footprint");
    let width = buildable_width(&mut canvas, &asked);
    let by_rules = limited_depth(&mut canvas, &asked);
    // The quotient comes first: it is exactly 1 without a setback, so that a limit of 1 never binds by rounding.
    let by_coverage = canvas.place(
        "depth by coverage",
        c::expression("c * d * (s / b)", &["c", "d", "s", "b"]),
        feeds![coverage_max, asked.site_depth, asked.site_width, width],
    );
    let depth = canvas.place("building depth", c::minimum(), feeds![by_rules, by_coverage]);
    areas(&mut canvas, &asked, width, depth);
    limited_by(&mut canvas, &asked, by_rules, by_coverage);
    canvas
}

fn ask(canvas: &mut Canvas) -> Asked {
    canvas.section("Site");
    let project_name = canvas.panel_input("project_name", "Untitled site");
    let site_width = canvas.get_number("site_width", "Width of the site in metres", Slider::real(30.0, 10.0, 200.0));
    let site_depth = canvas.get_number("site_depth", "Depth of the site in metres", Slider::real(40.0, 10.0, 200.0));
    let setback = canvas.slider_input("setback", Slider::real(3.0, 0.0, 4.5));
    canvas.section("Building");
    let floors = canvas.get_integer("floors", "Number of floors", Slider::whole(4.0, 1.0, 60.0));
    let floor_height = canvas.slider_input("floor_height", Slider::real(3.2, 2.4, 6.0));
    let depth_prompt = "Deepest building that daylight still serves, in metres";
    let building_depth_max = canvas.get_number("building_depth_max", depth_prompt, Slider::real(18.0, 6.0, 200.0));
    let active_prompt = "Whether the ground floor needs the height of a shop";
    let active_ground_floor = canvas.get_boolean("active_ground_floor", active_prompt, false);
    canvas.section("Rules");
    let far_max = canvas.slider_input("far_max", Slider::real(2.0, 0.1, 20.0));
    let height_max = canvas.slider_input("height_max", Slider::real(22.0, 3.0, 300.0));
    Asked {
        project_name,
        site_width,
        site_depth,
        setback,
        floors,
        floor_height,
        building_depth_max,
        active_ground_floor,
        far_max,
        height_max,
    }
}

fn buildable_width(canvas: &mut Canvas, asked: &Asked) -> Node {
    let both_setbacks = canvas.place("both setbacks", c::multiplication(), feeds![asked.setback, 2.0]);
    canvas.place("buildable width", c::subtraction(), feeds![asked.site_width, both_setbacks])
}

/// The depth between the setbacks, or the deepest building allowed if that is less.
fn limited_depth(canvas: &mut Canvas, asked: &Asked) -> Node {
    let formula = c::expression("d - 2 * s", &["d", "s"]);
    let free = canvas.place("buildable depth", formula, feeds![asked.site_depth, asked.setback]);
    canvas.place("limited depth", c::minimum(), feeds![free, asked.building_depth_max])
}

fn areas(canvas: &mut Canvas, asked: &Asked, width: Node, depth: Node) {
    let footprint = canvas.place("footprint area", c::multiplication(), feeds![width, depth]);
    canvas.output("footprint_area", Kind::Number, footprint);
    let site = canvas.place("site area", c::multiplication(), feeds![asked.site_width, asked.site_depth]);
    let coverage = canvas.place("coverage", c::division(), feeds![footprint, site]);
    let open = canvas.place("open space ratio", c::subtraction(), feeds![1.0, coverage]);
    canvas.output("open_space_ratio", Kind::Number, open);

    canvas.section("Floor area and height");
    let gfa = canvas.place("gross floor area", c::multiplication(), feeds![footprint, asked.floors]);
    canvas.output("gfa", Kind::Number, gfa);
    let far = canvas.place("floor area ratio", c::division(), feeds![gfa, site]);
    canvas.output("far", Kind::Number, far);
    let shop = canvas.place("shop floor height", c::maximum(), feeds![asked.floor_height, 4.0]);
    let height = canvas.place(
        "building height",
        c::expression("(n - 1) * h + If(active, shop, h)", &["n", "h", "active", "shop"]),
        feeds![asked.floors, asked.floor_height, asked.active_ground_floor, shop],
    );
    canvas.output("building_height", Kind::Number, height);

    verdict(canvas, asked, gfa, far, height);
    geometry(canvas, asked.setback, [width, depth, height]);
}

fn verdict(canvas: &mut Canvas, asked: &Asked, gfa: Node, far: Node, height: Node) {
    canvas.section("Verdict");
    let far_allowed = canvas.place("ratio allowed", c::smaller_than(), feeds![far, asked.far_max]);
    let height_allowed = canvas.place("height allowed", c::smaller_than(), feeds![height, asked.height_max]);
    let fits = canvas.place("fits", c::gate_and(), feeds![far_allowed.out(1), height_allowed.out(1)]);
    canvas.output("fits", Kind::Boolean, fits);
    let whole_gfa = canvas.place("whole square metres", c::round(), feeds![gfa]);
    let label = canvas.place(
        "label",
        c::concatenate(6),
        feeds![asked.project_name, ": floors ", asked.floors, ", GFA ", whole_gfa, " m²"],
    );
    canvas.print("label", label);
}

fn geometry(canvas: &mut Canvas, setback: Wire, [width, depth, height]: [Node; 3]) {
    canvas.section("Geometry");
    let corner = canvas.place("corner", c::construct_point(), feeds![setback, setback, ()]);
    let plane = canvas.place("ground", c::xy_plane(), feeds![corner]);
    let x = canvas.place("extent along x", c::construct_domain(), feeds![(), width]);
    let y = canvas.place("extent along y", c::construct_domain(), feeds![(), depth]);
    let z = canvas.place("extent along z", c::construct_domain(), feeds![(), height]);
    let outline = canvas.place("outline", c::rectangle(), feeds![plane, x, y, ()]);
    canvas.output("footprint", Kind::Rectangle, outline);
    let massing = canvas.place("massing", c::domain_box(), feeds![plane, x, y, z]);
    canvas.bake("massing", massing);
}

fn limited_by(canvas: &mut Canvas, asked: &Asked, by_rules: Node, by_coverage: Node) {
    canvas.section("Deciding rule");
    let rule = canvas.place(
        "deciding rule",
        c::expression("If(c < r, \"coverage\", If(m <= r, \"depth\", \"setback\"))", &["c", "r", "m"]),
        feeds![by_coverage, by_rules, asked.building_depth_max],
    );
    canvas.output("limited_by", Kind::Text, rule);
}
