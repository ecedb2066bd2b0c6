"use strict";
// The fleet, and one router, live or as of an earlier moment. All text from events goes through textContent.
const $ = (id) => document.getElementById(id);
const main = $("main");
const ROWS = 500;
let state = "", query = "", pending = null, turn = 0, asking = 0;

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  for (const child of children.flat()) if (child !== undefined && child !== null) node.append(child);
  return node;
}

// Replaces what is shown and gives the focus back to the element with the same data-key. Not between the two
// halves of a click: what is under the pointer stays until it is released.
let pressed = false;
function show(...nodes) {
  const mine = turn;
  if (pressed) return addEventListener("pointerup", () => setTimeout(() => mine === turn && show(...nodes)), { once: true });
  const old = document.activeElement, key = main.contains(old) && old.dataset.key, at = old && old.selectionStart;
  const list = main.querySelector("ol"), scrolled = list ? list.scrollTop : 0;
  main.replaceChildren(...nodes.filter(Boolean));
  if (scrolled && main.querySelector("ol")) main.querySelector("ol").scrollTop = scrolled;
  const again = key && [...main.querySelectorAll("[data-key]")].find((node) => node.dataset.key === key);
  if (!again) return;
  again.focus({ preventScroll: true });
  if (again.setSelectionRange && at != null) again.setSelectionRange(at, at);
}

const STATES = ["both-up", "degraded", "down", "silent"];
const TONE = { "both-up": "good", degraded: "warn", down: "bad", silent: "bad", maintenance: "mute",
  connected: "good", suspect: "warn", waiting: "bad", stopped: "bad", absent: "bad" };
const RADIO = { none: "no network", gsm: "GSM", umts: "UMTS", lte: "LTE", nr5g: "5G" };
const tone = (word) => TONE[word] || "mute";
const mark = { good: "●", warn: "◐", bad: "○", mute: "·" };
const status = (word) => el("span", { class: tone(word) }, `${mark[tone(word)]} ${word || "unknown"}`);
const asOf = () => ($("as-of").value ? new Date($("as-of").value).toISOString() : "");
const nowMs = () => (asOf() ? Date.parse(asOf()) : Date.now());
const seconds = (time) => Math.round((nowMs() - Date.parse(time)) / 1000);
const span = (s) => (s < 90 ? `${s} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`);
const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });

function age(time) {
  if (!time) return "";
  const s = seconds(time);
  return s < 0 ? `in ${span(-s)}` : s < 2 ? "now" : `${span(s)} ago`;
}

function retry(failure) {
  if (!failure.next_retry_time) return "no retry until an operator acts";
  return seconds(failure.next_retry_time) < 0 ? `next try ${age(failure.next_retry_time)}` : "trying again";
}

async function ask(path, parameters) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries({ ...parameters, as_of: asOf() })) if (value) url.searchParams.set(name, value);
  const response = await fetch(url);
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail || body.title || response.statusText);
  return body;
}

function linkCell(link) {
  if (!link) return el("td", { class: "mute" }, "none");
  const radio = [link.carrier, RADIO[link.radio] || link.radio, link.band && link.radio !== "none" && `band ${link.band}`].filter(Boolean).join(" · ");
  const signal = link.signal && link.signal.rsrp_dbm != null ? `RSRP ${link.signal.rsrp_dbm} dBm, ${link.strength || "unrated"}` : "no signal";
  const f = link.failure;
  return el("td", {}, status(link.state), link.carrying ? el("span", { title: "carries traffic" }, " ⇅") : null,
    el("div", { class: "small" }, radio), el("div", { class: "small" }, signal),
    f && el("div", { class: "bad small" }, `${f.reason} (type ${f.type}, code ${f.code}), attempt ${f.attempt}, ${retry(f)}`));
}

async function fleet(current) {
  const [counts, list] = await Promise.all([ask("/v1/fleet"), ask("/v1/routers", { state, q: query, limit: String(ROWS) })]);
  if (!current()) return null;
  document.title = "Tandem";
  const bar = el("div", { class: "bar" }, ["", ...STATES].map((word) =>
    el("button", { class: word ? `edge-${tone(word)}` : "", "data-key": `state ${word}`, "aria-pressed": String(state === word), onclick: () => { state = word; refresh(); } },
      el("b", {}, String(word ? counts.states[word] || 0 : counts.routers)), word || "all routers")));
  const reasons = Object.entries(counts.reasons);
  const facts = el("div", { class: "facts" },
    el("span", {}, `links up ${counts.links.up} of ${counts.links.links}`),
    el("span", {}, Object.entries(counts.carriers).map(([name, c]) => `${name} ${c.up} of ${c.links}`).join(" · ")),
    reasons.length ? el("span", { class: "bad" }, reasons.map(([name, n]) => `${name} ${n}`).join(" · ")) : null);
  const filter = el("input", { id: "filter", type: "search", placeholder: "name or label (press /)", "data-key": "filter", "aria-label": "show routers whose name or label holds",
    oninput: (event) => { query = event.target.value; refresh(); } });
  filter.value = query;
  const many = list.cursor ? `the first ${ROWS}; filter to see the others` : `${list.routers.length} shown`;
  const rows = list.routers.map((router) => el("tr", {},
    el("td", {}, el("a", { href: `#/routers/${encodeURIComponent(router.name)}`, "data-key": `router ${router.name}` }, router.name),
      el("div", { class: "small" }, Object.values(router.labels).join(", "))),
    el("td", {}, status(router.state), el("div", { class: "small" }, router.since ? `since ${clock(router.since)}, ${span(Math.max(0, seconds(router.since)))}` : "")),
    linkCell(router.links[0]), linkCell(router.links[1]),
    el("td", { class: "small" }, age(router.heard_at))));
  show(bar, facts, el("div", { class: "tools" }, filter, many), rows.length ? el("table", {},
    el("thead", {}, el("tr", {}, ["router", "state", "link 1", "link 2", "heard"].map((t) => el("th", { scope: "col" }, t)))), el("tbody", {}, rows))
    : el("p", {}, counts.routers ? "No router is like that." : "No router has spoken to this central yet."));
  return list.freshness;
}

function spark(points) {
  const known = points.filter((p) => p.rsrp_dbm != null), values = known.map((p) => p.rsrp_dbm);
  if (values.length < 2) return null;
  const line = values.map((v, i) => `${(i / (values.length - 1)) * 300},${46 - ((Math.max(-130, Math.min(-60, v)) + 130) / 70) * 44}`).join(" ");
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg"), poly = document.createElementNS(space, "polyline");
  svg.setAttribute("viewBox", "0 0 300 48"); svg.setAttribute("preserveAspectRatio", "none"); svg.setAttribute("aria-hidden", "true");
  poly.setAttribute("points", line); svg.append(poly);
  const since = known[0].time ? `, since ${clock(known[0].time)}` : "";
  return el("figure", {}, svg, el("figcaption", {}, `RSRP ${Math.min(...values)} to ${Math.max(...values)} dBm${since}`));
}

function card(link, detail) {
  const s = detail.status, ip = detail.settings && (detail.settings.ipv4 || detail.settings.ipv6), f = link.failure, m = s.modem || {}, sim = s.sim || {};
  const cell = s.registration && s.registration.cell, g = link.signal || {};
  const reading = [["RSRP", g.rsrp_dbm, "dBm"], ["RSRQ", g.rsrq_db, "dB"], ["SNR", g.snr_db, "dB"], ["RSSI", g.rssi_dbm, "dBm"]]
    .filter(([, v]) => v != null).map(([name, v, unit]) => `${name} ${v} ${unit}`).join(", ");
  const rows = {
    "since": link.since && `${clock(link.since)}, ${age(link.since)}`, "cause": link.cause,
    "traffic": link.carrying ? "carrying" : `not carrying${detail.stopped ? `: ${detail.stopped}` : ""}`,
    "network": [link.carrier, link.registration, RADIO[link.radio] || link.radio, link.band && link.radio !== "none" && `band ${link.band}`].filter(Boolean).join(", "),
    "cell": cell && cell.cell_id != null ? `${cell.cell_id}, TAC ${cell.tac ?? "not told"}` : "",
    "signal": reading && `${reading} (${link.strength || "unrated"})`,
    "address": ip ? `${ip.address}/${ip.prefix_length}${ip.gateway ? ` via ${ip.gateway}` : ""}${detail.settings.mtu_bytes ? `, MTU ${detail.settings.mtu_bytes} bytes` : ""}` : "none",
    "APN": s.profile && s.profile.apn,
    "failure": f ? `${f.reason} (type ${f.type}, code ${f.code}, ${f.class}), attempt ${f.attempt}, ${age(f.failed_at)}; ${retry(f)}` : "none",
    "modem": [m.manufacturer, m.model, m.firmware].filter(Boolean).join(" "), "IMEI": m.imei, "SIM": [sim.card, sim.iccid].filter(Boolean).join(" "),
    "received, sent": detail.traffic ? `${(detail.traffic.rx_bytes / 1e6).toFixed(2)} MB, ${(detail.traffic.tx_bytes / 1e6).toFixed(2)} MB` : "",
  };
  return el("section", { class: "card" }, el("h2", {}, `${link.name} `, status(link.state)), spark(detail.recent),
    el("dl", {}, Object.entries(rows).filter(([, v]) => v).flatMap(([k, v]) => [el("dt", {}, k), el("dd", { class: k === "failure" && f ? "bad" : null }, String(v))])));
}

// The fields of an event in words: `rsrp_dbm: -88` is "rsrp -88 dBm".
const UNITS = { dbm: "dBm", db: "dB", ms: "ms", us: "µs", s: "s", bytes: "bytes" };
function words(fields) {
  return Object.entries(fields).filter(([, v]) => v !== null).map(([name, value]) => {
    const [, stem, unit] = name.match(/^(.+)_(dbm|db|ms|us|s|bytes)$/) || [null, name, ""];
    const text = Array.isArray(value) ? value.map((v) => (v && typeof v === "object" ? words(v) : v)).join(", ") : typeof value === "object" ? words(value) : value;
    return `${stem.replaceAll("_", " ")} ${text === "" ? "none" : text}${unit ? ` ${UNITS[unit]}` : ""}`;
  }).join(" · ");
}

function told({ event, received_at }) {
  const { boot_id, uptime_ms, clock: trusted, ...fields } = event.data || {};
  const time = trusted === "synced" ? event.time : received_at, text = words(fields);
  return el("li", {}, el("time", { class: "small", datetime: time, title: time }, clock(time)), " ",
    el("b", {}, event.type.replace("io.tandem.", "").replace(/\.v\d+$/, "")), ` ${event.subject || ""} `,
    el("span", { class: "small" }, text.length > 240 ? `${text.slice(0, 239)}…` : text));
}

async function router(name, current) {
  const path = `/v1/routers/${encodeURIComponent(name)}`;
  const [r, page] = await Promise.all([ask(path), ask(`${path}/events`, { limit: "60" })]);
  if (!current()) return null;
  document.title = `${r.name} · Tandem`;
  const c = r.completeness;
  show(el("a", { href: "#/", "data-key": "back" }, "← fleet"), el("h1", {}, `${r.name} `, status(r.state)),
    el("div", { class: "facts" }, el("span", {}, Object.values(r.labels).join(", ")), el("span", {}, `heard ${age(r.heard_at)}`),
      r.agent.version ? el("span", {}, `agent ${r.agent.version}, ${r.agent.running ? "running" : "stopped"}`) : null,
      c ? el("span", {}, c.missing ? `${c.missing} of ${c.expected} events missing` : `all ${c.expected} events here`) : null,
      r.uplinks && el("span", {}, `traffic over ${r.uplinks.carrying.join(", ") || "nothing"}`)),
    el("div", { class: "cards" }, r.links.map((link, i) => card(link, r.details[i]))),
    page.events.length ? el("section", { class: "card" }, el("h2", {}, "Events"), el("ol", { tabindex: "0", "data-key": "events", "aria-label": "events, newest first" }, page.events.map(told))) : null);
  return r.freshness;
}

async function refresh() {
  clearTimeout(pending);
  asking += 1;
  const mine = ++turn, current = () => mine === turn;
  const past = asOf(), one = location.hash.match(/^#\/routers\/(.+)$/);
  $("banner").hidden = !past;
  $("banner").textContent = past ? `You are looking at the past: ${new Date(past).toLocaleString()} (${past})` : "";
  try {
    const freshness = await (one ? router(decodeURIComponent(one[1]), current) : fleet(current));
    if (!current()) return;
    const samples = freshness.samples_as_of ? `; signal and traffic as of ${new Date(freshness.samples_as_of).toLocaleString()}` : "";
    $("freshness").className = "";
    $("freshness").textContent = past ? `not live${samples}` : freshness.lag_ms ? `catching up, ${span(Math.round(freshness.lag_ms / 1000))} behind` : "live";
  } catch (error) {
    if (!current()) return;
    $("freshness").className = "lost";
    $("freshness").textContent = `not up to date: ${error.message}`;
  } finally {
    asking -= 1;
    clearTimeout(pending);
    pending = setTimeout(refresh, 5000);
  }
}

let soon = null;
const live = new EventSource("/v1/events/live?class=status");
// At most once a second, and never before the last answer is there.
const look = () => { if (!soon && !asOf()) soon = setTimeout(() => { soon = null; if (asking) look(); else refresh(); }, 1000); };
live.onmessage = look;
live.addEventListener("reset", look);
addEventListener("pointerdown", () => { pressed = true; }, true);
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { pressed = false; }, true);
addEventListener("hashchange", () => { refresh(); main.focus(); });
addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target.tagName !== "INPUT" && $("filter")) { event.preventDefault(); $("filter").focus(); }
});
$("time").addEventListener("submit", (event) => event.preventDefault());
$("as-of").addEventListener("change", refresh);
$("now").addEventListener("click", () => { $("as-of").value = ""; refresh(); });
refresh();
