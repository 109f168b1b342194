//! One of the requesters: posts tasks, cancels some, and believes no reply.

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tallystick_app::{SystemClock, clock::Clock, mint_id};
use tallystick_core::Id;
use tallystick_escrow::Task;
use tallystick_graphql::client::ClientError;

use super::{
    Violation,
    ledger::Step,
    numbers::add,
    run::{Run, Stop},
};
use crate::{
    ask::{Api, check_terms, documents},
    demo::task_input,
};

/// For how long a request is repeated that the node has no room for, or whose answer was lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first pause before that, and the longest.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// One task of so many is cancelled at once.
const CANCELLED: u64 = 4;
/// Of the others each requester lets so many stay open, and cancels all that follow: a new key may have ten open at a node
/// that limits them, and the one that closes the run is among them.
const OPEN_MAX: u32 = 8;
/// One of so many is posted a second time, and one by a signed request that is sent twice.
const REPEATED: u64 = 16;
/// One of so many is cancelled a second time; it is one that was cancelled.
const CANCELLED_TWICE: u64 = 16;
/// Small enough that what stays open is within what a new key may have open.
const PAYOUT_SAT: u64 = 5_000;

/// Errors that say nothing about the node's promises: it may be asked again.
const PASSING: [&str; 12] = [
    "app.busy",
    "app.pending",
    "app.starting",
    "auth.before_start",
    "client.answer",
    "client.unreachable",
    "lightning.unavailable",
    "request.busy",
    "request.timeout",
    "request.too_many",
    "request.too_often",
    "store.unavailable",
];

/// A requester with a key of its own.
#[derive(Clone)]
pub(super) struct Requester {
    pub api: Api,
    pub number: usize,
    pub run: Arc<Run>,
}

/// A mutation that is about to be sent.
struct Ask {
    name: &'static str,
    document: String,
    variables: Value,
}

/// Its answer, and whether an earlier try may have been heard too.
struct Answer {
    payload: Value,
    heard_before: bool,
}

impl Requester {
    /// Posts tasks until told to stop, or there are enough.
    ///
    /// # Errors
    /// The first [`Violation`], or what the node refuses for good.
    pub async fn work(self, stop: Stop) -> Result<()> {
        let mut open = 0;
        while let Some(number) = self.run.next(&stop) {
            let stays = number % CANCELLED != 1 && open < OPEN_MAX;
            open += u32::from(stays);
            self.task(number, stays, &stop).await?;
        }
        Ok(())
    }

    /// Posts the task that comes after all others: when the log holds it, it holds whatever they changed.
    ///
    /// # Errors
    /// As [`work`](Self::work).
    pub async fn close(&self) -> Result<()> {
        let id = self.mint()?;
        self.post(id, 1, &Stop::never()).await.map(|_| ())
    }

    async fn task(&self, number: u64, stays: bool, stop: &Stop) -> Result<()> {
        let id = self.mint()?;
        let Some(create) = self.post(id, number, stop).await? else { return Ok(()) };
        if number.is_multiple_of(REPEATED) {
            self.repeat(id, &create).await?;
        }
        if stays {
            return Ok(());
        }
        let document = documents::task_mutation("cancelTask", "$id: UUID!", "id: $id");
        let cancel = Ask { name: "cancelTask", document, variables: json!({ "id": id }) };
        let Some(answer) = self.ask(&cancel, false, stop).await? else { return Ok(()) };
        check(id, &answer, "CANCELLED")?;
        self.run.ledger.acknowledge(id, Step::Cancelled);
        if number % CANCELLED_TWICE == 1 {
            self.repeat(id, &cancel).await?;
        }
        Ok(())
    }

    fn mint(&self) -> Result<Id<Task>> {
        let id = mint_id::<Task>(SystemClock.now()).map_err(|error| anyhow!("{error}"))?;
        self.run.ledger.ask(id, self.number);
        Ok(id)
    }

    /// Posts a task; answers how, or nothing if it was told to stop before there was an answer.
    async fn post(&self, id: Id<Task>, number: u64, stop: &Stop) -> Result<Option<Ask>> {
        let payouts = vec![PAYOUT_SAT + number % 1_000; if number % 8 == 3 { 3 } else { 1 }];
        let mut input = task_input(&format!("Load {number}"), &payouts, "REFUND", None)?;
        input["id"] = json!(id);
        let document = format!(
            "mutation($input: CreateTaskInput!) {{ createTask(input: $input) \
             {{ changed task {{ ...T posting {{ event body }} }} }} }}\n{}",
            documents::TASK
        );
        let create = Ask { name: "createTask", document, variables: json!({ "input": input }) };
        let signed_once = number % REPEATED == REPEATED / 2;
        let answer = match signed_once {
            true => self.send_twice(id, &create, stop).await?,
            false => self.ask(&create, false, stop).await?,
        };
        let Some(answer) = answer else { return Ok(None) };
        check(id, &answer, "OPEN")?;
        self.check_posted(id, &answer.payload["task"], &input)?;
        self.run.ledger.acknowledge(id, Step::Created);
        Ok(Some(create))
    }

    /// Whether the task is shown with the terms that were asked for, and with our own signature under them.
    fn check_posted(&self, task: Id<Task>, shown: &Value, input: &Value) -> Result<(), Violation> {
        let wrong = |why: String| Violation::Reply { task, why };
        let posting = check_terms(shown, task).map_err(|error| wrong(format!("{error:#}")))?;
        if posting.requester != self.api.client().author() {
            return Err(wrong("somebody else has signed it".into()));
        }
        let body = shown["posting"]["body"].as_str().and_then(|body| serde_json::from_str::<Value>(body).ok());
        match body {
            Some(body) if body["variables"]["input"] == *input => Ok(()),
            _ => Err(wrong("it was posted with other terms".into())),
        }
    }

    /// Sends a signed request twice. The first answer counts; the second must be none, or say that nothing changed.
    async fn send_twice(&self, task: Id<Task>, ask: &Ask, stop: &Stop) -> Result<Option<Answer>> {
        let start = Instant::now();
        let [first, second] = self.api.client().query_twice(&ask.document, ask.variables.clone()).await?;
        match first {
            Ok(mut data) => {
                // Two requests, one after the other.
                self.run.numbers.answered(start.elapsed() / 2);
                self.check_repeated(task, ask, second)?;
                Ok(Some(Answer { payload: data[ask.name].take(), heard_before: false }))
            }
            Err(error) if is_passing(&error) => {
                self.run.numbers.refused(&error.code);
                self.ask(ask, true, stop).await
            }
            Err(error) => Err(error).context("the node refuses what it should take"),
        }
    }

    /// Asks the same again, signed anew: it must be refused, or change nothing.
    async fn repeat(&self, task: Id<Task>, ask: &Ask) -> Result<()> {
        let again = self.api.client().query(&ask.document, ask.variables.clone()).await;
        Ok(self.check_repeated(task, ask, again)?)
    }

    /// A second answer: a refusal, or that nothing changed. One that was not heard at all does not count.
    fn check_repeated(&self, task: Id<Task>, ask: &Ask, again: Result<Value, ClientError>) -> Result<(), Violation> {
        if again.as_ref().is_err_and(is_passing) {
            return Ok(());
        }
        add(&self.run.numbers.repeats, 1);
        let Ok(data) = again else { return Ok(()) };
        if data[ask.name]["changed"] != false {
            return Err(Violation::Twice { task, what: ask.name });
        }
        check_id(task, &data[ask.name]["task"])
    }

    /// Asks until there is an answer. Nothing if it was told to stop before.
    async fn ask(&self, ask: &Ask, mut heard_before: bool, stop: &Stop) -> Result<Option<Answer>> {
        let (since, mut pause) = (Instant::now(), PAUSE);
        loop {
            let start = Instant::now();
            match self.api.client().query(&ask.document, ask.variables.clone()).await {
                Ok(mut data) => {
                    self.run.numbers.answered(start.elapsed());
                    return Ok(Some(Answer { payload: data[ask.name].take(), heard_before }));
                }
                Err(error) if is_passing(&error) && since.elapsed() < PATIENCE => {
                    self.run.numbers.refused(&error.code);
                    heard_before = true;
                }
                Err(error) => return Err(error).context("the node refuses what it should take"),
            }
            if stop.told() {
                return Ok(None);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Asks a question until there is an answer.
///
/// # Errors
/// What the node refuses for good, or for too long.
pub(super) async fn patiently(run: &Run, ask: impl AsyncFn() -> Result<Value>) -> Result<Value> {
    let (since, mut pause) = (Instant::now(), PAUSE);
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => match error.downcast_ref::<ClientError>() {
                Some(passing) if is_passing(passing) && since.elapsed() < PATIENCE => {
                    run.numbers.refused(&passing.code)
                }
                _ => return Err(error),
            },
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn is_passing(error: &ClientError) -> bool {
    PASSING.contains(&error.code.as_str())
}

fn check(task: Id<Task>, answer: &Answer, state: &str) -> Result<(), Violation> {
    let wrong = |why: String| Violation::Reply { task, why };
    let shown = &answer.payload["task"];
    check_id(task, shown)?;
    if answer.payload["changed"] != true && !answer.heard_before {
        return Err(wrong("it says that nothing changed".into()));
    }
    // A try whose answer was lost may be long ago, and somebody may have taken the task since.
    if shown["state"] != state && !answer.heard_before {
        return Err(wrong(format!("it is {}, not {state}", shown["state"])));
    }
    Ok(())
}

fn check_id(task: Id<Task>, shown: &Value) -> Result<(), Violation> {
    if shown["id"] == json!(task) {
        return Ok(());
    }
    Err(Violation::Reply { task, why: format!("it is about task {}", shown["id"]) })
}
