//! The devnet answers like Bitcoin Core.

use tallystick_bitcoin::RpcConfig;
use tallystick_devnet::RegtestChain;

async fn make() -> (RpcConfig, RegtestChain) {
    let chain = RegtestChain::start_empty().await.expect("the devnet starts");
    (chain.rpc_config(), chain)
}

tallystick_testkit::chain_suite!(crate::contract::make);
