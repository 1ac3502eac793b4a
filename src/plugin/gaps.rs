//! What is in a plugin and nothing proves: `callbridge plugin check` refuses it, a server that loads the plugin does not.

use std::collections::BTreeSet;

use super::case::OUTCOMES;
use super::manifest::{At, Manifest, ReceiveSpec, SenderRetries, VerifyRef};
use super::plugin::Plugin;
use super::problem::{Problem, line_of};
use super::request::Request;
use super::respond::ResponseRule;
use super::vectors::{Expected, Vector};

/// Where the manifest lies in the folder.
const MANIFEST: &str = "plugin.toml";

impl Plugin {
    /// Variants, handshakes, answers of ours, requests, templates and response rules without a case, and signatures without a vector.
    pub fn gaps(&self) -> Vec<Problem> {
        let (mut took, mut asked, mut sent, mut rules) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (mut told, mut stated) = (BTreeSet::new(), BTreeSet::new());
        let mut gaps = self.signatures();
        for name in self.case_names() {
            match self.case(&name) {
                Ok(case) => {
                    let file = format!("cases/{name}/case.toml");
                    gaps.extend(self.check_params(&case.parameters).into_iter().map(|fault| Problem::warning(&file, 0, fault)));
                    let result = self.run_case(&case);
                    took.extend(result.took);
                    asked.extend(result.asked);
                    sent.extend(result.sent);
                    rules.extend(result.rules);
                    told.extend(result.told);
                    stated.extend(result.stated);
                }
                Err(error) => gaps.push(Problem::warning(&format!("cases/{name}"), 0, error.to_string())),
            }
        }
        gaps.extend(self.unused_schemes());
        let files: BTreeSet<&String> = self.requests().into_iter().flat_map(|request| &request.files).collect();
        let unsent = files.into_iter().filter(|file| !sent.contains(*file));
        gaps.extend(unsent.map(|file| Problem::warning(&format!("templates/{file}"), 0, "no case sends what this template makes")));
        let unasked = self.requests().into_iter().filter(|request| !asked.contains(&(request.place.clone(), request.line)));
        gaps.extend(unasked.map(|request| Problem::warning(MANIFEST, request.line, format!("no case asks what {} asks", request.place))));
        gaps.extend(self.untaken(&took));
        gaps.extend(self.untold(&told, &stated));
        for rule in self.rules().filter(|rule| !rules.contains(&rule.at)) {
            let said = rule.say.as_ref().map(|say| format!(" ({})", say.en)).unwrap_or_default();
            gaps.push(Problem::warning(MANIFEST, rule.line, format!("no case has an answer of which this rule says what it means{said}")));
        }
        gaps.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        gaps.dedup();
        gaps
    }

    /// Variants that read no delivery of a case, and handshakes that none is answered by.
    fn untaken(&self, took: &BTreeSet<String>) -> Vec<Problem> {
        let source = self.file(MANIFEST).map(String::from_utf8_lossy).unwrap_or_default();
        let variants = self.manifest.receive.iter().map(|at| ("variant", &at.get_ref().name));
        let handshakes = self.manifest.handshake.iter().map(|at| ("handshake", &at.get_ref().name));
        let untaken = variants.chain(handshakes).map(|(what, name)| (format!("{what} {}", name.get_ref()), name.span().start));
        let untaken = untaken.filter(|(taker, _)| !took.contains(taker));
        untaken.map(|(taker, at)| Problem::warning(MANIFEST, line_of(&source, at), format!("no case has a delivery that is taken by the {taker}"))).collect()
    }

    /// Words for senders that no case says, and variants of which none says what they are told above the limit.
    fn untold(&self, told: &BTreeSet<usize>, stated: &BTreeSet<(String, &str)>) -> Vec<Problem> {
        let mut gaps = Vec::new();
        let rules = self.variants.iter().map(|variant| &variant.answers).chain([&self.answers]).flatten();
        for (reply, rule) in rules.filter(|(_, rule)| !told.contains(&rule.line)) {
            let Some((name, _)) = OUTCOMES.iter().find(|(_, outcome)| outcome == reply) else { continue };
            let status = rule.status;
            let hint = match (rule.body.source().is_empty(), rule.headers.is_empty()) {
                (true, true) => format!("`[expect.answers]` {name} = {status}"),
                _ => format!("`[expect.answers]` {name} = {{ status = {status}, headers = {{ … }}, body = '…' }}"),
            };
            gaps.push(Problem::warning(MANIFEST, rule.line, format!("no case says what a sender is told here: {hint}")));
        }
        let source = self.file(MANIFEST).map(String::from_utf8_lossy).unwrap_or_default();
        for spec in self.manifest.receive.iter().map(At::get_ref).filter(|spec| spec.sender_retries != SenderRetries::Hours) {
            let name = spec.name.get_ref();
            if !stated.contains(&(name.clone(), "over_limit")) {
                let hint = if spec.sender_retries == SenderRetries::None { "\"stored\"" } else { "{ status = 429, retry_after = \"10\" }" };
                let line = line_of(&source, spec.name.span().start);
                gaps.push(Problem::warning(
                    MANIFEST,
                    line,
                    format!("no case says what the sender of `{name}` is told above the limit: `[expect.answers]` over_limit = {hint}"),
                ));
            }
        }
        gaps
    }

    /// Every request that cases can hold.
    fn requests(&self) -> Vec<&Request> {
        let lookups = self.lookups.iter().map(|lookup| &lookup.request);
        let steps = self.kinds.iter().flat_map(|kind| kind.create.iter().chain(&kind.update).chain(&kind.correction)).map(|step| &step.request);
        let finds = self.kinds.iter().flat_map(|kind| [&kind.find, &kind.correction_find]).flatten().map(|find| &find.request);
        let polls = self.polls.iter().flat_map(|poll| [Some(poll.request()), poll.ack_request()]).flatten();
        let logins = self.auths.iter().filter_map(|auth| auth.login.as_ref()).flat_map(|login| login.requests());
        let subscriptions = self.subscriptions.iter().flat_map(|of| of.parts()).map(|part| &part.request);
        let connects = self.connects.iter().flat_map(|connect| [&connect.authorize, &connect.token]);
        lookups.chain(steps).chain(finds).chain(polls).chain(logins).chain(connects).chain(subscriptions).collect()
    }

    fn rules(&self) -> impl Iterator<Item = &ResponseRule> {
        self.responses.iter().chain(self.requests().into_iter().flat_map(|request| &request.responses))
    }

    /// Schemes that nothing verifies by: who wrote one believes that it keeps strangers out.
    fn unused_schemes(&self) -> impl Iterator<Item = Problem> {
        let receive = self.manifest.receive.iter().flat_map(|variant| &variant.get_ref().verify);
        let handshakes = self.manifest.handshake.iter().flat_map(|handshake| &handshake.get_ref().verify);
        let mut used: BTreeSet<&str> =
            receive.chain(handshakes).filter_map(|at| if let VerifyRef::Named(name) = at.get_ref() { Some(name.as_str()) } else { None }).collect();
        used.extend(self.manifest.verify.values().flat_map(|scheme| &scheme.get_ref().of).map(|name| name.get_ref().as_str()));
        let source = self.file(MANIFEST).map(String::from_utf8_lossy).unwrap_or_default();
        let unused = self.manifest.verify.iter().filter(move |(name, _)| !used.contains(name.as_str()));
        let line = move |at: &At<_>| line_of(&source, at.span().start);
        unused.map(move |(name, at)| Problem::warning(MANIFEST, line(at), format!("nothing is verified by `{name}`: name it in `verify` of a variant")))
    }

    /// Variants whose signature no vector lets through; schemes that none turns away.
    fn signatures(&self) -> Vec<Problem> {
        let (vectors, unreadable): (Vec<Vector>, _) = match self.file("vectors.json").map(serde_json::from_slice) {
            Some(Ok(vectors)) => (vectors, None),
            Some(Err(error)) => (Vec::new(), Some(Problem::warning("vectors.json", error.line(), error.to_string()))),
            None => (Vec::new(), None),
        };
        let variants = || self.manifest.receive.iter().map(At::get_ref).filter(|variant| variant.verify.iter().any(|at| signs(&self.manifest, at.get_ref())));
        let shown = |name: &str, expected| vectors.iter().any(|vector| vector.variant == name && vector.expected == expected);
        let mut gaps = Vec::from_iter(unreadable);
        for variant in variants() {
            let name = variant.name.get_ref();
            let checks = schemes(variant);
            let alike = || variants().filter(|other| schemes(other) == checks).any(|other| shown(other.name.get_ref(), Expected::Reject));
            if !shown(name, Expected::Accept) {
                gaps.push(Problem::warning("vectors.json", 0, format!("no vector shows that the variant `{name}` accepts a right signature")));
            }
            if !alike() {
                gaps.push(Problem::warning(
                    "vectors.json",
                    0,
                    format!("no vector shows that the variant `{name}`, or one that verifies alike, rejects a wrong signature"),
                ));
            }
        }
        gaps.extend(self.unheld(&vectors));
        gaps
    }

    /// Schemes that sign, and of which no vector shows that they let a right signature through: one of several would hide its fault.
    fn unheld(&self, vectors: &[Vector]) -> Vec<Problem> {
        let mut held: BTreeSet<(&str, String)> = BTreeSet::new();
        for vector in vectors.iter().filter(|vector| vector.expected == Expected::Accept) {
            let by = self.holds_by(vector).unwrap_or_default();
            held.extend(by.schemes().map(|scheme| (vector.variant.as_str(), scheme.to_owned())));
        }
        let source = self.file(MANIFEST).map(String::from_utf8_lossy).unwrap_or_default();
        let variants = self.manifest.receive.iter().map(|at| (at.get_ref().name.get_ref(), &at.get_ref().verify));
        let handshakes = self.manifest.handshake.iter().map(|at| (at.get_ref().name.get_ref(), &at.get_ref().verify));
        let mut gaps = Vec::new();
        for (of, at) in variants.chain(handshakes).flat_map(|(of, list)| list.iter().map(move |at| (of, at))) {
            for name in signing(&self.manifest, at.get_ref()) {
                let own = matches!(at.get_ref(), VerifyRef::Here(_));
                if !held.iter().any(|(variant, scheme)| *scheme == name && (!own || variant == of)) {
                    let line = self.manifest.verify.get(&name).map_or(at.span().start, |spec| spec.span().start);
                    gaps.push(Problem::warning(MANIFEST, line_of(&source, line), format!("no vector shows that `{name}` accepts a right signature")));
                }
            }
        }
        gaps
    }
}

/// By which schemes a variant verifies; one that is written in place is its own.
fn schemes(variant: &ReceiveSpec) -> Vec<&str> {
    let mut names = Vec::new();
    for at in &variant.verify {
        names.push(match at.get_ref() {
            VerifyRef::Named(name) => name.as_str(),
            VerifyRef::Here(_) => variant.name.get_ref().as_str(),
        });
    }
    names
}

/// The names of the schemes with a signature that a variant verifies by.
fn signing(manifest: &Manifest, verify: &VerifyRef) -> Vec<String> {
    let named = |name: &str| manifest.verify.get(name).map(At::get_ref);
    match verify {
        VerifyRef::Here(scheme) if scheme.kind.signs() => vec![format!("{:?}", scheme.kind).to_lowercase()],
        VerifyRef::Named(name) if named(name).is_some_and(|scheme| scheme.kind.signs()) => vec![name.clone()],
        VerifyRef::Here(_) => Vec::new(),
        VerifyRef::Named(name) => {
            let of = named(name).into_iter().flat_map(|scheme| &scheme.of).map(|one| one.get_ref());
            of.filter(|one| named(one).is_some_and(|scheme| scheme.kind.signs())).cloned().collect()
        }
    }
}

fn signs(manifest: &Manifest, verify: &VerifyRef) -> bool {
    let named = |name: &str| manifest.verify.get(name).map(At::get_ref);
    let scheme = match verify {
        VerifyRef::Here(scheme) => Some(scheme.as_ref()),
        VerifyRef::Named(name) => named(name),
    };
    scheme.is_some_and(|scheme| scheme.kind.signs() || scheme.of.iter().filter_map(|name| named(name.get_ref())).any(|one| one.kind.signs()))
}
