//! The mouth: sends by WeCom's client what the outbox decided to say.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::ids::CorpName;
use crate::outbox::route::Way;
use crate::outbox::send::{Attempt, Sender};
use crate::settings::{Corp, Secret, Settings};
use crate::wecom::client::{App, BadApiBase, Client};
use crate::wecom::http::Http;
use crate::wecom::outcome::Outcome;

/// Speaks for every corp of jifen.toml.
#[derive(Debug)]
pub struct Mouth {
    corps: HashMap<CorpName, Speaker>,
}

#[derive(Debug)]
struct Speaker {
    client: Client,
    apps: HashMap<Arc<str>, App>,
    robots: HashMap<Arc<str>, Secret>,
}

/// Why a mouth cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Mute {
    /// The HTTP client does not start.
    #[error("HTTP 客户端起不来:{0}")]
    Http(String),
    /// A corp's `api_base` cannot be used.
    #[error("corp.{corp}:{source}")]
    ApiBase {
        /// The corp.
        corp: String,
        /// Why.
        source: BadApiBase,
    },
}

impl Mouth {
    /// A mouth for these corps; no request is made yet.
    ///
    /// # Errors
    /// See [`Mute`].
    pub fn new(settings: &Settings) -> Result<Self, Mute> {
        let http = Http::new().map_err(Mute::Http)?;
        let speaker = |(name, corp): (&String, &Corp)| match Speaker::new(&http, corp) {
            Ok(speaker) => Ok((CorpName::from(name.as_str()), speaker)),
            Err(source) => Err(Mute::ApiBase { corp: name.clone(), source }),
        };
        Ok(Mouth { corps: settings.corp.iter().map(speaker).collect::<Result<_, _>>()? })
    }
}

impl Speaker {
    fn new(http: &Http, corp: &Corp) -> Result<Self, BadApiBase> {
        let client = Client::new(http.clone(), corp.api_base.as_str())?;
        let app = |app: &crate::settings::App| client.app(app.agent_id, corp.corp_id.as_str(), app.secret.secret());
        let apps = corp.app.iter().map(|(name, settings)| (name.as_str().into(), app(settings))).collect();
        let robots = corp.robot.iter().map(|(name, robot)| (name.as_str().into(), robot.webhook_key.clone())).collect();
        Ok(Speaker { client, apps, robots })
    }

    /// `None` for a way through an app or robot that jifen.toml does not have.
    async fn say(&self, way: &Way, text: &str, mark: u64) -> Option<Outcome> {
        let client = &self.client;
        Some(match way {
            Way::ResponseUrl(url) => client.response_url(url, text).await,
            Way::RobotUrl { url, mention } => client.webhook_url(url, text, &mentioned(mention)).await,
            Way::Webhook { robot, chat, mention } => client.webhook_send(self.robots.get(robot)?.expose(), chat.as_deref(), text, &mentioned(mention)).await,
            Way::Appchat { app, chat } => client.appchat_send(self.apps.get(app)?, chat, text).await,
            Way::Private { app, to } => client.message_send(self.apps.get(app)?, to, text, mark).await,
        })
    }
}

fn mentioned(userid: &Option<Arc<str>>) -> Vec<&str> {
    userid.iter().map(|id| &**id).collect()
}

impl Sender for Mouth {
    async fn send(&self, corp: &CorpName, way: &Way, text: &str, mark: u64) -> Attempt {
        let outcome = match self.corps.get(corp) {
            Some(speaker) => speaker.say(way, text, mark).await,
            None => None,
        };
        match outcome {
            Some(Outcome::Sent { .. }) => Attempt::Sent,
            Some(Outcome::Refused { reason, .. }) => Attempt::Refused(reason.into()),
            Some(Outcome::TooLong { reason }) => Attempt::TooLong(reason.into()),
            Some(Outcome::Busy { reason }) => Attempt::Retry { after_secs: 0, reason: reason.into() },
            Some(Outcome::Unreachable { reason }) => Attempt::Unreachable(reason.into()),
            Some(Outcome::Held { trouble, reason }) => Attempt::Held { trouble, reason: reason.into() },
            Some(Outcome::Unknown { reason }) => Attempt::Unknown(reason.into()),
            None => Attempt::Refused("jifen.toml 里已经没有这条路".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn mouth(api_base: &str) -> Mouth {
        let text = format!(
            "[corp.acme]\ncorp_id = \"ww1\"\napi_base = \"{api_base}\"\n\
             [corp.acme.app.assistant]\nagent_id = 1\nsecret = \"s\"\ntoken = \"t\"\nencoding_aes_key = \"k\"\n\
             [corp.acme.robot.announcer]\nwebhook_key = \"KEY\"\n"
        );
        let settings = Settings::parse(&text).expect("good settings");
        Mouth::new(&settings).expect("a good address")
    }

    #[tokio::test]
    async fn a_dead_api_is_unreachable_whatever_the_way() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let api_base = format!("http://{}", listener.local_addr().expect("bound"));
        drop(listener);
        let mouth = mouth(&api_base);
        for way in [
            Way::Private { app: "assistant".into(), to: "aming".into() },
            Way::Webhook { robot: "announcer".into(), chat: None, mention: Some("aming".into()) },
            Way::ResponseUrl(format!("{api_base}/cgi-bin/aibot/response?response_code=A").into()),
        ] {
            let attempt = mouth.send(&"acme".into(), &way, "你好", 7).await;
            assert!(matches!(attempt, Attempt::Unreachable(_)), "{way:?}: {attempt:?}");
        }
    }

    #[tokio::test]
    async fn what_jifen_toml_no_longer_has_is_refused_with_a_reason() {
        let mouth = mouth("http://127.0.0.1:9");
        let way = Way::Private { app: "gone".into(), to: "aming".into() };
        for corp in ["acme", "gone"] {
            let attempt = mouth.send(&corp.into(), &way, "你好", 7).await;
            assert!(matches!(&attempt, Attempt::Refused(reason) if reason.contains("jifen.toml")), "{attempt:?}");
        }
    }

    #[tokio::test]
    async fn a_reply_address_elsewhere_is_never_called() {
        let way = Way::ResponseUrl("http://127.0.0.1:1/steal".into());
        assert!(matches!(mouth("https://qyapi.weixin.qq.com").send(&"acme".into(), &way, "你好", 7).await, Attempt::Refused(_)));
    }
}
