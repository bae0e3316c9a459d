// A table of many rows gets a field that hides the rows without what it says.
for (const table of document.querySelectorAll("table")) {
  const rows = [...(table.tBodies[0]?.rows ?? [])];
  if (rows.length < 30) continue;
  const field = document.createElement("input");
  field.type = "search";
  field.className = "filter";
  field.placeholder = "find in this table";
  field.ariaLabel = field.placeholder;
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  });
  table.before(field);
}
