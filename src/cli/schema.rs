//! `jifen schema`: the JSON Schema of rules.toml, for editors.

use anyhow::Result;
use clap::Args;

use super::DONE;
use crate::rules::schema::SCHEMA;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen schema > rules.schema.json

rules.toml 第一行写 #:schema ./rules.schema.json,装了 taplo、tombi 或 VS Code 的 Even Better TOML 就有补全和说明。
jifen init 会把两个文件都写好;升级 jifen 后再导出一次。")]
pub struct Options {}

pub fn run(_options: Options) -> Result<u8> {
    println!("{:#}", *SCHEMA);
    Ok(DONE)
}
