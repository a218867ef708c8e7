//! A company made up on the spot: its ids, keys, chats and people, and the jifen.toml that fits it.

use std::path::Path;

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};

/// The corp's name in jifen.toml.
pub const CORP: &str = "demo";
/// The self-built app's name in jifen.toml.
pub const APP: &str = "assistant";
/// The AI bot's name in jifen.toml.
pub const AIBOT: &str = "helper";
/// The webhook robot's name in jifen.toml.
pub const ROBOT: &str = "announcer";
/// What people call the bot, and what a group message that @ it begins with.
pub const BOT_TITLE: &str = "积分助手";
/// The caller of the API in jifen.toml.
pub const SHOP: &str = "shop";
/// The employee in the customer group.
pub const STAFF: &str = "店长小周";
/// The employee who may give points by chat, beside [`STAFF`].
pub const OPERATOR: &str = "阿强";
/// The internal group.
pub const INNER_CHAT: &str = "wrDemoInner";
/// The customer group.
pub const CUSTOMER_CHAT: &str = "wrDemoCustomer";

/// A made-up company. Its keys are good for one run.
#[derive(Clone, Serialize, Deserialize)]
pub struct Tenant {
    /// `ww…`
    pub corp_id: String,
    /// AgentId of the app.
    pub agent_id: i64,
    /// Secret of the app.
    pub secret: String,
    /// Callback keys of the app.
    pub app: Pair,
    /// Callback keys of the AI bot.
    pub aibot: Pair,
    /// Callback keys of the webhook robot.
    pub robot: Pair,
    /// The AI bot's id.
    pub aibot_id: String,
    /// The webhook robot's key.
    pub webhook_key: String,
    /// 64 hex characters.
    master: String,
    /// What the shop calls the API with; a company kept from before there was one gets it now.
    #[serde(default = "token")]
    pub api_token: String,
}

/// Token and EncodingAESKey of one callback.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pair {
    /// Token.
    pub token: String,
    /// EncodingAESKey, 43 characters.
    pub aes_key: String,
}

impl Tenant {
    /// A company with fresh keys.
    pub fn generate() -> Self {
        Tenant {
            corp_id: format!("ww{}", hex(8)),
            agent_id: 1_000_002,
            secret: letters(43),
            app: Pair::generate(),
            aibot: Pair::generate(),
            robot: Pair::generate(),
            aibot_id: format!("aib{}", letters(16)),
            webhook_key: hex(16),
            master: hex(32),
            api_token: token(),
        }
    }

    /// Its jifen.toml: everything in `dir`, WeCom's API at `api_base`.
    pub fn settings(&self, dir: &Path, listen: &str, api_base: &str) -> String {
        let text = |value: &str| toml::Value::String(value.to_owned()).to_string();
        let pair = |pair: &Pair| format!("token = {}\nencoding_aes_key = {}\n", text(&pair.token), text(&pair.aes_key));
        let file = |name: &str| dir.join(name).display().to_string();
        [
            format!("listen = {}\n", text(listen)),
            format!("database = {}\nrules = {}\n", text(&format!("sqlite:{}", file("jifen.db"))), text(&file("rules.toml"))),
            format!("[operators]\nmembers = [{}, {}]\nchat = {}\n", text(STAFF), text(OPERATOR), text(INNER_CHAT)),
            format!("[keys]\nmaster = {}\n", text(&self.master)),
            format!("[corp.{CORP}]\ncorp_id = {}\napi_base = {}\n", text(&self.corp_id), text(api_base)),
            format!("[corp.{CORP}.app.{APP}]\nagent_id = {}\nsecret = {}\n{}", self.agent_id, text(&self.secret), pair(&self.app)),
            format!("[corp.{CORP}.aibot.{AIBOT}]\n{}", pair(&self.aibot)),
            format!("[corp.{CORP}.robot.{ROBOT}]\nwebhook_key = {}\ngroups = [{}]\n{}", text(&self.webhook_key), text(INNER_CHAT), pair(&self.robot)),
            format!("[corp.{CORP}.api.{SHOP}]\ntoken = {}\n", text(&self.api_token)),
        ]
        .join("\n")
    }
}

impl Pair {
    fn generate() -> Self {
        Pair { token: letters(24), aes_key: letters(43) }
    }
}

fn token() -> String {
    letters(32)
}

/// So many random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system's random source works");
    bytes
}

/// So many random bytes (at most 32) as hex.
pub fn hex(bytes: usize) -> String {
    random::<32>().iter().take(bytes).map(|byte| format!("{byte:02x}")).collect()
}

/// So many (at most 43) of `[A-Za-z0-9]`, the alphabet WeCom's console generates keys from. Good for a demo: slightly uneven.
fn letters(count: usize) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    random::<43>().iter().take(count).map(|&byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn its_jifen_toml_is_accepted() {
        let tenant = Tenant::generate();
        let settings = Settings::parse(&tenant.settings(Path::new("/tmp/演示 \"x\""), "127.0.0.1:0", "http://127.0.0.1:1")).unwrap();
        let corp = &settings.corp[CORP];
        assert_eq!(corp.app[APP].encoding_aes_key.expose().len(), 43);
        assert_eq!(corp.robot[ROBOT].groups[0].as_str(), INNER_CHAT);
        assert_eq!(corp.api[SHOP].token.expose(), tenant.api_token);
        assert_eq!(settings.keys.unwrap().master.expose().len(), 64);
    }
}
