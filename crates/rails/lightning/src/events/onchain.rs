//! Money that comes back from closed channels.

use lightning::ln::types::ChannelId;
use lightning::sign::SpendableOutputDescriptor;

use crate::LightningError;
use crate::node::engine::Engine;

/// Outputs that are ours once they are swept. Those on a script of the wallet need no sweep.
pub(super) async fn spendable(
    engine: &Engine,
    outputs: Vec<SpendableOutputDescriptor>,
    channel: Option<ChannelId>,
) -> Result<(), LightningError> {
    let tracked = engine.sweeper.track_spendable_outputs(outputs, channel, true, None).await;
    tracked.map_err(|()| LightningError::Store("the outputs of a closed channel cannot be saved".to_owned()))
}
