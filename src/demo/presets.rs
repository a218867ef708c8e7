//! Presets: complete rules of six kinds of business, to be tried on the page and copied by operators.

/// One rules.toml that ships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its file's name without `.toml`: `s4-live`.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Whom it is for, in a line.
    pub about: &'static str,
    /// The file.
    pub text: &'static str,
}

/// All of them; the shipped rules.toml first.
pub const PRESETS: &[Preset] = &[
    Preset { name: "default", title: "默认", about: "签到、连签、晚间发言", text: include_str!("../../rules.toml") },
    Preset {
        name: "s1-quanliang",
        title: "社群运营",
        about: "签到、截图打卡、每日一题、共读、留存",
        text: include_str!("../../fixtures/presets/s1-quanliang.toml"),
    },
    Preset { name: "s2-bike", title: "童车售后", about: "骑行挑战打卡每月 200", text: include_str!("../../fixtures/presets/s2-bike.toml") },
    Preset {
        name: "s3-explorer", title: "探店达人", about: "实名、报名、探店,新人和每日任务", text: include_str!("../../fixtures/presets/s3-explorer.toml")
    },
    Preset {
        name: "s4-live", title: "直播带货", about: "签到连签、看预告、早上提醒", text: include_str!("../../fixtures/presets/s4-live.toml")
    },
    Preset {
        name: "s5-beauty", title: "美妆群", about: "签到、每日每周上限、三级会员", text: include_str!("../../fixtures/presets/s5-beauty.toml")
    },
    Preset { name: "s5-baby", title: "母婴群", about: "签到、话题讨论", text: include_str!("../../fixtures/presets/s5-baby.toml") },
];

/// The preset of a name.
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rules::file::load;
    use crate::scenario;

    #[test]
    fn every_preset_is_without_mistake_or_warning_and_proves_its_numbers() {
        for preset in PRESETS {
            let (rules, warnings) = load(preset.text).unwrap_or_else(|mistakes| panic!("{}: {mistakes:#?}", preset.name));
            assert_eq!(warnings, [], "{}", preset.name);
            assert!(!rules.tests.is_empty(), "{} proves nothing", preset.name);
            let rules = Arc::new(rules);
            let failures: Vec<_> = rules.tests.iter().flat_map(|test| scenario::run(&rules, test)).collect();
            assert!(failures.is_empty(), "{}: {failures:#?}", preset.name);
        }
    }

    #[test]
    fn every_file_of_the_folder_is_offered() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/presets");
        for file in std::fs::read_dir(folder).expect("the folder of presets").flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let Some(stem) = name.strip_suffix(".toml") else { continue };
            let preset = find(stem);
            let text = std::fs::read_to_string(file.path()).expect("a readable preset");
            assert_eq!(preset.map(|preset| preset.text), Some(&*text), "{name}");
        }
    }
}
