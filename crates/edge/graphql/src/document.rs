//! What a query asks for, before it is checked against the schema and run.
//!
//! Fragments can spread each other so that a short text stands for a query of any size. Sizes are added up fragment
//! by fragment here, so that this takes no longer than the text is; what is too large never gets to the checks and
//! the executor, which follow every spread.

use async_graphql::{
    Name, Positioned, Request,
    parser::{
        self,
        types::{
            Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition, OperationDefinition,
            OperationType, Selection, SelectionSet,
        },
    },
};
use std::collections::{BTreeMap, HashMap};

use crate::{error::EdgeError, introspection, tokens};

/// Over which transport a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// A signed POST request.
    Post,
    /// A WebSocket, opened by a signed GET request.
    Websocket,
}

/// How large a query may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Levels of fields.
    pub depth: usize,
    /// Selections, each counted as often as it is spread.
    pub selections: usize,
}

/// Parses a request's query and checks its size and kind, which it answers. The request keeps what was parsed.
pub(crate) fn check(request: &mut Request, transport: Transport, limits: Limits) -> Result<OperationType, EdgeError> {
    tokens::check(&request.query)?;
    let document = parser::parse_query(&request.query).map_err(|error| match error {
        parser::Error::RecursionLimitExceeded => EdgeError::TooDeep { limit: limits.depth },
        error => EdgeError::Syntax(error.to_string()),
    })?;
    let mut measure = Measure { fragments: &document.fragments, known: BTreeMap::new(), limits };
    for (_, operation) in document.operations.iter() {
        measure.set(&operation.node.selection_set.node)?;
    }
    for name in document.fragments.keys() {
        measure.fragment(name)?;
    }
    let operation = chosen(&document, request.operation_name.as_deref())?;
    let roots = measure.set(&operation.selection_set.node)?.roots;
    match (operation.ty, transport) {
        (OperationType::Query, Transport::Post) => {}
        (OperationType::Mutation, Transport::Post) if roots == 1 => {}
        (OperationType::Mutation, Transport::Post) => return Err(EdgeError::OneMutation),
        (OperationType::Subscription, Transport::Post) => return Err(EdgeError::NeedsWebsocket),
        (OperationType::Subscription, Transport::Websocket) if roots == 1 => {}
        (OperationType::Subscription, Transport::Websocket) => {
            return Err(EdgeError::Invalid("a subscription must have exactly one field".into()));
        }
        (_, Transport::Websocket) => return Err(EdgeError::OnlySubscriptions),
    }
    introspection::check(&operation.selection_set.node, &document.fragments)?;
    let kind = operation.ty;
    request.set_parsed_query(document);
    Ok(kind)
}

/// The one field of a document that passed [`check`], whatever it is wrapped in, and the operation that it is of. None if
/// there are several, or a directive says whether it is run.
pub(crate) fn only_field<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Option<(&'a OperationDefinition, &'a Field)> {
    let TheOne { operation, field, directives } = the_one(document, name)?;
    directives.is_empty().then_some((operation, field))
}

/// The one field of a document that passed [`check`].
pub(crate) struct TheOne<'a> {
    /// The operation that it is of.
    pub operation: &'a OperationDefinition,
    /// The field.
    pub field: &'a Field,
    /// What says whether it is run: its own directives, and those of what it is wrapped in.
    pub directives: Vec<&'a Directive>,
}

/// The one field of a document that passed [`check`]. None if there are several.
pub(crate) fn the_one<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<TheOne<'a>> {
    let operation = chosen(document, name).ok()?;
    let (mut set, mut directives) = (&operation.selection_set.node, Vec::new());
    loop {
        let [selection] = set.items.as_slice() else { return None };
        directives.extend(selection.node.directives().iter().map(|directive| &directive.node));
        set = match &selection.node {
            Selection::Field(field) => return Some(TheOne { operation, field: &field.node, directives }),
            Selection::InlineFragment(fragment) => &fragment.node.selection_set.node,
            Selection::FragmentSpread(spread) => {
                &document.fragments.get(&spread.node.fragment_name.node)?.node.selection_set.node
            }
        };
    }
}

/// The operation that will run.
fn chosen<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Result<&'a OperationDefinition, EdgeError> {
    let found = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Single(_), Some(_)) => None,
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => operations.values().next(),
        (DocumentOperations::Multiple(_), None) => {
            return Err(EdgeError::Invalid("`operationName` must say which of the operations to run".into()));
        }
    };
    found.map(|operation| &operation.node).ok_or_else(|| EdgeError::Invalid("no operation has this name".into()))
}

/// The size of a selection set with everything that is spread into it.
#[derive(Clone, Copy, Default)]
struct Size {
    /// Levels of fields.
    depth: usize,
    /// All selections.
    selections: usize,
    /// Fields of the first level.
    roots: usize,
}

struct Measure<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    /// Nothing while a fragment is being measured: who comes back to it goes in circles.
    known: BTreeMap<&'a str, Option<Size>>,
    limits: Limits,
}

impl<'a> Measure<'a> {
    fn set(&mut self, set: &'a SelectionSet) -> Result<Size, EdgeError> {
        let mut size = Size::default();
        for selection in &set.items {
            let part = match &selection.node {
                Selection::Field(field) => {
                    let inner = self.set(&field.node.selection_set.node)?;
                    Size { depth: inner.depth + 1, selections: inner.selections, roots: 1 }
                }
                Selection::InlineFragment(fragment) => self.set(&fragment.node.selection_set.node)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node)?,
            };
            size.depth = size.depth.max(part.depth);
            size.selections = size.selections.saturating_add(part.selections).saturating_add(1);
            size.roots = size.roots.saturating_add(part.roots);
        }
        if size.depth > self.limits.depth {
            return Err(EdgeError::TooDeep { limit: self.limits.depth });
        }
        if size.selections > self.limits.selections {
            return Err(EdgeError::TooComplex { limit: self.limits.selections });
        }
        Ok(size)
    }

    /// An unknown fragment counts nothing; the schema's checks name it.
    fn fragment(&mut self, name: &str) -> Result<Size, EdgeError> {
        let Some((name, fragment)) = self.fragments.get_key_value(name) else { return Ok(Size::default()) };
        match self.known.get(name.as_str()) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(EdgeError::Invalid(format!("the fragment {name} spreads itself"))),
            None => {}
        }
        // Each level of spreads that is being measured holds one entry here.
        if self.known.values().filter(|size| size.is_none()).count() >= tokens::NESTING_MAX {
            return Err(EdgeError::TooDeep { limit: tokens::NESTING_MAX });
        }
        self.known.insert(name.as_str(), None);
        let size = self.set(&fragment.node.selection_set.node)?;
        self.known.insert(name.as_str(), Some(size));
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { depth: 5, selections: 100 };

    fn post(query: &str) -> Result<(), EdgeError> {
        check(&mut Request::new(query), Transport::Post, LIMITS).map(|_| ())
    }

    #[test]
    fn fragments_are_measured_without_following_each_spread() {
        let mut bomb = "{ ...f0 }".to_owned();
        for n in 0..40 {
            bomb += &format!(" fragment f{n} on Q {{ ...f{} ...f{} }}", n + 1, n + 1);
        }
        bomb += " fragment f40 on Q { a }";
        assert_eq!(post(&bomb), Err(EdgeError::TooComplex { limit: 100 }));
        let mut chain = "{ ...f0 }".to_owned();
        for n in 0..100 {
            chain += &format!(" fragment f{n} on Q {{ ...f{} }}", n + 1);
        }
        assert_eq!(post(&chain), Err(EdgeError::TooDeep { limit: tokens::NESTING_MAX }));
        let circle = "{ ...a } fragment a on Q { b ...c } fragment c on Q { ...a }";
        assert!(matches!(post(circle), Err(EdgeError::Invalid(_))));
        let unused = "{ a } fragment x on Q { a { b { c { d { e { f } } } } } }";
        assert_eq!(post(unused), Err(EdgeError::TooDeep { limit: 5 }));
    }

    #[test]
    fn depth_counts_fields_through_fragments() {
        assert_eq!(post("{ a { ... { ...x } } } fragment x on Q { b { c { d { e } } } }"), Ok(()));
        let deeper = "{ a { ... { ...x } } } fragment x on Q { b { c { d { e { f } } } } }";
        assert_eq!(post(deeper), Err(EdgeError::TooDeep { limit: 5 }));
    }

    #[test]
    fn a_mutation_has_one_field_whatever_it_is_wrapped_in() {
        assert_eq!(post("mutation { a }"), Ok(()));
        for two in [
            "mutation { a b }",
            "mutation { x: a y: a }",
            "mutation { ... { a } ... { a } }",
            "mutation { ...f b } fragment f on M { a }",
            "mutation { a @skip(if: true) b }",
        ] {
            assert_eq!(post(two), Err(EdgeError::OneMutation), "{two}");
        }
        let mut named = Request::new("query q { a b } mutation m { a b }").operation_name("m");
        assert_eq!(check(&mut named, Transport::Post, LIMITS), Err(EdgeError::OneMutation));
        let mut other = Request::new("query q { a b } mutation m { a b }").operation_name("q");
        assert_eq!(check(&mut other, Transport::Post, LIMITS), Ok(OperationType::Query));
        assert!(matches!(post("query q { a } mutation m { a }"), Err(EdgeError::Invalid(_))));
    }

    #[test]
    fn each_transport_has_its_operations() {
        let over = |query: &str, transport| check(&mut Request::new(query), transport, LIMITS);
        assert_eq!(over("subscription { a }", Transport::Post), Err(EdgeError::NeedsWebsocket));
        assert_eq!(over("subscription { a }", Transport::Websocket), Ok(OperationType::Subscription));
        assert_eq!(over("{ a }", Transport::Websocket), Err(EdgeError::OnlySubscriptions));
        assert_eq!(over("mutation { a }", Transport::Websocket), Err(EdgeError::OnlySubscriptions));
        assert!(matches!(over("subscription { a b }", Transport::Websocket), Err(EdgeError::Invalid(_))));
    }
}
