//! jifen.toml: deployment, never behaviour. Any string may be `env:NAME` or `file:PATH`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de};

/// Names of `/wecom/{corp}/{channel}` that belong to channels without a name of their own.
pub const RESERVED_CHANNELS: [&str; 4] = ["contact", "kf", "archive", "api"];

/// A whole jifen.toml.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address to listen on; loopback unless told. Port 0 takes a free one.
    #[serde(default = "default_listen")]
    pub listen: Text,
    /// How the outside reaches us, for links.
    pub public_url: Option<Text>,
    /// `sqlite:PATH`.
    #[serde(default = "default_database")]
    pub database: Text,
    /// The operators' file.
    #[serde(default = "default_rules")]
    pub rules: Text,
    /// Keys.
    pub keys: Option<Keys>,
    /// Corps by name.
    #[serde(default)]
    pub corp: BTreeMap<String, Corp>,
    /// Who may act for the programme.
    #[serde(default)]
    pub operators: Operators,
    /// How long personal data is kept.
    #[serde(default)]
    pub retention: Retention,
}

/// `[keys]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// 32 bytes as 64 hex characters; a line end is allowed. Seals texts at rest and keys the fingerprints.
    pub master: Secret,
}

/// `[corp.<name>]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corp {
    /// The tenant's id: `ww…`.
    pub corp_id: Text,
    /// Where WeCom's API is; tests and the demo point it elsewhere.
    #[serde(default = "default_api_base")]
    pub api_base: Text,
    /// 自建应用
    #[serde(default)]
    pub app: BTreeMap<String, App>,
    /// 智能机器人
    #[serde(default)]
    pub aibot: BTreeMap<String, Aibot>,
    /// 群机器人
    #[serde(default)]
    pub robot: BTreeMap<String, Robot>,
    /// 客户联系: comes in a later version; refused with a sentence.
    contact: Option<toml::Table>,
    /// 微信客服: comes in a later version.
    kf: Option<toml::Table>,
    /// 会话内容存档: comes in a later version.
    archive: Option<toml::Table>,
    /// Callers of `/api/v1`, by name.
    #[serde(default)]
    pub api: BTreeMap<String, Caller>,
}

/// `[corp.<name>.api.<name>]`: a shop, a form, a mini-program that tells what happened.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// What it sends as `Authorization: Bearer …`; unique among all callers.
    pub token: Secret,
    /// The token before a rotation.
    pub token_old: Option<Secret>,
}

/// Fewest bytes of a caller's token: less can be guessed by trying.
const TOKEN_BYTES_MIN: usize = 16;

/// Token and key of a callback; the old pair is accepted beside the new one during a rotation.
#[derive(Debug, Clone, Deserialize)]
pub struct CallbackKeys {
    /// Token.
    pub token: Secret,
    /// EncodingAESKey, 43 characters.
    pub encoding_aes_key: Secret,
    /// The token before the rotation.
    pub token_old: Option<Secret>,
    /// The key before the rotation.
    pub encoding_aes_key_old: Option<Secret>,
}

/// `[corp.<name>.app.<name>]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// AgentId.
    pub agent_id: i64,
    /// Secret, for access tokens.
    pub secret: Secret,
    /// Token of the callback.
    pub token: Secret,
    /// EncodingAESKey of the callback.
    pub encoding_aes_key: Secret,
    /// The token before a rotation.
    pub token_old: Option<Secret>,
    /// The key before a rotation.
    pub encoding_aes_key_old: Option<Secret>,
    /// Chat ids of groups that this app created (`appchat/create`): it can speak in them.
    #[serde(default)]
    pub groups: Vec<Text>,
}

/// `[corp.<name>.aibot.<name>]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aibot {
    /// How it is heard; URL callbacks are what this version has.
    #[serde(default)]
    pub mode: AibotMode,
    /// Token of the callback.
    pub token: Secret,
    /// EncodingAESKey of the callback.
    pub encoding_aes_key: Secret,
    /// The token before a rotation.
    pub token_old: Option<Secret>,
    /// The key before a rotation.
    pub encoding_aes_key_old: Option<Secret>,
}

/// `mode` of an AI bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AibotMode {
    /// WeCom POSTs to us.
    #[default]
    Callback,
}

/// `[corp.<name>.robot.<name>]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Robot {
    /// The `key` of its webhook address.
    pub webhook_key: Secret,
    /// Chat ids of the groups it sits in.
    #[serde(default)]
    pub groups: Vec<Text>,
    /// Token, where the tenant has the callback.
    pub token: Option<Secret>,
    /// EncodingAESKey, where the tenant has the callback.
    pub encoding_aes_key: Option<Secret>,
    /// The token before a rotation.
    pub token_old: Option<Secret>,
    /// The key before a rotation.
    pub encoding_aes_key_old: Option<Secret>,
}

/// `[operators]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operators {
    /// Userids of people who may act by chat.
    #[serde(default)]
    pub members: Vec<Text>,
    /// Chat id where alarms go.
    pub chat: Option<Text>,
}

/// `[retention]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// How long texts are kept, in days: `90d`. Verdicts and amounts stay for ever.
    #[serde(default = "default_texts")]
    pub texts: Text,
}

impl Retention {
    /// Days that texts are kept; `None` when it is not written as days.
    pub fn texts_days(&self) -> Option<u32> {
        self.texts.as_str().strip_suffix('d')?.parse().ok().filter(|days| *days > 0)
    }
}

impl Default for Retention {
    fn default() -> Self {
        Retention { texts: default_texts() }
    }
}

fn default_listen() -> Text {
    Text("127.0.0.1:8080".into())
}

fn default_database() -> Text {
    Text("sqlite:jifen.db".into())
}

fn default_rules() -> Text {
    Text("rules.toml".into())
}

fn default_api_base() -> Text {
    Text("https://qyapi.weixin.qq.com".into())
}

fn default_texts() -> Text {
    Text("90d".into())
}

impl App {
    /// Token and key of its callback.
    pub fn callback_keys(&self) -> CallbackKeys {
        CallbackKeys {
            token: self.token.clone(),
            encoding_aes_key: self.encoding_aes_key.clone(),
            token_old: self.token_old.clone(),
            encoding_aes_key_old: self.encoding_aes_key_old.clone(),
        }
    }
}

impl Aibot {
    /// Token and key of its callback.
    pub fn callback_keys(&self) -> CallbackKeys {
        CallbackKeys {
            token: self.token.clone(),
            encoding_aes_key: self.encoding_aes_key.clone(),
            token_old: self.token_old.clone(),
            encoding_aes_key_old: self.encoding_aes_key_old.clone(),
        }
    }
}

impl Robot {
    /// Token and key of its callback, where the tenant has one.
    pub fn callback_keys(&self) -> Option<CallbackKeys> {
        Some(CallbackKeys {
            token: self.token.clone()?,
            encoding_aes_key: self.encoding_aes_key.clone()?,
            token_old: self.token_old.clone(),
            encoding_aes_key_old: self.encoding_aes_key_old.clone(),
        })
    }
}

/// A string of jifen.toml with `env:` and `file:` followed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(pub String);

impl Text {
    /// The string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        follow(&String::deserialize(deserializer)?).map(Text).map_err(de::Error::custom)
    }
}

/// A string that is never printed.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// A secret of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(SecretString::from(text.into()))
    }

    /// The secret, for who keeps it.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = follow(&String::deserialize(deserializer)?).map_err(de::Error::custom)?;
        Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
    }
}

/// Follows `env:NAME` and `file:PATH`.
fn follow(text: &str) -> Result<String, String> {
    if let Some(name) = text.strip_prefix("env:") {
        return std::env::var(name).map_err(|_| format!("环境变量 {name} 没有设置(写的是 env:{name})"));
    }
    if let Some(path) = text.strip_prefix("file:") {
        return std::fs::read_to_string(path).map_err(|error| format!("读不到文件 {path}:{error}"));
    }
    Ok(text.to_owned())
}

/// Why jifen.toml cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("读不到配置文件 {path}:{source}。用 --config 指明它在哪里")]
    Unreadable {
        /// The path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it must be.
    #[error("{path} 有误:{text}")]
    Invalid {
        /// The path.
        path: String,
        /// All that is wrong.
        text: String,
    },
}

impl Settings {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Unreadable { path: path.display().to_string(), source })?;
        Self::parse(&text).map_err(|text| SettingsError::Invalid { path: path.display().to_string(), text })
    }

    /// Reads and checks a text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let settings: Settings = toml::from_str(text).map_err(|error| error.to_string())?;
        let mistakes = settings.mistakes();
        if mistakes.is_empty() { Ok(settings) } else { Err(mistakes.join(";")) }
    }

    /// The file of an SQLite database.
    pub fn database_path(&self) -> Option<PathBuf> {
        self.database.as_str().strip_prefix("sqlite:").map(PathBuf::from)
    }

    /// A token names one caller, and no caller's name can be taken for another's in the source of an event.
    fn caller_mistakes(&self) -> Vec<String> {
        let (mut mistakes, mut tokens): (Vec<String>, Vec<(&str, String)>) = Default::default();
        let callers =
            self.corp.iter().flat_map(|(corp, settings)| settings.api.iter().map(move |(name, caller)| (format!("corp.{corp}.api.{name}"), name, caller)));
        for (place, name, caller) in callers {
            if name.is_empty() || name.contains('/') || name.chars().any(char::is_control) {
                mistakes.push(format!("{place}:名字里不能有 / 和控制字符,也不能是空的"));
            }
            for token in std::iter::once(&caller.token).chain(&caller.token_old).map(Secret::expose) {
                if token.len() < TOKEN_BYTES_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                    mistakes.push(format!("{place}:token 要 {TOKEN_BYTES_MIN} 个字符以上,只用字母、数字和英文符号。生成一个:openssl rand -hex 32"));
                }
                match tokens.iter().find(|(known, _)| *known == token) {
                    Some((_, other)) => mistakes.push(format!("{place} 和 {other} 的 token 一样;每个令牌要各不相同,来源才分得清")),
                    None => tokens.push((token, place.clone())),
                }
            }
        }
        mistakes
    }

    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = self.caller_mistakes();
        if self.database_path().is_none() {
            mistakes.push(format!("database = \"{}\":这一版只支持 sqlite:路径", self.database.as_str()));
        }
        if self.retention.texts_days().is_none() {
            mistakes.push(format!("[retention] texts = \"{}\":请写天数,例如 \"90d\"", self.retention.texts.as_str()));
        }
        for (name, corp) in &self.corp {
            for (channel, written) in [("contact", &corp.contact), ("kf", &corp.kf), ("archive", &corp.archive)] {
                if written.is_some() {
                    mistakes.push(format!("corp.{name}.{channel}:这一版还没有这个通道,请先去掉这一段(写着却不起作用,会让人误以为听得到)"));
                }
            }
            let mut seen: Vec<&str> = Vec::new();
            for channel in corp.app.keys().chain(corp.aibot.keys()).chain(corp.robot.keys()) {
                if RESERVED_CHANNELS.contains(&channel.as_str()) {
                    mistakes.push(format!("corp.{name}:通道名 {channel} 是保留字,请换一个名字"));
                }
                if seen.contains(&channel.as_str()) {
                    mistakes.push(format!(
                        "corp.{name}:有两个通道都叫 {channel};app、aibot、robot 的名字合在一起也不能重复,因为它就是回调地址 /wecom/{name}/{channel}"
                    ));
                }
                seen.push(channel);
            }
            if !corp.api_base.as_str().starts_with("https://") && !corp.api_base.as_str().starts_with("http://") {
                mistakes.push(format!("corp.{name}:api_base 要以 https:// 开头"));
            }
            for (robot_name, robot) in &corp.robot {
                if robot.token.is_some() != robot.encoding_aes_key.is_some() {
                    mistakes.push(format!("corp.{name}.robot.{robot_name}:token 和 encoding_aes_key 要么都写,要么都不写"));
                }
            }
        }
        mistakes
    }
}
