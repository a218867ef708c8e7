// The field for rules.toml: a textarea over a painted copy of its text, so that lines have numbers, words have colours and mistakes have marks.
// What is typed goes through the textarea alone: input methods, undo and selection are the browser's.
(function () {
  "use strict";

  const make = window.demo.make;
  const field = document.getElementById("toml");
  const paint = document.getElementById("paint");
  const TABLE = /^\s*\[{1,2}[^[\]=,]*\]{1,2}(?=\s*(#|$))/u;
  const WORD = /("""|''')|(#.*)|("(?:[^"\\]|\\.)*"?|'[^']*'?)|([\p{L}\p{N}_.-]+(?=\s*=))|(true\b|false\b|[+-]?\d[\d_:.-]*)|([\p{L}\p{N}_]+|\s+|.)/uy;
  const KINDS = ["quotes", "note", "string", "key", "value", ""];
  let marks = new Map();

  // The pieces of a line by kind, and the quotes of the long text in which it ends, if any.
  function pieces(line, quotes) {
    const found = [];
    let at = 0;
    const add = function (kind, text) { found.push([kind, text]); at += text.length; };
    const table = quotes ? null : TABLE.exec(line);
    if (table) add("table", table[0]);
    while (at < line.length) {
      if (quotes) {
        const end = line.indexOf(quotes, at);
        if (end >= 0) quotes = "";
        add("string", end < 0 ? line.slice(at) : line.slice(at, end + 3));
        continue;
      }
      WORD.lastIndex = at;
      const word = WORD.exec(line);
      const kind = KINDS[word.slice(1).findIndex(function (part) { return part !== undefined; })];
      if (kind === "quotes") quotes = word[0];
      add(kind === "quotes" ? "string" : kind, word[0]);
    }
    return [found, quotes];
  }

  // Only lines that changed are made anew.
  function draw() {
    const lines = field.value.split("\n");
    let quotes = "";
    lines.forEach(function (line, number) {
      const mark = marks.get(number + 1) || "";
      const key = quotes + "/" + mark + "/" + line;
      const old = paint.children[number];
      if (old && old.key === key) {
        quotes = old.ends;
        return;
      }
      const node = make("div", mark);
      const told = pieces(line, quotes);
      told[0].forEach(function (piece) { node.append(piece[0] ? make("span", piece[0], piece[1]) : piece[1]); });
      node.key = key;
      node.ends = quotes = told[1];
      if (old) old.replaceWith(node); else paint.append(node);
    });
    while (paint.children.length > lines.length) paint.lastElementChild.remove();
    follow();
  }

  function follow() {
    paint.scrollTop = field.scrollTop;
    paint.scrollLeft = field.scrollLeft;
  }

  // Where a line and column (in characters, from 1) are in the text.
  function offset(line, column) {
    const lines = field.value.split("\n");
    const before = lines.slice(0, line - 1).reduce(function (sum, text) { return sum + text.length + 1; }, 0);
    return before + Array.from(lines[line - 1] || "").slice(0, column - 1).join("").length;
  }

  function jump(line, column) {
    const at = offset(line, column);
    const height = paint.firstElementChild ? paint.firstElementChild.offsetHeight : 20;
    field.focus({ preventScroll: true });
    field.setSelectionRange(at, at);
    field.scrollTop = Math.max(0, (line - 4) * height);
    field.scrollLeft = 0;
    field.parentElement.scrollIntoView({ block: "nearest" });
    follow();
  }

  field.addEventListener("input", draw);
  field.addEventListener("scroll", follow);

  window.demo.code = {
    field: field,
    text: function () { return field.value; },
    // Shows another text. With `undo`, it can be taken back like anything typed.
    show: function (text, undo) {
      if (undo) {
        field.focus({ preventScroll: true });
        field.select();
      }
      // Old, and the only way that keeps the history of a field; where it is gone, the text is set.
      if (!undo || !document.execCommand("insertText", false, text)) field.value = text;
      field.setSelectionRange(0, 0);
      field.scrollTop = 0;
      draw();
    },
    // Marks lines: a Map from number to `error` or `warning`.
    mark: function (told) { marks = told; draw(); },
    jump: jump
  };
})();
