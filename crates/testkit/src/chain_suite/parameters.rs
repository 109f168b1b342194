//! Wrong parameters, unknown things, and answers about the node.

use serde_json::{Value, json};
use tallystick_bitcoin::RpcConfig;

use super::fixture::{Bench, assert_members, assert_refusal, foreign_address};

/// Counts, types and ranges.
pub async fn numbers_and_types(config: RpcConfig) {
    let bench = Bench::open(config).await;
    bench.mine(1).await;
    // Too few or too many: the answer is the help.
    for params in [json!([]), json!([1, 2])] {
        assert_refusal(&bench.err("getblockhash", params).await, -1, "getblockhash height");
    }
    assert_refusal(&bench.err("getblockcount", json!([1])).await, -1, "getblockcount");
    let wrong = "Wrong type passed:\n{\n    \"Position 1 (height)\": \"JSON value of type string is not of expected type number\"\n}";
    assert_eq!(bench.err("getblockhash", json!(["1"])).await, (-3, wrong.to_owned()));
    let null = bench.err("getblockhash", json!([null])).await;
    assert!(null.0 == -3 && null.1.contains("JSON value of type null is not of expected type number"), "{null:?}");
    let both = bench.err("gettxout", json!([1, "x", "y"])).await;
    for name in ["Position 1 (txid)", "Position 2 (n)", "Position 3 (include_mempool)"] {
        assert!(both.0 == -3 && both.1.contains(name), "{both:?}");
    }
    for height in [json!(-1), json!(2)] {
        assert_eq!(bench.err("getblockhash", json!([height])).await, (-8, "Block height out of range".to_owned()));
    }
    for height in [json!(1.5), json!(5_000_000_000_u64)] {
        assert_eq!(bench.err("getblockhash", json!([height])).await, (-1, "JSON integer out of range".to_owned()));
    }
    let tip = bench.tip().await;
    let text = bench.err("getblock", json!([tip, "1"])).await;
    assert_eq!(text, (-3, "JSON value of type string is not of expected type number".to_owned()));
    assert_refusal(&bench.err("submitpackage", json!(["00"])).await, -3, "Wrong type passed:");
    let item = bench.err("testmempoolaccept", json!([[1]])).await;
    assert_eq!(item, (-3, "JSON value of type number is not of expected type string".to_owned()));
    // By name.
    assert_eq!(bench.ok("getblockhash", json!({ "height": 1 })).await, json!(tip));
    assert_eq!(
        bench.ok("getblock", json!({ "verbosity": 0, "blockhash": tip })).await,
        bench.ok("getblock", json!([tip, 0])).await
    );
    let refusal = bench.err("getblockhash", json!({ "height": 1, "depth": 2 })).await;
    assert_eq!(refusal, (-8, "Unknown named parameter depth".to_owned()));
    let refusal = bench.err("gettxout", json!({ "n": 1 })).await;
    assert_eq!(refusal.0, -3, "{refusal:?}");
    // Left out and null are the same.
    assert_eq!(bench.ok("getblock", json!([tip, null])).await, bench.ok("getblock", json!([tip])).await);
}

/// Hashes that are none.
pub async fn hashes(config: RpcConfig) {
    let bench = Bench::open(config).await;
    let cases = [
        ("getblockheader", json!(["abc"]), "hash must be of length 64 (not 3, for 'abc')"),
        ("getblock", json!(["abc"]), "blockhash must be of length 64 (not 3, for 'abc')"),
        ("gettxout", json!(["abc", 0]), "txid must be of length 64 (not 3, for 'abc')"),
        ("getrawtransaction", json!(["abc"]), "parameter 1 must be of length 64 (not 3, for 'abc')"),
        ("getmempoolentry", json!(["abc"]), "txid must be of length 64 (not 3, for 'abc')"),
        ("invalidateblock", json!(["abc"]), "blockhash must be of length 64 (not 3, for 'abc')"),
        ("reconsiderblock", json!(["abc"]), "blockhash must be of length 64 (not 3, for 'abc')"),
    ];
    for (method, params, message) in cases {
        assert_eq!(bench.err(method, params).await, (-8, message.to_owned()));
    }
    let odd = "z".repeat(64);
    let refusal = bench.err("getblock", json!([odd])).await;
    assert_eq!(refusal, (-8, format!("blockhash must be hexadecimal string (not '{odd}')")));
}

/// Blocks, transactions and methods that nobody knows.
pub async fn unknown_things(config: RpcConfig) {
    let bench = Bench::open(config).await;
    let absent = "11".repeat(32);
    for method in ["getblockheader", "getblock", "invalidateblock", "reconsiderblock"] {
        assert_eq!(bench.err(method, json!([absent])).await, (-5, "Block not found".to_owned()));
    }
    let refusal = bench.err("getmempoolentry", json!([absent])).await;
    assert_eq!(refusal, (-5, "Transaction not in mempool".to_owned()));
    for method in ["getblokcount", "", "GETBLOCKCOUNT"] {
        assert_eq!(bench.err(method, json!([])).await, (-32601, "Method not found".to_owned()));
    }
}

/// A young chain gives no estimate.
pub async fn fee_estimates(config: RpcConfig) {
    let bench = Bench::open(config).await;
    bench.ok("generatetoaddress", json!([10, foreign_address(1)])).await;
    for params in [json!([6]), json!([1, "conservative"]), json!([1008, "ECONOMICAL"])] {
        let estimate = bench.ok("estimatesmartfee", params).await;
        assert_eq!(estimate["errors"], json!(["Insufficient data or no feerate found"]));
        assert!(estimate["blocks"].is_u64() && estimate.get("feerate").is_none(), "{estimate}");
    }
    for target in [0, 1009, -1] {
        let refusal = bench.err("estimatesmartfee", json!([target])).await;
        assert_eq!(refusal, (-8, "Invalid conf_target, must be between 1 and 1008".to_owned()));
    }
    assert_refusal(&bench.err("estimatesmartfee", json!([6, "hasty"])).await, -8, "Invalid estimate_mode parameter");
    assert_refusal(&bench.err("estimatesmartfee", json!(["6"])).await, -3, "Wrong type passed:");
}

/// What the node says about itself.
pub async fn about_the_node(config: RpcConfig) {
    let bench = Bench::open(config).await;
    let info = bench.ok("getnetworkinfo", json!([])).await;
    let numbers = ["version", "protocolversion", "timeoffset", "connections", "relayfee", "incrementalfee"];
    assert_members(&info, &numbers.map(|name| (name, 'n')));
    assert_members(&info, &[("localrelay", 'b'), ("networkactive", 'b'), ("networks", 'a'), ("warnings", 'a')]);
    let subversion = info["subversion"].as_str().unwrap_or_default().to_owned();
    assert!(subversion.starts_with("/Satoshi:") && subversion.ends_with('/'), "{subversion}");
    let first = bench.ok("uptime", json!([])).await.as_u64().expect("seconds");
    let second = bench.ok("uptime", json!([])).await.as_u64().expect("seconds");
    assert!(first <= second);
    assert_eq!(bench.ok("getrawmempool", json!([])).await, Value::Array(Vec::new()));
}
