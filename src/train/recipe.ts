import { z } from "zod";
import type { Tensor } from "../tensor/index.js";
import type { Need, Objective, ObjectiveInput, Rewards } from "./objective.js";

/** What a recipe's loss is given: the policy and the preferred answers, and what it said it needs. */
export type RecipeInput<N extends Need> = ObjectiveInput & Required<Pick<ObjectiveInput, N>>;

/** A tuning method as its author writes it. */
export interface RecipeSpec<Shape extends z.ZodRawShape, N extends Need> {
  /** Its name in configurations and, with a rate, the name of its checkpoints. */
  readonly name: string;
  /** Its options: a zod schema each, with a default (or optional). A study may give each a value, or one per rate. */
  readonly options: Shape;
  /** `reference`: the model before tuning; `rejected`: the less preferred answers. A function where it depends on the options. */
  readonly needs: readonly N[] | ((options: z.output<z.ZodObject<Shape>>) => readonly Need[]);
  /** What training minimises, in nats, 0-d. */
  loss(input: RecipeInput<N>, options: z.output<z.ZodObject<Shape>>): Tensor;
  /** How much more the policy wants each answer than the reference does; logged only. */
  rewards?(input: RecipeInput<N>, options: z.output<z.ZodObject<Shape>>): Rewards;
}

/** A tuning method that a study can name: the objective at its default options, and at others. */
export interface Recipe extends Objective {
  /** The schema of its options, strict. */
  readonly options: z.ZodObject;
  /** The objective at these options; what is left out has its default. @throws ZodError for what is no option or no value of it. */
  configure(options: Readonly<Record<string, unknown>>): Objective;
}

/** Makes a recipe of its specification. A new method is one such call in one file, and its line in `registry.ts`. */
export function recipe<Shape extends z.ZodRawShape, N extends Need = never>(spec: RecipeSpec<Shape, N>): Recipe {
  const schema = z.strictObject(spec.options);
  const configure = (given: Readonly<Record<string, unknown>>): Objective => {
    const options = schema.parse(given) as z.output<z.ZodObject<Shape>>;
    const needs = typeof spec.needs === "function" ? spec.needs(options) : spec.needs;
    const checked = (input: ObjectiveInput): RecipeInput<N> => {
      for (const need of needs)
        if (input[need] === undefined) throw new RangeError(`the objective ${spec.name} needs "${need}"`);
      return input as RecipeInput<N>;
    };
    const { rewards } = spec;
    return {
      name: spec.name,
      needs,
      loss: (input) => spec.loss(checked(input), options),
      ...(rewards !== undefined && { rewards: (input) => rewards(checked(input), options) }),
    };
  };
  return { ...configure({}), options: schema, configure };
}
