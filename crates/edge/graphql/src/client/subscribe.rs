//! Subscriptions over a WebSocket (graphql-transport-ws).

use futures::{SinkExt, Stream, StreamExt, stream};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use super::{CONNECT_TIMEOUT, Client, ClientError, data_of, error_of};

/// The edge pings three times in this span.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// The one subscription of a connection.
const ID: &str = "1";

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Client {
    /// Subscribes. Each item is the `data` of one event. The stream ends with the subscription, after an error if it
    /// did not end by itself; keep reading it, or the edge takes the silence for a broken connection.
    ///
    /// # Errors
    /// [`ClientError`] if the WebSocket cannot be opened.
    pub async fn subscribe(
        &self,
        query: &str,
        variables: Value,
    ) -> Result<impl Stream<Item = Result<Value, ClientError>> + Send + Unpin + use<>, ClientError> {
        let mut socket = match self.introduce().await {
            // It was signed in the second before the node began.
            Err(error) if error.is_before_start() => self.introduce().await?,
            socket => socket?,
        };
        let subscribe = json!({ "type": "subscribe", "id": ID, "payload": { "query": query, "variables": variables } });
        self.send(&mut socket, subscribe).await?;
        let client = self.clone();
        let events = stream::unfold(Some((client, socket)), |open| async move {
            let (client, mut socket) = open?;
            match client.event(&mut socket).await {
                Ok(Some(data)) => Some((data, Some((client, socket)))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Box::pin(events))
    }

    /// Opens the WebSocket and says who reads.
    async fn introduce(&self) -> Result<Socket, ClientError> {
        let mut socket = self.open().await?;
        let authorization = self.authorization("GET", None)?;
        let introduction = json!({ "type": "connection_init", "payload": { "authorization": authorization } });
        self.send(&mut socket, introduction).await?;
        match self.receive(&mut socket).await? {
            Some(message) if message["type"] == "connection_ack" => Ok(socket),
            _ => Err(ClientError::answer("the node does not take the connection")),
        }
    }

    async fn open(&self) -> Result<Socket, ClientError> {
        let url = self.url.replacen("http", "ws", 1);
        let mut request = url.into_client_request().map_err(|error| ClientError::new("client.url", error))?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("graphql-transport-ws"));
        let tls = Connector::Rustls(std::sync::Arc::clone(&self.tls));
        let connected = timeout(CONNECT_TIMEOUT, connect_async_tls_with_config(request, None, true, Some(tls))).await;
        let (socket, _) =
            connected.map_err(|late| self.unreachable(&late))?.map_err(|error| self.unreachable(&error))?;
        Ok(socket)
    }

    /// The next event of the subscription: its data or error. Nothing once it is complete.
    async fn event(&self, socket: &mut Socket) -> Result<Option<Result<Value, ClientError>>, ClientError> {
        while let Some(mut message) = self.receive(socket).await? {
            match message["type"].as_str() {
                Some("next") => {
                    let payload = message.get_mut("payload").map(Value::take).unwrap_or_default();
                    return Ok(Some(data_of(payload)));
                }
                Some("error") => return Err(error_of(&message["payload"][0])),
                Some("complete") => return Ok(None),
                Some("ping") => self.send(socket, json!({ "type": "pong" })).await?,
                _ => {}
            }
        }
        Ok(None)
    }

    /// The next message; nothing when the node closed the connection as it should.
    async fn receive(&self, socket: &mut Socket) -> Result<Option<Value>, ClientError> {
        loop {
            let frame = timeout(SILENCE_MAX, socket.next()).await.map_err(|late| self.unreachable(&late))?;
            match frame {
                Some(Ok(Message::Text(text))) => {
                    self.heard(text.as_bytes());
                    return serde_json::from_str(&text).map(Some).map_err(ClientError::answer);
                }
                Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) != 1000 => {
                    let (code, message) =
                        frame.reason.split_once(": ").unwrap_or(("client.closed", frame.reason.as_str()));
                    return Err(ClientError::new(code, message));
                }
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(self.unreachable(&error)),
            }
        }
    }

    async fn send(&self, socket: &mut Socket, message: Value) -> Result<(), ClientError> {
        socket.send(Message::text(message.to_string())).await.map_err(|error| self.unreachable(&error))
    }
}
