//! The formulas of the sample definitions in plain Rust, written from their descriptions and not from their graphs.
//!
//! They know nothing of Grasshopper: what they give is what a planner would work out by hand.

use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

/// The outputs of a sample for complete inputs (defaults filled in); `None` where only a plug-in can tell.
///
/// # Panics
///
/// If an input is missing or of another type: the schema is checked before.
pub(super) fn outputs(app: &str, version: &str, inputs: &Object) -> Option<Object> {
    let value = match (app, version) {
        ("sitefit", "1.0.0") => sitefit(inputs, None),
        ("sitefit", "1.1.0") => sitefit(inputs, Some(number(inputs, "coverage_max"))),
        ("yieldcheck", "1.0.0") => yieldcheck(inputs),
        ("parking", "1.0.0") => parking(inputs),
        ("daylight", "0.1.0") => return None,
        _ => panic!("no reference for {app} {version}: write one"),
    };
    let Value::Object(outputs) = value else { unreachable!("each reference returns an object") };
    Some(outputs)
}

/// Footprint = buildable width x depth; the depth is what the setbacks leave, at most the greatest building depth, at
/// most what the coverage allows. Floor area = footprint x floors.
fn sitefit(inputs: &Object, coverage_max: Option<f64>) -> Value {
    let [site_width, site_depth, setback] = ["site_width", "site_depth", "setback"].map(|name| number(inputs, name));
    let [floor_height, deepest] = ["floor_height", "building_depth_max"].map(|name| number(inputs, name));
    let floors = whole(inputs, "floors");
    let site = site_width * site_depth;
    let width = site_width - 2.0 * setback;
    let between_setbacks = site_depth - 2.0 * setback;
    let covered = coverage_max.map_or(f64::INFINITY, |share| share * site / width);
    // A coverage of 1 cannot bind, whatever the rounding of the quotient says.
    let covered = if coverage_max == Some(1.0) { f64::INFINITY } else { covered };
    let depth = between_setbacks.min(deepest).min(covered);
    let footprint = width * depth;
    let gfa = footprint * f64::from(floors);
    let ground_floor = if inputs["active_ground_floor"] == true { floor_height.max(4.0) } else { floor_height };
    let height = f64::from(floors - 1) * floor_height + ground_floor;
    let far = gfa / site;
    let plane = json!({ "origin": [setback, setback, 0.0], "x_axis": [1.0, 0.0, 0.0], "y_axis": [0.0, 1.0, 0.0] });
    let mut outputs = json!({
        "footprint_area": footprint,
        "open_space_ratio": 1.0 - footprint / site,
        "gfa": gfa,
        "far": far,
        "building_height": height,
        "fits": far <= number(inputs, "far_max") && height <= number(inputs, "height_max"),
        "label": format!("{}: floors {floors}, GFA {} m²", text(inputs, "project_name"), gfa.round_ties_even()),
        "footprint": { "plane": plane, "x": [0.0, width], "y": [0.0, depth] },
        "massing": { "plane": plane, "x": [0.0, width], "y": [0.0, depth], "z": [0.0, height] },
    });
    if coverage_max.is_some() {
        outputs["limited_by"] = if covered < between_setbacks.min(deepest) {
            json!("coverage")
        } else if deepest <= between_setbacks {
            json!("depth")
        } else {
            json!("setback")
        };
    }
    outputs
}

/// Yield = net income / total cost; residual = what the income is worth at the target yield, less the construction.
fn yieldcheck(inputs: &Object) -> Value {
    let [land, gfa, target] = ["land_price", "gfa", "target_yield"].map(|name| number(inputs, name));
    let construction = gfa * number(inputs, "build_cost") * (1.0 + number(inputs, "soft_cost_share"));
    let total = land + construction;
    let let_area = gfa * number(inputs, "efficiency");
    let income = let_area * number(inputs, "rent") * 12.0 * (1.0 - number(inputs, "vacancy"));
    let reached = income / total;
    let verdict = if reached >= target {
        "meets the target"
    } else if reached >= 0.8 * target {
        "close to the target"
    } else {
        "below the target"
    };
    json!({
        "total_cost": total,
        "net_income": income,
        "land_price_per_m2": land / gfa,
        "yield_on_cost": reached,
        "residual_land_value": income / target - construction,
        "viable": reached >= target,
        "verdict": verdict,
        "summary": format!("{}: {verdict}", text(inputs, "scenario")),
    })
}

/// Bays of two rows and an aisle fill the width; a rest that holds a row and its aisle gives one row more.
fn parking(inputs: &Object) -> Value {
    let [length, width] = ["lot_length", "lot_width"].map(|name| number(inputs, name));
    let [stall_width, stall_depth, aisle] =
        ["stall_width", "stall_depth", "aisle_width"].map(|name| number(inputs, name));
    let [x0, y0, z0] = triple(&inputs["origin"]);
    let bay = 2.0 * stall_depth + aisle;
    let bays = count(width / bay);
    let single = width - f64::from(bays) * bay >= stall_depth + aisle;
    let [rows, aisles] = [2 * bays + u32::from(single), bays + u32::from(single)];
    let in_row = count(length / stall_width);

    let centre = |row: u32, stall: u32| {
        let across = match row % 2 {
            0 => stall_depth / 2.0,
            _ => stall_depth + aisle + stall_depth / 2.0,
        };
        [x0 + (f64::from(stall) + 0.5) * stall_width, y0 + f64::from(row / 2) * bay + across, z0]
    };
    let row_of = |row| (0..in_row).map(|stall| centre(row, stall)).collect::<Vec<_>>();
    let level: Vec<[f64; 3]> = (0..rows).flat_map(row_of).collect();
    let elevations: Vec<f64> =
        inputs["level_elevations"].as_array().unwrap().iter().map(|z| z.as_f64().unwrap()).collect();
    let all: Vec<[f64; 3]> =
        elevations.iter().flat_map(|lift| level.iter().map(move |[x, y, z]| [*x, *y, z + lift])).collect();
    let branches: Object = (0..rows).map(|row| (format!("{{0;{row}}}"), json!(row_of(row)))).collect();
    let line = |aisle_number: u32| {
        let y = y0 + f64::from(aisle_number) * bay + stall_depth + aisle / 2.0;
        json!({ "from": [x0, y, z0], "to": [x0 + length, y, z0] })
    };
    json!({
        "row_count": rows,
        "utilisation": f64::from(rows * in_row) * stall_width * stall_depth / (length * width),
        "stall_count": all.len(),
        "stall_points": all,
        "stall_rows": branches,
        "aisle_lines": (0..aisles).map(line).collect::<Vec<_>>(),
    })
}

fn number(inputs: &Object, name: &str) -> f64 {
    inputs[name].as_f64().unwrap()
}

fn whole(inputs: &Object, name: &str) -> i32 {
    inputs[name].as_i64().unwrap().try_into().unwrap()
}

fn text<'i>(inputs: &'i Object, name: &str) -> &'i str {
    inputs[name].as_str().unwrap()
}

fn triple(point: &Value) -> [f64; 3] {
    [0, 1, 2].map(|axis| point[axis].as_f64().unwrap())
}

/// How many times something fits, as a count.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the schema keeps quotients between 0 and 100"
)]
fn count(quotient: f64) -> u32 {
    quotient.floor() as u32
}
