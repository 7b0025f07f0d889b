//! Why a name that somebody looks for is, or is not, an input or output.

use super::model::{Definition, Explanation};

/// How alike two names must be to be suggested, by Jaro and Winkler.
const ALIKE: f64 = 0.8;
/// How many names are suggested at most.
const SUGGESTED: usize = 3;

impl Definition {
    /// What there is to say about `name`: an exact name of an input or output, else an object on the canvas that compute
    /// does not see under it, else names that are near.
    pub fn explain(&self, name: &str) -> Explanation<'_> {
        if let Some(input) = self.inputs.iter().find(|input| input.name == name) {
            return Explanation::Input(input);
        }
        if let Some(output) = self.outputs.iter().find(|output| output.name == name) {
            return Explanation::Output(output);
        }
        let near = self.near(name);
        // A seen name that differs in its prefix or case only is what was meant.
        if near.iter().any(|seen| bare(seen) == bare(name)) {
            return Explanation::DidYouMean(near);
        }
        if bare(name).is_empty() {
            return Explanation::NotThere;
        }
        let mut told = self.problems.iter().filter_map(|problem| Some((problem, problem.spot.as_ref()?)));
        if let Some((problem, spot)) = told.find(|(_, spot)| bare(&spot.nickname) == bare(name)) {
            return Explanation::NotSeen { spot, because: problem.message.clone(), fix: problem.fix.clone() };
        }
        if let Some(spot) = self.unseen.iter().find(|spot| bare(&spot.nickname) == bare(name)) {
            let wanted = if name.contains("RH_") { name.to_owned() } else { format!("RH_IN:{name}") };
            return Explanation::NotSeen {
                spot,
                because: format!("{spot} is on the canvas, and in no group that makes it an input or output"),
                fix: format!("select it alone, press Ctrl+G, and give the group the nickname {wanted}"),
            };
        }
        if near.is_empty() { Explanation::NotThere } else { Explanation::DidYouMean(near) }
    }

    fn near(&self, name: &str) -> Vec<&str> {
        let names = self.inputs.iter().map(|input| &input.name).chain(self.outputs.iter().map(|output| &output.name));
        let likeness = |seen: &str| {
            let whole = strsim::jaro_winkler(seen, name);
            whole.max(strsim::jaro_winkler(&bare(seen), &bare(name)))
        };
        let mut near: Vec<(f64, &str)> = names.map(|seen| (likeness(seen), seen.as_str())).collect();
        near.retain(|(alike, _)| *alike >= ALIKE);
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        near.into_iter().take(SUGGESTED).map(|(_, seen)| seen).collect()
    }
}

/// The part after the last colon, in lower case: what callers and Hops call the parameter.
fn bare(name: &str) -> String {
    name.rsplit(':').next().unwrap_or(name).trim().to_lowercase()
}
