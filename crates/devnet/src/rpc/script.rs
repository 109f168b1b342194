//! Scripts in answers: disassembly, kind, address and descriptor.

use bitcoin::opcodes::{Opcode, all};
use bitcoin::script::Instruction;
use bitcoin::{Address, Network, PublicKey, Script, XOnlyPublicKey, ecdsa};
use serde_json::{Map, Value, json};

use crate::mempool::{is_p2pk, multisig_keys};

/// The longest push that is shown as a number.
const NUMBER_BYTES_MAX: usize = 4;

/// An output script, as in `scriptPubKey`.
pub(super) fn script_json(script: &Script) -> Value {
    let address = Address::from_script(script, Network::Regtest).ok();
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    put("asm", json!(asm(script)));
    put("desc", json!(with_checksum(descriptor(script, address.as_ref()))));
    put("hex", json!(hex::encode(script.as_bytes())));
    if let Some(address) = address {
        put("address", json!(address.to_string()));
    }
    put("type", json!(kind(script)));
    Value::Object(map)
}

fn kind(script: &Script) -> &'static str {
    match script {
        s if is_p2pk(s) => "pubkey",
        s if s.is_p2pkh() => "pubkeyhash",
        s if s.is_p2sh() => "scripthash",
        s if s.is_p2wpkh() => "witness_v0_keyhash",
        s if s.is_p2wsh() => "witness_v0_scripthash",
        s if s.is_p2tr() => "witness_v1_taproot",
        s if s.as_bytes() == [0x51, 0x02, 0x4e, 0x73] => "anchor",
        s if s.is_witness_program() && s.as_bytes()[0] != 0 => "witness_unknown",
        s if s.is_op_return() && Script::from_bytes(&s.as_bytes()[1..]).is_push_only() => "nulldata",
        s if multisig_keys(s).is_some() => "multisig",
        _ => "nonstandard",
    }
}

fn descriptor(script: &Script, address: Option<&Address>) -> String {
    let bytes = script.as_bytes();
    let keys = keys(script);
    if is_p2pk(script)
        && let [key] = keys.as_slice()
    {
        return format!("pk({key})");
    }
    if multisig_keys(script).is_some_and(|count| usize::from(count) == keys.len()) {
        let needed = bytes[0] - all::OP_PUSHNUM_1.to_u8() + 1;
        return format!("multi({needed},{})", keys.join(","));
    }
    if script.is_p2tr() && XOnlyPublicKey::from_slice(&bytes[2..]).is_ok() {
        return format!("rawtr({})", hex::encode(&bytes[2..]));
    }
    match address {
        Some(address) => format!("addr({address})"),
        None => format!("raw({})", hex::encode(bytes)),
    }
}

/// The keys that a script pushes, in hex.
fn keys(script: &Script) -> Vec<String> {
    let pushes = script.instructions().filter_map(|instruction| match instruction {
        Ok(Instruction::PushBytes(push)) if PublicKey::from_slice(push.as_bytes()).is_ok() => Some(push),
        _ => None,
    });
    pushes.map(|push| hex::encode(push.as_bytes())).collect()
}

/// Appends the checksum of a descriptor (BIP 380).
fn with_checksum(descriptor: String) -> String {
    const INPUT: &str =
        "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ ";
    const CHECKSUM: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u64; 5] = [0xf5_dee5_1989, 0xa9_fdca_3312, 0x1b_ab10_e32d, 0x37_06b1_677a, 0x64_4d62_6ffd];
    let step = |state: u64, value: u64| {
        let top = state >> 35;
        let next = ((state & 0x7_ffff_ffff) << 5) ^ value;
        GENERATOR.iter().enumerate().fold(
            next,
            |sum, (bit, generator)| {
                if top >> bit & 1 == 1 { sum ^ generator } else { sum }
            },
        )
    };
    let (mut state, mut class, mut count) = (1u64, 0u64, 0u32);
    for character in descriptor.chars() {
        let Some(position) = INPUT.find(character) else { return descriptor };
        state = step(state, position as u64 & 31);
        class = class * 3 + (position as u64 >> 5);
        count += 1;
        if count.is_multiple_of(3) {
            state = step(state, class);
            class = 0;
        }
    }
    if !count.is_multiple_of(3) {
        state = step(state, class);
    }
    state = (0..8).fold(state, |state, _| step(state, 0)) ^ 1;
    let symbols = (0..8usize).map(|index| char::from(CHECKSUM[(state >> (5 * (7 - index)) & 31) as usize]));
    let checksum: String = symbols.collect();
    format!("{descriptor}#{checksum}")
}

/// A script in words.
pub(super) fn asm(script: &Script) -> String {
    words(script, false)
}

/// The script of an input in words, with the kind of each signature.
pub(super) fn asm_of_input(script: &Script) -> String {
    words(script, !script.is_op_return())
}

fn words(script: &Script, name_signatures: bool) -> String {
    let mut words = Vec::new();
    for instruction in script.instructions() {
        match instruction {
            Ok(Instruction::PushBytes(push)) => words.push(push_word(push.as_bytes(), name_signatures)),
            Ok(Instruction::Op(opcode)) => words.push(opcode_word(opcode)),
            Err(_) => {
                words.push("[error]".to_owned());
                break;
            }
        }
    }
    words.join(" ")
}

fn push_word(bytes: &[u8], name_signatures: bool) -> String {
    if bytes.len() <= NUMBER_BYTES_MAX {
        return script_number(bytes).to_string();
    }
    match (name_signatures, bytes.split_last()) {
        (true, Some((_, signature))) if ecdsa::Signature::from_slice(bytes).is_ok() => {
            let kind = match bytes[bytes.len() - 1] {
                0x01 => "ALL",
                0x02 => "NONE",
                0x03 => "SINGLE",
                0x81 => "ALL|ANYONECANPAY",
                0x82 => "NONE|ANYONECANPAY",
                0x83 => "SINGLE|ANYONECANPAY",
                _ => return hex::encode(bytes),
            };
            format!("{}[{kind}]", hex::encode(signature))
        }
        _ => hex::encode(bytes),
    }
}

/// Little endian with the sign in the highest bit.
fn script_number(bytes: &[u8]) -> i64 {
    let Some((last, rest)) = bytes.split_last() else { return 0 };
    let magnitude = rest.iter().chain(&[last & 0x7f]).rev().fold(0i64, |sum, byte| sum << 8 | i64::from(*byte));
    if last & 0x80 == 0 { magnitude } else { -magnitude }
}

fn opcode_word(opcode: Opcode) -> String {
    let number = i64::from(opcode.to_u8()) - i64::from(all::OP_PUSHNUM_1.to_u8()) + 1;
    match opcode {
        all::OP_PUSHNUM_NEG1 => "-1".to_owned(),
        _ if (1..=16).contains(&number) => number.to_string(),
        all::OP_CLTV => "OP_CHECKLOCKTIMEVERIFY".to_owned(),
        all::OP_CSV => "OP_CHECKSEQUENCEVERIFY".to_owned(),
        all::OP_CHECKSIGADD => "OP_CHECKSIGADD".to_owned(),
        _ if opcode.to_u8() > all::OP_CHECKSIGADD.to_u8() => "OP_UNKNOWN".to_owned(),
        _ => opcode.to_string(),
    }
}
