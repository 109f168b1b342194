//! Signed notes (C2SP signed-note).

use tallystick_log::*;

/// A note that would have a verifier check one key's signature again and again is refused, whoever of the two it is by.
#[test]
fn a_second_line_of_one_key_is_refused() {
    let key = |name, kind| SigningKey::try_from_seed(KeyName::try_new(name).unwrap(), kind, &[7; 32]).unwrap();
    let (log, witness) = (key("log.example", KeyKind::Note), key("w.example", KeyKind::Cosignature));
    let checkpoint = Checkpoint::try_new("log.example", 3, [1; 32]).unwrap();
    let mut signed = SignedCheckpoint::sign(checkpoint.clone(), &log).unwrap();
    signed.note_mut().add(witness.cosign(&checkpoint, 5).unwrap()).unwrap();
    let policy = WitnessPolicy::try_new(1, vec![witness.verifier().clone()]).unwrap();
    signed.verify(log.verifier()).unwrap();
    policy.verify(signed.note()).unwrap();

    let again = signed.note().signatures()[0].to_string();
    let twice = SignedCheckpoint::parse(format!("{signed}{again}\n").as_bytes()).unwrap();
    assert_eq!(twice.verify(log.verifier()), Err(LogError::BadNote));
    policy.verify(twice.note()).unwrap();
    signed.note_mut().add(witness.cosign(&checkpoint, 6).unwrap()).unwrap();
    assert_eq!(policy.verify(signed.note()), Err(LogError::BadNote));
    signed.verify(log.verifier()).unwrap();
}
