import { createStream, type RandomKey, type RandomStream } from "../random/index.js";

/**
 * What a discrete search minimises, over many searches at once. A text is `positions` letters, each 0 .. letters - 1; text i belongs to search
 * `searches[i]`. Either method costs one forward pass for each text.
 */
export interface DiscreteObjective {
  /** The loss of each text. searches [m], texts [m, positions] -> [m] */
  losses(searches: Int32Array, texts: Int32Array): Promise<ArrayLike<number>>;
  /** Gradient of the loss with respect to the one-hot letters. -> [m, positions, letters] */
  gradients(searches: Int32Array, texts: Int32Array): Promise<ArrayLike<number>>;
}

export interface SearchOptions {
  readonly positions: number;
  readonly letters: number;
  /** How many letters of each position, those with the steepest descent, are candidates. */
  readonly topK: number;
  /** Texts tried in one step. */
  readonly candidates: number;
  /** Forward passes of one search, never exceeded: one for each text evaluated, one for each gradient. */
  readonly budget: number;
  /** Random numbers of each search. */
  readonly keys: readonly RandomKey[];
  /** A search ends when its loss falls below this. */
  readonly stopBelow?: number;
}

export interface SearchResult {
  /** The best text that was evaluated. [positions] */
  readonly text: Int32Array;
  readonly loss: number;
  /** Forward passes that were used. */
  readonly passes: number;
}

interface Search {
  readonly index: number;
  readonly stream: RandomStream;
  /** Texts that were evaluated: none is paid for twice. */
  readonly seen: Set<string>;
  best: { text: Int32Array; loss: number };
  current: { text: Int32Array; loss: number };
  /** The current text's untried neighbours; undefined until its gradient is known. */
  neighbours: (readonly [position: number, letter: number])[] | undefined;
  /** What this step evaluates. */
  tried: Int32Array[];
  /** Whether `tried` is a new beginning, to be taken whatever its loss. */
  restarting: boolean;
  /** Whether the next new beginning is a random text; every other one is the best text so far with half of its letters drawn anew. */
  fresh: boolean;
  passes: number;
  ended: boolean;
}

/**
 * Greedy coordinate gradient (Zou et al. 2023): the gradient at the one-hot letters names, at every position, the `topK` letters with the steepest
 * descent; of the texts that differ from the current one by one of these letters, `candidates` drawn at random are evaluated exactly; the best is
 * taken when it is better. Beyond the paper: no text is evaluated twice, and where every such neighbour was tried and none is better, the search
 * begins again at a random text, so that a budget is never spent on standing still. All searches go in step, and each depends on its own
 * key and start alone. starts [searches, positions]
 */
export async function greedyCoordinateGradient(
  objective: DiscreteObjective,
  starts: Int32Array,
  options: SearchOptions,
): Promise<SearchResult[]> {
  const { positions, budget, keys, stopBelow = Number.NEGATIVE_INFINITY } = options;
  if (budget < 1) throw new RangeError(`a search needs a budget of at least one forward pass, not ${budget}`);
  const searches = keys.map((key, index) =>
    beginSearch(index, key, starts.slice(index * positions, (index + 1) * positions)),
  );
  for (;;) {
    const asking = searches.filter(({ restarting, neighbours }) => !restarting && neighbours === undefined);
    await runGradients(objective, asking.filter(canGoOn), options);
    for (const search of searches.filter(canGoOn)) propose(search, options);
    const trying = searches.filter((search) => canGoOn(search) && search.tried.length > 0);
    if (trying.length === 0) break;
    await runLosses(objective, trying, positions);
    for (const search of trying) if (search.best.loss < stopBelow) search.ended = true;
  }
  return searches.map(({ best, passes }) => ({ ...best, passes }));

  function canGoOn({ ended, passes }: Search): boolean {
    return !ended && passes < budget;
  }
}

function beginSearch(index: number, key: RandomKey, start: Int32Array): Search {
  const nothing = { text: start, loss: Number.POSITIVE_INFINITY };
  return {
    index,
    stream: createStream(key, 0),
    seen: new Set([start.join()]),
    best: nothing,
    current: nothing,
    neighbours: undefined,
    tried: [start],
    restarting: true,
    fresh: false,
    passes: 0,
    ended: false,
  };
}

/** Gradients at the current texts, and from them the neighbours worth trying. */
async function runGradients(
  objective: DiscreteObjective,
  asking: readonly Search[],
  { positions, letters, topK }: SearchOptions,
): Promise<void> {
  if (asking.length === 0) return;
  const texts = join(
    asking.map(({ current }) => current.text),
    positions,
  );
  const slopes = await objective.gradients(
    Int32Array.from(asking, ({ index }) => index),
    texts,
  );
  for (const [i, search] of asking.entries()) {
    search.passes++;
    search.neighbours = [];
    for (let position = 0; position < positions; position++) {
      const at = (i * positions + position) * letters;
      const own = search.current.text[position]!;
      // The first-order change of the loss when this letter takes the place of its own; equal ones in the letters' order.
      const others = Array.from({ length: letters }, (_, letter) => letter).filter((letter) => letter !== own);
      others.sort((a, b) => slopes[at + a]! - slopes[at + b]! || a - b);
      for (const letter of others.slice(0, topK)) search.neighbours.push([position, letter]);
    }
  }
}

/** Draws what to evaluate next: neighbours, or, where none is left, a new random text. */
function propose(search: Search, { positions, letters, candidates, budget }: SearchOptions): void {
  if (search.restarting) return; // the very first text
  const { stream, seen, current } = search;
  const most = Math.min(candidates, budget - search.passes);
  search.tried = [];
  const left = search.neighbours!;
  while (left.length > 0 && search.tried.length < most) {
    const drawn = stream.integer(left.length);
    const [position, letter] = left[drawn]!;
    left[drawn] = left.at(-1)!;
    left.pop();
    const text = current.text.with(position, letter);
    if (seen.has(text.join())) continue;
    seen.add(text.join());
    search.tried.push(text);
  }
  for (let draw = 0; draw < RESTART_DRAWS && search.tried.length === 0; draw++) {
    const text = search.fresh
      ? Int32Array.from({ length: positions }, () => stream.integer(letters))
      : search.best.text.slice();
    if (!search.fresh)
      for (let i = 0; i < Math.ceil(positions / 2); i++) text[stream.integer(positions)] = stream.integer(letters);
    if (seen.has(text.join())) continue;
    seen.add(text.join());
    search.tried.push(text);
    search.restarting = true;
    search.fresh = !search.fresh;
  }
  if (search.tried.length === 0) search.ended = true; // as good as every text was evaluated
}

/** Random texts drawn in search of one that was not evaluated yet, before a search gives up. */
const RESTART_DRAWS = 1000;

/** Evaluates what was proposed and moves on. */
async function runLosses(objective: DiscreteObjective, trying: readonly Search[], positions: number): Promise<void> {
  const owners = Int32Array.from(trying.flatMap(({ index, tried }) => tried.map(() => index)));
  const losses = await objective.losses(
    owners,
    join(
      trying.flatMap(({ tried }) => tried),
      positions,
    ),
  );
  let at = 0;
  for (const search of trying) {
    let found: Search["current"] = { text: search.tried[0]!, loss: Number.POSITIVE_INFINITY };
    for (const text of search.tried) {
      const loss = losses[at++]!;
      if (loss < found.loss) found = { text, loss };
    }
    search.passes += search.tried.length;
    if (search.restarting || found.loss < search.current.loss) {
      search.current = found;
      search.neighbours = undefined;
    }
    if (found.loss < search.best.loss) search.best = found;
    search.restarting = false;
    search.tried = [];
  }
}

function join(texts: readonly Int32Array[], positions: number): Int32Array {
  const joined = new Int32Array(texts.length * positions);
  for (const [i, text] of texts.entries()) joined.set(text, i * positions);
  return joined;
}
