//! Secrets as an admin gives them. White space stands between several of them, so in a key of words each word would do.

use std::collections::BTreeSet;

use super::Params;
use super::plugin::Plugin;

/// What is shorter can be guessed.
const SHORTEST: usize = 8;

impl Plugin {
    /// What is wrong with the secrets by which senders are known, in sentences.
    pub fn check_secrets(&self, params: &Params) -> Vec<String> {
        let variants = self.variants.iter().flat_map(|variant| &variant.verify);
        let schemes = variants.chain(self.handshakes.iter().flat_map(|handshake| &handshake.verify));
        let ids: BTreeSet<&str> = schemes.flat_map(|scheme| scheme.secret_params()).collect();
        let weak = ids.into_iter().filter(|id| params.get(*id).is_some_and(|secret| is_weak(secret)));
        let said = |id| {
            format!(
                "the parameter `{id}` holds white space, which stands between several secrets: each of them counts, and one is shorter than {SHORTEST} \
                 characters. Choose a key without white space"
            )
        };
        weak.map(said).collect()
    }
}

fn is_weak(secret: &str) -> bool {
    let several = secret.split_whitespace().nth(1).is_some();
    several && secret.split_whitespace().any(|one| one.chars().count() < SHORTEST)
}
