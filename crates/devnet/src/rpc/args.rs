//! Parameters, checked as Bitcoin Core checks them.

use std::str::FromStr;
use std::sync::Arc;

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Amount, Denomination, Transaction};
use serde_json::{Map, Value};

use super::error::{DESERIALIZATION, Failure, INVALID_PARAMETER, MISC, TYPE};
use crate::mempool::KvbRate;

/// What a parameter may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Bool,
    /// A list; what its items are called in the help.
    List(&'static str),
    /// A number of BTC, or text with one; checked where it is used.
    Amount,
    /// A number or a truth value; checked where it is used.
    Verbosity,
}

/// A parameter of a method.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

/// The parameters of a request, by position; those left out are null.
pub(super) struct Args(Vec<Value>);

impl Args {
    /// Matches what came against what a method takes.
    pub(super) fn try_new(method: &str, params: &[Param], given: Value) -> Result<Self, Failure> {
        let mut values = match given {
            Value::Array(values) => values,
            Value::Object(named) => by_position(params, named)?,
            _ => Vec::new(),
        };
        let required = params.iter().rposition(|param| param.required).map_or(0, |last| last + 1);
        if values.len() < required || values.len() > params.len() {
            return Err(Failure::new(MISC, usage(method, params)));
        }
        values.resize(params.len(), Value::Null);
        let mismatches: Map<String, Value> = params
            .iter()
            .zip(&values)
            .enumerate()
            .filter_map(|(index, (param, value))| {
                let text = mismatch(param, value)?;
                Some((format!("Position {} ({})", index + 1, param.name), Value::String(text)))
            })
            .collect();
        if mismatches.is_empty() {
            return Ok(Self(values));
        }
        let list = serde_json::to_string_pretty(&mismatches).unwrap_or_default().replace("\n  ", "\n    ");
        Err(Failure::new(TYPE, format!("Wrong type passed:\n{list}")))
    }

    pub(super) fn get(&self, index: usize) -> &Value {
        self.0.get(index).unwrap_or(&Value::Null)
    }

    pub(super) fn text(&self, index: usize) -> Result<&str, Failure> {
        self.get(index).as_str().ok_or_else(|| wrong_type(self.get(index), "string"))
    }

    pub(super) fn list(&self, index: usize) -> Result<&[Value], Failure> {
        self.get(index).as_array().map(Vec::as_slice).ok_or_else(|| wrong_type(self.get(index), "array"))
    }

    pub(super) fn bool_or(&self, index: usize, default: bool) -> Result<bool, Failure> {
        match self.get(index) {
            Value::Null => Ok(default),
            value => value.as_bool().ok_or_else(|| wrong_type(value, "bool")),
        }
    }

    /// An integer that fits the type.
    pub(super) fn int<T: TryFrom<i64>>(&self, index: usize) -> Result<T, Failure> {
        let value = self.get(index);
        if !value.is_number() {
            return Err(wrong_type(value, "number"));
        }
        let out_of_range = || Failure::new(MISC, "JSON integer out of range");
        value.as_i64().and_then(|number| T::try_from(number).ok()).ok_or_else(out_of_range)
    }

    pub(super) fn int_or<T: TryFrom<i64>>(&self, index: usize, default: T) -> Result<T, Failure> {
        if self.get(index).is_null() { Ok(default) } else { self.int(index) }
    }

    /// A verbosity: a number, or true for 1.
    pub(super) fn verbosity(&self, index: usize, default: i32) -> Result<i32, Failure> {
        match self.get(index) {
            Value::Null => Ok(default),
            Value::Bool(verbose) => Ok(i32::from(*verbose)),
            _ => self.int(index),
        }
    }

    /// A hash in hex, under the name that Bitcoin Core's message uses.
    pub(super) fn hash<T: FromStr>(&self, index: usize, name: &str) -> Result<T, Failure> {
        let text = self.text(index)?;
        if text.len() != 64 {
            let message = format!("{name} must be of length 64 (not {}, for '{text}')", text.len());
            return Err(Failure::new(INVALID_PARAMETER, message));
        }
        let message = || format!("{name} must be hexadecimal string (not '{text}')");
        text.parse().map_err(|_| Failure::new(INVALID_PARAMETER, message()))
    }

    /// An amount in BTC.
    pub(super) fn amount_or(&self, index: usize, default: Amount) -> Result<Amount, Failure> {
        let text = match self.get(index) {
            Value::Null => return Ok(default),
            Value::String(text) => text.clone(),
            // Small numbers are printed with an exponent by JSON, but never by Rust.
            Value::Number(number) => match (number.is_f64(), number.as_f64()) {
                (true, Some(float)) => float.to_string(),
                _ => number.to_string(),
            },
            _ => return Err(Failure::new(TYPE, "Amount is not a number or string")),
        };
        if text.starts_with('-') {
            return Err(Failure::new(TYPE, "Amount out of range"));
        }
        match Amount::from_str_in(&text, Denomination::Bitcoin) {
            Ok(amount) if amount <= Amount::MAX_MONEY => Ok(amount),
            Ok(_) => Err(Failure::new(TYPE, "Amount out of range")),
            Err(_) => Err(Failure::new(TYPE, "Invalid amount")),
        }
    }

    /// The highest fee rate that the caller wants to pay, 0.1 BTC for 1000 vbytes by default; 0 is no limit.
    pub(super) fn fee_rate_max(&self, index: usize) -> Result<Option<KvbRate>, Failure> {
        let per_kvb = self.amount_or(index, Amount::from_sat(10_000_000))?;
        if per_kvb >= Amount::ONE_BTC {
            let message = "Fee rates larger than or equal to 1BTC/kvB are not accepted";
            return Err(Failure::new(INVALID_PARAMETER, message));
        }
        Ok((per_kvb > Amount::ZERO).then(|| KvbRate(per_kvb.to_sat())))
    }
}

/// Transactions in hex, at least one.
pub(super) fn transactions(list: &[Value], count_max: usize) -> Result<Vec<Arc<Transaction>>, Failure> {
    if list.is_empty() || list.len() > count_max {
        let message = format!("Array must contain between 1 and {count_max} transactions.");
        return Err(Failure::new(INVALID_PARAMETER, message));
    }
    list.iter()
        .map(|item| {
            let hex = item.as_str().ok_or_else(|| wrong_type(item, "string"))?;
            transaction(hex).map(Arc::new).ok_or_else(|| {
                let message = format!("TX decode failed: {hex} Make sure the tx has at least one input.");
                Failure::new(DESERIALIZATION, message)
            })
        })
        .collect()
}

pub(super) fn transaction(hex: &str) -> Option<Transaction> {
    deserialize_hex(hex).ok()
}

pub(super) fn wrong_type(value: &Value, expected: &str) -> Failure {
    Failure::new(TYPE, format!("JSON value of type {} is not of expected type {expected}", type_name(value)))
}

fn by_position(params: &[Param], mut named: Map<String, Value>) -> Result<Vec<Value>, Failure> {
    let mut values = Vec::new();
    for (index, param) in params.iter().enumerate() {
        if let Some(value) = named.remove(param.name) {
            values.resize(index, Value::Null);
            values.push(value);
        }
    }
    match named.keys().next() {
        Some(name) => Err(Failure::new(INVALID_PARAMETER, format!("Unknown named parameter {name}"))),
        None => Ok(values),
    }
}

fn mismatch(param: &Param, value: &Value) -> Option<String> {
    if !param.required && value.is_null() {
        return None;
    }
    let (expected, fits) = match param.kind {
        Kind::Text => ("string", value.is_string()),
        Kind::Number => ("number", value.is_number()),
        Kind::Bool => ("bool", value.is_boolean()),
        Kind::List(_) => ("array", value.is_array()),
        Kind::Amount | Kind::Verbosity => return None,
    };
    (!fits).then(|| format!("JSON value of type {} is not of expected type {expected}", type_name(value)))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The first line of Bitcoin Core's help, which is its answer to a wrong number of parameters.
fn usage(method: &str, params: &[Param]) -> String {
    let name = |param: &Param| match param.kind {
        Kind::Text => format!("\"{}\"", param.name),
        Kind::List(item) => format!("[\"{item}\",...]"),
        _ => param.name.to_owned(),
    };
    let mut words = vec![method.to_owned()];
    words.extend(params.iter().filter(|param| param.required).map(name));
    let optional: Vec<String> = params.iter().filter(|param| !param.required).map(name).collect();
    if !optional.is_empty() {
        words.push(format!("( {} )", optional.join(" ")));
    }
    words.join(" ")
}
