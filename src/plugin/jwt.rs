//! Signed assertions of logins (RFC 7519, RFC 7523): RS256 and HS256.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Map, json};
use sha2::Sha256;

use super::Params;
use super::manifest::JwtAlgorithm;
use super::template::Template;
use super::template_scope::Scope;
use crate::domain::time::Time;

/// How a login's assertion is made.
#[derive(Debug)]
pub struct Jwt {
    pub algorithm: JwtAlgorithm,
    pub key: Template,
    pub claims: Vec<(String, Template)>,
    pub lifetime: Duration,
}

impl Jwt {
    /// Signs one for now. The error is a sentence for the admin and holds no key.
    pub fn sign(&self, params: &Params, now: Time) -> Result<String, String> {
        let scope = Scope { params: Some(params), ..Scope::default() };
        let text = |template: &Template| template.render(&scope).map(|text| text.trim().to_owned()).map_err(|error| error.to_string());
        let issued = now.0.div_euclid(1000);
        let mut claims = Map::new();
        for (name, value) in &self.claims {
            claims.insert(name.clone(), text(value)?.into());
        }
        claims.insert("iat".to_owned(), issued.into());
        claims.insert("exp".to_owned(), issued.saturating_add(i64::try_from(self.lifetime.as_secs()).unwrap_or(0)).into());
        let algorithm = if self.algorithm == JwtAlgorithm::Rs256 { "RS256" } else { "HS256" };
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(json!({"alg": algorithm, "typ": "JWT"}).to_string()), encode(json!(claims).to_string()));
        let key = text(&self.key)?;
        let signature = match self.algorithm {
            JwtAlgorithm::Hs256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|error| error.to_string())?;
                mac.update(signed.as_bytes());
                mac.finalize().into_bytes().to_vec()
            }
            JwtAlgorithm::Rs256 => rsa(&key, signed.as_bytes())?,
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// `BEGIN PRIVATE KEY` (PKCS #8) or `BEGIN RSA PRIVATE KEY` (PKCS #1).
fn rsa(pem: &str, message: &[u8]) -> Result<Vec<u8>, String> {
    let body: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(body).map_err(|_| "the private key is not PEM".to_owned())?;
    let pair = if pem.contains("BEGIN RSA PRIVATE KEY") { RsaKeyPair::from_der(&der) } else { RsaKeyPair::from_pkcs8(&der) };
    let pair = pair.map_err(|error| format!("the private key is not an RSA key that can be used: {error}"))?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(|_| "signing failed".to_owned())?;
    Ok(signature)
}
