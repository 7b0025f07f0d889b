//! The names that callers use, made from those that a definition has.
//!
//! Invariant: a name fits the pattern of `bindings.json`, and no two inputs, and no two outputs, share one.

/// The longest name that a binding may have.
const LONGEST: usize = 64;

/// The part of a parameter's name that is meant for people: what stands behind the last colon of `RH_IN:201:Radius`.
pub(super) fn spoken(gh: &str) -> String {
    // An output of a component with several: `RH_OUT:site (Area)`.
    let (head, inner) = match gh.rsplit_once(" (").and_then(|(head, rest)| Some((head, rest.strip_suffix(')')?))) {
        Some((head, inner)) if !inner.trim().is_empty() => (head, Some(inner)),
        _ => (gh, None),
    };
    let last = head.rsplit(':').find(|part| !part.trim().is_empty()).unwrap_or(head).trim();
    let last = ["RH_IN", "RH_OUT"].into_iter().fold(last, |name, mark| name.strip_prefix(mark).unwrap_or(name));
    match inner {
        Some(inner) => format!("{last} {inner}"),
        None => last.to_owned(),
    }
}

/// A name for callers: lower-case words joined by `_`. `fallback` where nothing of the name can stay.
pub(super) fn caller_name(gh: &str, fallback: &str, taken: &[String]) -> String {
    let words = words(&spoken(gh));
    let mut name: String = words.join("_").chars().take(LONGEST - 4).collect();
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        name = if name.is_empty() { fallback.to_owned() } else { format!("{fallback}_{name}") };
        name.truncate(LONGEST - 4);
    }
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let mut candidates = std::iter::once(name.clone()).chain(numbered);
    candidates.find(|candidate| !taken.contains(candidate)).unwrap_or(name)
}

/// An id for an app, made from the name of a file; nothing where no letter stays.
pub fn app_id(stem: &str) -> Option<String> {
    let id = words(stem).join("-");
    let id: String = id.trim_start_matches(|first: char| !first.is_ascii_lowercase()).chars().take(50).collect();
    let id = id.trim_end_matches('-');
    (!id.is_empty()).then(|| id.to_owned())
}

/// "Site width", for a heading.
pub(super) fn title(gh: &str) -> String {
    let spoken = spoken(gh);
    let text = words(&spoken).join(" ");
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).take(120).collect(),
        None => spoken.chars().filter(|char| !char.is_control()).take(120).collect(),
    }
}

/// The words of a name, lower-case and in ASCII: `siteWidth2`, `site-width 2` and `SITE_WIDTH 2` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut before = ' ';
    for char in name.chars() {
        let hump = char.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit());
        if (hump || !char.is_ascii_alphanumeric()) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if char.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(char.to_ascii_lowercase());
        }
        before = char;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_reads_words_where_grasshopper_has_marks() {
        for (gh, name, heading) in [
            ("RH_IN:201:Radius", "radius", "Radius"),
            ("RH_IN:siteWidth", "site_width", "Site width"),
            ("U_Division", "u_division", "U division"),
            ("RH_OUT:site (Area)", "site_area", "Site area"),
            ("RH_IN:106:0001", "input_0001", "0001"),
            ("RH_INspan", "span", "Span"),
            ("größe", "gr_e", "Gr e"),
            ("RH_IN:", "input", ""),
        ] {
            assert_eq!(caller_name(gh, "input", &[]), name, "{gh}");
            assert_eq!(title(gh), heading, "{gh}");
        }
    }

    #[test]
    fn no_two_names_are_equal() {
        let taken = ["width".to_owned(), "width_2".to_owned()];
        assert_eq!(caller_name("Width", "input", &taken), "width_3");
        assert!(caller_name(&"wide".repeat(40), "input", &[]).len() <= LONGEST);
    }

    #[test]
    fn a_file_name_makes_an_id() {
        for (stem, id) in
            [("BranchNodeRnd", Some("branch-node-rnd")), ("01_facade v2", Some("facade-v2")), ("118", None)]
        {
            assert_eq!(app_id(stem).as_deref(), id, "{stem}");
        }
    }
}
