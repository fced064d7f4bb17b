// Two conveniences, both absent without this file: copying a text, and following calls as they come.
"use strict";

for (const button of document.querySelectorAll("button.copy")) {
  const source = button.dataset.copy ? document.getElementById(button.dataset.copy) : button.parentElement.querySelector("pre");
  if (!source || !navigator.clipboard) continue;
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  });
}

const live = document.getElementById("live");
if (live) {
  const every = 3000;
  live.parentElement.hidden = false;
  const follow = async () => {
    if (!live.checked) return;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.ok && live.checked) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of [".stand", "table.calls", ".sum"]) {
          const [old, now] = [document.querySelector(part), fresh.querySelector(part)];
          if (old && now) old.replaceWith(now);
        }
      }
    } catch { /* the agent is away: try again */ }
    setTimeout(follow, every);
  };
  live.addEventListener("change", follow);
}
