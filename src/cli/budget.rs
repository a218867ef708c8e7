//! `jifen budget`: what is left of every budget, in points and in money.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::workspace::Workspace;
use super::{DONE, Where};
use crate::rules::budget::{listed, yuan};
use crate::store::Reader;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen budget

预算写在规则或活动里:budget = 20000。活动里写了 point_value = \"0.01\" 就同时用金额说。
用到八成和用完时,会在 jifen.toml 的 [operators] chat 里各提醒一次。可以在 serve 运行时执行。")]
pub struct Options {
    #[command(flatten)]
    place: Where,
    /// 规则文件 (默认:配置里的 rules,或 rules.toml)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

pub fn run(options: Options) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let reader = workspace.reader()?;
    let rules = workspace.rules(options.rules.as_deref())?;
    let (shared, directory) = (reader.shared()?, reader.directory()?);
    let mut count = 0;
    for campaign in &rules.campaigns {
        let ids: Vec<_> = directory.campaigns.iter().filter(|((_, name), _)| *name == campaign.id).map(|((corp, _), id)| (Some(corp), Some(*id))).collect();
        let ids = if ids.is_empty() { vec![(None, None)] } else { ids };
        for (corp, id) in ids {
            for (name, title, budget) in listed(campaign) {
                let used = shared.iter().find(|(key, _)| Some(key.campaign) == id && key.name == name).map_or(0, |(_, used)| *used);
                let percent = i128::from(used) * 100 / i128::from(budget.max(1));
                let money = |points: i64| campaign.point_value.map_or(String::new(), |value| format!("({} 元)", yuan(points, value)));
                let corp = corp.map_or(String::new(), |corp| format!("{corp} "));
                let left = budget.saturating_sub(used).max(0);
                let done = if left == 0 { ",已停" } else { "" };
                println!("{corp}{} {title}:用了 {used}{} / {budget}{},{percent}%,还剩 {left}{}{done}", campaign.id, money(used), money(budget), money(left));
                count += 1;
            }
        }
    }
    if count == 0 {
        println!("没有预算。在规则里写 budget = 20000,或在活动里写,发完就停");
    }
    Ok(DONE)
}
