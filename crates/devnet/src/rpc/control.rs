//! Methods about the node itself.

use serde_json::json;

use super::Node;
use super::args::Args;
use super::encode::btc_per_kvb;
use super::error::Outcome;

/// The version of Bitcoin Core that the answers follow.
const CORE_VERSION: u32 = 290_000;
const SUBVERSION: &str = "/Satoshi:29.0.0(tallystick-devnet)/";
const PROTOCOL_VERSION: u32 = 70_016;

pub(super) fn get_network_info(node: &mut Node, _: &Args) -> Outcome {
    let pool = node.chain.mempool();
    Ok(json!({
        "version": CORE_VERSION,
        "subversion": SUBVERSION,
        "protocolversion": PROTOCOL_VERSION,
        "localservices": "0000000000000409",
        "localservicesnames": ["NETWORK", "WITNESS", "NETWORK_LIMITED"],
        "localrelay": true,
        "timeoffset": 0,
        "networkactive": true,
        "connections": 0,
        "connections_in": 0,
        "connections_out": 0,
        "networks": [],
        "relayfee": btc_per_kvb(pool.min_fee_rate()),
        "incrementalfee": btc_per_kvb(pool.incremental_fee_rate()),
        "localaddresses": [],
        "warnings": [],
    }))
}

pub(super) fn uptime(node: &mut Node, _: &Args) -> Outcome {
    Ok(json!(node.chain.now().saturating_sub(node.started)))
}

pub(super) fn stop(node: &mut Node, _: &Args) -> Outcome {
    node.stopping = true;
    Ok(json!("Bitcoin Core stopping"))
}
