//! The journal's facts in a file: one JSON object a line, first what it is, then each fact.
//!
//! With their openings they say all that the parties of all tasks agreed on: such a file is for an auditor whom the operator
//! trusts with it. The requests behind facts are not in it.

use serde::{Deserialize, Serialize};
use tallystick_civics::reputation::Limits;
use tallystick_core::{
    Body, Code, Coded, Digest32, Fact, Sat,
    fact::{CHAIN_START, Opening},
};

/// What the first line says.
const FORMAT: &str = "tallystick/journal-export/v1";

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heading {
    format: String,
    /// How many facts follow.
    pub facts: u64,
    /// The last fact's hash.
    pub head: Digest32,
    open_sat: [Sat; 4],
    open_tasks: [u32; 4],
    factor: u32,
}

impl Heading {
    /// Of so many facts, the last of this hash, by a node with these limits.
    pub fn new(facts: u64, head: Digest32, limits: &Limits) -> Self {
        let Limits { open, tasks, factor } = limits.clone();
        Self { format: FORMAT.into(), facts, head, open_sat: open, open_tasks: tasks, factor }
    }

    /// The node's limits on what is open.
    pub fn limits(&self) -> Limits {
        Limits { open: self.open_sat, tasks: self.open_tasks, factor: self.factor }
    }
}

/// Why a file is no export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A line is not one of an export.
    #[error("line {line} is none of an export of a journal: {why}")]
    Line {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A fact does not follow the one before it.
    #[error("fact {0} does not follow the fact before it")]
    Chain(u64),
    /// A body is not what the fact commits to.
    #[error("fact {0} has a body that does not open its commitment")]
    Opening(u64),
    /// It ends before, or other than, its first line says.
    #[error("the export ends with fact {seq}, and not where its first line says")]
    End {
        /// The last fact that is there.
        seq: u64,
    },
}

impl Coded for ExportError {
    fn code(&self) -> Code {
        Code(match self {
            Self::Line { .. } => "export.line",
            Self::Chain(_) => "export.chain",
            Self::Opening(_) => "export.opening",
            Self::End { .. } => "export.end",
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    entry: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

/// A fact as a line, without its end.
pub fn line(fact: &Fact) -> String {
    let opening = match &fact.body {
        Body::Private { opening, .. } => opening.as_ref(),
        Body::Public(_) => None,
    };
    let line = Line {
        entry: hex::encode(fact.entry()),
        salt: opening.map(|opening| hex::encode(opening.salt)),
        content: opening.map(|opening| hex::encode(&opening.content)),
    };
    serde_json::to_string(&line).expect("three strings are JSON")
}

/// Reads an export line by line, and checks that its facts are one chain.
#[derive(Debug)]
pub struct Export {
    heading: Heading,
    seq: u64,
    head: Digest32,
}

impl Export {
    /// Begins with the first line.
    ///
    /// # Errors
    /// [`ExportError::Line`].
    pub fn open(first: &str) -> Result<Self, ExportError> {
        let bad = |why: String| ExportError::Line { line: 1, why };
        let heading: Heading = serde_json::from_str(first).map_err(|error| bad(error.to_string()))?;
        if heading.format != FORMAT {
            return Err(bad(format!("its format is {}, and not {FORMAT}", heading.format)));
        }
        Ok(Self { heading, seq: 0, head: CHAIN_START })
    }

    /// What the first line says.
    pub fn heading(&self) -> &Heading {
        &self.heading
    }

    /// The fact in the next line.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn read(&mut self, text: &str) -> Result<Fact, ExportError> {
        let bad = |why: &dyn std::fmt::Display| ExportError::Line { line: self.seq + 2, why: why.to_string() };
        let line: Line = serde_json::from_str(text).map_err(|error| bad(&error))?;
        let entry = hex::decode(&line.entry).map_err(|error| bad(&error))?;
        let mut fact = Fact::from_entry(&entry).map_err(|error| bad(&error))?;
        if (fact.seq, fact.prev) != (self.seq + 1, self.head) {
            return Err(ExportError::Chain(fact.seq));
        }
        if let (Some(salt), Some(content)) = (line.salt, line.content) {
            let mut own = [0; 32];
            hex::decode_to_slice(&salt, &mut own).map_err(|error| bad(&error))?;
            let content = hex::decode(&content).map_err(|error| bad(&error))?;
            let Body::Private { opening, .. } = &mut fact.body else { return Err(ExportError::Opening(fact.seq)) };
            *opening = Some(Opening { salt: own, content });
        }
        if !fact.body.is_sound() {
            return Err(ExportError::Opening(fact.seq));
        }
        (self.seq, self.head) = (fact.seq, fact.hash);
        Ok(fact)
    }

    /// Checks that nothing is missing at the end.
    ///
    /// # Errors
    /// [`ExportError::End`].
    pub fn finish(&self) -> Result<(), ExportError> {
        match (self.seq, self.head) == (self.heading.facts, self.heading.head) {
            true => Ok(()),
            false => Err(ExportError::End { seq: self.seq }),
        }
    }
}
