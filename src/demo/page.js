// The page: asks for what is new, draws it, sends what is done. Data is only ever set as text.
(function () {
  "use strict";

  const CHATS = {
    single: {
      title: "积分助手", kind: "应用单聊", hears: "你说的每一句", says: "有问必答,看不懂的只提醒一次",
      quick: ["签到", "积分", "今天", "排行", "明细", "为什么", "规则", "帮助"], place: "发消息给积分助手",
      hello: "它会像真的企业微信消息一样加密、回调、记账,再由助手回答你。"
    },
    inner: {
      title: "产品内测群", kind: "内部群", hears: "只有 @ 积分助手的话", says: "在群里回答 @ 它的人",
      quick: ["@积分助手 签到", "@积分助手 积分", "@积分助手 排行", "@积分助手 为什么", "签到"], place: "发到群里;@积分助手 它才听得到",
      hello: "内部群里,智能机器人只收得到 @ 它的消息,在群里引用着回答。"
    },
    customer: {
      title: "骑行一群", kind: "外部", outside: true, hears: "会话存档:群里每一句", says: "不能自动回复,只记账",
      quick: ["签到", "今天骑了二十公里,风很大", "@积分助手 积分"], place: "发到客户群里",
      hello: "群里每一句都由会话内容存档带来,照样记账,但机器人不能在客户群里说话。这里的人是微信客户,和公司里的同名同事是两个人,积分各算各的。"
    }
  };
  const FATES = {
    waiting: "正在回复…", sending: "正在回复…", sent: "已回复", refused: "没有回复", unknown: "回复结果不明", expired: "回复过期没发", suppressed: "不回复"
  };
  const CHARTS = { issued: "发行", spent: "消费", expired: "过期", adjusted: "调整", opening: "期初" };
  const STAFF = "店长小周";
  const GAP_MILLIS = 5 * 60 * 1000;
  const TWICE_MILLIS = 600;
  const ZONE = "Asia/Shanghai";

  const $ = function (id) { return document.getElementById(id); };
  const state = { chat: "single", staff: "阿明", customer: "", rev: 0, lines: new Map(), people: [], ledger: [], balances: [], now: 0, seen: 0, thumbs: new Map(), wire: 0, last: "", lastAt: 0, words: [] };
  const drawn = new Map();

  function make(tag, cls, text) {
    const node = document.createElement(tag);
    if (cls) node.className = cls;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function button(cls, text, act) {
    const node = make("button", cls, text);
    node.type = "button";
    node.addEventListener("click", act);
    return node;
  }

  function clockText(at, withDay) {
    const options = withDay ? { month: "long", day: "numeric", hour: "2-digit", minute: "2-digit" } : { hour: "2-digit", minute: "2-digit" };
    return new Intl.DateTimeFormat("zh-CN", Object.assign({ timeZone: ZONE, hour12: false }, options)).format(new Date(at));
  }

  function person(id) { return state.people.find(function (p) { return p.id === id; }); }
  function nameOf(id) { const p = person(id); return p ? p.name : id; }

  // The last character of a Chinese name, the first of any other; a colour for each place in the list.
  function avatar(id, bot) {
    const letters = Array.from(nameOf(id));
    const letter = /\p{Script=Han}/u.test(letters[letters.length - 1]) ? letters[letters.length - 1] : letters[0];
    const place = state.people.findIndex(function (p) { return p.id === id; });
    const node = make("i", "avatar " + (bot ? "bot" : "c" + Math.max(place, 0) % 6), bot ? "积" : letter);
    node.setAttribute("aria-hidden", "true");
    return node;
  }

  function me() { return state.chat === "customer" ? state.customer : state.staff; }

  // ── talking to the server ──

  async function post(path, body) {
    const answer = await fetch("/demo/api/" + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (answer.ok) return answer.status === 204 ? {} : answer.json();
    const told = await answer.json().catch(function () { return {}; });
    throw new Error(told.error || "没有做成(" + answer.status + ")");
  }

  async function attempt(path, body) {
    try {
      const answer = await post(path, body);
      trouble("");
      return answer;
    } catch (error) {
      trouble(error instanceof TypeError ? "连不上演示程序,它可能已经退出" : error.message);
      return null;
    }
  }

  function trouble(text) {
    $("trouble").textContent = text;
    $("trouble").hidden = !text;
  }

  async function follow() {
    for (;;) {
      try {
        const answer = await fetch("/demo/api/feed?after=" + state.rev);
        if (!answer.ok) throw new Error(String(answer.status));
        take(await answer.json());
        if ($("trouble").dataset.lost) { delete $("trouble").dataset.lost; trouble(""); }
      } catch (error) {
        $("trouble").dataset.lost = "1";
        trouble("连不上演示程序,正在重试…");
        await new Promise(function (done) { setTimeout(done, 1500); });
      }
    }
  }

  function take(feed) {
    state.rev = feed.rev;
    state.now = feed.now;
    state.nowAt = Date.now();
    const people = JSON.stringify(feed.people) !== JSON.stringify(state.people);
    state.people = feed.people;
    if (!state.customer) {
      const first = feed.people.find(function (p) { return p.customer; });
      state.customer = first ? first.id : "";
    }
    feed.lines.forEach(function (line) { state.lines.set(line.id, line); });
    if (state.fed) notify(feed.lines);
    state.fed = true;
    state.ledger = feed.ledger;
    state.balances = feed.balances;
    if (people) drawPeople();
    if (people || feed.lines.length) drawLines();
    drawLedger();
    drawNow();
    if (feed.rules && feed.rules !== state.rules) {
      state.rules = feed.rules;
      document.dispatchEvent(new CustomEvent("rules", { detail: feed.rules }));
    }
    if (state.wire && feed.lines.some(function (line) { return line.id === state.wire; })) drawWire();
  }

  // Two taps on one button are one message.
  function twice(what) {
    const now = Date.now();
    const again = state.last === what && now - state.lastAt < TWICE_MILLIS;
    state.last = what;
    state.lastAt = now;
    return again;
  }

  async function say(text) {
    const body = { chat: state.chat, who: me(), text: text.replace(/＠积分助手/g, "@积分助手") };
    if (!text.trim() || twice(JSON.stringify(body))) return false;
    $("send").disabled = true;
    const sent = await attempt("say", body);
    $("send").disabled = false;
    return sent !== null;
  }

  // What the daemon takes at once; a larger picture is made smaller here, as WeCom's own clients do.
  const FILE_BYTES_MAX = 200 * 1024;
  const SIDES = [1280, 960, 640, 400];
  const THUMB = 200;

  async function drawn_small(bitmap, side, quality) {
    const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return new Promise(function (done) { canvas.toBlob(function (blob) { done([blob, canvas.toDataURL("image/jpeg", 0.7)]); }, "image/jpeg", quality); });
  }

  // Sends a file from this device, with the words that are in the field.
  async function attach(file) {
    const text = $("text").value;
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch (error) {
      return trouble("这个文件打不开,请选 JPEG、PNG、WebP 或 GIF 图片");
    }
    let body = file;
    for (let at = 0; body.size > FILE_BYTES_MAX && at < SIDES.length; at += 1) body = (await drawn_small(bitmap, SIDES[at], 0.8))[0] || file;
    const thumb = (await drawn_small(bitmap, THUMB, 0.7))[1];
    const query = new URLSearchParams({ chat: state.chat, who: me(), text: text.replace(/＠积分助手/g, "@积分助手") });
    try {
      const answer = await fetch("/demo/api/attach?" + query, { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: body });
      const told = await answer.json().catch(function () { return {}; });
      if (!answer.ok) return trouble(told.error || "没有做成(" + answer.status + ")");
      trouble("");
      $("text").value = "";
      grow();
      state.thumbs.set(told.id, thumb);
      drawn.delete(told.id);
      drawLines();
    } catch (error) {
      trouble("连不上演示程序,它可能已经退出");
    }
  }

  // ── drawing ──

  // A dot on chats where the assistant said something that is not in sight.
  function notify(lines) {
    lines.filter(function (line) { return line.kind === "bot" && line.chat !== state.chat && (line.chat !== "single" || line.who === state.staff); }).forEach(function (line) {
      document.querySelector(".chat[data-chat=" + line.chat + "]").classList.add("unread");
    });
  }

  function visible(line) {
    return line.chat === state.chat && (line.chat !== "single" || !line.who || line.who === me());
  }

  // Says the time itself.
  function isClock(line) { return line.kind === "notice" && !line.who; }

  function drawLines() {
    const list = $("lines");
    const stick = list.scrollHeight - list.scrollTop - list.clientHeight < 120;
    const shown = Array.from(state.lines.values()).filter(visible).sort(function (a, b) { return a.id - b.id; });
    const nodes = [];
    let before = 0;
    shown.forEach(function (line) {
      if (Math.abs(line.at - before) > GAP_MILLIS && !isClock(line)) nodes.push(make("li", "time", clockText(line.at, true)));
      before = line.at;
      const key = line.id + "/" + line.rev + "/" + me();
      const old = drawn.get(line.id);
      if (!old || old.dataset.key !== key) {
        const node = drawLine(line);
        node.dataset.key = key;
        drawn.set(line.id, node);
      }
      nodes.push(drawn.get(line.id));
    });
    if (!shown.some(function (line) { return line.kind !== "notice"; })) nodes.push(hello());
    list.replaceChildren.apply(list, nodes);
    if (stick) list.scrollTop = list.scrollHeight;
  }

  function hello() {
    const node = make("li", "hello");
    const quick = CHATS[state.chat].quick[0];
    node.append(make("b", "", "发一句「" + quick + "」试试"), make("span", "", CHATS[state.chat].hello));
    return node;
  }

  function drawLine(line) {
    if (line.kind === "notice") return drawNotice(line);
    const bot = line.kind === "bot";
    const own = !bot && line.who === me();
    const node = make("li", "line" + (own ? " own" : "") + (line.recalled ? " recalled" : ""));
    node.dataset.line = line.id;
    const said = make("div", "said");
    said.append(drawName(line, bot));
    if (line.kind === "picture") said.append(picture(line)); else said.append(bubble(line));
    if (line.kind === "picture" && line.text !== "[图片]") said.append(bubble(line));
    said.append(under(line, bot));
    node.append(avatar(line.who, bot), said);
    return node;
  }

  function drawNotice(line) {
    const node = make("li", "notice");
    node.append(make("span", "", line.text));
    if (line.note) node.append(make("span", "", " · " + line.note));
    line.verdicts.forEach(function (verdict) { node.append(make("span", "", " · " + verdict.text)); });
    if (line.wire) node.append(wireLink(line));
    return node;
  }

  function drawName(line, bot) {
    const name = make("span", "name");
    name.append(make("bdi", "", bot ? "积分助手" : nameOf(line.who)));
    const who = person(line.who);
    if (bot) name.append(make("span", "tag", "机器人"));
    else if (who && who.customer) name.append(make("span", "tag wechat", "@微信"));
    else if (line.chat === "customer") name.append(make("span", "tag outside", "员工"));
    return name;
  }

  // Only the page that sent it has it to show.
  function picture(line) {
    const thumb = state.thumbs.get(line.id);
    if (thumb) {
      const image = make("img", "photo");
      image.src = thumb;
      image.alt = "图片";
      return image;
    }
    const node = make("div", "picture");
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", "图片");
    return node;
  }

  function bubble(line) {
    const node = make("div", "bubble");
    node.dir = "auto";
    const asked = line.answers ? state.lines.get(line.answers) : null;
    if (asked) node.append(make("span", "quote", nameOf(asked.who) + ":" + asked.text));
    node.append(make("span", "", line.text));
    return node;
  }

  function under(line, bot) {
    const node = make("div", "under");
    if (bot) node.append(make("span", "chip", "经 " + line.note));
    else if (line.note) node.append(make("span", line.note.indexOf("没有送到") === 0 ? "chip bad" : "chip deaf", line.note));
    line.verdicts.forEach(function (verdict) { node.append(make("span", verdict.points > 0 ? "chip paid" : "chip", verdict.text)); });
    line.replies.forEach(function (reply) { node.append(drawFate(reply, line.chat)); });
    if (line.chat === "inner" && line.kind === "text" && !line.wire && line.note && line.who === me()) {
      node.append(button("act main", "加上 @ 再发", function () { say("@积分助手 " + line.text.replace(/^@\S+\s*/, "")); }));
    }
    const acts = make("span", "acts");
    if (line.wire) acts.append(wireLink(line));
    if (!bot && !line.recalled && line.who === me()) acts.append(button("act", "撤回", function () { attempt("recall", { id: line.id }); }));
    if (acts.firstChild) node.append(acts);
    return node;
  }

  // In a customer group silence is what is to be expected, not a fault.
  function drawFate(reply, chat) {
    if (chat === "customer" && !reply.open) return make("span", "chip", "客户群里不能自动回复,只记账");
    const bad = reply.state === "refused" || reply.state === "unknown" || reply.state === "expired";
    const why = reply.reason && reply.state !== "sent" ? ":" + reply.reason : "";
    return make("span", bad ? "chip bad" : "chip", (reply.open && reply.reason ? "还没发出" : FATES[reply.state] || reply.state) + why);
  }

  function wireLink(line) {
    return button("act", line.kind === "bot" ? "看接口" : line.wire.body ? "看回调" : "看存档", function () {
      state.wire = line.id;
      $("again-said").textContent = "";
      drawWire();
      tab("wire");
      drawer(true);
    });
  }

  function drawPeople() {
    const here = state.people.filter(function (p) { return state.chat === "customer" ? p.customer || p.id === STAFF : !p.customer && p.id !== STAFF; });
    const chips = here.map(function (p) {
      const chip = button("person" + (state.chat === "customer" && !p.present ? " gone" : ""), undefined, function () { choose(p.id); });
      chip.setAttribute("aria-pressed", String(p.id === me()));
      chip.dataset.person = p.name;
      chip.append(avatar(p.id, false), make("bdi", "", p.name + (p.customer ? "" : state.chat === "customer" ? "(员工)" : p.operator ? "(管理员)" : "")));
      return chip;
    });
    chips.push(button("person add", "+ 加人", newPerson));
    const focused = $("people").contains(document.activeElement) ? document.activeElement.dataset.person : undefined;
    $("people").replaceChildren.apply($("people"), chips);
    const chosen = focused && chips.find(function (chip) { return chip.dataset.person === focused; });
    if (chosen) chosen.focus();
    drawQuick();
  }

  function choose(id) {
    if (state.chat === "customer") state.customer = id; else state.staff = id;
    drawPeople();
    drawLines();
    $("lines").scrollTop = $("lines").scrollHeight;
  }

  function newPerson() {
    const input = make("input");
    input.id = "new";
    input.maxLength = 64;
    input.placeholder = "名字,回车";
    input.setAttribute("aria-label", "新成员的名字");
    let finished = false;
    const finish = async function () {
      if (finished) return;
      finished = true;
      const made = input.value.trim() ? await attempt("person", { name: input.value, customer: state.chat === "customer" }) : null;
      if (made) {
        if (!person(made.id)) state.people.push(made);
        choose(made.id);
      } else drawPeople();
    };
    input.addEventListener("keydown", function (event) {
      if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); finish(); }
      if (event.key === "Escape") { finished = true; drawPeople(); }
    });
    input.addEventListener("blur", finish);
    $("people").lastElementChild.replaceWith(input);
    input.focus();
  }

  function drawQuick() {
    const chat = CHATS[state.chat];
    const at = state.chat === "inner" ? "@积分助手 " : "";
    const words = state.words.map(function (word) { return at + word; }).filter(function (word) { return chat.quick.indexOf(word) < 0; });
    const self = person(me());
    const orders = state.chat === "inner" && self && self.operator ? ["停用", "恢复"].map(function (verb) { return at + verb + " " + (state.words[0] || "签到"); }).concat(at + "规则状态") : [];
    const buttons = chat.quick.concat(words, orders).map(function (text) { return button("", text, function () { say(text); }); });
    buttons.push(button("side", "发图片", function () {
      if (!twice("picture/" + state.chat + me())) attempt("picture", { chat: state.chat, who: me() });
    }));
    if (state.chat !== "single") {
      const who = person(me());
      const present = state.chat === "inner" || !who || who.present;
      buttons.push(button("side", present ? "退群" : "重新入群", function () {
        if (!twice("move/" + state.chat + me() + present)) attempt("move", { chat: state.chat, who: me(), joins: !present });
      }));
      if (state.chat === "inner") {
        buttons.push(button("side", "入群", function () { attempt("move", { chat: "inner", who: me(), joins: true }); }));
        buttons.push(button("side", "500 人签到", function () { if (!twice("crowd")) attempt("crowd", {}); }));
      }
    }
    $("quick").replaceChildren.apply($("quick"), buttons);
  }

  function drawChat() {
    const chat = CHATS[state.chat];
    $("title").textContent = chat.title;
    $("kind").textContent = chat.kind;
    $("kind").className = chat.outside ? "outside" : "";
    $("hears").textContent = chat.hears;
    $("says").textContent = chat.says;
    $("text").placeholder = chat.place;
    document.querySelectorAll(".chat").forEach(function (node) { node.setAttribute("aria-current", String(node.dataset.chat === state.chat)); });
    drawPeople();
    drawLines();
    $("lines").scrollTop = $("lines").scrollHeight;
  }

  // Who has no chip on the page is called by the name the row brings.
  function account(id, name) {
    const who = person(id);
    return who ? who.name + (who.customer ? "(微信)" : "") : CHARTS[id] || (name ? name + (/^w[mo].{30}$/.test(id) ? "(微信)" : "") : id);
  }

  function drawLedger() {
    const newest = state.ledger.length ? state.ledger[state.ledger.length - 1].seq : 0;
    const key = newest + "/" + state.people.length;
    if ($("ledger").dataset.key === key) return;
    $("ledger").dataset.key = key;
    $("ledger-empty").hidden = newest > 0;
    const balances = state.balances.map(function (balance) {
      const node = make("span", "balance");
      node.append(make("bdi", "", account(balance.id)), make("b", "", String(balance.available)));
      return node;
    });
    $("balances").replaceChildren.apply($("balances"), balances);
    const rows = state.ledger.slice().reverse().map(function (row) {
      const gain = Boolean(person(row.dst)) || !CHARTS[row.dst];
      const node = make("li", row.seq > state.seen && state.seen > 0 ? "fresh" : "");
      const who = make("span", "who");
      who.append(make("bdi", "", account(gain ? row.dst : row.src, row.name)));
      node.append(who, make("span", gain ? "sum" : "sum minus", (gain ? "+" : "−") + row.amount));
      node.append(make("small", "", "#" + row.seq + " · " + clockText(row.at, true) + " · " + row.code + " · " + account(row.src, row.name) + " → " + account(row.dst, row.name) + " · 链 " + row.link));
      return node;
    });
    state.seen = newest;
    $("ledger").replaceChildren.apply($("ledger"), rows);
  }

  function drawWire() {
    const line = state.lines.get(state.wire);
    if (!line || !line.wire) return;
    $("wire-empty").hidden = true;
    const parts = [[line.kind === "bot" ? "发给企业微信的" : "怎么来的", line.wire.request]];
    if (line.wire.body) parts.push(["收到的密文", line.wire.body]);
    parts.push([line.wire.body ? "解开以后" : "内容", line.wire.plain], ["应答", line.wire.answer]);
    const nodes = [];
    parts.forEach(function (part) {
      const value = make("dd");
      value.append(make("pre", "", part[1]));
      nodes.push(make("dt", "", part[0]), value);
    });
    $("wire").replaceChildren.apply($("wire"), nodes);
    $("again").hidden = !line.wire.body;
  }

  async function again() {
    const answer = await attempt("resend", { id: state.wire });
    if (answer) $("again-said").textContent = "同一条又送到一次,应答 " + answer.answer + "。账本没有多记。";
  }

  function drawNow() {
    if (state.now) $("now").textContent = clockText(state.now + Date.now() - state.nowAt, true);
  }

  function tab(name) {
    document.querySelectorAll("[data-tab]").forEach(function (node) { node.setAttribute("aria-selected", String(node.dataset.tab === name)); });
    document.querySelectorAll("[data-panel]").forEach(function (node) { node.hidden = node.dataset.panel !== name; });
    $("app").classList.toggle("editing", name === "rules");
  }

  function drawer(open) {
    $("app").classList.toggle("drawer", open);
    $("open").setAttribute("aria-expanded", String(open));
  }

  async function turn(hand) {
    const turned = await attempt("clock", hand);
    if (turned) $("clock").open = false;
  }

  async function submit() {
    const text = $("text").value;
    $("text").value = "";
    grow();
    if (!(await say(text)) && !$("text").value && !$("trouble").hidden) $("text").value = text;
  }

  function grow() {
    $("text").rows = Math.min(5, $("text").value.split("\n").length);
  }

  document.querySelectorAll(".chat").forEach(function (node) {
    node.addEventListener("click", function () { state.chat = node.dataset.chat; node.classList.remove("unread"); drawChat(); });
  });
  document.querySelectorAll("[data-tab]").forEach(function (node) { node.addEventListener("click", function () { tab(node.dataset.tab); }); });
  document.querySelectorAll("[data-hand]").forEach(function (node) { node.addEventListener("click", function () { turn(node.dataset.hand); }); });
  document.querySelectorAll("[data-fault]").forEach(function (node) {
    node.addEventListener("click", async function () {
      if (await attempt("fault", node.dataset.fault)) $("fault-said").textContent = node.dataset.fault === "none" ? "已恢复正常" : "下一次调用:" + node.textContent;
    });
  });
  $("hand").addEventListener("submit", function (event) { event.preventDefault(); turn({ at: $("hand-at").value }); });
  $("composer").addEventListener("submit", function (event) { event.preventDefault(); submit(); });
  $("text").addEventListener("keydown", function (event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); submit(); }
  });
  $("attach").addEventListener("click", function () { $("file").click(); });
  $("file").addEventListener("change", async function () {
    const file = $("file").files[0];
    if (file) await attach(file);
    // The same file may be chosen once more.
    $("file").value = "";
  });
  $("text").addEventListener("input", grow);
  $("again").addEventListener("click", again);
  $("open").addEventListener("click", function () { drawer(!$("app").classList.contains("drawer")); });
  $("close").addEventListener("click", function () { drawer(false); });
  document.addEventListener("keydown", function (event) { if (event.key === "Escape") { drawer(false); $("clock").open = false; } });
  document.addEventListener("click", function (event) { if (!$("clock").contains(event.target)) $("clock").open = false; });
  setInterval(drawNow, 5000);
  // What the other files of the page share.
  window.demo = { make: make, button: button, post: post, clockText: clockText, words: function (words) { state.words = words; drawQuick(); } };
  drawChat();
  document.addEventListener("DOMContentLoaded", follow);
})();
