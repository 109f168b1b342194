//! `tally verify`.

use anyhow::{Result, anyhow};
use std::path::{Path, PathBuf};
use tallystick_app::{
    cause::check_cause,
    party::{Standing, check_party},
};
use tallystick_bundle::{BundleAnchor, Claims, FactBundle, Proven};
use tallystick_core::{Authority, Code, Coded, Fact, Timestamp};
use tallystick_graphql::Requests;
use tallystick_log::{
    BUNDLE_BYTES_MAX, CONSISTENCY_HASHES_MAX, Hash, WitnessPolicy,
    anchor::{AnchorChain, AnchorError, AnchorProof, Anchored, Headers, OutPoint, PROOF_BYTES_MAX},
    parse_hashes,
};

use super::{
    contents::words,
    headers::{Tied, tie},
    read,
};
use crate::cli::VerifyArgs;

/// More headers than Bitcoin will have for long.
const HEADERS_BYTES_MAX: u64 = 80 * 4_000_000;
/// Bytes of a checkpoint's text, at most.
const TEXT_BYTES_MAX: u64 = 4_096;
/// Bytes of a consistency proof, at most: each hash in base64 on a line.
const HISTORY_BYTES_MAX: u64 = 45 * CONSISTENCY_HASHES_MAX as u64;

/// A bundle that proves its fact.
struct Checked<'a> {
    proven: Proven<'a>,
    bundle: &'a FactBundle,
    /// The number of its anchor in the log's chain.
    chain: Option<u64>,
}

/// `tally verify`. Needs no network and no node. Nothing is told of any bundle before all are checked.
///
/// # Errors
/// Why a bundle proves nothing, with its code.
pub fn verify(args: &VerifyArgs) -> Result<()> {
    let several = args.bundles.len() > 1;
    let named = |error: anyhow::Error, path: &Path| {
        if several { anyhow!("{}: {error:#}", path.display()) } else { error }
    };
    let parse = |path: &PathBuf| {
        let bytes = read(path, BUNDLE_BYTES_MAX as u64)?;
        FactBundle::parse(&bytes).map_err(|error| named(refused(error.code(), &error), path))
    };
    let bundles = args.bundles.iter().map(parse).collect::<Result<Vec<_>>>()?;
    let (headers, policy) = (headers(args)?, args.trust.policy()?);
    let check = |(bundle, path): (_, &PathBuf)| {
        check(args, bundle, headers.as_ref(), &policy).map_err(|error| named(error, path))
    };
    let checked = bundles.iter().zip(&args.bundles).map(check).collect::<Result<Vec<_>>>()?;
    let facts: Vec<&Fact> = checked.iter().map(|checked| checked.proven.fact).collect();
    let standing = |checked: &Checked<'_>| match checked.bundle.authority() {
        None => Ok(Standing::Itself),
        Some(authority) => check_party(checked.proven.fact, authority, &Requests, &facts)
            .map_err(|error| refused(error.code(), &error)),
    };
    let standings = checked.iter().map(standing).collect::<Result<Vec<_>>>()?;
    for (checked, standing) in checked.iter().zip(standings) {
        tell(&checked.proven, checked.bundle.authority(), args);
        tell_standing(standing, checked.bundle.authority());
        tell_trust(checked, args, &policy, headers.as_ref().map(|(_, tied)| tied));
        if several {
            say!("");
        }
    }
    Ok(())
}

fn check<'a>(
    args: &VerifyArgs,
    bundle: &'a FactBundle,
    headers: Option<&(Headers, Tied)>,
    policy: &WitnessPolicy,
) -> Result<Checked<'a>> {
    let proven = bundle.verify(&args.log, policy, headers.map(|(headers, _)| headers)).map_err(|error| {
        let code = error.code();
        refused(code, &format!("{error}{}", headers.map_or_else(String::new, |(all, _)| hint(code, bundle, all))))
    })?;
    if let (Some(anchored), Some((_, tied))) = (&proven.anchored, headers) {
        tied.vouch(anchored.height).map_err(|error| refused(Code(error.code()), &error))?;
    }
    let claims = proven.signed.as_ref().and_then(|signed| signed.claims.as_ref());
    if let Some(claims) = claims.filter(|claims| !args.urls.is_empty() && !args.urls.contains(&claims.url)) {
        let why = format!("the request behind the fact was signed for {}, which --url does not name", claims.url);
        return Err(refused(Code("bundle.other_url"), &why));
    }
    if let Some(authority) = bundle.authority() {
        let trusted = args.parties.trusted(Some(&args.log));
        check_cause(proven.fact, authority, &Requests, &trusted).map_err(|error| refused(error.code(), &error))?;
    }
    let chain = match (headers, bundle.anchor()) {
        (Some(headers), Some(anchor)) => args.genesis.map(|genesis| follow(args, genesis, anchor, headers)),
        (Some(_), None) => return Err(refused(Code(AnchorError::NotAttested.code()), &AnchorError::NotAttested)),
        (None, _) => None,
    };
    Ok(Checked { proven, bundle, chain: chain.transpose()? })
}

/// What else may be wrong where headers do not hold an anchor: nobody can see the height of a header.
fn hint(code: Code, bundle: &FactBundle, headers: &Headers) -> String {
    if ![AnchorError::BadPath.code(), AnchorError::NoHeader { height: 0 }.code()].contains(&code.0) {
        return String::new();
    }
    match bundle.anchor().and_then(|anchor| anchor.proof.would_begin(headers)) {
        Some(height) => format!("; the anchor's block is among these headers if the first one is of height {height}: give \
             --headers-from {height}"),
        None => "; the headers do not hold the anchor's block: they begin after it or end before it, or are of another chain"
            .to_owned(),
    }
}

fn tell_standing(standing: Standing, authority: Option<&Authority>) {
    let Some(authority) = authority else { return };
    let by = authority.author();
    match standing {
        Standing::Itself => {}
        Standing::Party => say!("a party      another of these bundles names {by} as the one who may ask for it"),
        Standing::Unknown => say!(
            "not checked  whether {by} is a party of the task and may ask for it: its first facts tell (give their \
             bundles as well)"
        ),
    }
}

fn tell_trust(checked: &Checked<'_>, args: &VerifyArgs, policy: &WitnessPolicy, tied: Option<&Tied>) {
    let Checked { proven, bundle, chain } = checked;
    if policy.k() == 0 {
        say!("not checked  whether witnesses cosigned the checkpoint (--witness)");
    }
    if args.urls.is_empty() && matches!(bundle.authority(), Some(Authority::Request(_))) {
        say!("not checked  whether the address that it was signed for is the node's (--url)");
    }
    let node = args.parties.trusted(Some(&args.log)).node;
    if node.is_none() && matches!(bundle.authority(), Some(Authority::Node { .. })) {
        say!("not checked  whether that is the node's own key (--node-key)");
    }
    match (&proven.anchored, tied, bundle.anchor()) {
        (Some(anchored), Some(tied), _) => tell_anchor(anchored, tied, *chain),
        (_, _, Some(anchor)) => say!(
            "in Bitcoin   not checked: give --headers and --headers-from, with the block at height {} among them",
            anchor.proof.height()
        ),
        (_, _, None) => say!("in Bitcoin   not yet"),
    }
}

fn refused(code: Code, why: &dyn std::fmt::Display) -> anyhow::Error {
    anyhow!("the bundle proves nothing: {why} ({code})")
}

/// The headers, and what ties them to Bitcoin.
fn headers(args: &VerifyArgs) -> Result<Option<(Headers, Tied)>> {
    let (Some(path), Some(from)) = (&args.headers, args.headers_from) else { return Ok(None) };
    let bytes = read(path, HEADERS_BYTES_MAX)?;
    let easiest = bitcoin::params::Params::new(args.network).max_attainable_target;
    let bad = |error: AnchorError| {
        let (path, code, network) = (path.display(), error.code(), args.network);
        anyhow!(
            "{path}: {error} ({code}); are these headers of the network {network} (--network), the first of height {from}?"
        )
    };
    let headers = Headers::parse(from, &bytes, easiest).map_err(bad)?;
    let tied = tie(&headers, args.network, args.block).map_err(bad)?;
    Ok(Some((headers, tied)))
}

/// Follows the log's chain of anchors from its genesis to the bundle's anchor. Answers its number.
fn follow(args: &VerifyArgs, genesis: OutPoint, anchor: &BundleAnchor, headers: &(Headers, Tied)) -> Result<u64> {
    let mut chain = AnchorChain::new(genesis);
    while anchor.proof.tx().seal() != chain.seal() {
        let why = "it is not the first anchor: --anchors names the folder with all up to it";
        let Some(folder) = &args.anchors else {
            return Err(refused(Code(AnchorError::WrongSeal.code()), &why));
        };
        extend(&mut chain, folder, headers)?;
    }
    let history = match &args.anchors {
        Some(folder) => history(&chain, folder)?,
        None => Vec::new(),
    };
    let error = |error: AnchorError| refused(Code(error.code()), &error);
    chain.extend(&anchor.text, &anchor.proof, &history, &headers.0).map_err(error)?;
    Ok(chain.number())
}

/// Follows the next anchor of the folder.
fn extend(chain: &mut AnchorChain, folder: &Path, (headers, tied): &(Headers, Tied)) -> Result<()> {
    let path = |end: &str| folder.join(format!("anchor-{}.{end}", chain.number() + 1));
    let (text, proof) = (path("txt"), path("proof"));
    let bad = |error: AnchorError| anyhow!("{}: {error} ({})", proof.display(), error.code());
    let text = String::from_utf8(read(&text, TEXT_BYTES_MAX)?)?;
    let parsed = AnchorProof::parse(&read(&proof, PROOF_BYTES_MAX as u64)?).map_err(bad)?;
    let history = history(chain, folder)?;
    let anchored = chain.extend(&text, &parsed, &history, headers).map_err(bad)?;
    tied.vouch(anchored.height).map_err(bad)
}

/// The proof that the next anchor's tree begins with that of the last one.
fn history(chain: &AnchorChain, folder: &Path) -> Result<Vec<Hash>> {
    if chain.number() == 0 {
        return Ok(Vec::new());
    }
    let path = folder.join(format!("anchor-{}.consistency", chain.number() + 1));
    parse_hashes(&read(&path, HISTORY_BYTES_MAX)?, CONSISTENCY_HASHES_MAX)
        .map_err(|error| anyhow!("{}: {error} ({})", path.display(), error.code()))
}

fn tell(proven: &Proven<'_>, authority: Option<&Authority>, args: &VerifyArgs) {
    let fact = proven.fact;
    say!("proven       fact {} of {}", fact.seq, args.log.name());
    say!("what         {} (version {} of {})", fact.kind, fact.version, fact.stream);
    say!("when         {} at block height {}", fact.recorded_at, fact.height.0);
    let claims = proven.signed.as_ref().and_then(|signed| signed.claims.as_ref());
    match authority {
        Some(Authority::Request(request)) => {
            say!("caused by    a request for it that {} signed", request.author);
            if let Some(Claims { at, url }) = claims {
                say!("signed       {at}, for {url}");
            }
        }
        Some(Authority::Node { author, .. }) => say!("caused by    the node's own word, signed by {author}"),
        None => say!("caused by    not told"),
    }
    match fact.body.content() {
        Some(content) => say!("contents     {}", words(content)),
        None => say!("contents     not told"),
    }
    say!("checkpoint   {} facts", proven.checkpoint.size());
    for cosigned in &proven.cosigned {
        say!("witness      {}, {}", cosigned.witness, Timestamp::from_secs(cosigned.time_s));
    }
}

fn tell_anchor(anchored: &Anchored, tied: &Tied, chain: Option<u64>) {
    say!(
        "in Bitcoin   block {} at height {}, {} confirmations, {}; {}",
        anchored.block,
        anchored.height,
        anchored.confirmations,
        Timestamp::from_secs(anchored.time.into()),
        tied.told(anchored.height)
    );
    match chain {
        Some(number) => say!(
            "one history  it is anchor {number} of the chain that begins at the genesis outpoint, each tree begins with the one \
             before, and the checkpoint's is of the same history"
        ),
        None => say!(
            "not checked  whether {}, which it spends, is of the log's own chain of anchors (--genesis)",
            anchored.seal
        ),
    }
}

#[cfg(test)]
mod tests {
    use tallystick_bundle::authority::{SIGNED_AHEAD_MAX, SIGNED_BEFORE_MAX};
    use tallystick_graphql::EdgeConfig;

    /// Whatever a node takes proves its fact later.
    #[test]
    fn a_request_that_a_node_takes_was_signed_in_time() {
        let config = EdgeConfig::new([]);
        let works = u64::try_from(config.request_timeout.as_millis()).unwrap();
        assert!(config.signature_age_max.as_millis() + works <= SIGNED_BEFORE_MAX.as_millis());
        assert!(config.signature_ahead_max <= SIGNED_AHEAD_MAX);
    }
}
