//! The one table of what needs which role. The API asks it, its tests try every row, and `docs/roles.md` shows it.

/// What an operation asks of whoever asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// An operator's key.
    Operator,
    /// An admin's key.
    Admin,
    /// An admin's key, and a second factor: a code of the admin's authenticator, or another admin.
    SecondFactor,
}

impl Needs {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::SecondFactor => "admin and second factor",
        }
    }
}

/// What can be asked of the node itself. What is asked of a task is the parties' alone, and told by the task's own rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// See the node's money.
    Balances,
    /// See the node's channels.
    Channels,
    /// See the node's payments.
    Payments,
    /// See what proves a task, for who is no party of it.
    Proofs,
    /// See what looks odd.
    Anomalies,
    /// Make an address of the node's wallet.
    NewAddress,
    /// Connect to a peer.
    Connect,
    /// Open a channel.
    OpenChannel,
    /// Make an invoice.
    Invoice,
    /// Let an arbitrator be drawn.
    AdmitArbitrator,
    /// Let an arbitrator not be drawn any more.
    SuspendArbitrator,
    /// See who has which role.
    Roles,
    /// See what waits for a second admin.
    Proposals,
    /// Propose to another admin what needs two.
    Propose,
    /// Show the first right code of an authenticator.
    CompleteEnrolment,
    /// Get a second factor, or a new one.
    Enrol,
    /// Give somebody a role.
    GrantRole,
    /// Take a role from somebody.
    WithdrawRole,
    /// Pay out of the node.
    Pay,
    /// Close a channel.
    CloseChannel,
    /// Erase a task's contents.
    EraseTask,
    /// Erase what was filed in a dispute that is over, before its time.
    EraseEvidence,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::Balances,
        Self::Channels,
        Self::Payments,
        Self::Proofs,
        Self::Anomalies,
        Self::NewAddress,
        Self::Connect,
        Self::OpenChannel,
        Self::Invoice,
        Self::AdmitArbitrator,
        Self::SuspendArbitrator,
        Self::Roles,
        Self::Proposals,
        Self::Propose,
        Self::CompleteEnrolment,
        Self::Enrol,
        Self::GrantRole,
        Self::WithdrawRole,
        Self::Pay,
        Self::CloseChannel,
        Self::EraseTask,
        Self::EraseEvidence,
    ];

    /// What it is called, in the API as well.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// What it needs.
    pub const fn needs(self) -> Needs {
        self.row().1
    }

    const fn row(self) -> (&'static str, Needs) {
        match self {
            Self::Balances => ("node.balances", Needs::Operator),
            Self::Channels => ("node.channels", Needs::Operator),
            Self::Payments => ("node.payments", Needs::Operator),
            Self::Proofs => ("task.proofs", Needs::Operator),
            Self::Anomalies => ("anomalies", Needs::Operator),
            Self::NewAddress => ("nodeNewAddress", Needs::Operator),
            Self::Connect => ("nodeConnect", Needs::Operator),
            Self::OpenChannel => ("nodeOpenChannel", Needs::Operator),
            Self::Invoice => ("nodeInvoice", Needs::Operator),
            Self::AdmitArbitrator => ("admitArbitrator", Needs::Operator),
            Self::SuspendArbitrator => ("suspendArbitrator", Needs::Operator),
            Self::Roles => ("roles", Needs::Admin),
            Self::Proposals => ("proposals", Needs::Admin),
            Self::Propose => ("propose", Needs::Admin),
            Self::CompleteEnrolment => ("completeEnrolment", Needs::Admin),
            Self::Enrol => ("enrol", Needs::SecondFactor),
            Self::GrantRole => ("grantRole", Needs::SecondFactor),
            Self::WithdrawRole => ("withdrawRole", Needs::SecondFactor),
            Self::Pay => ("nodePay", Needs::SecondFactor),
            Self::CloseChannel => ("nodeCloseChannel", Needs::SecondFactor),
            Self::EraseTask => ("eraseTask", Needs::SecondFactor),
            Self::EraseEvidence => ("eraseEvidence", Needs::SecondFactor),
        }
    }
}
