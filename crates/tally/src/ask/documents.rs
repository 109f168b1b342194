//! The GraphQL documents that the client sends.

/// What is shown of a task.
pub const TASK: &str = "fragment T on Task {
  id state reason title descriptionHash requester worker createdAt reviewWindowSecs onSilence renewal panel
  invoiceExpiryNeeded holdBlocks finalCltvDelta fundUntil expiresAt secondsToExpire height
  bonds { of promisedBy returnBy blocksLeft secondsLeft then hold { ...H } }
  milestones {
    title state workDeadline workHash reasonHash reviewUntil submitBy renewBy decideBy blocksToDecide secondsToDecide
    atDeadline refundAt disputeBy dispute { id state openedBy then until blocksLeft secondsLeft round ruling { toWorker workerSat requesterSat bondsTaken } }
    tranches { ...H }
  }
}
fragment H on Tranche {
  payoutSat feeSat holdSat state reason paymentHash payoutInvoice fundingInvoice claimDeadline attempts routingFeeMsat
  renewals renewal { paymentHash payoutInvoice fundingInvoice fundUntil }
}";

/// A mutation of a task, by its name, its variables and its arguments.
pub fn task_mutation(name: &str, variables: &str, arguments: &str) -> String {
    format!("mutation({variables}) {{ {name}({arguments}) {{ changed task {{ ...T }} }} }}\n{TASK}")
}

/// One task.
pub fn task() -> String {
    format!("query($id: UUID!) {{ task(id: $id) {{ ...T }} }}\n{TASK}")
}

/// What the parties signed: the requests that posted and took a task.
pub const EVIDENCE: &str = "query($id: UUID!) { task(id: $id) { posting { event body } acceptance { event body } } }";

/// What the requester signed of the worker's bond: the request with an invoice of its own.
pub const BOND_OFFER: &str = "query($id: UUID!) { task(id: $id) { bondOffer { event body } } }";

/// What the worker signed to renew each milestone's holds.
pub const RENEWALS: &str = "query($id: UUID!) { task(id: $id) { milestones { renewalOffer { event body } } } }";

/// What proves a task's facts.
pub const PROOFS: &str = "query($id: UUID!) { task(id: $id) { proofs { seq kind bundle } } }";

/// What is shown of a dispute.
const DISPUTE: &str = "fragment D on Dispute {
  id state openedBy tranches partsSat parts ruleBy until blocksLeft secondsLeft then round seats drawBlock rewardMsat
  ruling { toWorker workerSat requesterSat bondsTaken } readers
  panel { arbitrator round state commitment vote { toWorker workerSat requesterSat bondsTaken } reward }
  evidence { hash bytes by kept key withoutKey }
}";

/// The disputes of a task.
pub fn dispute() -> String {
    format!("query($id: UUID!) {{ task(id: $id) {{ id milestones {{ dispute {{ ...D }} }} }} }}\n{DISPUTE}")
}

/// The same as they change.
pub fn dispute_updates() -> String {
    format!(
        "subscription($id: UUID!) {{ taskUpdates(id: $id) {{ id milestones {{ dispute {{ ...D }} }} }} }}\n{DISPUTE}"
    )
}

/// A page of tasks with disputes that go on.
pub fn disputes() -> String {
    "query($after: String) { tasks(filter: { states: [DISPUTED] }, first: 50, after: $after) { nodes { id milestones { \
        dispute { id state until secondsLeft round rewardMsat panel { arbitrator round state } } } } \
        pageInfo { hasNextPage endCursor } } }"
        .to_owned()
}

/// The draws of a task's disputes.
pub const DRAWS: &str = "query($id: UUID!) { task(id: $id) { milestones { dispute { draws { dispute round block blockHash \
    registrySeq candidatesDigest candidates { arbitrator weight } excluded seats order } } } } }";

/// A page of tasks.
pub fn tasks() -> String {
    format!(
        "query($filter: TaskFilter, $first: Int!, $after: String) {{ tasks(filter: $filter, first: $first, after: $after) \
         {{ nodes {{ ...T }} pageInfo {{ hasNextPage endCursor }} }} }}\n{TASK}"
    )
}

/// Changes of one task, or of all.
pub fn task_updates() -> String {
    format!("subscription($id: UUID) {{ taskUpdates(id: $id) {{ ...T }} }}\n{TASK}")
}
