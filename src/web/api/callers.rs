//! Who may call: tokens compared without telling by time how much of one was right.

use axum::http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Mistake;
use crate::model::ids::CorpName;
use crate::settings::{Secret, Settings};

/// Everybody who may call.
#[derive(Default)]
pub struct Callers(Vec<Caller>);

/// One who may call.
pub struct Caller {
    /// Its place among all, for what is counted of each.
    pub index: usize,
    /// The corp it speaks for.
    pub corp: CorpName,
    /// Its name in jifen.toml.
    pub name: String,
    /// SHA-256 of its tokens: of one length, and nothing that could be printed.
    tokens: Vec<[u8; 32]>,
}

impl Callers {
    /// Those of jifen.toml.
    pub fn from_settings(settings: &Settings) -> Self {
        let all = settings.corp.iter().flat_map(|(corp, settings)| settings.api.iter().map(move |(name, caller)| (corp, name, caller)));
        let callers = all.enumerate().map(|(index, (corp, name, caller))| Caller {
            index,
            corp: corp.as_str().into(),
            name: name.clone(),
            tokens: std::iter::once(&caller.token).chain(&caller.token_old).map(Secret::expose).map(digest).collect(),
        });
        Callers(callers.collect())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Who calls.
    ///
    /// # Errors
    /// 401: nobody we know.
    pub fn who(&self, headers: &HeaderMap) -> Result<&Caller, Mistake> {
        let unauthorized = |error: &str| Mistake::new(StatusCode::UNAUTHORIZED, error);
        let Some(given) = headers.get(header::AUTHORIZATION) else {
            return Err(unauthorized("请带上令牌:Authorization: Bearer <令牌>;令牌写在 jifen.toml 的 [corp.<企业>.api.<名字>] token"));
        };
        let token = given.to_str().ok().and_then(|given| given.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (_, token) = token.ok_or_else(|| unauthorized("Authorization 要写成:Bearer <令牌>"))?;
        let token = digest(token.trim());
        // All are compared, so that the time taken tells nothing of which is near.
        let found = self.0.iter().fold(None, |found, caller| if caller.holds(&token) { Some(caller) } else { found });
        found.ok_or_else(|| unauthorized("没有这个令牌。请核对 jifen.toml 的 [corp.<企业>.api.<名字>] token;改过以后要重启 jifen"))
    }
}

impl Caller {
    /// `corp/name`, for logs and metrics.
    pub fn label(&self) -> String {
        format!("{}/{}", self.corp, self.name)
    }

    fn holds(&self, token: &[u8; 32]) -> bool {
        self.tokens.iter().fold(subtle::Choice::from(0), |any, own| any | own.ct_eq(token)).into()
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
