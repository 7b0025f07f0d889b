//! A definition in words and tables, for people: what `inspect` prints.
//!
//! Invariant: plain text without colour or trailing blanks, so that it can be piped, compared and pasted.

use std::fmt::{self, Display, Formatter};

use super::model::{Definition, Input, Problem, Severity};
use super::number;

/// Prints a [`Definition`] as text.
#[derive(Debug, Clone, Copy)]
pub struct Report<'d>(pub &'d Definition);

/// Characters of a default that a table shows.
const DEFAULT_WIDTH: usize = 32;

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let definition = self.0;
        let rhino = definition.rhino.as_deref().unwrap_or("of unknown version");
        let grasshopper =
            definition.grasshopper.as_deref().map_or(String::new(), |version| format!(", Grasshopper {version}"));
        let format = definition.format.as_str();
        writeln!(
            f,
            "{format}, saved by Rhino {rhino}{grasshopper}, {} on the canvas",
            count(definition.objects, "object")
        )?;
        if let Some(description) = &definition.description {
            writeln!(f, "{}", one_line(description))?;
        }
        let title = count(definition.inputs.len(), "input");
        let head = ["name", "type", "values", "range", "default", "position"];
        table(f, &title, head, definition.inputs.iter().map(input_row))?;
        let outputs = definition.outputs.iter();
        let outputs = outputs.map(|output| [one_line(&output.name), output.type_name.clone(), place(output.position)]);
        table(f, &count(definition.outputs.len(), "output"), ["name", "type", "position"], outputs)?;
        if !definition.libraries.is_empty() {
            let rows = definition.libraries.iter().map(|library| {
                let version = library.version.as_deref().map_or_else(|| "?".to_owned(), one_line);
                let note = [(library.bundled, "comes with Rhino"), (library.in_cluster, "inside a cluster")];
                [one_line(&library.name), version, notes(&note)]
            });
            table(f, &count(definition.libraries.len(), "plug-in"), ["name", "version", ""], rows)?;
        }
        if !definition.scripts.is_empty() {
            let rows = definition.scripts.iter().map(|script| {
                let digest = script.sha256.as_deref().map_or("no code in the file", |digest| &digest[..12]);
                let needs: Vec<&str> = script.requires.iter().chain(&script.packages).map(String::as_str).collect();
                let lines = count(script.lines, "line");
                [one_line(&script.spot.nickname), script.language.clone(), lines, digest.to_owned(), needs.join(" ")]
            });
            let head = ["name", "language", "code", "sha256", "packages"];
            table(f, &count(definition.scripts.len(), "script"), head, rows)?;
        }
        problems(f, &definition.problems)
    }
}

fn input_row(input: &Input) -> [String; 6] {
    let values = match (input.tree, input.at_least, input.at_most) {
        (true, ..) => "tree".to_owned(),
        (_, least, i32::MAX) => format!("{least} or more"),
        (_, least, most) if least == most => least.to_string(),
        (_, least, most) => format!("{least} to {most}"),
    };
    // What Grasshopper holds to, whether compute reports it or not.
    let range = match (input.minimum.or(input.own_minimum), input.own_maximum.or(input.maximum)) {
        (None, None) => "-".to_owned(),
        (Some(least), None) => format!("from {}", number::double(least)),
        (None, Some(most)) => format!("to {}", number::double(most)),
        (Some(least), Some(most)) => format!("{} to {}", number::double(least), number::double(most)),
    };
    let default = match &input.default {
        None => "unknown".to_owned(),
        Some(tree) if tree.is_empty() => "-".to_owned(),
        Some(tree) => clipped(&one_line(&tree.to_plain().to_string())),
    };
    [one_line(&input.name), input.type_name.clone(), values, range, default, place(input.position)]
}

fn problems(f: &mut Formatter<'_>, problems: &[Problem]) -> fmt::Result {
    if problems.is_empty() {
        return writeln!(f, "\nno problems");
    }
    writeln!(f, "\n{}", count(problems.len(), "problem"))?;
    for problem in problems {
        let word = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "  {word}[{}]: {}", problem.code, one_line(&problem.message))?;
        if let Some(spot) = &problem.spot {
            writeln!(f, "    where: {} {}", place(spot.position), spot.instance)?;
        }
        writeln!(f, "    fix: {}", one_line(&problem.fix))?;
    }
    Ok(())
}

fn table<const N: usize>(
    f: &mut Formatter<'_>,
    title: &str,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> fmt::Result {
    writeln!(f, "\n{title}")?;
    let rows: Vec<[String; N]> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    let head = head.map(str::to_owned);
    let all = || std::iter::once(&head).chain(&rows);
    let mut widths = [0; N];
    for (column, width) in widths.iter_mut().enumerate() {
        *width = all().map(|row| row[column].chars().count()).max().unwrap_or(0);
    }
    for row in all() {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("  {cell:width$}"));
        writeln!(f, "{}", cells.collect::<Vec<_>>().concat().trim_end())?;
    }
    Ok(())
}

fn count(number: usize, noun: &str) -> String {
    match number {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

fn place(position: Option<[f32; 2]>) -> String {
    position.map_or_else(|| "-".to_owned(), |[x, y]| format!("({x:.0}, {y:.0})"))
}

fn notes(notes: &[(bool, &str)]) -> String {
    let held: Vec<&str> = notes.iter().filter(|(held, _)| *held).map(|(_, note)| *note).collect();
    held.join(", ")
}

/// Text of the file in one line, without control characters that a terminal would obey.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn clipped(text: &str) -> String {
    if text.chars().count() <= DEFAULT_WIDTH {
        return text.to_owned();
    }
    text.chars().take(DEFAULT_WIDTH - 1).chain(['…']).collect()
}
