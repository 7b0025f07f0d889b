//! The unit of a number, as far as its name or prompt tells.
//!
//! Invariant: what a person wrote (`Span (mm)`) is told apart from what a name only suggests.

/// How a unit was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// It stands in the name or prompt.
    Written(&'static str),
    /// The name sounds like it.
    Guessed(&'static str),
}

/// Spellings in brackets or as the last word, and the unit as schemas write it.
const WRITTEN: [(&str, &str); 19] = [
    ("mm", "mm"),
    ("cm", "cm"),
    ("m", "m"),
    ("km", "km"),
    ("m2", "m²"),
    ("m²", "m²"),
    ("sqm", "m²"),
    ("m3", "m³"),
    ("m³", "m³"),
    ("ft", "ft"),
    ("in", "in"),
    ("deg", "°"),
    ("degrees", "°"),
    ("°", "°"),
    ("rad", "rad"),
    ("radians", "rad"),
    ("%", "%"),
    ("percent", "%"),
    ("kg", "kg"),
];

const LENGTHS: [&str; 19] = [
    "width",
    "height",
    "depth",
    "length",
    "radius",
    "diameter",
    "span",
    "thickness",
    "distance",
    "offset",
    "setback",
    "spacing",
    "perimeter",
    "elevation",
    "rise",
    "gap",
    "edge",
    "side",
    "clearance",
];
const ANGLES: [&str; 7] = ["angle", "rotation", "rotate", "twist", "tilt", "azimuth", "slope"];

/// The abbreviation of a Rhino unit system.
pub(super) fn abbreviation(model_units: &str) -> &'static str {
    match model_units {
        "Microns" => "µm",
        "Millimeters" => "mm",
        "Centimeters" => "cm",
        "Decimeters" => "dm",
        "Kilometers" => "km",
        "Microinches" => "µin",
        "Mils" => "mil",
        "Inches" => "in",
        "Feet" => "ft",
        "Yards" => "yd",
        "Miles" => "mi",
        _ => "m",
    }
}

/// The unit of a number with this name and prompt, in a model of these units.
pub(super) fn of(name: &str, prompt: Option<&str>, model_units: &str) -> Option<Unit> {
    let written = [Some(name), prompt].into_iter().flatten().find_map(written);
    written.map(Unit::Written).or_else(|| guess(name, abbreviation(model_units)).map(Unit::Guessed))
}

/// A unit in brackets, or as the last word of a name such as `span_mm`.
fn written(text: &str) -> Option<&'static str> {
    let known =
        |word: &str| WRITTEN.iter().find(|(spelt, _)| word.trim().eq_ignore_ascii_case(spelt)).map(|(_, unit)| *unit);
    let bracketed = text.split(['(', '[']).skip(1).find_map(|rest| known(rest.split([')', ']']).next()?));
    // "In" and "m" alone at the end of a sentence are words; in a name with `_` they are units.
    bracketed.or_else(|| known(text.rsplit_once('_').filter(|(_, last)| !last.contains(' '))?.1))
}

fn guess(name: &str, length: &'static str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let mut words = name.split(|char: char| !char.is_alphanumeric());
    let last = words.clone().rfind(|word| !word.is_empty())?;
    if words.any(|word| matches!(word, "ratio" | "factor" | "count" | "number" | "percent" | "share")) {
        return None;
    }
    if ANGLES.contains(&last) {
        return Some("°");
    }
    if last == "area" {
        return match length {
            "m" => Some("m²"),
            "mm" => Some("mm²"),
            "cm" => Some("cm²"),
            "ft" => Some("ft²"),
            _ => None,
        };
    }
    LENGTHS.contains(&last).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_goes_before_what_is_guessed() {
        for (name, prompt, unit) in [
            ("span_mm", None, Some(Unit::Written("mm"))),
            ("Span (m)", Some("in feet"), Some(Unit::Written("m"))),
            ("reach", Some("How far [cm]"), Some(Unit::Written("cm"))),
            ("site width", None, Some(Unit::Guessed("m"))),
            ("rotate", None, Some(Unit::Guessed("°"))),
            ("floor area", None, Some(Unit::Guessed("m²"))),
            ("floor area ratio", None, None),
            ("count", None, None),
            ("look in", None, None),
            ("", None, None),
        ] {
            assert_eq!(of(name, prompt, "Meters"), unit, "{name}");
        }
        assert_eq!(of("height", None, "Feet"), Some(Unit::Guessed("ft")));
    }
}
