//! The devnet answers like Bitcoin Core, and Bitcoin Core like the suite says.

mod devnet {
    use tallystick_bitcoin::RpcConfig;
    use tallystick_devnet::RegtestChain;

    async fn make() -> (RpcConfig, RegtestChain) {
        let chain = RegtestChain::start_empty().await.expect("the devnet starts");
        (chain.rpc_config(), chain)
    }

    tallystick_testkit::chain_suite!(crate::contract::devnet::make);
}

mod core {
    use tallystick_bitcoin::RpcConfig;
    use tallystick_devnet::RegtestChain;

    async fn make() -> (RpcConfig, RegtestChain) {
        let chain = RegtestChain::start_core_empty().await.unwrap_or_else(|error| panic!("{error}"));
        (chain.rpc_config(), chain)
    }

    tallystick_testkit::chain_suite!(crate::contract::core::make);
}
