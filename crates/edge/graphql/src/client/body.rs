//! What a client sends, and a word on how much of it is gone.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Bytes that are handed on at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Hears how many bytes have been handed on.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// The body of a request.
#[derive(Default)]
pub(super) struct Outgoing {
    left: Bytes,
    gone: u64,
    progress: Option<Progress>,
}

impl Outgoing {
    pub(super) fn told(content: Bytes, progress: Progress) -> Self {
        Self { left: content, gone: 0, progress: Some(progress) }
    }
}

impl From<Vec<u8>> for Outgoing {
    fn from(content: Vec<u8>) -> Self {
        Self { left: content.into(), gone: 0, progress: None }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let bytes = self.left.len().min(CHUNK_BYTES);
        let chunk = self.left.split_to(bytes);
        self.gone += u64::try_from(bytes).unwrap_or(u64::MAX);
        if let Some(progress) = &self.progress {
            progress(self.gone);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.left.len()).unwrap_or(u64::MAX))
    }
}
