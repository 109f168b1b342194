//! Who stands behind a fact.
//!
//! A user's word is the signed HTTP request itself (NIP-98): the Nostr event and the body that its `payload` tag
//! commits to, kept as they came, so that anyone can check them later. The node's own word (an outcome of a rail, a
//! timer) is a BIP-340 signature by the node's key over a [`NodeWord`]: the command with all that the rules knew
//! besides the facts when they decided it, so that it stands for one decision and for no other.

use borsh::{BorshDeserialize, BorshSerialize};
use secp256k1::{Keypair, Message, SECP256K1, SecretKey};
use std::fmt;

use crate::{BlockHeight, Digest32, NostrKey, Signature, Timestamp, canonical};

const NODE_WORD_TAG: &str = "tallystick/node-word/v2";

/// A request that its author signed, after its check.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedRequest {
    /// Who signed.
    pub author: NostrKey,
    /// The Nostr event's id (NIP-01): the SHA-256 that was signed.
    pub id: Digest32,
    /// The Nostr event as JSON, as received.
    pub event: String,
    /// The body that the event's `payload` tag commits to, as received.
    pub body: Vec<u8>,
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedRequest({} by {})", self.id, self.author)
    }
}

/// What authorised a fact.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Authority {
    /// A user's signed request.
    Request(SignedRequest),
    /// The node's own signed word.
    Node {
        /// The node's key.
        author: NostrKey,
        /// The canonical bytes of the command that the node gave.
        command: Vec<u8>,
        /// The signature over the [`NodeWord`].
        signature: Signature,
    },
}

impl Authority {
    /// Who stands behind the fact.
    pub fn author(&self) -> NostrKey {
        match self {
            Self::Request(request) => request.author,
            Self::Node { author, .. } => *author,
        }
    }
}

/// The node's signing key. Wiped when dropped, and not printable.
pub struct NodeKey(Keypair);

impl NodeKey {
    /// Takes 32 secret bytes.
    ///
    /// # Errors
    /// [`crate::key::KeyError::Malformed`] for zero or a number not below the curve's order.
    pub fn try_new(secret: &[u8; 32]) -> Result<Self, crate::key::KeyError> {
        let mut secret = SecretKey::from_slice(secret).map_err(|_| crate::key::KeyError::Malformed)?;
        let pair = Keypair::from_secret_key(SECP256K1, &secret);
        secret.non_secure_erase();
        Ok(Self(pair))
    }

    /// The public half.
    pub fn public(&self) -> NostrKey {
        self.0.x_only_public_key().0.into()
    }

    /// 32 secret bytes of one purpose: SHA-256 over the framed secret key and these fields, under the purpose's tag. They come
    /// again wherever the key is, and tell nothing of it, or of those of another purpose. The caller wipes them.
    pub fn secret_for(&self, purpose: &str, fields: &[&[u8]]) -> [u8; 32] {
        let mut key = self.0.secret_key();
        let secret = canonical::digest(purpose, &[&[key.secret_bytes().as_slice()], fields].concat()).0;
        key.non_secure_erase();
        secret
    }

    /// Signs a command that the node itself gives.
    pub fn authorise(&self, word: &NodeWord<'_>) -> Authority {
        let signature = SECP256K1.sign_schnorr_no_aux_rand(&Message::from_digest(word.digest().0), &self.0);
        Authority::Node {
            author: self.public(),
            command: word.command.to_vec(),
            signature: Signature(signature.serialize()),
        }
    }
}

impl Drop for NodeKey {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.public())
    }
}

/// What the node signs when it gives a command: the command, and where and when it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeWord<'a> {
    /// The stream that the command is given to.
    pub stream: &'a str,
    /// The stream's version that it was decided on.
    pub expected_version: u64,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// The height of the best block that the node knew then.
    pub height: BlockHeight,
    /// The canonical bytes of the command.
    pub command: &'a [u8],
}

impl NodeWord<'_> {
    /// The digest that is signed: SHA-256 over the framed fields, numbers little-endian.
    pub fn digest(&self) -> Digest32 {
        canonical::digest(
            NODE_WORD_TAG,
            &[
                self.stream.as_bytes(),
                &self.expected_version.to_le_bytes(),
                &self.recorded_at.as_millis().to_le_bytes(),
                &self.height.0.to_le_bytes(),
                self.command,
            ],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyError;

    fn word() -> NodeWord<'static> {
        NodeWord {
            stream: "task/1",
            expected_version: 4,
            recorded_at: Timestamp::from_millis(1_800_000_000_123),
            height: BlockHeight(800_000),
            command: b"paid",
        }
    }

    #[test]
    fn the_nodes_word_holds_for_one_decision_alone() {
        let key = NodeKey::try_new(&[7; 32]).unwrap();
        let Authority::Node { author, command, signature } = key.authorise(&word()) else {
            panic!("a node gives its own word")
        };
        assert_eq!(command, b"paid");
        assert_eq!(author.verify(&word().digest(), &signature), Ok(()));
        let others = [
            NodeWord { stream: "task/2", ..word() },
            NodeWord { expected_version: 5, ..word() },
            NodeWord { recorded_at: Timestamp::from_millis(1_800_000_000_124), ..word() },
            NodeWord { height: BlockHeight(800_001), ..word() },
            NodeWord { command: b"paie", ..word() },
        ];
        for other in others {
            assert_eq!(author.verify(&other.digest(), &signature), Err(KeyError::BadSignature), "{other:?}");
        }
    }

    /// Computed apart from this code.
    #[test]
    fn the_nodes_word_never_changes() {
        assert_eq!(word().digest().to_string(), "d85663a1ebfd31ccba2a232e8c68ba110c3a6af0740e4a944d56358e5eb20a02");
    }

    #[test]
    fn each_purpose_has_a_secret_of_its_own() {
        let key = |n| NodeKey::try_new(&[n; 32]).unwrap();
        let secret = key(7).secret_for("test/a", &[b"one"]);
        assert_eq!(secret, key(7).secret_for("test/a", &[b"one"]));
        let others: [(u8, &str, &[&[u8]]); 4] =
            [(8, "test/a", &[b"one"]), (7, "test/b", &[b"one"]), (7, "test/a", &[b"on", b"e"]), (7, "test/a", &[])];
        for (n, purpose, fields) in others {
            assert_ne!(secret, key(n).secret_for(purpose, fields), "{n} {purpose} {fields:?}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let key = NodeKey::try_new(&[7; 32]).unwrap();
        assert!(!format!("{key:?}").contains(&"07".repeat(32)));
        assert!(NodeKey::try_new(&[0; 32]).is_err());
    }
}
