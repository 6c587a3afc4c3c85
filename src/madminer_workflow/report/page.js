"use strict";
/* The page: its switches, which all charts and tables follow, its tips and its contents. */

const read = id => JSON.parse(document.getElementById(id).textContent);
const page = {
  charts: read("charts"),
  subjects: read("subjects"),
  terms: read("terms"),
  state: {},
  hidden: new Set(),

  shows(item) {
    return !this.hidden.has(item.who) && Object.entries(item.when || {})
      .every(([key, value]) => !this.state[key] || this.state[key] === value);
  },
  colour(mark) {
    const subject = this.subjects[mark.who];
    if (/\bink\b|\bobserved\b/.test(mark.look || "")) return "var(--ink)";
    if (subject) return subject.colour;
    return mark.colour === undefined ? "var(--muted)" : `var(--c${mark.colour % 7})`;
  },
  look(mark) { return (this.subjects[mark.who] || {}).look || ""; },
  shape(mark) {
    const looks = ["statistical", "simulation", "", "training"];
    const source = looks.indexOf(mark.look);
    return mark.look && source >= 0 ? source : (this.subjects[mark.who] || {}).shape || 0;
  },
  title(who) { return (this.subjects[who] || {}).title || ""; },

  /* A tip beside a point of the window, or none. */
  tip(about) {
    const node = document.getElementById("tip");
    node.hidden = !about;
    if (!about) return;
    node.replaceChildren();
    const head = document.createElement("strong");
    head.textContent = about.title;
    head.style.color = about.colour || "inherit";
    if (about.title) node.append(head);
    for (const line of about.lines) {
      const row = document.createElement("div");
      row.textContent = line;
      node.append(row);
    }
    const box = node.getBoundingClientRect(), edge = document.documentElement.clientWidth;
    const beside = about.x + 14 + box.width < edge ? about.x + 14 : about.x - 14 - box.width;
    node.style.left = `${Math.max(4, beside)}px`;
    node.style.top = `${about.y + 16 + box.height < innerHeight ? about.y + 16 : about.y - 12 - box.height}px`;
  },

  draw() {
    for (const node of document.querySelectorAll(".chart")) this.drawChart(node);
  },
  drawChart(node) {
    if (!node.clientWidth) return;
    const chart = this.charts[node.dataset.chart];
    [...node.children].forEach((panel, i) => {
      panel.hidden = !this.shows(chart.panels[i]);
      if (!panel.hidden) drawPanel(panel, chart.panels[i], this);
    });
    if (chart.legend) drawLegend(node.parentElement.querySelector(".legend"), chart.panels[0], this);
  },

  /* Shows of everything what belongs to the state of the switches. */
  update() {
    for (const node of document.querySelectorAll("[data-kind], [data-level], [data-part], [data-of]")) {
      const {kind, level, part, of} = node.dataset;
      const right = (key, value) => value === undefined || !this.state[key] || this.state[key] === value;
      node.hidden = this.hidden.has(of) || !right("kind", kind) || !right("level", level)
        || !right("part", part);
    }
    for (const button of document.querySelectorAll("[data-switch]")) {
      button.setAttribute("aria-pressed", this.state[button.dataset.switch] === button.dataset.value);
    }
    for (const button of document.querySelectorAll("[data-method]")) {
      button.setAttribute("aria-pressed", !this.hidden.has(button.dataset.method));
    }
    this.draw();
  },
};

for (const button of document.querySelectorAll("[data-switch]")) {
  const {switch: name, value} = button.dataset;
  if (button.hasAttribute("data-first")) page.state[name] = value;
  button.addEventListener("click", () => { page.state[name] = value; page.update(); });
}
for (const button of document.querySelectorAll("[data-method]")) {
  const {method} = button.dataset;
  button.addEventListener("click", () => {
    if (!page.hidden.delete(method)) page.hidden.add(method);
    page.update();
  });
}
for (const button of document.querySelectorAll("[data-theme]")) {
  button.addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).getPropertyValue("--dark").trim() === "1";
    document.documentElement.dataset.look = dark ? "light" : "dark";
  });
}

/* Charts are as wide as the page lets them be, and drawn when their section is opened. */
const widths = new Map();
const resized = new ResizeObserver(entries => {
  for (const {target} of entries) {
    if (widths.get(target) === target.clientWidth) continue;
    widths.set(target, target.clientWidth);
    page.drawChart(target);
  }
});
for (const node of document.querySelectorAll(".chart")) resized.observe(node);

/* The contents say where the reader is; a link opens what it leads to. */
const links = new Map([...document.querySelectorAll("nav a")].map(link => [link.hash.slice(1), link]));
const seen = new IntersectionObserver(entries => {
  for (const {target, isIntersecting} of entries) {
    if (!isIntersecting) continue;
    for (const [id, link] of links) link.toggleAttribute("aria-current", id === target.id);
    const strip = links.get(target.id)?.parentElement;
    if (strip && strip.scrollWidth > strip.clientWidth) {
      strip.scrollLeft = links.get(target.id).offsetLeft - strip.clientWidth / 3;
    }
  }
}, {rootMargin: "-25% 0px -65% 0px"});
for (const id of links.keys()) seen.observe(document.getElementById(id));
const openTarget = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let node = target || null; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  if (!target) return;
  target.querySelector(":scope > details")?.setAttribute("open", "");
  target.scrollIntoView();
};
addEventListener("hashchange", openTarget);
/* The address stays the same for a link that was followed before. */
document.addEventListener("click", event => {
  const link = event.target.closest?.('a[href^="#"]');
  if (link && link.hash === location.hash) openTarget();
});
addEventListener("beforeprint", () => {
  for (const node of document.querySelectorAll("details")) node.open = true;
});

/* The first time that a section has a term, it says what it means. */
const forms = Object.keys(page.terms).sort((a, b) => b.length - a.length)
  .map(form => form.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
const pattern = new RegExp(`(?<![\\w-])(${forms.join("|")})(?![\\w-])`, "i");
function markTerms(section) {
  const done = new Set();
  const walker = document.createTreeWalker(section, NodeFilter.SHOW_TEXT, node =>
    node.parentElement.closest("code, a, button, svg, summary, h1, dt, .term, .panel, script")
      ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT);
  const nodes = [];
  while (walker.nextNode()) nodes.push(walker.currentNode);
  for (let node of nodes) {
    for (let match; (match = pattern.exec(node.data));) {
      const {term, words} = page.terms[match[1].toLowerCase()];
      const rest = node.splitText(match.index + match[1].length);
      if (!done.has(term)) {
        done.add(term);
        const word = node.splitText(match.index);
        const mark = document.createElement("span");
        mark.className = "term";
        mark.tabIndex = 0;
        mark.dataset.words = words;
        word.replaceWith(mark);
        mark.append(word);
      }
      node = rest;
    }
  }
}
for (const section of document.querySelectorAll("header, section")) markTerms(section);
const explain = node => {
  const term = node.closest?.(".term");
  if (!term) return;
  const {left, bottom} = term.getBoundingClientRect();
  page.tip({x: left, y: bottom - 10, title: "", lines: [term.dataset.words]});
};
for (const kind of ["mouseover", "focusin", "click"]) document.addEventListener(kind, event => explain(event.target));
for (const kind of ["mouseout", "focusout"]) {
  document.addEventListener(kind, event => { if (event.target.closest?.(".term")) page.tip(null); });
}
addEventListener("scroll", () => { page.tip(null); explain(document.activeElement); }, {passive: true});
addEventListener("keydown", event => { if (event.key === "Escape") page.tip(null); });

if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.dataset.look = "dark";
page.update();
openTarget();
