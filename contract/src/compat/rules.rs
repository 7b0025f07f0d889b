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
}

macro_rules! rules {
    ($($name:ident $word:literal $needs:ident $says:literal $help:literal)*) => {
        $(pub const $name: Rule = Rule { word: $word, needs: Bump::$needs, says: $says, help: $help };)*

        /// Every rule: inputs, outputs, then what a version asks and promises as a whole.
        pub const RULES: &[Rule] = &[$($name),*];
    };
}

rules! {
    INPUT_REMOVED "input_removed" Major
        "Callers that send the input are refused: unknown inputs are."
        "keep the input, and let the definition ignore it"
    INPUT_REQUIRED_ADDED "input_required_added" Major
        "No caller sends the new input yet, so all of them are refused."
        "give it a default, with which the results stay what they are"
    INPUT_NOW_REQUIRED "input_now_required" Major
        "Callers that leave the input out are refused."
        "leave it optional, with its default"
    INPUT_TYPE_CHANGED "input_type_changed" Major
        "The values that callers send are of another Grasshopper type than is now taken."
        "add an input of the new type under another name"
    INPUT_ACCESS_CHANGED "input_access_changed" Major
        "Callers send one value where a list or a tree is now wanted, or the other way round."
        "add an input of the new access under another name"
    INPUT_TYPE_NARROWED "input_type_narrowed" Major
        "Some values are refused for their JSON type."
        "keep the wider type, and round or convert in the definition"
    INPUT_RANGE_NARROWED "input_range_narrowed" Major
        "Some numbers that were accepted are now out of range, or no multiple of the step."
        "keep the range, and clamp in the definition"
    INPUT_CHOICE_REMOVED "input_choice_removed" Major
        "A value that was one of the choices is refused."
        "keep the choice, and let the definition treat it as its successor"
    INPUT_TEXT_NARROWED "input_text_narrowed" Major
        "Some texts that were accepted are refused for their length, pattern or format."
        "keep accepting them"
    INPUT_LIST_NARROWED "input_list_narrowed" Major
        "Some lists that were accepted are refused for their length or their items."
        "keep accepting them"
    INPUT_MEMBER_REQUIRED "input_member_required" Major
        "Objects that were accepted lack a member that is now wanted."
        "give the member a default"
    INPUT_CLOSED "input_closed" Major
        "Objects that were accepted have members that are no longer let pass."
        "leave `additionalProperties` as it was"
    INPUT_NARROWED "input_narrowed" Major
        "Some values that were accepted are refused."
        "keep accepting them"
    INPUT_UNPROVEN "input_unproven" Major
        "It could not be proven that all values that were accepted still are, and no value was found that is not. Counts as breaking."
        "write both schemas with keywords that can be compared, such as ranges and choices"
    INPUT_DEFAULT_CHANGED "input_default_changed" Major
        "Callers that leave the input out get another result, and nothing tells them."
        "keep the default; who wants the new value can send it"
    INPUT_UNIT_CHANGED "input_unit_changed" Major
        "Callers' numbers mean something else now."
        "convert in the definition, or add an input in the new unit under another name"
    EXAMPLE_REFUSED "example_refused" Major
        "Inputs that the old version gives as an example are refused by the new one."
        "keep accepting them"
    INPUT_ADDED "input_added" Minor
        "The new input has a default, so callers need not know it."
        ""
    INPUT_OPTIONAL "input_optional" Minor
        "The input may now be left out."
        ""
    INPUT_WIDENED "input_widened" Minor
        "More values are accepted than before."
        ""
    INPUT_UNIT_STATED "input_unit_stated" Minor
        "The unit was not told before."
        ""
    INPUT_ORDER_CHANGED "input_order_changed" Patch
        "Forms show the inputs in another order."
        ""
    INPUT_STEP_CHANGED "input_step_changed" Patch
        "Forms offer other values; what is accepted is the same."
        ""
    OUTPUT_REMOVED "output_removed" Major
        "Callers read an output that is no longer there."
        "keep giving it"
    OUTPUT_OPTIONAL "output_optional" Major
        "Callers read an output that may now be missing."
        "keep giving it"
    OUTPUT_TYPE_CHANGED "output_type_changed" Major
        "Callers get a value of another Grasshopper type than they know."
        "add an output of the new type under another name"
    OUTPUT_ACCESS_CHANGED "output_access_changed" Major
        "Callers get a list or a tree where they know one value, or the other way round."
        "add an output of the new access under another name"
    OUTPUT_TYPE_WIDENED "output_type_widened" Major
        "Callers may get a value of a JSON type that they do not know."
        "keep the type"
    OUTPUT_RANGE_WIDENED "output_range_widened" Major
        "Callers may get a number that was promised not to come."
        "keep the range"
    OUTPUT_CHOICE_ADDED "output_choice_added" Major
        "Callers may get a value that is none of the choices they know."
        "give the new value by another output"
    OUTPUT_TEXT_WIDENED "output_text_widened" Major
        "Callers may get a text that was promised not to come."
        "keep the promise"
    OUTPUT_LIST_WIDENED "output_list_widened" Major
        "Callers may get a list that was promised not to come."
        "keep the promise"
    OUTPUT_MEMBER_OPTIONAL "output_member_optional" Major
        "Callers read a member of an object that may now be missing."
        "keep giving it"
    OUTPUT_OPENED "output_opened" Major
        "Callers may get an object with members that they do not know."
        "leave `additionalProperties` as it was"
    OUTPUT_WIDENED "output_widened" Major
        "Callers may get a value that was promised not to come."
        "keep the promise"
    OUTPUT_UNPROVEN "output_unproven" Major
        "It could not be proven that callers know all values that may come, and no value was found that they do not. Counts as breaking."
        "write both schemas with keywords that can be compared, such as ranges and choices"
    OUTPUT_UNIT_CHANGED "output_unit_changed" Major
        "Callers' readers take the number for something else."
        "convert in the definition, or add an output in the new unit under another name"
    GOLDEN_DRIFT "golden_drift" Major
        "Equal inputs give another result, beyond the old version's tolerance."
        "if the old result was wrong, say so with a major version"
    OUTPUT_ADDED "output_added" Minor
        "Callers need not read the new output."
        ""
    OUTPUT_REQUIRED "output_required" Minor
        "The output is now always there."
        ""
    OUTPUT_NARROWED "output_narrowed" Minor
        "More is promised of the output than before."
        ""
    OUTPUT_UNIT_STATED "output_unit_stated" Minor
        "The unit was not told before."
        ""
    OUTPUT_ORDER_CHANGED "output_order_changed" Patch
        "The outputs are shown in another order."
        ""
    APP_CHANGED "app_changed" Major
        "Another app answers for the definition: its tenants, caps and limits hold."
        "publish a version of the same app"
    DEFINITION_RENAMED "definition_renamed" Major
        "Callers name the definition in each request."
        "keep the name"
    MODEL_UNITS_CHANGED "model_units_changed" Major
        "Geometry that goes in and out is in another unit."
        "scale in the definition"
    RHINO_CHANGED "rhino_changed" Major
        "Another major Rhino computes, and its geometry may be unreadable to callers' libraries."
        ""
    TIMEOUT_LOWERED "timeout_lowered" Major
        "Solves that were finished in time may no longer be."
        "keep the budget"
    REQUEST_LIMIT_LOWERED "request_limit_lowered" Major
        "Requests that were taken may be too large now."
        "keep the limit"
    RESPONSE_LIMIT_LOWERED "response_limit_lowered" Major
        "Results that were given may be too large now."
        "keep the limit"
    NOT_DETERMINISTIC "not_deterministic" Major
        "Equal inputs may give different results now, and no answer is kept."
        "keep random seeds among the inputs"
    TOLERANCE_CHANGED "tolerance_changed" Minor
        "Results may differ in their last digits."
        ""
    RHINO_UPDATED "rhino_updated" Minor
        "Nodes need another Rhino of the same major version."
        ""
    PLUGIN_ADDED "plugin_added" Minor
        "Nodes need one more plug-in."
        ""
    PLUGIN_CHANGED "plugin_changed" Minor
        "Nodes need another version or another file of a plug-in."
        ""
    DETERMINISTIC "deterministic" Minor
        "Equal inputs now give equal results, and answers may be kept."
        ""
    TIMEOUT_RAISED "timeout_raised" Minor
        "A solve may take longer than before."
        ""
    LIMIT_RAISED "limit_raised" Minor
        "Larger requests or results are let pass."
        ""
    PLUGIN_REMOVED "plugin_removed" Patch
        "Nodes need one plug-in less."
        ""
    DEFINITION_CHANGED "definition_changed" Patch
        "The Grasshopper file is another one; what its results are, only solves can tell."
        ""
    GOLDEN_LOST "golden_lost" Patch
        "No example of the new version has these inputs, so nobody sees whether their result drifts."
        "take the old version's example over"
    BUMP_TOO_SMALL "bump_too_small" Patch
        "The version number announces less than what changed, so callers who follow it are not warned."
        "publish under the version that is named"
    VERSION_CHANGED "version_changed" Patch
        "A published version never changes: gateways refuse the new content and keep serving the old."
        "publish the change under a version of its own"
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
