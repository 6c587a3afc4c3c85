"use strict";
/* Charts of marks, drawn with D3; charts/marks.py says what they are made of. */

const SHAPES = [d3.symbolCircle, d3.symbolSquare, d3.symbolDiamond, d3.symbolTriangle,
  d3.symbolCross, d3.symbolStar, d3.symbolWye];
const LETTER = 6.6;
const ROW = 28;
const LINE = 14;
const NEAR = 40;
const TOP = 6;

const proper = text => text.replace(/-/g, "−");
const format = (value, digits = 4) => {
  const size = Math.abs(value);
  const form = size >= 1e4 && size < 1e7 && digits === 4 ? ",.0f" : `.${digits}~g`;
  return proper(d3.format(form)(value)).replace(/,/g, "\u202f");
};
/* Values of ticks with as many digits as it takes to tell them apart. */
const formatted = values => {
  let words = [];
  for (let digits = 4; digits < 10 && new Set(words).size < values.length; digits += 1) {
    words = values.map(value => format(value, digits));
  }
  return words;
};
const known = value => value !== null && value !== undefined;

/* The coordinates of a mark along an axis that the axis has to show. */
function coordinates(mark, along, within) {
  const {x = [], y = [], low = [], high = []} = mark;
  const ends = (mark.along || "x") === along ? [...low, ...high] : [];
  const across = along === "x";
  switch (mark.kind) {
    case "points": return [...(across ? x : y), ...ends];
    case "line": return (across ? x : y).filter((_, i) => !across || !within || within(y[i]));
    case "area": return across ? x : y;
    case "band": return across ? x : [...low, ...high];
    case "steps": return across ? x : [...y, ...low, ...high];
    case "spans": return across ? [...low, ...high] : [];
    case "shade": return across ? [...low, ...high] : [];
    default: return across ? x : y;
  }
}

function domain(axis, along, marks, within) {
  const fits = value => known(value) && (!axis.log || value > 0);
  const all = list => list.flatMap(mark => coordinates(mark, along, within)).filter(fits);
  let values = all(marks.filter(mark => !mark.aside));
  if (!values.length) values = all(marks);
  if (!values.length) values = axis.log ? [0.1, 1] : [0, 1];
  let [low, high] = d3.extent(values);
  if (axis.even) low = -(high = Math.max(Math.abs(low), Math.abs(high)) || 1);
  const exact = along === "x" && marks.some(mark => mark.kind === "steps");
  if (axis.log) {
    const factor = Math.max((high / low) ** 0.06, 1.05);
    [low, high] = [low / factor, high * factor];
  } else if (!exact) {
    const pad = 0.05 * (high - low) || Math.abs(0.1 * high) || 1;
    [low, high] = [low - pad, high + pad];
  }
  return [axis.low ?? low, axis.high ?? high];
}

/* Words in lines of at most that many letters; a word that is longer goes on in the next line. */
function wrapped(text, letters) {
  const lines = [""];
  const words = text.split(" ").flatMap(word => word.match(new RegExp(`.{1,${Math.max(letters, 4)}}`, "gu")) || []);
  for (const word of words) {
    const longer = `${lines[lines.length - 1]} ${word}`.trim();
    if (longer.length > letters && lines[lines.length - 1]) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

function drawPanel(node, panel, page) {
  const marks = panel.marks.filter(mark => page.shows(mark));
  const width = node.clientWidth;
  const longest = Math.max(0, ...(panel.y.rows || []).map(row => row.length));
  const left = panel.y.rows ? Math.min(0.4 * width, 16 + LETTER * longest) : 54;
  const names = (panel.y.rows || []).map(row => wrapped(row, Math.floor((left - 12) / LETTER)));
  const tall = Math.max(ROW, ...names.map(lines => LINE * lines.length + 8));
  const inner = {
    width: Math.max(60, width - left - 14),
    height: panel.y.rows ? names.length * tall + 8 : Math.min(400, (panel.height || 0.7) * width),
  };
  const whole = {y: panel.y.rows ? null : domain(panel.y, "y", marks)};
  const [bottom, top] = panel.y.low !== undefined && panel.y.high !== undefined ? whole.y : [];
  const within = bottom === undefined ? null : value => value >= bottom && value <= top;
  whole.x = domain(panel.x, "x", marks, within);
  const seen = zoom.seen(node, panel, whole);
  const x = scale(panel.x, seen.x, [0, inner.width]);
  const y = panel.y.rows
    ? d3.scaleLinear().domain([-0.6, names.length - 0.4]).range([0, inner.height])
    : scale(panel.y, seen.y, [inner.height, 0]);
  node.drawn = {panel, x, y, left, inner, whole};

  d3.select(node).select("svg.plot").remove();
  const svg = d3.select(node).insert("svg", ".x-label").attr("class", "plot").attr("role", "img");
  svg.attr("viewBox", `0 0 ${width} ${inner.height + 32}`).attr("width", width)
    .attr("height", inner.height + 32).attr("aria-label", panel.title || panel.x.name || "");
  const clip = `clip-${drawPanel.number = (drawPanel.number || 0) + 1}`;
  svg.append("clipPath").attr("id", clip).append("rect")
    .attr("width", inner.width).attr("height", inner.height);
  const root = svg.append("g").attr("transform", `translate(${left},${TOP})`);
  drawAxes(root, panel, {x, y, names, inner, left});
  const clipped = root.append("g").attr("clip-path", `url(#${clip})`);
  const hits = [];
  for (const mark of marks) drawMark(clipped, mark, {x, y, inner, panel, page, hits});
  hover(svg, {hits, left, page, root});
}

/* What marks of one panel are, by their words. */
function drawLegend(node, panel, page) {
  node.replaceChildren();
  const named = new Map(panel.marks.filter(mark => mark.words && ["steps", "points"].includes(mark.kind))
    .map(mark => [mark.words, mark]));
  for (const [words, mark] of named) {
    const entry = document.createElement("span");
    const svg = d3.select(entry).append("svg").attr("viewBox", "-8 -8 16 16").attr("width", 14)
      .style("color", mark.who ? "var(--soft)" : page.colour(mark));
    if (mark.kind === "points") {
      svg.append("path").attr("fill", "currentColor").attr("d", d3.symbol().type(SHAPES[page.shape(mark)]).size(90)());
    } else svg.append("rect").attr("x", -8).attr("y", -2).attr("width", 16).attr("height", 4).attr("fill", "currentColor");
    entry.append(words);
    node.append(entry);
  }
}

function scale(axis, ends, range) {
  return (axis.log ? d3.scaleLog() : d3.scaleLinear()).domain(ends).range(range);
}

/* About so many ticks; a logarithmic axis of less than a decade has them at round distances. */
function ticks(drawn, axis, number) {
  const [low, high] = drawn.scale().domain();
  if (axis.log && high / low > 10) return drawn.ticks(number, "~r");
  const values = d3.scaleLinear().domain([low, high]).ticks(number);
  const words = formatted(values);
  return drawn.tickValues(values).tickFormat((_, i) => words[i]);
}

function drawAxes(root, panel, {x, y, names, inner, left}) {
  const across = ticks(d3.axisBottom(x), panel.x, Math.max(2, inner.width / 75))
    .tickSizeInner(-inner.height).tickSizeOuter(0).tickPadding(8);
  root.append("g").attr("class", "axis").attr("transform", `translate(0,${inner.height})`).call(across);
  if (!panel.y.rows) {
    const up = ticks(d3.axisLeft(y), panel.y, Math.max(2, inner.height / 50))
      .tickSizeInner(-inner.width).tickSizeOuter(0).tickPadding(8);
    root.append("g").attr("class", "axis").call(up);
    return;
  }
  names.forEach((lines, row) => {
    const text = root.append("text").attr("class", "row");
    lines.forEach((line, k) => text.append("tspan").attr("x", 10 - left)
      .attr("y", y(row) + 4 + LINE * (k - (lines.length - 1) / 2)).text(line));
  });
}

function drawMark(root, mark, {x, y, inner, panel, page, hits}) {
  const {x: xs = [], y: ys = [], low = [], high = []} = mark;
  const group = root.append("g").attr("class", `mark ${mark.kind} ${mark.look || ""} ${page.look(mark)}`)
    .style("color", page.colour(mark)).attr("data-who", mark.who || null);
  const title = [page.title(mark.who), mark.words].filter(Boolean).join(", ");
  const hit = (from, to, height, ...lines) => {
    if (![from, to, height].every(Number.isFinite)) return;
    if (to < 0 || from > inner.width || height < 0 || height > inner.height) return;
    hits.push({from: Math.max(0, from), to: Math.min(inner.width, to), height, title,
      colour: page.colour(mark), lines});
  };
  const at = (axis, value, i, along) => {
    const error = (mark.along || "x") === along && low.length ? (high[i] - low[i]) / 2 : 0;
    return `${axis.name} = ${format(value)}${error ? ` ± ${format(error)}` : ""}`;
  };
  const place = i => [at(panel.x, xs[i], i, "x"), ...(panel.y.rows ? [] : [at(panel.y, ys[i], i, "y")])];
  const inside = value => Math.max(-1e5, Math.min(1e5, value));

  switch (mark.kind) {
    case "line":
    case "area": {
      const line = d3.line().defined((_, i) => known(xs[i]) && known(ys[i]))
        .x((_, i) => inside(x(xs[i]))).y((_, i) => inside(y(ys[i])));
      group.append("path").attr("d", line(xs));
      if (mark.kind === "line") xs.forEach((_, i) => hit(x(xs[i]), x(xs[i]), y(ys[i]), ...place(i)));
      break;
    }
    case "band": {
      const area = d3.area().x((_, i) => x(xs[i])).y0((_, i) => inside(y(low[i])))
        .y1((_, i) => inside(y(high[i])));
      group.append("path").attr("d", area(xs));
      break;
    }
    case "points": {
      const symbol = d3.symbol().type(SHAPES[page.shape(mark)]).size(58)();
      xs.forEach((value, i) => {
        if (!known(value) || !known(ys[i])) return;
        if (low.length && mark.along === "y") {
          group.append("line").attr("x1", x(value)).attr("x2", x(value))
            .attr("y1", inside(y(low[i]))).attr("y2", inside(y(high[i])));
        } else if (low.length) {
          group.append("line").attr("x1", inside(x(low[i]))).attr("x2", inside(x(high[i])))
            .attr("y1", y(ys[i])).attr("y2", y(ys[i]));
        }
        const cross = /\bcross\b/.test(mark.look || "");
        group.append("path").attr("transform", `translate(${x(value)},${y(ys[i])})`)
          .attr("d", cross ? "M-6,0H6M0,-6V6" : symbol);
        hit(x(value), x(value), y(ys[i]), ...place(i));
      });
      break;
    }
    case "steps": {
      const corners = [], around = [];
      ys.forEach((value, i) => {
        corners.push([xs[i], value], [xs[i + 1], value]);
        around.push([xs[i], low[i], high[i]], [xs[i + 1], low[i], high[i]]);
        if (!known(value)) return;
        const error = low.length ? ` ± ${format((high[i] - low[i]) / 2)}` : "";
        hit(x(xs[i]), x(xs[i + 1]), y(value), `${panel.x.name} ${format(xs[i])} … ${format(xs[i + 1])}`,
          `${panel.y.name} = ${format(value)}${error}`);
      });
      const bottom = y.range()[0];
      const foot = value => Number.isFinite(y(value)) ? inside(y(value)) : bottom;
      const area = d3.area().defined(d => known(d[1]) && known(d[2])).x(d => x(d[0]))
        .y0(d => foot(d[1])).y1(d => foot(d[2]));
      if (low.length) group.append("path").attr("class", "errors").attr("d", area(around));
      const line = d3.line().defined(d => known(d[1])).x(d => x(d[0])).y(d => foot(d[1]));
      if (/\bfilled\b/.test(mark.look || "")) {
        const filled = d3.area().defined(d => known(d[1])).x(d => x(d[0])).y0(y(0)).y1(d => foot(d[1]));
        group.append("path").attr("class", "filled").attr("d", filled(corners));
      }
      group.append("path").attr("class", "top").attr("d", line(corners));
      break;
    }
    case "spans": {
      const thick = /\bthin\b/.test(mark.look || "") ? 2 : /\bobserved\b/.test(mark.look || "") ? 4 : 12;
      const tall = /\bframe\b/.test(mark.look || "") ? 18 : thick;
      ys.forEach((row, i) => {
        if (!known(low[i]) || !known(high[i])) return;
        const from = inside(x(low[i])), to = inside(x(high[i]));
        group.append("rect").attr("x", from).attr("width", Math.max(1, to - from))
          .attr("y", y(row) - tall / 2).attr("height", tall);
        hit(from, to, y(row), `${panel.x.name} from ${format(low[i])} to ${format(high[i])}`);
      });
      break;
    }
    case "shade":
      low.forEach((value, i) => group.append("rect").attr("x", inside(x(value)))
        .attr("width", Math.max(0, inside(x(high[i])) - inside(x(value)))).attr("height", inner.height));
      break;
    default:
      xs.forEach(value => group.append("line").attr("x1", x(value)).attr("x2", x(value))
        .attr("y2", inner.height));
      ys.forEach(value => {
        group.append("line").attr("x2", inner.width).attr("y1", y(value)).attr("y2", y(value));
        if (mark.words) group.append("text").attr("x", inner.width - 4).attr("y", y(value) - 4).text(mark.words);
      });
      if (mark.words) xs.forEach(value => hit(x(value), x(value), 0, place_of(panel, value)));
  }
}

const place_of = (panel, value) => `${panel.x.name} = ${format(value)}`;

/* Values of what is nearest to the pointer. */
function hover(svg, {hits, left, page, root}) {
  const dot = root.append("circle").attr("class", "dot").attr("r", 5).attr("hidden", true);
  const leave = () => { dot.attr("hidden", true); page.tip(null); };
  const move = event => {
    const box = svg.node().getBoundingClientRect();
    const px = event.clientX - box.left - left, py = event.clientY - box.top - TOP;
    let best = null, least = NEAR;
    for (const one of hits) {
      const nearest = Math.max(one.from, Math.min(one.to, px));
      const distance = Math.hypot(nearest - px, one.height - py);
      if (distance < least) [best, least] = [{...one, at: nearest}, distance];
    }
    if (!best) return leave();
    dot.attr("hidden", null).attr("cx", best.at).attr("cy", best.height).style("color", best.colour);
    page.tip({x: event.clientX, y: event.clientY, ...best});
  };
  svg.on("pointermove", () => move(d3.event)).on("pointerdown", () => move(d3.event))
    .on("pointerleave", leave);
}
