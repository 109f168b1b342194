//! What blocks lead to.

use tallystick_core::{BlockHeight, Blocks, Ctx, Digest32};

use super::{Decision, progress::settle};
use crate::{
    dispute::{Dispute, Event, NodeCommand, Phase, Rejection},
    draw::{Candidates, draw},
};

pub(super) fn decide(dispute: &Dispute, command: NodeCommand, ctx: &Ctx) -> Result<Decision, Rejection> {
    match command {
        NodeCommand::RecordDraw { block_height, block_hash, candidates, registry_seq } => {
            record_draw(dispute, (block_height, block_hash), (&candidates, registry_seq), ctx)
        }
        NodeCommand::Wake => Ok(settle(dispute, Vec::new(), ctx.height)),
    }
}

fn record_draw(
    dispute: &Dispute,
    (block_height, block_hash): (BlockHeight, Digest32),
    (candidates, registry_seq): (&Candidates, u64),
    ctx: &Ctx,
) -> Result<Decision, Rejection> {
    let digest = candidates.digest();
    let drawn = dispute.panels().find(|panel| panel.draw_block() == block_height).and_then(|panel| panel.draw.as_ref());
    if let Some(before) = drawn {
        let same = (before.block_hash, before.candidates) == (block_hash, digest);
        return if same { Ok(Decision::AlreadyApplied) } else { Err(Rejection::AlreadyDrawn) };
    }
    if dispute.phase != Phase::Drawing {
        return Err(Rejection::NotDrawing { state: dispute.phase.name() });
    }
    let needed = dispute.panel.draw_block();
    if block_height != needed {
        return Err(Rejection::WrongBlock { block: block_height, needed });
    }
    if registry_seq != dispute.opening.registry_seq {
        return Err(Rejection::WrongRegistry { seq: registry_seq, needed: dispute.opening.registry_seq });
    }
    if ctx.height < dispute.draw_from() {
        return Err(Rejection::NotBuried { height: ctx.height, needed: dispute.draw_from() });
    }
    if ctx.height > dispute.draw_by() {
        return Err(Rejection::TimeOver { height: ctx.height, until: dispute.draw_by().after(Blocks(1)) });
    }
    let eligible = candidates.without(&dispute.excluded());
    let event = Event::PanelDrawn {
        round: dispute.round(),
        block_height,
        block_hash,
        registry_seq,
        candidates: digest,
        order: draw(&block_hash, dispute.opening.id, dispute.round(), &eligible, dispute.panel.seats),
        at: ctx.height,
        until: ctx.height.after(dispute.opening.plan.seat_blocks),
    };
    Ok(settle(dispute, vec![event], ctx.height))
}
