import { join } from "node:path";
import { UserError } from "../errors.js";
import { exists, readTextInside } from "./foreignText.js";
import { openSandbox, packagePath, SandboxError, type SandboxTasks } from "./sandbox.js";
import { parseStrictJson, quoteName, type StrictJson } from "./strictJson.js";

/** One turn of a conversation, as Hugging Face's chat templates take it. */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** A model's chat template, ready to render; close it. */
export interface ChatTemplate {
  /**
   * The conversation as the text that the model was tuned on, up to where its answer begins. A conversation that ends with a turn of the assistant is
   * cut after that turn's words instead, for the model to go on with (Hugging Face's `continue_final_message`). Special tokens stand in it as text.
   * @throws UserError when the template refuses the conversation, changes the assistant's words, or runs past a limit.
   */
  render(messages: readonly ChatMessage[]): Promise<string>;
  close(): Promise<void>;
}

/** The longest known template has 20 kB. */
const MAX_TEMPLATE_CHARACTERS = 200_000;
const MAX_CONFIG_BYTES = 10_000_000;
/** Nodes of the template evaluated; a real one takes a few hundred per message. */
const MAX_STEPS = 100_000;
/** Longest text and list that a template may make. */
const MAX_CHARACTERS = 1_000_000;
const MAX_ITEMS = 10_000;
/** The steps bound what a template does on any machine alike; time and memory bound what a single step can still do. */
const SECONDS = 5;
const MEMORY_MIB = 256;
const START_SECONDS = 30;

/** The special tokens that a template may name. */
const TOKENS = ["bos_token", "eos_token", "unk_token", "pad_token"] as const;

/**
 * The chat template of a Hugging Face folder: `chat_template.jinja`, or `chat_template` in `tokenizer_config.json` (the one named
 * "default" where there are several). Undefined where the folder has none, as base models have.
 * `strftime_now` is left undefined, so that the same prompt gives the same text on every day: templates that ask for it have a fixed date instead.
 * @throws UserError for a template that is damaged or too long.
 */
export async function openChatTemplate(folder: string): Promise<ChatTemplate | undefined> {
  const found = await readChatTemplate(folder);
  return found === undefined ? undefined : chatTemplate(found.template, found.tokens, found.where);
}

/** A chat template from its Jinja source. */
export function chatTemplate(
  template: string,
  tokens: Readonly<Record<string, string>>,
  where = "the chat template",
  { seconds = SECONDS }: { readonly seconds?: number } = {},
): ChatTemplate {
  if (template.length > MAX_TEMPLATE_CHARACTERS)
    throw new UserError(
      `${where} has ${template.length} characters, more than the ${MAX_TEMPLATE_CHARACTERS} that a chat template may have.`,
    );
  const sandbox = openSandbox(
    tasks,
    {
      jinja: packagePath("@huggingface/jinja"),
      template,
      tokens,
      steps: MAX_STEPS,
      characters: MAX_CHARACTERS,
      items: MAX_ITEMS,
    },
    { memoryMiB: MEMORY_MIB, startSeconds: START_SECONDS },
  );
  return {
    async render(messages) {
      const last = messages.at(-1);
      const begun = last?.role === "assistant" ? last.content.trim() : undefined;
      try {
        const rendered = (await sandbox.call(
          "render",
          { messages, generation: begun === undefined },
          seconds,
        )) as string;
        if (begun === undefined) return rendered;
        const at = rendered.lastIndexOf(begun);
        if (at < 0)
          throw new UserError(`${where} does not repeat the beginning of the answer as it is; use another template.`);
        return rendered.slice(0, at + begun.length);
      } catch (error) {
        if (!(error instanceof SandboxError)) throw error;
        throw new UserError(
          error.reason === "failed"
            ? `${where} cannot be rendered: ${error.message.replace(/\.$/, "")}.`
            : `${where} is stopped: ${error.message}; such a template belongs to no real model, take it from where the model came from.`,
        );
      }
    },
    close: () => sandbox.close(),
  };
}

/** Runs inside the sandbox. Jinja's own interpreter, with its steps counted and the values it makes measured. */
const tasks: SandboxTasks = (load, data) => {
  const { Environment, Interpreter, tokenize, parse } = load(data.jinja);
  const program = parse(tokenize(data.template, { lstrip_blocks: true, trim_blocks: true }));
  const range = (start: number, stop?: number, step = 1) => {
    const [from, to] = stop === undefined ? [0, start] : [start, stop];
    if (step === 0) throw new Error("range() step must not be zero");
    const count = Math.max(0, Math.ceil((to - from) / step));
    if (!(count <= data.items)) throw new Error(`it makes a range of ${count} numbers, more than ${data.items}`);
    return Array.from({ length: count }, (_, i) => from + i * step);
  };
  const refuse = (message: unknown) => {
    throw new Error(`it refuses the conversation with ${JSON.stringify(String(message).slice(0, 200))}`);
  };
  const render = ({ messages, generation }: { messages: readonly ChatMessage[]; generation: boolean }): string => {
    const environment = new Environment();
    const globals = { true: true, false: false, none: null, True: true, False: false, None: null, range };
    const inputs = { messages, add_generation_prompt: generation, tools: null, documents: null, ...data.tokens };
    for (const [name, value] of Object.entries({ ...globals, raise_exception: refuse, ...inputs }))
      environment.set(name, value);
    const interpreter = new Interpreter(environment);
    const evaluate = interpreter.evaluate.bind(interpreter);
    let steps = 0;
    interpreter.evaluate = (node: unknown, scope: unknown) => {
      if (++steps > data.steps) throw new Error(`it takes more than ${data.steps} steps`);
      const result = evaluate(node, scope);
      const { value } = result;
      if (typeof value === "string" && value.length > data.characters)
        throw new Error(`it makes a text of more than ${data.characters} characters`);
      if (Array.isArray(value) && value.length > data.items)
        throw new Error(`it makes a list of more than ${data.items} items`);
      return result;
    };
    return interpreter.run(program).value;
  };
  return { render };
};

interface FoundTemplate {
  readonly template: string;
  readonly tokens: Readonly<Record<string, string>>;
  readonly where: string;
}

async function readChatTemplate(folder: string): Promise<FoundTemplate | undefined> {
  const configPath = join(folder, "tokenizer_config.json");
  const jinjaPath = join(folder, "chat_template.jinja");
  const config = (await exists(configPath)) ? await readTokenizerConfig(folder) : new Map<string, StrictJson>();
  const tokens = specialTokens(config, configPath);
  if (await exists(jinjaPath))
    return {
      template: await readTextInside(folder, "chat_template.jinja", MAX_CONFIG_BYTES),
      tokens,
      where: jinjaPath,
    };
  const given = config.get("chat_template");
  if (given === undefined || given === null) return undefined;
  const where = `${configPath}: chat_template`;
  return { template: theTemplate(given, where), tokens, where };
}

/** A folder's `tokenizer_config.json` as a map. @throws UserError when it is no JSON object. */
export async function readTokenizerConfig(folder: string): Promise<ReadonlyMap<string, StrictJson>> {
  const path = join(folder, "tokenizer_config.json");
  const config = parseStrictJson(await readTextInside(folder, "tokenizer_config.json", MAX_CONFIG_BYTES), path);
  if (!(config instanceof Map)) throw new UserError(`${path} is not a JSON object.`);
  return config;
}

function theTemplate(given: StrictJson, where: string): string {
  if (typeof given === "string") return given;
  if (!Array.isArray(given)) throw new UserError(`${where} must be a text or a list of named templates.`);
  const named = given.map((entry) => {
    const name = entry instanceof Map ? entry.get("name") : undefined;
    const template = entry instanceof Map ? entry.get("template") : undefined;
    if (typeof name !== "string" || typeof template !== "string")
      throw new UserError(`${where} has an entry without "name" and "template" as texts.`);
    return { name, template };
  });
  const found = named.find(({ name }) => name === "default");
  if (found === undefined)
    throw new UserError(
      `${where} has no template named "default", only ${named.map(({ name }) => quoteName(name)).join(", ")}.`,
    );
  return found.template;
}

/** `bos_token` and its like: a text, or an object whose `content` is the text. */
export function specialTokens(config: ReadonlyMap<string, StrictJson>, where: string): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const name of TOKENS) {
    const given = config.get(name);
    if (given === undefined || given === null) continue;
    const content = given instanceof Map ? given.get("content") : given;
    if (typeof content !== "string") throw new UserError(`${where}: ${name} must be a text or have a "content".`);
    tokens[name] = content;
  }
  return tokens;
}
