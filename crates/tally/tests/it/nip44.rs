//! The published vectors of NIP-44, version 2: what wraps the keys of evidence.

use base64::{Engine, engine::general_purpose::STANDARD};
use nostr::{
    key::{PublicKey, SecretKey},
    nips::nip44::{
        self, Nonce,
        v2::{ConversationKey, decrypt_to_bytes},
    },
};
use serde_json::Value;

fn vectors() -> Value {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/nip44.json")).expect("JSON");
    vectors["v2"].clone()
}

fn all<'a>(vectors: &'a Value, kind: &str, name: &str) -> &'a [Value] {
    let found = vectors[kind][name].as_array().expect("a list of cases");
    assert!(!found.is_empty());
    found
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().expect("text")
}

fn bytes<const N: usize>(case: &Value, name: &str) -> [u8; N] {
    let digits = text(case, name).as_bytes();
    let pair =
        |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hexadecimal digits");
    digits.chunks(2).map(pair).collect::<Vec<_>>().try_into().expect("as many bytes")
}

fn secret(case: &Value, name: &str) -> Option<SecretKey> {
    SecretKey::from_slice(&bytes::<32>(case, name)).ok()
}

#[test]
fn keys_of_a_conversation() {
    let vectors = vectors();
    for case in all(&vectors, "valid", "get_conversation_key") {
        let public = PublicKey::from_slice(&bytes::<32>(case, "pub2")).unwrap();
        let key = ConversationKey::derive(&secret(case, "sec1").unwrap(), &public).unwrap();
        assert_eq!(key.as_bytes(), bytes::<32>(case, "conversation_key"), "{case}");
    }
    for case in all(&vectors, "invalid", "get_conversation_key") {
        let public = PublicKey::from_slice(&bytes::<32>(case, "pub2")).ok();
        let key = secret(case, "sec1").zip(public).map(|(secret, public)| ConversationKey::derive(&secret, &public));
        assert!(!matches!(key, Some(Ok(_))), "{case}");
    }
}

#[test]
fn payloads_are_those_of_the_vectors() {
    let vectors = vectors();
    for case in all(&vectors, "valid", "encrypt_decrypt") {
        let (one, two) = (secret(case, "sec1").unwrap(), secret(case, "sec2").unwrap());
        let public = |secret: &SecretKey| nostr::key::Keys::new(secret.clone()).public_key();
        let nonce = Nonce::V2(bytes(case, "nonce"));
        let payload = nip44::encrypt_with_nonce(&one, &public(&two), text(case, "plaintext"), nonce).unwrap();
        assert_eq!(payload, text(case, "ciphertext"), "{case}");
        for (reader, author) in [(&two, &one), (&one, &two)] {
            assert_eq!(nip44::decrypt(reader, &public(author), &payload).unwrap(), text(case, "plaintext"), "{case}");
        }
    }
}

#[test]
fn what_was_changed_does_not_open() {
    let vectors = vectors();
    for case in all(&vectors, "invalid", "decrypt") {
        let key = ConversationKey::new(bytes(case, "conversation_key"));
        let payload = STANDARD.decode(text(case, "ciphertext"));
        let opened = payload.ok().map(|payload| decrypt_to_bytes(&key, &payload));
        assert!(!matches!(opened, Some(Ok(_))), "{case}");
    }
}
