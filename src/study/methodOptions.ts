import { z } from "zod";
import { type Objective, RECIPES, type Recipe, recipeNamed } from "../train/index.js";

/** A word that becomes part of a checkpoint's name, as in `ssft-medium`. */
export const word = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, "must be a lower-case word");

/** An option of a method as a configuration may give it: one value, or one for each rate by its name. */
const perRate = (option: z.ZodType) => z.union([option, z.record(word, option)]);

const optionsOf = ({ options }: Recipe) =>
  z.strictObject(
    Object.fromEntries(Object.entries(options.shape).map(([name, option]) => [name, perRate(option as z.ZodType)])),
  );

/** `tune.options`: for each method, its own options. A method or an option that is left out has its defaults. */
export const methodOptionsSchema = z.strictObject(
  Object.fromEntries([...RECIPES].map(([name, recipe]) => [name, optionsOf(recipe).optional()])),
);

export type MethodOptions = z.infer<typeof methodOptionsSchema>;

const isPerRate = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

/** Options of a method that give values by rate but none for one of these rates: `dpo.gamma` and `large`. */
export function missingRates(
  options: MethodOptions,
  methods: readonly string[],
  rates: readonly string[],
): readonly { readonly method: string; readonly option: string; readonly rate: string }[] {
  return methods.flatMap((method) =>
    Object.entries(options[method] ?? {}).flatMap(([option, value]) =>
      isPerRate(value)
        ? rates.filter((rate) => !Object.hasOwn(value, rate)).map((rate) => ({ method, option, rate }))
        : [],
    ),
  );
}

/** A method's options at one rate, defaults filled in. */
export function methodOptions(options: MethodOptions, method: string, rate: string): Record<string, unknown> {
  const given = Object.entries(options[method] ?? {}).map(([option, value]) => [
    option,
    isPerRate(value) ? value[rate] : value,
  ]);
  return recipeNamed(method).options.parse(Object.fromEntries(given)) as Record<string, unknown>;
}

/** The objective of a method at one rate. */
export function methodObjective(options: MethodOptions, method: string, rate: string): Objective {
  return recipeNamed(method).configure(methodOptions(options, method, rate));
}

/** The options with those of every one of `methods` spelled out. */
export function withDefaultOptions(options: MethodOptions, methods: readonly string[]): MethodOptions {
  const filled = methods.map((method) => [
    method,
    { ...(recipeNamed(method).options.parse({}) as object), ...options[method] },
  ]);
  return { ...options, ...(Object.fromEntries(filled) as MethodOptions) };
}
