//! The GraphQL documents that the client sends.

/// What is shown of a task.
pub const TASK: &str = "fragment T on Task {
  id state reason title descriptionHash requester worker createdAt reviewWindowSecs onSilence renewal
  invoiceExpiryNeeded holdBlocks finalCltvDelta fundUntil height
  milestones {
    title state workDeadline workHash reasonHash reviewUntil submitBy renewBy decideBy blocksToDecide secondsToDecide
    atDeadline
    tranches {
      payoutSat feeSat holdSat state reason paymentHash payoutInvoice fundingInvoice claimDeadline attempts routingFeeMsat
      renewals renewal { paymentHash payoutInvoice fundingInvoice fundUntil }
    }
  }
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

/// What the worker signed to renew each milestone's holds.
pub const RENEWALS: &str = "query($id: UUID!) { task(id: $id) { milestones { renewalOffer { event body } } } }";

/// What proves a task's facts.
pub const PROOFS: &str = "query($id: UUID!) { task(id: $id) { proofs { seq kind bundle } } }";

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
