//! Who may do what with the node itself: roles, second factors, and what waits for a second admin.

use async_graphql::{Context, Enum, InputObject, Object, OneofObject, SimpleObject};
use tallystick_app::{
    erase::erasure_of,
    port::{
        evidence::Matter,
        request::{Code, FactorSaid},
    },
    vault,
};
use tallystick_civics::roles::{self, Action, Operation};
use tallystick_core::Id;
use tallystick_escrow as escrow;

use super::{
    Result, app, may,
    scalar::{Hex32, Msat, NostrKey, Timestamp, Uuid},
    session, signed,
};
use crate::error::Failure;

/// What the name of an erased task's stream begins with.
const TASKS: &str = "escrow/";

/// A role that is granted and withdrawn. Users need none.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "roles::Role")]
pub(crate) enum NodeRole {
    /// Sees the node, and runs it from day to day.
    Operator,
    /// Says who has which role, and does what cannot be undone.
    Admin,
}

/// What an admin shows besides the signature.
#[derive(OneofObject)]
pub(crate) enum SecondFactor {
    /// The six digits that your authenticator shows now. Each code counts once.
    Code(String),
    /// The number of another admin's proposal of the very same.
    Confirms(u64),
}

impl SecondFactor {
    pub fn said(given: Option<Self>) -> FactorSaid {
        match given {
            None => FactorSaid::Nothing,
            Some(Self::Code(code)) => FactorSaid::Code(Code(code)),
            Some(Self::Confirms(proposal)) => FactorSaid::Confirms(proposal),
        }
    }
}

/// A role and who is to have it, or not.
#[derive(InputObject)]
pub(crate) struct RoleInput {
    /// Which role.
    role: NodeRole,
    /// Whose.
    key: NostrKey,
}

/// A payment out of the node.
#[derive(InputObject)]
pub(crate) struct PayInput {
    /// The invoice (BOLT 11).
    invoice: String,
    /// The most that routing may cost.
    fee_limit_msat: Msat,
}

/// A channel to be closed.
#[derive(InputObject)]
pub(crate) struct CloseChannelInput {
    /// The channel's id, 64 hexadecimal digits.
    channel_id: String,
    /// Alone, without the peer.
    #[graphql(default)]
    force: bool,
}

/// Evidence to be erased.
#[derive(InputObject)]
pub(crate) struct EvidenceInput {
    /// The task.
    id: Uuid,
    /// Its dispute.
    dispute: Uuid,
}

/// What needs an admin and a second factor: each is a mutation of the same name.
#[derive(OneofObject)]
pub(crate) enum AdminActionInput {
    /// Give somebody a role.
    GrantRole(RoleInput),
    /// Take a role from somebody.
    WithdrawRole(RoleInput),
    /// Let this admin begin an enrolment.
    Enrol(NostrKey),
    /// Pay out of the node.
    NodePay(PayInput),
    /// Close a channel.
    NodeCloseChannel(CloseChannelInput),
    /// Erase this task's contents.
    EraseTask(Uuid),
    /// Erase the evidence of a dispute.
    EraseEvidence(EvidenceInput),
}

impl From<AdminActionInput> for Action {
    fn from(input: AdminActionInput) -> Self {
        use AdminActionInput as I;
        match input {
            I::GrantRole(RoleInput { role, key }) => Self::GrantRole { role: role.into(), key: key.0 },
            I::WithdrawRole(RoleInput { role, key }) => Self::WithdrawRole { role: role.into(), key: key.0 },
            I::Enrol(admin) => Self::Enrol { admin: admin.0 },
            I::NodePay(PayInput { invoice, fee_limit_msat }) => pay(&invoice, fee_limit_msat),
            I::NodeCloseChannel(CloseChannelInput { channel_id, force }) => close_channel(&channel_id, force),
            I::EraseTask(id) => erasure_of(id.0),
            I::EraseEvidence(EvidenceInput { id, dispute }) => {
                vault::erasure_of(Matter { task: id.0, dispute: dispute.of() })
            }
        }
    }
}

/// What an admin does who pays.
pub(crate) fn pay(invoice: &str, fee_limit: Msat) -> Action {
    Action::Pay { invoice: invoice.to_owned(), fee_limit: fee_limit.0 }
}

/// What an admin does who closes a channel.
pub(crate) fn close_channel(channel_id: &str, force: bool) -> Action {
    Action::CloseChannel { channel_id: channel_id.to_owned(), force }
}

/// Who has which role.
#[derive(SimpleObject)]
pub(crate) struct NodeRoles {
    /// The admins.
    admins: Vec<AdminView>,
    /// The operators.
    operators: Vec<NostrKey>,
}

/// An admin.
#[derive(SimpleObject)]
#[graphql(name = "Admin")]
pub(crate) struct AdminView {
    /// Who.
    key: NostrKey,
    /// Whether an authenticator of his counts.
    has_authenticator: bool,
    /// Wrong codes since the last right one.
    wrong_codes: u32,
}

/// What waits for a second admin.
#[derive(SimpleObject)]
pub(crate) struct Proposal {
    /// What the second admin names in `secondFactor: { confirms: … }`.
    number: u64,
    /// Who proposed it.
    by: NostrKey,
    /// When.
    at: Timestamp,
    /// Until when it can be done.
    until: Timestamp,
    /// What is proposed.
    action: AdminAction,
}

/// What is proposed: the mutation's name, and those of its arguments that it has.
#[derive(Default, SimpleObject)]
pub(crate) struct AdminAction {
    /// The mutation that does it.
    operation: &'static str,
    /// A short name for exactly this: SHA-256 over its canonical bytes.
    digest: Option<Hex32>,
    /// Which role.
    role: Option<NodeRole>,
    /// Whose role, or who enrols.
    key: Option<NostrKey>,
    /// The invoice to be paid.
    invoice: Option<String>,
    /// The most that routing may cost.
    fee_limit_msat: Option<Msat>,
    /// The channel to be closed.
    channel_id: Option<String>,
    /// Whether it is closed without the peer.
    force: Option<bool>,
    /// The task that is erased, or whose evidence is.
    id: Option<Uuid>,
    /// The dispute whose evidence is erased.
    dispute: Option<Uuid>,
}

impl From<&Action> for AdminAction {
    fn from(action: &Action) -> Self {
        let (operation, digest) = (action.operation().name(), Some(Hex32(action.digest())));
        let base = Self { operation, digest, ..Self::default() };
        match action.clone() {
            Action::GrantRole { role, key } | Action::WithdrawRole { role, key } => {
                Self { role: Some(role.into()), key: Some(NostrKey(key)), ..base }
            }
            Action::Enrol { admin } => Self { key: Some(NostrKey(admin)), ..base },
            Action::Pay { invoice, fee_limit } => {
                Self { invoice: Some(invoice), fee_limit_msat: Some(Msat(fee_limit)), ..base }
            }
            Action::CloseChannel { channel_id, force } => {
                Self { channel_id: Some(channel_id), force: Some(force), ..base }
            }
            Action::Erase { stream } => Self { id: task_of(&stream).map(Uuid), ..base },
            Action::EraseEvidence { stream, dispute } => {
                Self { id: task_of(&stream).map(Uuid), dispute: Some(Uuid::about(dispute)), ..base }
            }
        }
    }
}

fn task_of(stream: &str) -> Option<Id<escrow::Task>> {
    stream.strip_prefix(TASKS)?.parse().ok()
}

/// An enrolment that was begun.
#[derive(SimpleObject)]
pub(crate) struct Enrolment {
    /// What your authenticator reads (`otpauth:`), as a picture or by hand. It is a secret, and shown this once; the enrolment
    /// counts once you showed its first code.
    uri: String,
}

/// Who has which role, for admins.
pub(super) async fn view(ctx: &Context<'_>) -> Result<NodeRoles> {
    may(ctx, Operation::Roles).await?;
    let roles = app(ctx).roles().await.map_err(Failure::from)?;
    let admin = |(key, admin): (&tallystick_core::NostrKey, &roles::Admin)| AdminView {
        key: NostrKey(*key),
        has_authenticator: admin.enrolment.is_some_and(|enrolment| enrolment.complete),
        wrong_codes: admin.enrolment.map_or(0, |enrolment| enrolment.wrong),
    };
    Ok(NodeRoles {
        admins: roles.admins.iter().map(admin).collect(),
        operators: roles.operators.iter().copied().map(NostrKey).collect(),
    })
}

/// What waits for a second admin, for admins.
pub(super) async fn waiting(ctx: &Context<'_>) -> Result<Vec<Proposal>> {
    may(ctx, Operation::Proposals).await?;
    let roles = app(ctx).roles().await.map_err(Failure::from)?;
    let now = app(ctx).clock().now();
    let waiting = roles.proposals.iter().filter(|(_, waiting)| waiting.until >= now);
    let shown = waiting.map(|(number, waiting)| Proposal {
        number: *number,
        by: NostrKey(waiting.by),
        at: Timestamp(waiting.at),
        until: Timestamp(waiting.until),
        action: (&waiting.action).into(),
    });
    Ok(shown.collect())
}

#[derive(Default)]
pub(crate) struct RolesMutation;

#[Object]
impl RolesMutation {
    /// Gives somebody a role; admins with a second factor only. False if he has it already.
    async fn grant_role(
        &self,
        ctx: &Context<'_>,
        role: NodeRole,
        key: NostrKey,
        second_factor: Option<SecondFactor>,
    ) -> Result<bool> {
        act(ctx, Action::GrantRole { role: role.into(), key: key.0 }, second_factor).await
    }

    /// Takes a role from somebody, at once; admins with a second factor only. False if he does not have it.
    async fn withdraw_role(
        &self,
        ctx: &Context<'_>,
        role: NodeRole,
        key: NostrKey,
        second_factor: Option<SecondFactor>,
    ) -> Result<bool> {
        act(ctx, Action::WithdrawRole { role: role.into(), key: key.0 }, second_factor).await
    }

    /// Begins your enrolment as an admin, in place of the authenticator that you have: another admin proposes it, and you
    /// confirm that. The node's only admin begins alone the first time, and with a code afterwards.
    async fn enrol(&self, ctx: &Context<'_>, second_factor: Option<SecondFactor>) -> Result<Enrolment> {
        let said = SecondFactor::said(second_factor);
        let authenticator = app(ctx).enrol(&said, signed(ctx)?).await.map_err(Failure::from)?;
        Ok(Enrolment { uri: authenticator.uri(session(ctx).viewer).to_string() })
    }

    /// Ends your enrolment with the first code that your authenticator shows.
    async fn complete_enrolment(&self, ctx: &Context<'_>, code: String) -> Result<bool> {
        app(ctx).complete_enrolment(Code(code), signed(ctx)?).await.map_err(Failure::from)?;
        Ok(true)
    }

    /// Proposes to the other admins what needs two, for a day; admins only. Answers the number by which one of them does it,
    /// null if it is so already.
    async fn propose(&self, ctx: &Context<'_>, action: AdminActionInput) -> Result<Option<u64>> {
        Ok(app(ctx).propose(action.into(), signed(ctx)?).await.map_err(Failure::from)?)
    }
}

async fn act(ctx: &Context<'_>, action: Action, factor: Option<SecondFactor>) -> Result<bool> {
    Ok(app(ctx).act(action, &SecondFactor::said(factor), signed(ctx)?).await.map_err(Failure::from)?)
}
