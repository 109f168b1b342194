//! How much of the schema a query may ask for.
//!
//! The GraphQL library counts every field of the schema as one, however many types, fields and arguments it stands
//! for, and the schema is a graph that can be walked in circles. So one look at it is allowed, of the size that the
//! usual tools need, and no list within a list of the same name.

use async_graphql::{
    Name, Positioned,
    parser::types::{Field, FragmentDefinition, Selection, SelectionSet},
};
use std::collections::HashMap;

use crate::error::EdgeError;

/// Selections of a look at the schema, each counted as often as it is spread. The usual tools ask for some 200.
const SELECTIONS_MAX: usize = 300;
/// Lists within lists. The usual tools go to the arguments of the fields of all types.
const LISTS_MAX: usize = 3;
/// Fields of the schema's types that are lists.
const LISTS: [&str; 8] =
    ["types", "directives", "fields", "inputFields", "args", "interfaces", "possibleTypes", "enumValues"];

type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;

/// Checks what an operation asks of the schema. Its size must have been checked, and that no fragment spreads itself.
///
/// # Errors
/// [`EdgeError::TooComplex`] or [`EdgeError::TooDeep`].
pub(crate) fn check(root: &SelectionSet, fragments: &Fragments) -> Result<(), EdgeError> {
    let mut walk = Walk { fragments, looks: 0, selections: 0, lists: Vec::new() };
    walk.set(root, false)
}

struct Walk<'a> {
    fragments: &'a Fragments,
    looks: usize,
    selections: usize,
    /// The lists around the place where the walk is.
    lists: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn set(&mut self, set: &'a SelectionSet, inside: bool) -> Result<(), EdgeError> {
        for selection in &set.items {
            if inside {
                self.selections += 1;
            }
            if self.selections > SELECTIONS_MAX {
                return Err(EdgeError::TooComplex { limit: SELECTIONS_MAX });
            }
            match &selection.node {
                Selection::Field(field) if inside => self.field(&field.node)?,
                Selection::Field(field) if ["__schema", "__type"].contains(&field.node.name.node.as_str()) => {
                    self.looks += 1;
                    if self.looks > 1 {
                        return Err(EdgeError::TooComplex { limit: SELECTIONS_MAX });
                    }
                    self.set(&field.node.selection_set.node, true)?;
                }
                Selection::Field(_) => {}
                Selection::InlineFragment(fragment) => self.set(&fragment.node.selection_set.node, inside)?,
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.fragments.get(&spread.node.fragment_name.node) {
                        self.set(&fragment.node.selection_set.node, inside)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &'a Field) -> Result<(), EdgeError> {
        let name = field.name.node.as_str();
        let is_list = LISTS.contains(&name);
        if is_list {
            if self.lists.len() >= LISTS_MAX || self.lists.contains(&name) {
                return Err(EdgeError::TooDeep { limit: LISTS_MAX });
            }
            self.lists.push(name);
        }
        self.set(&field.selection_set.node, true)?;
        if is_list {
            self.lists.pop();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    fn look(query: &str) -> Result<(), EdgeError> {
        let document = parse_query(query).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        check(&operation.node.selection_set.node, &document.fragments)
    }

    #[test]
    fn one_look_is_allowed() {
        let complex = Err(EdgeError::TooComplex { limit: SELECTIONS_MAX });
        assert_eq!(look("{ node { height } __schema { types { name } } }"), Ok(()));
        assert_eq!(look("{ a: __schema { types { name } } b: __type(name: \"X\") { name } }"), complex);
        assert_eq!(look("{ ...f ... { ...f } } fragment f on Query { __schema { types { name } } }"), complex);
        let names = |count: usize| (0..count).map(|n| format!("n{n}: name ")).collect::<String>();
        assert_eq!(look(&format!("{{ __schema {{ types {{ {} }} }} }}", names(SELECTIONS_MAX - 1))), Ok(()));
        assert_eq!(look(&format!("{{ __schema {{ types {{ {} }} }} }}", names(SELECTIONS_MAX))), complex);
        let spread = format!("{{ __schema {{ {} }} }} fragment f on T {{ {} }}", "...f ".repeat(10), names(30));
        assert_eq!(look(&spread), complex);
        // The same names elsewhere are nobody's business.
        assert_eq!(look(&format!("{{ node {{ {} }} }}", names(1_000))), Ok(()));
    }

    #[test]
    fn nobody_walks_in_circles() {
        let deep = Err(EdgeError::TooDeep { limit: LISTS_MAX });
        assert_eq!(look("{ __schema { types { fields { args { name } } enumValues { name } } } }"), Ok(()));
        assert_eq!(look("{ __schema { types { fields { type { fields { name } } } } } }"), deep);
        assert_eq!(look("{ __schema { types { fields { args { type { enumValues { name } } } } } } }"), deep);
        assert_eq!(
            look("{ __type(name: \"X\") { fields { type { ...f } } } } fragment f on T { fields { name } }"),
            deep
        );
    }
}
