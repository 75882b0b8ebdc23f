/* A secret that is shown once: select it when it is clicked, and a button that copies it. Without this script it can be
   selected as any text. */
"use strict";
for (const button of document.querySelectorAll("button[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  const told = document.getElementById(`${button.dataset.copy}-copied`);
  field.addEventListener("focus", () => field.select());
  if (!navigator.clipboard) continue; // only over https and on this machine itself
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(field.value);
      told.textContent = "Copied.";
    } catch {
      field.select();
      told.textContent = "Your browser didn't allow it. Press Ctrl-C or ⌘C.";
    }
  });
}
