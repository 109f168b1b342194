//! JSON-RPC 1 and 2 as Bitcoin Core speaks them since version 28: an error of version 1 has an HTTP status of its
//! own, one of version 2 and those in batches come with 200.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::error::{Failure, INVALID_REQUEST, METHOD_NOT_FOUND, Outcome, PARSE};

/// The largest batch.
const BATCH_MAX: usize = 1_000;

/// One request, as far as it could be read.
#[derive(Default)]
struct Request {
    version_2: bool,
    id: Option<Value>,
    method: String,
    params: Value,
}

/// Answers a body. `execute` runs one method. No body in the answer means that there is nothing to say.
pub(super) fn answer(body: &[u8], mut execute: impl FnMut(&str, Value) -> Outcome) -> (StatusCode, Option<Value>) {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return failed(&Request::default(), &Failure::new(PARSE, "Parse error"));
    };
    match value {
        Value::Object(object) => single(object, &mut execute),
        Value::Array(list) if list.len() > BATCH_MAX => {
            failed(&Request::default(), &Failure::new(INVALID_REQUEST, "Batch is too large"))
        }
        Value::Array(list) => batch(list, &mut execute),
        _ => failed(&Request::default(), &Failure::new(PARSE, "Top-level object parse error")),
    }
}

fn single(object: Map<String, Value>, execute: &mut impl FnMut(&str, Value) -> Outcome) -> (StatusCode, Option<Value>) {
    let mut request = Request::default();
    if let Err(failure) = read(object, &mut request) {
        return failed(&request, &failure);
    }
    let outcome = execute(&request.method, std::mem::take(&mut request.params));
    match outcome {
        _ if request.version_2 && request.id.is_none() => (StatusCode::NO_CONTENT, None),
        Err(failure) if !request.version_2 => failed(&request, &failure),
        outcome => (StatusCode::OK, Some(reply(&request, outcome))),
    }
}

fn batch(list: Vec<Value>, execute: &mut impl FnMut(&str, Value) -> Outcome) -> (StatusCode, Option<Value>) {
    let empty = list.is_empty();
    let mut replies = Vec::new();
    for item in list {
        let mut request = Request::default();
        let parsed = match item {
            Value::Object(object) => read(object, &mut request),
            _ => Err(Failure::new(INVALID_REQUEST, "Invalid Request object")),
        };
        let outcome = parsed.and_then(|()| execute(&request.method, std::mem::take(&mut request.params)));
        if !(request.version_2 && request.id.is_none()) {
            replies.push(reply(&request, outcome));
        }
    }
    if replies.is_empty() && !empty {
        return (StatusCode::NO_CONTENT, None);
    }
    (StatusCode::OK, Some(Value::Array(replies)))
}

/// Reads a request as far as possible, so that an error can carry its id and version.
fn read(mut object: Map<String, Value>, request: &mut Request) -> Result<(), Failure> {
    let invalid = |message: &str| Err(Failure::new(INVALID_REQUEST, message));
    request.id = object.remove("id");
    match object.get("jsonrpc") {
        None | Some(Value::Null) => {}
        Some(Value::String(version)) if version == "1.0" => {}
        Some(Value::String(version)) if version == "2.0" => request.version_2 = true,
        Some(Value::String(_)) => return invalid("JSON-RPC version not supported"),
        Some(_) => return invalid("jsonrpc field must be a string"),
    }
    match object.remove("method") {
        None | Some(Value::Null) => return invalid("Missing method"),
        Some(Value::String(method)) => request.method = method,
        Some(_) => return invalid("Method must be a string"),
    }
    request.params = match object.remove("params") {
        None | Some(Value::Null) => json!([]),
        Some(params @ (Value::Array(_) | Value::Object(_))) => params,
        Some(_) => return invalid("Params must be an array or object"),
    };
    Ok(())
}

fn reply(request: &Request, outcome: Outcome) -> Value {
    let mut reply = Map::new();
    let (result, error) = match outcome {
        Ok(result) => (Some(result), None),
        Err(failure) => (None, Some(failure.to_json())),
    };
    if request.version_2 {
        reply.insert("jsonrpc".to_owned(), json!("2.0"));
    }
    // Version 1 always has both members; version 2 only the one that says something.
    if !request.version_2 || result.is_some() {
        reply.insert("result".to_owned(), result.unwrap_or(Value::Null));
    }
    if !request.version_2 || error.is_some() {
        reply.insert("error".to_owned(), error.unwrap_or(Value::Null));
    }
    if let Some(id) = &request.id {
        reply.insert("id".to_owned(), id.clone());
    }
    Value::Object(reply)
}

fn failed(request: &Request, failure: &Failure) -> (StatusCode, Option<Value>) {
    let status = match failure.code {
        INVALID_REQUEST => StatusCode::BAD_REQUEST,
        METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, Some(reply(request, Err(failure.clone()))))
}
