//! Whether a development pays: costs against rents, as a yield on cost and as what the land may cost.

use super::{
    canvas::{Canvas, Feed, Slider, feeds},
    catalogue as c,
    kinds::Kind,
};

/// The land price for each square metre fails where there is no floor area: the definition divides by it.
pub(super) fn v1_0_0() -> Canvas {
    let mut canvas =
        Canvas::new("yieldcheck", "Whether a development pays: cost, income, yield and residual land value.");
    canvas.section("Costs");
    let scenario = canvas.get_text("scenario", "What to call this calculation", "Base case");
    let land_price = canvas.slider_input("land_price", Slider::whole(2_500_000.0, 0.0, 100_000_000.0));
    let gfa = canvas.get_number("gfa", "Gross floor area in square metres", Slider::real(2000.0, 0.0, 200_000.0));
    let build_cost = canvas.get_number(
        "build_cost",
        "Construction cost for each square metre of gross floor area",
        Slider::real(2400.0, 100.0, 20_000.0),
    );
    let soft_cost_share = canvas.slider_input("soft_cost_share", Slider::real(0.18, 0.0, 0.6));
    canvas.section("Income");
    let efficiency = canvas.slider_input("efficiency", Slider::real(0.8, 0.5, 1.0));
    let rent = canvas.get_number("rent", "Rent for each square metre and month", Slider::real(22.0, 0.0, 500.0));
    let vacancy = canvas.slider_input("vacancy", Slider::real(0.05, 0.0, 0.9));
    canvas.section("Target");
    let target_yield = canvas.get_number("target_yield", "Yield on cost to reach", Slider::fine(0.045, 0.005, 0.2));

    canvas.section("Cost and income");
    let construction = canvas.place(
        "construction cost",
        c::expression("a * k * (1 + s)", &["a", "k", "s"]),
        feeds![gfa, build_cost, soft_cost_share],
    );
    let total = canvas.place("total cost", c::addition(), feeds![land_price, construction]);
    canvas.output("total_cost", Kind::Number, total);
    let income = canvas.place(
        "net income",
        c::expression("a * f * r * 12 * (1 - v)", &["a", "f", "r", "v"]),
        feeds![gfa, efficiency, rent, vacancy],
    );
    canvas.output("net_income", Kind::Number, income);
    let land_share = canvas.place("land price by floor area", c::division(), feeds![land_price, gfa]);
    canvas.output("land_price_per_m2", Kind::Number, land_share);

    canvas.section("Verdict");
    let reached = canvas.place("yield on cost", c::division(), feeds![income, total]);
    canvas.output("yield_on_cost", Kind::Number, reached);
    let worth = canvas.place("value at target", c::division(), feeds![income, target_yield]);
    let residual = canvas.place("residual land value", c::subtraction(), feeds![worth, construction]);
    canvas.output("residual_land_value", Kind::Number, residual);
    let viable = canvas.place("viable", c::larger_than(), feeds![reached, target_yield]);
    canvas.output("viable", Kind::Boolean, viable.out(1));
    let verdict = canvas.place(
        "verdict",
        c::expression(
            "If(y >= t, \"meets the target\", If(y >= 0.8 * t, \"close to the target\", \"below the target\"))",
            &["y", "t"],
        ),
        feeds![reached, target_yield],
    );
    canvas.output("verdict", Kind::Text, verdict);
    let summary = canvas.place("summary", c::concatenate(3), feeds![scenario, ": ", verdict]);
    canvas.print("summary", summary);
    canvas
}
