// The editor of rules.toml beside the chat: what is wrong as one types, what it would have cost, into effect, and back.
(function () {
  "use strict";

  const make = window.demo.make, button = window.demo.button, post = window.demo.post, code = window.demo.code;
  const $ = function (id) { return document.getElementById(id); };
  const PAUSE_MILLIS = 300;
  const AGAIN_MILLIS = 600;
  const SAVED = "已生效,从下一条消息起按它记,以前的不变";
  // `live` is the text that is live and its hash; `base` the version the text in the field was made from; `saved` the one saved here last;
  // `turn` numbers what is typed.
  const state = { live: null, base: null, saved: null, turn: 0, timer: 0 };

  function changed() { return Boolean(state.live) && code.text() !== state.live.text; }

  function say(kind, text) {
    $("verdict").className = kind;
    $("verdict").textContent = text;
  }

  function bar() {
    $("save").disabled = !changed();
    $("revert").hidden = !changed();
    $("aside").hidden = !state.live || state.base === state.live.hash;
  }

  async function quietly(path, body) {
    try {
      return await post(path, body);
    } catch (error) {
      say("bad", error instanceof TypeError ? "连不上演示程序,它可能已经退出" : error.message);
      return null;
    }
  }

  // ── looking at what is typed ──

  function typed() {
    state.turn += 1;
    bar();
    clearTimeout(state.timer);
    state.timer = setTimeout(check, PAUSE_MILLIS);
  }

  // Another page is typing; this text is still to be looked at.
  function again(look) { state.timer = setTimeout(look, AGAIN_MILLIS); }

  async function check() {
    const turn = state.turn, text = code.text();
    const told = await quietly("check", { text: text });
    if (!told || turn !== state.turn) return;
    if (!told.examined) return again(check);
    show(told.examined);
  }

  // What a test expected and what came, a line for each, and why.
  function unlike(failure) {
    const lines = failure.unlike.map(function (it) { return "\n应:" + (it.expected || "没有") + "\n实:" + (it.actual || "没有"); });
    return lines.join("") + (failure.why.length ? "\n因:" + failure.why.join(";") : "");
  }

  // What a finding can cost on the worst day, where it costs anything.
  function worst(cost) {
    if (!cost) return "";
    const worth = function (points, yuan) { return points + " 分" + (yuan ? "(约 " + yuan + " 元)" : ""); };
    return "最坏的一天:" + (cost.unlimited ? "没有封顶,整天刷就是" : "") + "一人 " + worth(cost.points, cost.yuan) + ",100 人的群 " + worth(cost.group_points, cost.group_yuan);
  }

  // All that keeps it from going live and all that is only to be thought of, in the order of the file.
  function findings(examined) {
    const mistakes = examined.mistakes.map(function (it) {
      return { line: it.line, column: it.column, kind: it.severity, what: it.severity === "error" ? "错误" : "提醒", text: it.text, cost: worst(it.cost), code: it.code };
    });
    const failures = examined.failures.filter(function (it, at, all) { return all.findIndex(function (other) { return other.line === it.line; }) === at; });
    const failed = failures.map(function (it) {
      const more = examined.failures.filter(function (other) { return other.line === it.line; }).length - 1;
      return { line: it.line, column: 1, kind: "error", what: "测试没过", text: "「" + it.test + "」" + it.what + unlike(it) + (more ? "\n这一行另有 " + more + " 处也不对" : "") };
    });
    return mistakes.concat(failed).sort(function (a, b) { return a.line - b.line || a.column - b.column; });
  }

  function show(examined) {
    const found = findings(examined);
    const marks = new Map();
    found.forEach(function (it) { if (marks.get(it.line) !== "error") marks.set(it.line, it.kind); });
    code.mark(marks);
    const rows = found.map(function (it) {
      const row = button("finding " + it.kind, undefined, function () { code.jump(it.line, it.column); });
      row.dataset.line = it.line;
      row.append(make("b", "", "第 " + it.line + " 行"), make("i", "", it.what), make("span", "", it.text));
      if (it.cost) row.append(make("small", "", it.cost));
      if (it.code) row.title = it.code;
      const item = make("li");
      item.append(row);
      return item;
    });
    $("findings").replaceChildren.apply($("findings"), rows);
    const errors = found.filter(function (it) { return it.kind === "error"; }).length;
    const warnings = found.length - errors;
    if (errors) say("bad", errors + " 处不对,改好才能生效" + (changed() ? ";线上还是原来的规则" : ""));
    else say(warnings ? "care" : "good", (changed() ? "可以生效" : state.saved === state.live.hash ? SAVED : "这就是线上的规则") + (warnings ? ",有 " + warnings + " 条提醒" : "") + tests(examined));
    const readable = examined.mistakes.every(function (it) { return it.severity !== "error"; });
    if (readable && changed()) weigh(); else window.demo.trial.clear();
  }

  function tests(examined) {
    return examined.tests ? ",文件里的 " + examined.tests + " 个测试都通过" : ",文件里还没有测试";
  }

  // ── what it would have cost ──

  async function weigh() {
    const turn = state.turn;
    window.demo.trial.wait();
    const told = await quietly("backtest", { text: code.text() });
    if (turn !== state.turn) return;
    if (!told) return window.demo.trial.clear();
    if (!told.report) return again(weigh);
    window.demo.trial.draw(told);
  }

  // ── into effect ──

  async function save() {
    if (!changed()) return say("good", "没有改动,线上就是这一份");
    $("save").disabled = true;
    const text = code.text();
    const told = await quietly("save", { text: text, base: state.base });
    bar();
    if (!told) return;
    if (told.changed) {
      await load();
      return say("bad", "规则刚被别处改过,没有保存。先看看新的,再决定");
    }
    if (told.examined) {
      state.turn += 1;
      show(told.examined);
      const first = findings(told.examined).find(function (it) { return it.kind === "error"; });
      if (first) code.jump(first.line, first.column);
      return say("bad", "没有采用,线上还是原来的规则。先改好标红的地方");
    }
    state.base = state.saved = told.live;
    await load();
  }

  // The rules that are live, from the daemon. What is typed here is never thrown away.
  async function load() {
    const told = await fetch("/demo/api/rules").then(function (answer) { return answer.json(); }).catch(function () { return null; });
    if (!told || !told.hash) return;
    const untouched = !state.live || !changed();
    state.live = { text: told.text.replace(/\r\n/g, "\n"), hash: told.hash };
    const same = code.text() === state.live.text;
    if (untouched || same) {
      if (!same) code.show(state.live.text, false);
      state.base = told.hash;
      state.turn += 1;
      check();
    }
    window.demo.words(told.words);
    drawOthers(told);
    bar();
  }

  // Another text into the field: a preset, an earlier version. It goes live when it is saved.
  async function fetched(wanted) {
    const told = await quietly("text", wanted);
    if (told) code.show(told.text, true);
    if (told) $("others").open = false;
  }

  function drawOthers(told) {
    const presets = told.presets.map(function (preset) {
      const card = button("", undefined, function () { fetched({ preset: preset.name }); });
      card.dataset.preset = preset.name;
      card.setAttribute("aria-pressed", String(preset.live));
      card.append(make("b", "", preset.title), make("small", "", preset.about));
      return card;
    });
    $("presets").replaceChildren.apply($("presets"), presets);
    const versions = told.versions.map(function (version) {
      const row = button("version", undefined, function () { fetched({ version: version.hash }); });
      row.dataset.version = version.hash;
      row.append(make("code", "", version.hash.slice(0, 8)), make("span", "", version.at ? window.demo.clockText(version.at, true) : ""), make("span", "", version.by));
      if (version.live) row.append(make("em", "", "线上"));
      const item = make("li");
      item.append(row);
      return item;
    });
    $("versions").replaceChildren.apply($("versions"), versions);
  }

  code.field.addEventListener("input", typed);
  $("save").addEventListener("click", save);
  $("revert").addEventListener("click", function () { code.show(state.live.text, true); });
  $("see-new").addEventListener("click", function () { state.base = state.live.hash; code.show(state.live.text, true); bar(); });
  $("go-over").addEventListener("click", function () { state.base = state.live.hash; bar(); say("care", "保存时会盖过别处的改动"); });
  document.addEventListener("keydown", function (event) {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s" && !$("panel-rules").hidden) { event.preventDefault(); save(); }
  });
  document.addEventListener("rules", function (event) { if (!state.live || event.detail !== state.live.hash) load(); });
})();
