//! Callback tokens: the call's id and a keyed digest of it. Per call, unguessable, and the same for every try of one call.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::domain::id::{CallId, crockford, parse_crockford};

fn digest(key: &[u8; 32], call: CallId) -> [u8; 16] {
    // HMAC takes keys of any length; the fallback is never reached.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 16] };
    mac.update(b"callback");
    mac.update(&call.0);
    let full = mac.finalize().into_bytes();
    std::array::from_fn(|i| full[i])
}

/// 52 characters for the URL.
pub fn make(key: &[u8; 32], call: CallId) -> String {
    format!("{}{}", crockford(call.0), crockford(digest(key, call)))
}

/// The call of a token; `None` without any look-up if it is not one of ours.
pub fn read(key: &[u8; 32], token: &str) -> Option<CallId> {
    let call = CallId(parse_crockford(token.get(..26)?)?);
    let given = parse_crockford(token.get(26..)?)?;
    bool::from(given.ct_eq(&digest(key, call))).then_some(call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_of_this_instance_opens_its_call() {
        let call = CallId([7; 16]);
        let token = make(&[1; 32], call);
        assert_eq!(read(&[1; 32], &token), Some(call));
        assert_eq!(read(&[2; 32], &token), None);
        assert_eq!(read(&[1; 32], &token[..51]), None);
        assert_eq!(read(&[1; 32], ""), None);
        let other = make(&[1; 32], CallId([8; 16]));
        assert_eq!(read(&[1; 32], &format!("{}{}", &token[..26], &other[26..])), None);
    }
}
