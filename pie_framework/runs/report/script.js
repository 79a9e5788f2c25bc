"use strict";
for (const slider of document.querySelectorAll(".slider")) {
  const range = slider.querySelector("input");
  range.addEventListener("input", () => slider.style.setProperty("--cut", range.value + "%"));
}
for (const chart of document.querySelectorAll(".chart")) {
  const data = JSON.parse(chart.querySelector("script").textContent);
  const svg = chart.querySelector("svg"), cursor = chart.querySelector(".cursor"), tip = chart.querySelector(".tip");
  const hidden = new Set();
  const show = (value) => (value === null ? "–" : Math.abs(value) >= 0.01 && Math.abs(value) < 1e4
    ? String(+value.toPrecision(4)) : value.toExponential(2));
  const line = (name, value, colour) => {
    const row = document.createElement("div"), left = document.createElement("span"), right = document.createElement("span");
    if (colour) {
      const key = document.createElement("i");
      key.className = "key";
      key.style.background = colour;
      left.append(key);
    }
    left.append(name);
    right.textContent = value;
    row.append(left, right);
    return row;
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * data.width;
    let nearest = 0;
    data.x.forEach((value, index) => { if (Math.abs(value - x) < Math.abs(data.x[nearest] - x)) nearest = index; });
    cursor.setAttribute("x1", data.x[nearest]);
    cursor.setAttribute("x2", data.x[nearest]);
    cursor.style.visibility = "visible";
    tip.replaceChildren(line("step " + data.step[nearest], data.stage[nearest]));
    data.series.forEach((series, index) => {
      if (!hidden.has(index)) tip.append(line(series.name, show(series.values[nearest]), `var(--c${series.colour})`));
    });
    tip.style.visibility = "visible";
    const at = (data.x[nearest] / data.width) * box.width;
    tip.style.left = (at > box.width / 2 ? at - tip.offsetWidth - 14 : at + 14) + "px";
  });
  svg.addEventListener("pointerleave", () => { cursor.style.visibility = tip.style.visibility = "hidden"; });
  for (const button of document.querySelectorAll(`[data-chart="${chart.id}"]`)) {
    button.addEventListener("click", () => {
      const index = Number(button.dataset.series), off = !hidden.has(index);
      if (off) hidden.add(index); else hidden.delete(index);
      button.closest("tr").classList.toggle("off", off);
      button.setAttribute("aria-pressed", String(!off));
      for (const curve of chart.querySelectorAll(`[data-of="${index}"]`)) curve.style.display = off ? "none" : "";
    });
  }
}
