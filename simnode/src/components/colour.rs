//! Colours by channel.

use super::table::{fixed, guid};
use super::{Call, Descriptor, Input, Outcome, Output, Preset, Stop};
use crate::value::{Kind, Value};

const CHANNELS: &[&str] = &["Alpha", "Red", "Green", "Blue"];

const fn channels(kind: Kind, alpha: Preset, other: Preset) -> [Input; 4] {
    [
        Input::item(CHANNELS[0], kind).or(alpha),
        Input::item(CHANNELS[1], kind).or(other),
        Input::item(CHANNELS[2], kind).or(other),
        Input::item(CHANNELS[3], kind).or(other),
    ]
}

static WHOLE: [Input; 4] = channels(Kind::Integer, Preset::Integer(255), Preset::Integer(0));
static FRACTION: [Input; 4] = channels(Kind::Number, Preset::Number(1.0), Preset::Number(0.0));
const COLOUR: &[Output] = &[Output::item("Colour")];

pub(super) static TABLE: &[Descriptor] = &[
    fixed(&[guid("49d2e200-b34e-4e1c-82a3-07feb4cb9378")], "Colour RGB", &WHOLE, COLOUR, |call| compose(call, 1.0)),
    fixed(&[guid("f35132c0-c298-4b9c-b446-42e960f52677")], "Colour RGB (f)", &FRACTION, COLOUR, |call| {
        compose(call, 255.0)
    }),
    fixed(
        &[guid("350f7d03-a48f-4121-bcee-328cfe1ed9ef")],
        "Split ARGB",
        &[Input::item("Colour", Kind::Colour)],
        &[Output::item("Alpha"), Output::item("Red"), Output::item("Green"), Output::item("Blue")],
        |call| {
            let Value::Colour(argb) = *call.value(0)? else { return Err(Stop::Null) };
            for (output, channel) in argb.into_iter().enumerate() {
                call.put(output, Value::Integer(i32::from(channel)));
            }
            Ok(())
        },
    ),
];

/// Channels beyond their range are brought to its end.
fn compose(call: &mut Call<'_>, factor: f64) -> Outcome {
    let mut argb = [0; 4];
    for (input, channel) in argb.iter_mut().enumerate() {
        let level = (call.number(input)? * factor).round_ties_even().clamp(0.0, 255.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255, and NaN becomes 0")]
        let level = level as u8;
        *channel = level;
    }
    call.put(0, Value::Colour(argb));
    Ok(())
}
