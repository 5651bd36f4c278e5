"use strict";
// Nothing here makes HTML of a text: what comes from the store is set as text, or was escaped by
// the server.

const drawingLibrary = document.currentScript.dataset.drawing;

/* ---- charts ---- */
let library = null;
function loadLibrary() {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = drawingLibrary;
    script.onload = () => resolve(window.vegaEmbed);
    script.onerror = reject;
    document.head.append(script);
  });
  return library;
}

const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.addEventListener("DOMContentLoaded", () => document.body.append(tip));

function showTip(_handler, event, _item, value) {
  if (value === null || value === undefined || value === "") {
    tip.hidden = true;
    return;
  }
  const list = document.createElement("dl");
  const entries = typeof value === "object" ? Object.entries(value) : [["", value]];
  for (const [key, each] of entries) {
    const name = document.createElement("dt");
    const text = document.createElement("dd");
    name.textContent = key;
    text.textContent = String(each);
    list.append(name, text);
  }
  tip.replaceChildren(list);
  tip.hidden = false;
  const x = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
  const y = Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 8);
  tip.style.left = `${Math.max(4, x)}px`;
  tip.style.top = `${Math.max(4, y)}px`;
}

// As wide as its place, so that words keep their size on a phone.
function fitWidth(spec, width) {
  const wanted = Math.max(280, Math.min(width, 1000));
  if (spec.vconcat) for (const panel of spec.vconcat) panel.width = wanted - 64;
  else spec.width = wanted;
  // Figures stand at the right of their bars, for which a narrow drawing has no room left.
  if (wanted < 460) spec.config.legend = { ...spec.config.legend, columns: 2 };
  const isText = (layer) => (layer.mark?.type ?? layer.mark) === "text";
  if (wanted < 460 && spec.layer?.some(isText)) {
    spec.padding = { left: 4, top: 4, bottom: 4, right: 44 };
  }
}

async function draw(element) {
  const address = element.dataset.spec;
  const [response, embed] = await Promise.all([
    fetch(address, { credentials: "same-origin" }),
    loadLibrary(),
  ]);
  if (element.dataset.spec !== address) return; // another one was asked for meanwhile
  const figure = element.closest("figure");
  if (response.status !== 200) {
    if (figure) figure.classList.add("none");
    else element.textContent = element.dataset.empty ?? "";
    return;
  }
  figure?.classList.remove("none");
  const spec = await response.json();
  fitWidth(spec, element.clientWidth);
  const holder = document.createElement("div");
  await embed(holder, spec, {
    actions: false,
    ast: true,
    defaultStyle: false,
    logLevel: 1, // errors only
    renderer: "svg",
    tooltip: showTip,
  });
  // The place has a name and a caption; single marks and groups have nothing to say.
  for (const part of [holder, ...holder.querySelectorAll("[role], [aria-label]")]) {
    for (const name of ["role", "aria-label", "aria-roledescription"]) part.removeAttribute(name);
  }
  holder.querySelector("svg")?.setAttribute("aria-hidden", "true");
  element.replaceChildren(holder);
  element.dataset.drawn = "true";
}

const inSight = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      inSight.unobserve(entry.target);
      draw(entry.target).catch((error) => console.error(error));
    }
  },
  { rootMargin: "400px" },
);

function findCharts(root) {
  for (const element of root.querySelectorAll("[data-spec]:not([data-seen])")) {
    element.dataset.seen = "true";
    inSight.observe(element);
  }
}

/* ---- a study that runs ---- */
function watch(element) {
  const source = new EventSource(element.dataset.live);
  source.addEventListener("state", (event) => {
    // Made and escaped by the server, from the template of this very place.
    const made = new DOMParser().parseFromString(event.data, "text/html");
    element.replaceChildren(...made.body.childNodes);
  });
  source.addEventListener("end", () => {
    source.close();
    window.location.reload();
  });
  window.addEventListener("pagehide", () => source.close());
}

/* ---- curves of a comparison ---- */
function curves(form) {
  const drawing = document.getElementById("curves");
  form.addEventListener("change", () => {
    const chosen = new FormData(form);
    const log = chosen.get("log") ? "&log=true" : "";
    drawing.dataset.spec =
      `${form.dataset.curves}${chosen.get("field")}.json?${form.dataset.query}&axis=${chosen.get("axis")}${log}`;
    draw(drawing).catch((error) => console.error(error));
  });
}

/* ---- how many runs are chosen ---- */
function count(form) {
  const button = form.querySelector("[data-picked]");
  if (!button) return;
  const number = form.querySelectorAll("input[name=run]:checked").length;
  button.textContent = button.dataset.picked.replace("#", String(number));
}
document.addEventListener("change", (event) => {
  const form = event.target.closest?.(".picking");
  if (form) count(form);
  if (event.target.matches?.("[data-submit]")) event.target.form.requestSubmit();
});

/* ---- keys on the page of answers ---- */
function step(by) {
  const items = [...document.querySelectorAll(".answer")];
  if (!items.length) return;
  const now = items.indexOf(document.activeElement?.closest(".answer"));
  const next = now < 0 ? (by > 0 ? 0 : items.length - 1) : Math.min(Math.max(now + by, 0), items.length - 1);
  items[next].focus();
  items[next].scrollIntoView({ block: "nearest" });
}
document.addEventListener("keydown", (event) => {
  if (!document.querySelector(".answers") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const go = (selector) => document.querySelector(selector)?.click();
  if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "n") go("a[rel=next]");
  else if (event.key === "p") go("a[rel=prev]");
  else if (event.key === "/") {
    event.preventDefault();
    document.getElementById("search")?.focus();
  } else if (/^[a-z]$/.test(event.key)) go(`[data-key=${event.key}]`);
});
// Style sheets do the rest; the choice holds for the next page of answers.
function rememberAsText(box) {
  box.checked = sessionStorage.getItem("bakeoff-as-text") === "true";
  box.addEventListener("change", () => sessionStorage.setItem("bakeoff-as-text", String(box.checked)));
}

/* ---- begin ---- */
document.addEventListener("DOMContentLoaded", () => {
  findCharts(document);
  document.querySelectorAll("[data-live]").forEach(watch);
  document.querySelectorAll("[data-curves]").forEach(curves);
  document.querySelectorAll(".picking").forEach(count);
  document.querySelectorAll("#as-text").forEach(rememberAsText);
  document.querySelectorAll("[data-reload]").forEach((element) => {
    setTimeout(() => window.location.reload(), 1000 * Number(element.dataset.reload));
  });
});
document.addEventListener("htmx:load", (event) => {
  findCharts(event.detail.elt.parentElement ?? document);
  event.detail.elt.querySelectorAll?.(".picking").forEach(count);
});
for (const kind of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(kind, (event) => {
    document.getElementById("notice").textContent =
      event.detail.xhr?.responseText?.slice(0, 300) || "…";
  });
}
