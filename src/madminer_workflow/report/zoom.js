"use strict";
/* Charts are zoomed with a rectangle that the mouse draws, with buttons, and with keys. The wheel
   and fingers scroll the page, as everywhere else. */

const DEEPEST = 64;
const SMALLEST = 8;
const FACTOR = 2;
const MOVE = 0.2;
const BUTTONS = [["+", "zoom in"], ["−", "zoom out"], ["reset", "show all of the chart"]];
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};

const zoom = {
  /* Ends of axes, by chart and axis, where a chart does not show all. */
  views: new Map(),

  viewsOf(node) {
    const {chart} = node.closest(".chart").dataset;
    if (!this.views.has(chart)) this.views.set(chart, new Map());
    return this.views.get(chart);
  },
  key(node, axis, along) {
    return axis.linked ? axis.name : `${[...node.parentElement.children].indexOf(node)} ${along}`;
  },
  /* What a panel shows of its axes, of which ``whole`` are the ends. */
  seen(node, panel, whole) {
    const view = along => this.viewsOf(node).get(this.key(node, panel[along], along));
    return {x: view("x") || whole.x, y: whole.y && (view("y") || whole.y)};
  },
  zoomed(node) { return this.viewsOf(node).size > 0; },

  /* Let an axis show what is between ``ends``, as far as that makes sense; the chart is not drawn. */
  show(node, along, ends) {
    const axis = node.drawn.panel[along];
    const forth = axis.log ? Math.log : value => value, back = axis.log ? Math.exp : forth;
    const [from, to] = node.drawn.whole[along].map(forth);
    let [low, high] = ends.map(forth);
    const missing = (to - from) / DEEPEST - (high - low);
    if (missing > 0) [low, high] = [low - missing / 2, high + missing / 2];
    const beyond = Math.max(0, from - low) - Math.max(0, high - to);
    [low, high] = [low + beyond, high + beyond];
    const key = this.key(node, axis, along);
    if (high - low > 0.999 * (to - from)) this.viewsOf(node).delete(key);
    else this.viewsOf(node).set(key, [back(low), back(high)]);
  },
  /* Let both axes show a part of what they show now, given as fractions of it. */
  part(node, parts) {
    for (const [along, [low, high]] of Object.entries(parts)) {
      const scale = node.drawn[along], [start, end] = scale.range();
      this.show(node, along, [low, high].map(share => scale.invert(start + share * (end - start))));
    }
    this.draw(node);
  },
  by(node, factor) {
    const {panel, x, y, whole} = node.drawn;
    const place = (along, scale) => {
      // A test statistic keeps its zero.
      if (along === "y" && panel.y.low !== undefined) return 0;
      const [start, end] = scale.range();
      const share = node.pointed ? (scale(node.pointed[along]) - start) / (end - start) : 0.5;
      return share >= 0 && share <= 1 ? share : 0.5;
    };
    const around = at => [at - at / factor, at + (1 - at) / factor];
    this.part(node, {x: around(place("x", x)), ...(whole.y && {y: around(place("y", y))})});
  },
  move(node, right, up) {
    if (right) this.part(node, {x: [right * MOVE, 1 + right * MOVE]});
    if (up && node.drawn.whole.y) this.part(node, {y: [up * MOVE, 1 + up * MOVE]});
  },
  reset(node) {
    this.viewsOf(node).clear();
    node.pointed = null;
    this.draw(node);
  },
  draw(node) {
    const chart = node.closest(".chart");
    chart.classList.toggle("zoomed", this.zoomed(node));
    page.tip(null);
    page.drawChart(chart);
  },
  press(node, key) {
    if (key === "+" || key === "=") this.by(node, FACTOR);
    else if (key === "-" || key === "−") this.by(node, 1 / FACTOR);
    else if (!this.zoomed(node)) return false;
    else if (key === "0" || key === "Escape" || key === "reset") this.reset(node);
    else if (key in ARROWS) this.move(node, ...ARROWS[key]);
    else return false;
    return true;
  },
};

/* A place in the window as one in the axes of a panel, in pixels, not beyond their ends. */
function placeIn(node, event) {
  const {left, inner} = node.drawn;
  const box = node.querySelector("svg.plot").getBoundingClientRect();
  return [
    Math.max(0, Math.min(inner.width, event.clientX - box.left - left)),
    Math.max(0, Math.min(inner.height, event.clientY - box.top - TOP)),
  ];
}

/* The rectangle between two places: all of a direction in which it is too short, or has no values. */
function rectangle(node, [x0, y0], [x1, y1]) {
  const {inner, whole} = node.drawn;
  const between = (a, b, length) => Math.abs(b - a) < SMALLEST ? [0, length] : [Math.min(a, b), Math.max(a, b)];
  return {x: between(x0, x1, inner.width), y: whole.y ? between(y0, y1, inner.height) : [0, inner.height]};
}

function zoomable(node) {
  let start = null, drag = null;
  const stop = () => {
    node.querySelector(".selection")?.remove();
    start = drag = null;
  };
  node.addEventListener("pointerdown", event => {
    if (!event.target.closest("svg.plot")) return;
    const place = placeIn(node, event);
    const {x, y, whole} = node.drawn;
    node.pointed = {x: x.invert(place[0]), y: whole.y && y.invert(place[1])};
    if (event.pointerType !== "touch" && event.button === 0) start = place;
  });
  node.addEventListener("pointermove", event => {
    if (!start) return;
    const place = placeIn(node, event);
    if (!drag && Math.hypot(place[0] - start[0], place[1] - start[1]) < SMALLEST) return;
    if (!drag) node.setPointerCapture(event.pointerId);
    drag = rectangle(node, start, place);
    const root = d3.select(node).select("svg.plot > g");
    if (root.select(".selection").empty()) root.append("rect").attr("class", "selection");
    root.select(".selection").attr("x", drag.x[0]).attr("width", drag.x[1] - drag.x[0])
      .attr("y", drag.y[0]).attr("height", drag.y[1] - drag.y[0]);
  });
  node.addEventListener("pointerup", () => {
    const chosen = drag;
    stop();
    if (!chosen) return;
    const {inner, whole} = node.drawn;
    const up = chosen.y.map(y => 1 - y / inner.height).reverse();
    zoom.part(node, {x: chosen.x.map(x => x / inner.width), ...(whole.y && {y: up})});
  });
  node.addEventListener("pointercancel", stop);
  node.addEventListener("dblclick", event => {
    if (event.target.closest("svg.plot") && zoom.zoomed(node)) zoom.reset(node);
  });
  node.tabIndex = 0;
  node.setAttribute("aria-keyshortcuts", "+ - 0");
  node.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") stop();
    if (zoom.press(node, event.key)) event.preventDefault();
  });
  const tools = document.createElement("div");
  tools.className = "zoom";
  for (const [words, title] of BUTTONS) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words;
    button.title = title;
    // Keys do the same.
    button.tabIndex = -1;
    button.addEventListener("click", () => zoom.press(node, words));
    tools.append(button);
  }
  node.append(tools);
}

for (const node of document.querySelectorAll(".panel")) zoomable(node);
