// Asks the sidecar for documents, and says why there is none.

const LIMIT_MS = 10_000;

export class SignedOut extends Error {}
export class NoAnswer extends Error {
  // `status`: of the answer, where there was one that refused.
  constructor(message, status = null) {
    super(message);
    this.status = status;
  }
}

// A document. Raises SignedOut, and NoAnswer with what is known of the reason.
export async function ask(path, { limit = LIMIT_MS, signal, ...options } = {}) {
  let answer;
  let said = null;
  try {
    answer = await fetch(path, {
      ...options,
      signal: AbortSignal.any([AbortSignal.timeout(limit), ...(signal ? [signal] : [])]),
      cache: "no-store",
    });
    said = await answer.text();
  } catch {
    throw new NoAnswer("the sidecar does not answer");
  }
  if (answer.status === 401) throw new SignedOut();
  try {
    said = JSON.parse(said);
  } catch {
    said = null;
  }
  if (!answer.ok) throw new NoAnswer(reason(said) ?? `${path} was answered with ${answer.status}`, answer.status);
  if (said === null) throw new NoAnswer(`the answer to ${path} cannot be read`);
  return said;
}

// Of an error in any of the contracts' forms.
function reason(said) {
  const found = [said?.message, said?.error?.message, said?.error, said?.detail];
  return found.find((each) => typeof each === "string" && each) ?? null;
}
