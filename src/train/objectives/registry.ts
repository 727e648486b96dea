import type { Recipe } from "../recipe.js";
import { dpo } from "./dpo.js";
import { dpoStandard } from "./dpoStandard.js";
import { npo } from "./npo.js";
import { simpo } from "./simpo.js";
import { ssft } from "./ssft.js";
import { unlearning } from "./unlearning.js";

/** Every tuning method that a study can name. To add one: a file beside this one, and its line here. */
const ALL: readonly Recipe[] = [ssft, dpo, dpoStandard, unlearning, npo, simpo];

/** The methods by name. */
export const RECIPES: ReadonlyMap<string, Recipe> = new Map(ALL.map((one) => [one.name, one]));

/** The method of this name. @throws RangeError when there is none. */
export function recipeNamed(name: string): Recipe {
  const found = RECIPES.get(name);
  if (found === undefined)
    throw new RangeError(`there is no objective "${name}"; objectives: ${[...RECIPES.keys()].join(", ")}`);
  return found;
}
