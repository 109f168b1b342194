//! A node with its edge, and what clients of it need.

use async_trait::async_trait;
use nostr::key::Keys;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tallystick_app::{
    App, AppError, Clock, Parts, SystemClock, WorkerHandle, Workers,
    cause::Trusted,
    fsck::{Damage, Fsck, Sound},
    mint_id,
    port::{
        evidence::Matter,
        journal::Journal,
        operator::{Balances, Channel, Direction, NodeInfo, NodeOperator, OpenChannel, Payment, PaymentStatus},
        rail::RailError,
    },
    vault::{Disputes, Retention, Vault},
};
use tallystick_civics::dispute::Dispute;
use tallystick_core::{BlockHeight, Id, Msat, NodeKey, NostrKey, PaymentHash, Sat, Timestamp};
use tallystick_escrow::{Policy, Task};
use tallystick_graphql::{EdgeConfig, Requests, ServeLimits, client::Client, router, serve, sign};
use tallystick_log::WitnessPolicy;
use tallystick_testkit::{FixedDisputes, ManualClock, MemoryStore, SimRail};
use tokio::{net::TcpListener, task::JoinHandle};

/// The longest that any test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What every task shows in these tests.
pub const TASK: &str = "id state reason worker requester invoiceExpiryNeeded expiresAt secondsToExpire milestones { state \
                        workDeadline workHash reasonHash submitBy renewBy decideBy blocksToDecide secondsToDecide atDeadline \
                        tranches { payoutSat feeSat holdSat state reason payoutInvoice fundingInvoice routingFeeMsat \
                        renewals renewal { paymentHash payoutInvoice fundingInvoice fundUntil } } }";

pub fn requester() -> Keys {
    keys(1)
}

pub fn worker() -> Keys {
    keys(2)
}

pub fn stranger() -> Keys {
    keys(3)
}

pub fn operator() -> Keys {
    keys(4)
}

/// With [`operator`], who the node begins with: both are admins and operators.
pub fn chief() -> Keys {
    keys(5)
}

pub fn keys(n: u8) -> Keys {
    Keys::parse(&hex::encode([n; 32])).unwrap()
}

pub fn public(keys: &Keys) -> NostrKey {
    NostrKey::try_new(keys.public_key().to_bytes()).unwrap()
}

pub struct World {
    pub url: String,
    pub app: App,
    pub vault: Vault,
    pub disputes: Arc<FixedDisputes>,
    pub rail: SimRail,
    pub store: Arc<MemoryStore>,
    pub clock: Arc<ManualClock>,
    pub node: Arc<FakeNode>,
    jobs: Vec<JoinHandle<()>>,
    _workers: WorkerHandle,
}

impl Drop for World {
    fn drop(&mut self) {
        for job in &self.jobs {
            job.abort();
        }
    }
}

/// The disputes that a test made up, and those that the node has.
struct Both(Arc<FixedDisputes>, App);

#[async_trait]
impl Disputes for Both {
    async fn dispute(&self, matter: Matter) -> Result<Option<Dispute>, AppError> {
        match self.0.dispute(matter).await? {
            Some(made_up) => Ok(Some(made_up)),
            None => self.1.dispute(matter).await,
        }
    }

    async fn over_since(&self, matter: Matter) -> Result<Option<Timestamp>, AppError> {
        match self.0.over_since(matter).await? {
            Some(made_up) => Ok(Some(made_up)),
            None => self.1.over_since(matter).await,
        }
    }
}

impl World {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A node that is connected to its rail.
    pub async fn with(change: impl FnOnce(&mut EdgeConfig)) -> Self {
        let mut world = Self::starting(change).await;
        world.app.connect(Arc::new(world.rail.clone()), Arc::new(world.rail.clone()));
        world.app.found_roles(&[operator(), chief()].iter().map(public).collect()).await.unwrap();
        world.jobs.push(world.rail.run(Arc::new(world.app.clone())));
        world
    }

    /// A node that waits for its rail.
    pub async fn starting(change: impl FnOnce(&mut EdgeConfig)) -> Self {
        let clock = ManualClock::new(SystemClock.now());
        let store = Arc::new(MemoryStore::new());
        let rail = SimRail::new(Arc::clone(&clock));
        rail.add_wallet("payer", 1_000_000);
        rail.add_wallet("payee", 0);
        let app = App::new(Parts {
            journal: Arc::clone(&store) as Arc<dyn Journal>,
            log: Arc::clone(&store) as _,
            tasks: Arc::clone(&store) as _,
            clock: Arc::clone(&clock) as _,
            key: NodeKey::try_new(&[9; 32]).unwrap(),
            policy: Policy::default(),
        });
        let workers = Workers::start(&app);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/graphql", listener.local_addr().unwrap());
        let mut config = EdgeConfig::new([url.clone()]);
        change(&mut config);
        let node = Arc::new(FakeNode::default());
        let disputes = Arc::new(FixedDisputes::default());
        app.read_blocks_with(Arc::new(rail.clone()));
        let both = Arc::new(Both(Arc::clone(&disputes), app.clone()));
        let vault = Vault::new(app.clone(), Arc::clone(&store) as _, both, Retention::default());
        let service = router(config, app.clone(), vault.clone(), Arc::clone(&node) as _);
        let server = tokio::spawn(serve(listener, service, std::future::pending(), ServeLimits::default()));
        Self { url, app, vault, disputes, rail, store, clock, node, jobs: vec![server], _workers: workers }
    }

    pub fn client(&self, keys: Keys) -> Client {
        self.client_at(&self.url, keys)
    }

    /// A client of another edge of this node. It signs with the node's time: the machine's goes on while the node's clock
    /// stands still, and how far depends on how fast the machine is.
    pub fn client_at(&self, url: &str, keys: Keys) -> Client {
        Client::new(url, keys).unwrap().with_clock(Arc::clone(&self.clock) as _)
    }

    /// What fsck says of all that is kept. Who operates, the roles tell.
    pub async fn fsck(&self) -> Result<Sound, Damage> {
        tallystick_testkit::publish(&self.store).await;
        let fsck = Fsck {
            store: Arc::clone(&self.store) as _,
            requests: Arc::new(Requests),
            invoices: Arc::new(self.rail.clone()),
            trusted: Trusted { node: Some(self.app.key()), ..Trusted::default() },
            key: None,
            policy: WitnessPolicy::none(),
            checkpoints: Vec::new(),
            published: None,
            now: self.clock.now(),
        };
        fsck.run(|_| ()).await
    }

    /// How many facts the journal holds, those of the node's roles aside.
    pub async fn facts(&self) -> usize {
        let facts = self.store.facts(0, 1_000).await.unwrap();
        facts.iter().filter(|fact| fact.stream != "roles").count()
    }

    /// The chief proposes an action: the number by which another admin does it.
    pub async fn proposed(&self, action: &str) -> u64 {
        let (_, answer) = self.ask(&chief(), &format!("mutation {{ propose(action: {{ {action} }}) }}")).await;
        answer["data"]["propose"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }

    /// Lets time go on.
    pub fn wait(&self, secs: u64) {
        self.clock.set(self.clock.now().after(tallystick_core::Duration::from_secs(secs)));
    }

    /// What an authenticator shows now that has read this address.
    pub fn code(&self, uri: &str) -> String {
        let secret = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
        let secret = totp_rs::Secret::try_from_base32(secret).ok().unwrap();
        totp_rs::Builder::new().with_secret(secret).build().unwrap().generate(self.clock.now().as_secs()).to_string()
    }

    /// A good signature over a POST request.
    pub fn signature(&self, keys: &Keys, body: &str) -> String {
        sign::authorization(keys, &self.url, "POST", Some(body.as_bytes()), self.clock.now()).unwrap()
    }

    /// Sends a body with this `Authorization` header.
    pub async fn post(&self, authorization: Option<&str>, body: impl Into<Vec<u8>>) -> (u16, Value) {
        let mut request = reqwest::Client::new().post(&self.url).body(body.into());
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        read(request.send().await.unwrap()).await
    }

    /// Sends a body, signed as it is.
    pub async fn signed(&self, keys: &Keys, body: &str) -> (u16, Value) {
        self.post(Some(&self.signature(keys, body)), body).await
    }

    /// Sends a query, signed.
    pub async fn ask(&self, keys: &Keys, query: &str) -> (u16, Value) {
        self.signed(keys, &json!({ "query": query }).to_string()).await
    }

    pub fn new_id(&self) -> Id<Task> {
        mint_id(self.clock.now()).unwrap()
    }

    /// Terms of a day with one payout of 1,000 sat.
    pub fn input(&self, id: Id<Task>) -> Value {
        json!({
            "id": id.to_string(),
            "title": "Translate a page",
            "descriptionHash": "ab".repeat(32),
            "milestones": [{
                "title": "The whole page",
                "payoutsSat": [1_000],
                "workDeadline": self.clock.now().as_secs() + 86_400,
            }],
            "reviewWindowSecs": 3_600,
            "onSilence": "RELEASE",
        })
    }

    /// Posts a task as the requester.
    pub async fn create(&self) -> Id<Task> {
        let id = self.new_id();
        let input = self.input(id);
        let client = self.client(requester());
        let made = change(&client, "createTask(input: $input)", "$input: CreateTaskInput!", json!({ "input": input }));
        assert_eq!(made.await.unwrap()["changed"], true);
        id
    }

    /// The worker accepts.
    pub async fn accept(&self, id: Id<Task>) -> Value {
        let invoices = [self.rail.invoice("payee", 1_000)];
        self.act(
            &worker(),
            id,
            "acceptTask(id: $id, invoices: $invoices)",
            ", $invoices: [String!]!",
            json!({ "invoices": invoices }),
        )
        .await
        .unwrap()
    }

    /// Money is asked for and locked.
    pub async fn fund(&self, id: Id<Task>) {
        let funding = self.act(&requester(), id, "fundingInvoice(id: $id)", "", json!({})).await.unwrap();
        let invoice = funding["task"]["milestones"][0]["tranches"][0]["fundingInvoice"].as_str().unwrap().to_owned();
        assert!(self.rail.pay_hold("payer", &invoice));
        self.until(id, "HELD").await;
    }

    /// One mutation on a task: its payload, or the error's code.
    pub async fn act(
        &self,
        keys: &Keys,
        id: Id<Task>,
        field: &str,
        more: &str,
        mut variables: Value,
    ) -> Result<Value, String> {
        variables["id"] = json!(id.to_string());
        change(&self.client(keys.clone()), field, &format!("$id: UUID!{more}"), variables).await
    }

    /// Follows a task until it is in this state, and shows it as the requester sees it.
    pub async fn until(&self, id: Id<Task>, state: &str) -> Value {
        use futures::StreamExt;
        let query = format!("subscription($id: UUID) {{ taskUpdates(id: $id) {{ {TASK} }} }}");
        let client = self.client(requester());
        let mut updates = client.subscribe(&query, json!({ "id": id.to_string() })).await.unwrap();
        let reached = async {
            while let Some(update) = updates.next().await {
                let task = update.unwrap()["taskUpdates"].take();
                if task["state"] == state {
                    return task;
                }
            }
            panic!("the updates ended before {state}")
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("never {state}"))
    }
}

pub async fn read(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

/// One mutation: its payload, or the error's code.
async fn change(client: &Client, field: &str, declared: &str, variables: Value) -> Result<Value, String> {
    let query = format!("mutation({declared}) {{ it: {field} {{ changed task {{ {TASK} }} }} }}");
    let mut data = client.query(&query, variables).await.map_err(|error| error.code)?;
    Ok(data["it"].take())
}

/// The code of an answer's first error.
pub fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("no code in {answer}"))
}

/// A Lightning node that has what it is said to have, and remembers what it was told to do.
#[derive(Default)]
pub struct FakeNode {
    pub told: Mutex<Vec<String>>,
}

impl FakeNode {
    fn tell(&self, what: String) {
        self.told.lock().unwrap().push(what);
    }

    pub fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

pub fn msat(amount: u64) -> Msat {
    Msat::try_new(amount).unwrap()
}

pub fn sat(amount: u64) -> Sat {
    Sat::try_new(amount).unwrap()
}

fn payment() -> Payment {
    Payment {
        id: "cd".repeat(32),
        direction: Direction::Outbound,
        hash: PaymentHash([5; 32]),
        amount: msat(2_099_999_999_999_999_999),
        fee: Some(msat(1)),
        status: PaymentStatus::Succeeded,
        updated_at: Timestamp::from_secs(1_700_000_000),
    }
}

#[async_trait]
impl NodeOperator for FakeNode {
    fn info(&self) -> NodeInfo {
        NodeInfo {
            node_id: "02".repeat(33),
            alias: "tally".into(),
            network: "regtest".into(),
            height: BlockHeight(800_000),
            block_hash: "00".repeat(32),
            listen: vec!["127.0.0.1:9735".into()],
            peers: 1,
            usable_channels: 1,
        }
    }

    async fn balances(&self) -> Result<Balances, RailError> {
        Ok(Balances { onchain_confirmed: sat(7), channels: msat(8_001), ..Balances::default() })
    }

    async fn new_address(&self) -> Result<String, RailError> {
        self.tell("address".into());
        Ok("bcrt1qaddress".into())
    }

    async fn connect(&self, peer: &str, address: &str) -> Result<(), RailError> {
        self.tell(format!("connect {peer} {address}"));
        if peer == "nobody" { Err(RailError::Refused("no such peer".into())) } else { Ok(()) }
    }

    async fn open_channel(&self, request: OpenChannel) -> Result<String, RailError> {
        let OpenChannel { peer, capacity, push, announce, key, .. } = request;
        let key = key.map(|key| format!(" {key}")).unwrap_or_default();
        self.tell(format!("open {peer} {capacity} {push} {announce}{key}"));
        Ok("ef".repeat(32))
    }

    async fn close_channel(&self, channel_id: &str, force: bool) -> Result<(), RailError> {
        self.tell(format!("close {channel_id} {force}"));
        Ok(())
    }

    async fn channels(&self) -> Vec<Channel> {
        vec![Channel {
            channel_id: "aa".repeat(32),
            peer: "02".repeat(33),
            funding: None,
            capacity: sat(1_000_000),
            local: msat(999),
            outbound: msat(0),
            inbound: msat(1),
            ready: true,
            usable: false,
            announced: true,
        }]
    }

    async fn payments(&self, limit: u32) -> Result<Vec<Payment>, RailError> {
        Ok(std::iter::repeat_with(payment).take(limit.min(3) as usize).collect())
    }

    async fn pay_invoice(
        &self,
        bolt11: &str,
        fee_limit: Msat,
        timeout: tallystick_core::Duration,
    ) -> Result<Payment, RailError> {
        self.tell(format!("pay {bolt11} {fee_limit} {timeout}"));
        Ok(payment())
    }

    async fn invoice(
        &self,
        amount: Msat,
        description: &str,
        expiry: tallystick_core::Duration,
    ) -> Result<String, RailError> {
        self.tell(format!("invoice {amount} {description} {expiry}"));
        Ok("lnbcrt1".into())
    }
}
