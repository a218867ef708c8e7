// What a backtest found, drawn under the editor: the sentence, each rule, each day, who gets more or less, and the verdicts that change.
(function () {
  "use strict";

  const make = window.demo.make;
  const place = document.getElementById("trial");
  const SVG = document.getElementById("svg").namespaceURI;
  const NAMED = 5, KINDS = 6;

  function number(value) { return Math.abs(value).toLocaleString("zh-CN"); }
  function signed(value) { return value ? (value > 0 ? "+" : "−") + number(value) : "0"; }
  function sign(value) { return value > 0 ? "more" : value < 0 ? "less" : ""; }
  function by(change) { return change.now - change.was; }

  // Hundredths of a fen as yuan.
  function yuan(campaign, points) {
    if (!campaign.point_value) return "";
    return ",约 ¥" + (Math.abs(points) * campaign.point_value / 10000).toLocaleString("zh-CN", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  }

  function headline(campaign) {
    const difference = by(campaign.total);
    const name = campaign.points_name;
    const sum = difference === 0 ? "总共一样多:" + number(campaign.total.was) + " " + name
      : "会" + (difference > 0 ? "多" : "少") + "发 " + number(difference) + " " + name + "(" + number(campaign.total.was) + " → " + number(campaign.total.now) + yuan(campaign, difference) + ")";
    const people = campaign.gained + campaign.lost === 0 ? "没有人的积分会变" : campaign.gained + " 人多得,"+ campaign.lost + " 人少得," + campaign.same + " 人不变";
    return sum + "。" + people + "。";
  }

  function rules(campaign) {
    const table = make("table");
    const head = make("tr");
    ["规则", "现在", "改后", "相差"].forEach(function (title) { head.append(make("th", "", title)); });
    table.append(head);
    campaign.rules.forEach(function (rule) {
      const row = make("tr");
      const difference = by(rule.change);
      row.append(make("td", "", rule.title), make("td", "", number(rule.change.was)), make("td", "", number(rule.change.now)), make("td", sign(difference), signed(difference)));
      table.append(row);
    });
    return table;
  }

  function shape(name, attributes, text) {
    const node = document.createElementNS(SVG, name);
    Object.keys(attributes).forEach(function (key) { node.setAttribute(key, attributes[key]); });
    if (text) node.textContent = text;
    return node;
  }

  // Two bars a day.
  function days(campaign) {
    const list = campaign.days, width = 560, height = 96, base = 78;
    if (list.length < 2) return null;
    const most = Math.max.apply(null, list.map(function (day) { return Math.max(day.was, day.now, 1); }));
    const step = width / list.length;
    const chart = shape("svg", { viewBox: "0 0 " + width + " " + height, role: "img", "aria-label": "每天发出的积分,灰的是现在,蓝的是改后" });
    list.forEach(function (day, at) {
      [["was", day.was], ["now", day.now]].forEach(function (bar, side) {
        const tall = Math.max(0, bar[1]) / most * (base - 14);
        chart.append(shape("rect", { class: bar[0], x: (at * step + step * (side ? 0.5 : 0.12)).toFixed(1), y: (base - tall).toFixed(1), width: (step * 0.36).toFixed(1), height: tall.toFixed(1), rx: 1 }));
      });
    });
    chart.append(shape("text", { x: 0, y: height - 4 }, list[0].day.slice(5)));
    chart.append(shape("text", { x: width, y: height - 4, "text-anchor": "end" }, list[list.length - 1].day.slice(5)));
    chart.append(shape("text", { x: 0, y: 10 }, "一天最多 " + number(most)));
    chart.append(shape("rect", { class: "was", x: width - 116, y: 2, width: 9, height: 9, rx: 1 }), shape("text", { x: width - 103, y: 10 }, "现在"));
    chart.append(shape("rect", { class: "now", x: width - 56, y: 2, width: 9, height: 9, rx: 1 }), shape("text", { x: width - 43, y: 10 }, "改后"));
    return chart;
  }

  function people(title, list) {
    if (!list.length) return null;
    const node = make("div");
    node.append(make("h4", "", title));
    list.slice(0, NAMED).forEach(function (it) {
      const row = make("p", "member");
      row.append(make("bdi", "", it.name || it.member), make("b", sign(by(it.change)), signed(by(it.change))), make("small", "", number(it.change.was) + " → " + number(it.change.now)));
      node.append(row);
    });
    return node;
  }

  function verdicts(campaign) {
    if (!campaign.verdicts.length) return null;
    const titles = new Map(campaign.rules.map(function (rule) { return [rule.rule, rule.title]; }));
    const node = make("div", "verdicts");
    node.append(make("h4", "", "判法变了的消息"));
    campaign.verdicts.slice(0, KINDS).forEach(function (it) {
      const row = make("p", "");
      row.append(make("b", "", (titles.get(it.rule) || it.rule) + ":"), make("span", "", it.from + " → " + it.to + " "), make("em", "", it.times + " 条"));
      const example = it.examples[0];
      if (example) row.append(make("small", "", example.at + " " + example.member + "「" + example.text + "」" + signed(example.was) + " → " + signed(example.now)));
      node.append(row);
    });
    return node;
  }

  function campaign(it, several) {
    const node = make("div", "campaign");
    const pair = make("div", "pair");
    [people("多得最多", it.winners), people("少得最多", it.losers)].forEach(function (list) { if (list) pair.append(list); });
    if (several) node.append(make("h4", "", it.title));
    node.append(make("p", "headline", headline(it)), rules(it));
    [days(it), pair.firstChild ? pair : null, verdicts(it)].forEach(function (part) { if (part) node.append(part); });
    if (it.lacking.length) node.append(make("p", "care", it.lacking.length + " 人已经花掉的比改后该有的多,最多差 " + number(Math.max.apply(null, it.lacking.map(function (l) { return l.points; })))));
    return node;
  }

  window.demo.trial = {
    clear: function () { place.hidden = true; place.replaceChildren(); },
    wait: function () {
      place.hidden = false;
      if (!place.firstChild) place.append(make("h3", "", "拿最近的聊天试算"), make("p", "waiting", "正在重算…"));
      place.classList.add("stale");
    },
    draw: function (report) {
      place.hidden = false;
      place.classList.remove("stale");
      const range = report.from ? report.from.slice(5) + " 到 " + report.to.slice(5) + "," + number(report.events) + " 条消息" : "还没有消息";
      const parts = [make("h3", "", "拿最近的聊天试算"), make("p", "range", range + (report.erased ? ",另有 " + number(report.erased) + " 条原文已删、没有重算" : ""))];
      const several = report.campaigns.length > 1;
      place.replaceChildren.apply(place, parts.concat(report.campaigns.map(function (it) { return campaign(it, several); })));
    }
  };
})();
