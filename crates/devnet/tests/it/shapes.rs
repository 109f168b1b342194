//! Whatever the devnet tells, Bitcoin Core tells as well, by the same name and as the same kind of value. The contract
//! suite looks at the values that this project uses; this looks at all names. Newer versions of Bitcoin Core may tell more.

use bitcoin::consensus::encode::serialize_hex;
use serde_json::{Value, json};
use tallystick_bitcoin::RpcConfig;
use tallystick_devnet::RegtestChain;
use tallystick_testkit::chain_suite::fixture::{Bench, FEE, foreign_script};
use tallystick_testkit::chain_suite::spend::{Coin, Draft, Lock};

/// What Bitcoin Core 29 tells and later ones do not: that a transaction can be replaced, which all can.
const TOLD_NO_MORE: [&str; 2] = ["bip125-replaceable", "fullrbf"];
/// A list of what is special about a build: a pre-release warns, the devnet has nothing to warn of.
const ABOUT_THE_BUILD: &str = ".warnings";

#[tokio::test]
async fn answers_have_the_shape_of_cores() {
    let devnet = RegtestChain::start_empty().await.expect("the devnet starts");
    let core = RegtestChain::start_core_empty().await.unwrap_or_else(|error| panic!("{error}"));
    let (told, known) = tokio::join!(answers(devnet.rpc_config()), answers(core.rpc_config()));
    let mut differences = Vec::new();
    for ((what, told), (_, known)) in told.iter().zip(&known) {
        compare(what, told, known, &mut differences);
    }
    assert!(differences.is_empty(), "the devnet is not like Bitcoin Core:\n{}", differences.join("\n"));
    devnet.stop().await;
    core.stop().await;
}

/// The same questions in the same situation: a spent reward in a block, and a family of two in the mempool.
async fn answers(config: RpcConfig) -> Vec<(String, Value)> {
    let mut bench = Bench::with_coins(config, 3).await;
    let (first, second) = (bench.coin(), bench.coin());
    let mined = bench.keys.sign(&Draft::new().spend(&first).pay_rest(bench.keys.lock_script(&Lock::Taproot), FEE));
    let mined_id = bench.send(&mined).await;
    let block = bench.mine(1).await.remove(0);
    let parent = bench.keys.sign(&Draft::new().spend(&second).pay_rest(bench.keys.script(), FEE));
    let parent_id = parent.compute_txid();
    let child = Draft::new().spend(&Coin::of(&parent, 0, Lock::Key)).pay_rest(foreign_script(1), FEE);
    let child = bench.keys.sign(&child);
    let package = json!([[serialize_hex(&parent), serialize_hex(&child)]]);
    let genesis = bench.ok("getblockhash", json!([0])).await;
    let third = bench.coin();
    let shown = bench.keys.sign(&Draft::new().spend(&third).pay_rest(foreign_script(2), FEE));
    let poor = bench.keys.sign(&Draft::new().spend(&third).pay_rest(foreign_script(2), 0));
    let questions = [
        // First: all that comes after sees the family in the mempool.
        ("submitpackage", package),
        ("getblockchaininfo", json!([])),
        ("getnetworkinfo", json!([])),
        ("getmempoolinfo", json!([])),
        ("getchaintips", json!([])),
        ("getblockheader", json!([genesis])),
        ("getblockheader", json!([block])),
        ("getblock", json!([genesis, 2])),
        ("getblock", json!([block, 1])),
        ("getblock", json!([block, 2])),
        ("getblock", json!([block, 3])),
        ("gettxout", json!([mined_id, 0])),
        ("gettxout", json!([parent_id, 0])),
        ("getrawtransaction", json!([mined_id, 1])),
        ("getrawtransaction", json!([mined_id, 2])),
        ("getrawtransaction", json!([parent_id, 2])),
        ("testmempoolaccept", json!([[serialize_hex(&shown)]])),
        ("testmempoolaccept", json!([[serialize_hex(&poor)]])),
        ("getrawmempool", json!([true])),
        ("getrawmempool", json!([false, true])),
        ("getmempoolentry", json!([parent_id])),
        ("getmempoolentry", json!([child.compute_txid()])),
        ("estimatesmartfee", json!([6])),
        ("generateblock", json!([bench.keys.address(), [], false])),
    ];
    let mut answers = Vec::new();
    for (number, (method, params)) in questions.into_iter().enumerate() {
        answers.push((format!("{number} {method}"), bench.ok(method, params).await));
    }
    answers
}

/// Notes what `told` has and `known` has not, below `path`.
fn compare(path: &str, told: &Value, known: &Value, differences: &mut Vec<String>) {
    match (told, known) {
        (Value::Object(told), Value::Object(known)) => {
            // Ids are names in some answers: then the members are compared in their order.
            let by_id = !told.is_empty() && told.keys().all(|name| name.len() == 64);
            for (index, (name, value)) in told.iter().enumerate() {
                let path = format!("{path}.{name}");
                if TOLD_NO_MORE.contains(&name.as_str()) {
                    continue;
                }
                match if by_id { known.values().nth(index) } else { known.get(name) } {
                    Some(known) => compare(&path, value, known, differences),
                    None => differences.push(format!("{path} is nothing that Bitcoin Core tells")),
                }
            }
        }
        (Value::Array(told), Value::Array(known)) => {
            if told.len() != known.len() && !path.ends_with(ABOUT_THE_BUILD) {
                differences.push(format!("{path} has {} members, not {}", told.len(), known.len()));
            }
            for (index, (told, known)) in told.iter().zip(known).enumerate() {
                compare(&format!("{path}[{index}]"), told, known, differences);
            }
        }
        (told, known) if std::mem::discriminant(told) == std::mem::discriminant(known) => {}
        (told, known) => differences.push(format!("{path} is {told}, not {known}")),
    }
}
