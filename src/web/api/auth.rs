//! Who asks: an API key, or the local admin on the unix socket; and what they may see and do.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};

use super::fault::Fault;
use crate::config::{ApiKey, ApiRole};
use crate::domain::call::Origin;
use crate::domain::id::WorkspaceId;
use crate::error::Code;
use crate::web::State;

/// Who sent this request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Written beside every change.
    pub name: String,
    pub role: ApiRole,
    /// `None`: the local admin, who sees every workspace.
    pub workspace: Option<WorkspaceId>,
}

impl Caller {
    fn local() -> Self {
        Self { name: "local admin".into(), role: ApiRole::Admin, workspace: None }
    }

    fn of_key(key: &ApiKey) -> Self {
        Self { name: key.name.clone(), role: key.role, workspace: Some(key.workspace.clone()) }
    }

    /// Things of other workspaces are as if they were not there.
    pub fn sees(&self, workspace: &WorkspaceId) -> bool {
        self.workspace.as_ref().is_none_or(|own| own == workspace)
    }

    pub fn is_local(&self) -> bool {
        self.workspace.is_none()
    }

    pub fn is_admin(&self) -> bool {
        self.role == ApiRole::Admin
    }

    /// At least this role.
    pub fn needs(&self, role: ApiRole) -> Result<(), Fault> {
        if self.role >= role {
            return Ok(());
        }
        let word = if role == ApiRole::Admin { "admin" } else { "operator" };
        Err(Fault::new(Code::Forbidden, format!("the key `{}` needs the role {word} for this", self.name)))
    }

    /// What stops or starts calling for everybody belongs to those who run the whole instance.
    pub fn needs_instance(&self) -> Result<(), Fault> {
        self.needs(ApiRole::Operator)?;
        match &self.workspace {
            Some(own) if *own != WorkspaceId::default() => {
                Err(Fault::new(Code::Forbidden, format!("this is about every workspace; the key `{}` belongs to `{own}`", self.name)))
            }
            _ => Ok(()),
        }
    }

    /// How a call that this caller asks for is counted.
    pub fn origin(&self) -> Origin {
        if self.is_local() { Origin::Hand { by: self.name.clone() } } else { Origin::Api { key: self.name.clone() } }
    }
}

impl FromRequest for Caller {
    type Error = Fault;
    type Future = Ready<Result<Self, Fault>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(state) = request.app_data::<Data<State>>() else { return ready(Err(Code::Internal.into())) };
        if state.local_admin {
            return ready(Ok(Caller::local()));
        }
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        ready(key_of(&state.settings.api_keys, given).map(Caller::of_key).ok_or_else(|| Code::Unauthorized.into()))
    }
}

/// Every key is compared, each in constant time.
fn key_of<'k>(keys: &'k [ApiKey], authorization: &str) -> Option<&'k ApiKey> {
    let (scheme, token) = authorization.split_once(' ')?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    keys.iter().fold(None, |found, key| if key.key.matches(token) { Some(key) } else { found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, key: &str, role: ApiRole) -> ApiKey {
        ApiKey { name: name.into(), key: key.into(), role, workspace: "client-a".into() }
    }

    #[test]
    fn a_key_is_found_by_its_bearer_token_only() {
        let keys = [key("erp", "erp-key-0123456789", ApiRole::Viewer), key("crm", "crm-key-0123456789", ApiRole::Admin)];
        let found = |text: &str| key_of(&keys, text).map(|k| k.name.as_str());
        assert_eq!(found("Bearer crm-key-0123456789"), Some("crm"));
        assert_eq!(found("bearer  erp-key-0123456789 "), Some("erp"));
        for wrong in ["", "Bearer", "Bearer ", "Basic crm-key-0123456789", "crm-key-0123456789", "Bearer crm-key"] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn roles_and_workspaces_limit_a_key() {
        let viewer = Caller::of_key(&key("erp", "k", ApiRole::Viewer));
        assert!(viewer.needs(ApiRole::Viewer).is_ok() && viewer.needs(ApiRole::Operator).is_err());
        assert!(viewer.sees(&"client-a".into()) && !viewer.sees(&WorkspaceId::default()));
        let admin = Caller::of_key(&key("crm", "k", ApiRole::Admin));
        assert_eq!(admin.needs_instance().unwrap_err().code, Code::Forbidden);
        assert!(Caller::local().needs_instance().is_ok() && Caller::local().sees(&"client-a".into()));
    }
}
