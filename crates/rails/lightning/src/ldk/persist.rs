//! LDK's hook for monitors: everything is queued, nothing is acknowledged here.

use std::sync::Arc;

use lightning::chain::ChannelMonitorUpdateStatus;
use lightning::chain::chainmonitor::Persist;
use lightning::chain::channelmonitor::ChannelMonitorUpdate;
use lightning::ln::types::ChannelId;
use lightning::sign::InMemorySigner;
use lightning::util::persist::MonitorName;
use lightning::util::ser::Writeable;

use super::types::{ChainMonitor, ChannelManager, ChannelMonitor, PeerManager};
use crate::store::{MonitorChange, NodeState, Store, Write};

/// Queues changes of monitors.
pub(crate) struct Persister(pub(crate) Arc<Store>);

impl Persist<InMemorySigner> for Persister {
    fn persist_new_channel(&self, name: MonitorName, monitor: &ChannelMonitor) -> ChannelMonitorUpdateStatus {
        let change = MonitorChange::Whole { ack: Some(monitor.get_latest_update_id()) };
        self.0.monitor_changed(monitor.channel_id(), name.to_string(), change);
        ChannelMonitorUpdateStatus::InProgress
    }

    fn update_persisted_channel(
        &self,
        name: MonitorName,
        update: Option<&ChannelMonitorUpdate>,
        monitor: &ChannelMonitor,
    ) -> ChannelMonitorUpdateStatus {
        let change = match update {
            Some(update) => MonitorChange::Update { number: update.update_id, body: update.encode() },
            None => MonitorChange::Whole { ack: None },
        };
        self.0.monitor_changed(monitor.channel_id(), name.to_string(), change);
        ChannelMonitorUpdateStatus::InProgress
    }

    fn archive_persisted_channel(&self, name: MonitorName) {
        self.0.write(Write::Archive(name.to_string()));
    }
}

/// The running node, as a flush sees it.
pub(crate) struct RunningState {
    pub(crate) manager: Arc<ChannelManager>,
    pub(crate) monitors: Arc<ChainMonitor>,
    pub(crate) peers: Arc<PeerManager>,
    pub(crate) runtime: tokio::runtime::Handle,
}

impl NodeState for RunningState {
    fn manager(&self) -> Vec<u8> {
        self.manager.encode()
    }

    fn monitor(&self, channel: ChannelId) -> Option<(Vec<u8>, u64)> {
        let monitor = self.monitors.get_monitor(channel).ok()?;
        Some((monitor.encode(), monitor.get_latest_update_id()))
    }

    fn durable(&self, updates: &[(ChannelId, u64)]) {
        for (channel, update) in updates {
            if self.monitors.channel_monitor_updated(*channel, *update).is_err() {
                tracing::warn!(%channel, update, "a monitor is gone whose update became durable");
            }
        }
        // What waited for the disk may go out now; without this it would wait for the background processor's next turn.
        let _runtime = self.runtime.enter();
        self.peers.process_events();
    }
}
