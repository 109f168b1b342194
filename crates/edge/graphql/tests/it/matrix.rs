//! Every operation, tried as every role. The rows come from the schema itself: one without a case here fails the test.

use nostr::key::Keys;
use serde_json::{Value, json};
use std::{collections::BTreeSet, num::NonZeroU32};
use tallystick_civics::roles::{Needs, Operation};
use tallystick_core::Id;
use tallystick_escrow::Task;
use tallystick_graphql::Rate;
use tallystick_testkit::same_table;

use crate::world::{World, code, keys, operator, public, requester, stranger, worker};
use crate::{bonds, disputes, milestones};

/// Who tries. The arbitrator here sits on the panels of these tests' disputes, or is asked to; the one elsewhere on none.
pub const ROLES: [&str; 10] = [
    "nobody",
    "stranger",
    "requester",
    "worker",
    "other party",
    "arbitrator here",
    "arbitrator elsewhere",
    "operator",
    "admin",
    "admin without second factor",
];

/// What becomes of it: done, hidden, or refused with this code.
pub const TABLE: &str = "
acceptRuling       | auth.missing | dispute.not_party    | ok                   | ok                   | dispute.not_party    | dispute.not_party    | dispute.not_party    | dispute.not_party    | dispute.not_party    | dispute.not_party
acceptSeat         | auth.missing | dispute.not_seated   | dispute.not_seated   | dispute.not_seated   | dispute.not_seated   | ok                   | dispute.not_seated   | dispute.not_seated   | dispute.not_seated   | dispute.not_seated
acceptTask         | auth.missing | ok                   | escrow.own_task      | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok
admitArbitrator    | auth.missing | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | ok                   | auth.not_operator    | auth.not_operator
anomalies          | auth.missing | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | ok                   | auth.not_operator    | auth.not_operator
appeal             | auth.missing | dispute.not_party    | ok                   | ok                   | dispute.not_party    | dispute.not_party    | dispute.not_party    | dispute.not_party    | dispute.not_party    | dispute.not_party
approveWork        | auth.missing | escrow.not_requester | ok                   | escrow.not_requester | escrow.not_requester | escrow.not_requester | escrow.not_requester | escrow.not_requester | escrow.not_requester | escrow.not_requester
arbitrators        | auth.missing | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok
cancelTask         | auth.missing | escrow.not_party     | ok                   | ok                   | escrow.not_party     | escrow.not_party     | escrow.not_party     | escrow.not_party     | escrow.not_party     | escrow.not_party
collectReward      | auth.missing | escrow.not_served    | escrow.not_served    | escrow.not_served    | escrow.not_served    | ok                   | escrow.not_served    | escrow.not_served    | escrow.not_served    | escrow.not_served
commitVote         | auth.missing | dispute.not_seated   | dispute.not_seated   | dispute.not_seated   | dispute.not_seated   | ok                   | dispute.not_seated   | dispute.not_seated   | dispute.not_seated   | dispute.not_seated
completeEnrolment  | auth.missing | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | ok                   | roles.not_enrolling
concedeWork        | auth.missing | escrow.not_worker    | escrow.not_worker    | ok                   | escrow.not_worker    | escrow.not_worker    | escrow.not_worker    | escrow.not_worker    | escrow.not_worker    | escrow.not_worker
createTask         | auth.missing | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok
drawWeight         | auth.missing | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok
enrol              | auth.missing | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | ok                   | roles.second_admin
eraseEvidence      | auth.missing | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | ok                   | roles.not_enrolled
eraseTask          | auth.missing | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | ok                   | roles.not_enrolled
fundingInvoice     | auth.missing | escrow.not_requester | ok                   | escrow.not_requester | escrow.not_requester | escrow.not_requester | escrow.not_requester | escrow.not_requester | escrow.not_requester | escrow.not_requester
grantRole          | auth.missing | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | ok                   | roles.not_enrolled
node               | auth.missing | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok
node.balances      | auth.missing | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | ok                   | auth.not_operator    | auth.not_operator
node.channels      | auth.missing | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | ok                   | auth.not_operator    | auth.not_operator
node.payments      | auth.missing | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | ok                   | auth.not_operator    | auth.not_operator
nodeCloseChannel   | auth.missing | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | ok                   | roles.not_enrolled
nodeConnect        | auth.missing | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | ok                   | auth.not_operator    | auth.not_operator
nodeInvoice        | auth.missing | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | ok                   | auth.not_operator    | auth.not_operator
nodeNewAddress     | auth.missing | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | ok                   | auth.not_operator    | auth.not_operator
nodeOpenChannel    | auth.missing | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | ok                   | auth.not_operator    | auth.not_operator
nodePay            | auth.missing | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | ok                   | roles.not_enrolled
offerRenewal       | auth.missing | escrow.not_worker    | escrow.not_worker    | ok                   | escrow.not_worker    | escrow.not_worker    | escrow.not_worker    | escrow.not_worker    | escrow.not_worker    | escrow.not_worker
openDispute        | auth.missing | escrow.not_party     | ok                   | ok                   | escrow.not_party     | escrow.not_party     | escrow.not_party     | escrow.not_party     | escrow.not_party     | escrow.not_party
pauseArbitrator    | auth.missing | arbitrator.not_found | arbitrator.not_found | arbitrator.not_found | arbitrator.not_found | ok                   | ok                   | arbitrator.not_found | arbitrator.not_found | arbitrator.not_found
proposals          | auth.missing | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | ok                   | ok
propose            | auth.missing | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | ok                   | ok
refuseSeat         | auth.missing | dispute.not_seated   | dispute.not_seated   | dispute.not_seated   | dispute.not_seated   | ok                   | dispute.not_seated   | dispute.not_seated   | dispute.not_seated   | dispute.not_seated
registerArbitrator | auth.missing | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok
rejectWork         | auth.missing | escrow.not_requester | ok                   | escrow.not_requester | escrow.not_requester | escrow.not_requester | escrow.not_requester | escrow.not_requester | escrow.not_requester | escrow.not_requester
resumeArbitrator   | auth.missing | arbitrator.not_found | arbitrator.not_found | arbitrator.not_found | arbitrator.not_found | ok                   | ok                   | arbitrator.not_found | arbitrator.not_found | arbitrator.not_found
revealVote         | auth.missing | dispute.not_seated   | dispute.not_seated   | dispute.not_seated   | dispute.not_seated   | ok                   | dispute.not_seated   | dispute.not_seated   | dispute.not_seated   | dispute.not_seated
roles              | auth.missing | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | ok                   | ok
shareEvidence      | auth.missing | evidence.no_piece    | ok                   | ok                   | evidence.no_piece    | evidence.no_piece    | evidence.no_piece    | evidence.no_piece    | evidence.no_piece    | evidence.no_piece
standing           | auth.missing | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok
submitEvidence     | auth.missing | evidence.no_piece    | ok                   | ok                   | evidence.no_piece    | evidence.no_piece    | evidence.no_piece    | evidence.no_piece    | evidence.no_piece    | evidence.no_piece
submitWork         | auth.missing | escrow.not_worker    | escrow.not_worker    | ok                   | escrow.not_worker    | escrow.not_worker    | escrow.not_worker    | escrow.not_worker    | escrow.not_worker    | escrow.not_worker
suspendArbitrator  | auth.missing | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | auth.not_operator    | ok                   | auth.not_operator    | auth.not_operator
task               | auth.missing | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok
task.acceptance    | auth.missing | hidden               | ok                   | ok                   | hidden               | hidden               | hidden               | hidden               | hidden               | hidden
task.bondOffer     | auth.missing | hidden               | ok                   | ok                   | hidden               | hidden               | hidden               | hidden               | hidden               | hidden
task.proofs        | auth.missing | hidden               | ok                   | ok                   | hidden               | hidden               | hidden               | ok                   | hidden               | hidden
taskUpdates        | auth.missing | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok
tasks              | auth.missing | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok                   | ok
withdrawArbitrator | auth.missing | arbitrator.not_found | arbitrator.not_found | arbitrator.not_found | arbitrator.not_found | ok                   | ok                   | arbitrator.not_found | arbitrator.not_found | arbitrator.not_found
withdrawDispute    | auth.missing | dispute.not_opener   | dispute.not_opener   | ok                   | dispute.not_opener   | dispute.not_opener   | dispute.not_opener   | dispute.not_opener   | dispute.not_opener   | dispute.not_opener
withdrawRole       | auth.missing | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | auth.not_admin       | ok                   | roles.not_enrolled
";

pub fn key_of(role: &str) -> Option<Keys> {
    Some(match role {
        "nobody" => return None,
        "stranger" => stranger(),
        "requester" => requester(),
        "worker" => worker(),
        "other party" => keys(7),
        "arbitrator here" => keys(8),
        "arbitrator elsewhere" => keys(9),
        "operator" => operator(),
        "admin" => admin(),
        "admin without second factor" => bare_admin(),
        other => panic!("{other}"),
    })
}

fn admin() -> Keys {
    keys(10)
}

fn bare_admin() -> Keys {
    keys(11)
}

/// A node with an operator who is no admin, and two admins who are no operators, of whom one has an authenticator.
pub struct Stage {
    pub world: World,
    uri: String,
}

impl Stage {
    pub async fn open() -> Self {
        let world = World::with(|config| {
            let plenty = NonZeroU32::new(100_000).unwrap();
            (config.rates.key, config.rates.address) = (Rate::new(plenty, plenty), Rate::new(plenty, plenty));
        })
        .await;
        let mut stage = Self { world, uri: String::new() };
        for (role, n) in [("ADMIN", 10), ("ADMIN", 11)] {
            stage.together("grantRole", role, n).await;
        }
        let proposal = stage.world.proposed(&format!("enrol: \"{}\"", public(&admin()))).await;
        let enrol = format!("mutation {{ enrol(secondFactor: {{ confirms: {proposal} }}) {{ uri }} }}");
        stage.uri = stage.data(&admin(), &enrol).await["enrol"]["uri"].as_str().unwrap().to_owned();
        let complete = format!("mutation {{ completeEnrolment(code: \"{}\") }}", stage.world.code(&stage.uri));
        stage.data(&admin(), &complete).await;
        // The founders were there to begin with.
        stage.together("withdrawRole", "OPERATOR", 5).await;
        stage.together("withdrawRole", "ADMIN", 4).await;
        stage
    }

    /// Both founders.
    async fn together(&self, field: &str, role: &str, n: u8) {
        let arguments = format!("role: {role}, key: \"{}\"", public(&keys(n)));
        let proposal = self.world.proposed(&format!("{field}: {{ {arguments} }}")).await;
        let confirm = format!("mutation {{ {field}({arguments}, secondFactor: {{ confirms: {proposal} }}) }}");
        self.data(&operator(), &confirm).await;
    }

    async fn data(&self, by: &Keys, query: &str) -> Value {
        let (_, mut answer) = self.world.ask(by, query).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].take()
    }

    /// A code that counts.
    pub fn code(&self) -> String {
        self.world.wait(30);
        self.world.code(&self.uri)
    }

    /// A task of requester and worker in this state.
    async fn task(&self, state: &str) -> Id<Task> {
        let world = &self.world;
        let id = world.create().await;
        if state == "cancelled" {
            world.act(&requester(), id, "cancelTask(id: $id)", "", json!({})).await.unwrap();
        }
        if ["assigned", "held", "submitted"].contains(&state) {
            world.accept(id).await;
        }
        if ["held", "submitted"].contains(&state) {
            world.fund(id).await;
        }
        if state == "submitted" {
            let hash = json!({ "hash": "cd".repeat(32) });
            world.act(&worker(), id, "submitWork(id: $id, workHash: $hash)", ", $hash: Hex32!", hash).await.unwrap();
        }
        id
    }

    /// What the operation asks for, of a task that is ready for it.
    async fn query(&self, operation: &str, role: &str) -> String {
        let hash = "ab".repeat(32);
        let of = async |state: &str, field: &str| {
            format!("mutation {{ {operation}(id: \"{}\"{field}) {{ changed }} }}", self.task(state).await)
        };
        match operation {
            "task" => format!("{{ task(id: \"{}\") {{ id }} }}", self.task("open").await),
            "tasks" => "{ tasks { nodes { id } } }".into(),
            "node" => "{ node { key height policy { feeMinSat } lightning { nodeId } } }".into(),
            "roles" => "{ roles { operators } }".into(),
            "standing" => format!("{{ standing(key: \"{}\", role: WORKER) {{ score }} }}", public(&worker())),
            "anomalies" => "{ anomalies { kind } }".into(),
            "proposals" => "{ proposals { number } }".into(),
            "task.proofs" => format!("{{ task(id: \"{}\") {{ proofs {{ seq }} }} }}", self.proven().await),
            "task.acceptance" => {
                format!("{{ task(id: \"{}\") {{ acceptance {{ event }} }} }}", self.task("held").await)
            }
            "task.bondOffer" => {
                self.world.rail.add_wallet("payee", 10_000);
                format!("{{ task(id: \"{}\") {{ bondOffer {{ event }} }} }}", bonds::held(&self.world).await)
            }
            "node.balances" => "{ node { balances { channelsMsat } } }".into(),
            "node.channels" => "{ node { channels { id } } }".into(),
            "node.payments" => "{ node { payments { id } } }".into(),
            "taskUpdates" => format!("subscription {{ taskUpdates(id: \"{}\") {{ id }} }}", self.task("open").await),
            "acceptTask" => {
                let invoice = self.world.rail.invoice("payee", 1_000);
                of("open", &format!(", invoices: [\"{invoice}\"]")).await
            }
            "fundingInvoice" => of("assigned", "").await,
            "submitWork" => of("held", &format!(", workHash: \"{hash}\"")).await,
            "offerRenewal" => {
                let id = milestones::funded(&self.world).await;
                let invoices = [1_000, 2_000].map(|sat| self.world.rail.invoice("payee", sat));
                format!("mutation {{ offerRenewal(id: \"{id}\", invoices: {invoices:?}) {{ changed }} }}")
            }
            "approveWork" => of("submitted", "").await,
            "rejectWork" => of("submitted", &format!(", reasonHash: \"{hash}\"")).await,
            "cancelTask" => of("assigned", "").await,
            "nodeNewAddress" => "mutation { nodeNewAddress }".into(),
            "nodeConnect" => "mutation { nodeConnect(peer: \"02ab\", address: \"127.0.0.1:9735\") }".into(),
            "nodeOpenChannel" => "mutation { nodeOpenChannel(input: { peer: \"02ab\", capacitySat: 100000 }) }".into(),
            "nodeInvoice" => "mutation { nodeInvoice(amountMsat: \"1000\", description: \"tea\") }".into(),
            "nodeCloseChannel" => format!("mutation {{ nodeCloseChannel(channelId: \"aa\", {}) }}", self.factor(role)),
            "nodePay" => {
                let invoice = self.world.rail.invoice("payee", 1_000);
                let factor = self.factor(role);
                format!("mutation {{ nodePay(invoice: \"{invoice}\", feeLimitMsat: \"1\", {factor}) {{ status }} }}")
            }
            "eraseTask" => {
                let id = self.task("cancelled").await;
                format!("mutation {{ eraseTask(id: \"{id}\", {}) }}", self.factor(role))
            }
            other => Box::pin(self.of_admins(other, role)).await,
        }
    }

    /// The same of what is asked of roles.
    async fn of_admins(&self, operation: &str, role: &str) -> String {
        match operation {
            "grantRole" | "withdrawRole" => {
                // What is so already takes no second factor: each tries something of his own.
                let (given, n) = match (operation, role) {
                    ("grantRole", "admin") => ("ADMIN", 50),
                    ("grantRole", _) => ("ADMIN", 51),
                    (_, "admin") => ("OPERATOR", 4),
                    _ => ("ADMIN", 10),
                };
                let key = public(&keys(n));
                format!("mutation {{ {operation}(role: {given}, key: \"{key}\", {}) }}", self.factor(role))
            }
            "enrol" if role == "admin" => self.enrol().await,
            "enrol" => format!("mutation {{ enrol({}) {{ uri }} }}", self.factor(role)),
            "completeEnrolment" if role == "admin" => {
                let begun = self.data(&admin(), &self.enrol().await).await;
                let code = self.world.code(begun["enrol"]["uri"].as_str().unwrap());
                format!("mutation {{ completeEnrolment(code: \"{code}\") }}")
            }
            "completeEnrolment" => "mutation { completeEnrolment(code: \"000000\") }".into(),
            "propose" => "mutation { propose(action: { nodeCloseChannel: { channelId: \"aa\" } }) }".into(),
            other => self.of_arbitrators(other, role).await,
        }
    }

    /// The second factor that somebody shows.
    fn factor(&self, role: &str) -> String {
        match role {
            "admin" => format!("secondFactor: {{ code: \"{}\" }}", self.code()),
            _ => "secondFactor: { code: \"000000\" }".to_owned(),
        }
    }

    /// The same of what is asked of the registry.
    async fn of_arbitrators(&self, operation: &str, role: &str) -> String {
        let hash = "ab".repeat(32);
        match operation {
            "registerArbitrator" => {
                format!(
                    "mutation {{ registerArbitrator(statementHash: \"{hash}\", pay: \"a@b.example\") {{ changed }} }}"
                )
            }
            "pauseArbitrator" | "resumeArbitrator" | "withdrawArbitrator" => {
                if role.starts_with("arbitrator") {
                    disputes::register(&self.world, &key_of(role).unwrap()).await;
                }
                format!("mutation {{ {operation} {{ changed }} }}")
            }
            "admitArbitrator" => {
                let key = public(&keys(60));
                disputes::register(&self.world, &keys(60)).await;
                let statement = disputes::STATEMENT;
                let arguments = format!("arbitrator: \"{key}\", statementHash: \"{statement}\"");
                format!("mutation {{ admitArbitrator({arguments}) {{ changed }} }}")
            }
            "suspendArbitrator" => {
                disputes::admit(&self.world, &keys(61)).await;
                let key = public(&keys(61));
                format!("mutation {{ suspendArbitrator(arbitrator: \"{key}\") {{ changed }} }}")
            }
            "arbitrators" => "{ arbitrators { key } }".into(),
            "drawWeight" => {
                disputes::admit(&self.world, &keys(62)).await;
                format!("{{ drawWeight(arbitrator: \"{}\") {{ weight }} }}", public(&keys(62)))
            }
            other => self.in_dispute(other, role).await,
        }
    }

    /// The same of what is asked in a dispute, on whose panel one arbitrator sits.
    async fn in_dispute(&self, operation: &str, role: &str) -> String {
        let (world, hash) = (&self.world, "ab".repeat(32));
        let at = async |state: &str, field: &str| {
            let (id, _) = disputes::at(world, &keys(8), state).await;
            format!("mutation {{ {operation}(id: \"{id}\"{field}) {{ changed }} }}")
        };
        match operation {
            "openDispute" | "concedeWork" => at("REJECTED", "").await,
            "withdrawDispute" => at("DRAWING", "").await,
            "acceptSeat" | "refuseSeat" => at("SEATING", "").await,
            "commitVote" => at("COMMITTING", &format!(", commitment: \"{hash}\"")).await,
            "revealVote" => at("REVEALING", &format!(", toWorker: [0], salt: \"{}\"", disputes::SALT)).await,
            "appeal" | "acceptRuling" => at("RULED", "").await,
            "collectReward" => {
                let (id, dispute) = disputes::at(world, &keys(8), "DECIDED").await;
                let invoice = disputes::reward_invoice(world, &dispute);
                format!("mutation {{ collectReward(id: \"{id}\", invoice: \"{invoice}\") {{ changed }} }}")
            }
            "submitEvidence" | "shareEvidence" => {
                let (id, dispute) = disputes::at(world, &keys(8), "DRAWING").await;
                let uploader = if role == "requester" { requester() } else { worker() };
                let hash = disputes::uploaded(world, &uploader, id, &dispute).await;
                match operation {
                    "submitEvidence" => {
                        format!("mutation {{ submitEvidence(id: \"{id}\", hash: \"{hash}\", bytes: 3) {{ changed }} }}")
                    }
                    _ => {
                        let arguments = format!("id: \"{id}\", dispute: {}, hash: \"{hash}\", keys: []", dispute["id"]);
                        format!("mutation {{ shareEvidence({arguments}) }}")
                    }
                }
            }
            "eraseEvidence" => {
                let (id, dispute) = disputes::at(world, &keys(8), "WITHDRAWN").await;
                let arguments = format!("id: \"{id}\", dispute: {}, {}", dispute["id"], self.factor(role));
                format!("mutation {{ eraseEvidence({arguments}) }}")
            }
            other => panic!("{other} has no case: who may do it?"),
        }
    }

    /// The admin's new enrolment, which the other one proposed.
    async fn enrol(&self) -> String {
        let propose = format!("mutation {{ propose(action: {{ enrol: \"{}\" }}) }}", public(&admin()));
        let proposal = self.data(&bare_admin(), &propose).await["propose"].clone();
        format!("mutation {{ enrol(secondFactor: {{ confirms: {proposal} }}) {{ uri }} }}")
    }

    /// A task whose facts are in a published log.
    async fn proven(&self) -> Id<Task> {
        let id = self.task("held").await;
        tallystick_testkit::publish(&self.world.store).await;
        id
    }

    /// A query that is ready to be asked, with its variables.
    pub async fn asked(&self, operation: &str, role: &str) -> (String, Value) {
        if operation != "createTask" {
            return (self.query(operation, role).await, json!({}));
        }
        let query = "mutation($input: CreateTaskInput!) { createTask(input: $input) { changed } }";
        (query.into(), json!({ "input": self.world.input(self.world.new_id()) }))
    }

    /// `ok`, `hidden` for what is not told, or the refusal's code.
    async fn cell(&self, operation: &str, role: &str) -> String {
        let (query, variables) = self.asked(operation, role).await;
        let key = key_of(role);
        if let (Some(key), "taskUpdates") = (&key, operation) {
            let updates = self.world.client(key.clone()).subscribe(&query, json!({})).await;
            return updates.map_or_else(|error| error.code, |_| "ok".into());
        }
        let body = json!({ "query": query, "variables": variables }).to_string();
        let (_, answer) = match key {
            None => self.world.post(None, body).await,
            Some(key) => self.world.signed(&key, &body).await,
        };
        if answer.get("errors").is_some() {
            return code(&answer).to_owned();
        }
        let name = operation.rsplit('.').next().unwrap_or(operation);
        let told = [&answer["data"][name], &answer["data"]["task"][name], &answer["data"]["node"][name]];
        if told.iter().any(|value| !value.is_null()) { "ok".into() } else { "hidden".into() }
    }
}

/// The operations of the schema: the fields of its three roots, and those inside that the table of roles names.
pub fn operations() -> BTreeSet<String> {
    let sdl = tallystick_graphql::sdl();
    let mut found: BTreeSet<String> = Operation::ALL.iter().map(|operation| operation.name().to_owned()).collect();
    let before = found.clone();
    found.extend(["task.acceptance".into(), "task.bondOffer".into()]);
    for root in ["Query", "Mutation", "Subscription"] {
        let body = sdl.split(&format!("\ntype {root} {{\n")).nth(1).unwrap().split("\n}").next().unwrap();
        let mut quoted = false;
        for line in body.lines() {
            let line = line.strip_prefix('\t').unwrap_or(line);
            quoted ^= line.matches("\"\"\"").count() % 2 == 1;
            let name: String = line.chars().take_while(char::is_ascii_alphanumeric).collect();
            if !quoted && !name.is_empty() && line[name.len()..].starts_with(['(', ':']) {
                found.insert(name);
            }
        }
    }
    // What the table of roles names is in the schema.
    for name in before.iter().filter(|name| !name.contains('.')) {
        assert!(sdl.contains(&format!("\t{name}(")) || sdl.contains(&format!("\t{name}:")), "{name} is no field");
    }
    assert!(found.len() > 25, "only {found:?}: the test looks in the wrong place");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_as_every_role() {
    let mut rows = Vec::new();
    for operation in operations() {
        let stage = Stage::open().await;
        let mut cells = Vec::new();
        for role in ROLES {
            cells.push(stage.cell(&operation, role).await);
        }
        agrees_with_the_table_of_roles(&operation, &cells);
        rows.push(format!("{operation} | {}", cells.join(" | ")));
    }
    same_table(&rows, TABLE);
}

/// What the one table says is what happens.
#[track_caller]
fn agrees_with_the_table_of_roles(operation: &str, cells: &[String]) {
    let Some(row) = Operation::ALL.iter().find(|row| row.name() == operation) else { return };
    let may = |role: &str| cells[ROLES.iter().position(|name| *name == role).unwrap()] == "ok";
    match row.needs() {
        // Parties see their own task's proofs as well.
        Needs::Operator => assert!(may("operator") && !may("admin") && !may("stranger"), "{operation}: {cells:?}"),
        Needs::Admin | Needs::SecondFactor => {
            assert!(!may("operator") && !may("stranger") && !may("requester"), "{operation}: {cells:?}");
        }
    }
    if row.needs() == Needs::SecondFactor {
        assert!(!may("admin without second factor"), "{operation}: {cells:?}");
    }
}
