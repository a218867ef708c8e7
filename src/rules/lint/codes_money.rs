//! What costs money, or is not allowed to be paid for. Each is told with what it can cost on the worst day.

use crate::rules::lint::codes::Code;

/// All of them.
pub const MONEY: &[Code] = &[
    Code::warning(
        "no-cap",
        ("没有上限", "说一句得一次分,又没有上限:有人整天刷,就整天发。写上 max_points(每天最多几分),或和别的规则共用一个 [bucket.…]。"),
        ("No cap", "Each message pays and nothing bounds it: who writes all day is paid all day. Write `max_points`, or share a `[bucket.…]`."),
        "[speaking.talk]\npoints = 1\n",
        "[speaking.talk]\npoints = 1\nmax_points = { day = 20 }\n",
    ),
    Code::refused(
        "absurd",
        (
            "分数大得不像真的",
            "按这份规则,一个人一天最多能得一万分以上,多半是多写了零,所以不采用。真要这么多:写上 budget(总预算,发完就停),或加注释 # jifen: allow(absurd) 和理由。",
        ),
        (
            "An absurd amount",
            "One member could get more than 10 000 points a day, which is most likely a slip, so the file is refused. Write a `budget`, or allow it with a reason.",
        ),
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 20000\n",
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 20000\nbudget = 1000000\n",
    ),
    Code::warning(
        "many-a-day",
        ("一天能得好几次", "max_times 只写了 week 或 month,没写 day:同一天连发几次口令就连得几次。"),
        ("Several times a day", "`max_times` names a week or a month but no day: the word pays several times on one day."),
        "[check_in.report]\nkeywords = [\"周报\"]\npoints = 5\nmax_times = { week = 3 }\n",
        "[check_in.report]\nkeywords = [\"周报\"]\npoints = 5\nmax_times = { day = 1, week = 3 }\n",
    ),
    Code::warning(
        "same-keyword",
        ("两条规则同一个口令", "一条消息两边都记分。多半是忘了改口令;真要这样,就让它们共用一个 bucket。"),
        ("One word, two rules", "One message is paid by both. Change a word, or let both share a bucket."),
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n[check_in.ride]\nkeywords = [\"签到!\"]\npoints = 5\n",
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n[check_in.ride]\nkeywords = [\"骑行打卡\"]\npoints = 5\n",
    ),
    Code::warning(
        "heard-twice",
        ("一个口令里有另一个口令", "match = \"contains\" 的规则也听得到别的规则的口令,一条消息两边都记分。"),
        ("A word within a word", "A rule that looks inside of messages hears another rule's word too; one message is paid by both."),
        "[check_in.daily]\nkeywords = [\"骑行打卡\"]\npoints = 2\n[check_in.any]\nkeywords = [\"打卡\"]\nmatch = \"contains\"\npoints = 5\n",
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n[check_in.any]\nkeywords = [\"打卡\"]\nmatch = \"contains\"\npoints = 5\n",
    ),
    Code::warning(
        "overlap",
        ("两段发言时段重叠", "重叠的时候,一条消息两边都记分。错开 when,或共用一个 bucket。"),
        ("Windows of talk overlap", "While both are open one message is paid twice. Part the windows, or share a bucket."),
        "[speaking.day]\nwhen = \"08:00-21:00\"\npoints = 1\nmax_points = { day = 9 }\n[speaking.evening]\nwhen = \"20:00-22:00\"\npoints = 1\nmax_points = { day = 9 }\n",
        "[speaking.day]\nwhen = \"08:00-20:00\"\npoints = 1\nmax_points = { day = 9 }\n[speaking.evening]\nwhen = \"20:00-22:00\"\npoints = 1\nmax_points = { day = 9 }\n",
    ),
    Code::warning(
        "festivals-overlap",
        ("两个倍数相乘", "两个节日同时有效,倍数会相乘:200% 乘 200% 是四倍。"),
        ("Factors multiply", "Two festivals are on together, and their factors multiply: 200% times 200% is fourfold."),
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n[festival.one]\nfactor = \"200%\"\n[festival.two]\nfactor = \"200%\"\ndays = \"周末\"\n",
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n[festival.one]\nfactor = \"200%\"\ndays = \"工作日\"\n[festival.two]\nfactor = \"300%\"\ndays = \"周末\"\n",
    ),
    Code::warning(
        "streak-breaks-off",
        ("断签重来更划算", "按这样的档,签几天就故意断一天重来,比一直签到底得的还多。把后面的档调高,或写 streak_then = \"restart\"。"),
        ("Breaking off pays more", "Who leaves a day out and begins anew earns more than who goes on. Raise the later rungs, or let the ladder begin anew."),
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\nstreak = { 2 = 20, 30 = 30 }\n",
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\nstreak = { 7 = 10, 30 = 60 }\n",
    ),
    Code::warning(
        "small-budget",
        ("预算不够一次", "预算比一次得的分还少,第一个人就用完了。"),
        ("A budget for less than one", "The budget is less than one payment."),
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 20\nbudget = 10\n",
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 20\nbudget = 20000\n",
    ),
    Code::warning(
        "short-talk",
        ("一个字也计分", "min_chars 写成 0 或 1,发「好」「1」也得分,最容易被刷。"),
        ("One letter is paid", "`min_chars` is 0 or 1: 「好」 is paid, which is farmed first of all."),
        "[speaking.talk]\npoints = 1\nmin_chars = 1\nmax_points = { day = 20 }\n",
        "[speaking.talk]\npoints = 1\nmin_chars = 4\nmax_points = { day = 20 }\n",
    ),
    Code::warning(
        "short-keyword",
        ("一个字的口令", "口令只有一个字,又不要求整句相等:随口一句带这个字的话就得分。"),
        ("A word of one letter", "The word is one letter and need not be the whole message: any sentence with it is paid."),
        "[check_in.daily]\nkeywords = [\"签\"]\nmatch = \"contains\"\npoints = 2\n",
        "[check_in.daily]\nkeywords = [\"签到\"]\nmatch = \"contains\"\npoints = 2\n",
    ),
    Code::refused(
        "sharing",
        (
            "给分享、转发发积分",
            "微信外链规范(2019-10-28)不许用积分等利益诱导分享、转发、集赞,链接会被屏蔽,号会被处罚,所以不采用。只是名字里有这几个字(比如「转发群公告」的内部群),加注释 # jifen: allow(sharing) 和理由。",
        ),
        (
            "Points for sharing",
            "WeChat's rules for external links forbid to induce sharing or spreading with anything of use, points included. Refused; where only the name sounds so, allow it with a reason.",
        ),
        "[check_in.moments]\ntitle = \"转发朋友圈\"\nkeywords = [\"已转发\"]\nneeds = \"image\"\npoints = 10\n",
        "[check_in.ride]\ntitle = \"骑行打卡\"\nkeywords = [\"骑行打卡\"]\nneeds = \"image\"\npoints = 10\n",
    ),
    Code::refused(
        "multi-level",
        (
            "两级以上的邀请奖励",
            "按下级带来的人给上级发分,两级以上有传销风险(禁止传销条例),所以不采用。只奖直接邀请的人;法务看过确实没问题,加注释 # jifen: allow(multi-level) 和理由。",
        ),
        (
            "Inviting over several levels",
            "Paying for people whom others brought is near to pyramid selling. Refused; reward direct invitations only, or allow it with a reason once a lawyer has seen it.",
        ),
        "[event.team]\ntitle = \"下线签到提成\"\npoints = 1\nmax_times = { day = 9 }\n",
        "[event.friend]\ntitle = \"邀请好友\"\npoints = 10\nmax_times = { day = 9 }\n",
    ),
    Code::warning(
        "prize-unreachable",
        ("谁也换不到的商品", "就算天天拿满,90 天能得的分也不够换。降价,或提高得分、放宽上限。每个成员实际够不够得着,看 jifen plan。"),
        ("A good nobody can reach", "All that can be earned in 90 days is less than its price. `jifen plan` tells who reaches what in fact."),
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n[good.bike]\ntitle = \"童车\"\nprice = 3000\n",
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n[good.cup]\ntitle = \"水杯\"\nprice = 150\n",
    ),
    Code::warning(
        "lottery-pays-more",
        ("抽奖倒贴", "抽一次平均中的分比花的分多:抽得越多赚得越多。提高 price、降低 odds,或限制次数。"),
        ("A draw that pays more than it costs", "On average a draw wins more than its price. Raise the price, lower the odds, or bound how often."),
        "",
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n",
    ),
    Code::warning(
        "lottery-no-notice",
        ("抽奖没有公示齐", "《规范促销行为暂行规定》要求抽奖前公布:奖项、概率或数量、起止时间、领奖办法和期限、主办方和联系方式,抽的过程中不能改。"),
        (
            "A draw without its notice",
            "Order 32 of SAMR: prizes, odds or quantity, dates, how to claim, organiser and contact are published before a draw and not changed to the loss of members.",
        ),
        "",
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n",
    ),
    Code::refused(
        "lottery-too-dear",
        ("奖品超过五万元", "抽奖的最高奖不能超过 50 000 元(规范促销行为暂行规定)。"),
        ("A prize above 50 000 yuan", "The dearest prize of a draw may be worth 50 000 yuan at most."),
        "",
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n",
    ),
];
