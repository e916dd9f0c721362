//! What is known of all terminals of one user at one moment.

use crate::attributes::Attributes;
use crate::error::SnapshotError;
use crate::evidence::{Evidence, Reading};
use crate::limits::Limits;
use crate::location::{PlaceLabel, Vector};
use crate::score::{PowerEvidence, UseEvidence};
use crate::terminal::{Terminal, TerminalId};
use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// The format that this crate writes.
pub const VERSION: u32 = 1;

/// All terminals of one user, checked, sorted by id, with the evidence made ready: a decision reads it and nothing else.
///
/// # Shape
/// JSON `{"version":1,"terminals":[...]}`, terminals and their evidence in any order.
#[derive(Clone, Debug)]
pub struct Snapshot {
    terminals: Vec<Terminal>,
    known: Vec<Known>,
}

impl Snapshot {
    /// Checks and sorts.
    ///
    /// # Errors
    /// [`SnapshotError`]: an id twice, a limit, an impossible value.
    pub fn new(mut terminals: Vec<Terminal>, limits: &Limits) -> Result<Snapshot, SnapshotError> {
        limit("terminals", terminals.len(), limits.terminals.min(Limits::MAX_TERMINALS))?;
        terminals.sort_by(|a, b| a.id.cmp(&b.id));
        for pair in terminals.windows(2) {
            if let [a, b] = pair
                && a.id == b.id
            {
                return Err(SnapshotError::Duplicate(a.id.as_str().to_owned()));
            }
        }
        for t in &mut terminals {
            limit("routes", t.routes.len(), limits.routes.min(128))?;
            limit("evidence", t.evidence.len(), limits.evidence)?;
            let implausible =
                |error| SnapshotError::Implausible { terminal: t.id.as_str().to_owned(), error };
            for e in &t.evidence {
                e.reading.check().map_err(implausible)?;
                if let Reading::Attributes(Attributes { media: Some(media), .. }) = &e.reading {
                    limit("media", media.len(), limits.media)?;
                }
            }
            t.routes.iter().try_for_each(|r| r.check()).map_err(implausible)?;
            t.routes.sort();
            newest_of_each_kind(&mut t.evidence);
        }
        let known = terminals.iter().map(Known::new).collect();
        Ok(Snapshot { terminals, known })
    }

    /// Reads a snapshot with the default limits.
    ///
    /// # Errors
    /// [`SnapshotError`], also for a version newer than [`VERSION`].
    pub fn from_json(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
        let limits = Limits::default();
        limit("document_bytes", bytes.len(), limits.document_bytes)?;
        crate::stored::check_version(bytes, VERSION)?
            .map_or(Ok(()), |newer| Err(SnapshotError::Newer(newer)))?;
        let form: Form = serde_json::from_slice(bytes)?;
        Snapshot::new(form.terminals, &limits)
    }

    /// The terminals, sorted by id.
    #[must_use]
    pub fn terminals(&self) -> &[Terminal] {
        &self.terminals
    }

    /// Where `id` stands in [`terminals`](Snapshot::terminals).
    #[must_use]
    pub fn position(&self, id: &TerminalId) -> Option<usize> {
        self.terminals.binary_search_by(|t| t.id.cmp(id)).ok()
    }

    pub(crate) fn known_at(&self, place: u8) -> Option<(&Terminal, &Known)> {
        let place = usize::from(place);
        Some((self.terminals.get(place)?, self.known.get(place)?))
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = (&Terminal, &Known)> {
        self.terminals.iter().zip(&self.known)
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Snapshot) -> bool {
        self.terminals == other.terminals
    }
}

impl Serialize for Snapshot {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        FormRef { version: VERSION, terminals: &self.terminals }.serialize(s)
    }
}

impl<'de> Deserialize<'de> for Snapshot {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Snapshot, D::Error> {
        use serde::de::Error;
        let form = Form::deserialize(d)?;
        if form.version > VERSION {
            return Err(D::Error::custom(SnapshotError::Newer(form.version)));
        }
        Snapshot::new(form.terminals, &Limits::default()).map_err(D::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u32,
    terminals: Vec<Terminal>,
}

#[derive(Serialize)]
struct FormRef<'a> {
    version: u32,
    terminals: &'a [Terminal],
}

fn limit(what: &'static str, value: usize, limit: usize) -> Result<(), SnapshotError> {
    if value > limit { Err(SnapshotError::Limit { what, value, limit }) } else { Ok(()) }
}

/// One piece of evidence per kind, the newest; ties go to the greater value, so that their order never matters.
fn newest_of_each_kind(evidence: &mut Vec<Evidence>) {
    evidence.sort_by(|a, b| a.reading.kind().cmp(b.reading.kind()).then_with(|| b.cmp(a)));
    evidence.dedup_by(|later, kept| later.reading.kind() == kept.reading.kind());
}

/// One terminal's evidence, made ready.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) usage: UseEvidence,
    pub(crate) power: PowerEvidence,
    pub(crate) place: Option<(PlaceLabel, Millis)>,
    pub(crate) point: Option<(Vector, Millis)>,
    /// Centimetres, bound, received.
    pub(crate) proximity: Option<(u32, u32, Millis)>,
    /// Index of the attributes in the evidence.
    attributes: Option<u8>,
    pub(crate) reported: bool,
    /// Nothing but attributes was reported.
    pub(crate) attributes_alone: bool,
}

impl Known {
    fn new(t: &Terminal) -> Known {
        let evidence = &t.evidence;
        let find = |kind: &str| evidence.iter().find(|e| e.reading.kind() == kind);
        let attributes = evidence.iter().position(|e| matches!(e.reading, Reading::Attributes(_)));
        Known {
            usage: UseEvidence::new(evidence.iter()),
            power: PowerEvidence::new(evidence.iter()),
            place: find("place").and_then(|e| match &e.reading {
                Reading::Place(p) => Some((p.clone(), e.received_at)),
                _ => None,
            }),
            point: find("location").and_then(|e| match &e.reading {
                Reading::Location(c) => Some((c.vector(), e.received_at)),
                _ => None,
            }),
            proximity: find("proximity").and_then(|e| match e.reading {
                Reading::Proximity { cm, bound_cm } => Some((cm, bound_cm, e.received_at)),
                _ => None,
            }),
            attributes: attributes.and_then(|i| u8::try_from(i).ok()),
            reported: !evidence.is_empty(),
            attributes_alone: attributes.is_some() && evidence.len() == 1,
        }
    }

    pub(crate) fn attributes<'a>(&self, t: &'a Terminal) -> Option<&'a Attributes> {
        match &t.evidence.get(usize::from(self.attributes?))?.reading {
            Reading::Attributes(a) => Some(a),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Order;
    use crate::terminal::TerminalKind;

    fn terminals(n: usize) -> Vec<Terminal> {
        (0..n)
            .map(|i| Terminal::new(TerminalId::new(format!("t{i}")).unwrap(), TerminalKind::Phone))
            .collect()
    }

    #[test]
    fn bad_input_10_000_terminals_are_refused_and_0_are_not() {
        let error = Snapshot::new(terminals(10_000), &Limits::default()).unwrap_err();
        assert!(
            matches!(error, SnapshotError::Limit { what: "terminals", value: 10_000, limit: 64 }),
            "{error}"
        );
        assert!(Snapshot::new(terminals(64), &Limits::default()).is_ok());
        assert!(Snapshot::new(Vec::new(), &Limits::default()).unwrap().terminals().is_empty());
    }

    #[test]
    fn bad_input_duplicate_ids_are_refused() {
        let mut twice = terminals(3);
        twice.extend(terminals(1));
        let error = Snapshot::new(twice, &Limits::default()).unwrap_err();
        assert_eq!(error.to_string(), r#"snapshot: terminal id "t0" twice"#);
    }

    #[test]
    fn only_the_newest_of_each_kind_stays_in_any_order() {
        let e = |boot, seq, cm| {
            Evidence::new(Order { boot, seq }, Millis(0), Reading::Proximity { cm, bound_cm: 0 })
        };
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let all = [e(1, 9, 10), e(2, 1, 20), e(2, 0, 30)];
            let mut t = terminals(1);
            t[0].evidence = order.iter().map(|i| all[*i].clone()).collect();
            let s = Snapshot::new(t, &Limits::default()).unwrap();
            assert_eq!(s.terminals()[0].evidence, [e(2, 1, 20)]);
        }
    }

    #[test]
    fn a_newer_format_is_refused_clearly() {
        let error = Snapshot::from_json(br#"{"version":2,"terminals":[],"new":1}"#).unwrap_err();
        assert_eq!(error.to_string(), "snapshot: version 2, this reads 1");
        assert!(Snapshot::from_json(br#"{"terminals":[]}"#).is_err());
    }
}
