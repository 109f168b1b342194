//! Damage, and what is said of it: the same for both databases. `ZERO` and `X(..)` stand for how each writes bytes.

/// What is done to a journal of ten facts, and the first bad fact that verifying names.
pub const DAMAGE: [(&str, &str); 15] = [
    ("UPDATE facts SET body = X(00) WHERE seq = 4", "fact 4 has a body that does not open its commitment"),
    ("UPDATE facts SET salt = ZERO WHERE seq = 4", "fact 4 has a body that does not open its commitment"),
    ("UPDATE facts SET commitment = ZERO WHERE seq = 4", "fact 4 does not match its hash"),
    ("UPDATE facts SET commitment = NULL, salt = NULL WHERE seq = 4", "fact 4 does not match its hash"),
    ("UPDATE facts SET kind = 'test.other' WHERE seq IN (4, 7)", "fact 4 does not match its hash"),
    ("UPDATE facts SET recorded_at = recorded_at + 1 WHERE seq = 1", "fact 1 does not match its hash"),
    ("UPDATE facts SET hash = ZERO WHERE seq = 4", "fact 4 does not match its hash"),
    ("UPDATE facts SET prev = ZERO WHERE seq = 4", "fact 4 does not follow the fact before it"),
    ("DELETE FROM facts WHERE seq = 4", "fact 4 is missing"),
    ("DELETE FROM facts WHERE seq = 1", "fact 1 is missing"),
    ("UPDATE facts SET version = 9 WHERE seq = 9", "fact 9 does not match its hash"),
    ("DELETE FROM authorities WHERE digest = (SELECT authority FROM facts WHERE seq = 4)", "fact 4 has no authority"),
    (
        "UPDATE authorities SET bytes = X(ff) WHERE digest = (SELECT authority FROM facts WHERE seq = 4)",
        "fact 4 has an authority that cannot be read",
    ),
    (
        "UPDATE authorities SET bytes = NULL WHERE digest = (SELECT authority FROM facts WHERE seq = 4)",
        "fact 4 has an authority that was erased without it",
    ),
    (
        "UPDATE authorities SET bytes = (SELECT bytes FROM authorities WHERE digest =
            (SELECT authority FROM facts WHERE seq = 5))
         WHERE digest = (SELECT authority FROM facts WHERE seq = 4)",
        "fact 4 has an authority that does not match its digest",
    ),
];

/// What is done to the end of a journal of ten facts, and what opening it says.
pub const LOST_END: [(&str, &str); 8] = [
    ("UPDATE facts SET body = X(00) WHERE seq = 10", "fact 10 has a body"),
    ("UPDATE facts SET kind = 'test.other' WHERE seq = 10", "fact 10 does not match"),
    ("DELETE FROM facts WHERE seq = 10", "ends with fact 9"),
    ("DELETE FROM facts WHERE seq > 3", "ends with fact 3"),
    ("DELETE FROM facts", "ends with fact 0"),
    ("UPDATE head SET seq = 9", "written last was fact 9"),
    ("UPDATE head SET hash = ZERO", "written last was fact 10"),
    ("DELETE FROM head", "is missing"),
];

/// What the schema refuses by itself.
pub const REFUSED: [&str; 7] = [
    "UPDATE facts SET body = X(00)",
    "UPDATE facts SET commitment = ZERO, body = NULL, salt = NULL",
    "UPDATE facts SET hash = ZERO, body = NULL, salt = NULL",
    "DELETE FROM facts",
    "UPDATE authorities SET bytes = X(00)",
    "UPDATE authorities SET digest = ZERO, bytes = NULL",
    "DELETE FROM authorities",
];
