import { create, toBinary } from "@bufbuild/protobuf";
import type { DType, Shape } from "../tensor.js";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "./onnx_pb.js";

/** Pinned, so that the same program is the same bytes whatever runtime reads it. */
export const OPSET = 21;
export const IR_VERSION = 10;
/** ONNX Runtime's own operators (FusedMatMul). */
export const CONTRIB_DOMAIN = "com.microsoft";

/** What a graph is emitted for: devices lack different operators. */
export interface Target {
  readonly device: "cpu" | "webgpu" | "cuda";
}

/** An integer, a list of integers, a string, or a float, which must say so. */
export type Attribute = number | readonly number[] | string | { readonly float: number };

export interface NodeOptions {
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly outputs?: number;
  readonly domain?: string;
}

export interface GraphBuilder {
  readonly target: Target;
  /** Names every node added from now on (`blocks.3.mlp.post/MatMul_12`). */
  setLabel(label: string | undefined): void;
  /** Adds a node and returns its outputs' names; an identical node is never added twice. */
  nodes(type: string, inputs: readonly string[], options?: NodeOptions): readonly string[];
  /** The same for a node with one output. */
  node(type: string, inputs: readonly string[], options?: NodeOptions): string;
  constant(data: ArrayLike<number>, shape: Shape, dtype: DType): string;
  /** A 1-d int64 constant, as shapes and axes want. */
  ints(values: readonly number[]): string;
  input(name: string, shape: Shape, dtype: DType): string;
  /** `value` under the name `name` at the graph's end. */
  output(name: string, value: string, shape: Shape, dtype: DType): void;
  finish(name: string): Uint8Array;
}

const DATA_TYPE: Readonly<Record<DType, DataType>> = {
  float32: DataType.FLOAT,
  float64: DataType.DOUBLE,
  int32: DataType.INT32,
  int64: DataType.INT64,
  bool: DataType.BOOL,
};

export function onnxDataType(dtype: DType): number {
  return DATA_TYPE[dtype];
}

function rawBytes(data: ArrayLike<number>, dtype: DType): Uint8Array {
  const typed: ArrayBufferView =
    dtype === "float32"
      ? Float32Array.from(data)
      : dtype === "float64"
        ? Float64Array.from(data)
        : dtype === "int32"
          ? Int32Array.from(data)
          : dtype === "int64"
            ? BigInt64Array.from(Array.from(data, BigInt))
            : Uint8Array.from(data);
  return new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
}

function attributeProto(name: string, value: Attribute): AttributeProto {
  if (typeof value === "number")
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  if (typeof value === "string")
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) });
  if ("float" in value) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
}

function valueInfo(name: string, shape: Shape, dtype: DType): ValueInfoProto {
  const dim = shape.map((size) => create(TensorShapeProto_DimensionSchema, { dimValue: BigInt(size) }));
  const tensorType = create(TypeProto_TensorSchema, {
    elemType: DATA_TYPE[dtype],
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  return create(ValueInfoProtoSchema, { name, type: create(TypeProtoSchema, { tensorType }) });
}

export function createGraphBuilder(target: Target): GraphBuilder {
  const nodes: NodeProto[] = [];
  const initializers: TensorProto[] = [];
  const inputs: ValueInfoProto[] = [];
  const outputs: ValueInfoProto[] = [];
  const known = new Map<string, readonly string[]>();
  let label: string | undefined;
  let contrib = false;

  function addNodes(
    type: string,
    from: readonly string[],
    { attributes = {}, outputs: count = 1, domain = "" }: NodeOptions = {},
  ): readonly string[] {
    const key = `${domain}:${type}(${from.join(",")})${JSON.stringify(attributes)}/${count}`;
    const existing = known.get(key);
    if (existing !== undefined) return existing;
    const id = nodes.length;
    const names = Array.from({ length: count }, (_, index) => (count === 1 ? `v${id}` : `v${id}.${index}`));
    contrib ||= domain === CONTRIB_DOMAIN;
    nodes.push(
      create(NodeProtoSchema, {
        opType: type,
        input: [...from],
        output: names,
        name: `${label === undefined ? "" : `${label}/`}${type}_${id}`,
        attribute: Object.entries(attributes).map(([name, value]) => attributeProto(name, value)),
        domain,
      }),
    );
    known.set(key, names);
    return names;
  }

  function addConstant(data: ArrayLike<number>, shape: Shape, dtype: DType): string {
    const raw = rawBytes(data, dtype);
    const key = `constant:${dtype}[${shape.join(",")}]${latin1(raw)}`;
    const existing = known.get(key);
    if (existing !== undefined) return existing[0]!;
    const name = `c${initializers.length}`;
    initializers.push(
      create(TensorProtoSchema, { name, dims: shape.map(BigInt), dataType: DATA_TYPE[dtype], rawData: raw }),
    );
    known.set(key, [name]);
    return name;
  }

  return {
    target,
    setLabel: (next) => {
      label = next;
    },
    nodes: addNodes,
    node: (type, from, options) => addNodes(type, from, options)[0]!,
    constant: addConstant,
    ints: (values) => addConstant(values, [values.length], "int64"),
    input(name, shape, dtype) {
      inputs.push(valueInfo(name, shape, dtype));
      return name;
    },
    output(name, value, shape, dtype) {
      nodes.push(
        create(NodeProtoSchema, { opType: "Identity", input: [value], output: [name], name: `output/${name}` }),
      );
      outputs.push(valueInfo(name, shape, dtype));
    },
    finish(name) {
      const opsets = [create(OperatorSetIdProtoSchema, { domain: "", version: BigInt(OPSET) })];
      if (contrib) opsets.push(create(OperatorSetIdProtoSchema, { domain: CONTRIB_DOMAIN, version: 1n }));
      const { node, initializer } = reachable(nodes, initializers, outputs);
      const graph = create(GraphProtoSchema, { name, node, initializer, input: inputs, output: outputs });
      return toBinary(
        ModelProtoSchema,
        create(ModelProtoSchema, {
          irVersion: BigInt(IR_VERSION),
          producerName: "nullscope",
          graph,
          opsetImport: opsets,
        }),
      );
    },
  };
}

/** Only what the outputs need: a lowering that folds its input (a bias into Gemm) leaves that input's node unread. */
function reachable(
  nodes: readonly NodeProto[],
  initializers: readonly TensorProto[],
  outputs: readonly ValueInfoProto[],
) {
  const needed = new Set(outputs.map((output) => output.name));
  const node = [...nodes].reverse().filter((candidate) => {
    if (!candidate.output.some((name) => needed.has(name))) return false;
    for (const name of candidate.input) needed.add(name);
    return true;
  });
  return { node: node.reverse(), initializer: initializers.filter(({ name }) => needed.has(name)) };
}

/** Bytes as a string that can be compared, one character a byte. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let start = 0; start < bytes.length; start += 8192)
    text += String.fromCharCode(...bytes.subarray(start, start + 8192));
  return text;
}
