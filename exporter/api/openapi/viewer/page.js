"use strict";

// Fetches the description, with a key where one is wanted, and hands it to Swagger UI.

const form = document.getElementById("key-form");
const problem = document.getElementById("problem");

async function fetchDescription(key) {
  const answer = await fetch("/openapi.json", { headers: key ? { "x-api-key": key } : {} });
  if (answer.status === 401) {
    throw new Error("That is not a valid key.");
  }
  if (!answer.ok) {
    throw new Error(`The sidecar answered ${answer.status} to /openapi.json.`);
  }
  return answer.json();
}

function show(description, key) {
  const viewer = SwaggerUIBundle({
    spec: description,
    dom_id: "#viewer",
    deepLinking: true,
    validatorUrl: null,
    defaultModelsExpandDepth: 0,
    onComplete: () => key && viewer.preauthorizeApiKey("apiKey", key),
  });
}

async function start(key) {
  problem.textContent = "";
  try {
    show(await fetchDescription(key), key);
    form?.remove();
  } catch (error) {
    problem.textContent = error instanceof TypeError ? "The sidecar does not answer." : error.message;
  }
}

// Swagger UI has a dark form, and no eye for what the browser prefers.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    start(document.getElementById("key").value.trim());
  });
} else {
  start();
}
