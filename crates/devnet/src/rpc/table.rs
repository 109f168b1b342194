//! The methods and their parameters.

use serde_json::Value;

use super::args::Kind::{Amount, Bool, List, Number, Text, Verbosity};
use super::args::{Args, Kind, Param};
use super::error::{Failure, METHOD_NOT_FOUND, Outcome};
use super::{Node, blocks, control, mining, pool, txs};

struct Method {
    name: &'static str,
    params: &'static [Param],
    run: fn(&mut Node, &Args) -> Outcome,
}

const fn needs(name: &'static str, kind: Kind) -> Param {
    Param { name, kind, required: true }
}

const fn takes(name: &'static str, kind: Kind) -> Param {
    Param { name, kind, required: false }
}

const METHODS: &[Method] = &[
    Method { name: "getbestblockhash", params: &[], run: blocks::get_best_block_hash },
    Method {
        name: "getblock",
        params: &[needs("blockhash", Text), takes("verbosity", Verbosity)],
        run: blocks::get_block,
    },
    Method { name: "getblockchaininfo", params: &[], run: blocks::get_blockchain_info },
    Method { name: "getblockcount", params: &[], run: blocks::get_block_count },
    Method { name: "getblockhash", params: &[needs("height", Number)], run: blocks::get_block_hash },
    Method {
        name: "getblockheader",
        params: &[needs("blockhash", Text), takes("verbose", Bool)],
        run: blocks::get_block_header,
    },
    Method { name: "getchaintips", params: &[], run: blocks::get_chain_tips },
    Method { name: "invalidateblock", params: &[needs("blockhash", Text)], run: blocks::invalidate_block },
    Method { name: "reconsiderblock", params: &[needs("blockhash", Text)], run: blocks::reconsider_block },
    Method {
        name: "gettxout",
        params: &[needs("txid", Text), needs("n", Number), takes("include_mempool", Bool)],
        run: txs::get_tx_out,
    },
    Method {
        name: "getrawtransaction",
        params: &[needs("txid", Text), takes("verbosity", Verbosity), takes("blockhash", Text)],
        run: txs::get_raw_transaction,
    },
    Method {
        name: "sendrawtransaction",
        params: &[needs("hexstring", Text), takes("maxfeerate", Amount), takes("maxburnamount", Amount)],
        run: txs::send_raw_transaction,
    },
    Method {
        name: "submitpackage",
        params: &[needs("package", List("rawtx")), takes("maxfeerate", Amount), takes("maxburnamount", Amount)],
        run: txs::submit_package,
    },
    Method {
        name: "testmempoolaccept",
        params: &[needs("rawtxs", List("rawtx")), takes("maxfeerate", Amount)],
        run: txs::test_mempool_accept,
    },
    Method { name: "getmempoolinfo", params: &[], run: pool::get_mempool_info },
    Method { name: "getmempoolentry", params: &[needs("txid", Text)], run: pool::get_mempool_entry },
    Method {
        name: "getrawmempool",
        params: &[takes("verbose", Bool), takes("mempool_sequence", Bool)],
        run: pool::get_raw_mempool,
    },
    Method {
        name: "estimatesmartfee",
        params: &[needs("conf_target", Number), takes("estimate_mode", Text)],
        run: pool::estimate_smart_fee,
    },
    Method {
        name: "generatetoaddress",
        params: &[needs("nblocks", Number), needs("address", Text), takes("maxtries", Number)],
        run: mining::generate_to_address,
    },
    Method {
        name: "generateblock",
        params: &[needs("output", Text), needs("transactions", List("rawtx/txid")), takes("submit", Bool)],
        run: mining::generate_block,
    },
    Method { name: "submitblock", params: &[needs("hexdata", Text), takes("dummy", Text)], run: mining::submit_block },
    Method { name: "getnetworkinfo", params: &[], run: control::get_network_info },
    Method { name: "uptime", params: &[], run: control::uptime },
    Method { name: "stop", params: &[], run: control::stop },
];

/// Runs one method.
pub(super) fn execute(node: &mut Node, name: &str, params: Value) -> Outcome {
    let method = METHODS
        .iter()
        .find(|method| method.name == name)
        .ok_or_else(|| Failure::new(METHOD_NOT_FOUND, "Method not found"))?;
    let args = Args::try_new(name, method.params, params)?;
    (method.run)(node, &args)
}
