//! The rules of compatibility: what each is called, which step of the version it needs, and why.
//!
//! `docs/breaking.md` has a row for each; a test compares the two.

use super::Bump;

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// A stable word.
    pub word: &'static str,
    /// The least step that announces such a change.
    pub needs: Bump,
    /// Whom it concerns, and why.
    pub says: &'static str,
    /// What to do instead; empty where nothing need be done.
    pub help: &'static str,
    /// A change that it names.
    pub example: &'static str,
}

macro_rules! rules {
    ($($name:ident $word:literal $needs:ident $says:literal $help:literal $example:literal)*) => {
        $(pub const $name: Rule = Rule { word: $word, needs: Bump::$needs, says: $says, help: $help, example: $example };)*

        /// Every rule: inputs, outputs, then what a version asks and promises as a whole.
        pub const RULES: &[Rule] = &[$($name),*];
    };
}

rules! {
    INPUT_REMOVED "input_removed" Major
        "Callers that send the input are refused: unknown inputs are."
        "keep the input, and let the definition ignore it"
        r#""site_width" is no longer in inputs.schema.json"#
    INPUT_REQUIRED_ADDED "input_required_added" Major
        "No caller sends the new input yet, so all of them are refused."
        "give it a default, with which the results stay what they are"
        r#""required": ["site_width"] becomes ["site_width", "site_depth"], where site_depth is new"#
    INPUT_NOW_REQUIRED "input_now_required" Major
        "Callers that leave the input out are refused."
        "leave it optional, with its default"
        r#""required": [] becomes ["site_width"]"#
    INPUT_TYPE_CHANGED "input_type_changed" Major
        "The values that callers send are of another Grasshopper type than is now taken."
        "add an input of the new type under another name"
        r#""type": "number" becomes "text" in bindings.json"#
    INPUT_ACCESS_CHANGED "input_access_changed" Major
        "Callers send one value where a list or a tree is now wanted, or the other way round."
        "add an input of the new access under another name"
        r#""access": "item" becomes "list" in bindings.json"#
    INPUT_TYPE_NARROWED "input_type_narrowed" Major
        "Some values are refused for their JSON type."
        "keep the wider type, and round or convert in the definition"
        r#""type": "number" becomes "integer": 3.5 is refused"#
    INPUT_RANGE_NARROWED "input_range_narrowed" Major
        "Some numbers that were accepted are now out of range, or no multiple of the step."
        "keep the range, and clamp in the definition"
        r#""maximum": 200 becomes 150: 180 is refused"#
    INPUT_CHOICE_REMOVED "input_choice_removed" Major
        "A value that was one of the choices is refused."
        "keep the choice, and let the definition treat it as its successor"
        r#""enum": ["flat", "gable"] becomes ["flat"]"#
    INPUT_TEXT_NARROWED "input_text_narrowed" Major
        "Some texts that were accepted are refused for their length, pattern or format."
        "keep accepting them"
        r#""maxLength": 80 becomes 40"#
    INPUT_LIST_NARROWED "input_list_narrowed" Major
        "Some lists that were accepted are refused for their length or their items."
        "keep accepting them"
        r#""maxItems": 100 becomes 10"#
    INPUT_MEMBER_REQUIRED "input_member_required" Major
        "Objects that were accepted lack a member that is now wanted."
        "give the member a default"
        r#""required": ["x"] becomes ["x", "y"] within an input that is an object"#
    INPUT_CLOSED "input_closed" Major
        "Objects that were accepted have members that are no longer let pass."
        "leave `additionalProperties` as it was"
        r#""additionalProperties": true becomes false within an input"#
    INPUT_NARROWED "input_narrowed" Major
        "Some values that were accepted are refused."
        "keep accepting them"
        r#""not": {"const": 0} is added: 0 is refused"#
    INPUT_UNPROVEN "input_unproven" Major
        "It could not be proven that all values that were accepted still are, and no value was found that is not. Counts as breaking."
        "write both schemas with keywords that can be compared, such as ranges and choices"
        r#"a "pattern" of one version that cannot be compared with the other's"#
    INPUT_DEFAULT_CHANGED "input_default_changed" Major
        "Callers that leave the input out get another result, and nothing tells them."
        "keep the default; who wants the new value can send it"
        r#""default": 3.5 becomes 4"#
    INPUT_UNIT_CHANGED "input_unit_changed" Major
        "Callers' numbers mean something else now."
        "convert in the definition, or add an input in the new unit under another name"
        r#""x-unit": "m" becomes "mm""#
    OLD_EXAMPLE_REFUSED "old_example_refused" Major
        "Inputs that the old version gives as an example are refused by the new one."
        "keep accepting them"
        r#"examples/valid/small.json of 1.0.0 has "site_width": 10, and 1.1.0 wants at least 20"#
    INPUT_ADDED "input_added" Minor
        "The new input has a default, so callers need not know it."
        ""
        r#""coverage_max", with "default": 0.6"#
    INPUT_OPTIONAL "input_optional" Minor
        "The input may now be left out."
        ""
        r#""required": ["site_width"] becomes []"#
    INPUT_WIDENED "input_widened" Minor
        "More values are accepted than before."
        ""
        r#""maximum": 200 becomes 300"#
    INPUT_UNIT_STATED "input_unit_stated" Minor
        "The unit was not told before."
        ""
        r#""x-unit": "m" is added"#
    INPUT_ORDER_CHANGED "input_order_changed" Patch
        "Forms show the inputs in another order."
        ""
        r#""x-order": 1 becomes 2"#
    INPUT_STEP_CHANGED "input_step_changed" Patch
        "Forms offer other values; what is accepted is the same."
        ""
        r#""step": 1 becomes 0.5 in bindings.json"#
    OUTPUT_REMOVED "output_removed" Major
        "Callers read an output that is no longer there."
        "keep giving it"
        r#""gross_area" is no longer in outputs.schema.json"#
    OUTPUT_OPTIONAL "output_optional" Major
        "Callers read an output that may now be missing."
        "keep giving it"
        r#""required": ["gross_area"] becomes []"#
    OUTPUT_TYPE_CHANGED "output_type_changed" Major
        "Callers get a value of another Grasshopper type than they know."
        "add an output of the new type under another name"
        r#""type": "mesh" becomes "brep" in bindings.json"#
    OUTPUT_ACCESS_CHANGED "output_access_changed" Major
        "Callers get a list or a tree where they know one value, or the other way round."
        "add an output of the new access under another name"
        r#""access": "item" becomes "tree" in bindings.json"#
    OUTPUT_TYPE_WIDENED "output_type_widened" Major
        "Callers may get a value of a JSON type that they do not know."
        "keep the type"
        r#""type": "integer" becomes "number": 3.5 may come"#
    OUTPUT_RANGE_WIDENED "output_range_widened" Major
        "Callers may get a number that was promised not to come."
        "keep the range"
        r#""maximum": 1 becomes 100"#
    OUTPUT_CHOICE_ADDED "output_choice_added" Major
        "Callers may get a value that is none of the choices they know."
        "give the new value by another output"
        r#""enum": ["ok", "too_high"] becomes ["ok", "too_high", "too_deep"]"#
    OUTPUT_TEXT_WIDENED "output_text_widened" Major
        "Callers may get a text that was promised not to come."
        "keep the promise"
        r#""maxLength": 40 is taken out"#
    OUTPUT_LIST_WIDENED "output_list_widened" Major
        "Callers may get a list that was promised not to come."
        "keep the promise"
        r#""maxItems": 10 becomes 100"#
    OUTPUT_MEMBER_OPTIONAL "output_member_optional" Major
        "Callers read a member of an object that may now be missing."
        "keep giving it"
        r#""required": ["x", "y"] becomes ["x"] within an output that is an object"#
    OUTPUT_OPENED "output_opened" Major
        "Callers may get an object with members that they do not know."
        "leave `additionalProperties` as it was"
        r#""additionalProperties": false is taken out of an output"#
    OUTPUT_WIDENED "output_widened" Major
        "Callers may get a value that was promised not to come."
        "keep the promise"
        r#""not": {"const": 0} is taken out: 0 may come"#
    OUTPUT_UNPROVEN "output_unproven" Major
        "It could not be proven that callers know all values that may come, and no value was found that they do not. Counts as breaking."
        "write both schemas with keywords that can be compared, such as ranges and choices"
        r#"a "pattern" of one version that cannot be compared with the other's"#
    OUTPUT_UNIT_CHANGED "output_unit_changed" Major
        "Callers' readers take the number for something else."
        "convert in the definition, or add an output in the new unit under another name"
        r#""x-unit": "m2" becomes "ft2""#
    GOLDEN_DRIFT "golden_drift" Major
        "Equal inputs give another result, beyond the old version's tolerance."
        "if the old result was wrong, say so with a major version"
        r#""gross_area": 4200 with 1.0.0 and 4310 with 1.0.1, for the same inputs"#
    OUTPUT_ADDED "output_added" Minor
        "Callers need not read the new output."
        ""
        r#""floors" is new in outputs.schema.json"#
    OUTPUT_REQUIRED "output_required" Minor
        "The output is now always there."
        ""
        r#""required": [] becomes ["gross_area"]"#
    OUTPUT_NARROWED "output_narrowed" Minor
        "More is promised of the output than before."
        ""
        r#""minimum": 0 is added"#
    OUTPUT_UNIT_STATED "output_unit_stated" Minor
        "The unit was not told before."
        ""
        r#""x-unit": "m2" is added"#
    OUTPUT_ORDER_CHANGED "output_order_changed" Patch
        "The outputs are shown in another order."
        ""
        r#""x-order": 1 becomes 2"#
    APP_CHANGED "app_changed" Major
        "Another app answers for the definition: its tenants, caps and limits hold."
        "publish a version of the same app"
        r#""app_id": "sitefit" becomes "massing""#
    DEFINITION_RENAMED "definition_renamed" Major
        "Callers name the definition in each request."
        "keep the name"
        r#""definition": "sitefit" becomes "site-fit""#
    MODEL_UNITS_CHANGED "model_units_changed" Major
        "Geometry that goes in and out is in another unit."
        "scale in the definition"
        r#""model_units": "Meters" becomes "Millimeters""#
    RHINO_CHANGED "rhino_changed" Major
        "Another major Rhino computes, and its geometry may be unreadable to callers' libraries."
        ""
        r#""rhino": "8" becomes "9""#
    TIMEOUT_LOWERED "timeout_lowered" Major
        "Solves that were finished in time may no longer be."
        "keep the budget"
        r#""timeout_sec": 30 becomes 10"#
    REQUEST_LIMIT_LOWERED "request_limit_lowered" Major
        "Requests that were taken may be too large now."
        "keep the limit"
        r#""request_bytes": 65536 becomes 4096"#
    RESPONSE_LIMIT_LOWERED "response_limit_lowered" Major
        "Results that were given may be too large now."
        "keep the limit"
        r#""response_bytes": 1048576 becomes 65536"#
    NOT_DETERMINISTIC "not_deterministic" Major
        "Equal inputs may give different results now, and no answer is kept."
        "keep random seeds among the inputs"
        r#""deterministic": true becomes false"#
    TOLERANCE_CHANGED "tolerance_changed" Minor
        "Results may differ in their last digits."
        ""
        r#""absolute_tolerance": 0.001 becomes 0.01"#
    RHINO_UPDATED "rhino_updated" Minor
        "Nodes need another Rhino of the same major version."
        ""
        r#""rhino": "8.10" becomes "8.15""#
    PLUGIN_ADDED "plugin_added" Minor
        "Nodes need one more plug-in."
        ""
        "plugins.json names LadybugX, which it did not"
    PLUGIN_CHANGED "plugin_changed" Minor
        "Nodes need another version or another file of a plug-in."
        ""
        r#""version": "2.0.0" of LadybugX becomes "2.1.0""#
    DETERMINISTIC "deterministic" Minor
        "Equal inputs now give equal results, and answers may be kept."
        ""
        r#""deterministic": false becomes true"#
    TIMEOUT_RAISED "timeout_raised" Minor
        "A solve may take longer than before."
        ""
        r#""timeout_sec": 30 becomes 60"#
    LIMIT_RAISED "limit_raised" Minor
        "Larger requests or results are let pass."
        ""
        r#""response_bytes": 1048576 becomes 4194304"#
    PLUGIN_REMOVED "plugin_removed" Patch
        "Nodes need one plug-in less."
        ""
        "plugins.json no longer names LadybugX"
    DEFINITION_CHANGED "definition_changed" Patch
        "The Grasshopper file is another one; what its results are, only solves can tell."
        ""
        "sitefit.ghx was saved with one more component"
    GOLDEN_LOST "golden_lost" Patch
        "No example of the new version has these inputs, so nobody sees whether their result drifts."
        "take the old version's example over"
        "examples/valid/small.json of 1.0.0 is not in 1.0.1"
    BUMP_TOO_SMALL "bump_too_small" Patch
        "The version number announces less than what changed, so callers who follow it are not warned."
        "publish under the version that is named"
        "1.1.0 to 1.1.1, where an input was removed: 2.0.0 announces that"
    VERSION_CHANGED "version_changed" Patch
        "A published version never changes: gateways refuse the new content and keep serving the old."
        "publish the change under a version of its own"
        r#""timeout_sec" of 1.0.0 is another one than in the target branch"#
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_have_a_row_for_each_rule_with_its_step() {
        let docs = include_str!("../../../docs/breaking.md");
        for Rule { word, needs, .. } in RULES {
            assert!(
                docs.contains(&format!("| `{word}` | {needs} |")),
                "docs/breaking.md lacks `| `{word}` | {needs} |`"
            );
        }
        let rows = docs.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, RULES.len());
    }

    #[test]
    fn each_rule_is_a_word_of_its_own() {
        for (index, rule) in RULES.iter().enumerate() {
            assert!(rule.word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", rule.word);
            assert!(RULES[..index].iter().all(|earlier| earlier.word != rule.word), "{}", rule.word);
            assert!(rule.needs == Bump::Major || !rule.says.is_empty());
        }
    }
}
