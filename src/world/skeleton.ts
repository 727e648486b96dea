/** The paper's skeleton of non-terminals above the terminal rules; every rule of a symbol is equally likely. */
export const PAPER_SKELETON = {
  root: "v",
  dominant: { A: ["r", "q", "p"], B: ["B1", "B2", "B3"] },
  rules: {
    v: ["u t", "t s"],
    u: ["r p", "p B1 q", "B2 r q"],
    t: ["q p r", "B3 p q", "B1 r"],
    s: ["p B2", "r B1 B3", "B1 B3 B2"],
    r: ["o n m", "w x o"],
    q: ["w o", "m o x"],
    p: ["m n", "o o w"],
    B1: ["x w m", "n w n"],
    B2: ["n x x", "n n x"],
    B3: ["m m x", "w w o"],
    o: ["l k j", "l d j"],
    n: ["k d c", "k l j"],
    m: ["l k c", "c d l"],
    w: ["c d d", "l c j"],
    x: ["j j l", "c l"],
    l: ["f i g", "i f g"],
    k: ["e g i", "b g h"],
    j: ["i e f", "b h e"],
    c: ["f h b", "f e h"],
    d: ["h f b", "b e h"],
  },
} as const;

/** The paper's lowest non-terminals, whose rules differ between grammars. */
export const PAPER_LEAVES = ["g", "h", "i", "e", "b", "f"] as const;

/** Letters for up to 30 terminals; further ones are numbered. */
const LETTERS = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ", "Γ", "Δ", "Λ", "Ω"];

/** `count` names of terminals, none a name of the skeleton's symbols. */
export function terminalNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => LETTERS[index] ?? `T${index}`);
}
