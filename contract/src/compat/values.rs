//! The values of one member, as its sender makes them and as its receiver takes them.
//!
//! Callers send inputs and the old version was their receiver; the new one must take what it took. Outputs come from the
//! new version and callers know them by the old one. So both directions are one question: what may be sent that is not
//! taken? The answer is a proof, and where something is lost a value that shows it, tried on both sides' validators.

use serde::Serialize;
use serde_json::{Map, Value};

use super::proof::{Domain, Proof};
use super::sample::Hints;
use super::shape;
use crate::bindings::Binding;
use crate::canonical;
use crate::defaults::Defaults;
use crate::schema::{Schema, Subject, Violation};

/// What a receiver refuses of a sender's values.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// Never [`Proof::Contained`] without a witness: the validators have the last word.
    pub proof: Proof,
    /// Values that show it, one for each keyword that refuses some.
    pub witnesses: Vec<Witness>,
}

/// A value that the sender may send and the receiver refuses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Witness {
    pub value: Value,
    /// The keyword of the receiver's schema that refuses it; none where the type of the binding does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyword: Option<String>,
    /// Where that keyword stands in the receiver's schema file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    pub message: String,
}

/// Refusals that are told of one member.
const WITNESSES: usize = 4;

/// One side's view of a member.
#[derive(Debug)]
pub(super) struct Values<'c> {
    pub(super) name: &'c str,
    /// The schema whose members are judged by themselves.
    pub(super) schema: &'c Schema,
    pub(super) binding: Option<&'c Binding>,
    /// What is filled in before the receiver judges; none for outputs.
    pub(super) defaults: Option<&'c Defaults>,
}

/// Compares the values of two schemas; none where everything that the first lets pass, the second does, too.
///
/// Both must be schemas that a contract's file could hold.
pub fn lost(sender: &Value, receiver: &Value) -> Result<Option<Loss>, Vec<Violation>> {
    const NAME: &str = "value";
    let compile = |schema: &Value| {
        let mut document = Map::from_iter([("type".to_owned(), "object".into())]);
        let mut member = schema.clone();
        // References begin at the root of the file.
        if let Some(definitions) = member.as_object_mut().and_then(|member| member.remove("$defs")) {
            document.insert("$defs".to_owned(), definitions);
        }
        document.insert("properties".to_owned(), Value::Object(Map::from_iter([(NAME.to_owned(), member)])));
        Schema::compile(Value::Object(document), Subject::File)
    };
    let (sender, receiver) = (compile(sender)?, compile(receiver)?);
    let values = |schema| Values { name: NAME, schema, binding: None, defaults: None };
    Ok(values(&sender).lost_on(&values(&receiver)))
}

// === impl Values ===

impl Values<'_> {
    /// The schema of the member, its references written out.
    pub(super) fn written_out(&self) -> Value {
        let member = self.schema.document().get("properties").and_then(|properties| properties.get(self.name));
        self.schema.written_out(member.unwrap_or(&Value::Bool(true)))
    }

    /// What of these values `receiver` refuses; none where nothing is.
    pub(super) fn lost_on(&self, receiver: &Self) -> Option<Loss> {
        let (ours, theirs) = (self.written_out(), receiver.written_out());
        let (our_shape, their_shape) = (self.shape(), receiver.shape());
        if ours == theirs && our_shape == their_shape {
            return None;
        }
        let proof = proof([&ours, &theirs], [our_shape.as_ref(), their_shape.as_ref()]);
        let schemas = [Some(&ours), Some(&theirs), our_shape.as_ref(), their_shape.as_ref()];
        let witnesses = self.witnesses(receiver, &proof, &schemas);
        (proof != Proof::Contained || !witnesses.is_empty()).then_some(Loss { proof, witnesses })
    }

    fn shape(&self) -> Option<Value> {
        let none = Defaults::default();
        self.binding.map(|binding| shape::schema(binding, self.defaults.unwrap_or(&none)))
    }

    /// The simplest value for each keyword that refuses one.
    fn witnesses(&self, receiver: &Self, proof: &Proof, schemas: &[Option<&Value>]) -> Vec<Witness> {
        let lost = match proof {
            Proof::Contained => None,
            Proof::Lost(lost) | Proof::Unknown(lost) => lost.as_ref(),
        };
        let hints = Hints::of(schemas.iter().copied().flatten().chain(lost));
        let mut samples: Vec<Value> = lost.map(|lost| hints.samples(lost)).unwrap_or_default();
        samples.extend(schemas.iter().flatten().flat_map(|schema| hints.samples(schema)));
        let mut found: Vec<(String, Witness)> = Vec::new();
        for value in samples {
            // Both questions are cheap; saying why is not.
            if !self.takes(&value) || receiver.takes(&value) {
                continue;
            }
            let Some(witness) = receiver.refuses(&value) else { continue };
            let text = witness.value.to_string();
            let same = |(_, known): &&mut (String, Witness)| {
                (&known.keyword, &known.pointer) == (&witness.keyword, &witness.pointer)
            };
            match found.iter_mut().find(same) {
                Some(known) if simpler(&text, &known.0) => *known = (text, witness),
                Some(_) => {}
                None => found.push((text, witness)),
            }
        }
        found.sort_by_key(|(text, witness)| (witness.pointer.is_none(), text.len()));
        found.truncate(WITNESSES);
        found.into_iter().map(|(_, witness)| witness).collect()
    }

    /// The value as this side judges it: in an object, with what is filled in.
    fn whole(&self, value: &Value) -> Value {
        let mut object = Map::from_iter([(self.name.to_owned(), value.clone())]);
        if let Some(defaults) = self.defaults {
            defaults.fill_below(self.name, &mut object);
        }
        Value::Object(object)
    }

    fn takes(&self, value: &Value) -> bool {
        let whole = self.whole(value);
        let coerces =
            |binding| whole.get(self.name).is_some_and(|value| canonical::coerce(binding, value.clone()).is_ok());
        self.schema.takes(&whole) && self.binding.is_none_or(coerces)
    }

    /// How this side refuses a value; none where it takes it.
    fn refuses(&self, value: &Value) -> Option<Witness> {
        let whole = self.whole(value);
        if let Some(refusal) = self.schema.refusal(&whole) {
            let (keyword, pointer) = (Some(refusal.keyword), Some(refusal.pointer));
            return Some(Witness { value: value.clone(), keyword, pointer, message: refusal.violation.message });
        }
        let refused = canonical::coerce(self.binding?, whole.get(self.name)?.clone()).err()?;
        let message = refused.into_iter().next().map(|violation| violation.message).unwrap_or_default();
        Some(Witness { value: value.clone(), keyword: None, pointer: None, message })
    }
}

/// What can be proven of a sender's schema and shape against a receiver's.
fn proof(schemas: [&Value; 2], shapes: [Option<&Value>; 2]) -> Proof {
    let [sent, taken] = schemas.map(Domain::of);
    let proof = sent.within(&taken);
    let [Some(ours), Some(theirs)] = shapes else { return proof };
    if proof == Proof::Contained && ours == theirs {
        return proof;
    }
    // What no binding takes was never accepted, whatever the schema says of it.
    let [ours, theirs] = [ours, theirs].map(Domain::of);
    let within = sent.and(&ours).within(&taken.and(&theirs));
    match (&within, proof) {
        // Parts that can be proven one by one need no intersection that can be written down.
        (Proof::Unknown(_), Proof::Contained) if ours.within(&theirs) == Proof::Contained => Proof::Contained,
        (Proof::Unknown(None), proof @ Proof::Unknown(_)) => proof,
        _ => within,
    }
}

/// Shorter, and among the equally short the first in order: equal schemas give equal reports.
fn simpler(text: &str, than: &str) -> bool {
    (text.len(), text) < (than.len(), than)
}
