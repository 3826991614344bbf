"use strict";
// Airflow's theme, the page that looks again, and the what-if sliders. Texts are only ever set as text.

function theme() {
  try {
    const frame = window.parent.document.documentElement;
    if (window.parent !== window && frame.classList.contains("dark")) return "dark";
    if (window.parent !== window && frame.classList.contains("light")) return "light";
    const kept = window.localStorage.getItem("theme");
    return kept === "dark" || kept === "light" ? kept : "";
  } catch {
    return ""; // framed by somebody else, or without storage: the system's theme
  }
}

function showTheme() {
  const found = theme();
  if (found) document.documentElement.dataset.theme = found;
  else delete document.documentElement.dataset.theme;
}

function told(counts) {
  const list = (of) => Object.entries(of).map(([name, n]) => `${n} ${name.replaceAll("_", " ")}`).join(", ") || "none";
  const parts = [`would be freed: ${list(counts.freed)}`, `would be refused: ${list(counts.refused)}`];
  if (Object.keys(counts.unknown).length) parts.push(`not measured so far: ${list(counts.unknown)}`);
  if (Object.keys(counts.loosened).length) parts.push(`no longer near a survivor: ${list(counts.loosened)}`);
  if (counts.compared_anew.length) parts.push("near-duplicates are compared anew by a run");
  return `${parts.join("; ")}. Now ${counts.n_kept} kept, ${counts.n_rejected} rejected.`;
}

async function ask(slider) {
  const { day, dag, limit } = slider.dataset;
  const input = slider.querySelector("input");
  const place = slider.querySelector(".told-if");
  place.textContent = "counting…";
  const asked = new URLSearchParams({ day, dag, limit, value: input.value });
  const base = document.querySelector("script[src$='/page.js']").src.replace(/\/page\.js$/, "");
  const answer = await fetch(`${base}/what-if?${asked}`, { credentials: "same-origin" });
  const body = await answer.json();
  place.textContent = answer.ok ? told(body) : typeof body.detail === "string" ? body.detail : "this value is not allowed";
}

showTheme();
window.addEventListener("storage", showTheme);
document.addEventListener("DOMContentLoaded", () => {
  try {
    const frame = window.parent.document.documentElement;
    if (window.parent !== window) new MutationObserver(showTheme).observe(frame, { attributeFilter: ["class"] });
  } catch {
    // another origin's frame: nothing to follow
  }
  for (const slider of document.querySelectorAll(".slider")) {
    const input = slider.querySelector("input");
    input.addEventListener("input", () => { slider.querySelector("output").textContent = input.value; });
    input.addEventListener("change", () => { ask(slider); });
  }
  const again = document.querySelector("[data-again]");
  if (again) window.setTimeout(() => window.location.reload(), 1000 * Number(again.dataset.again));
});
