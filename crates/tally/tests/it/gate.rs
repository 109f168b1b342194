//! A proxy before a node's API, which can be closed.

use anyhow::Result;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Leads to a node, once it is told where that is, and lets nobody in while it is closed.
pub struct Gate {
    address: SocketAddr,
    to: watch::Sender<Option<SocketAddr>>,
}

impl Gate {
    /// A closed one.
    pub async fn listen() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (to, leads) = watch::channel(None);
        tokio::spawn(async move {
            while let Ok((guest, _)) = listener.accept().await {
                // Whoever comes to a closed gate is sent away.
                let Some(to) = *leads.borrow() else { continue };
                tokio::spawn(pass(guest, to));
            }
        });
        Ok(Self { address, to })
    }

    pub fn url(&self) -> String {
        format!("http://{}/graphql", self.address)
    }

    pub fn lead_to(&self, to: SocketAddr) {
        self.to.send_replace(Some(to));
    }

    pub fn close(&self) {
        self.to.send_replace(None);
    }
}

async fn pass(mut guest: TcpStream, to: SocketAddr) {
    // Either end may break off.
    if let Ok(mut node) = TcpStream::connect(to).await {
        let _ = copy_bidirectional(&mut guest, &mut node).await;
    }
}
