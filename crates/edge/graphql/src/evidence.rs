//! Signed requests as evidence: what a party of a task signed, which anyone can check without trusting the node.

use async_graphql::{Name, Request, Value as ConstValue, Variables, parser::types::OperationType};
use nostr::event::{Event, Kind};
use sha2::{Digest, Sha256};
use tallystick_core::{Digest32, NostrKey};

use crate::{
    auth,
    document::{self, Limits, TheOne, Transport},
    error::EdgeError,
    http,
};

/// More than any node takes: what is larger was never a request.
pub(crate) const LIMITS: Limits = Limits { depth: 32, selections: 10_000 };

/// A signed request (NIP-98) for one mutation.
pub(crate) struct Evidence {
    /// Who signed.
    pub author: NostrKey,
    /// The Nostr event.
    pub event: Event,
    /// The request that was signed.
    request: Request,
}

impl Evidence {
    /// Reads a signed request: the Nostr event as JSON, and the body that it commits to. When and for which address it was
    /// signed is not looked at.
    ///
    /// # Errors
    /// [`EdgeError`] if the event is not signed, not over this body, or the body is no mutation.
    pub fn try_new(event: &str, body: &str) -> Result<Self, EdgeError> {
        let event = Event::from_json(event).map_err(|_| EdgeError::AuthMalformed("this is no Nostr event"))?;
        if event.kind != Kind::HttpAuth {
            return Err(EdgeError::AuthMalformed("its kind must be 27235"));
        }
        event.verify().map_err(|_| EdgeError::BadSignature)?;
        let author = NostrKey::try_new(event.pubkey.to_bytes()).map_err(|_| EdgeError::BadSignature)?;
        let payload = auth::single(&event, "payload")?.and_then(|text| text.parse().ok());
        if payload != Some(Digest32(Sha256::digest(body).into())) {
            return Err(EdgeError::WrongPayload);
        }
        let mut request = http::read(body.as_bytes())?;
        if document::check(&mut request, Transport::Post, LIMITS)? != OperationType::Mutation {
            return Err(EdgeError::Invalid("this request changes nothing".into()));
        }
        Ok(Self { author, event, request })
    }

    /// The arguments of the one mutation, if that is `field` and nothing makes it conditional.
    pub fn arguments(&mut self, field: &str) -> Option<Arguments<'_>> {
        Arguments::of(&mut self.request, field)
    }
}

/// The arguments of a request's one mutation.
pub(crate) struct Arguments<'a> {
    variables: Variables,
    one: TheOne<'a>,
}

impl<'a> Arguments<'a> {
    /// Of a request that was [checked](document::check), if its one field is this, and no directive says whether it is run.
    pub fn of(request: &'a mut Request, field: &str) -> Option<Self> {
        Self::of_the_one(request).filter(|found| found.field() == field && found.one.directives.is_empty())
    }

    /// Of a request that was [checked](document::check), whatever its one field is.
    pub fn of_the_one(request: &'a mut Request) -> Option<Self> {
        let (name, variables) = (request.operation_name.clone(), request.variables.clone());
        let one = document::the_one(request.parsed_query().ok()?, name.as_deref())?;
        Some(Self { variables, one })
    }

    /// The field's name.
    pub fn field(&self) -> &str {
        &self.one.field.name.node
    }

    /// Whether its directives (GraphQL, section 3.13) say that it is run.
    pub fn is_run(&self) -> bool {
        self.one.directives.iter().all(|directive| {
            let condition = directive
                .get_argument("if")
                .and_then(|value| value.node.clone().into_const_with(|name| self.variable(&name)).ok());
            match (directive.name.node.as_str(), condition) {
                ("include", Some(ConstValue::Boolean(condition))) => condition,
                ("skip", Some(ConstValue::Boolean(condition))) => !condition,
                _ => false,
            }
        })
    }

    /// An argument with the variables put in.
    pub fn get(&self, name: &str) -> Option<ConstValue> {
        let value = self.one.field.get_argument(name)?.node.clone();
        value.into_const_with(|name| self.variable(&name)).ok()
    }

    fn variable(&self, name: &Name) -> Result<ConstValue, ()> {
        let default = || {
            let mut defined = self.one.operation.variable_definitions.iter().map(|definition| &definition.node);
            defined.find(|definition| definition.name.node == *name)?.default_value().cloned()
        };
        self.variables.get(name).cloned().or_else(default).ok_or(())
    }
}
