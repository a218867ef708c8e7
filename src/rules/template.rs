//! Texts: the default replies, operators' own, and rendering them (strict, bounded by fuel; names and texts are data).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use crate::model::decision::{Arg, Args};
use crate::model::reply::{Occasion, Reply, Template};
use crate::rules::answer::own_text;
use crate::rules::assistant::Assistant;
use crate::rules::campaign::{Campaign, RuleEntry, Rules};
use crate::rules::text::{display_name, printable};
use crate::rules::variables::{Sort, Variable, variables};

/// Characters of one message; WeCom takes 2 048 bytes of text in most calls, and the channel cuts at its own bound.
pub const MESSAGE_CHARS_MAX: usize = 4_096;

/// Instructions one rendering may take: a thousand times what the longest default text needs.
const FUEL: u64 = 50_000;

/// Stands for a link that is not set; lines that hold it are dropped. A private-use character, which data never holds ([`printable`]).
const NO_LINK: &str = "\u{e000}";

/// All compiled texts of a rules.toml.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    /// The messages of each text, by their names in `environment`.
    texts: HashMap<Template, Vec<String>>,
}

/// The variables of one rendering, under both their names.
type Context = BTreeMap<&'static str, Value>;

/// Why a text could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The text is not what the check at loading let through, or took too long.
    #[error("模板出错:{0}")]
    Failed(String),
}

/// The default texts.
static DEFAULTS: LazyLock<Templates> = LazyLock::new(|| {
    let texts: Vec<(Template, Vec<String>)> =
        OCCASIONS.iter().map(|&occasion| (Template { occasion, rule: None }, vec![default_text(occasion).to_owned()])).collect();
    Templates::compile(&texts).expect("every default text is checked by a test")
});

/// All occasions.
pub const OCCASIONS: [Occasion; 31] = [
    Occasion::Paid,
    Occasion::Already,
    Occasion::Outside,
    Occasion::Capped,
    Occasion::Refused,
    Occasion::Balance,
    Occasion::Today,
    Occasion::Rank,
    Occasion::Why,
    Occasion::History,
    Occasion::Rules,
    Occasion::Help,
    Occasion::NotUnderstood,
    Occasion::NoCampaign,
    Occasion::Digest,
    Occasion::Expiring,
    Occasion::Missing,
    Occasion::Used,
    Occasion::Granted,
    Occasion::Done,
    Occasion::Alarm,
    Occasion::Tasks,
    Occasion::BoardChoice,
    Occasion::Risen,
    Occasion::Level,
    Occasion::Affinity,
    Occasion::Titles,
    Occasion::TitleWon,
    Occasion::MadeUp,
    Occasion::Calendar,
    Occasion::Posted,
];

/// What is said when the operator wrote nothing of their own.
pub fn default_text(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::Paid => {
            "{{昵称}} {{标题}}{% if 标题 is endingwith('签到') or 标题 is endingwith('打卡') %}成功{% endif %} +{{得分}}{% if 加成 %}({{加成}}){% endif %}{% if 封顶 %}(已到上限){% elif 名次奖 and 档位 %}(含连签 {{档位}} 天和第 {{名次}} 名 +{{奖励}}){% elif 名次奖 %}(第 {{名次}} 名 +{{名次奖}}){% elif 奖励 %}(含连签 {{档位}} 天 +{{奖励}}){% endif %}{% if 生效 %}(待生效至 {{生效}}){% endif %}\
             {% if 连续 > 1 %},连续 {{连续}} 天{% endif %}{% if 再签 and not 奖励 %}(再签 {{再签}} 天 +{{再得}}){% endif %},\
             现有 {{余额}} {{积分名}}。{% if 奖励 and not 封顶 %}🎉{% endif %}\
             {% if 升到 %}\n🎉 升到「{{升到}}」{% if 升级可得 %}:{{升级可得}}{% endif %}。{% endif %}"
        }
        Occasion::Already => {
            "{% if 标题|length > 2 %}「{{标题}}」{% endif %}{% if 次数 > 1 %}{{周期}}{% else %}{{时间}} {% endif %}已{% if 标题|length > 2 %}记{% else %}{{标题}}{% endif %}\
             {% if 次数 > 1 %} {{次数}} 次{% endif %} +{{已得}}\
             {% if 重置 %},{{重置}} 后再来{% endif %}。现有 {{余额}} {{积分名}}。"
        }
        Occasion::Outside => "「{{标题}}」{{开放}} 开放,现在不计分。",
        Occasion::Capped => "{{周期}}的{{标题}}{{积分名}}已满 {{已用}}/{{上限}}{% if 重置 %},{{重置}} 重置{% endif %}。",
        Occasion::Refused => "「{{标题}}」这次没有计分:{{原因}}。",
        Occasion::Balance => {
            "{{昵称}}:现有 {{余额}} {{积分名}}{% if 待生效 %},待生效 {{待生效}}({{生效}}){% endif %}{% if 冻结 %},冻结 {{冻结}}{% endif %}\
             {% if 有期限 %},30 天内到期 {{快过期}}{% endif %}。{% if 等级 %}等级:{{等级}}{% if 下一级 %}(再得 {{还差}} 到{{下一级}}){% endif %}。{% endif %}\
             {% if 今天还能拿 %}今天还能拿:{{今天还能拿}}。{% endif %}\
             {% for 项 in 其他 %}\n{{项.活动}}:现有 {{项.余额}} {{项.积分名}}。{% endfor %}"
        }
        Occasion::Today => "{% if 今天还能拿 %}今天还能拿:{{今天还能拿}}。{% else %}今天没有还能拿的{{积分名}}了,{{重置}} 以后再来。{% endif %}",
        Occasion::Rank => {
            "{% if 说明 %}{{说明}}{% else %}{% if 榜 %}{{榜名}}{% if 定榜 %}(已定榜){% elif 截至 %}(截至 {{截至}}){% endif %}\n\
             {% for 项 in 榜 %}{{项.名次}} {{项.昵称}} {{项.得分}}{% if not loop.last %} · {% endif %}{% endfor %}\
             {% if 有并列 %}\n同分并列,先到的排在前面。{% endif %}\
             {% else %}{{榜名}}上还没有人。{% endif %}\
             {% if 我的名次 %}\n你:第 {{我的名次}} 名{% if 我并列 %}(并列){% endif %},{{我的得分}} 分{% if 差距 %},距上一名 {{差距}} 分{% endif %}。{% endif %}\
             {% if 已退出 %}\n你已退出排行,别人看不到你{% if not 我的名次 %};自己的名次请单聊问我{% endif %}。{% endif %}{% endif %}"
        }
        Occasion::Why => {
            "{% if 条目 %}你最近 {{条目|length}} 条:{% for 项 in 条目 %}\n{{项.时间}}{% if 项.内容 %}「{{项.内容}}」{% endif %} {{项.说明}}{% endfor %}\
             {% else %}最近没有看到你在这里的消息。{% endif %}"
        }
        Occasion::History => {
            "{% if 明细 %}最近 {{明细|length}} 笔:{% for 项 in 明细 %}\n{{项.时间}} {{项.标题}} {% if 项.得分 > 0 %}+{% endif %}{{项.得分}}{% if 项.生效 %}(待生效至 {{项.生效}}){% endif %},余 {{项.余额}}{% endfor %}\
             {% else %}你还没有{{积分名}}记录。{% endif %}"
        }
        Occasion::Rules => {
            "{% if 条目 %}{{积分名}}规则:{% for 项 in 条目 %}\n· {{项.标题}}:{{项.内容}}{% endfor %}{% if 上限 %}\n全部加起来{{上限}}。{% endif %}\
             {% else %}现在没有可以得{{积分名}}的规则。{% endif %}"
        }
        Occasion::Help => {
            "{% if 口令 %}{% if 只听艾特 %}@我 {% endif %}发{{口令}}领{{积分名}}。{% endif %}{% if 单聊 %}直接发就能查{% else %}@我 可查{% endif %}:{{可查}}。"
        }
        Occasion::NotUnderstood => "没看懂。发「{{帮助}}」看能问什么{% if not 单聊 %};要找人工请 @群主{% endif %}。",
        Occasion::NoCampaign => "这个聊天里没有积分活动,请到活动群里 @我。",
        Occasion::Expiring => {
            "{{昵称}},你有{{积分名}}快到期了:{% for 项 in 到期 %}\n· {{项.得分}} {{积分名}},有效至 {{项.日期}}{% endfor %}\n\
             现有 {{余额}} {{积分名}}{% if 不活跃 %},在那以前得一次分,长期没得分要清的就不清了{% endif %}。\n去兑换:{{商城}}"
        }
        Occasion::Missing => "还差{{还差}},{{限时}}内发到{% if 单聊 %}这里{% else %}群里{% endif %}就行,不用重发口令。",
        Occasion::Used => "{{用过的}}用过了,请换本次的{{要换的}}。弄错了?请找 @群主。",
        Occasion::Granted => "{{昵称}}:管理员给你{% if 扣分 %}扣了 {{扣分}}{% else %}加了 {{得分}}{% endif %} {{积分名}}({{原因}}),现有 {{余额}} {{积分名}}。",
        Occasion::Done => "{{说明}}。",
        Occasion::Alarm => "【提醒】{{说明}}。",
        Occasion::Digest => {
            "【{{标题}}播报 {{起}}–{{止}}】{% for 项 in 项目 %}{% if 项.人数 > 5 %}{{项.人数}} 位{% else %}{{项.名单}} {% endif %}\
             {% if 项.标题 is endingwith('签到') or 项.标题 is endingwith('打卡') %}{{项.标题}}成功{% else %}完成「{{项.标题}}」{% endif %},\
             {% if 项.人数 > 1 %}每人 {% endif %}+{{项.得分}}{% if 项.最多 > 项.得分 %} 到 +{{项.最多}}{% endif %}\
             {% for 奖 in 项.连签 %};{% if 奖.档位 %}连签 {{奖.档位}} 天{% else %}最先的几位{% endif %} +{{奖.奖励}}:{{奖.名单}}{% endfor %}。{% endfor %}\
             {% if 为什么 %}没记上?@{{助手}} 发「{{为什么}}」。{% endif %}"
        }
        Occasion::Tasks => {
            "{% if 任务 %}任务:{% for 项 in 任务 %}\n· {{项.标题}} +{{项.得分}}{% if 项.已得 %}({{项.周期}}已完成){% else %},已完成 {{项.完成}}/{{项.共}}{% endif %}:\
             {% for 步 in 项.步骤 %}{% if 步.完成 %}✅{% else %}⬜{% endif %}{{步.标题}}{% if 步.得分 and not 步.完成 %} +{{步.得分}}{% endif %}{% if not loop.last %} {% endif %}{% endfor %}{% endfor %}\
             {% else %}现在没有任务。{% endif %}{% if 今天还能拿 %}\n今天还能拿:{{今天还能拿}}。{% endif %}"
        }
        Occasion::BoardChoice => {
            "{% if 说明 %}{{说明}}{% elif 已退出 %}已退出排行,榜上不再有你;积分照得,自己的名次可以单聊问我。想回来就发「{{加入排行}}」。\
             {% else %}已加入排行。想退出就发「{{退出排行}}」。{% endif %}"
        }
        Occasion::Risen => "🎉 {{昵称}} 升到「{{升到}}」{% if 升级可得 %}:{{升级可得}}{% endif %}。",
        Occasion::Level => {
            "{% if 阶梯 %}{{昵称}}:{% if 等级 %}{{等级}}{% if 倍数 %}(得分 {{倍数}}){% endif %}{% else %}还没有等级{% endif %},累计得过 {{累计}} {{积分名}}。\
             {% if 下一级 %}再得 {{还差}} 到「{{下一级}}」{% if 下一级可得 %}:{{下一级可得}}{% endif %}。{% else %}已是最高一级。{% endif %}\
             {% for 项 in 阶梯 %}\n{% if 项.现在 %}▶ {% endif %}{{项.等级}}:累计 {{项.累计}} 起{% if 项.倍数 %},得分 {{项.倍数}}{% endif %}{% endfor %}\
             {% else %}这个活动没有设等级。{% endif %}"
        }
        Occasion::Affinity => {
            "{% if 开着 %}{{昵称}}:亲密度 {{温度}}℃({{冷暖}}),近 {{天数}} 天有 {{活跃}} 天得过{{积分名}}。\
             {% if 建议 %}\n升温:{% for 项 in 建议 %}{{项.文字}}{% if not loop.last %};{% endif %}{% endfor %}。\
             {% else %}\n今天能做的都做完了,明天再来。{% endif %}{% else %}这里没有开亲密度。{% endif %}"
        }
        Occasion::Titles => {
            "{% if 称号 %}{% for 项 in 称号 %}「{{项.标题}}」{{项.周期}}:{% if 项.名单 %}{{项.名单}}{% else %}没有人{% endif %}{% if 项.次数 %}(你得过 {{项.次数}} 次){% endif %}\
             {% if not loop.last %}\n{% endif %}{% endfor %}{% else %}这个活动没有设称号。{% endif %}"
        }
        Occasion::TitleWon => "{% if 名单 %}🏆 {{周期}}「{{标题}}」:{{名单}}{% if 得分 %}。另加 {{得分}} {{积分名}}{% endif %}。{% endif %}",
        Occasion::MadeUp => {
            "{% if 原因 %}{{昵称}},没有补签:{{原因}}。{% else %}{{昵称}} 补签了 {{日期}}{% if 花费 %},用了 {{花费}} {{积分名}}{% endif %}\
             {% if 还缺 %},再往前还缺 {{还缺}} 天{% elif 连续 %},连续 {{连续}} 天{% endif %},现有 {{余额}} {{积分名}}。{% endif %}"
        }
        Occasion::Calendar => {
            "{% for 项 in 条目 %}{% if not loop.first %}\n{% endif %}{{昵称}} {{月}} 月{{项.标题}} {{项.天数}} 天{% if 项.已签 %}:{{项.已签}} 日{% endif %}\
             {% if 项.补签 %}\n补签:{{项.补签}} 日{% endif %}{% if 项.没签 %}\n没签:{{项.没签}} 日{% endif %}\
             \n{% if 项.连续 %}现在连续 {{项.连续}} 天{% else %}现在没有连续{% endif %}{% if not 项.今天 %},今天还没签{% endif %}\
             {% if 项.再签 %},再签 {{项.再签}} 天 +{{项.再得}}{% endif %}。\
             {% else %}{{月}} 月还没有签到记录。{% endfor %}\
             {% if 晚到 %}\n晚到后补记:{{晚到}} 日{% endif %}{% if 没记 %}\n发了但没记上:{{没记}} 日{% endif %}"
        }
        Occasion::Posted => "还有 {{人数}} 位连续签到的朋友今天没签到,别断了{% if 已签 %}({{已签}} 位已签){% endif %}。",
    }
}

/// The name under which a rule's own text is kept: codes alone are the same in several campaigns.
pub fn rule_key(campaign: &Campaign, rule: &RuleEntry) -> Arc<str> {
    format!("{}/{}", campaign.id, rule.code).into()
}

/// All texts operators wrote, for [`Templates::compile`]. Texts that are silence are left out.
pub fn own_texts(campaigns: &[Campaign], assistant: &Assistant) -> Vec<(Template, Vec<String>)> {
    let all = assistant.replies.iter().map(|(occasion, texts)| (Template { occasion: *occasion, rule: None }, texts.clone()));
    let rules = campaigns.iter().flat_map(|campaign| campaign.rules.iter().map(move |rule| (campaign, rule)));
    let rules = rules.filter_map(|(campaign, rule)| {
        let template = Template { occasion: Occasion::Paid, rule: Some(rule_key(campaign, rule)) };
        Some((template, rule.common.reply.clone()?))
    });
    let posts = campaigns.iter().flat_map(|campaign| &campaign.schedules);
    let posts = posts.map(|post| (Template { occasion: Occasion::Posted, rule: Some(post.text_key.clone()) }, post.say.clone()));
    all.chain(rules).chain(posts).filter(|(_, texts)| texts.iter().any(|text| !text.is_empty())).collect()
}

/// Checks one text for an occasion: its syntax, its variables, and that it can be rendered. The error says in Chinese what is wrong.
pub fn check(occasion: Occasion, text: &str) -> Result<(), String> {
    let environment = environment();
    let template = environment.template_from_str(text).map_err(|error| format!("模板写错了:{}", told(&error)))?;
    let allowed = variables(occasion);
    let known = |name: &str| allowed.iter().any(|variable| variable.is_called(name)) || environment.globals().any(|(global, _)| global == name);
    let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().filter(|name| !known(name)).collect();
    unknown.sort();
    if let Some(name) = unknown.first() {
        return Err(unknown_variable(name, &allowed));
    }
    for context in [context(&allowed, &sample(&allowed)), context(&allowed, &Args::default())] {
        template.render(Value::from_pairs(context)).map_err(|error| format!("模板试着写出来时出错:{}", told(&error)))?;
    }
    Ok(())
}

impl Templates {
    /// Compiles texts. Errors name the place in `texts` and say in Chinese what is wrong; every text is checked.
    pub fn compile(texts: &[(Template, Vec<String>)]) -> Result<Templates, Vec<(usize, String)>> {
        let mut templates = Templates::default();
        let mut mistakes = Vec::new();
        for (place, (template, messages)) in texts.iter().enumerate() {
            for (number, message) in messages.iter().enumerate().filter(|(_, message)| !message.is_empty()) {
                let name = format!("{:?}/{}/{number}", template.occasion, template.rule.as_deref().unwrap_or_default());
                let added = check(template.occasion, message).and_then(|()| {
                    templates.environment.add_template_owned(name.clone(), message.clone()).map_err(|error| format!("模板写错了:{}", told(&error)))
                });
                match added {
                    Ok(()) => templates.texts.entry(template.clone()).or_default().push(name),
                    Err(text) => mistakes.push((place, text)),
                }
            }
        }
        if mistakes.is_empty() { Ok(templates) } else { Err(mistakes) }
    }

    fn render(&self, names: &[String], context: &Context) -> Result<Vec<String>, RenderError> {
        let context = Value::from_pairs(context.clone());
        let message = |name: &String| -> Result<String, minijinja::Error> { Ok(tidy(&self.environment.get_template(name)?.render(&context)?)) };
        let messages: Result<Vec<String>, minijinja::Error> = names.iter().map(message).collect();
        let messages = messages.map_err(|error| RenderError::Failed(told(&error)))?;
        Ok(messages.into_iter().filter(|message| !message.is_empty()).collect())
    }
}

impl Default for Templates {
    fn default() -> Self {
        Templates { environment: environment(), texts: HashMap::new() }
    }
}

/// The messages of a reply, in order, written under the rules it was decided under. `extra` are the arguments that are read at
/// rendering (rank, history, why, links) and win over the reply's own.
pub fn render(rules: &Rules, reply: &Reply, extra: &Args) -> Result<Vec<String>, RenderError> {
    let allowed = variables(reply.template.occasion);
    let mut context_of_reply = context(&allowed, &reply.args);
    context_of_reply.extend(given(&allowed, extra));
    let mut messages = messages(&rules.templates, &reply.template, &context_of_reply)?;
    for args in together(&reply.args) {
        let template = Template { occasion: reply.template.occasion, rule: own_text(args) };
        messages.extend(self::messages(&rules.templates, &template, &context(&allowed, args))?);
    }
    Ok(messages)
}

/// The rule's own text, else the assistant's, else the default one. A text that comes out empty gives way to the next: who asks is answered.
fn messages(templates: &Templates, template: &Template, context: &Context) -> Result<Vec<String>, RenderError> {
    let common = Template { occasion: template.occasion, rule: None };
    let choices = [(templates, template), (templates, &common), (&*DEFAULTS, &common)];
    for (templates, template) in choices {
        let messages = templates.texts.get(template).map_or(Ok(Vec::new()), |names| templates.render(names, context))?;
        if !messages.is_empty() {
            return Ok(messages);
        }
    }
    Ok(Vec::new())
}

/// Further payments of the same message, each said after the first.
pub fn together(args: &Args) -> &[Args] {
    let list = args.0.iter().find_map(|(name, arg)| match arg {
        Arg::List(list) if **name == *"同时" => Some(list.as_slice()),
        Arg::List(_) | Arg::Int(_) | Arg::Text(_) | Arg::Flag(_) => None,
    });
    list.unwrap_or_default()
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment
}

/// Every allowed variable under both its names: as given, else empty.
fn context(allowed: &[Variable], args: &Args) -> Context {
    let empty = allowed.iter().map(|variable| (variable, empty(variable)));
    let mut context: Context = empty.flat_map(|(variable, value)| variable.names().map(move |name| (name, value.clone()))).collect();
    context.extend(given(allowed, args));
    context
}

/// The arguments that this text may use, under both their names.
fn given(allowed: &[Variable], args: &Args) -> Context {
    let known = args.0.iter().filter_map(|(name, arg)| Some((allowed.iter().find(|variable| variable.is_called(name))?, arg)));
    known.flat_map(|(variable, arg)| variable.names().map(move |name| (name, value(variable, arg)))).collect()
}

fn empty(variable: &Variable) -> Value {
    match variable.sort {
        Sort::Int => Value::from(0),
        Sort::Text | Sort::Name => Value::from(""),
        Sort::Flag => Value::from(false),
        Sort::Link => Value::from(NO_LINK),
        Sort::List(_) => Value::from_iter(Vec::<Value>::new()),
    }
}

fn value(variable: &Variable, arg: &Arg) -> Value {
    match (arg, variable.sort) {
        (Arg::Int(number), _) => Value::from(*number),
        (Arg::Flag(flag), _) => Value::from(*flag),
        (Arg::Text(text), Sort::Name) => Value::from(display_name(text)),
        (Arg::Text(text), Sort::Link) if text.is_empty() => Value::from(NO_LINK),
        (Arg::Text(text), Sort::Int | Sort::Text | Sort::Flag | Sort::Link | Sort::List(_)) => Value::from(printable(text)),
        (Arg::List(records), Sort::List(fields)) => records.iter().map(|record| Value::from_pairs(context(fields, record))).collect(),
        (Arg::List(_), Sort::Int | Sort::Text | Sort::Name | Sort::Flag | Sort::Link) => Value::from_iter(Vec::<Value>::new()),
    }
}

/// Arguments such as a reply may have, to try a text on.
fn sample(allowed: &[Variable]) -> Args {
    let arg = |variable: &Variable| match variable.sort {
        Sort::Int => Arg::Int(2),
        Sort::Text | Sort::Name => Arg::Text("阿明".into()),
        Sort::Flag => Arg::Flag(true),
        Sort::Link => Arg::Text("https://example.com".into()),
        Sort::List(fields) => Arg::List(vec![sample(fields), sample(fields)]),
    };
    Args(allowed.iter().map(|variable| (variable.name.into(), arg(variable))).collect())
}

/// Drops lines whose link is not set, trims, cuts.
fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains(NO_LINK)).map(str::trim_end).collect();
    lines.join("\n").trim().chars().take(MESSAGE_CHARS_MAX).collect()
}

fn unknown_variable(name: &str, allowed: &[Variable]) -> String {
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(name, known).max(if name.contains(known) || known.contains(name) { 0.6 } else { 0.0 });
    let nearest = allowed.iter().flat_map(Variable::names).map(|known| (likeness(known), known)).max_by(|one, other| one.0.total_cmp(&other.0));
    let hint = nearest.filter(|(likeness, _)| *likeness >= 0.5).map(|(_, known)| format!("是不是想写 {{{{{known}}}}}?")).unwrap_or_default();
    let all: Vec<&str> = allowed.iter().map(|variable| variable.name).collect();
    format!("模板里没有变量 {{{{{name}}}}}。{hint}这里能用的有:{}", all.join("、"))
}

/// An error of the template engine, told to an operator. Never shows the arguments.
fn told(error: &minijinja::Error) -> String {
    use minijinja::ErrorKind;
    let what = match error.kind() {
        ErrorKind::SyntaxError => "语法不对,检查 {{ }} 和 {% %} 有没有写全",
        ErrorKind::UndefinedError => "用到了不存在的变量或字段",
        ErrorKind::UnknownFilter => "用到了不存在的过滤器",
        ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => "用到了不存在的函数",
        ErrorKind::UnknownTest => "用到了不存在的判断",
        ErrorKind::OutOfFuel => "算得太久,循环太多",
        ErrorKind::InvalidOperation => "这样的运算做不了",
        _ => "写不出来",
    };
    let line = error.line().map(|line| format!("(第 {line} 行)")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(":{detail}")).unwrap_or_default();
    format!("{what}{line}{detail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(occasion: Occasion, text: &str) -> String {
        check(occasion, text).expect_err("must be refused")
    }

    #[test]
    fn every_default_text_stands_its_own_check() {
        for occasion in OCCASIONS {
            assert_eq!(check(occasion, default_text(occasion)), Ok(()), "{occasion:?}");
        }
    }

    #[test]
    fn unknown_variables_are_told_with_the_nearest_known_one() {
        let told = refused(Occasion::Paid, "{{昵称}} 连续 {{连续天数}} 天");
        assert!(told.contains("{{连续天数}}") && told.contains("是不是想写 {{连续}}"), "{told}");
        assert!(refused(Occasion::Paid, "{{ponts}}").contains("{{points}}"));
        assert!(refused(Occasion::Help, "{{得分}}").contains("这里能用的有"));
    }

    #[test]
    fn texts_that_cannot_be_rendered_are_refused_at_loading() {
        assert!(refused(Occasion::Paid, "{{昵称").contains("语法"));
        assert!(refused(Occasion::Paid, "{{昵称|shout}}").contains("过滤器"));
        assert!(refused(Occasion::Rank, "{% for 项 in 榜 %}{{项.没有}}{% endfor %}").contains("不存在"));
        assert!(refused(Occasion::Paid, "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}").contains("太久"));
    }

    #[test]
    fn a_link_that_is_not_set_vanishes_with_its_line() {
        let text = "+{{得分}}\n去商城:{{商城}}\n再见";
        let key = Template { occasion: Occasion::Paid, rule: None };
        let templates = Templates::compile(&[(key.clone(), vec![text.to_owned()])]).expect("a good text");
        let allowed = variables(Occasion::Paid);
        let args = Args::default().int("得分", 2);
        assert_eq!(messages(&templates, &key, &context(&allowed, &args)).expect("renders"), ["+2\n再见"]);
        let args = args.text("商城", "https://mall.example.com");
        assert_eq!(messages(&templates, &key, &context(&allowed, &args)).expect("renders"), ["+2\n去商城:https://mall.example.com\n再见"]);
    }

    #[test]
    fn a_message_is_bounded_and_without_control_characters() {
        let long = Args::default().text("标题", format!("\u{7}\u{202e}\u{e000}{}", "长".repeat(9_000))).int("得分", 1);
        let context = context(&variables(Occasion::Paid), &long);
        let messages = messages(&DEFAULTS, &Template { occasion: Occasion::Paid, rule: None }, &context).expect("renders");
        assert_eq!(messages[0].chars().count(), MESSAGE_CHARS_MAX);
        assert!(messages[0].trim_start().starts_with('长'));
    }

    #[test]
    fn lists_have_both_names_of_their_fields() {
        let board = Arg::List(vec![Args::default().int("名次", 1).text("昵称", "小红\n").int("得分", 71)]);
        let text = "{% for it in board %}{{it.rank}}{{it.昵称}}{{it.points}}{% endfor %}";
        let key = Template { occasion: Occasion::Rank, rule: None };
        let templates = Templates::compile(&[(key.clone(), vec![text.to_owned()])]).expect("a good text");
        let args = Args::default().with("榜", board);
        assert_eq!(messages(&templates, &key, &context(&variables(Occasion::Rank), &args)).expect("renders"), ["1小红71"]);
    }
}
