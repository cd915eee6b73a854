// A recording's page: HLS playback, the timeline under it, the way driven on a map, and the speed beside it.
// What it shows is what the page's JSON says: pieces {pts, duration, pre, held}, gaps, marks, fixes; times in ms of media time.

const data = JSON.parse(document.getElementById("timeline-data").textContent);
const player = document.getElementById("player");
const line = document.getElementById("timeline");
const total = Math.max(data.duration, 1);

let hls = null;

function attach(url) {
  if (window.Hls && window.Hls.isSupported()) {
    // No worker: it would be made from a blob, which the page's policy does not allow. One recording needs none.
    hls = new window.Hls({ enableWorker: false, startPosition: 0 });
    hls.loadSource(url);
    hls.attachMedia(player);
    window.addEventListener("pagehide", () => hls.destroy());
  } else {
    player.src = url;
  }
}

// The player's time leaves holes out, the recording's does not: the playlist's dates say where each fragment stands.
function fragments() {
  const list = hls?.levels?.[0]?.details?.fragments ?? [];
  return list.map((f) => ({ start: f.start, duration: f.duration, ms: f.programDateTime - list[0].programDateTime }));
}

function seek(ms) {
  const wanted = Math.max(0, Math.min(ms, total));
  const found = fragments().findLast((f) => f.ms <= wanted);
  player.currentTime = found ? found.start + Math.min((wanted - found.ms) / 1000, found.duration) : wanted / 1000;
}

function now() {
  const at = player.currentTime;
  const found = fragments().findLast((f) => f.start <= at + 0.001);
  return found ? found.ms + (at - found.start) * 1000 : at * 1000;
}

function place(kind, from, length, title) {
  const box = document.createElement("div");
  box.className = kind;
  box.style.left = `${(100 * from) / total}%`;
  if (length !== null) box.style.width = `${(100 * length) / total}%`;
  if (title) box.title = title;
  line.append(box);
  return box;
}

function drawTimeline() {
  for (const p of data.pieces) place(`piece${p.pre ? " pre" : ""}${p.held ? "" : " missing"}`, p.pts, p.duration, "");
  for (const g of data.gaps) place("hole", g.from, g.lost, `${g.reason} · ${g.lost} ms`);
  for (const m of data.marks) place("flag", m.pts, null, m.label);
  const head = place("head", 0, null, "");
  player.addEventListener("timeupdate", () => {
    const ms = now();
    head.style.left = `${(100 * Math.min(ms, total)) / total}%`;
    line.setAttribute("aria-valuenow", String(Math.round(ms)));
  });
  line.addEventListener("pointerdown", (event) => {
    const box = line.getBoundingClientRect();
    seek((total * (event.clientX - box.left)) / box.width);
  });
  line.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key];
    if (step) seek(now() + step * 1000);
  });
}

function drawWay() {
  const ways = data.fixes.map((f) => [f.lat / 1e7, f.lon / 1e7]);
  if (!ways.length || !window.L) {
    document.getElementById("map").hidden = true;
    document.getElementById("no-position").hidden = false;
    return;
  }
  // No tiles: the console works without the internet. The way and its scale are what the journal says.
  const map = window.L.map("map", { attributionControl: false, zoomControl: true, maxZoom: 22 });
  const way = window.L.polyline(ways, { color: "#2563a8", weight: 3 }).addTo(map);
  window.L.circleMarker(ways[0], { radius: 6, color: "#1d6b52", fillOpacity: 1 }).addTo(map);
  window.L.circleMarker(ways[ways.length - 1], { radius: 6, color: "#b8322a", fillOpacity: 1 }).addTo(map);
  const here = window.L.circleMarker(ways[0], { radius: 5, color: "#1b2430", fillOpacity: 0.9 }).addTo(map);
  window.L.control.scale({ imperial: false }).addTo(map);
  map.fitBounds(way.getBounds().pad(0.3), { maxZoom: 19 });
  player.addEventListener("timeupdate", () => {
    const ms = now();
    const passed = data.fixes.findLastIndex((f) => f.pts <= ms);
    here.setLatLng(ways[Math.max(0, passed)]);
  });
}

function drawSpeed() {
  const known = data.fixes.filter((f) => f.speed !== null);
  if (known.length < 2 || !window.uPlot) return;
  const box = document.getElementById("speed");
  new window.uPlot(
    {
      width: box.clientWidth,
      height: 130,
      legend: { show: false },
      scales: { x: { time: false } },
      axes: [{ values: (_, s) => s.map((v) => `${v} s`) }, { values: (_, s) => s.map((v) => `${v} km/h`), size: 70 }],
      series: [{}, { stroke: "#2563a8", width: 2, fill: "#2563a822" }],
    },
    [known.map((f) => f.pts / 1000), known.map((f) => (f.speed * 3.6) / 1000)],
    box,
  );
}

for (const button of document.querySelectorAll("[data-seek]")) {
  button.addEventListener("click", () => {
    seek(Number(button.dataset.seek));
    player.play();
  });
}

const excerpt = document.getElementById("excerpt");
excerpt.addEventListener("submit", () => {
  const value = (name) => Math.round(1000 * Number(excerpt.elements[name].value));
  excerpt.action = `${excerpt.dataset.action}?from=${value("from")}&to=${value("to")}`;
});

drawTimeline();
drawWay();
drawSpeed();
if (data.pieces.some((p) => p.held)) attach(player.dataset.playlist);
