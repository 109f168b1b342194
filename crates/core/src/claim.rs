//! Who stands behind a fact.
//!
//! A user's word is the signed HTTP request itself (NIP-98): the Nostr event and the body that its `payload` tag
//! commits to, kept as they came, so that anyone can check them later. The node's own word (an outcome of a rail, a
//! timer) is a BIP-340 signature by the node's key over the framed command.

use borsh::{BorshDeserialize, BorshSerialize};
use secp256k1::{Keypair, Message, SECP256K1, SecretKey};
use std::fmt;

use crate::{Digest32, NostrKey, Signature, canonical};

const NODE_WORD_TAG: &str = "tallystick/node-word/v1";

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
        /// The signature over stream and command.
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

    /// Signs a command that the node itself gives to a stream.
    pub fn authorise(&self, stream: &str, command: Vec<u8>) -> Authority {
        let digest = node_word(stream, &command);
        let signature = SECP256K1.sign_schnorr_no_aux_rand(&Message::from_digest(digest.0), &self.0);
        Authority::Node { author: self.public(), command, signature: Signature(signature.serialize()) }
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

/// The digest that a node signs when it gives `command` to `stream`.
pub fn node_word(stream: &str, command: &[u8]) -> Digest32 {
    canonical::digest(NODE_WORD_TAG, &[stream.as_bytes(), command])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyError;

    #[test]
    fn the_nodes_word_holds_for_its_stream_alone() {
        let key = NodeKey::try_new(&[7; 32]).unwrap();
        let Authority::Node { author, command, signature } = key.authorise("task/1", b"paid".to_vec()) else {
            panic!("a node gives its own word")
        };
        assert_eq!(author.verify(&node_word("task/1", &command), &signature), Ok(()));
        assert_eq!(author.verify(&node_word("task/2", &command), &signature), Err(KeyError::BadSignature));
        assert_eq!(author.verify(&node_word("task/1", b"paie"), &signature), Err(KeyError::BadSignature));
    }

    #[test]
    fn secrets_do_not_print() {
        let key = NodeKey::try_new(&[7; 32]).unwrap();
        assert!(!format!("{key:?}").contains(&"07".repeat(32)));
        assert!(NodeKey::try_new(&[0; 32]).is_err());
    }
}
