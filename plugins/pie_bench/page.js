for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const sort = () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const text = (row) => row.cells[column].textContent;
      const order = (a, b) => {
        if (column === 0) return text(a).localeCompare(text(b)) * (down ? -1 : 1);
        const x = parseFloat(text(a)), y = parseFloat(text(b));
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
        return (x - y) * (down ? -1 : 1);
      };
      body.append(...[...body.rows].sort(order));
    };
    head.tabIndex = 0;
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); }
    });
  });
}
const stored = document.getElementById("pictures");
if (stored) {
  const pictures = JSON.parse(stored.textContent);
  const show = (part) => {
    for (const image of part.querySelectorAll("img[data-picture]")) {
      image.src = pictures[Number(image.dataset.picture)];
      image.removeAttribute("data-picture");
    }
  };
  for (const part of document.querySelectorAll("details.edit-group")) {
    if (part.open) show(part);
    part.addEventListener("toggle", () => { if (part.open) show(part); });
  }
}
