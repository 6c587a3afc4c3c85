"use strict";
/* Tables are sorted by a click on the head of a column, and copied as CSV or LaTeX. */

/* What is seen of an element, in one line. */
function seenText(node) {
  const parts = [];
  for (const child of node.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) parts.push(child.data);
    else if (child.tagName === "BR") parts.push(" ");
    else if (child.nodeType === Node.ELEMENT_NODE && !child.hidden && child.tagName !== "svg"
      && !child.matches(".copy")) parts.push(seenText(child));
  }
  return parts.join("").replace(/\s+/g, " ").trim();
}

/* The heads of all columns: of each the cell that is lowest, and the words of all above it. */
function columnHeads(table) {
  const columns = [];
  const taken = [];
  [...table.tHead.rows].forEach((row, r) => {
    let at = 0;
    for (const cell of row.cells) {
      while (taken[at] > r) at += 1;
      for (let k = 0; k < cell.colSpan; k += 1, at += 1) {
        const above = columns[at]?.words || "";
        columns[at] = {cell, words: `${above} ${seenText(cell)}`.trim(), single: cell.colSpan === 1};
        taken[at] = r + cell.rowSpan;
      }
    }
  });
  return columns;
}

function sortValue(cell) {
  const marked = [...cell.querySelectorAll("[data-sort]")].find(node => !node.hidden) || cell;
  if (marked.dataset.sort !== undefined) return Number(marked.dataset.sort);
  const text = seenText(cell).replace(/−/g, "-");
  const number = /[-+]?\d+(\.\d+)?(e[-+]?\d+)?/i.exec(text);
  return number && !/^[A-Za-z]/.test(text) ? Number(number[0]) : text;
}

function compare(a, b) {
  if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b);
  return typeof a === "number" ? -1 : 1;
}

function sortTable(table, column, head) {
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map(row => [sortValue(row.cells[column]), row]);
  rows.sort(([a], [b]) => (down ? compare(b, a) : compare(a, b)));
  body.append(...rows.map(([, row]) => row));
}

function cells(table) {
  const columns = table.tHead ? columnHeads(table) : [];
  const shown = columns.map(({cell}) => !cell.hidden);
  const rows = [...table.tBodies].flatMap(body => [...body.rows]).filter(row => !row.hidden)
    .map(row => [...row.cells].filter((cell, i) => shown[i] !== false && !cell.hidden).map(seenText));
  const head = columns.filter(({cell}) => !cell.hidden).map(({words}) => words);
  return head.length ? [head, ...rows] : rows;
}

function asCSV(table) {
  const quoted = text => /[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  return `${cells(table).map(row => row.map(quoted).join(",")).join("\n")}\n`.replace(/−/g, "-");
}

const TEX = new Map(Object.entries({
  "\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", "_": "\\_",
  "{": "\\{", "}": "\\}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "−": "$-$",
  "±": "$\\pm$", "∪": "$\\cup$", "→": "$\\to$", "✓": "yes", "✗": "no", "θ": "$\\theta$",
  "σ": "$\\sigma$", "ν": "$\\nu$", "χ": "$\\chi$", "²": "$^2$", "⁻": "$^-$", "¹": "$^1$",
  "≤": "$\\le$", "≥": "$\\ge$", "<": "$<$", ">": "$>$", "–": "--", "…": "\\ldots{}", "’": "'",
  "μ": "$\\mu$", "γ": "$\\gamma$", "Λ": "$\\Lambda$", "η": "$\\eta$",
}));

function asLaTeX(table) {
  const tex = text => [...text].map(letter => TEX.get(letter) ?? letter).join("");
  const rows = cells(table).map(row => `${row.map(tex).join(" & ")} \\\\`);
  const [head, ...body] = table.tHead ? rows : ["", ...rows];
  const columns = Math.max(...cells(table).map(row => row.length));
  const rule = head ? [head, "\\midrule"] : [];
  return [`\\begin{tabular}{l${"r".repeat(columns - 1)}}`, "\\toprule", ...rule, ...body,
    "\\bottomrule", "\\end{tabular}", ""].join("\n");
}

async function copy(text, button) {
  const said = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "copied";
  setTimeout(() => { button.textContent = said; }, 1200);
}

for (const table of document.querySelectorAll("main table")) {
  const tools = document.createElement("div");
  tools.className = "copy";
  for (const [words, write] of [["CSV", asCSV], ["LaTeX", asLaTeX]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words;
    button.title = `Copy the table as ${words}`;
    button.addEventListener("click", () => copy(write(table), button));
    tools.append(button);
  }
  if (table.caption) tools.classList.add("over");
  table.closest(".scroll").before(tools);
  if (!table.tHead || table.tBodies[0].rows.length < 2) continue;
  columnHeads(table).forEach(({cell, single}, column) => {
    if (!single) return;
    cell.classList.add("sortable");
    cell.tabIndex = 0;
    cell.addEventListener("click", event => {
      if (!event.target.closest("a")) sortTable(table, column, cell);
    });
    cell.addEventListener("keydown", event => {
      if (event.key === "Enter" && event.target === cell) sortTable(table, column, cell);
    });
  });
}
