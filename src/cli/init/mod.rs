//! `jifen init`: a rules.toml to begin with, by asking six questions or from a preset, and the schema beside it.

mod compose;
mod questions;

use std::fs;
use std::io::{IsTerminal, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::compose::{Answers, KINDS, compose};
use self::questions::ask;
use super::{DONE, FINDING};
use crate::demo::presets::{self, PRESETS};
use crate::gate::examine;
use crate::rules::schema::SCHEMA;

/// The schema's name beside the rules, as line 1 of the rules has it.
const SCHEMA_NAME: &str = "rules.schema.json";

/// Older files of one name that are kept.
const KEPT_MAX: usize = 100;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen init                       问六个问题,写好 rules.toml,每个键都有说明
  jifen init --yes                 不问,都用默认的
  jifen init --preset s4-live      用一份现成的:s1-quanliang、s2-bike、s3-explorer、s4-live、s5-beauty、s5-baby,default 是每个键都有的
  printf '5\\n签到,打卡\\n5 20\\n无\\n0.01\\n全部\\n' | jifen init   回答从管道来,没给的用默认的

六个问题:什么群、签到口令、签到几分和连签奖励、聊天时段、一积分值多少元、用在哪些群。每个都有默认值,直接回车就行。
同时写 rules.schema.json,编辑器靠它补全。写好的规则已经检查过,也跑过里面的 [[test]]。
已经有 rules.toml 时不会动它;加 --force 才换,原来的留成 rules.toml.bak。")]
pub struct Options {
    /// 写到哪里
    #[arg(default_value = "rules.toml")]
    file: PathBuf,
    /// 用一份现成的规则,不问问题
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// 不问问题,都用默认的
    #[arg(long, short)]
    yes: bool,
    /// 已经有这个文件也换掉;原来的留成 .bak
    #[arg(long)]
    force: bool,
}

pub fn run(options: Options) -> Result<u8> {
    if options.file.exists() && !options.force {
        eprintln!("已经有 {} 了,没有动它。想换掉就加 --force,原来的会留成 .bak;或者换个名字:jifen init 新规则.toml", options.file.display());
        return Ok(FINDING);
    }
    let text = match &options.preset {
        Some(name) => preset(name)?,
        None => composed(&answers(options.yes)?)?,
    };
    let examined = examine(text.as_bytes());
    if !examined.ok {
        bail!("这是程序的错,写出来的规则没有通过检查:{}", examined.obstacles("rules.toml", 3).join(";"));
    }
    let kept = keep(&options.file)?;
    let schema = options.file.with_file_name(SCHEMA_NAME);
    write(&schema, &format!("{:#}\n", *SCHEMA))?;
    write(&options.file, &text)?;
    let rules = examined.rules.as_ref().map_or(0, |rules| rules.campaigns.iter().map(|campaign| campaign.rules.len()).sum());
    let (file, schema) = (options.file.display(), schema.display());
    println!("写好了 {file}:{rules} 条规则,{} 个测试都对。旁边的 {schema} 给编辑器补全用", examined.tests);
    if let Some(kept) = kept {
        println!("原来的留在 {}", kept.display());
    }
    println!("接下来:\n  jifen check {file}          改完检查\n  jifen demo --rules {file}   在演示里先试\n  改什么、怎么写,文件里都有说明");
    Ok(DONE)
}

fn preset(name: &str) -> Result<String> {
    let names = || PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join("、");
    let preset = presets::find(name).with_context(|| format!("没有叫「{name}」的预设;可用的有 {}", names()))?;
    // Where the file lies in this project the schema is elsewhere.
    let (_, rest) = preset.text.split_once('\n').unwrap_or_default();
    Ok(format!("#:schema ./{SCHEMA_NAME}\n{rest}"))
}

fn answers(defaults: bool) -> Result<Answers> {
    if defaults {
        return Ok(KINDS[0].defaults());
    }
    let mut lines = stdin().lines();
    let mut next = || lines.next().transpose();
    ask(stdin().is_terminal(), &mut next)
}

fn composed(answers: &Answers) -> Result<String> {
    compose(answers).map_err(|reason| anyhow::anyhow!("这是程序的错,写出来的规则没有通过检查:{reason}"))
}

/// Moves the file that is there out of the way.
fn keep(file: &Path) -> Result<Option<PathBuf>> {
    if !file.exists() {
        return Ok(None);
    }
    let name = |number: usize| if number == 0 { format!("{}.bak", file.display()) } else { format!("{}.bak.{number}", file.display()) };
    let free = (0..KEPT_MAX).map(|number| PathBuf::from(name(number))).find(|path| !path.exists());
    let free = free.with_context(|| format!("{} 的 .bak 太多了;先删掉几个", file.display()))?;
    fs::rename(file, &free).with_context(|| format!("改不了名:{}", file.display()))?;
    Ok(Some(free))
}

/// Whole or not at all: a daemon may be looking at it.
fn write(path: &Path, text: &str) -> Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let written = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, path));
    written.with_context(|| format!("写不了 {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_begun_with() {
        for known in PRESETS {
            let text = preset(known.name).expect("a preset");
            assert!(text.starts_with("#:schema ./rules.schema.json\n") && text.lines().count() == known.text.lines().count());
            let examined = examine(text.as_bytes());
            assert!(examined.ok && examined.mistakes.is_empty() && examined.tests > 0, "{}: {:?}", known.name, examined.mistakes);
        }
        assert!(preset("s9").unwrap_err().to_string().contains("s4-live"));
    }
}
