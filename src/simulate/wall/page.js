// The chat wall's page. Everything that arrives is somebody else's text: it becomes text nodes and
// elements made here, never markup. No framework, nothing from elsewhere.
"use strict";

const SHOWN = { log: 100, slack: 60, wecom: 60, webhook: 60 }; // Items kept in each column.
const WAITING_MAX = 2000; // Events kept while paused.
const NAMES = { log: "Log", slack: "Slack", wecom: "WeCom", webhook: "Webhook" };
const $ = (id) => document.getElementById(id);

/** An element with a class and children; a string becomes text. */
function el(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

function text(value) {
  return value === null || value === undefined ? "" : String(value);
}

/** A link, where the address is one that is safe to follow; the label alone otherwise. */
function link(address, ...label) {
  if (!/^(https?:|mailto:)/i.test(address)) return el("span", "", ...label);
  const node = el("a", "", ...label);
  node.href = address;
  node.target = "_blank";
  node.rel = "noopener noreferrer";
  return node;
}

const clock = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Shanghai", hour: "2-digit", minute: "2-digit", second: "2-digit" });

function time(at) {
  const instant = new Date(at);
  const node = el("time", "", Number.isNaN(+instant) ? "" : clock.format(instant));
  node.title = "at +08:00, as in the log";
  return node;
}

// ---------------------------------------------------------------- Slack's mrkdwn and blocks

const EMOJI = {
  bell: "🔔", white_check_mark: "✅", heavy_check_mark: "✔️", x: "❌", warning: "⚠️", rotating_light: "🚨",
  red_circle: "🔴", large_green_circle: "🟢", large_yellow_circle: "🟡", large_orange_circle: "🟠",
  large_blue_circle: "🔵", white_circle: "⚪", black_circle: "⚫", rocket: "🚀", package: "📦", hourglass: "⌛",
  hourglass_flowing_sand: "⏳", repeat: "🔁", arrows_counterclockwise: "🔄", fire: "🔥", tada: "🎉", boom: "💥",
  information_source: "ℹ️", no_entry: "⛔", question: "❓", grey_question: "❔", mag: "🔍", link: "🔗", zap: "⚡",
  construction: "🚧", mute: "🔕", no_bell: "🔕", green_heart: "💚", eyes: "👀", stopwatch: "⏱️", inbox_tray: "📥",
};
const emoji = (string) => string.replace(/:([a-z0-9_+-]+):/g, (whole, name) => (Object.hasOwn(EMOJI, name) ? EMOJI[name] : whole));

// Chat products draw emoji themselves, and a bare machine has no font for them: the ones that alerts
// live by are drawn here, as [fill, path over it] in a square of 20.
const TICK = "M5.5 10.5l3 3 6-7";
const ART = {
  "✅": ["#3aa55d", TICK, "square"], "✔": ["#3aa55d", TICK], "❌": ["#d8373f", "M6.5 6.5l7 7M13.5 6.5l-7 7", "square"],
  "🔴": ["#dd3b45"], "🟢": ["#35a763"], "🟡": ["#f2c02c"], "🟠": ["#f08a24"], "🔵": ["#3779d8"], "⚪": ["#d7dade"], "⚫": ["#3c4047"],
  "⚠": ["#f2b21b", "M10 6.5v4.5M10 13.8v.1", "triangle"], "❔": ["#8b93a1", "M7.5 7.8a2.5 2.5 0 1 1 3.6 2.3c-.8.4-1.1.9-1.1 1.7M10 14.3v.1"],
  "❓": ["#d8373f", "M7.5 7.8a2.5 2.5 0 1 1 3.6 2.3c-.8.4-1.1.9-1.1 1.7M10 14.3v.1"], "ℹ": ["#3779d8", "M10 9v5M10 6v.1", "square"],
  "⏳": ["#8f7a5c", "M6.5 5h7M6.5 15h7M7.5 5c0 3 5 7 5 10M12.5 5c0 3-5 7-5 10", "square"], "⛔": ["#d8373f", "M5.5 10h9"],
  "📋": ["#7a8290", "M6.5 7.5h7M6.5 10.5h7M6.5 13.5h4", "square"], "🔔": ["#f0a92e", "M6.5 13h7M7.5 13V9.5a2.5 2.5 0 0 1 5 0V13M10 15v.1"],
  "🔁": ["#3779d8", "M6 9a4 4 0 0 1 7.5-1.5M14 11a4 4 0 0 1-7.5 1.5M13.5 4.5v3h-3M6.5 15.5v-3h3", "square"], "🚨": ["#dd3b45", "M10 6v5M10 14v.1", "square"],
};
const SHAPES = { square: "M4 1.5h12A2.5 2.5 0 0 1 18.5 4v12a2.5 2.5 0 0 1-2.5 2.5H4A2.5 2.5 0 0 1 1.5 16V4A2.5 2.5 0 0 1 4 1.5z", triangle: "M10 2l8.5 15.5h-17z", circle: "M10 1.5a8.5 8.5 0 1 1 0 17a8.5 8.5 0 0 1 0-17z" };
const DRAWN = new RegExp("(" + Object.keys(ART).join("|") + ")\uFE0F?", "u");

/** A text with the emoji that are known here drawn. */
function drawn(string) {
  return string.split(DRAWN).map((part, place) => (place % 2 === 1 ? drawEmoji(part) : part));
}

function drawEmoji(character) {
  const [fill, stroke, shape] = ART[character];
  const node = svg("emoji", "0 0 20 20", [SHAPES[shape || "circle"], { fill }]);
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", character);
  if (stroke) node.append(svgPath(stroke, { fill: "none", stroke: "#fff", "stroke-width": 2, "stroke-linecap": "round", "stroke-linejoin": "round" }));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

function svgPath(d, attributes) {
  const path = document.createElementNS(SVG, "path");
  Object.entries({ d, ...attributes }).forEach(([name, value]) => path.setAttribute(name, value));
  return path;
}

function svg(className, viewBox, ...paths) {
  const node = document.createElementNS(SVG, "svg");
  node.setAttribute("viewBox", viewBox);
  if (className) node.setAttribute("class", className);
  node.append(...paths.map(([d, attributes]) => svgPath(d, attributes)));
  return node;
}
const decoded = (string) => string.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

const SLACK_INLINE = /`([^`\n]+)`|<([^<>\n]+)>|(?<![\p{L}\p{N}*])\*(?=\S)([^*\n]*[^*\s])\*(?![\p{L}\p{N}*])|(?<![\p{L}\p{N}_])_(?=\S)([^_\n]*[^_\s])_(?![\p{L}\p{N}_])|(?<![\p{L}\p{N}~])~(?=\S)([^~\n]*[^~\s])~(?![\p{L}\p{N}~])/gu;

/** Text that holds no markup any more; Slack makes links of bare addresses, unless told to be verbatim. */
function leaf(string, verbatim) {
  const parts = verbatim ? [string] : string.split(/(https?:\/\/[^\s<>|]*[^\s<>|.,:;!?)'"])/);
  return parts.flatMap((part, place) => (place % 2 === 1 ? [link(decoded(part), decoded(part))] : drawn(emoji(decoded(part)))));
}

function slackInline(string, verbatim = false, depth = 0) {
  const out = [];
  let end = 0;
  for (const match of depth > 5 ? [] : string.matchAll(SLACK_INLINE)) {
    out.push(...leaf(string.slice(end, match.index), verbatim));
    const [whole, code, angle, bold, italic, strike] = match;
    if (code !== undefined) out.push(el("code", "", decoded(code)));
    else if (angle !== undefined) out.push(slackAngle(angle));
    else if (bold !== undefined) out.push(el("b", "", ...slackInline(bold, verbatim, depth + 1)));
    else if (italic !== undefined) out.push(el("i", "", ...slackInline(italic, verbatim, depth + 1)));
    else out.push(el("s", "", ...slackInline(strike, verbatim, depth + 1)));
    end = match.index + whole.length;
  }
  out.push(...leaf(string.slice(end), verbatim));
  return out;
}

/** What stands between < and >: a link, a mention, a date. */
function slackAngle(inner) {
  const bar = inner.indexOf("|");
  const target = bar < 0 ? inner : inner.slice(0, bar);
  const label = bar < 0 ? "" : decoded(inner.slice(bar + 1));
  if (/^!(channel|here|everyone)$/.test(target)) return el("span", "mention shout", "@" + target.slice(1));
  if (target.startsWith("!subteam^")) return el("span", "mention", label || "@" + target.slice(9));
  if (target.startsWith("!date^")) return slackDate(target, label);
  if (target.startsWith("!")) return el("span", "mention", label || target.slice(1));
  if (target.startsWith("@")) return el("span", "mention", "@" + (label || target.slice(1)));
  if (target.startsWith("#")) return el("span", "mention", "#" + (label || target.slice(1)));
  return link(decoded(target), label || decoded(target));
}

function slackDate(target, fallback) {
  const [, seconds, format, address] = target.split("^");
  const instant = new Date(Number(seconds) * 1000);
  if (!format || Number.isNaN(+instant)) return document.createTextNode(fallback);
  const say = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Shanghai", ...options }).format(instant);
  const day = () => say({ year: "numeric", month: "short", day: "numeric" });
  const shown = format.replace(/\{(\w+)\}/g, (whole, name) => {
    if (name === "date_num") return say({ year: "numeric", month: "2-digit", day: "2-digit" }).split("/").reverse().join("-");
    if (name === "time_secs") return say({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
    if (name === "time") return say({ hour: "2-digit", minute: "2-digit" });
    return name.startsWith("date") ? day() : whole;
  });
  return address ? link(address, shown) : document.createTextNode(shown);
}

/** Lines gathered into quotes and the rest. */
function slackLines(string, verbatim) {
  const out = [];
  let quote = null;
  string.split("\n").forEach((line) => {
    const quoted = /^(?:>|&gt;) ?(.*)$/.exec(line);
    if (quoted) {
      if (quote) quote.append(el("br"));
      else out.push((quote = el("blockquote")));
      quote.append(...slackInline(quoted[1], verbatim));
      return;
    }
    if (!quote && out.length > 0) out.push(el("br"));
    quote = null;
    out.push(...slackInline(line, verbatim));
  });
  return out;
}

function mrkdwn(string, verbatim) {
  const parts = text(string).split("```");
  return parts.flatMap((part, place) => {
    const fenced = place % 2 === 1 && place < parts.length - 1;
    if (fenced) return [el("pre", "", decoded(part.replace(/^\n|\n$/g, "")))];
    const opened = place % 2 === 1 ? "```" : "";
    const trimmed = part.replace(place > 0 ? /^\n/ : /^$/, "").replace(place < parts.length - 1 ? /\n$/ : /^$/, "");
    return trimmed || opened ? slackLines(opened + trimmed, verbatim) : [];
  });
}

function textObject(object) {
  if (!object) return [];
  return object.type === "plain_text" ? drawn(emoji(text(object.text))) : mrkdwn(object.text, object.verbatim === true);
}

const list = (value) => (Array.isArray(value) ? value : []);
const picture = (block) => el("div", "picture", "🖼 " + text(block.alt_text || "picture"));

function richText(element) {
  if (element.elements && element.type !== "rich_text_section") {
    const tag = { rich_text_quote: "blockquote", rich_text_preformatted: "pre" }[element.type] || "div";
    return el(tag, "", ...list(element.elements).map(richText));
  }
  if (element.elements) return el("div", "", ...list(element.elements).map(richText));
  if (element.type === "link") return link(text(element.url), text(element.text || element.url));
  if (element.type === "emoji") return document.createTextNode(emoji(":" + text(element.name) + ":"));
  const style = element.style || {};
  return el(style.code ? "code" : style.bold ? "b" : style.italic ? "i" : style.strike ? "s" : "span", "", text(element.text));
}

const BLOCKS = {
  header: (block) => el("div", "header", ...textObject(block.text)),
  divider: () => el("hr"),
  image: picture,
  rich_text: (block) => el("div", "section", ...list(block.elements).map(richText)),
  context: (block) => el("div", "context", ...list(block.elements).map((part) => (part.type === "image" ? picture(part) : el("span", "", ...textObject(part))))),
  actions: (block) => el("div", "actions", ...list(block.elements).map(slackButton)),
  section: (block) => {
    const node = el("div", "section");
    if (block.text) node.append(el("div", "", ...textObject(block.text)));
    if (block.fields) node.append(el("div", "fields", ...list(block.fields).map((field) => el("div", "", ...textObject(field)))));
    if (block.accessory) node.append(el("div", "actions", slackButton(block.accessory)));
    return node;
  },
};

function slackButton(part) {
  if (part.type === "image") return picture(part);
  const style = part.style === "primary" || part.style === "danger" ? " " + part.style : "";
  const label = el("span", "button" + style, ...textObject(part.text || part.placeholder));
  return part.url ? link(text(part.url), label) : label;
}

function slackBlocks(blocks) {
  return list(blocks).map((block) => (Object.hasOwn(BLOCKS, block.type) ? BLOCKS[block.type](block) : el("div", "picture", text(block.type))));
}

const SLACK_COLOURS = { good: "#2eb886", warning: "#daa038", danger: "#a30200" };

function slackAttachment(part) {
  const bar = el("i");
  const colour = Object.hasOwn(SLACK_COLOURS, part.color) ? SLACK_COLOURS[part.color] : text(part.color).replace(/^#?/, "#");
  if (/^#[0-9a-f]{6}$/i.test(colour)) bar.style.backgroundColor = colour;
  const inside = el("div");
  if (part.author_name) inside.append(el("div", "foot", text(part.author_name)));
  if (part.title) inside.append(el("b", "title", part.title_link ? link(text(part.title_link), ...slackInline(text(part.title))) : el("span", "", ...slackInline(text(part.title)))));
  if (part.blocks) inside.append(...slackBlocks(part.blocks));
  else inside.append(...mrkdwn(part.text || (part.title || part.fields ? "" : part.fallback)));
  if (part.fields) {
    inside.append(el("div", "fields", ...list(part.fields).map((field) => el("div", "", el("b", "title", ...slackInline(text(field.title))), ...mrkdwn(field.value)))));
  }
  if (part.footer) inside.append(el("div", "foot", text(part.footer)));
  const node = el("div", "attachment", bar, inside);
  return part.pretext ? el("div", "", el("div", "", ...mrkdwn(part.pretext)), node) : node;
}

function slack(payload) {
  const body = el("div", "body");
  if (typeof payload !== "object" || payload === null) return el("div", "body", el("pre", "", text(payload)));
  if (list(payload.blocks).length > 0) body.append(...slackBlocks(payload.blocks));
  else if (payload.text) body.append(el("div", "section", ...mrkdwn(payload.text)));
  body.append(...list(payload.attachments).map(slackAttachment));
  return body;
}

// ---------------------------------------------------------------- WeCom's markdown and cards

const WECOM_INLINE = /`([^`\n]+)`|\*\*([^\n]+?)\*\*|!?\[([^\]\n]*)\]\(([^)\s]+)\)|<font color=["'](info|comment|warning)["']>([^]*?)<\/font>|<@([^<>\s]+)>/g;
const WECOM_INLINE_2 = /`([^`\n]+)`|\*\*([^\n]+?)\*\*|!?\[([^\]\n]*)\]\(([^)\s]+)\)|(?!)()()|(?!)()|\*([^*\n]+)\*/g;

function wecomInline(string, second = false, depth = 0) {
  const out = [];
  let end = 0;
  for (const match of depth > 5 ? [] : string.matchAll(second ? WECOM_INLINE_2 : WECOM_INLINE)) {
    out.push(...drawn(string.slice(end, match.index)));
    const [whole, code, bold, label, address, colour, coloured, mention, italic] = match;
    if (code !== undefined) out.push(el("code", "", code));
    else if (bold !== undefined) out.push(el("b", "", ...wecomInline(bold, second, depth + 1)));
    else if (address !== undefined) out.push(link(address, label || address));
    else if (colour !== undefined) out.push(el("span", colour, ...wecomInline(coloured, second, depth + 1)));
    else if (mention !== undefined) out.push(el("span", "mention", "@" + mention));
    else if (italic !== undefined) out.push(el("i", "", italic));
    end = match.index + whole.length;
  }
  out.push(...drawn(string.slice(end)));
  return out;
}

function wecomMarkdown(content, second) {
  const out = [];
  const lines = text(content).replace(/\r/g, "").split("\n");
  const inline = (line) => wecomInline(line, second);
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at];
    const heading = /^(#{1,6})\s+(.*)$/.exec(line);
    const gather = (pattern) => {
      const found = [];
      while (at < lines.length && pattern.test(lines[at])) found.push(lines[at++].replace(pattern, ""));
      at--;
      return found;
    };
    if (heading) out.push(el("div", "heading h" + heading[1].length, ...inline(heading[2])));
    else if (/^\s*>/.test(line)) {
      out.push(el("blockquote", "", ...gather(/^\s*>\s?/).map((quoted) => el("div", "line", ...inline(quoted)))));
    } else if (second && /^```/.test(line)) {
      const close = lines.findIndex((other, place) => place > at && /^```\s*$/.test(other));
      const to = close < 0 ? lines.length : close;
      out.push(el("pre", "", lines.slice(at + 1, to).join("\n")));
      at = to;
    } else if (second && /^\s*[-*]\s+/.test(line)) {
      out.push(el("ul", "", ...gather(/^\s*[-*]\s+/).map((item) => el("li", "", ...inline(item)))));
    } else if (second && /^\s*\d+\.\s+/.test(line)) {
      out.push(el("ol", "items", ...gather(/^\s*\d+\.\s+/).map((item) => el("li", "", ...inline(item)))));
    } else if (second && /^\s*---+\s*$/.test(line)) out.push(el("hr"));
    else if (second && /^\s*\|/.test(line)) {
      const rows = gather(/^\s*\|/).filter((row) => !/^[\s:|-]+$/.test(row)).map((row) => row.replace(/\|\s*$/, "").split("|"));
      out.push(el("table", "", ...rows.map((row, place) => el("tr", "", ...row.map((cell) => el(place === 0 ? "th" : "td", "", ...inline(cell.trim())))))));
    } else out.push(el("div", "line", ...inline(line)));
  }
  return out;
}

function wecomCard(card) {
  const out = [];
  const title = card.main_title || {};
  if (title.title) out.push(el("div", "heading h3", text(title.title)));
  if (title.desc) out.push(el("div", "comment", text(title.desc)));
  if (card.emphasis_content) out.push(el("div", "big", text(card.emphasis_content.title)), el("div", "comment", text(card.emphasis_content.desc)));
  if (card.sub_title_text) out.push(el("div", "line", text(card.sub_title_text)));
  list(card.horizontal_content_list).forEach((pair) => out.push(el("div", "line", el("span", "comment", text(pair.keyname) + "  "), pair.url ? link(text(pair.url), text(pair.value)) : text(pair.value))));
  list(card.jump_list).forEach((jump) => out.push(el("div", "line", link(text(jump.url), text(jump.title)))));
  return out;
}

function wecom(payload) {
  const bubble = el("div", "bubble");
  const kind = payload && payload.msgtype;
  const part = (payload && payload[kind]) || {};
  if (kind === "markdown" || kind === "markdown_v2") bubble.append(...wecomMarkdown(part.content, kind === "markdown_v2"));
  else if (kind === "text") {
    const mentions = [...list(part.mentioned_list), ...list(part.mentioned_mobile_list)].map((name) => el("span", "mention", (text(name) === "@all" ? "@所有人" : "@" + text(name)) + " "));
    bubble.append(el("div", "line", text(part.content), mentions.length ? "\n" : "", ...mentions));
  } else if (kind === "template_card") bubble.append(...wecomCard(part));
  else if (kind === "news") bubble.append(...list(part.articles).map((article) => el("div", "", el("b", "", link(text(article.url), text(article.title))), el("div", "comment", text(article.description)))));
  else bubble.append(el("pre", "", typeof payload === "string" ? payload : JSON.stringify(payload, null, 2)));
  return el("div", "body", bubble);
}

function webhook(payload) {
  return el("div", "body", el("pre", "", typeof payload === "string" ? payload : JSON.stringify(payload, null, 2)));
}

const DRAW = { slack, wecom, webhook };

// ---------------------------------------------------------------- The columns

const bell = () => svg("", "0 0 32 32", ["M16 6a6 6 0 0 0-6 6v5l-2 4h16l-2-4v-5a6 6 0 0 0-6-6zm-2.5 17a2.5 2.5 0 0 0 5 0z", {}]);

/** For whom an app's message in WeCom is; nothing for a robot's, which is in the group. */
function wecomTo(payload) {
  if (!payload || payload.agentid === undefined) return null;
  const lists = [["touser", ""], ["toparty", "部门 "], ["totag", "标签 "]];
  const ids = lists.flatMap(([name, what]) => text(payload[name]).split("|").filter(Boolean).map((id) => what + (id === "@all" ? "所有人" : id)));
  return el("span", "to", "发给 " + ids.join("、"));
}

function drawMessage(event) {
  const to = event.channel === "wecom" ? wecomTo(event.payload) : null;
  const kind = event.channel === "wecom" ? (to ? "应用" : "机器人") : "APP";
  const edited = event.place && event.place.edit ? el("span", "edited", "(edited)") : null;
  const by = el("div", "by", "triggerbell", el("em", "", kind), to, time(event.at), edited);
  const refusal = event.refusal ? el("div", "refusal", "Refused: " + event.refusal) : null;
  const inside = el("div", "inside", by, refusal, DRAW[event.channel](event.payload));
  return el("li", "message", el("div", "avatar", bell()), inside);
}

function drawRow(row) {
  const state = row.code === null ? "unknown" : row.code === 0 ? "good" : "failed";
  const where = el("div", "where", el("b", "", text(row.service)), [row.namespace, row.region, row.cluster].filter(Boolean).map((part) => " · " + part).join(""));
  where.title = [row.trigger, row.service, row.namespace, row.cluster, row.region].filter(Boolean).join(" · ");
  const image = el("div", "image", text(row.repo), el("code", "", text(row.tag)));
  const pill = el("span", "pill", state === "good" ? "ok" : state === "failed" ? "failed " + row.code : "no result");
  const when = el("time", "", text(row.time).slice(11));
  when.title = text(row.time) + " +08:00";
  const said = state === "failed" ? el("div", "said", text(row.message)) : null;
  const node = el("li", "row " + state, image, when, where, pill, said, el("div", "told"));
  node.tabIndex = 0;
  return node;
}

const rows = new Map(); // The rows shown: number -> {node, row, about: Set of messages}.
const placed = new Map(); // Slack's messages by their ts, for edits and threads.
const unseen = { log: 0, slack: 0, wecom: 0, webhook: 0 };
let first = true;

function show(column, node) {
  const into = $(column);
  into.prepend(node);
  while (into.children.length > SHOWN[column]) forget(into.lastElementChild);
  if (first) return;
  node.classList.add("new");
  if (document.body.dataset.view !== column) {
    unseen[column] += 1;
    badge(column);
  }
}

function forget(node) {
  if (node.row) rows.delete(node.row.id);
  if (node.about) node.about.forEach((row) => row.messages.delete(node));
  if (node.ts) placed.delete(node.ts);
  node.remove();
}

/** Puts a message of Slack's where it belongs; false where that is the column's top. */
function settle(node, place) {
  if (!place) return false;
  const head = placed.get(place.thread || place.ts);
  if (place.edit) {
    if (head) {
      const thread = head.querySelector(".thread");
      if (thread) node.querySelector(".inside").append(thread);
      if (head.about) head.about.forEach((row) => row.messages.delete(head));
      head.replaceWith(node);
    }
  } else if (place.thread && head) {
    const inside = head.querySelector(".inside");
    const thread = inside.querySelector(".thread") || el("ol", "thread");
    inside.append(thread);
    thread.append(node);
    return true;
  }
  node.ts = place.ts;
  placed.set(place.ts, node);
  return Boolean(place.edit && head);
}

function badge(column) {
  const tab = document.querySelector(`[data-tab=${column}] b`);
  tab.textContent = unseen[column] > 0 ? (unseen[column] > 99 ? "99+" : String(unseen[column])) : "";
}

function onRow(event) {
  const node = drawRow(event.row);
  const before = rows.get(event.id);
  const entry = { id: event.id, row: event.row, node, messages: before ? before.messages : new Set() };
  node.row = entry;
  rows.set(event.id, entry);
  if (before) {
    before.node.replaceWith(node);
    tell(entry);
  } else show("log", node);
}

function onMessage(event) {
  const node = drawMessage(event);
  node.channel = event.channel;
  if (event.channel === "webhook" && $("webhook").parentElement.hidden) {
    $("webhook").parentElement.hidden = false;
    document.querySelector("[data-tab=webhook]").hidden = false;
    document.querySelector("main").classList.add("four");
  }
  const settled = !event.refusal && settle(node, event.place);
  node.about = event.refusal ? [] : rowsAbout(decoded(strings(event.payload).join("\n")));
  node.about.forEach((entry) => {
    entry.messages.add(node);
    tell(entry);
  });
  if (!settled) show(event.channel, node);
  else if (!first) node.classList.add("new");
  if (!first && !event.refusal) ring();
}

/** Every text in a payload. */
function strings(value) {
  if (typeof value === "string") return [value];
  return value && typeof value === "object" ? Object.values(value).flatMap(strings) : [];
}

/** The newest row that a message seems to be about: it names its tag and its service or repository. */
function rowsAbout(said) {
  let best = null;
  let most = 0;
  for (const entry of rows.values()) {
    const { tag, service, repo, namespace, cluster, region, trigger, message } = entry.row;
    const names = (part) => Boolean(part) && said.includes(part);
    if (!names(tag) || !(names(service) || names(repo))) continue;
    const score = [service, repo, namespace, cluster, region, trigger, message].filter(names).length;
    if (score >= most) [best, most] = [entry, score];
  }
  return best ? [best] : [];
}

/** Writes under a row where it was told. */
function tell(entry) {
  const channels = [...new Set([...entry.messages].map((node) => node.channel))];
  entry.node.querySelector(".told").replaceChildren(...channels.map((channel) => el("span", channel, NAMES[channel])));
}

let ringing = 0;
function ring() {
  document.body.classList.add("ring");
  clearTimeout(ringing);
  ringing = setTimeout(() => document.body.classList.remove("ring"), 750);
}

function count(id, value) {
  $(id).textContent = Number(value).toLocaleString("en");
}

function apply(event) {
  if (event.kind === "row") onRow(event);
  else if (event.kind === "message") onMessage(event);
  else if (event.kind === "service") count("count-matched", event.service.matched);
  count("count-seen", event.counts.published);
  count("count-delivered", event.counts.accepted);
  count("count-refused", event.counts.refused);
  $("refused").hidden = event.counts.refused === 0;
}

// ---------------------------------------------------------------- What belongs together

function together(node) {
  if (!node) return [];
  if (node.row) return [node, ...node.row.messages];
  return [node, ...(node.about || []).flatMap((entry) => [entry.node, ...entry.messages])];
}

function light(node) {
  document.querySelectorAll(".lit").forEach((other) => other.classList.remove("lit"));
  together(node).forEach((other) => other.classList.add("lit"));
}

let pinned = null;
function pin(node) {
  const nodes = together(node);
  pinned = node && node !== pinned && nodes.length > 1 ? node : null;
  document.body.classList.toggle("pinned", Boolean(pinned));
  light(pinned);
  if (pinned) nodes.slice(1).forEach((other) => other.scrollIntoView({ block: "nearest" }));
}

const item = (event) => event.target.closest && event.target.closest(".list li.message, .list > li");
document.addEventListener("pointerover", (event) => pinned || light(item(event)));
document.addEventListener("focusin", (event) => pinned || light(item(event)));
document.addEventListener("click", (event) => event.target.closest("a, button") || pin(item(event)));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") pin(null);
  if (event.key === "Enter" && item(event)) pin(item(event));
});

document.querySelectorAll("[data-tab]").forEach((tab) => {
  tab.addEventListener("click", () => {
    document.body.dataset.view = tab.dataset.tab;
    unseen[tab.dataset.tab] = 0;
    badge(tab.dataset.tab);
  });
});

// ---------------------------------------------------------------- The stream

const STILL = location.search === "?still"; // Paint once and do not follow: for pictures of the page.
let paused = false;
let live = false;
let waiting = [];
let source = null;

function state() {
  const [name, words] = STILL ? ["paused", "Still"] : paused ? ["paused", waiting.length ? `Paused, ${waiting.length} waiting` : "Paused"] : live ? ["live", "Live"] : ["connecting", "Connecting"];
  $("state").dataset.state = name;
  $("state").textContent = words;
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").querySelector("span").textContent = paused ? "Resume" : "Pause";
  if (!paused) waiting.splice(0).forEach(apply);
  state();
});

function take(event) {
  if (!paused) return apply(event);
  waiting.push(event);
  if (waiting.length > WAITING_MAX) waiting.shift();
  state();
}

/** Paints what there is, then follows what comes. */
async function connect() {
  if (source) source.close();
  let after = 0;
  try {
    const answer = await fetch("/snapshot");
    const snapshot = await answer.json();
    first = true;
    waiting = [];
    Object.keys(SHOWN).forEach((column) => $(column).replaceChildren());
    rows.clear();
    placed.clear();
    snapshot.events.forEach(apply);
    first = false;
    after = snapshot.seq;
  } catch {
    live = false;
    state();
    return setTimeout(connect, 2000);
  }
  if (STILL) return undefined;
  source = new EventSource("/events?after=" + after);
  source.addEventListener("open", () => { live = true; state(); });
  source.addEventListener("error", () => {
    live = false;
    state();
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  });
  source.addEventListener("resync", connect);
  source.addEventListener("message", (event) => take(JSON.parse(event.data)));
}

state();
connect();
