//! What values convert to, and how they read as text.

use proptest::prelude::*;

use super::{Circle, Domain, Kind, Line, Plane, Rectangle, Transform, Value, distance, dot, length, number_text};

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn numbers_show_as_panels_show_them() {
    for (number, expected) in [
        (7.0, "7"),
        (-0.0, "0"),
        (1.0 / 3.0, "0.333333"),
        (200.0 / 3.0, "66.666667"),
        (0.5, "0.5"),
        (123_456.789, "123456.789"),
        (1_000_000.0, "1.0000e+6"),
        (1e-7, "1.0000e-7"),
        (f64::NAN, "NaN"),
    ] {
        assert_eq!(number_text(number), expected);
    }
}

#[test]
fn a_number_becomes_the_nearest_integer_and_halves_the_even_one() {
    for (number, expected) in
        [(2.5, Some(2)), (3.5, Some(4)), (-2.5, Some(-2)), (2.51, Some(3)), (3e9, None), (f64::NAN, None)]
    {
        assert_eq!(Value::Number(number).as_integer(), expected, "{number}");
    }
}

#[test]
fn values_become_what_a_parameter_asks_for_or_nothing() {
    let line = Value::Line(Line { from: [0.0; 3], to: [1.0, 2.0, 3.0] });
    let rectangle = Rectangle { plane: Plane::XY, x: Domain::new(0.0, 2.0), y: Domain::new(0.0, 3.0) };
    for (value, kind, expected) in [
        (text(" 3.5 "), Kind::Number, Some(Value::Number(3.5))),
        (text("inf"), Kind::Number, None),
        (text("wide"), Kind::Number, None),
        (Value::Boolean(true), Kind::Number, Some(Value::Number(1.0))),
        (Value::Number(0.0), Kind::Boolean, Some(Value::Boolean(false))),
        (text("TRUE"), Kind::Boolean, Some(Value::Boolean(true))),
        (text("{1, 2, 3}"), Kind::Point, Some(Value::Point([1.0, 2.0, 3.0]))),
        (text("1,2"), Kind::Point, Some(Value::Point([1.0, 2.0, 0.0]))),
        (Value::Point([1.0, 2.0, 3.0]), Kind::Text, Some(text("{1, 2, 3}"))),
        (Value::Point([1.0, 2.0, 3.0]), Kind::Vector, Some(Value::Vector([1.0, 2.0, 3.0]))),
        (line.clone(), Kind::Vector, Some(Value::Vector([1.0, 2.0, 3.0]))),
        (line.clone(), Kind::Curve, Some(line)),
        (Value::Number(5.0), Kind::Domain, Some(Value::Domain(Domain::new(0.0, 5.0)))),
        (text("1 To 4"), Kind::Domain, Some(Value::Domain(Domain::new(1.0, 4.0)))),
        (Value::Polyline(rectangle.outline()), Kind::Rectangle, Some(Value::Rectangle(Box::new(rectangle)))),
        (Value::Circle(Box::new(Circle { plane: Plane::XY, radius: 1.0 })), Kind::Line, None),
        (Value::Number(1.0), Kind::Geometry, None),
    ] {
        assert_eq!(value.cast(kind), expected, "{value:?} as {kind:?}");
    }
}

fn direction() -> impl Strategy<Value = [f64; 3]> {
    [-10.0..10.0, -10.0..10.0, -10.0..10.0].prop_filter("a direction has a length", |v| length(*v) > 1e-3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_plane_of_a_normal_is_right_angled_and_keeps_it(normal in direction()) {
        let plane = Plane::from_normal([0.0; 3], normal).unwrap();
        prop_assert!(dot(plane.x_axis, plane.y_axis).abs() < 1e-9);
        prop_assert!((dot(plane.z_axis(), normal) - length(normal)).abs() < 1e-9 * length(normal));
    }

    #[test]
    fn turning_and_turning_back_moves_nothing(normal in direction(), point in direction(), angle in -7.0..7.0) {
        let plane = Plane::from_normal([1.0, 2.0, 3.0], normal).unwrap();
        let there = Transform::rotation(&plane, angle).point(point);
        let back = Transform::rotation(&plane, -angle).point(there);
        prop_assert!(distance(back, point) < 1e-9);
    }

    #[test]
    fn text_of_a_number_reads_back_to_six_decimals(number in -9e5..9e5) {
        let read = Value::Text(number_text(number)).as_number().unwrap();
        prop_assert!((read - number).abs() <= 5e-7);
    }

    #[test]
    fn any_text_is_cast_or_is_not(words in "\\PC{0,40}") {
        for kind in [Kind::Number, Kind::Integer, Kind::Boolean, Kind::Point, Kind::Domain, Kind::Colour, Kind::Path, Kind::Plane] {
            let _either = Value::Text(words.clone()).cast(kind);
        }
    }
}
