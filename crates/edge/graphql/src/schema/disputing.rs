//! What parties and arbitrators do in a dispute.

use async_graphql::{Context, InputObject, Object};
use tallystick_app::port::evidence::{Matter, WrappedKey};
use tallystick_civics::dispute::{Award, PARTS_MAX, UserCommand as InDispute};
use tallystick_escrow::UserCommand;

use super::{
    Result, app,
    dispute::Dispute,
    mutation::{TaskPayload, ask, payload},
    scalar::{Hex32, NostrKey, Uuid},
    services, session, signed,
    standing::TaskRole,
};
use crate::error::{EdgeError, Failure};

/// The key of a piece of evidence, encrypted to one reader.
#[derive(InputObject)]
pub(crate) struct WrappedKeyInput {
    /// Who can read it.
    reader: NostrKey,
    /// The NIP-44 payload: the key as 64 hexadecimal digits, encrypted by whoever filed the piece.
    key: String,
}

#[derive(Default)]
pub(crate) struct DisputeMutation;

#[Object]
impl DisputeMutation {
    /// Gives up what is undecided of a milestone; the worker's to do. The requester gets it back.
    async fn concede_work(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
    ) -> Result<TaskPayload> {
        let milestone = milestone.unwrap_or_default();
        ask(ctx, id.0, UserCommand::ConcedeWork { milestone }).await
    }

    /// Has a panel of arbitrators decide about what is undecided of a milestone; for its requester and worker.
    async fn open_dispute(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
    ) -> Result<TaskPayload> {
        let answer = app(ctx).open_dispute(id.0, milestone.unwrap_or_default(), signed(ctx)?).await;
        payload(ctx, answer)
    }

    /// Gives up a dispute that you opened, while nobody has voted.
    async fn withdraw_dispute(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
    ) -> Result<TaskPayload> {
        dispute(ctx, id, milestone, InDispute::Withdraw).await
    }

    /// Shows something to the panel: encrypt it, upload it with `PUT /evidence/<task>/<dispute>/<hash>`, then submit it.
    async fn submit_evidence(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
        #[graphql(desc = "SHA-256 of the encrypted bytes.")] hash: Hex32,
        #[graphql(desc = "How many they are.")] bytes: u64,
    ) -> Result<TaskPayload> {
        let position = milestone.unwrap_or_default();
        let vault = &services(ctx).vault;
        let matter = vault.matter(id.0, position).await.map_err(Failure::from)?;
        vault.begin_filing(session(ctx).viewer, matter, hash.0, bytes).await.map_err(Failure::from)?;
        dispute(ctx, id, milestone, InDispute::FileEvidence { hash: hash.0, bytes }).await
    }

    /// Gives the key of evidence that you filed to more of its readers, such as the arbitrators of a panel that was seated
    /// since. Answers true.
    async fn share_evidence(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The dispute.")] dispute: Uuid,
        #[graphql(desc = "SHA-256 of the encrypted bytes.")] hash: Hex32,
        #[graphql(desc = "The key, encrypted to each reader.")] keys: Vec<WrappedKeyInput>,
    ) -> Result<bool> {
        let request = signed(ctx)?;
        app(ctx).admit(&request).await.map_err(Failure::from)?;
        let matter = Matter { task: id.0, dispute: dispute.of() };
        let keys = keys.into_iter().map(|key| WrappedKey { reader: key.reader.0, wrapped: key.key }).collect();
        services(ctx).vault.share(request.author, matter, hash.0, keys).await.map_err(Failure::from)?;
        Ok(true)
    }

    /// Takes the seat on a panel that you were drawn for.
    async fn accept_seat(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
    ) -> Result<TaskPayload> {
        dispute(ctx, id, milestone, InDispute::AcceptSeat).await
    }

    /// Leaves the seat to the next of the draw.
    async fn refuse_seat(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
    ) -> Result<TaskPayload> {
        dispute(ctx, id, milestone, InDispute::RefuseSeat).await
    }

    /// Votes, without showing how.
    async fn commit_vote(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
        #[graphql(desc = "What hides the vote: docs/guide/arbitrators.md tells how it is made.")] commitment: Hex32,
    ) -> Result<TaskPayload> {
        dispute(ctx, id, milestone, InDispute::CommitVote { commitment: commitment.0 }).await
    }

    /// Shows the vote.
    #[expect(clippy::too_many_arguments, reason = "the arguments of a GraphQL field are those of its function")]
    async fn reveal_vote(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
        #[graphql(
            desc = "The disputed tranches that are to be paid out: positions in the dispute's `tranches`, from 0."
        )]
        to_worker: Vec<u32>,
        #[graphql(
            desc = "Whose bonds it takes: the requester's if its part is among `toWorker`, the worker's if it is not. A vote that \
                takes a bond without naming it, or names one that it does not take, is refused."
        )]
        take_bonds: Option<Vec<TaskRole>>,
        #[graphql(desc = "The salt of its commitment.")] salt: Hex32,
    ) -> Result<TaskPayload> {
        let award = award_of(&to_worker).ok_or(EdgeError::BadAward).map_err(Failure::from)?;
        names_bonds(ctx, id, milestone, award, &take_bonds.unwrap_or_default()).await?;
        dispute(ctx, id, milestone, InDispute::RevealVote { award, salt: salt.0.0 }).await
    }

    /// Asks for a larger panel; for requester and worker, once in a dispute.
    async fn appeal(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
    ) -> Result<TaskPayload> {
        dispute(ctx, id, milestone, InDispute::Appeal).await
    }

    /// Accepts a ruling. Once both sides did, it stands without waiting.
    async fn accept_ruling(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
    ) -> Result<TaskPayload> {
        dispute(ctx, id, milestone, InDispute::AcceptRuling).await
    }

    /// Has you paid for a vote that you have shown, once the dispute is over.
    async fn collect_reward(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
        #[graphql(desc = "An invoice (BOLT 11) of your own over the dispute's `rewardMsat`.")] invoice: String,
    ) -> Result<TaskPayload> {
        let answer = app(ctx).collect_reward(id.0, milestone.unwrap_or_default(), invoice, signed(ctx)?).await;
        payload(ctx, answer)
    }
}

async fn dispute(ctx: &Context<'_>, id: Uuid, milestone: Option<u32>, command: InDispute) -> Result<TaskPayload> {
    ask(ctx, id.0, UserCommand::Dispute { milestone: milestone.unwrap_or_default(), command }).await
}

/// Refuses a vote that takes other bonds than it names: a part that was forgotten takes none.
async fn names_bonds(
    ctx: &Context<'_>,
    id: Uuid,
    milestone: Option<u32>,
    award: Award,
    named: &[TaskRole],
) -> Result<()> {
    let task = app(ctx).task(id.0).await.map_err(Failure::from)?;
    let at = usize::try_from(milestone.unwrap_or_default()).unwrap_or(usize::MAX);
    // Who names no dispute is refused elsewhere.
    let Some(task) = task else { return Ok(()) };
    let Some(view) = task.milestones.get(at).and_then(|part| part.dispute.as_ref()) else { return Ok(()) };
    let taken = Dispute { task: &task, view, height: app(ctx).height() }.award(award.mask())?.bonds_taken;
    let is_named = taken.iter().all(|bond| named.contains(bond)) && named.iter().all(|bond| taken.contains(bond));
    if is_named { Ok(()) } else { Err(Failure::from(EdgeError::BondsUnnamed).into()) }
}

/// The award with these parts. Nothing if one is there twice, or can be none.
pub(crate) fn award_of(parts: &[u32]) -> Option<Award> {
    parts.iter().try_fold(Award::NOTHING, |award, part| {
        let bit = 1u64.checked_shl(*part).filter(|_| usize::try_from(*part).is_ok_and(|part| part < PARTS_MAX))?;
        (award.mask() & bit == 0).then(|| Award::new(award.mask() | bit))
    })
}
