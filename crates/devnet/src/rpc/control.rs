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
/// The networks that it knows, and whether it would reach peers on them.
const NETWORKS: [(&str, bool); 5] =
    [("ipv4", true), ("ipv6", true), ("onion", false), ("i2p", false), ("cjdns", false)];

pub(super) fn get_network_info(node: &mut Node, _: &Args) -> Outcome {
    let pool = node.chain.mempool();
    let networks = NETWORKS.map(|(name, reachable)| {
        json!({
            "name": name,
            "limited": !reachable,
            "reachable": reachable,
            "proxy": "",
            "proxy_randomize_credentials": false,
        })
    });
    Ok(json!({
        "version": CORE_VERSION,
        "subversion": SUBVERSION,
        "protocolversion": PROTOCOL_VERSION,
        "localservices": "0000000000000c09",
        "localservicesnames": ["NETWORK", "WITNESS", "NETWORK_LIMITED", "P2P_V2"],
        "localrelay": true,
        "timeoffset": 0,
        "networkactive": true,
        "connections": 0,
        "connections_in": 0,
        "connections_out": 0,
        "networks": networks,
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
