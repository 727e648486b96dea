/** The answer to a request; its fields depend on the request (bench/peers/step.py). */
export interface Peer {
  readonly about: { readonly description: string };
  ask(request: object): Promise<Readonly<Record<string, unknown>>>;
  stop(): void;
}
export function startPeer(
  interpreter: string,
  options: { readonly threads: number; readonly device?: "cpu" | "gpu"; note(text: string): void },
): Promise<Peer | undefined>;
