//! What a status and a body mean (C2SP tlog-witness).

use hyper::StatusCode;
use tallystick_app::port::witness::WitnessError;
use tallystick_log::{AddCheckpoint, LogError, NoteSignature, VerifierKey, witness};

/// The longest part of a foreign sentence that is kept.
const SENTENCE_CHARS_MAX: usize = 200;
/// The type of a body that tells a size.
const SIZE_TYPE: &str = "text/x.tlog.size";

/// Reads an answer to this request.
pub(crate) fn read(
    request: &AddCheckpoint,
    key: &VerifierKey,
    status: StatusCode,
    content_type: &str,
    body: &[u8],
) -> Result<NoteSignature, WitnessError> {
    match status.as_u16() {
        200 => cosignature(request, key, body),
        409 if is_size(content_type) => behind(request, body),
        409 | 422 => Err(WitnessError::OtherHistory(sentence(status, body))),
        400 | 403 | 404 | 413 => Err(WitnessError::Refused(sentence(status, body))),
        408 | 429 | 500..=599 => Err(WitnessError::Unavailable(sentence(status, body))),
        _ => Err(WitnessError::Nonsense(sentence(status, body))),
    }
}

/// The first cosignature by this key. One by this key that is wrong spoils the answer; those by others are passed over.
fn cosignature(request: &AddCheckpoint, key: &VerifierKey, body: &[u8]) -> Result<NoteSignature, WitnessError> {
    let nonsense = |error: LogError| WitnessError::Nonsense(error.to_string());
    let text = request.checkpoint().note().text();
    let mut found = None;
    for line in witness::parse_cosignatures(body).map_err(nonsense)? {
        match key.verify(text, &line) {
            Ok(_) => found = found.or(Some(line)),
            Err(LogError::NotSigned) => {}
            Err(wrong) => return Err(nonsense(wrong)),
        }
    }
    found.ok_or_else(|| WitnessError::Nonsense(format!("there is no cosignature by {}", key.name())))
}

fn behind(request: &AddCheckpoint, body: &[u8]) -> Result<NoteSignature, WitnessError> {
    let size = witness::parse_size(body).map_err(|error| WitnessError::Nonsense(error.to_string()))?;
    // Starting again from the same size would be answered the same, for ever.
    if size == request.old_size() {
        return Err(WitnessError::OtherHistory(format!("it knows another tree of {size} leaves")));
    }
    Err(WitnessError::Behind { size })
}

fn is_size(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(SIZE_TYPE))
}

/// The status and the beginning of the body, in one line without control characters.
fn sentence(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    let said: String = words.join(" ").chars().take(SENTENCE_CHARS_MAX).collect();
    format!("HTTP {} {said}", status.as_u16()).trim_end().to_owned()
}
