//! What the verbs have in common: the settings, the database, its key and the rules.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::Where;
use crate::model::event::Identity;
use crate::pipeline::command::choose;
use crate::rules::campaign::Rules;
use crate::rules::file;
use crate::rules::mistake::Mistake;
use crate::settings::{Secret, Settings};
use crate::store::sqlite::files::beside;
use crate::store::sqlite::{SqliteReader, SqliteStore};
use crate::store::vault::{Vault, parse_master, random_key};
use crate::store::{Person, PersonKey, Reader};

/// The settings file looked for when none is named.
const CONFIG: &str = "jifen.toml";

/// Behind the database's name: its key, where the settings name none.
const KEY_SUFFIX: &str = ".key";

/// Settings, database path and key, resolved.
pub struct Workspace {
    /// The settings; empty defaults without a file.
    pub settings: Settings,
    /// The database file.
    pub database: PathBuf,
    /// Its key.
    pub vault: Vault,
}

impl Workspace {
    /// Reads the settings, finds the database and its key. Without `[keys]` the key lies beside the database (`<database>.key`):
    /// made when the database is, never later.
    pub fn open(place: &Where) -> Result<Workspace> {
        let settings = settings(place)?;
        let Some(database) = settings.database_path() else { bail!("这一版的 database 只支持 sqlite:路径,现在是 {}", settings.database.as_str()) };
        let vault = match &settings.keys {
            Some(keys) => vault(keys.master.expose()).context("[keys] master")?,
            None => key_beside(&database)?,
        };
        Ok(Workspace { settings, database, vault })
    }

    /// The rules of a file: the one named, else the one in the settings.
    pub fn rules(&self, named: Option<&Path>) -> Result<Arc<Rules>> {
        load_rules(named.unwrap_or(Path::new(self.settings.rules.as_str())))
    }

    /// The writer's side.
    pub fn store(&self) -> Result<SqliteStore> {
        Ok(SqliteStore::open(&self.database, &self.vault)?)
    }

    /// The reader's side; the database must exist.
    pub fn reader(&self) -> Result<SqliteReader> {
        if !self.database.exists() {
            bail!("没有数据库 {}。用 --database sqlite:路径 或 --config 指明它在哪里", self.database.display());
        }
        Ok(SqliteReader::open(&self.database, &self.vault)?)
    }

    /// The corp meant where none is named.
    pub fn first_corp(&self) -> String {
        self.settings.corp.keys().next().cloned().unwrap_or_else(|| "default".into())
    }
}

/// The settings of `--config` (or jifen.toml, if there is one) with `--database` over them.
pub fn settings(place: &Where) -> Result<Settings> {
    let mut settings = match &place.config {
        Some(path) => Settings::read(path)?,
        None if Path::new(CONFIG).exists() => Settings::read(Path::new(CONFIG))?,
        None => Settings::parse("").map_err(anyhow::Error::msg)?,
    };
    if let Some(database) = &place.database {
        settings.database = crate::settings::Text(database.clone());
    }
    Ok(settings)
}

/// The only corp that a database knows of, for who names none.
pub fn only_corp(reader: &dyn Reader) -> Result<String> {
    let mut corps: Vec<String> = reader.directory()?.campaigns.keys().map(|(corp, _)| corp.to_string()).collect();
    corps.sort();
    corps.dedup();
    match corps.as_slice() {
        [] => Ok("default".into()),
        [only] => Ok(only.clone()),
        several => bail!("数据库里有几个企业({}),请用 --corp 说出是哪一个", several.join("、")),
    }
}

/// The corp of whoever is named: the one said, the first of the settings, else the only one of the database.
pub fn corp_meant(workspace: &Workspace, reader: &dyn Reader, said: Option<&str>) -> Result<String> {
    match said {
        Some(corp) => Ok(corp.to_owned()),
        None if workspace.settings.corp.is_empty() => only_corp(reader),
        None => Ok(workspace.first_corp()),
    }
}

/// The person meant by an outside id or a name, and an outside id of theirs; why not, in words.
pub fn person_meant(reader: &dyn Reader, corp: &str, name: &str) -> Result<Result<(Person, Identity), String>> {
    let person = |id: &Identity| reader.person(&PersonKey { corp: corp.into(), identity: Identity { kind: id.kind, value: id.folded().into() } });
    let id = Identity::from_wecom(name);
    if let Some(person) = person(&id)? {
        return Ok(Ok((person, id)));
    }
    let named = reader.people_named(&corp.into(), name)?;
    match choose(name, named.iter().collect()) {
        Ok(who) => Ok(person(&who)?.map(|person| (person, who)).ok_or_else(|| format!("没有「{name}」这个人"))),
        Err(reason) => Ok(Err(reason)),
    }
}

/// Loads a rules file; its mistakes are printed, all of them.
pub fn load_rules(path: &Path) -> Result<Arc<Rules>> {
    let text = fs::read_to_string(path).with_context(|| format!("读不到规则文件 {}", path.display()))?;
    match file::load(&text) {
        Ok((rules, _warnings)) => Ok(Arc::new(rules)),
        Err(mistakes) => {
            print_mistakes(path, &mistakes);
            bail!("{} 有 {} 处错误,没有采用。改好后用 jifen check {} 再看一遍", path.display(), mistakes.len(), path.display())
        }
    }
}

/// `FILE:LINE:COL: error[CODE]: text` on stderr, and where to read more where that code comes first.
pub fn print_mistakes(path: &Path, mistakes: &[Mistake]) {
    let mut stderr = std::io::stderr().lock();
    for (at, mistake) in mistakes.iter().enumerate() {
        // A closed stderr is nobody to complain to.
        let _ = writeln!(stderr, "{}", mistake.in_file(&path.display().to_string()));
        if !mistakes[..at].iter().any(|earlier| earlier.code == mistake.code) {
            let _ = writeln!(stderr, "  → 说明:jifen check --explain {},或 {}", mistake.code, mistake.help);
        }
    }
}

/// Refuses where no key is named and none lies beside the database: for a verb to which a new key is of no use.
pub fn require_key(place: &Where) -> Result<()> {
    let settings = settings(place)?;
    let beside = settings.database_path().map(|database| beside(&database, KEY_SUFFIX));
    if settings.keys.is_none() && beside.is_some_and(|key| !key.exists()) {
        bail!("没有给出主密钥:请在 jifen.toml 写 [keys] master = \"file:…\"(用 --config 指明),或把原来的密钥放到数据库旁边(数据库文件名加 {KEY_SUFFIX})");
    }
    Ok(())
}

fn key_beside(database: &Path) -> Result<Vault> {
    let path = beside(database, KEY_SUFFIX);
    if path.exists() {
        let text = Secret::new(fs::read_to_string(&path).with_context(|| format!("读不到密钥 {}", path.display()))?);
        return vault(text.expose()).with_context(|| format!("密钥 {}", path.display()));
    }
    if database.exists() {
        bail!(
            "数据库 {} 已经存在,却没有给出它的密钥:请在 jifen.toml 写 [keys] master = \"file:…\"(用 --config 指明),或把原来的密钥放回 {}",
            database.display(),
            path.display()
        );
    }
    let key = random_key();
    let text = Secret::new(key.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    write_private(&path, text.expose()).with_context(|| format!("写不了密钥 {}", path.display()))?;
    eprintln!("没有配置 [keys] master,新建了密钥 {}(请与数据库分开备份)", path.display());
    Ok(Vault::new(key))
}

fn vault(master: &str) -> Result<Vault> {
    parse_master(master).map(Vault::new).map_err(anyhow::Error::msg)
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")
}
