// What a backtest found, drawn under the editor: the sentence, each rule, each day, who gets more or less, and the verdicts that change.
(function () {
  "use strict";

  const make = window.demo.make;
  const place = document.getElementById("trial"), sentence = document.getElementById("headline");
  const SVG = document.getElementById("svg").namespaceURI;
  const NAMED = 5, KINDS = 6;

  // Groups of three digits, apart as in the sentence above the text.
  function number(value) { return String(Math.abs(value)).replace(/\B(?=(\d{3})+$)/g, "\u00a0"); }
  function signed(value) { return value ? (value > 0 ? "+" : "−") + number(value) : "0"; }
  function sign(value) { return value > 0 ? "more" : value < 0 ? "less" : ""; }
  function by(change) { return change.now - change.was; }

  function rules(campaign) {
    const table = make("table");
    const head = make("tr");
    ["规则", "现在", "改后", "相差"].forEach(function (title) { head.append(make("th", "", title)); });
    table.append(head);
    campaign.rules.filter(function (rule) { return rule.change.was || rule.change.now; }).forEach(function (rule) {
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
      row.append(make("bdi", "", it.name || it.member), make("small", "", number(it.change.was) + " → " + number(it.change.now)), make("b", sign(by(it.change)), signed(by(it.change))));
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
      row.append(make("b", "", (titles.get(it.rule) || it.rule) + ":"), make("span", "", (it.from === it.to ? it.from + ",分数变了" : it.from + " → " + it.to) + " "), make("em", "", it.times + " 条"));
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
    node.append(rules(it));
    [days(it), pair.firstChild ? pair : null, verdicts(it)].forEach(function (part) { if (part) node.append(part); });
    return node;
  }

  window.demo.trial = {
    clear: function () { place.hidden = sentence.hidden = true; place.replaceChildren(); },
    wait: function () {
      if (sentence.hidden) sentence.textContent = "正在拿最近的聊天试算…";
      sentence.hidden = false;
      [place, sentence].forEach(function (node) { node.classList.add("stale"); });
    },
    // A report, and what it comes to in words.
    draw: function (told) {
      place.hidden = sentence.hidden = false;
      sentence.textContent = told.headline;
      [place, sentence].forEach(function (node) { node.classList.remove("stale"); });
      const whole = make("a", "", "整份报告");
      whole.href = "/demo/report";
      whole.target = "_blank";
      const title = make("h3", "", "拿最近的聊天试算");
      title.append(whole);
      const parts = [title, make("p", "range", told.extent)];
      told.notes.forEach(function (note) { parts.push(make("p", "range", note)); });
      const several = told.report.campaigns.length > 1;
      place.replaceChildren.apply(place, parts.concat(told.report.campaigns.map(function (it) { return campaign(it, several); })));
    }
  };
})();
