// Buttons that show what is typed as a password, and that copy a link. Without scripts they are
// not there, and nothing is missing.

for (const button of document.querySelectorAll("button[data-shows]")) {
  const fields = button.dataset.shows
    .split(" ")
    .map((id) => document.getElementById(id))
    .filter(Boolean);
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") === "true";
    for (const field of fields) field.type = shown ? "password" : "text";
    button.setAttribute("aria-pressed", String(!shown));
  });
}

for (const button of document.querySelectorAll("button[data-copies]")) {
  const field = document.getElementById(button.dataset.copies);
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(field.value);
      button.textContent = "Copied";
    } catch {
      field.select();
    }
  });
}
