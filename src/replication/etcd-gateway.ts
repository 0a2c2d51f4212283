/**
 * What is asked of etcd, over the JSON gateway that each of its members has: no package is needed for it. One request goes to one
 * member; which, and what to make of a failure, is etcd-client.ts's business.
 */
export interface EtcdGateway {
  /** As the config names them: `host:port`. */
  readonly members: readonly string[]
  /**
   * @param body - JSON
   * @throws GatewayFailure where there is no answer
   */
  post(member: number, path: string, body: object, timeoutMs: number): Promise<GatewayAnswer>
  /** An answer without end, one JSON value a line. Ends by itself, or by `close`, after which nothing is called any more. */
  stream(member: number, path: string, body: object, handlers: StreamHandlers): GatewayStream
  close(): void
}

export interface GatewayAnswer {
  readonly status: number
  readonly body: GatewayBody
}

/**
 * Protobuf as JSON: 64-bit integers are strings, bytes are base64, and what is false, zero or empty is left out.
 */
export interface GatewayBody {
  readonly [name: string]: unknown
}

export interface StreamHandlers {
  line(value: GatewayBody): void
  ended(error: Error | null): void
}

export interface GatewayStream {
  close(): void
}

export class GatewayFailure extends Error {
  /** The request may have reached the member. */
  readonly isSent: boolean

  constructor(message: string, isSent: boolean, cause: unknown) {
    super(message, { cause })
    this.isSent = isSent
  }
}
