//! Which way out: the ways a reply may take, best first, from what its chat and its corp have. Pure.
//!
//! What WeCom allows (developer.work.weixin.qq.com): an AI bot's `response_url` takes one call within the hour (101138); a group robot
//! speaks only in internal groups it sits in, with a real @ (91770); `appchat/send` reaches only groups the app itself created
//! (90248); `message/send` reaches employees (90236); nothing answers by itself in a customer group.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::model::event::{Channel, IdentityKind};
use crate::settings::Corp;
use crate::store::Destination;
use crate::wecom::client::{MARKDOWN_BYTES_MAX, TEXT_BYTES_MAX};

const PRIVATE: &str = "private";

/// What a corp can speak with.
#[derive(Debug, Clone, Default)]
pub struct Outlets {
    /// Self-built apps, by name.
    pub apps: Vec<Outlet>,
    /// Group robots, by name.
    pub robots: Vec<Outlet>,
}

/// One app or robot.
#[derive(Debug, Clone)]
pub struct Outlet {
    /// Its name in jifen.toml.
    pub name: Arc<str>,
    /// Chat ids it can speak in.
    pub groups: Vec<Arc<str>>,
}

impl Outlets {
    /// Those of a corp in jifen.toml.
    pub fn of(corp: &Corp) -> Self {
        let outlet = |name: &String, groups: &[crate::settings::Text]| Outlet {
            name: name.as_str().into(),
            groups: groups.iter().map(|group| group.as_str().into()).collect(),
        };
        Outlets {
            apps: corp.app.iter().map(|(name, app)| outlet(name, &app.groups)).collect(),
            robots: corp.robot.iter().map(|(name, robot)| outlet(name, &robot.groups)).collect(),
        }
    }

    /// Chat ids that any of them can speak in.
    pub fn rooms(&self) -> impl Iterator<Item = &Arc<str>> {
        self.apps.iter().chain(&self.robots).flat_map(|outlet| &outlet.groups)
    }
}

/// A way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// The AI bot's address for this one answer, markdown.
    ResponseUrl(Arc<str>),
    /// The address a group robot left with the message; may be used again.
    RobotUrl {
        /// The address.
        url: Arc<str>,
        /// Userid to @.
        mention: Option<Arc<str>>,
    },
    /// A group robot that sits in the group.
    Webhook {
        /// Its name in jifen.toml.
        robot: Arc<str>,
        /// The chat id, where it sits in several groups: else it would speak in all of them.
        chat: Option<Arc<str>>,
        /// Userid to @.
        mention: Option<Arc<str>>,
    },
    /// A group that an app created.
    Appchat {
        /// The app's name in jifen.toml.
        app: Arc<str>,
        /// The chat id.
        chat: Arc<str>,
    },
    /// A private message to an employee.
    Private {
        /// The app's name in jifen.toml.
        app: Arc<str>,
        /// The userid.
        to: Arc<str>,
    },
}

impl Way {
    /// The word used in reasons and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Way::ResponseUrl(_) => "response_url",
            Way::RobotUrl { .. } => "robot_url",
            Way::Webhook { .. } => "webhook",
            Way::Appchat { .. } => "appchat",
            Way::Private { .. } => PRIVATE,
        }
    }

    /// Whether it can be used for one call only.
    pub fn is_one_shot(&self) -> bool {
        matches!(self, Way::ResponseUrl(_))
    }

    /// Whether a message may be sent again when nobody knows what became of it: WeCom itself drops the same `message/send` (90236).
    pub fn may_repeat(&self) -> bool {
        matches!(self, Way::Private { .. })
    }

    /// What a claim of these texts says: the way, and where they may be repeated a hash of them. An answer may read otherwise a moment
    /// later, and WeCom drops only what is the same.
    pub fn claim(&self, texts: &[String]) -> String {
        if !self.may_repeat() {
            return self.as_str().into();
        }
        let hash = Sha256::digest(texts.join("\0").as_bytes());
        format!("{}#{:08x}", self.as_str(), u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]))
    }

    /// Whether what was claimed so ([`Way::claim`]) may be repeated.
    pub fn claim_may_repeat(claim: &str) -> bool {
        claim.split_once('#').is_some_and(|(way, _)| way == PRIVATE)
    }

    /// Bytes of one message.
    pub fn bytes_max(&self) -> usize {
        match self {
            Way::ResponseUrl(_) => MARKDOWN_BYTES_MAX,
            Way::RobotUrl { .. } | Way::Webhook { .. } | Way::Appchat { .. } | Way::Private { .. } => TEXT_BYTES_MAX,
        }
    }
}

/// The ways to a destination, best first; empty when there is none ([`no_way`] says why).
pub fn route(destination: &Destination, outlets: &Outlets) -> Vec<Way> {
    let userid = userid(destination);
    let mention = destination.chat.as_ref().and(userid).cloned();
    let mut ways = Vec::new();
    ways.extend(asked_bot(destination, mention.as_ref()));
    if let Some(chat) = &destination.chat {
        let sits_in = |outlet: &&Outlet| outlet.groups.contains(chat);
        ways.extend(outlets.robots.iter().find(sits_in).map(|robot| robot_in(robot, chat, mention)));
        ways.extend(outlets.apps.iter().find(sits_in).map(|app| Way::Appchat { app: app.name.clone(), chat: chat.clone() }));
    }
    let app = outlets.apps.iter().find(|app| destination.channel == Channel::App && app.name == destination.channel_name).or(outlets.apps.first());
    if let (Some(app), Some(to)) = (app, userid) {
        ways.push(Way::Private { app: app.name.clone(), to: to.clone() });
    }
    ways
}

/// Why nothing can be said there, for the operator.
pub fn no_way(destination: &Destination) -> &'static str {
    match (&destination.chat, userid(destination)) {
        (Some(_), _) if destination.customers => "这个群没有自动回复的办法:企业微信不让机器人和应用在客户群里发言",
        (Some(_), _) => "这个群没有自动回复的办法:没有配置群机器人(groups),也没有可以私信的应用",
        (None, None) => "没有办法回复:外部联系人不能由应用私信",
        (None, Some(_)) => "没有办法回复:没有配置可以私信的应用",
    }
}

fn robot_in(robot: &Outlet, chat: &Arc<str>, mention: Option<Arc<str>>) -> Way {
    Way::Webhook { robot: robot.name.clone(), chat: (robot.groups.len() > 1).then(|| chat.clone()), mention }
}

fn asked_bot(destination: &Destination, mention: Option<&Arc<str>>) -> Option<Way> {
    let url = destination.reply_url.clone()?;
    match destination.channel {
        Channel::Aibot => Some(Way::ResponseUrl(url)),
        Channel::Robot => Some(Way::RobotUrl { url, mention: mention.cloned() }),
        Channel::App | Channel::Archive | Channel::Replay | Channel::Api | Channel::House => None,
    }
}

fn userid(destination: &Destination) -> Option<&Arc<str>> {
    match &destination.to {
        Some((IdentityKind::Userid, id)) => Some(id),
        Some((IdentityKind::External, _)) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::fakes;

    fn outlets() -> Outlets {
        let outlet = |name: &str, groups: &[&str]| Outlet { name: name.into(), groups: groups.iter().map(|&group| group.into()).collect() };
        Outlets { apps: vec![outlet("assistant", &["wrCreated"]), outlet("mall", &[])], robots: vec![outlet("announcer", &["wrGroup"])] }
    }

    fn names(destination: &Destination) -> Vec<&'static str> {
        route(destination, &outlets()).iter().map(Way::as_str).collect()
    }

    #[test]
    fn each_chat_has_its_ways_best_first() {
        let aibot = |chat| fakes::destination(Channel::Aibot, chat, Some("https://api.test/response"));
        let robot = |chat| fakes::destination(Channel::Robot, chat, Some("https://api.test/webhook"));
        let app = |chat| fakes::destination(Channel::App, chat, None);
        let heard = |chat| fakes::destination(Channel::Archive, chat, None);
        for (case, destination, ways) in [
            ("AI bot in a group", aibot(Some("wrGroup")), vec!["response_url", "webhook", "private"]),
            ("AI bot alone", aibot(None), vec!["response_url", "private"]),
            ("robot in a group", robot(Some("wrGroup")), vec!["robot_url", "webhook", "private"]),
            ("robot alone", robot(None), vec!["robot_url", "private"]),
            ("app alone", app(None), vec!["private"]),
            ("archive, group with a robot", heard(Some("wrGroup")), vec!["webhook", "private"]),
            ("archive, group of the app", heard(Some("wrCreated")), vec!["appchat", "private"]),
            ("archive, any other group", heard(Some("wrOther")), vec!["private"]),
        ] {
            assert_eq!(names(&destination), ways, "{case}");
        }
    }

    #[test]
    fn a_customer_in_a_customer_group_cannot_be_answered_and_the_reason_says_so() {
        let mut destination = fakes::destination(Channel::Archive, Some("wrCustomers"), None);
        destination.customers = true;
        destination.to = Some((IdentityKind::External, "wmCustomer".into()));
        assert!(route(&destination, &outlets()).is_empty());
        assert!(no_way(&destination).contains("客户群"));
    }

    #[test]
    fn the_app_that_was_written_to_answers() {
        let mut destination = fakes::destination(Channel::App, None, None);
        destination.channel_name = "mall".into();
        assert_eq!(route(&destination, &outlets()), [Way::Private { app: "mall".into(), to: "aming".into() }]);
    }

    #[test]
    fn a_robot_of_several_groups_is_told_in_which_to_speak() {
        let mut outlets = outlets();
        outlets.robots[0].groups.push("wrThird".into());
        let way = route(&fakes::destination(Channel::Archive, Some("wrThird"), None), &outlets).remove(0);
        assert_eq!(way, Way::Webhook { robot: "announcer".into(), chat: Some("wrThird".into()), mention: Some("aming".into()) });
    }

    #[test]
    fn a_real_mention_is_for_employees_in_groups_only() {
        let mut destination = fakes::destination(Channel::Archive, Some("wrGroup"), None);
        assert_eq!(route(&destination, &outlets())[0], Way::Webhook { robot: "announcer".into(), chat: None, mention: Some("aming".into()) });
        destination.to = Some((IdentityKind::External, "wmCustomer".into()));
        assert_eq!(route(&destination, &outlets()), [Way::Webhook { robot: "announcer".into(), chat: None, mention: None }]);
        assert_eq!(asked_bot(&fakes::destination(Channel::Robot, None, Some("u")), None), Some(Way::RobotUrl { url: "u".into(), mention: None }));
    }
}
