import { afterAll, describe, expect, test } from "vitest";
import {
  add,
  concat,
  constant,
  type FloatDType,
  gradients,
  matmul,
  mul,
  program,
  reshape,
  slice,
  square,
  sub,
  sum,
  type Tensor,
  tanh,
} from "../../src/tensor/index.js";
import { adamw, clipByNorm, norm } from "../../src/train/adamw.js";
import { cpuEngine } from "../engines.js";
import { readGolden, readJson } from "../fixtures.js";

interface Step {
  readonly lr: number;
  readonly loss: number;
  readonly grad_norm: number;
}

interface Trace {
  readonly clip_norm: number;
  readonly betas: [number, number];
  readonly eps: number;
  readonly float64: readonly Step[];
  readonly float32: readonly Step[];
}

const trace = readJson<Trace>("adamw/adamw.json");
const golden = readGolden("adamw/adamw.safetensors");
const engine = cpuEngine();
afterAll(() => engine.release());

/** 0.5 p'Qp - c'p + sum(w tanh(q + (A p) 1')) + 0.5 mu sum((q - t)²) with x = [p, q] as one vector of 6 + 12. */
function loss(x: Tensor): Tensor {
  const known = (name: string) => {
    const { shape, data } = golden.get(`const.${name}`)!;
    return constant(data, shape, x.dtype);
  };
  const p = reshape(slice(x, 0, 0, 6), [6, 1]);
  const q = reshape(slice(x, 0, 6), [3, 4]);
  const quadratic = mul(sum(mul(p, matmul(known("Q"), p))), 0.5);
  const linear = sum(mul(reshape(known("c"), [6, 1]), p));
  const wave = sum(mul(known("w"), tanh(add(q, matmul(known("A"), p)))));
  const pull = mul(mul(known("mu"), 0.5), sum(square(sub(q, known("t")))));
  return add(add(sub(quadratic, linear), wave), pull);
}

/** Largest distance to PyTorch's run in the same precision, per quantity. */
async function replay(dtype: FloatDType) {
  const suffix = dtype === "float64" ? "f64" : "f32";
  const Type = dtype === "float64" ? Float64Array : Float32Array;
  const vector = { shape: [18], dtype };
  const scalar = { shape: [], dtype };
  const step = await engine.compile(
    program(
      "adamw",
      {
        parameters: vector,
        firstMoment: vector,
        secondMoment: vector,
        decayMask: vector,
        learningRate: scalar,
        bias1: scalar,
        bias2: scalar,
      },
      (state) => {
        const value = loss(state.parameters);
        const gradient = gradients(value, [state.parameters])[0]!;
        const gradientNorm = norm(gradient);
        const clipped = clipByNorm(gradient, gradientNorm, trace.clip_norm);
        const next = adamw(
          { ...state, gradient: clipped },
          { betas: trace.betas, epsilon: trace.eps, weightDecay: 1e-4 },
        );
        return {
          value,
          gradientNorm,
          clipped,
          next: concat([next.parameters, next.firstMoment, next.secondMoment], 0),
        };
      },
    ),
  );
  const init = ["p", "q"].flatMap((name) => [...golden.get(`init.${name}`)!.data]);
  let state = { parameters: Type.from(init), firstMoment: new Type(18), secondMoment: new Type(18) };
  const decayMask = Type.from([...Array(18).keys()].map((i) => (i < 6 ? 0 : 1)));
  const errors = { loss: 0, norm: 0, parameters: 0, clipped: 0, moments: 0 };
  for (const [index, { lr, loss: wantedLoss, grad_norm }] of trace[dtype].entries()) {
    const one = (value: number) => Type.of(value);
    const out = await step.run({
      ...state,
      decayMask,
      learningRate: one(lr),
      bias1: one(1 - trace.betas[0] ** (index + 1)),
      bias2: one(1 - trace.betas[1] ** (index + 1)),
    });
    const next = out.next as Float64Array;
    state = {
      parameters: next.slice(0, 18) as never,
      firstMoment: next.slice(18, 36) as never,
      secondMoment: next.slice(36) as never,
    };
    const wanted = (name: string) =>
      ["p", "q"].flatMap((v) => {
        const { data, shape } = golden.get(`${name}_${v}.${suffix}`) ?? golden.get(`${v}.${suffix}`)!;
        const size = shape.slice(1).reduce((a, b) => a * b, 1);
        return [...data.subarray(index * size, (index + 1) * size)];
      });
    const worst = (got: ArrayLike<number>, want: readonly number[]) =>
      Math.max(...want.map((value, i) => Math.abs(value - got[i]!)));
    errors.loss = Math.max(errors.loss, Math.abs(Number(out.value[0]) - wantedLoss));
    errors.norm = Math.max(errors.norm, Math.abs(Number(out.gradientNorm[0]) - grad_norm));
    errors.clipped = Math.max(errors.clipped, worst(out.clipped as Float64Array, wanted("clipped_grad")));
    errors.moments = Math.max(
      errors.moments,
      worst(state.firstMoment, wanted("exp_avg")),
      worst(state.secondMoment, wanted("exp_avg_sq")),
    );
    errors.parameters = Math.max(
      errors.parameters,
      worst(
        state.parameters,
        ["p", "q"].flatMap((v) => {
          const { data, shape } = golden.get(`${v}.${suffix}`)!;
          const size = shape.slice(1).reduce((a, b) => a * b, 1);
          return [...data.subarray(index * size, (index + 1) * size)];
        }),
      ),
    );
  }
  return errors;
}

describe("AdamW with clipping follows PyTorch for 20 steps", () => {
  test("in float64 to 1e-12", async () => {
    for (const error of Object.values(await replay("float64"))) expect(error).toBeLessThan(1e-12);
  });

  test("in float32 to 1e-6 of PyTorch's own float32", async () => {
    for (const error of Object.values(await replay("float32"))) expect(error).toBeLessThan(1e-6);
  });
});
