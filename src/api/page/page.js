"use strict";
// The fleet, and one router, live or as of an earlier moment. All text from events goes through textContent.
const $ = (id) => document.getElementById(id);
const main = $("main");
let state = "", query = "", pending = null;

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  for (const child of children.flat()) if (child !== undefined && child !== null) node.append(child);
  return node;
}

const TONE = { "both-up": "good", degraded: "warn", down: "bad", silent: "bad", maintenance: "mute",
  connected: "good", suspect: "warn", waiting: "bad", stopped: "bad", absent: "bad" };
const tone = (word) => TONE[word] || "mute";
const mark = { good: "●", warn: "◐", bad: "○", mute: "·" };
const status = (word) => el("span", { class: tone(word) }, `${mark[tone(word)]} ${word || "unknown"}`);
const asOf = () => ($("as-of").value ? new Date($("as-of").value).toISOString() : "");
const nowMs = () => (asOf() ? Date.parse(asOf()) : Date.now());

function age(time) {
  if (!time) return "";
  const s = Math.round((nowMs() - Date.parse(time)) / 1000);
  if (s < 0) return `in ${span(-s)}`;
  return s < 2 ? "now" : `${span(s)} ago`;
}
const span = (s) => (s < 90 ? `${s} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`);

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
  const radio = [link.carrier, link.radio, link.band && `B${link.band}`].filter(Boolean).join(" · ");
  const signal = link.signal && link.signal.rsrp_dbm != null ? `${link.signal.rsrp_dbm} dBm ${link.strength || ""}` : "no signal";
  const failure = link.failure && el("div", { class: "bad small" },
    `${link.failure.reason} (${link.failure.type}, ${link.failure.code}), attempt ${link.failure.attempt}, next ${age(link.failure.next_retry_time) || "not planned"}`);
  return el("td", {}, status(link.state), link.carrying ? " ⇅" : "", el("div", { class: "small" }, radio), el("div", { class: "small" }, signal), failure);
}

async function fleet() {
  const [counts, list] = await Promise.all([ask("/v1/fleet"), ask("/v1/routers", { state, q: query, limit: "500" })]);
  const bar = el("div", { class: "bar" }, ["", ...Object.keys(counts.states)].map((word) =>
    el("button", { class: word ? `edge-${tone(word)}` : "", "aria-pressed": String(state === word), onclick: () => { state = word; refresh(); } },
      el("b", {}, String(word ? counts.states[word] : counts.routers)), word || "all routers")));
  const facts = el("div", { class: "facts" },
    el("span", {}, `links up ${counts.links.up} of ${counts.links.links}`),
    el("span", {}, Object.entries(counts.carriers).map(([name, c]) => `${name} ${c.up}/${c.links}`).join(" · ")),
    el("span", { class: "bad" }, Object.entries(counts.reasons).map(([name, n]) => `${name} ${n}`).join(" · ")));
  const filter = el("input", { id: "filter", type: "search", placeholder: "filter (press /)", value: query, "aria-label": "filter routers",
    oninput: (event) => { query = event.target.value; refresh(); } });
  const rows = list.routers.map((router) => el("tr", {},
    el("td", {}, el("a", { href: `#/routers/${encodeURIComponent(router.name)}` }, router.name),
      el("div", { class: "small" }, Object.values(router.labels).join(", "))),
    el("td", {}, status(router.state), el("div", { class: "small" }, age(router.since))),
    linkCell(router.links[0]), linkCell(router.links[1]),
    el("td", { class: "small" }, age(router.heard_at))));
  const focused = document.activeElement && document.activeElement.id === "filter";
  main.replaceChildren(bar, facts, filter, el("table", {},
    el("thead", {}, el("tr", {}, ["router", "state", "link 1", "link 2", "heard"].map((t) => el("th", { scope: "col" }, t)))), el("tbody", {}, rows)));
  if (focused) { $("filter").focus(); $("filter").setSelectionRange(query.length, query.length); }
  return list.freshness;
}

function spark(points) {
  const values = points.map((p) => p.rsrp_dbm).filter((v) => v != null);
  if (values.length < 2) return null;
  const line = values.map((v, i) => `${(i / (values.length - 1)) * 300},${50 - ((Math.max(-130, Math.min(-60, v)) + 130) / 70) * 46}`).join(" ");
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg"), poly = document.createElementNS(space, "polyline");
  svg.setAttribute("viewBox", "0 0 300 54"); svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img"); svg.setAttribute("aria-label", `RSRP, last ${values.length} samples, ${Math.min(...values)} to ${Math.max(...values)} dBm`);
  poly.setAttribute("points", line); svg.append(poly);
  return svg;
}

function card(link, detail) {
  const s = detail.status, ip = detail.settings && detail.settings.ipv4, f = link.failure, m = s.modem || {}, sim = s.sim || {};
  const rows = {
    "since": age(link.since), "cause": link.cause,
    "traffic": link.carrying ? "carrying" : `not carrying${detail.stopped ? `: ${detail.stopped}` : ""}`,
    "network": [link.carrier, link.registration, link.radio, link.band && `band ${link.band}`].filter(Boolean).join(", "),
    "cell": s.registration && s.registration.cell ? `${s.registration.cell.cell_id ?? "?"}, TAC ${s.registration.cell.tac ?? "?"}` : "",
    "signal": link.signal ? `RSRP ${link.signal.rsrp_dbm ?? "–"} dBm, RSRQ ${link.signal.rsrq_db ?? "–"} dB, SNR ${link.signal.snr_db ?? "–"} dB, RSSI ${link.signal.rssi_dbm ?? "–"} dBm (${link.strength || "–"})` : "",
    "address": ip ? `${ip.address}/${ip.prefix_length} via ${ip.gateway || "–"}, MTU ${detail.settings.mtu_bytes ?? "–"}` : "none",
    "APN": s.profile && s.profile.apn,
    "failure": f ? `${f.reason} (type ${f.type}, code ${f.code}, ${f.class}), attempt ${f.attempt}, ${age(f.failed_at)}, next ${f.next_retry_time ? age(f.next_retry_time) : "when an operator acts"}` : "none",
    "modem": [m.manufacturer, m.model, m.firmware].filter(Boolean).join(" "), "IMEI": m.imei, "SIM": [sim.card, sim.iccid].filter(Boolean).join(" "),
    "received, sent": detail.traffic ? `${(detail.traffic.rx_bytes / 1e6).toFixed(2)} MB, ${(detail.traffic.tx_bytes / 1e6).toFixed(2)} MB` : "",
  };
  return el("section", { class: "card" }, el("h2", {}, `${link.name} `, status(link.state)), spark(detail.recent),
    el("dl", {}, Object.entries(rows).filter(([, v]) => v).flatMap(([k, v]) => [el("dt", {}, k), el("dd", { class: k === "failure" && f ? "bad" : null }, String(v))])));
}

async function router(name) {
  const path = `/v1/routers/${encodeURIComponent(name)}`;
  const [r, page] = await Promise.all([ask(path), ask(`${path}/events`, { limit: "60" })]);
  const c = r.completeness;
  const events = page.events.map((e) => {
    const event = e.event || e;
    const { boot_id, uptime_ms, clock, ...fields } = event.data || {};
    return el("li", {}, el("span", { class: "small" }, `${(event.time || "").slice(11, 19)} `), el("b", {}, (event.type || "").replace("io.tandem.", "").replace(/\.v\d+$/, "")),
      ` ${event.subject || ""} `, el("span", { class: "small" }, JSON.stringify(fields).slice(0, 220)));
  });
  main.replaceChildren(el("h1", {}, `${r.name} `, status(r.state)),
    el("div", { class: "facts" }, el("span", {}, Object.values(r.labels).join(", ")), el("span", {}, `heard ${age(r.heard_at)}`),
      el("span", {}, `agent ${r.agent.version || "?"}, ${r.agent.running ? "running" : "stopped"}`),
      el("span", {}, `events ${c.received} of ${c.expected}`),
      r.uplinks && el("span", {}, `traffic over ${r.uplinks.carrying.join(", ") || "nothing"}`)),
    el("div", { class: "cards" }, r.links.map((link, i) => card(link, r.details[i]))),
    el("section", { class: "card" }, el("h2", {}, "Events"), el("ol", {}, events)));
  return r.freshness;
}

async function refresh() {
  clearTimeout(pending);
  pending = setTimeout(refresh, 5000);
  const past = asOf();
  $("banner").hidden = !past;
  $("banner").textContent = past ? `You are looking at the past: ${new Date(past).toLocaleString()}` : "";
  const one = location.hash.match(/^#\/routers\/(.+)$/);
  try {
    const freshness = await (one ? router(decodeURIComponent(one[1])) : fleet());
    $("freshness").className = "";
    $("freshness").textContent = past ? "" : freshness ? `live, ${freshness.lag_ms} ms behind the stream` : "live";
  } catch (error) {
    $("freshness").className = "lost";
    $("freshness").textContent = `not up to date: ${error.message}`;
  }
}

let soon = null;
const stream = new EventSource("/v1/events/live?class=status");
stream.onmessage = () => { if (!soon && !asOf()) soon = setTimeout(() => { soon = null; refresh(); }, 1000); };
addEventListener("hashchange", () => { refresh(); main.focus(); });
addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target.tagName !== "INPUT" && $("filter")) { event.preventDefault(); $("filter").focus(); }
});
$("as-of").addEventListener("change", refresh);
$("now").addEventListener("click", () => { $("as-of").value = ""; refresh(); });
refresh();
