// Mirrors services/gateway/web/console/system-messages.js: who did what, told to the agent.
import assert from "node:assert/strict";
import test from "node:test";
import { systemWords } from "../../services/gateway/web/console/system-messages.js";
import { LANGUAGES } from "../../services/gateway/web/console/i18n.js";
import { consoleTexts } from "./texts.mjs";

const WHERE = {
  own: "an",
  name: "Anna",
  departments: new Map([["premies", "Premies en toelagen"]]),
};
const nl = consoleTexts("nl");
const said = (event, about, t = nl) => systemWords(t, { event, text: "U hebt het gesprek beëindigd.", about }, WHERE);

test("the agent reads who ended it, in their own words and language", () => {
  assert.equal(said("closed", { reason: "citizen" }), "Anna heeft het gesprek beëindigd.");
  assert.equal(said("closed", { reason: "agent", agent_id: "an", agent: "An" }), "U hebt het gesprek beëindigd.");
  assert.equal(said("closed", { reason: "agent", agent_id: "bert", agent: "Bert" }), "Bert heeft het gesprek beëindigd.");
  assert.equal(said("closed", { reason: "agent" }), "Een medewerker heeft het gesprek beëindigd.");
  assert.equal(said("closed", { reason: "citizen" }, consoleTexts("en")), "Anna ended the chat.");
  assert.equal(said("closed", { reason: "hurried" }), "Het gesprek is beëindigd.");
});

test("accepting, leaving and transferring have a doer: the agent, a colleague or nobody who is named", () => {
  assert.equal(said("assigned", { agent_id: "an", agent: "An" }), "U hebt het gesprek aangenomen.");
  assert.equal(said("assigned", { agent_id: "bert", agent: "Bert" }), "Bert heeft het gesprek aangenomen.");
  assert.equal(said("assigned", {}), "Het gesprek is aangenomen.");
  assert.equal(
    said("agent_left", {
      agent_id: "bert",
      agent: "Bert",
      detail: "not_accepted",
    }),
    "Bert nam het gesprek niet op tijd aan. Het ging terug naar de wachtrij.",
  );
  assert.equal(said("agent_left", { agent_id: "bert", agent: "Bert" }), "Bert is weg. Het gesprek ging terug naar de wachtrij.");
  assert.equal(
    said("transferred", { agent_id: "an", agent: "An", department: "premies" }),
    "U hebt het gesprek doorgegeven. Het gaat naar Premies en toelagen.",
  );
  assert.equal(
    said("transferred", { department: "premies", detail: "overflow" }),
    "Het gesprek ging naar Premies en toelagen, omdat daar sneller iemand vrij is.",
  );
  assert.equal(
    said("transferred", {
      agent_id: "bert",
      agent: "Bert",
      department: "premies",
      detail: "refused",
    }),
    "Het doorgegeven gesprek is geweigerd en ging terug.",
  );
});

test("a conversation of before this release says nothing about who: then neither does the console", () => {
  for (const event of ["opened", "assigned", "agent_left", "transferred", "closed"]) {
    for (const language of LANGUAGES) {
      const words = systemWords(consoleTexts(language), { event, text: "U hebt het gesprek beëindigd." }, WHERE);
      assert.ok(words && !/\{|said\.|\b(U|vous|Sie|you) /i.test(words), words);
    }
  }
});

test("what the console does not know is told as the words that the citizen read", () => {
  assert.equal(said("abducted", {}), "De burger las: “U hebt het gesprek beëindigd.”");
  const text = "U hebt zich geïdentificeerd via Toegangsbeheer Vlaanderen als Lien De Smet.";
  const kept = { event: "identification", text }; // as in a transcript
  assert.equal(systemWords(consoleTexts("nl"), kept, WHERE), `De burger las: “${text}”`);
  assert.equal(systemWords(consoleTexts("en"), kept, WHERE), `The citizen read: “${text}”`);
  assert.equal(systemWords(consoleTexts("nl"), { event: "identification" }, WHERE), "");
});
